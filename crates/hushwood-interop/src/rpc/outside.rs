//! Proposals from outside of a group (RFC 9420 §12.1.8).

use std::sync::Arc;

use hushwood::codec::{Decode, Encode};
use hushwood::credential::Credential;
use hushwood::crypto::{Signer, SoftwareSigner};
use hushwood::extension::{ExtensionType, ExternalSender};
use hushwood::group::{GroupView, NewProposal};
use hushwood::policy::Policy;

use super::Harness;
use crate::client::{Client, not_empty};
use crate::description::{Members, Target};
use crate::failure::Failure;
use crate::proto::{
    AddExternalSignerRequest, CreateExternalSignerRequest, CreateExternalSignerResponse,
    ExternalSignerProposalRequest, NewMemberAddProposalRequest, NewMemberAddProposalResponse,
    ProposalResponse,
};
use crate::registry::Entry;
use crate::settings::{now, random};

/// A sender outside of any group.
pub(crate) struct ExternalSigner {
    signer: SoftwareSigner,
}

impl Harness {
    pub(crate) fn new_member_add_proposal(
        &self,
        request: NewMemberAddProposalRequest,
    ) -> Result<NewMemberAddProposalResponse, Failure> {
        let policy = self.settings.policy(false);
        let view = self.view(&request.group_info, &[], &policy)?;
        let suite = self.settings.suite(view.context().cipher_suite.0.into())?;
        let (transaction, made) = Client::new(request.identity).transaction(&self.settings, suite)?;
        let proposal = view.new_member_proposal(&made.valid, &*transaction.signer, now())?;
        Ok(NewMemberAddProposalResponse {
            transaction_id: self.registry.keep(Entry::Transaction(Arc::new(transaction)))?,
            proposal,
            init_priv: made.init_priv,
            encryption_priv: made.encryption_priv,
            signature_priv: made.signature_priv,
        })
    }

    pub(crate) fn create_external_signer(
        &self,
        request: CreateExternalSignerRequest,
    ) -> Result<CreateExternalSignerResponse, Failure> {
        let suite = self.settings.suite(request.cipher_suite)?;
        let signer = SoftwareSigner::generate(suite, &mut random())?;
        let signature_key = signer.public_key().clone();
        let sender = ExternalSender { signature_key, credential: Credential::basic(request.identity) };
        Ok(CreateExternalSignerResponse {
            signer_id: self.registry.keep(Entry::Signer(Arc::new(ExternalSigner { signer })))?,
            external_sender: sender.to_bytes()?,
        })
    }

    pub(crate) fn add_external_signer(
        &self,
        request: AddExternalSignerRequest,
    ) -> Result<ProposalResponse, Failure> {
        let sender = ExternalSender::from_bytes(&request.external_sender)?;
        self.propose(request.state_id, |member| {
            let mut extensions = member.group.context().extensions.clone();
            let mut senders = extensions.external_senders()?;
            senders.push(sender);
            extensions.set(ExtensionType::EXTERNAL_SENDERS, senders.to_bytes()?);
            Ok(NewProposal::GroupContextExtensions(extensions))
        })
    }

    pub(crate) fn external_signer_proposal(
        &self,
        request: ExternalSignerProposalRequest,
    ) -> Result<ProposalResponse, Failure> {
        let signer = &self.registry.signer(request.signer_id)?.signer;
        let description = request.description.ok_or(Failure::Request("no proposal is described"))?;
        let policy = self.settings.policy(false);
        let view = self.view(&request.group_info, &request.ratchet_tree, &policy)?;
        // The runner leaves signer_index out: the list is asked for the key.
        let senders = view.context().extensions.external_senders()?;
        let place = senders.iter().position(|sender| sender.signature_key == *signer.public_key());
        let place = place.and_then(|place| u32::try_from(place).ok());
        let index = place.ok_or(Failure::NotNow("the group does not list this signer"))?;
        let target = Target {
            suite: self.settings.suite(view.context().cipher_suite.0.into())?,
            group_id: &view.context().group_id,
            policy: &policy,
            members: Members::of(view.members())?,
        };
        let proposal = target.external_proposal(description)?;
        Ok(ProposalResponse { proposal: view.external_proposal(index, proposal, signer, now())? })
    }

    /// A group as it is seen from outside.
    fn view(&self, group_info: &[u8], ratchet_tree: &[u8], policy: &Policy) -> Result<GroupView, Failure> {
        let (tree, provider) = (not_empty(ratchet_tree), &self.settings.provider);
        Ok(GroupView::verify(group_info, tree, provider, (policy, now()), &mut random())?)
    }
}
