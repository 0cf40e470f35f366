//! The server: requests in, answers and statuses out.

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::failure::Failure;
use crate::proto::mls_client_server::{MlsClient, MlsClientServer};
use crate::proto::*;
use crate::rpc::Harness;
use crate::settings::Settings;

/// Longest request and answer. The runner's own limit is gRPC's 4 MiB; large groups need more.
const MAX_MESSAGE: usize = 256 << 20;

/// Answers requests on a listener until `shutdown` is done.
///
/// # Errors
/// What the transport says.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let service = MlsClientServer::new(Service(Arc::new(Harness::new(settings))))
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    // Requests and answers are small and wait for each other.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder().add_service(service).serve_with_incoming_shutdown(incoming, shutdown).await
}

struct Service(Arc<Harness>);

impl Service {
    /// Does what takes time on a thread that may take it. A panic there is the answer to one request and no more.
    async fn run<Q: Send + 'static, A: Send + 'static>(
        &self,
        request: Request<Q>,
        operation: fn(&Harness, Q) -> Result<A, Failure>,
    ) -> Result<Response<A>, Status> {
        let harness = self.0.clone();
        let work = move || operation(&harness, request.into_inner());
        match tokio::task::spawn_blocking(work).await {
            Ok(answer) => Ok(Response::new(answer?)),
            Err(_) => Err(Status::internal("a fault in this server, please report it")),
        }
    }
}

/// The whole interface: every method of the service is the harness's of the same name.
macro_rules! answer {
    ($($method:ident: $request:ident -> $answer:ident;)*) => {
        #[tonic::async_trait]
        impl MlsClient for Service {
            $(
                async fn $method(&self, request: Request<$request>) -> Result<Response<$answer>, Status> {
                    self.run(request, Harness::$method).await
                }
            )*
        }
    };
}

answer! {
    name: NameRequest -> NameResponse;
    supported_ciphersuites: SupportedCiphersuitesRequest -> SupportedCiphersuitesResponse;

    create_group: CreateGroupRequest -> CreateGroupResponse;
    create_key_package: CreateKeyPackageRequest -> CreateKeyPackageResponse;
    join_group: JoinGroupRequest -> JoinGroupResponse;
    external_join: ExternalJoinRequest -> ExternalJoinResponse;

    group_info: GroupInfoRequest -> GroupInfoResponse;
    state_auth: StateAuthRequest -> StateAuthResponse;
    export: ExportRequest -> ExportResponse;
    protect: ProtectRequest -> ProtectResponse;
    unprotect: UnprotectRequest -> UnprotectResponse;
    store_psk: StorePskRequest -> StorePskResponse;

    add_proposal: AddProposalRequest -> ProposalResponse;
    update_proposal: UpdateProposalRequest -> ProposalResponse;
    remove_proposal: RemoveProposalRequest -> ProposalResponse;
    external_psk_proposal: ExternalPskProposalRequest -> ProposalResponse;
    resumption_psk_proposal: ResumptionPskProposalRequest -> ProposalResponse;
    group_context_extensions_proposal: GroupContextExtensionsProposalRequest -> ProposalResponse;

    commit: CommitRequest -> CommitResponse;
    handle_commit: HandleCommitRequest -> HandleCommitResponse;
    handle_pending_commit: HandlePendingCommitRequest -> HandleCommitResponse;

    re_init_proposal: ReInitProposalRequest -> ProposalResponse;
    re_init_commit: CommitRequest -> CommitResponse;
    handle_pending_re_init_commit: HandlePendingCommitRequest -> HandleReInitCommitResponse;
    handle_re_init_commit: HandleCommitRequest -> HandleReInitCommitResponse;
    re_init_welcome: ReInitWelcomeRequest -> CreateSubgroupResponse;
    handle_re_init_welcome: HandleReInitWelcomeRequest -> JoinGroupResponse;

    create_branch: CreateBranchRequest -> CreateSubgroupResponse;
    handle_branch: HandleBranchRequest -> HandleBranchResponse;

    new_member_add_proposal: NewMemberAddProposalRequest -> NewMemberAddProposalResponse;
    create_external_signer: CreateExternalSignerRequest -> CreateExternalSignerResponse;
    add_external_signer: AddExternalSignerRequest -> ProposalResponse;
    external_signer_proposal: ExternalSignerProposalRequest -> ProposalResponse;

    free: FreeRequest -> FreeResponse;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_the_answer_to_one_request_and_no_more() {
        let service = Service(Arc::new(Harness::new(Settings::new(hushwood_rustcrypto::PROVIDER))));
        let panics = |harness: &Harness, (): ()| -> Result<(), Failure> {
            harness.with_entries_locked(|| panic!("a fault, for this test"))
        };
        let failed = service.run(Request::new(()), panics).await.unwrap_err();
        assert_eq!(failed.code(), tonic::Code::Internal);
        let request = CreateExternalSignerRequest { cipher_suite: 1, identity: b"ds".to_vec() };
        let made = service.create_external_signer(Request::new(request)).await.unwrap();
        assert_eq!(made.into_inner().signer_id, 1);
    }
}
