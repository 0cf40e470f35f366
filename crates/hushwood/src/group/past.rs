//! RFC 9420 §15.3: what is kept of past epochs, to read application messages that come late.
//!
//! A late message is attributed to the member who stood at its leaf when it was sent, even if the leaf
//! has been given to somebody else since.

use std::collections::BTreeMap;

use hushwood_crypto::SignaturePublicKey;

use crate::credential::Credential;
use crate::error::{Error, NotNow, Violation};
use crate::group::record::PastMember;
use crate::schedule::SenderDataSecret;
use crate::secret_tree::SecretTree;
use crate::tree::{LeafIndex, RatchetTree};

/// A past epoch whose application messages can still be opened.
#[derive(Debug)]
pub(crate) struct PastEpoch {
    pub(crate) context_bytes: Vec<u8>,
    pub(crate) own_leaf: LeafIndex,
    /// When it ended, in seconds since 1970-01-01T00:00:00Z.
    pub(crate) ended: u64,
    pub(crate) sender_data: SenderDataSecret,
    pub(crate) secret_tree: SecretTree,
}

/// The past of a group, as far as it is kept.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub(crate) epochs: BTreeMap<u64, PastEpoch>,
    /// By leaf and last epoch: who was there until that epoch, where somebody else (or nobody) is now.
    pub(crate) members: BTreeMap<(LeafIndex, u64), Option<PastMember>>,
}

impl Past {
    /// A past epoch.
    ///
    /// # Errors
    /// [`NotNow::EpochPast`] if it is not kept.
    pub(crate) fn epoch(&self, epoch: u64) -> Result<&PastEpoch, Error> {
        // RFC 9420 §15.3, C065: beyond the window the keys are gone.
        self.epochs.get(&epoch).ok_or(NotNow::EpochPast.into())
    }

    /// Who stood at a leaf in a past epoch, with `tree` that of the current one.
    ///
    /// # Errors
    /// [`Violation::SenderBlank`] if nobody did.
    pub(crate) fn member(
        &self,
        leaf: LeafIndex,
        epoch: u64,
        tree: &RatchetTree,
    ) -> Result<PastMember, Error> {
        // The first change of the leaf at or after the epoch tells who was there before it.
        let changed = self.members.range((leaf, epoch)..=(leaf, u64::MAX)).next();
        let member = match changed {
            Some((_, member)) => member.clone(),
            None => tree.identity(leaf)?.map(PastMember::of),
        };
        // RFC 9420 §6.3.2, C095: a sender must be a member.
        member.ok_or(Violation::SenderBlank.into())
    }

    /// The epochs to be forgotten, given how many are kept and when the oldest may have ended.
    pub(crate) fn expired(&self, keep: usize, oldest: u64) -> Vec<u64> {
        let surplus = self.epochs.len().saturating_sub(keep);
        let by_count = self.epochs.keys().take(surplus);
        let by_age = self.epochs.iter().skip(surplus).filter(|(_, epoch)| epoch.ended < oldest);
        by_count.chain(by_age.map(|(number, _)| number)).copied().collect()
    }
}

impl PastMember {
    pub(crate) fn of((signature_key, credential): (SignaturePublicKey, Credential)) -> Self {
        Self { signature_key, credential }
    }
}
