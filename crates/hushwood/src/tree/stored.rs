//! A tree of which only what is needed is in memory.
//!
//! A stored tree begins as its root. What is below a parent is read when somebody goes there, and checked
//! against the parent's tree hash (RFC 9420 §7.8), and so up to the tree hash in the group context: a row
//! that was changed, or that belongs to another epoch, is found out before it is used. The order of reads
//! does not matter, and no lock is held between them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use hushwood_crypto::{CipherSuite, Digest};

use crate::error::{Error, StoreReadError};
use crate::tree::capability_counts::CapabilityCounts;
use crate::tree::index::MAX_LEAVES;
use crate::tree::key_index::KeyIndex;
use crate::tree::packed::{PackedLeaf, PackedParent};
use crate::tree::records::{NodeRecord, StoredNode};
use crate::tree::subtree::{Below, Parent, Subtree};
use crate::tree::tree_hash::{BlankHashes, KeptHash, leaf_hash, parent_node_hash};
use crate::tree::{NodeIndex, RatchetTree};

/// What a stored tree is read from, node by node.
pub trait TreeSource: Send + Sync {
    /// The record of a node; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    fn node(&self, at: NodeIndex) -> Result<Option<NodeRecord>, Error>;

    /// All records but the root's.
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    fn nodes(&self) -> Result<Vec<(NodeIndex, NodeRecord)>, Error>;

    /// Where a key stood when the tree was last written; `None` if nowhere. May be wrong for a tree that has
    /// changed since: it is looked up there.
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    fn key(&self, kind: KeyKind, key: &[u8]) -> Result<Option<NodeIndex>, Error>;

    /// Why a record is not the one that the tree hash above it calls for: the group has been changed by
    /// somebody else since it was opened, or the record is damaged.
    fn mismatch(&self) -> Error;
}

/// What a public key is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyKind {
    /// Of a leaf or parent, for path secrets.
    Encryption,
    /// Of a leaf, for its signatures.
    Signature,
}

impl RatchetTree {
    /// A tree of `leaf_count` leaves of which all but the root stays where it is until it is needed.
    /// `counts` are those of [`encode_counts`](Self::encode_counts).
    ///
    /// Whoever calls this compares the [`tree_hash`](Self::tree_hash) with what it must be.
    ///
    /// # Errors
    /// [`StoreReadError::Corrupt`] for what no tree has written.
    pub fn stored(
        suite: &'static dyn CipherSuite,
        (leaf_count, counts): (u32, &[u8]),
        root: &NodeRecord,
        source: Arc<dyn TreeSource>,
    ) -> Result<Self, Error> {
        if !leaf_count.is_power_of_two() || leaf_count > MAX_LEAVES {
            return Err(StoreReadError::Corrupt.into());
        }
        let stored = Stored { suite, source: source.clone(), children: OnceLock::new() };
        let (root, _) = stored.subtree(NodeIndex::root(leaf_count), root)?;
        let capabilities = CapabilityCounts::decode(counts)?;
        Ok(Self { suite, root, keys: KeyIndex::over(source), capabilities })
    }

    /// The same tree without its store: everything is read, and every key is in the index. For whoever goes on
    /// by itself: the store follows its group, and so does what it says of keys.
    pub(crate) fn into_memory(mut self) -> Result<Self, Error> {
        if self.keys.is_over_store() {
            self.load()?;
            let mut keys = KeyIndex::new();
            index_below(&self.root, &self.root, &mut keys)?;
            self.keys = keys;
        }
        Ok(self)
    }

    /// Reads at once whatever is still in the store, for those who will go everywhere.
    pub(crate) fn load(&self) -> Result<(), Error> {
        let mut records = None;
        load_below(&self.root, &mut records)
    }
}

/// Recursion is as deep as the tree is high.
fn load_below(subtree: &Subtree, records: &mut Option<BTreeMap<NodeIndex, NodeRecord>>) -> Result<(), Error> {
    let Subtree::Parent(parent) = subtree else { return Ok(()) };
    if let Below::Stored(stored) = &parent.below
        && stored.children.get().is_none()
    {
        let records = match records {
            Some(records) => records,
            None => records.insert(stored.source.nodes()?.into_iter().collect()),
        };
        let children = stored.read(parent, &mut |at| Ok(records.remove(&at)))?;
        stored.children.get_or_init(|| children);
    }
    let (left, right) = parent.children()?;
    load_below(left, records)?;
    load_below(right, records)
}

/// Recursion is as deep as the tree is high.
fn index_below(subtree: &Subtree, tree: &Subtree, keys: &mut KeyIndex) -> Result<(), Error> {
    match subtree {
        Subtree::Blank(..) => Ok(()),
        Subtree::Leaf(leaf) => {
            let node = leaf.node.unpack()?;
            keys.insert_encryption(&node.encryption_key, leaf.at, tree)?;
            keys.insert_signature(&node.signature_key, leaf.index, tree)
        }
        Subtree::Parent(parent) => {
            if let Some(node) = &parent.node {
                keys.insert_encryption(&node.view()?.encryption_key(), parent.at, tree)?;
            }
            let (left, right) = parent.children()?;
            index_below(left, tree, keys)?;
            index_below(right, tree, keys)
        }
    }
}

/// Two subtrees that are read when they are first asked for.
#[derive(Clone)]
pub(crate) struct Stored {
    suite: &'static dyn CipherSuite,
    source: Arc<dyn TreeSource>,
    children: OnceLock<(Subtree, Subtree)>,
}

impl Stored {
    pub(crate) fn children(&self, parent: &Parent) -> Result<(&Subtree, &Subtree), Error> {
        let (left, right) = match self.children.get() {
            Some(children) => children,
            None => {
                let children = self.read(parent, &mut |at| self.source.node(at))?;
                self.children.get_or_init(|| children)
            }
        };
        Ok((left, right))
    }

    /// The children, if they have been read.
    pub(crate) fn take(&mut self) -> Option<(Subtree, Subtree)> {
        self.children.take()
    }

    fn read(
        &self,
        parent: &Parent,
        record: &mut dyn FnMut(NodeIndex) -> Result<Option<NodeRecord>, Error>,
    ) -> Result<(Subtree, Subtree), Error> {
        let (left, right) = parent.at.children().ok_or(Error::Bug("a parent at a leaf's place"))?;
        let mut child = |at| match record(at)? {
            Some(record) => self.subtree(at, &record),
            None => Err(self.source.mismatch()),
        };
        let ((left, left_hash), (right, right_hash)) = (child(left)?, child(right)?);
        let node = parent.node.as_ref().map(PackedParent::bytes);
        let hash = parent_node_hash(self.suite, node, (left_hash, right_hash))?;
        let members = left.members().checked_add(right.members());
        if parent.hash.get() != Some(hash) || members != Some(parent.members) {
            return Err(self.source.mismatch());
        }
        Ok((left, right))
    }

    /// A subtree by the record of its head, and its tree hash, which the record can't but have right: it is
    /// computed from what else is in it.
    fn subtree(&self, at: NodeIndex, record: &NodeRecord) -> Result<(Subtree, Digest), Error> {
        let corrupt = || Error::from(StoreReadError::Corrupt);
        // The hash does not cover this number, and what is added to it must not overflow.
        if record.members > 1 << at.level() {
            return Err(corrupt());
        }
        match (record.node()?, at.leaf()) {
            (StoredNode::Leaf(leaf), Some(index)) => {
                let leaf = PackedLeaf::new(&leaf)?;
                let hash = leaf_hash(self.suite, index, Some(&leaf))?;
                Ok((Subtree::leaf(index, leaf).ok_or_else(corrupt)?, hash))
            }
            (StoredNode::Parent(node, left, right), None) => {
                let node = node.map(|node| PackedParent::new(&node)).transpose()?;
                let hash =
                    parent_node_hash(self.suite, node.as_ref().map(PackedParent::bytes), (left, right))?;
                let below = Self { children: OnceLock::new(), ..self.clone() };
                let below = Below::Stored(Box::new(below));
                let kept = KeptHash::from(hash);
                let parent = Parent { at, members: record.members, node, below, hash: kept };
                Ok((Subtree::Parent(Arc::new(parent)), hash))
            }
            (StoredNode::Blank(hash), _) => {
                Ok((Subtree::Blank(at, Arc::new(BlankHashes::stored(at, hash))), hash))
            }
            _ => Err(corrupt()),
        }
    }
}
