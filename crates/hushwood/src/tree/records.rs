//! The tree as records, one for each node, for those who store it.
//!
//! After a commit only the records of the nodes that changed are written: those on the paths of the leaves
//! that changed. Hashes are stored with the nodes, so that nothing is hashed when a tree is read back.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::sync::Arc;

use hushwood_codec::{Decode, Encode, Writer, wire_struct};
use hushwood_crypto::{CipherSuite, Digest};

use crate::error::{Error, StoreReadError};
use crate::tree::index::MAX_LEAVES;
use crate::tree::subtree::Subtree;
use crate::tree::tree_hash::BlankHashes;
use crate::tree::{Node, NodeIndex, RatchetTree};

wire_struct! {
    /// A node as it is stored.
    ///
    /// A subtree without members has one record, that of its head; those below have none.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct NodeRecord {
        /// The encoded `optional<Node>`.
        pub node: Vec<u8>,
        /// The node's tree hash (RFC 9420 §7.8).
        pub tree_hash: Vec<u8>,
        /// How many leaves at or below the node are not blank.
        pub members: u32,
    }
}

impl RatchetTree {
    /// The nodes whose records differ between `old` and this tree, in no particular order. Those that
    /// have no [`node_record`](Self::node_record) any more are among them, to be deleted.
    ///
    /// Costs O(changed), if this tree was made from `old` by cloning and changing it.
    #[must_use]
    pub fn changes_since(&self, old: &Self) -> Vec<NodeIndex> {
        let mut changed = BTreeSet::new();
        match self.root.at() > old.root.at() {
            true => differences(&self.root, &old.root, &mut changed),
            false => differences(&old.root, &self.root, &mut changed),
        }
        changed.into_iter().collect()
    }

    /// The record of a node; `None` if it has none: within a blank subtree, or beyond the tree.
    ///
    /// # Errors
    /// As [`tree_hash`](Self::tree_hash).
    pub fn node_record(&self, index: NodeIndex) -> Result<Option<NodeRecord>, Error> {
        let Some(subtree) = self.root.find(index).filter(|subtree| subtree.at() == index) else {
            return Ok(None);
        };
        let node = match subtree {
            Subtree::Blank(..) => None,
            Subtree::Leaf(leaf) => Some(Node::Leaf(leaf.node.as_ref().clone())),
            Subtree::Parent(parent) => parent.node.as_deref().cloned().map(Node::Parent),
        };
        Ok(Some(NodeRecord {
            node: node.to_bytes()?,
            tree_hash: self.node_hash(index)?.as_bytes().to_vec(),
            members: subtree.members(),
        }))
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
    pub fn record_indices(&self) -> impl Iterator<Item = NodeIndex> {
        let mut indices = BTreeSet::new();
        record_indices(&self.root, &mut indices);
        indices.into_iter()
    }

    /// A tree of `leaf_count` leaves from all its records, sorted by index.
    ///
    /// Hashes are taken as they are stored. Nothing is verified but the structure: the records must have
    /// been protected by whoever kept them.
    ///
    /// # Errors
    /// [`StoreReadError::Corrupt`] or [`StoreReadError::Missing`] if the records do not make a tree.
    pub fn from_records(
        suite: &'static dyn CipherSuite,
        leaf_count: u32,
        records: impl IntoIterator<Item = (NodeIndex, NodeRecord)>,
    ) -> Result<Self, Error> {
        if !leaf_count.is_power_of_two() || leaf_count > MAX_LEAVES {
            return Err(StoreReadError::Corrupt.into());
        }
        let mut builder = Builder { records: records.into_iter().peekable(), tree: Self::empty(suite) };
        let root = builder.subtree(NodeIndex::root(leaf_count))?;
        if builder.records.next().is_some() {
            return Err(StoreReadError::Corrupt.into());
        }
        let mut tree = builder.tree;
        tree.root = root;
        Ok(tree)
    }
}

/// Collects the nodes whose records differ between two subtrees. Both start at the same leaf, and the
/// first may be higher.
fn differences(higher: &Subtree, lower: &Subtree, changed: &mut BTreeSet<NodeIndex>) {
    if higher.is_same(lower) {
        return;
    }
    match (higher, lower) {
        (Subtree::Parent(left), Subtree::Parent(right)) if left.at == right.at => {
            changed.insert(left.at);
            differences(&left.left, &right.left, changed);
            differences(&left.right, &right.right, changed);
        }
        (Subtree::Parent(parent), _) if parent.at > lower.at() => {
            changed.insert(parent.at);
            differences(&parent.left, lower, changed);
            record_indices(&parent.right, changed);
        }
        _ => {
            record_indices(higher, changed);
            record_indices(lower, changed);
        }
    }
}

fn record_indices(subtree: &Subtree, indices: &mut BTreeSet<NodeIndex>) {
    indices.insert(subtree.at());
    if let Subtree::Parent(parent) = subtree {
        record_indices(&parent.left, indices);
        record_indices(&parent.right, indices);
    }
}

/// Builds subtrees from records in the order of their indices.
struct Builder<I: Iterator<Item = (NodeIndex, NodeRecord)>> {
    records: Peekable<I>,
    tree: RatchetTree,
}

impl<I: Iterator<Item = (NodeIndex, NodeRecord)>> Builder<I> {
    fn subtree(&mut self, at: NodeIndex) -> Result<Subtree, Error> {
        match (at.children(), self.records.peek()) {
            (_, None) => Err(StoreReadError::Missing.into()),
            // A head whose record comes before any of the nodes to its left is that of a blank subtree.
            (Some((left, right)), Some((next, _))) if *next != at => {
                let left = self.subtree(left)?;
                let (node, hash) = self.record(at)?;
                let right = self.subtree(right)?;
                self.parent(at, node, hash, (left, right))
            }
            _ => self.leaf_or_blank(at),
        }
    }

    fn leaf_or_blank(&mut self, at: NodeIndex) -> Result<Subtree, Error> {
        let (node, hash) = self.record(at)?;
        match (node, at.leaf()) {
            (None, _) => Ok(Subtree::Blank(at, Arc::new(BlankHashes::stored(at, hash)))),
            (Some(Node::Leaf(node)), Some(index)) => {
                self.tree.keys.insert_encryption(&node.encryption_key, at);
                self.tree.keys.insert_signature(&node.signature_key, index);
                self.tree.capabilities.add(&node);
                let leaf = Subtree::leaf(index, Arc::new(node)).ok_or(StoreReadError::Corrupt)?;
                Ok(leaf.with_hash(hash))
            }
            _ => Err(StoreReadError::Corrupt.into()),
        }
    }

    fn parent(
        &mut self,
        at: NodeIndex,
        node: Option<Node>,
        hash: Digest,
        (left, right): (Subtree, Subtree),
    ) -> Result<Subtree, Error> {
        let node = match node {
            None => None,
            Some(Node::Parent(node)) => Some(Arc::new(node)),
            Some(Node::Leaf(_)) => return Err(StoreReadError::Corrupt.into()),
        };
        if let Some(node) = &node {
            self.tree.keys.insert_encryption(&node.encryption_key, at);
        }
        match Subtree::parent(at, node, left, right).with_hash(hash) {
            parent if parent.members() > 0 => Ok(parent),
            _ => Err(StoreReadError::Corrupt.into()),
        }
    }

    /// The next record, which must be that of `at`.
    fn record(&mut self, at: NodeIndex) -> Result<(Option<Node>, Digest), Error> {
        let (index, record) = self.records.next().ok_or(StoreReadError::Missing)?;
        if index != at {
            return Err(StoreReadError::Missing.into());
        }
        let hash = Digest::new(&record.tree_hash).ok_or(StoreReadError::Corrupt)?;
        match Option::<Node>::from_bytes(&record.node) {
            Ok(node) => Ok((node, hash)),
            Err(_) => Err(StoreReadError::Corrupt.into()),
        }
    }
}
