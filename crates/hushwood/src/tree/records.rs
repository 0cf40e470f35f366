//! The tree as records, one for each node, for those who store it.
//!
//! After a commit only the records of the nodes that changed are written: those on the paths of the leaves
//! that changed. A parent's record has the tree hashes of its children, so that nothing is hashed again when
//! a tree is read back, and each record proves those below it.

use std::collections::BTreeSet;

use hushwood_codec::{Decode, Encode, Writer, wire_struct};
use hushwood_crypto::Digest;

use crate::error::{Error, StoreReadError};
use crate::tree::packed::OWN_BYTES;
use crate::tree::subtree::Subtree;
use crate::tree::{LeafNode, Node, NodeIndex, ParentNode, RatchetTree};

wire_struct! {
    /// A node as it is stored.
    ///
    /// A subtree without members has one record, that of its head; those below have none.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct NodeRecord {
        /// How many leaves at or below the node are not blank.
        pub members: u32,
        /// The encoded `optional<Node>`.
        pub node: Vec<u8>,
        /// Tree hashes (RFC 9420 §7.8): of the left and the right child for a parent with members below, its
        /// own for the head of a blank subtree, none for a leaf.
        pub hashes: Vec<u8>,
    }
}

/// What a record says.
pub(crate) enum StoredNode {
    /// Nothing at or below this node; its tree hash.
    Blank(Digest),
    Leaf(LeafNode),
    /// A parent, blank or not, and its children's tree hashes.
    Parent(Option<ParentNode>, Digest, Digest),
}

impl NodeRecord {
    pub(crate) fn node(&self) -> Result<StoredNode, Error> {
        let node = Option::<Node>::from_bytes_with(&self.node, OWN_BYTES).ok();
        let children = || {
            let (left, right) = self.hashes.split_at(self.hashes.len() / 2);
            Some((Digest::new(left)?, Digest::new(right)?))
        };
        let stored = match node {
            Some(None) if self.members == 0 => Digest::new(&self.hashes).map(StoredNode::Blank),
            Some(None) => children().map(|(left, right)| StoredNode::Parent(None, left, right)),
            Some(Some(Node::Leaf(leaf))) => Some(StoredNode::Leaf(leaf)),
            Some(Some(Node::Parent(parent))) => {
                children().map(|(left, right)| StoredNode::Parent(Some(parent), left, right))
            }
            None => None,
        };
        stored.ok_or(StoreReadError::Corrupt.into())
    }
}

impl RatchetTree {
    /// The nodes whose records differ between `old` and this tree, in no particular order. Those that
    /// have no [`node_record`](Self::node_record) any more are among them, to be deleted.
    ///
    /// Costs O(changed), if this tree was made from `old` by cloning and changing it.
    ///
    /// # Errors
    /// [`Error::StoreRead`] for a tree that is read from a store.
    pub fn changes_since(&self, old: &Self) -> Result<Vec<NodeIndex>, Error> {
        let mut changed = BTreeSet::new();
        match self.root.at() > old.root.at() {
            true => differences(&self.root, &old.root, &mut changed)?,
            false => differences(&old.root, &self.root, &mut changed)?,
        }
        Ok(changed.into_iter().collect())
    }

    /// The record of a node; `None` if it has none: within a blank subtree, or beyond the tree.
    ///
    /// # Errors
    /// As [`tree_hash`](Self::tree_hash).
    pub fn node_record(&self, index: NodeIndex) -> Result<Option<NodeRecord>, Error> {
        let Some(subtree) = self.root.find(index)?.filter(|subtree| subtree.at() == index) else {
            return Ok(None);
        };
        let (node, hashes) = match subtree {
            Subtree::Blank(..) => (None, self.node_hash(index)?.as_bytes().to_vec()),
            Subtree::Leaf(leaf) => (Some(Node::Leaf(leaf.node.unpack()?)), Vec::new()),
            Subtree::Parent(parent) => {
                let (left, right) = parent.children()?;
                let hashes = (self.node_hash(left.at())?, self.node_hash(right.at())?);
                let node = parent.node.as_ref().map(|node| node.unpack()).transpose()?;
                (node.map(Node::Parent), [hashes.0.as_bytes(), hashes.1.as_bytes()].concat())
            }
        };
        Ok(Some(NodeRecord { members: subtree.members(), node: node.to_bytes()?, hashes }))
    }

    /// The counts over the members' capabilities, as a store keeps them beside the nodes.
    ///
    /// # Errors
    /// None in practice: there are few types.
    pub fn encode_counts(&self) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new();
        self.capabilities.encode(&mut writer);
        Ok(writer.finish()?)
    }

    /// All nodes that have a record, from left to right.
    ///
    /// # Errors
    /// [`Error::StoreRead`] for a tree that is read from a store.
    pub fn record_indices(&self) -> Result<impl Iterator<Item = NodeIndex>, Error> {
        self.load()?;
        let mut indices = BTreeSet::new();
        record_indices(&self.root, &mut indices)?;
        Ok(indices.into_iter())
    }
}

/// Collects the nodes whose records differ between two subtrees. Both start at the same leaf, and the
/// first may be higher.
fn differences(higher: &Subtree, lower: &Subtree, changed: &mut BTreeSet<NodeIndex>) -> Result<(), Error> {
    if higher.is_same(lower) {
        return Ok(());
    }
    match (higher, lower) {
        (Subtree::Parent(one), Subtree::Parent(other)) if one.at == other.at => {
            changed.insert(one.at);
            let (one, other) = (one.children()?, other.children()?);
            differences(one.0, other.0, changed)?;
            differences(one.1, other.1, changed)
        }
        (Subtree::Parent(parent), _) if parent.at > lower.at() => {
            changed.insert(parent.at);
            let (left, right) = parent.children()?;
            differences(left, lower, changed)?;
            record_indices(right, changed)
        }
        _ => {
            record_indices(higher, changed)?;
            record_indices(lower, changed)
        }
    }
}

fn record_indices(subtree: &Subtree, indices: &mut BTreeSet<NodeIndex>) -> Result<(), Error> {
    indices.insert(subtree.at());
    if let Subtree::Parent(parent) = subtree {
        let (left, right) = parent.children()?;
        record_indices(left, indices)?;
        record_indices(right, indices)?;
    }
    Ok(())
}
