//! RFC 9420 §8.1: the group context.

use hushwood_codec::wire_struct;
use hushwood_crypto::CipherSuiteId;

use crate::extension::Extensions;
use crate::version::ProtocolVersion;

wire_struct! {
    /// `GroupContext`: the state of a group in one epoch, as all members agree on it.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct GroupContext {
        /// The protocol version.
        pub version: ProtocolVersion,
        /// The suite.
        pub cipher_suite: CipherSuiteId,
        /// The group's identifier, constant.
        pub group_id: Vec<u8>,
        /// Counts the commits.
        pub epoch: u64,
        /// The hash of the ratchet tree's root.
        pub tree_hash: Vec<u8>,
        /// A hash over all commits up to the one that began this epoch.
        pub confirmed_transcript_hash: Vec<u8>,
        /// The group's extensions: each must be supported by every member.
        pub extensions: Extensions,
    }
}
