//! RFC 9420 §7.1, §12.4.3.3: nodes of the tree.

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, Element, Encode, Reader, Writer};
use hushwood_crypto::HpkePublicKey;

use crate::tree::{LeafIndex, LeafNode};

/// `ParentNode`: the key of a subtree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParentNode {
    /// The key whose private part is held by the members below, except unmerged ones.
    pub encryption_key: HpkePublicKey,
    /// The parent hash of the next non-blank node above; empty if there is none (RFC 9420 §7.9).
    pub parent_hash: Vec<u8>,
    /// Leaves below that do not hold the private key, in increasing order.
    pub unmerged_leaves: Vec<LeafIndex>,
}

impl Encode for ParentNode {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.encryption_key).opaque(&self.parent_hash).value(&self.unmerged_leaves);
    }
}

impl Decode for ParentNode {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let encryption_key = HpkePublicKey::decode(reader.field("ParentNode.encryption_key"))?;
        let parent_hash = Vec::decode(reader.field("ParentNode.parent_hash"))?;
        let unmerged_leaves = Vec::<LeafIndex>::decode(reader.field("ParentNode.unmerged_leaves"))?;
        // RFC 9420 §7.1, C100: the entries are sorted in increasing order.
        if !unmerged_leaves.is_sorted_by(|left, right| left < right) {
            return Err(reader.error(DecodeErrorKind::Unsorted));
        }
        Ok(Self { encryption_key, parent_hash, unmerged_leaves })
    }
}

/// `Node`: an entry of the `ratchet_tree` extension.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Node {
    /// A member.
    Leaf(LeafNode),
    /// The key of a subtree.
    Parent(ParentNode),
}

impl Encode for Node {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Leaf(leaf) => writer.raw(&[LEAF]).value(leaf),
            Self::Parent(parent) => writer.raw(&[PARENT]).value(parent),
        };
    }
}

impl Decode for Node {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader.field("Node.node_type"))? {
            LEAF => LeafNode::decode(reader).map(Self::Leaf),
            PARENT => ParentNode::decode(reader).map(Self::Parent),
            // C018: no other node type is known.
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

impl Element for Node {}

/// The `NodeType` of leaves.
pub(crate) const LEAF: u8 = 1;
/// The `NodeType` of parents.
pub(crate) const PARENT: u8 = 2;
