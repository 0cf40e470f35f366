//! RFC 9420 §7.8: tree hashes.
//!
//! The hash of a node sums up the subtree below it. Each is computed once and kept with its node; after a
//! change only the hashes above the change are computed again. Blank subtrees have hashes too, which
//! depend on their position only.

use std::sync::OnceLock;

use hushwood_codec::Writer;
use hushwood_crypto::{CipherSuite, Digest};

use crate::error::Error;
use crate::parallel::join;
use crate::tree::node::{LEAF, PARENT};
use crate::tree::packed::{PackedLeaf, PackedParent};
use crate::tree::subtree::{Parent, Subtree};
use crate::tree::{LeafIndex, NodeIndex};

/// The tree hash of a subtree's head. Recursion is as deep as the tree is high.
pub(crate) fn tree_hash(suite: &dyn CipherSuite, subtree: &Subtree) -> Result<Digest, Error> {
    match subtree {
        Subtree::Blank(at, hashes) => hashes.get(suite, *at),
        // Hashed when it is needed: to keep the hashes of all leaves would take more than it saves.
        Subtree::Leaf(leaf) => leaf_hash(suite, leaf.index, Some(&leaf.node)),
        Subtree::Parent(parent) => parent.hash.get_or(|| {
            let (left, right) = parent.children()?;
            let many = parent.members > MANY;
            let (left, right) = join(many, || tree_hash(suite, left), || tree_hash(suite, right));
            let children = (left?, right?);
            parent_node_hash(suite, parent.node.as_ref().map(PackedParent::bytes), children)
        }),
    }
}

/// From how many members on the halves of a tree are worth a thread each.
pub(crate) const MANY: u32 = 512;

/// A hash that is computed when it is first asked for.
#[derive(Clone)]
pub(crate) struct KeptHash(OnceLock<Compact>);

/// A digest in little space: those of most suites have 32 bytes.
#[derive(Clone)]
enum Compact {
    Short([u8; 32]),
    Long(Box<Digest>),
}

impl KeptHash {
    pub(crate) fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The hash, if it has been computed.
    pub(crate) fn get(&self) -> Option<Digest> {
        self.0.get().map(|hash| match hash {
            Compact::Short(bytes) => Digest::from(*bytes),
            Compact::Long(digest) => **digest,
        })
    }

    fn get_or(&self, compute: impl FnOnce() -> Result<Digest, Error>) -> Result<Digest, Error> {
        if let Some(hash) = self.get() {
            return Ok(hash);
        }
        let hash = compute()?;
        self.0.get_or_init(|| Compact::from(hash));
        Ok(hash)
    }
}

impl From<Digest> for KeptHash {
    fn from(hash: Digest) -> Self {
        Self(OnceLock::from(Compact::from(hash)))
    }
}

impl From<Digest> for Compact {
    fn from(hash: Digest) -> Self {
        match hash.as_bytes().try_into() {
            Ok(bytes) => Self::Short(bytes),
            Err(_) => Self::Long(Box::new(hash)),
        }
    }
}

/// The hash of `TreeHashInput` with `LeafNodeHashInput`.
pub(crate) fn leaf_hash(
    suite: &dyn CipherSuite,
    index: LeafIndex,
    leaf: Option<&PackedLeaf>,
) -> Result<Digest, Error> {
    let (presence, bytes) = optional(leaf.map(PackedLeaf::bytes));
    Ok(suite.hash().hash(&[&[LEAF], &index.number().to_be_bytes(), presence, bytes]))
}

/// The hash of `TreeHashInput` with `ParentNodeHashInput`; `node` is an encoded `ParentNode`.
pub(crate) fn parent_node_hash(
    suite: &dyn CipherSuite,
    node: Option<&[u8]>,
    (left, right): (Digest, Digest),
) -> Result<Digest, Error> {
    let (presence, bytes) = optional(node);
    let mut hashes = Writer::with_capacity(2 * Digest::MAX_LENGTH + 4);
    hashes.value(&left).value(&right);
    Ok(suite.hash().hash(&[&[PARENT], presence, bytes, &hashes.finish()?]))
}

/// `optional<T>` (RFC 9420 §2.1.1) of an encoded value.
fn optional(value: Option<&[u8]>) -> (&'static [u8], &[u8]) {
    match value {
        None => (&[0], &[]),
        Some(bytes) => (&[1], bytes),
    }
}

/// The original tree hashes of RFC 9420 §7.9, of subtrees with some members left out.
///
/// The hash of a subtree is kept for as long as the same members are left out of it: all who ask for a
/// subtree are above it, and what they leave out shrinks on the way up (C337), so their number tells.
pub(crate) struct OriginalHashes<'s> {
    suite: &'s dyn CipherSuite,
    known: std::collections::HashMap<NodeIndex, (usize, Digest)>,
}

impl<'s> OriginalHashes<'s> {
    pub(crate) fn new(suite: &'s dyn CipherSuite) -> Self {
        Self { suite, known: std::collections::HashMap::new() }
    }

    /// Takes in what is known of other subtrees.
    pub(crate) fn extend(&mut self, other: Self) {
        self.known.extend(other.known);
    }

    /// The tree hash of `subtree` after blanking the leaves in `removed` and taking them out of all lists
    /// of unmerged leaves (C147). `removed` is sorted and within the subtree.
    pub(crate) fn get(&mut self, subtree: &Subtree, removed: &[LeafIndex]) -> Result<Digest, Error> {
        if removed.is_empty() {
            return tree_hash(self.suite, subtree);
        }
        let at = subtree.at();
        if let Some((count, hash)) = self.known.get(&at)
            && *count == removed.len()
        {
            return Ok(*hash);
        }
        let hash = match subtree {
            Subtree::Blank(..) => return tree_hash(self.suite, subtree),
            Subtree::Leaf(leaf) => leaf_hash(self.suite, leaf.index, None)?,
            Subtree::Parent(parent) => self.parent(parent, removed)?,
        };
        self.known.insert(at, (removed.len(), hash));
        Ok(hash)
    }

    fn parent(&mut self, parent: &Parent, removed: &[LeafIndex]) -> Result<Digest, Error> {
        let (left, right) = split_at_parent(removed, parent.at);
        let (left_child, right_child) = parent.children()?;
        let children = (self.get(left_child, left)?, self.get(right_child, right)?);
        let node = match &parent.node {
            None => None,
            Some(node) => {
                let mut unmerged_leaves = node.unmerged_leaves()?;
                unmerged_leaves.retain(|leaf| removed.binary_search(leaf).is_err());
                Some(node.with_unmerged_leaves(unmerged_leaves)?)
            }
        };
        parent_node_hash(self.suite, node.as_ref().map(PackedParent::bytes), children)
    }
}

/// Splits sorted leaves into those left and right of the parent at `at`.
pub(crate) fn split_at_parent(leaves: &[LeafIndex], at: NodeIndex) -> (&[LeafIndex], &[LeafIndex]) {
    let middle = at.left().map_or(at.first_leaf(), NodeIndex::last_leaf);
    leaves.split_at(leaves.partition_point(|leaf| *leaf <= middle))
}

/// The tree hashes of a blank subtree and of everything in it.
///
/// The head's is computed alone, so that a blank half takes no memory for as long as nobody is added to it.
/// Those of the parts are computed together when the first is asked for, and shared by the parts that are
/// left: a tree is filled without hashing its blanks again for each new member.
pub(crate) struct BlankHashes {
    top: NodeIndex,
    top_hash: KeptHash,
    /// All hashes in a row, in the order of the nodes.
    all: OnceLock<Vec<u8>>,
}

impl BlankHashes {
    pub(crate) fn new(top: NodeIndex) -> Self {
        Self { top, top_hash: KeptHash::new(), all: OnceLock::new() }
    }

    /// Those of a subtree that comes from a store, with the hash of its head.
    pub(crate) fn stored(top: NodeIndex, hash: Digest) -> Self {
        Self { top, top_hash: KeptHash::from(hash), all: OnceLock::new() }
    }

    pub(crate) fn get(&self, suite: &dyn CipherSuite, at: NodeIndex) -> Result<Digest, Error> {
        if at == self.top {
            return self.top_hash.get_or(|| hash_blank(suite, at, &mut |_, _| {}));
        }
        let length = suite.hash().length();
        let first = self.top.first_leaf().node().map_or(0, NodeIndex::number);
        let place = |at: NodeIndex| usize::try_from(at.number().saturating_sub(first)).unwrap_or(usize::MAX);
        let all = match self.all.get() {
            Some(all) => all,
            None => {
                let mut all = vec![0; (2 << self.top.level()) * length];
                hash_blank(suite, self.top, &mut |at, hash| {
                    if let Some(slot) = all.chunks_exact_mut(length).nth(place(at)) {
                        slot.copy_from_slice(hash.as_bytes());
                    }
                })?;
                self.all.get_or_init(|| all)
            }
        };
        let hash = all.chunks_exact(length).nth(place(at)).and_then(Digest::new);
        hash.ok_or(Error::Bug("a blank node lies outside the blank subtree it belongs to"))
    }
}

/// The hash of a blank subtree's head; each hash below is handed to `each`.
fn hash_blank(
    suite: &dyn CipherSuite,
    at: NodeIndex,
    each: &mut impl FnMut(NodeIndex, &Digest),
) -> Result<Digest, Error> {
    let hash = match at.children() {
        None => leaf_hash(suite, at.first_leaf(), None)?,
        Some((left, right)) => {
            let children = (hash_blank(suite, left, each)?, hash_blank(suite, right, each)?);
            parent_node_hash(suite, None, children)?
        }
    };
    each(at, &hash);
    Ok(hash)
}
