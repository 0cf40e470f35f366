//! Clients that are wrong in one thing: the runner finds it, at the right step, and blames nobody else.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hushwood_interop::Settings;
use hushwood_interop::proto::mls_client_client::MlsClientClient;
use hushwood_interop::proto::mls_client_server::{MlsClient, MlsClientServer};
use hushwood_interop::proto::*;
use interop_runner::client::{CallError, Client, NoClient};
use interop_runner::options::Options;
use interop_runner::play::{Failure, Verdict, What};
use interop_runner::report::{Counts, Report};
use interop_runner::run::{self, How, Played};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::Channel;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

#[tokio::test]
async fn an_honest_client_passes_every_scenario() {
    let clients = [connect(&honest().await).await];
    let played = play(clients.into(), &["--suites", "1", "--verify"]).await;
    assert_eq!(counts(&played), Counts { passed: 78, ..Counts::default() });
}

#[tokio::test]
async fn random_conversations_pass() {
    let clients = [connect(&honest().await).await, connect(&honest().await).await];
    for seed in ["1", "2", "3"] {
        let played =
            play(clients_again(&clients).await, &["--scenario", "random", "--suites", "1", "--seed", seed])
                .await;
        assert_eq!(counts(&played), Counts { passed: 2, ..Counts::default() });
    }
}

#[tokio::test]
async fn a_wrong_epoch_authenticator_is_found_where_it_is_told() {
    let failure = single_failure(Lie::Authenticator, "commit/update", "alice=1,bob=2").await;
    // alice creates the group, bob updates, alice commits.
    assert_eq!(failure.step, 2);
    let (actor, client) = failure.trouble.at.unwrap();
    assert_eq!((actor.name(), client, failure.trouble.rpc), ("bob", 1, Some("HandleCommit")));
    let What::Wrong(what) = failure.trouble.what else { panic!("{:?}", failure.trouble.what) };
    assert_eq!(what, "the epoch authenticator is not that of the others");
}

#[tokio::test]
async fn a_wrong_plaintext_is_found_where_it_is_read() {
    let failure = single_failure(Lie::Plaintext, "application/in_order", "alice=1,bob=2").await;
    assert_eq!((failure.step, failure.trouble.rpc), (4, Some("Unprotect")));
    assert_eq!(failure.trouble.what.to_string(), "the plaintext is not what was sent");
}

#[tokio::test]
async fn wrong_authenticated_data_is_found_where_it_is_read() {
    let failure = single_failure(Lie::AuthenticatedData, "application/in_order", "alice=1,bob=2").await;
    assert_eq!((failure.step, failure.trouble.rpc), (4, Some("Unprotect")));
    assert_eq!(failure.trouble.what.to_string(), "the authenticated data is not what was sent");
}

#[tokio::test]
async fn a_commit_framed_the_other_way_is_found() {
    let failure = single_failure(Lie::Framing, "commit/empty", "alice=2,bob=1").await;
    assert_eq!((failure.step, failure.trouble.rpc), (0, Some("Commit")));
    assert_eq!(
        failure.trouble.what.to_string(),
        "where a PrivateMessage is expected, the message is something else"
    );
}

#[tokio::test]
async fn a_tree_that_was_to_be_outside_is_missed() {
    let failure = single_failure(Lie::NoTree, "welcome_join/with_external_tree", "alice=2,bob=1").await;
    assert_eq!((failure.step, failure.trouble.rpc), (3, Some("Commit")));
    assert_eq!(failure.trouble.what.to_string(), "the ratchet tree was to be outside and is not there");
}

#[tokio::test]
async fn a_refusal_is_reported_in_its_own_words() {
    let failure = single_failure(Lie::Refused("update_proposal"), "commit/update", "alice=1,bob=2").await;
    assert_eq!((failure.step, failure.trouble.rpc), (1, Some("UpdateProposal")));
    assert_eq!(failure.trouble.what.to_string(), "Internal: out of luck");
}

#[tokio::test]
async fn what_is_unimplemented_is_unsupported_and_not_failed() {
    let clients = [connect(&liar(Lie::Unimplemented("re_init_proposal")).await).await];
    let played = play(clients.into(), &["--suites", "1"]).await;
    // The scenario reinit, in both modes; external_reinit has no proposal of a member.
    assert_eq!(counts(&played), Counts { passed: 66, unsupported: 12, ..Counts::default() });
    assert!(counts(&played).all_right());
}

#[tokio::test]
async fn a_client_that_does_not_answer_fails_within_the_limit() {
    let failure = single_failure(Lie::Silence("update_proposal"), "commit/update", "alice=1,bob=2").await;
    assert_eq!(failure.step, 1);
    assert_eq!(failure.trouble.what, What::Call(CallError::Silent(LIMIT)));
}

#[tokio::test]
async fn a_client_that_dies_fails_its_own_cases_only() {
    let doomed = std::thread::spawn(|| {
        let runtime = Runtime::new().unwrap();
        let address = runtime.block_on(honest());
        (runtime, address)
    });
    let (runtime, address) = doomed.join().unwrap();
    let clients = [connect(&honest().await).await, connect(&address).await];
    runtime.shutdown_background();
    let played = play(clients.into(), &["--suites", "1", "--scenario", "welcome_join"]).await;
    for Played { case, verdict, .. } in &played {
        match (case.clients().contains(&1), verdict) {
            (false, Verdict::Passed) => {}
            (true, Verdict::Failed(Failure { trouble, .. })) => {
                assert!(matches!(trouble.what, What::Call(CallError::Gone(_))), "{:?}", trouble.what);
            }
            (_, verdict) => panic!("{verdict:?}"),
        }
    }
    assert_eq!(counts(&played), Counts { passed: 8, failed: 24, ..Counts::default() });
}

#[tokio::test]
async fn where_nobody_listens_the_message_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let refused = Client::connect(&address, Duration::ZERO, LIMIT).await.err().unwrap();
    assert!(matches!(refused, NoClient::Unreachable(..)));
    let message = refused.to_string();
    assert!(message.contains(&address) && message.contains("refused"), "{message}");
    let refused = Client::connect("nowhere", Duration::ZERO, LIMIT).await.err().unwrap();
    assert!(matches!(refused, NoClient::Address(_)));
}

#[tokio::test]
async fn the_command_under_a_failure_plays_exactly_that_case() {
    let clients: Arc<[Client]> =
        [connect(&honest().await).await, connect(&liar(Lie::Plaintext).await).await].into();
    let arguments = ["--suites", "1,2", "--scenario", "application", "--client", "a:1", "--client", "b:2"];
    let options = options(&arguments);
    let played = play(Arc::clone(&clients), &arguments).await;
    let again = options.again();
    let report = Report { clients: &clients, played: &played, again: &again, seed: options.seed };
    let json = report.json();
    let mut failed = 0;
    for (value, Played { case, .. }) in json["cases"].as_array().unwrap().iter().zip(&played) {
        let Some(command) = value["again"].as_str() else { continue };
        failed += 1;
        let words = command.strip_prefix("cargo xtask ").unwrap().split(' ');
        let same = Options::try_parse_from(words).unwrap();
        assert_eq!(same.clients, ["a:1", "b:2"]);
        let cases = same.cases(&clients).unwrap();
        assert_eq!(cases.len(), 1, "{command}");
        let same = &cases[0];
        assert_eq!(
            (&same.script, same.suite, same.handshakes, &same.roles),
            (&case.script, case.suite, case.handshakes, &case.roles)
        );
    }
    // bob reads and is the liar: half of the assignments.
    assert_eq!(failed, 3 * 2 * 2 * 2);
    let text = report.text(false, true);
    assert!(text.contains("step 5 of 7: bob reads the message of step 2"), "{text}");
    assert!(text.contains("again: cargo xtask interop --client a:1 --client b:2 --suites 1"), "{text}");
    assert!(text.contains("totals: 24 passed, 24 failed"), "{text}");
}

#[tokio::test]
async fn what_does_not_fit_into_the_time_is_not_played() {
    let clients: Arc<[Client]> = [connect(&liar(Lie::Silence("commit")).await).await].into();
    let options = options(&["--suites", "1", "--scenario", "commit/empty"]);
    let cases = options.cases(&clients).unwrap();
    let how = How { jobs: 1, limit: Some(Duration::from_millis(200)), verify: false };
    let played = run::run(clients, cases, how, |_, _| {}).await;
    assert_eq!(counts(&played), Counts { not_played: 2, ..Counts::default() });
    assert!(!counts(&played).all_right());
}

const LIMIT: Duration = Duration::from_secs(5);

fn options(arguments: &[&str]) -> Options {
    Options::try_parse_from([&["interop"], arguments].concat()).unwrap()
}

async fn play(clients: Arc<[Client]>, arguments: &[&str]) -> Vec<Played> {
    let options = options(arguments);
    let cases = options.cases(&clients).unwrap();
    run::run(clients, cases, How { jobs: 2, limit: None, verify: options.verify }, |_, _| {}).await
}

fn counts(played: &[Played]) -> Counts {
    Counts::of(played.iter().map(|played| &played.verdict))
}

/// An honest client, 1, and one that lies, 2, in one case with encrypted handshakes.
async fn single_failure(lie: Lie, scenario: &str, roles: &str) -> Failure {
    let clients = [connect(&honest().await).await, connect(&liar(lie).await).await];
    let arguments = ["--suites", "1", "--handshakes", "private", "--scenario", scenario, "--roles", roles];
    let played = play(clients.into(), &arguments).await;
    assert_eq!(played.len(), 1);
    match played.into_iter().next().unwrap().verdict {
        Verdict::Failed(failure) => failure,
        verdict => panic!("{verdict:?}"),
    }
}

async fn connect(address: &str) -> Client {
    Client::connect(address, Duration::from_secs(10), LIMIT).await.unwrap()
}

async fn clients_again(clients: &[Client]) -> Arc<[Client]> {
    let mut again = Vec::new();
    for client in clients {
        again.push(connect(&client.address).await);
    }
    again.into()
}

/// Hushwood's own server, on a port of its own.
async fn honest() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let settings = Settings::new(hushwood_aws_lc::PROVIDER);
    tokio::spawn(hushwood_interop::serve(listener, settings, std::future::pending()));
    address
}

/// A server that passes everything on to an honest one, and lies in one thing.
async fn liar(lie: Lie) -> String {
    let honest = honest().await;
    let honest = MlsClientClient::connect(format!("http://{honest}")).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let service = MlsClientServer::new(Liar { honest, lie });
    let incoming = TcpIncoming::from(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    address
}

struct Liar {
    honest: MlsClientClient<Channel>,
    lie: Lie,
}

#[derive(Clone, Copy, Debug)]
enum Lie {
    /// In HandleCommit.
    Authenticator,
    /// In Unprotect.
    Plaintext,
    /// In Unprotect.
    AuthenticatedData,
    /// Commits as PublicMessage, or what claims to be one.
    Framing,
    /// Commits without the tree that was asked for.
    NoTree,
    /// This call is answered with INTERNAL.
    Refused(&'static str),
    /// This call is answered with UNIMPLEMENTED.
    Unimplemented(&'static str),
    /// This call is never answered.
    Silence(&'static str),
}

/// What a lie makes of an answer.
trait Bend {
    fn bend(&mut self, _: Lie) {}
}

impl Bend for HandleCommitResponse {
    fn bend(&mut self, lie: Lie) {
        if let (Lie::Authenticator, Some(first)) = (lie, self.epoch_authenticator.first_mut()) {
            *first ^= 1;
        }
    }
}

impl Bend for UnprotectResponse {
    fn bend(&mut self, lie: Lie) {
        match lie {
            Lie::Plaintext => self.plaintext.push(0),
            Lie::AuthenticatedData => self.authenticated_data.clear(),
            _ => {}
        }
    }
}

impl Bend for CommitResponse {
    fn bend(&mut self, lie: Lie) {
        match lie {
            // The last byte of the wire format: mls_public_message.
            Lie::Framing => self.commit[3] = 1,
            Lie::NoTree => self.ratchet_tree.clear(),
            _ => {}
        }
    }
}

macro_rules! honest_answers {
    ($($response:ident)*) => { $(impl Bend for $response {})* };
}

honest_answers! {
    NameResponse SupportedCiphersuitesResponse CreateGroupResponse CreateKeyPackageResponse JoinGroupResponse
    ExternalJoinResponse GroupInfoResponse StateAuthResponse ExportResponse ProtectResponse StorePskResponse
    ProposalResponse HandleReInitCommitResponse CreateSubgroupResponse HandleBranchResponse
    NewMemberAddProposalResponse CreateExternalSignerResponse FreeResponse
}

macro_rules! passed_on {
    ($($call:ident $request:ident $response:ident;)*) => {
        #[tonic::async_trait]
        impl MlsClient for Liar {
            $(
                async fn $call(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                    match self.lie {
                        Lie::Refused(call) if call == stringify!($call) => {
                            return Err(Status::internal("out of luck"));
                        }
                        Lie::Unimplemented(call) if call == stringify!($call) => {
                            return Err(Status::unimplemented(""));
                        }
                        Lie::Silence(call) if call == stringify!($call) => std::future::pending().await,
                        _ => {}
                    }
                    let mut answer = self.honest.clone().$call(request.into_inner()).await?;
                    answer.get_mut().bend(self.lie);
                    Ok(answer)
                }
            )*
        }
    };
}

passed_on! {
    name NameRequest NameResponse;
    supported_ciphersuites SupportedCiphersuitesRequest SupportedCiphersuitesResponse;
    create_group CreateGroupRequest CreateGroupResponse;
    create_key_package CreateKeyPackageRequest CreateKeyPackageResponse;
    join_group JoinGroupRequest JoinGroupResponse;
    external_join ExternalJoinRequest ExternalJoinResponse;
    group_info GroupInfoRequest GroupInfoResponse;
    state_auth StateAuthRequest StateAuthResponse;
    export ExportRequest ExportResponse;
    protect ProtectRequest ProtectResponse;
    unprotect UnprotectRequest UnprotectResponse;
    store_psk StorePskRequest StorePskResponse;
    add_proposal AddProposalRequest ProposalResponse;
    update_proposal UpdateProposalRequest ProposalResponse;
    remove_proposal RemoveProposalRequest ProposalResponse;
    external_psk_proposal ExternalPskProposalRequest ProposalResponse;
    resumption_psk_proposal ResumptionPskProposalRequest ProposalResponse;
    group_context_extensions_proposal GroupContextExtensionsProposalRequest ProposalResponse;
    commit CommitRequest CommitResponse;
    handle_commit HandleCommitRequest HandleCommitResponse;
    handle_pending_commit HandlePendingCommitRequest HandleCommitResponse;
    re_init_proposal ReInitProposalRequest ProposalResponse;
    re_init_commit CommitRequest CommitResponse;
    handle_pending_re_init_commit HandlePendingCommitRequest HandleReInitCommitResponse;
    handle_re_init_commit HandleCommitRequest HandleReInitCommitResponse;
    re_init_welcome ReInitWelcomeRequest CreateSubgroupResponse;
    handle_re_init_welcome HandleReInitWelcomeRequest JoinGroupResponse;
    create_branch CreateBranchRequest CreateSubgroupResponse;
    handle_branch HandleBranchRequest HandleBranchResponse;
    new_member_add_proposal NewMemberAddProposalRequest NewMemberAddProposalResponse;
    create_external_signer CreateExternalSignerRequest CreateExternalSignerResponse;
    add_external_signer AddExternalSignerRequest ProposalResponse;
    external_signer_proposal ExternalSignerProposalRequest ProposalResponse;
    free FreeRequest FreeResponse;
}
