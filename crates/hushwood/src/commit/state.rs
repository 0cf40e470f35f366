//! The state of one epoch: what commits start from and lead to.

use hushwood_codec::Encode;
use hushwood_crypto::CipherSuite;

use crate::error::{ApiMisuse, Error};
use crate::extension::Extensions;
use crate::schedule::{EpochSecrets, GroupContext};
use crate::tree::{PrivateTree, RatchetTree};
use crate::version::ProtocolVersion;

/// What everybody who follows a group agrees on, members and observers alike.
#[derive(Clone, Debug)]
pub struct PublicState {
    pub(crate) suite: &'static dyn CipherSuite,
    pub(crate) context: GroupContext,
    /// `context`, encoded: what signatures and key derivations cover.
    pub(crate) context_bytes: Vec<u8>,
    pub(crate) tree: RatchetTree,
    pub(crate) confirmation_tag: Vec<u8>,
    pub(crate) interim_transcript_hash: Vec<u8>,
}

impl PublicState {
    /// The suite.
    #[must_use]
    pub fn suite(&self) -> &'static dyn CipherSuite {
        self.suite
    }

    /// The group context.
    #[must_use]
    pub fn context(&self) -> &GroupContext {
        &self.context
    }

    /// The ratchet tree.
    #[must_use]
    pub fn tree(&self) -> &RatchetTree {
        &self.tree
    }

    /// The context of the next epoch, before the commit itself has been hashed into it: the
    /// "provisional" one of RFC 9420 §12.4.1.
    pub(crate) fn provisional_context(
        &self,
        tree: &RatchetTree,
        extensions: &Extensions,
    ) -> Result<GroupContext, Error> {
        Ok(GroupContext {
            version: ProtocolVersion::MLS10,
            cipher_suite: self.context.cipher_suite,
            group_id: self.context.group_id.clone(),
            // RFC 9420 §8.1, C163: plus one for each commit, and never round.
            epoch: self.context.epoch.checked_add(1).ok_or(ApiMisuse::EpochOverflow)?,
            tree_hash: tree.tree_hash()?.as_bytes().to_vec(),
            confirmed_transcript_hash: self.context.confirmed_transcript_hash.clone(),
            extensions: extensions.clone(),
        })
    }

    pub(crate) fn new(
        context: GroupContext,
        tree: RatchetTree,
        confirmation_tag: Vec<u8>,
        interim_transcript_hash: Vec<u8>,
    ) -> Result<Self, Error> {
        let context_bytes = context.to_bytes()?;
        Ok(Self {
            suite: tree.suite(),
            context,
            context_bytes,
            tree,
            confirmation_tag,
            interim_transcript_hash,
        })
    }
}

/// What only a member knows in an epoch, apart from the message keys.
#[derive(Debug)]
pub(crate) struct MemberState {
    pub(crate) private: PrivateTree,
    pub(crate) secrets: EpochSecrets,
}
