//! What members do in a group.

use hushwood::group::{GroupInfoOptions, LeafUpdate, NewProposal};
use hushwood::schedule::Psk;

use super::Harness;
use crate::description::{extensions, reinit, resumption, valid_key_package};
use crate::failure::Failure;
use crate::member::{Member, Purpose};
use crate::proto::{
    AddProposalRequest, CommitRequest, CommitResponse, ExportRequest, ExportResponse,
    ExternalPskProposalRequest, GroupContextExtensionsProposalRequest, GroupInfoRequest, GroupInfoResponse,
    HandleCommitRequest, HandleCommitResponse, HandlePendingCommitRequest, ProposalResponse, ProtectRequest,
    ProtectResponse, ReInitProposalRequest, RemoveProposalRequest, ResumptionPskProposalRequest,
    StateAuthRequest, StateAuthResponse, UnprotectRequest, UnprotectResponse, UpdateProposalRequest,
};
use crate::registry::lock;
use crate::settings::random;

impl Harness {
    /// Does something with a member, alone.
    pub(super) fn with<T>(
        &self,
        state_id: u32,
        operation: impl FnOnce(&mut Member) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let member = self.registry.state(state_id)?;
        operation(&mut lock(&member))
    }

    pub(crate) fn group_info(&self, request: GroupInfoRequest) -> Result<GroupInfoResponse, Failure> {
        self.with(request.state_id, |member| {
            let options = GroupInfoOptions { ratchet_tree: !request.external_tree, external_pub: true };
            let group_info = member.group.group_info(options, &*member.signer, &mut random())?;
            let ratchet_tree = match request.external_tree {
                true => member.group.ratchet_tree()?,
                false => Vec::new(),
            };
            Ok(GroupInfoResponse { group_info, ratchet_tree })
        })
    }

    pub(crate) fn state_auth(&self, request: StateAuthRequest) -> Result<StateAuthResponse, Failure> {
        self.with(request.state_id, |member| {
            Ok(StateAuthResponse { state_auth_secret: member.group.epoch_authenticator()?.to_vec() })
        })
    }

    pub(crate) fn export(&self, request: ExportRequest) -> Result<ExportResponse, Failure> {
        let length = usize::try_from(request.key_length);
        let length = length.map_err(|_| Failure::Request("so long a secret can't be exported"))?;
        self.with(request.state_id, |member| {
            let secret = member.group.export(&request.label, &request.context, length)?;
            Ok(ExportResponse { exported_secret: secret.expose().to_vec() })
        })
    }

    pub(crate) fn protect(&self, request: ProtectRequest) -> Result<ProtectResponse, Failure> {
        self.with(request.state_id, |member| {
            let ciphertext = member.protect(&request.plaintext, &request.authenticated_data)?;
            Ok(ProtectResponse { ciphertext })
        })
    }

    pub(crate) fn unprotect(&self, request: UnprotectRequest) -> Result<UnprotectResponse, Failure> {
        self.with(request.state_id, |member| {
            let (authenticated_data, plaintext) = member.unprotect(&request.ciphertext)?;
            Ok(UnprotectResponse { authenticated_data, plaintext })
        })
    }

    /// Makes a proposal.
    pub(super) fn propose(
        &self,
        state_id: u32,
        proposal: impl FnOnce(&Member) -> Result<NewProposal<'static>, Failure>,
    ) -> Result<ProposalResponse, Failure> {
        self.with(state_id, |member| {
            let proposal = proposal(member)?;
            Ok(ProposalResponse { proposal: member.propose(proposal)? })
        })
    }

    pub(crate) fn add_proposal(&self, request: AddProposalRequest) -> Result<ProposalResponse, Failure> {
        self.propose(request.state_id, |member| {
            let group = &member.group;
            let valid = valid_key_package(&request.key_package, group.suite(), group.policy())?;
            Ok(NewProposal::Add(Box::new(valid)))
        })
    }

    pub(crate) fn update_proposal(
        &self,
        request: UpdateProposalRequest,
    ) -> Result<ProposalResponse, Failure> {
        self.propose(request.state_id, |_| Ok(NewProposal::Update(LeafUpdate::default())))
    }

    pub(crate) fn remove_proposal(
        &self,
        request: RemoveProposalRequest,
    ) -> Result<ProposalResponse, Failure> {
        self.propose(request.state_id, |member| {
            Ok(NewProposal::Remove(member.members()?.leaf_of(&request.removed_id)?))
        })
    }

    pub(crate) fn external_psk_proposal(
        &self,
        request: ExternalPskProposalRequest,
    ) -> Result<ProposalResponse, Failure> {
        self.propose(request.state_id, |_| Ok(NewProposal::Psk(Psk::External { psk_id: request.psk_id })))
    }

    pub(crate) fn resumption_psk_proposal(
        &self,
        request: ResumptionPskProposalRequest,
    ) -> Result<ProposalResponse, Failure> {
        self.propose(request.state_id, |member| {
            Ok(NewProposal::Psk(resumption(member.group.group_id(), request.epoch_id)))
        })
    }

    pub(crate) fn group_context_extensions_proposal(
        &self,
        request: GroupContextExtensionsProposalRequest,
    ) -> Result<ProposalResponse, Failure> {
        let extensions = extensions(request.extensions)?;
        self.propose(request.state_id, |_| Ok(NewProposal::GroupContextExtensions(extensions)))
    }

    pub(crate) fn re_init_proposal(
        &self,
        request: ReInitProposalRequest,
    ) -> Result<ProposalResponse, Failure> {
        let reinit = reinit(request.group_id, request.cipher_suite, request.extensions)?;
        self.propose(request.state_id, |_| Ok(NewProposal::ReInit(reinit)))
    }

    pub(crate) fn commit(&self, request: CommitRequest) -> Result<CommitResponse, Failure> {
        self.with(request.state_id, |member| member.commit(request, Purpose::Any))
    }

    pub(crate) fn handle_commit(
        &self,
        request: HandleCommitRequest,
    ) -> Result<HandleCommitResponse, Failure> {
        self.with(request.state_id, |member| {
            member.handle_commit(&request.proposal, &request.commit, Purpose::Any)?;
            let epoch_authenticator = member.epoch_authenticator()?;
            Ok(HandleCommitResponse { state_id: request.state_id, epoch_authenticator })
        })
    }

    pub(crate) fn handle_pending_commit(
        &self,
        request: HandlePendingCommitRequest,
    ) -> Result<HandleCommitResponse, Failure> {
        self.with(request.state_id, |member| {
            member.apply_pending(Purpose::Any)?;
            let epoch_authenticator = member.epoch_authenticator()?;
            Ok(HandleCommitResponse { state_id: request.state_id, epoch_authenticator })
        })
    }
}
