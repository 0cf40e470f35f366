//! RFC 9420 §10: the KeyPackage structure.

use hushwood_codec::{Encode, EncodeError, Writer, wire_struct};
use hushwood_crypto::{CipherSuite, CipherSuiteId, HashReference, HpkePublicKey, ref_hash};

use crate::extension::Extensions;
use crate::tree::LeafNode;
use crate::version::ProtocolVersion;

wire_struct! {
    /// `KeyPackage`: what it takes to add a client that is not online.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct KeyPackage {
        /// The protocol version it is for.
        pub version: ProtocolVersion,
        /// The suite it is for.
        pub cipher_suite: CipherSuiteId,
        /// The key that the Welcome is encrypted to; used once.
        pub init_key: HpkePublicKey,
        /// The leaf that will stand in the tree.
        pub leaf_node: LeafNode,
        /// Further information about the client.
        pub extensions: Extensions,
        /// `SignWithLabel(., "KeyPackageTBS", KeyPackageTBS)`.
        pub signature: Vec<u8>,
    }
}

impl KeyPackage {
    /// Its `KeyPackageRef` (RFC 9420 §5.2, C041), with `suite` the one that the KeyPackage names.
    ///
    /// # Errors
    /// [`EncodeError`] if it is longer than a vector can be.
    pub fn reference(&self, suite: &dyn CipherSuite) -> Result<HashReference, EncodeError> {
        ref_hash(suite, "MLS 1.0 KeyPackage Reference", &self.to_bytes()?)
    }

    /// The encoded `KeyPackageTBS`.
    pub(crate) fn encode_tbs(&self, writer: &mut Writer) {
        writer.value(&self.version).value(&self.cipher_suite).value(&self.init_key);
        writer.value(&self.leaf_node).value(&self.extensions);
    }
}
