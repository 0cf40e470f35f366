//! What stands in an encrypted message, and the chain over a room's log.
//!
//! The service puts the log into order and could show each member another one. So each member computes a chain over what
//! it has read, and says in each message where it stood: who reads another value at the same number knows that there are
//! two histories (RFC 9750 §8.4.2). The chain begins anew with each epoch, with what all members of the epoch know, so
//! that who joins can compare at once.

use hushwood_codec::wire_struct;
use hushwood_crypto::CipherSuite;
use hushwood_delivery::wire::EntryKind;

use crate::records::VERSION;

wire_struct! {
    /// The plaintext of an application message.
    pub(crate) struct Content {
        pub(crate) version: u8,
        /// [`TEXT`], [`TITLE`] or [`REVOKED`]; what is not known is ignored.
        pub(crate) kind: u8,
        /// The message's name, the same if it has to be encrypted anew.
        pub(crate) id: [u8; 16],
        /// The sender's clock, in milliseconds.
        pub(crate) sent_at: u64,
        /// How far the sender has read.
        pub(crate) head: u64,
        /// The beginning of the chain's value there.
        pub(crate) chain: [u8; 16],
        /// The beginning of the sender's epoch authenticator (RFC 9420 §8.7).
        pub(crate) authenticator: [u8; 8],
        pub(crate) body: Vec<u8>,
    }
}

/// The application's own.
pub(crate) const TEXT: u8 = 1;
/// The room's title.
pub(crate) const TITLE: u8 = 2;
/// A device of the sender's that was revoked.
pub(crate) const REVOKED: u8 = 3;

/// Where somebody stands in a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    pub(crate) sequence: u64,
    pub(crate) chain: [u8; 32],
}

impl Head {
    /// At the beginning of an epoch: after the commit of this number, or 0 for a new group.
    pub(crate) fn of_epoch(
        suite: &dyn CipherSuite,
        (group_id, epoch, sequence): (&[u8], u64, u64),
        authenticator: &[u8],
    ) -> Self {
        let numbers = [epoch.to_be_bytes(), sequence.to_be_bytes(), length(group_id)].concat();
        let hash = suite.hash().hash(&[b"hushwood epoch of a log 1", &numbers, group_id, authenticator]);
        Self { sequence, chain: truncate(hash.as_bytes()) }
    }

    /// After one more entry of the same epoch.
    pub(crate) fn and(self, suite: &dyn CipherSuite, sequence: u64, kind: EntryKind, message: &[u8]) -> Self {
        let kind: u8 = match kind {
            EntryKind::Commit => 1,
            EntryKind::Proposal => 2,
            EntryKind::Message => 3,
        };
        let numbers = [sequence.to_be_bytes(), length(message)].concat();
        let parts: [&[u8]; 5] = [b"hushwood entry of a log 1", &self.chain, &numbers, &[kind], message];
        Self { sequence, chain: truncate(suite.hash().hash(&parts).as_bytes()) }
    }

    /// What is told of the value.
    pub(crate) fn short(&self) -> [u8; 16] {
        truncate(&self.chain)
    }
}

/// The beginning of a value.
pub(crate) fn truncate<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut short = [0; N];
    short.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    short
}

fn length(bytes: &[u8]) -> [u8; 8] {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes()
}

impl Content {
    /// Whether this version can read it.
    pub(crate) fn is_known(&self) -> bool {
        self.version == VERSION
    }
}
