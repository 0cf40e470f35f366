//! The calls of the interface that a client serves: each with its request and its answer.

use prost::Message;

pub use hushwood_interop::proto;

/// One kind of call.
pub trait Rpc {
    /// As the interface has it.
    const NAME: &'static str;
    /// Where it is asked for.
    const PATH: &'static str;
    /// What is sent.
    type Request: Message + 'static;
    /// What comes back.
    type Response: Message + Default + 'static;
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident: $request:ident -> $response:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl Rpc for $name {
                const NAME: &'static str = stringify!($name);
                const PATH: &'static str = concat!("/mls_client.MLSClient/", stringify!($name));
                type Request = proto::$request;
                type Response = proto::$response;
            }
        )*
    };
}

calls! {
    /// Who the client is.
    Name: NameRequest -> NameResponse;
    /// Which suites it has.
    SupportedCiphersuites: SupportedCiphersuitesRequest -> SupportedCiphersuitesResponse;
    /// A group of one.
    CreateGroup: CreateGroupRequest -> CreateGroupResponse;
    /// A KeyPackage to be added with.
    CreateKeyPackage: CreateKeyPackageRequest -> CreateKeyPackageResponse;
    /// Joining by a Welcome.
    JoinGroup: JoinGroupRequest -> JoinGroupResponse;
    /// Joining by an external commit.
    ExternalJoin: ExternalJoinRequest -> ExternalJoinResponse;
    /// The group as those outside may see it.
    GroupInfo: GroupInfoRequest -> GroupInfoResponse;
    /// The epoch authenticator.
    StateAuth: StateAuthRequest -> StateAuthResponse;
    /// A secret for something else.
    Export: ExportRequest -> ExportResponse;
    /// Encrypting a message.
    Protect: ProtectRequest -> ProtectResponse;
    /// Decrypting one.
    Unprotect: UnprotectRequest -> UnprotectResponse;
    /// Keeping an external pre-shared key.
    StorePSK: StorePskRequest -> StorePskResponse;
    /// Proposing an Add.
    AddProposal: AddProposalRequest -> ProposalResponse;
    /// Proposing an Update.
    UpdateProposal: UpdateProposalRequest -> ProposalResponse;
    /// Proposing a Remove.
    RemoveProposal: RemoveProposalRequest -> ProposalResponse;
    /// Proposing an external pre-shared key.
    ExternalPSKProposal: ExternalPskProposalRequest -> ProposalResponse;
    /// Proposing a resumption key.
    ResumptionPSKProposal: ResumptionPskProposalRequest -> ProposalResponse;
    /// Proposing other extensions.
    GroupContextExtensionsProposal: GroupContextExtensionsProposalRequest -> ProposalResponse;
    /// Committing.
    Commit: CommitRequest -> CommitResponse;
    /// Handling a commit of somebody else.
    HandleCommit: HandleCommitRequest -> HandleCommitResponse;
    /// Going on with one's own commit.
    HandlePendingCommit: HandlePendingCommitRequest -> HandleCommitResponse;
    /// Proposing a ReInit.
    ReInitProposal: ReInitProposalRequest -> ProposalResponse;
    /// Committing one.
    ReInitCommit: CommitRequest -> CommitResponse;
    /// Going on with one's own commit of a ReInit.
    HandlePendingReInitCommit: HandlePendingCommitRequest -> HandleReInitCommitResponse;
    /// Handling such a commit of somebody else.
    HandleReInitCommit: HandleCommitRequest -> HandleReInitCommitResponse;
    /// Making the next group.
    ReInitWelcome: ReInitWelcomeRequest -> CreateSubgroupResponse;
    /// Joining it.
    HandleReInitWelcome: HandleReInitWelcomeRequest -> JoinGroupResponse;
    /// Making a subgroup.
    CreateBranch: CreateBranchRequest -> CreateSubgroupResponse;
    /// Joining it.
    HandleBranch: HandleBranchRequest -> HandleBranchResponse;
    /// Asking to be added.
    NewMemberAddProposal: NewMemberAddProposalRequest -> NewMemberAddProposalResponse;
    /// Becoming somebody who may propose from outside.
    CreateExternalSigner: CreateExternalSignerRequest -> CreateExternalSignerResponse;
    /// Proposing that somebody may.
    AddExternalSigner: AddExternalSignerRequest -> ProposalResponse;
    /// Proposing from outside.
    ExternalSignerProposal: ExternalSignerProposalRequest -> ProposalResponse;
    /// Forgetting a group.
    Free: FreeRequest -> FreeResponse;
}
