//! RFC 9420 §12.1: whether a single proposal is valid.
//!
//! Checked on receipt is only what no other proposal can change. Whether an added client supports what
//! the group asks for, for example, depends on the extensions that the same commit may bring (§12.3), so
//! that is checked when the list is applied: a proposal refused too early could not be committed by
//! others without leaving this client behind.

use hushwood_crypto::CipherSuite;

use crate::credential::PRIVATE_USE_FIRST;
use crate::error::{ApiMisuse, Error, Violation};
use crate::extension::support::{ExtensionPlace, check_group_context, check_placement};
use crate::framing::Sender;
use crate::key_package::KeyPackageChecks;
use crate::policy::{Policy, Timestamp};
use crate::proposal::{Proposal, ProposalType, ReInit, Update};
use crate::schedule::{GroupContext, PreSharedKeyId, Psk, ResumptionPskUsage};
use crate::tree::{GroupParameters, LeafChecks, LeafIndex, LeafPlace, RatchetTree};

/// What proposals are judged by: the group in the epoch that they are for, and the circumstances.
#[derive(Clone, Copy, Debug)]
pub struct ProposalChecks<'a> {
    /// The epoch's tree.
    pub tree: &'a RatchetTree,
    /// The epoch's context.
    pub context: &'a GroupContext,
    /// What this client allows.
    pub policy: &'a Policy,
    /// The current time.
    pub now: Timestamp,
    /// Whether this client is about to send the proposals, or a commit that covers them: lifetimes are
    /// then always checked (C121).
    pub sending: bool,
    /// What the commit is for.
    pub purpose: Purpose,
}

/// What a commit is for: it decides which resumption PSKs may be proposed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// The next epoch of a group.
    Epoch,
    /// The initial commit of a group that replaces another (RFC 9420 §11.2).
    Reinit,
    /// The initial commit of a group that is split off from another (RFC 9420 §11.3).
    Branch,
}

impl ProposalChecks<'_> {
    /// Checks a proposal by itself, signatures included.
    ///
    /// # Errors
    /// The [`Violation`] that names the broken rule; [`Error::Decode`] if the content of a known
    /// extension is malformed; [`ApiMisuse::TypeNotPrivate`] for a custom proposal of our own.
    pub fn check(&self, proposal: &Proposal, sender: Sender) -> Result<(), Error> {
        self.check_content(proposal, sender)?;
        match (proposal, sender) {
            (Proposal::Add(add), _) => {
                if self.sending {
                    // RFC 9420 §13.4, C384: who adds a client sees to it that it fits the group. A
                    // receiver looks at this when the extensions of the next epoch are known.
                    self.parameters()?.check(&add.key_package.leaf_node.capabilities)?;
                }
                self.key_packages().signatures(&add.key_package)
            }
            (Proposal::Update(update), Sender::Member(sender)) => {
                self.leaves().signature(&update.leaf_node, self.update_place(sender))
            }
            _ => Ok(()),
        }
    }

    /// Checks a proposal by itself, without the signatures of the leaf or KeyPackage in it.
    pub(super) fn check_content(&self, proposal: &Proposal, sender: Sender) -> Result<(), Error> {
        self.check_sender(proposal.proposal_type(), sender)?;
        match proposal {
            // RFC 9420 §12.1.1, C242: the KeyPackage is valid.
            Proposal::Add(add) => Ok(self.key_packages().content(&add.key_package)?),
            Proposal::Update(update) => self.check_update(update, sender),
            Proposal::Remove(remove) => match self.tree.is_member(remove.removed)? {
                true => Ok(()),
                // RFC 9420 §12.1.3, C246: it names a non-blank leaf.
                false => Err(Violation::RemoveBlank.into()),
            },
            Proposal::Psk(psk) => self.check_psk(&psk.psk),
            Proposal::ReInit(reinit) => self.check_reinit(reinit),
            Proposal::ExternalInit(_) => Ok(()),
            // RFC 9420 §12.1.7, §12.1.8.1, C256, C375: what it puts into the context belongs there.
            Proposal::GroupContextExtensions(new) => check_group_context(&new.extensions, self.tree.suite()),
            // RFC 9420 §17, C023, C391: the decoder gives no other types; we don't make them either.
            Proposal::Custom { proposal_type, .. } if proposal_type.0 < PRIVATE_USE_FIRST => {
                Err(ApiMisuse::TypeNotPrivate.into())
            }
            // Who supports the type is a question to the list: C275.
            Proposal::Custom { .. } => Ok(()),
        }
    }

    fn check_sender(&self, proposal_type: ProposalType, sender: Sender) -> Result<(), Error> {
        match sender {
            Sender::Member(sender) => {
                // RFC 9420 §6.1, C067: the sender is a member.
                if !self.tree.is_member(sender)? {
                    return Err(Violation::SenderBlank.into());
                }
                // RFC 9420 §12.1.6, C249: only external commits have an ExternalInit.
                match proposal_type == ProposalType::EXTERNAL_INIT {
                    true => Err(Violation::ExternalInitInMemberCommit.into()),
                    false => Ok(()),
                }
            }
            // RFC 9420 §12.1.8, C254: some types can't come from outside.
            Sender::External(_) => match proposal_type.is_external() {
                true => Ok(()),
                false => Err(Violation::ExternalProposalType.into()),
            },
            // RFC 9420 §6.1, C075: a new member proposes its own addition,
            Sender::NewMemberProposal if proposal_type != ProposalType::ADD => {
                Err(Violation::ExternalProposalType.into())
            }
            // §12.1.8, C255: and that only where the application lets it.
            Sender::NewMemberProposal => match self.policy.allow_new_member_proposals {
                true => Ok(()),
                false => Err(Violation::PolicyRefused.into()),
            },
            // RFC 9420 §12.2, C356: what an external commit may cover is a question to the list; what
            // it may not, and would need a member as sender, is refused here.
            Sender::NewMemberCommit => match proposal_type == ProposalType::UPDATE {
                true => Err(Violation::MemberProposalSender.into()),
                false => Ok(()),
            },
        }
    }

    fn check_update(&self, update: &Update, sender: Sender) -> Result<(), Error> {
        // RFC 9420 §12.1.2, C244: members update, and themselves only.
        let Sender::Member(sender) = sender else {
            return Err(Violation::MemberProposalSender.into());
        };
        let Some(old) = self.tree.leaf(sender)? else {
            return Err(Violation::SenderBlank.into());
        };
        // RFC 9420 §12.1.2, C244: the leaf is valid for an Update.
        self.leaves().alone(&update.leaf_node, self.update_place(sender))?;
        // RFC 9420 §7.3, C125: its encryption key is a new one.
        if update.leaf_node.encryption_key == old.encryption_key {
            return Err(Violation::EncryptionKeyReused.into());
        }
        Ok(())
    }

    fn check_psk(&self, id: &PreSharedKeyId) -> Result<(), Error> {
        // RFC 9420 §12.1.4, C171, C247: the nonce is as long as the KDF's output.
        if id.psk_nonce.len() != self.tree.suite().kdf().length() {
            return Err(Violation::PskNonce.into());
        }
        let allowed = match &id.psk {
            Psk::External { .. } | Psk::Resumption { usage: ResumptionPskUsage::Application, .. } => true,
            // RFC 9420 §11.2, §11.3, §12.1.4, C229, C235, C247: the other usages are for the initial
            // commit of a group that replaces another or is split off from it.
            Psk::Resumption { usage: ResumptionPskUsage::Reinit, .. } => self.purpose == Purpose::Reinit,
            Psk::Resumption { usage: ResumptionPskUsage::Branch, .. } => self.purpose == Purpose::Branch,
        };
        if allowed { Ok(()) } else { Err(Violation::PskUsage.into()) }
    }

    fn check_reinit(&self, reinit: &ReInit) -> Result<(), Error> {
        // RFC 9420 §12.1.5, C248: the version does not go down. Version and suite may be unknown here:
        // this client then can't follow into the new group, but the proposal is valid.
        if reinit.version < self.context.version {
            return Err(Violation::ReInitVersion.into());
        }
        // C375: the extensions become those of a group context.
        Ok(check_placement(&reinit.extensions, ExtensionPlace::GroupContext)?)
    }

    pub(super) fn leaves(&self) -> LeafChecks<'_> {
        let suite: &dyn CipherSuite = self.tree.suite();
        LeafChecks { suite, policy: self.policy, now: self.now, sending: self.sending }
    }

    pub(super) fn key_packages(&self) -> KeyPackageChecks<'_> {
        KeyPackageChecks(self.leaves())
    }

    /// What the group asks of leaves in this epoch.
    pub(super) fn parameters(&self) -> Result<GroupParameters, Error> {
        GroupParameters::new(self.context.version, self.context.cipher_suite, &self.context.extensions)
    }

    fn update_place(&self, sender: LeafIndex) -> LeafPlace<'_> {
        LeafPlace::Update(&self.context.group_id, sender)
    }
}
