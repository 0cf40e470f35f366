//! RFC 9420 §7.6: update paths.

use hushwood_codec::wire_struct;
use hushwood_crypto::HpkePublicKey;
use hushwood_crypto::hpke::HpkeCiphertext;

use crate::tree::LeafNode;

wire_struct! {
    /// `UpdatePathNode`: the new key of one node, and its path secret for those who need it.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct UpdatePathNode {
        /// The node's new public key.
        pub encryption_key: HpkePublicKey,
        /// The path secret, once for each node in the resolution of the copath child.
        pub encrypted_path_secret: Vec<HpkeCiphertext>,
    }
}

wire_struct! {
    /// `UpdatePath`: the committer's new leaf, and a node for each of its filtered direct path.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct UpdatePath {
        /// The committer's new leaf.
        pub leaf_node: LeafNode,
        /// From the leaf's nearest parent to the root.
        pub nodes: Vec<UpdatePathNode>,
    }
}
