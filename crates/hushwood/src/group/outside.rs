//! RFC 9420 §12.1.8: proposals from outside the group.
//!
//! Somebody outside sees a group by its GroupInfo. Whom the group lists in its `external_senders` may
//! propose changes of it; anybody may propose to be added. Nothing from outside is encrypted, and nothing
//! takes effect before a member commits it.

use hushwood_codec::Decode;
use hushwood_crypto::{CryptoProvider, Random, Signer};

use crate::commit::state::PublicState;
use crate::credential::CredentialCheck;
use crate::error::{ApiMisuse, Error, NotNow, Unsupported};
use crate::framing::{
    Content, FramedContent, MlsMessage, PublicMessage, Sender, Signed, WireFormat, external_sender,
};
use crate::group::{MemberView, encode};
use crate::key_package::ValidKeyPackage;
use crate::policy::{Policy, Timestamp};
use crate::proposal::{Add, CachedProposal, Proposal, ProposalChecks, Purpose};
use crate::schedule::{GroupContext, interim_transcript_hash};
use crate::tree::RatchetTree;
use crate::welcome::verification::{Circumstances, VerifiedGroup, verify};

/// A group in one epoch as it is seen from outside, verified.
///
/// To follow a group there is [`PublicGroup`](crate::public_group::PublicGroup).
#[derive(Clone, Debug)]
pub struct GroupView {
    public: PublicState,
    policy: Policy,
    checks: Vec<CredentialCheck>,
}

impl GroupView {
    /// Verifies a GroupInfo, an MLSMessage, as somebody who joins would (RFC 9420 §12.4.3.1): tree hash,
    /// signature, every node. `ratchet_tree` is needed if it is not in the GroupInfo.
    ///
    /// # Errors
    /// [`NotNow::TreeMissing`]; [`Unsupported::CipherSuite`]; the
    /// [`Violation`](crate::error::Violation) that makes it invalid.
    pub fn verify(
        group_info: &[u8],
        ratchet_tree: Option<&[u8]>,
        provider: &CryptoProvider,
        (policy, now): (&Policy, Timestamp),
        random: &mut dyn Random,
    ) -> Result<Self, Error> {
        let MlsMessage::GroupInfo(group_info) = MlsMessage::from_bytes_with(group_info, policy.decode)?
        else {
            return Err(NotNow::NotForGroup.into());
        };
        let group_info = group_info.into_unchecked();
        let suite = provider.suite(group_info.group_context.cipher_suite).ok_or(Unsupported::CipherSuite)?;
        let circumstances = Circumstances { suite, policy, now };
        let VerifiedGroup { group_info, tree, checks, .. } =
            verify(group_info, ratchet_tree, circumstances, random)?;
        let (context, tag) = (group_info.group_context, group_info.confirmation_tag);
        let interim = interim_transcript_hash(suite, &context.confirmed_transcript_hash, &tag)?;
        let public = PublicState::new(context, tree, tag, interim)?;
        Ok(Self { public, policy: policy.clone(), checks })
    }

    /// The group as somebody sees it who follows it already. There are no credentials left to judge.
    #[must_use]
    pub fn of(public: &PublicState, policy: &Policy) -> Self {
        Self { public: public.clone(), policy: policy.clone(), checks: Vec::new() }
    }

    /// The group context.
    #[must_use]
    pub fn context(&self) -> &GroupContext {
        self.public.context()
    }

    /// The ratchet tree.
    #[must_use]
    pub fn tree(&self) -> &RatchetTree {
        self.public.tree()
    }

    /// The members.
    ///
    /// # Errors
    /// Each item: [`Error::StoreRead`].
    pub fn members(&self) -> impl Iterator<Item = Result<MemberView, Error>> {
        let members = self.public.tree().members();
        members.map(|member| member.map(|(index, leaf)| MemberView { index, leaf }))
    }

    /// The credentials to judge: of every member and of every external sender (RFC 9420 §5.3.1).
    #[must_use]
    pub fn checks(&self) -> &[CredentialCheck] {
        &self.checks
    }

    /// Proposes to add a client, ourselves, to the group: an MLSMessage for its members. The signer is the
    /// one of the KeyPackage, whose private part must be kept: a Welcome answers.
    ///
    /// # Errors
    /// [`ApiMisuse::SignerMismatch`]; [`Unsupported::CipherSuite`] if the KeyPackage is for another suite;
    /// [`Error::WouldViolate`] with what the members would find, such as `CapabilitiesLackRequired`;
    /// [`Error::Signer`].
    pub fn new_member_proposal(
        &self,
        key_package: &ValidKeyPackage,
        signer: &dyn Signer,
        now: Timestamp,
    ) -> Result<Vec<u8>, Error> {
        let key_package = key_package.key_package().clone();
        if key_package.cipher_suite != self.context().cipher_suite {
            return Err(Unsupported::CipherSuite.into());
        }
        // RFC 9420 §6.1, §12.1.8, C075, C076: signed with the key of the leaf in the KeyPackage.
        if key_package.leaf_node.signature_key != *signer.public_key() {
            return Err(ApiMisuse::SignerMismatch.into());
        }
        let proposal = Proposal::Add(Box::new(Add { key_package }));
        self.propose(Sender::NewMemberProposal, proposal, signer, now)
    }

    /// Proposes a change as the external sender at this position of the group's `external_senders`: an
    /// MLSMessage for its members.
    ///
    /// # Errors
    /// [`Error::WouldViolate`] with what the members would find:
    /// [`ExternalSendersAbsent`](crate::error::Violation::ExternalSendersAbsent) or
    /// [`ExternalSenderIndex`](crate::error::Violation::ExternalSenderIndex) if the group does not list it,
    /// [`ExternalProposalType`](crate::error::Violation::ExternalProposalType), and others;
    /// [`ApiMisuse::SignerMismatch`]; [`Error::Signer`].
    pub fn external_proposal(
        &self,
        sender_index: u32,
        proposal: Proposal,
        signer: &dyn Signer,
        now: Timestamp,
    ) -> Result<Vec<u8>, Error> {
        // RFC 9420 §6.1, §12.1.8, C069, C070: listed, with this key.
        let listed = external_sender(&self.context().extensions, sender_index).map_err(Error::of_our_own)?;
        if listed.signature_key != *signer.public_key() {
            return Err(ApiMisuse::SignerMismatch.into());
        }
        self.propose(Sender::External(sender_index), proposal, signer, now)
    }

    fn propose(
        &self,
        sender: Sender,
        proposal: Proposal,
        signer: &dyn Signer,
        now: Timestamp,
    ) -> Result<Vec<u8>, Error> {
        let content = FramedContent {
            group_id: self.context().group_id.clone(),
            epoch: self.context().epoch,
            sender,
            authenticated_data: Vec::new(),
            content: Content::Proposal(proposal),
        };
        // RFC 9420 §12.1.8, C253: never encrypted. §6.1, C079: the signature does not cover the context.
        let signed =
            Signed::sign(signer, WireFormat::PUBLIC_MESSAGE, content, &[]).map_err(Error::of_our_own)?;
        let message = signed.complete(None)?;
        // We refuse ourselves what the members would refuse.
        let checks = ProposalChecks {
            tree: self.tree(),
            context: self.context(),
            policy: &self.policy,
            now,
            sending: true,
            purpose: Purpose::Epoch,
        };
        CachedProposal::check(&message, &checks).map_err(Error::of_our_own)?;
        let message = PublicMessage::from_outside(message)?;
        encode(&MlsMessage::PublicMessage(Box::new(message)))
    }

    pub(crate) fn public_state(&self) -> &PublicState {
        &self.public
    }

    pub(crate) fn into_parts(self) -> (PublicState, Policy, Vec<CredentialCheck>) {
        (self.public, self.policy, self.checks)
    }
}
