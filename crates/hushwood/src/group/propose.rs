//! RFC 9420 §12.1: proposing.

use hushwood_crypto::{Random, Signer};

use crate::error::{ApiMisuse, Error};
use crate::extension::Extensions;
use crate::framing::{Content, FramedContent, Sender, Signed};
use crate::group::Group;
use crate::group::application::Outgoing;
use crate::group::change::Draft;
use crate::group::commit::LeafUpdate;
use crate::group::message_id::MessageId;
use crate::group::record::OwnMessageRecord;
use crate::key_package::ValidKeyPackage;
use crate::policy::Timestamp;
use crate::proposal::{
    Add, CachedProposal, GroupContextExtensions, PreSharedKey, Proposal, ProposalType, ReInit, Remove, Update,
};
use crate::schedule::{PreSharedKeyId, Psk};
use crate::transition::Step;
use crate::tree::{KeyPair, LeafIndex, LeafNodeSource, Supported, UnsignedLeafNode};
use crate::version::ProtocolVersion;

/// A proposal to be made.
#[derive(Clone)]
pub enum NewProposal<'a> {
    /// Add a client.
    Add(Box<ValidKeyPackage>),
    /// Replace our own leaf, with fresh keys. Only to be proposed: a commit does it by its path.
    Update(LeafUpdate<'a>),
    /// Remove a member. Ourselves, to leave: somebody else has to commit it.
    Remove(LeafIndex),
    /// Inject a pre-shared key that all members have.
    Psk(Psk),
    /// Replace the group by another one (RFC 9420 §11.2).
    ReInit(ReInit),
    /// Replace all extensions of the group context.
    GroupContextExtensions(Extensions),
    /// A proposal of the application's own type, which all members must support.
    Custom {
        /// Its type, from the private-use range.
        proposal_type: ProposalType,
        /// Its content.
        data: Vec<u8>,
    },
}

impl NewProposal<'_> {
    /// The proposal for a group.
    pub(super) fn to_proposal(&self, group: &Group, random: &mut dyn Random) -> Result<Proposal, Error> {
        Ok(match self {
            Self::Add(key_package) => {
                Proposal::Add(Box::new(Add { key_package: key_package.key_package().clone() }))
            }
            // RFC 9420 §12.2, C262: a committer does not update itself by a proposal.
            Self::Update(_) => return Err(ApiMisuse::UpdateByValue.into()),
            Self::Remove(removed) => Proposal::Remove(Remove { removed: *removed }),
            Self::Psk(psk) => {
                // RFC 9420 §8.4, C170, C234: a fresh nonce, as long as the KDF's output.
                let psk_nonce = random.bytes(group.suite().kdf().length())?;
                Proposal::Psk(Box::new(PreSharedKey { psk: PreSharedKeyId { psk: psk.clone(), psk_nonce } }))
            }
            Self::ReInit(reinit) => {
                // RFC 9420 §11.2, C248: who proposes a group must be able to be in it.
                let has_version = reinit.version == ProtocolVersion::MLS10;
                if !has_version || !supported(group)?.suites.contains(&reinit.cipher_suite) {
                    return Err(ApiMisuse::CapabilitiesInsufficient.into());
                }
                Proposal::ReInit(Box::new(reinit.clone()))
            }
            Self::GroupContextExtensions(extensions) => {
                // RFC 9420 §13.5, C387, C390: extensions that we support ourselves; GREASE is none of them.
                let supported = supported(group)?;
                if !extensions.iter().all(|new| supported.supports_extension(new.extension_type)) {
                    return Err(ApiMisuse::CapabilitiesInsufficient.into());
                }
                Proposal::GroupContextExtensions(GroupContextExtensions { extensions: extensions.clone() })
            }
            Self::Custom { proposal_type, data } => {
                Proposal::Custom { proposal_type: *proposal_type, data: data.clone() }
            }
        })
    }
}

/// What we support, as our leaf says.
fn supported(group: &Group) -> Result<Supported, Error> {
    let own = group.tree().leaf(group.own_leaf)?.ok_or(ApiMisuse::LeafAbsent)?;
    Ok(Supported::of(&own.capabilities))
}

impl Group {
    /// Makes a proposal (RFC 9420 §12.1): the message to send. It waits for a commit, by anybody; until
    /// then no application data can be sent (C290).
    ///
    /// # Errors
    /// [`Error::WouldViolate`] with what others would find in it; [`ApiMisuse::CapabilitiesInsufficient`] for a ReInit
    /// to a version or suite that we lack, or for group extensions that we do not support; [`Error::Signer`], [`Error::Crypto`],
    /// [`NotNow::GroupEnded`](crate::error::NotNow::GroupEnded).
    pub fn propose(
        &mut self,
        proposal: NewProposal<'_>,
        authenticated_data: &[u8],
        signer: &dyn Signer,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<Step<'_, Outgoing>, Error> {
        self.check_sending()?;
        self.check_signer(signer)?;
        let (proposal, update_keys) = match &proposal {
            NewProposal::Update(update) => {
                let (update, keys) = self.new_update(update, signer, random)?;
                (Proposal::Update(Box::new(update)), Some(keys))
            }
            other => (other.to_proposal(self, random)?, None),
        };
        let content = FramedContent {
            group_id: self.group_id().to_vec(),
            epoch: self.epoch(),
            sender: Sender::Member(self.own_leaf),
            authenticated_data: authenticated_data.to_vec(),
            content: Content::Proposal(proposal),
        };
        let signed = Signed::sign(signer, self.handshake_format(), content, &self.public.context_bytes)?;
        let message = signed.complete(None)?;
        // We refuse ourselves what others would refuse.
        let cached = CachedProposal::check(&message, &self.checks(now, true)).map_err(Error::of_our_own)?;
        let reference = cached.reference().clone();

        let mut draft = Draft::new(self);
        let message = self.protect(&mut draft, message, random)?;
        let id = MessageId::of(self.suite(), &message);
        draft.outbox(id, &message)?;
        draft.own_message(id, OwnMessageRecord { reference: reference.clone(), welcomed: Vec::new() })?;
        draft.proposal(&self.proposals, cached, &self.policy)?;
        if let Some(keys) = update_keys {
            draft.own_update(reference, keys)?;
        }
        Ok(self.step(draft, Outgoing { id, message }))
    }

    /// An Update of our own leaf, and its keys.
    fn new_update(
        &self,
        update: &LeafUpdate<'_>,
        signer: &dyn Signer,
        random: &mut dyn Random,
    ) -> Result<(Update, KeyPair), Error> {
        let old = self.tree().leaf(self.own_leaf)?.ok_or(ApiMisuse::LeafAbsent)?;
        let keys = KeyPair::generate(self.suite(), random)?;
        let (public, source) = (keys.public.clone(), LeafNodeSource::Update);
        let leaf = match update.content(&old) {
            Some(content) => UnsignedLeafNode::new(&content, public, source, &self.policy, random)?,
            None => UnsignedLeafNode::successor(&old, public, source),
        };
        let signer = update.signer.unwrap_or(signer);
        let leaf_node = leaf.sign(signer, (self.group_id(), self.own_leaf))?;
        Ok((Update { leaf_node }, keys))
    }
}
