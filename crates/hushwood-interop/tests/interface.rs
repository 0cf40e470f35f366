//! Every part of the interface, over real connections between two servers on different providers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod world;

use hushwood::codec::Encode;
use hushwood::credential::Credential;
use hushwood::crypto::{CipherSuiteId, SoftwareSigner, sign_with_label};
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::MlsMessage;
use hushwood::key_package::KeyPackageBuilder;
use hushwood::policy::{Policy, Timestamp};
use hushwood::proposal::ProposalType;
use hushwood::tree::{LeafContent, LeafIndex, LeafNodeSource, Lifetime, RatchetTree, Supported};
use hushwood::unverified::Unverified;
use hushwood_interop::proto::*;
use tonic::Code;
use world::{Actor, Mode, SIMPLE, add, creator, extension, joiner, pair, remove, server, servers, store_psk};

/// The extensions that the working group's scripts use: required_capabilities and external_senders, both empty.
fn group_extensions() -> Vec<Extension> {
    vec![extension(3, &[0, 0, 0]), extension(5, &[0])]
}

async fn external_signer(rpc: &mut world::Rpc, name: &str) -> CreateExternalSignerResponse {
    let request = CreateExternalSignerRequest { cipher_suite: 1, identity: name.into() };
    rpc.create_external_signer(request).await.unwrap().into_inner()
}

async fn add_signer(actor: &mut Actor, external_sender: &[u8]) -> Vec<u8> {
    let request =
        AddExternalSignerRequest { state_id: actor.state, external_sender: external_sender.to_vec() };
    actor.rpc.add_external_signer(request).await.unwrap().into_inner().proposal
}

/// A proposal by an external signer, which sees the group through `member`.
async fn outside(
    rpc: &mut world::Rpc,
    signer_id: u32,
    member: &mut Actor,
    description: ProposalDescription,
) -> Result<Vec<u8>, tonic::Status> {
    let view = member.group_info(true).await;
    let request = ExternalSignerProposalRequest {
        signer_id,
        // As the runner does: it never fills it.
        signer_index: 0,
        group_info: view.group_info,
        ratchet_tree: view.ratchet_tree,
        description: Some(description),
    };
    Ok(rpc.external_signer_proposal(request).await?.into_inner().proposal)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_its_name_and_all_seven_suites() {
    let (mut a, mut b) = servers().await;
    for rpc in [&mut a, &mut b] {
        assert_eq!(rpc.name(NameRequest {}).await.unwrap().into_inner().name, "hushwood");
        let suites = rpc.supported_ciphersuites(SupportedCiphersuitesRequest {}).await.unwrap();
        let mut suites = suites.into_inner().ciphersuites;
        suites.sort_unstable();
        assert_eq!(suites, [1, 2, 3, 4, 5, 6, 7]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_join_speak_update_and_go_on_all_suites_in_both_modes() {
    let (a, b) = servers().await;
    for suite in 1..=7 {
        for encrypt in [false, true] {
            main_story(&a, &b, Mode { suite, encrypt }).await;
        }
    }
}

async fn main_story(a: &world::Rpc, b: &world::Rpc, mode: Mode) {
    let (mut alice, mut bob) = pair(a, b, mode).await;
    alice.speaks_to(&mut [&mut bob]).await;
    bob.speaks_to(&mut [&mut alice]).await;

    // By reference, of both, with one more by value; the tree beside the Welcome.
    let (charlie, diana) = (joiner(a, "charlie", mode).await, joiner(b, "diana", mode).await);
    let proposals = vec![bob.update().await, alice.add_proposal(&charlie).await];
    let first_byte_of_wire_format = if mode.encrypt { [0, 2] } else { [0, 1] };
    assert!(proposals.iter().all(|proposal| proposal[2..4] == first_byte_of_wire_format));
    let done = alice.commit_with((false, true), proposals, vec![add(&diana)], &mut [&mut bob]).await;
    let mut charlie = charlie.join(&done.welcome, &done.ratchet_tree, &done.authenticator).await;
    let mut diana = diana.join(&done.welcome, &done.ratchet_tree, &done.authenticator).await;
    diana.speaks_to(&mut [&mut alice, &mut bob, &mut charlie]).await;

    // Nothing but a path, then two who go.
    let done = bob.commit(vec![], vec![], &mut [&mut alice, &mut charlie, &mut diana]).await;
    assert!(done.welcome.is_empty() && done.ratchet_tree.is_empty());
    let going = vec![alice.remove_proposal("charlie").await];
    bob.commit_with((true, false), going, vec![remove("diana")], &mut [&mut alice]).await;
    bob.speaks_to(&mut [&mut alice]).await;
    assert_eq!(alice.state_auth().await, bob.state_auth().await);
    assert_eq!(alice.export(77).await, bob.export(77).await);

    // Somebody comes from outside, and comes again.
    let mut eliza = external_join(&mut alice, b, false, &mut [&mut bob]).await;
    eliza.speaks_to(&mut [&mut alice, &mut bob]).await;
    let mut eliza = external_join(&mut bob, a, true, &mut [&mut alice]).await;
    eliza.speaks_to(&mut [&mut alice, &mut bob]).await;
    eliza.commit(vec![], vec![], &mut [&mut alice, &mut bob]).await;
}

/// Eliza joins by an external commit, with what `adder` says of the group.
async fn external_join(adder: &mut Actor, rpc: &world::Rpc, again: bool, others: &mut [&mut Actor]) -> Actor {
    let mut rpc = rpc.clone();
    let view = adder.group_info(again).await;
    assert_eq!(view.ratchet_tree.is_empty(), !again);
    let request = ExternalJoinRequest {
        group_info: view.group_info,
        ratchet_tree: view.ratchet_tree,
        encrypt_handshake: adder.mode.encrypt,
        identity: b"eliza".to_vec(),
        remove_prior: again,
        psks: vec![],
    };
    let joined = rpc.external_join(request).await.unwrap().into_inner();
    // Always a PublicMessage.
    assert_eq!(joined.commit[2..4], [0, 1]);
    assert_eq!(adder.follow(&[], &joined.commit).await, joined.epoch_authenticator);
    for other in others {
        assert_eq!(other.follow(&[], &joined.commit).await, joined.epoch_authenticator);
    }
    Actor { rpc, name: "eliza", mode: adder.mode, state: joined.state_id }
}

#[tokio::test(flavor = "multi_thread")]
async fn pre_shared_keys_come_by_reference_by_value_and_from_outside() {
    let (a, b) = servers().await;
    let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
    for psk in [b"one", b"two"] {
        alice.store_psk(psk, b"secret").await;
        bob.store_psk(psk, b"secret").await;
    }
    alice.commit(vec![], vec![], &mut [&mut bob]).await;
    let by_reference = vec![alice.psk_proposal(b"one").await, bob.resumption_proposal(1).await];
    let by_value = vec![
        ProposalDescription {
            proposal_type: b"externalPSK".to_vec(),
            psk_id: b"two".to_vec(),
            ..Default::default()
        },
        ProposalDescription { proposal_type: b"resumptionPSK".to_vec(), epoch_id: 2, ..Default::default() },
    ];
    bob.commit(by_reference, by_value, &mut [&mut alice]).await;

    // The runner says 0 for who is nowhere yet, and gives the key once more with the request.
    let mut rpc = b.clone();
    store_psk(&mut rpc, 0, b"one", b"secret").await;
    let view = alice.group_info(false).await;
    let psks = vec![PreSharedKey { psk_id: b"one".to_vec(), psk_secret: b"secret".to_vec() }];
    let request = ExternalJoinRequest {
        group_info: view.group_info,
        identity: b"eliza".to_vec(),
        psks,
        ..Default::default()
    };
    let joined = rpc.external_join(request).await.unwrap().into_inner();
    for member in [&mut alice, &mut bob] {
        assert_eq!(member.follow(&[], &joined.commit).await, joined.epoch_authenticator);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_psk_stored_on_a_transaction_reaches_the_joined_group() {
    let (a, b) = servers().await;
    let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
    let mut charlie = joiner(&b, "charlie", SIMPLE).await;
    store_psk(&mut charlie.rpc, charlie.transaction, b"early", b"secret").await;
    store_psk(&mut charlie.rpc, charlie.transaction, b"late", b"secret").await;
    for member in [&mut alice, &mut bob] {
        member.store_psk(b"early", b"secret").await;
        member.store_psk(b"late", b"secret").await;
    }
    // The Welcome asks for the one, a commit afterwards for the other.
    let proposals = vec![alice.psk_proposal(b"early").await, bob.add_proposal(&charlie).await];
    let done = alice.commit(proposals, vec![], &mut [&mut bob]).await;
    let mut charlie = charlie.join(&done.welcome, &[], &done.authenticator).await;
    let proposals = vec![charlie.psk_proposal(b"late").await];
    charlie.commit(proposals, vec![], &mut [&mut alice, &mut bob]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_read_out_of_order_and_from_earlier_epochs() {
    let (a, b) = servers().await;
    let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
    let mut late = Vec::new();
    for epoch in 0..4 {
        for message in 0..3 {
            let text = format!("{epoch}.{message}");
            late.push((alice.protect(&text).await, text));
        }
        alice.commit(vec![], vec![], &mut [&mut bob]).await;
    }
    late.reverse();
    for (ciphertext, text) in &late {
        assert_eq!(&bob.unprotect(ciphertext).await, text);
    }
    // Once: its key is gone.
    let again = UnprotectRequest { state_id: bob.state, ciphertext: late[0].0.clone() };
    assert_eq!(bob.rpc.unprotect(again).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn extensions_of_the_group_come_and_go() {
    let (a, b) = servers().await;
    let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
    let proposals = vec![alice.extensions_proposal(group_extensions()).await];
    alice.commit(proposals, vec![], &mut [&mut bob]).await;
    let proposals = vec![bob.extensions_proposal(vec![]).await];
    alice.commit(proposals, vec![], &mut [&mut bob]).await;
    let by_value = ProposalDescription {
        proposal_type: b"groupContextExtensions".to_vec(),
        extensions: group_extensions(),
        ..Default::default()
    };
    alice.commit(vec![], vec![by_value], &mut [&mut bob]).await;
    // Twice the same type is no list of extensions.
    let request = GroupContextExtensionsProposalRequest {
        state_id: alice.state,
        extensions: vec![extension(3, &[0, 0, 0]), extension(3, &[0, 0, 0])],
    };
    let refused = alice.rpc.group_context_extensions_proposal(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_that_is_given_twice_is_taken_once() {
    let (a, b) = servers().await;
    let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
    // Encrypted, so it can't be opened a second time.
    let proposal = bob.update().await;
    let request =
        CommitRequest { state_id: alice.state, by_reference: vec![proposal.clone()], ..Default::default() };
    let first = alice.rpc.commit(request.clone()).await.unwrap().into_inner();
    let second = alice.rpc.commit(request).await.unwrap().into_inner();
    assert_ne!(first.commit, second.commit);
    // The last one counts.
    let authenticator = alice.apply().await;
    assert_eq!(bob.follow(&[proposal], &second.commit).await, authenticator);
    let nothing = HandlePendingCommitRequest { state_id: alice.state };
    let refused = alice.rpc.handle_pending_commit(nothing).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_over_to_another_suite_with_any_member_in_any_role() {
    let (a, b) = servers().await;
    for encrypt in [false, true] {
        for (new_id, suite, external_tree, force_path) in [
            (&b"group"[..], 1, false, true),
            (&b"group"[..], 1, true, true),
            (&b"group++"[..], 3, true, false),
        ] {
            let mode = Mode { suite: 1, encrypt };
            let (mut alice, mut bob) = pair(&a, &b, mode).await;
            let charlie = joiner(&a, "charlie", mode).await;
            let done = alice.commit(vec![], vec![add(&charlie)], &mut [&mut bob]).await;
            let mut charlie = charlie.join(&done.welcome, &[], &done.authenticator).await;

            // Alice proposes, Bob commits, Charlie welcomes.
            let proposal = alice.reinit_proposal(new_id, suite).await;
            let request = CommitRequest {
                state_id: bob.state,
                by_reference: vec![proposal.clone()],
                ..Default::default()
            };
            let commit = bob.rpc.re_init_commit(request).await.unwrap().into_inner().commit;
            let request = HandlePendingCommitRequest { state_id: bob.state };
            let ended = bob.rpc.handle_pending_re_init_commit(request).await.unwrap().into_inner();
            let mut others = Vec::new();
            for member in [&mut alice, &mut charlie] {
                let request = HandleCommitRequest {
                    state_id: member.state,
                    proposal: vec![proposal.clone()],
                    commit: commit.clone(),
                };
                let reply = member.rpc.handle_re_init_commit(request).await.unwrap().into_inner();
                assert_eq!(reply.epoch_authenticator, ended.epoch_authenticator);
                others.push(reply);
            }
            // The old group is over.
            let request = UpdateProposalRequest { state_id: alice.state };
            assert_eq!(
                alice.rpc.update_proposal(request).await.unwrap_err().code(),
                Code::FailedPrecondition
            );

            let request = ReInitWelcomeRequest {
                reinit_id: others[1].reinit_id,
                key_package: vec![ended.key_package, others[0].key_package.clone()],
                force_path,
                external_tree,
            };
            let new = charlie.rpc.re_init_welcome(request).await.unwrap().into_inner();
            assert_eq!(new.ratchet_tree.is_empty(), !external_tree);
            if external_tree {
                assert_eq!(creator_has_committed_with_a_path(&new.ratchet_tree, suite), force_path);
            }
            charlie.state = new.state_id;
            for (member, reinit_id) in [(&mut alice, others[0].reinit_id), (&mut bob, ended.reinit_id)] {
                let request = HandleReInitWelcomeRequest {
                    reinit_id,
                    welcome: new.welcome.clone(),
                    ratchet_tree: new.ratchet_tree.clone(),
                };
                let joined = member.rpc.handle_re_init_welcome(request).await.unwrap().into_inner();
                assert_eq!(joined.epoch_authenticator, new.epoch_authenticator);
                member.state = joined.state_id;
            }
            let update = alice.update().await;
            assert_eq!(update[2..4], if encrypt { [0, 2] } else { [0, 1] });
            bob.commit(vec![update], vec![], &mut [&mut alice, &mut charlie]).await;
            alice.speaks_to(&mut [&mut bob, &mut charlie]).await;
        }
    }
}

/// Whose path it was shows in the leaf of the one who made it.
fn creator_has_committed_with_a_path(ratchet_tree: &[u8], suite: u32) -> bool {
    let suite = hushwood_aws_lc::PROVIDER.suite(CipherSuiteId(suite.try_into().unwrap())).unwrap();
    let tree = RatchetTree::from_extension(suite, ratchet_tree, &Policy::default()).unwrap();
    let creator = tree.leaf(LeafIndex::new(0)).unwrap().unwrap();
    matches!(creator.leaf_node_source, LeafNodeSource::Commit { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_no_reinit_is_not_taken_for_one() {
    let (a, b) = servers().await;
    let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
    let update = bob.update().await;
    let request = CommitRequest { state_id: alice.state, by_reference: vec![update], ..Default::default() };
    let refused = alice.rpc.re_init_commit(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    // The group goes on.
    alice.commit(vec![], vec![], &mut [&mut bob]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_has_a_new_id_and_the_old_group_goes_on() {
    let (a, b) = servers().await;
    for (external_tree, force_path) in [(false, false), (true, false), (true, true)] {
        let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
        alice.store_psk(b"psk", b"secret").await;
        bob.store_psk(b"psk", b"secret").await;
        let mut new_bob = joiner(&b, "bob", SIMPLE).await;
        let request = CreateBranchRequest {
            state_id: alice.state,
            group_id: b"branch".to_vec(),
            extensions: group_extensions(),
            key_packages: vec![new_bob.key_package.clone()],
            force_path,
            external_tree,
        };
        let created = alice.rpc.create_branch(request).await.unwrap().into_inner();
        assert_ne!(created.state_id, alice.state);
        assert_eq!(created.ratchet_tree.is_empty(), !external_tree);
        if external_tree {
            assert_eq!(creator_has_committed_with_a_path(&created.ratchet_tree, 1), force_path);
        }
        let request = HandleBranchRequest {
            state_id: bob.state,
            transaction_id: new_bob.transaction,
            welcome: created.welcome,
            ratchet_tree: created.ratchet_tree,
        };
        let joined = new_bob.rpc.handle_branch(request).await.unwrap().into_inner();
        assert_eq!(joined.epoch_authenticator, created.epoch_authenticator);
        assert_ne!(joined.state_id, bob.state);

        alice.speaks_to(&mut [&mut bob]).await;
        // What the runner does.
        bob.rpc.free(FreeRequest { state_id: bob.state }).await.unwrap();
        alice.state = created.state_id;
        bob.state = joined.state_id;
        bob.speaks_to(&mut [&mut alice]).await;
        let proposals = vec![bob.psk_proposal(b"psk").await];
        bob.commit(proposals, vec![], &mut [&mut alice]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_asks_to_be_added() {
    let (a, b) = servers().await;
    let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
    let group_info = alice.group_info(false).await.group_info;
    let mut rpc = b.clone();
    let request = NewMemberAddProposalRequest { group_info, identity: b"charlie".to_vec() };
    let asked = rpc.new_member_add_proposal(request).await.unwrap().into_inner();
    assert!(!asked.init_priv.is_empty() && !asked.encryption_priv.is_empty());
    assert!(!asked.signature_priv.is_empty());
    let done = alice.commit(vec![asked.proposal], vec![], &mut [&mut bob]).await;
    let charlie = world::Joiner {
        rpc,
        name: "charlie",
        mode: SIMPLE,
        transaction: asked.transaction_id,
        key_package: vec![],
    };
    let mut charlie = charlie.join(&done.welcome, &[], &done.authenticator).await;
    charlie.speaks_to(&mut [&mut alice, &mut bob]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_signer_is_found_by_its_key_and_proposes_everything() {
    let (mut a, b) = servers().await;
    let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
    let first = external_signer(&mut a, "ds1").await;
    let second = external_signer(&mut a, "ds2").await;
    let proposals = vec![alice.extensions_proposal(vec![extension(3, &[0, 0, 0])]).await];
    alice.commit(proposals, vec![], &mut [&mut bob]).await;
    for signer in [&first, &second] {
        let unlisted = outside(&mut a, signer.signer_id, &mut alice, remove("bob")).await.unwrap_err();
        assert_eq!(unlisted.code(), Code::FailedPrecondition);
        let proposals = vec![add_signer(&mut alice, &signer.external_sender).await];
        alice.commit(proposals, vec![], &mut [&mut bob]).await;
    }
    for member in [&mut alice, &mut bob] {
        member.store_psk(b"psk", b"secret").await;
    }

    let charlie = joiner(&b, "charlie", SIMPLE).await;
    let psk = ProposalDescription {
        proposal_type: b"externalPSK".to_vec(),
        psk_id: b"psk".to_vec(),
        ..Default::default()
    };
    let resumption =
        ProposalDescription { proposal_type: b"resumptionPSK".to_vec(), epoch_id: 2, ..Default::default() };
    let proposals = vec![
        outside(&mut a, second.signer_id, &mut alice, add(&charlie)).await.unwrap(),
        outside(&mut a, first.signer_id, &mut alice, psk).await.unwrap(),
    ];
    store_psk(&mut charlie.rpc.clone(), charlie.transaction, b"psk", b"secret").await;
    let done = alice.commit(proposals, vec![], &mut [&mut bob]).await;
    charlie.join(&done.welcome, &[], &done.authenticator).await;

    let proposals = vec![outside(&mut a, second.signer_id, &mut bob, resumption).await.unwrap()];
    bob.commit(proposals, vec![], &mut [&mut alice]).await;
    // Charlie was not there in epoch 2, and can't follow: out with it.
    let proposals = vec![outside(&mut a, second.signer_id, &mut bob, remove("charlie")).await.unwrap()];
    bob.commit(proposals, vec![], &mut [&mut alice]).await;

    let reinit = ProposalDescription {
        proposal_type: b"reinit".to_vec(),
        group_id: b"group++".to_vec(),
        cipher_suite: 2,
        extensions: vec![extension(3, &[0, 0, 0])],
        ..Default::default()
    };
    let proposal = outside(&mut a, first.signer_id, &mut alice, reinit).await.unwrap();
    let request =
        CommitRequest { state_id: alice.state, by_reference: vec![proposal.clone()], ..Default::default() };
    let commit = alice.rpc.re_init_commit(request).await.unwrap().into_inner().commit;
    let request = HandleCommitRequest { state_id: bob.state, proposal: vec![proposal], commit };
    bob.rpc.handle_re_init_commit(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_replaces_the_extensions_of_a_group() {
    let (mut a, b) = servers().await;
    let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
    let signer = external_signer(&mut a, "ds").await;
    let proposals = vec![add_signer(&mut alice, &signer.external_sender).await];
    alice.commit(proposals, vec![], &mut [&mut bob]).await;
    let extensions = ProposalDescription {
        proposal_type: b"groupContextExtensions".to_vec(),
        extensions: vec![extension(3, &[0, 0, 0])],
        ..Default::default()
    };
    let proposals = vec![outside(&mut a, signer.signer_id, &mut alice, extensions).await.unwrap()];
    alice.commit(proposals, vec![], &mut [&mut bob]).await;
    // The list went with the rest.
    let unlisted = outside(&mut a, signer.signer_id, &mut alice, remove("bob")).await.unwrap_err();
    assert_eq!(unlisted.code(), Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_drawn_from_one_counter_that_starts_at_one() {
    let mut rpc = server(hushwood_aws_lc::PROVIDER).await;
    let alice = creator(&rpc, "alice", SIMPLE).await;
    let bob = joiner(&rpc, "bob", SIMPLE).await;
    let signer = external_signer(&mut rpc, "ds").await;
    assert_eq!((alice.state, bob.transaction, signer.signer_id), (1, 2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn freeing_forgets_and_an_unknown_id_is_no_error() {
    let mut rpc = server(hushwood_aws_lc::PROVIDER).await;
    let mut alice = creator(&rpc, "alice", SIMPLE).await;
    for state_id in [0, 4711, alice.state, alice.state] {
        rpc.free(FreeRequest { state_id }).await.unwrap();
    }
    let request = StateAuthRequest { state_id: alice.state };
    assert_eq!(alice.rpc.state_auth(request).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_a_status_that_says_why_and_changes_nothing() {
    let (a, b) = servers().await;
    let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
    let request = ProtectRequest { state_id: 4711, ..Default::default() };
    assert_eq!(alice.rpc.protect(request).await.unwrap_err().code(), Code::NotFound);
    let request = UnprotectRequest { state_id: bob.state, ciphertext: vec![0, 1, 0, 2, 0x40] };
    let refused = bob.rpc.unprotect(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("not an MLS structure"), "{}", refused.message());
    let request = StorePskRequest { state_or_transaction_id: 4711, ..Default::default() };
    assert_eq!(alice.rpc.store_psk(request).await.unwrap_err().code(), Code::NotFound);
    for cipher_suite in [0, 8, 65_537] {
        let request = CreateKeyPackageRequest { cipher_suite, identity: b"bob".to_vec() };
        let refused = alice.rpc.create_key_package(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let request = RemoveProposalRequest { state_id: alice.state, removed_id: b"nobody".to_vec() };
    assert_eq!(alice.rpc.remove_proposal(request).await.unwrap_err().code(), Code::InvalidArgument);
    // A message that was changed on the way is refused, and the true one is read.
    let message = alice.protect("hello").await;
    let mut changed = message.clone();
    *changed.last_mut().unwrap() ^= 1;
    let request = UnprotectRequest { state_id: bob.state, ciphertext: changed };
    assert!(bob.rpc.unprotect(request).await.is_err());
    assert_eq!(bob.unprotect(&message).await, "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_follows_and_has_no_authenticator() {
    let (a, b) = servers().await;
    let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
    let request =
        CommitRequest { state_id: alice.state, by_value: vec![remove("bob")], ..Default::default() };
    let commit = alice.rpc.commit(request).await.unwrap().into_inner().commit;
    alice.apply().await;
    assert_eq!(bob.follow(&[], &commit).await, b"");
    let request = StateAuthRequest { state_id: bob.state };
    assert_eq!(bob.rpc.state_auth(request).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_are_used_at_the_same_time_do_not_disturb_each_other() {
    let (a, b) = servers().await;
    let mut groups = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (a, b) = (a.clone(), b.clone());
        groups.spawn(async move {
            let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
            for _ in 0..5 {
                let update = bob.update().await;
                alice.commit(vec![update], vec![], &mut [&mut bob]).await;
                alice.speaks_to(&mut [&mut bob]).await;
            }
        });
    }
    while let Some(group) = groups.join_next().await {
        group.unwrap();
    }
    // Also one member, used by many at once.
    let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
    let mut sent = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let mut rpc = alice.rpc.clone();
        let request = ProtectRequest {
            state_id: alice.state,
            authenticated_data: b"aad".to_vec(),
            plaintext: b"hello".to_vec(),
        };
        sent.spawn(async move { rpc.protect(request).await.unwrap().into_inner().ciphertext });
    }
    while let Some(ciphertext) = sent.join_next().await {
        assert_eq!(bob.unprotect(&ciphertext.unwrap()).await, "hello");
    }
    alice.commit(vec![], vec![], &mut [&mut bob]).await;
}

/// A KeyPackage with what other implementations are known to do: default types are listed, GREASE is not, and it is
/// valid for all time.
fn unusual_key_package(name: &str) -> Vec<u8> {
    let suite = hushwood_rustcrypto::PROVIDER.suites[0];
    let (now, random) = (Timestamp(1_780_000_000), &mut hushwood_rustcrypto::OsRandom);
    let signer = SoftwareSigner::generate(suite, random).unwrap();
    let content = LeafContent {
        credential: Credential::basic(name),
        supported: Supported::new(&hushwood_rustcrypto::PROVIDER),
        extensions: Extensions::new(),
    };
    let policy = Policy { max_lifetime: u64::MAX, ..Policy::default() };
    let made = KeyPackageBuilder::new(suite, content)
        .lifetime(Lifetime { not_before: 0, not_after: u64::MAX })
        .build(&signer, &policy, now, random);
    let mut key_package = made.unwrap().key_package;
    // What is signed is what is sent, up to the signature, which without content is one byte.
    let sign = |label, mut unsigned: Vec<u8>| {
        assert_eq!(unsigned.pop(), Some(0));
        sign_with_label(&signer, label, &unsigned).unwrap()
    };
    let leaf = &mut key_package.leaf_node;
    leaf.capabilities.extensions.extend([1, 2, 3, 4, 5].map(ExtensionType));
    leaf.capabilities.proposals.push(ProposalType::ADD);
    leaf.signature.clear();
    leaf.signature = sign("LeafNodeTBS", leaf.to_bytes().unwrap());
    key_package.extensions.set(ExtensionType(0x3A3A), vec![1, 2, 3]);
    key_package.signature.clear();
    key_package.signature = sign("KeyPackageTBS", key_package.to_bytes().unwrap());
    MlsMessage::KeyPackage(Box::new(Unverified::new(key_package))).to_bytes().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn key_packages_as_other_implementations_make_them_are_taken() {
    let (a, b) = servers().await;
    let (mut alice, mut bob) = pair(&a, &b, SIMPLE).await;
    let mut charlie = joiner(&b, "charlie", SIMPLE).await;
    charlie.key_package = unusual_key_package("charlie");
    let mut diana = joiner(&b, "diana", SIMPLE).await;
    diana.key_package = unusual_key_package("diana");
    let proposals = vec![alice.add_proposal(&charlie).await];
    let done = bob.commit(proposals, vec![add(&diana)], &mut [&mut alice]).await;
    assert!(!done.welcome.is_empty());
    // Their leaves are in the tree that others get.
    let eliza = joiner(&a, "eliza", SIMPLE).await;
    let done = alice.commit(vec![], vec![add(&eliza)], &mut [&mut bob]).await;
    eliza.join(&done.welcome, &[], &done.authenticator).await;
}
