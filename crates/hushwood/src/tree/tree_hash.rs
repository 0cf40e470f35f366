//! RFC 9420 §7.8: tree hashes.
//!
//! The hash of a node sums up the subtree below it. Each is computed once and kept with its node; after a
//! change only the hashes above the change are computed again. Blank subtrees have hashes too, which
//! depend on their position only.

use std::sync::OnceLock;

use hushwood_codec::Writer;
use hushwood_crypto::{CipherSuite, Digest, HpkePublicKey};

use crate::error::Error;
use crate::tree::subtree::{Parent, Subtree};
use crate::tree::{LeafIndex, LeafNode, NodeIndex, ParentNode};

/// The tree hash of a subtree's head. Recursion is as deep as the tree is high.
pub(crate) fn tree_hash(suite: &dyn CipherSuite, subtree: &Subtree) -> Result<Digest, Error> {
    match subtree {
        Subtree::Blank(at, hashes) => hashes.get(suite, *at),
        Subtree::Leaf(leaf) => remember(&leaf.hash, || leaf_hash(suite, leaf.index, Some(&leaf.node))),
        Subtree::Parent(parent) => remember(&parent.hash, || {
            let children = (tree_hash(suite, &parent.left)?, tree_hash(suite, &parent.right)?);
            parent_node_hash(suite, parent.node.as_deref().map(ParentHashed::from), children)
        }),
    }
}

fn remember(
    cache: &OnceLock<Digest>,
    compute: impl FnOnce() -> Result<Digest, Error>,
) -> Result<Digest, Error> {
    if let Some(hash) = cache.get() {
        return Ok(*hash);
    }
    let hash = compute()?;
    Ok(*cache.get_or_init(|| hash))
}

/// The hash of `TreeHashInput` with `LeafNodeHashInput`.
pub(crate) fn leaf_hash(
    suite: &dyn CipherSuite,
    index: LeafIndex,
    leaf: Option<&LeafNode>,
) -> Result<Digest, Error> {
    let mut input = Writer::with_capacity(512);
    input.raw(&[LEAF]).value(&index).value(&leaf);
    Ok(suite.hash().hash(&[&input.finish()?]))
}

/// What of a parent goes into its tree hash. The original tree hash of §7.9 lacks some unmerged leaves.
pub(crate) struct ParentHashed<'n> {
    encryption_key: &'n HpkePublicKey,
    parent_hash: &'n [u8],
    unmerged_leaves: Vec<&'n LeafIndex>,
}

impl<'n> From<&'n ParentNode> for ParentHashed<'n> {
    fn from(node: &'n ParentNode) -> Self {
        Self::without(node, &[])
    }
}

impl<'n> ParentHashed<'n> {
    /// The node, with `removed` (sorted) taken out of its unmerged leaves.
    fn without(node: &'n ParentNode, removed: &[LeafIndex]) -> Self {
        let kept = node.unmerged_leaves.iter().filter(|leaf| removed.binary_search(leaf).is_err());
        Self {
            encryption_key: &node.encryption_key,
            parent_hash: &node.parent_hash,
            unmerged_leaves: kept.collect(),
        }
    }
}

/// The hash of `TreeHashInput` with `ParentNodeHashInput`.
pub(crate) fn parent_node_hash(
    suite: &dyn CipherSuite,
    node: Option<ParentHashed<'_>>,
    (left, right): (Digest, Digest),
) -> Result<Digest, Error> {
    let mut input = Writer::with_capacity(256);
    input.raw(&[PARENT]);
    match node {
        None => input.raw(&[0]),
        Some(node) => {
            input.raw(&[1]).value(node.encryption_key).opaque(node.parent_hash);
            input.vector(node.unmerged_leaves)
        }
    };
    input.value(&left).value(&right);
    Ok(suite.hash().hash(&[&input.finish()?]))
}

/// The `NodeType` of leaves.
const LEAF: u8 = 1;
/// The `NodeType` of parents.
const PARENT: u8 = 2;

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
        let children = (self.get(&parent.left, left)?, self.get(&parent.right, right)?);
        let node = parent.node.as_deref().map(|node| ParentHashed::without(node, removed));
        parent_node_hash(self.suite, node, children)
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
    top_hash: OnceLock<Digest>,
    /// All hashes in a row, in the order of the nodes.
    all: OnceLock<Vec<u8>>,
}

impl BlankHashes {
    pub(crate) fn new(top: NodeIndex) -> Self {
        Self { top, top_hash: OnceLock::new(), all: OnceLock::new() }
    }

    /// Those of a subtree that comes from a store, with the hash of its head.
    pub(crate) fn stored(top: NodeIndex, hash: Digest) -> Self {
        Self { top, top_hash: OnceLock::from(hash), all: OnceLock::new() }
    }

    pub(crate) fn get(&self, suite: &dyn CipherSuite, at: NodeIndex) -> Result<Digest, Error> {
        if at == self.top {
            return remember(&self.top_hash, || hash_blank(suite, at, &mut |_, _| {}));
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
