//! RFC 9420 §4.1, §7.5, §7.7 to §7.9, §12.1.1 to §12.1.3: the tree, its hashes, and what is done to it.

use std::sync::Arc;

use hushwood::tree::{LeafNode, LeafNodeSource};
use hushwood_codec::{Decode, Encode, Writer};
use hushwood_crypto::{CipherSuite, Digest, HpkePublicKey};

use super::array::{direct_path, is_descendant, left, level, node_width, right, root, sibling};

/// A tree with `2^d` leaves and `2^(d+1) - 1` nodes, in the order of Appendix C.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The suite, for its hash.
    pub suite: &'static dyn CipherSuite,
    /// All nodes, blank ones too.
    pub nodes: Vec<Option<Node>>,
}

/// A node that is not blank.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Node {
    /// A `LeafNode`.
    Leaf(Arc<Leaf>),
    /// A `ParentNode`.
    Parent(Parent),
}

/// `ParentNode` (§7.1).
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "the fields of RFC 9420 §7.1")]
pub struct Parent {
    pub encryption_key: Vec<u8>,
    pub parent_hash: Vec<u8>,
    pub unmerged_leaves: Vec<u32>,
}

/// `LeafNode` (§7.2), with its encoding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leaf {
    node: LeafNode,
    encoded: Vec<u8>,
}

impl Leaf {
    /// A leaf.
    #[must_use]
    pub fn new(node: LeafNode) -> Self {
        let encoded = node.to_bytes().unwrap();
        Self { node, encoded }
    }

    /// What it says.
    #[must_use]
    pub fn node(&self) -> &LeafNode {
        &self.node
    }

    /// The same leaf with another source.
    #[must_use]
    pub fn with_source(&self, leaf_node_source: LeafNodeSource) -> Self {
        Self::new(LeafNode { leaf_node_source, ..self.node.clone() })
    }

    /// The same leaf with another key.
    #[must_use]
    pub fn with_encryption_key(&self, key: Vec<u8>) -> Self {
        Self::new(LeafNode { encryption_key: HpkePublicKey(key), ..self.node.clone() })
    }
}

impl Node {
    /// The key that is encrypted to.
    #[must_use]
    pub fn encryption_key(&self) -> &[u8] {
        match self {
            Self::Leaf(leaf) => &leaf.node.encryption_key.0,
            Self::Parent(parent) => &parent.encryption_key,
        }
    }

    /// §7.9.1: the `parent_hash` field. "In ParentNode objects and LeafNode objects with `leaf_node_source` set to
    /// `commit`".
    #[must_use]
    pub fn parent_hash(&self) -> Option<&[u8]> {
        match self {
            Self::Parent(parent) => Some(&parent.parent_hash),
            Self::Leaf(leaf) => match &leaf.node.leaf_node_source {
                LeafNodeSource::Commit { parent_hash } => Some(parent_hash),
                LeafNodeSource::KeyPackage(_) | LeafNodeSource::Update => None,
            },
        }
    }
}

fn write_parent(writer: &mut Writer, parent: &Parent, without: &[u32]) {
    writer.opaque(&parent.encryption_key).opaque(&parent.parent_hash).nested(|writer| {
        for leaf in parent.unmerged_leaves.iter().filter(|leaf| !without.contains(leaf)) {
            writer.raw(&leaf.to_be_bytes());
        }
    });
}

impl Tree {
    /// A tree of one leaf.
    #[must_use]
    pub fn new(suite: &'static dyn CipherSuite, leaf: Leaf) -> Self {
        Self { suite, nodes: vec![Some(Node::Leaf(Arc::new(leaf)))] }
    }

    /// How many leaves it has, blank ones too.
    #[must_use]
    pub fn leaves(&self) -> usize {
        self.nodes.len().div_ceil(2)
    }

    /// The leaf at a node; `None` if it is blank or not there.
    #[must_use]
    pub fn leaf(&self, x: usize) -> Option<&Arc<Leaf>> {
        match self.nodes.get(x)? {
            Some(Node::Leaf(leaf)) => Some(leaf),
            Some(Node::Parent(_)) | None => None,
        }
    }

    /// The parent at a node; `None` if it is blank.
    #[must_use]
    pub fn parent(&self, x: usize) -> Option<&Parent> {
        match self.nodes.get(x)? {
            Some(Node::Parent(parent)) => Some(parent),
            Some(Node::Leaf(_)) | None => None,
        }
    }

    /// The nodes of the leaves that are not blank.
    #[must_use]
    pub fn members(&self) -> Vec<usize> {
        (0..self.nodes.len()).step_by(2).filter(|x| self.nodes[*x].is_some()).collect()
    }

    /// The parents that are not blank.
    #[must_use]
    pub fn parents(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|x| self.parent(*x).is_some()).collect()
    }

    /// §4.1.1.
    #[must_use]
    pub fn resolution(&self, x: usize) -> Vec<usize> {
        match &self.nodes[x] {
            // "The resolution of a non-blank node comprises the node itself, followed by its list of unmerged leaves"
            Some(Node::Leaf(_)) => vec![x],
            Some(Node::Parent(parent)) => {
                let unmerged = parent.unmerged_leaves.iter().map(|leaf| node_of(*leaf));
                std::iter::once(x).chain(unmerged).collect()
            }
            // "The resolution of a blank leaf node is the empty list."
            None if level(x) == 0 => Vec::new(),
            // "concatenating the resolution of its left child with the resolution of its right child"
            None => [self.resolution(left(x)), self.resolution(right(x))].concat(),
        }
    }

    /// §4.1.2: "the node's direct path, with any node removed whose child on the copath of L has an empty resolution".
    /// Each with that child.
    #[must_use]
    pub fn filtered_direct_path(&self, leaf: usize) -> Vec<(usize, usize)> {
        let mut filtered = Vec::new();
        let mut below = leaf;
        for p in direct_path(leaf, self.leaves()) {
            let copath_child = sibling(below, self.leaves());
            if !self.resolution(copath_child).is_empty() {
                filtered.push((p, copath_child));
            }
            below = p;
        }
        filtered
    }

    /// §7.8: the hash of the node's TreeHashInput.
    #[must_use]
    pub fn tree_hash(&self, x: usize) -> Digest {
        self.original_tree_hash(x, &[])
    }

    /// §7.9: "the tree hash of S in the ratchet tree modified as follows: For each leaf L in P.unmerged_leaves, blank L
    /// and remove it from the unmerged_leaves sets of all parent nodes."
    #[must_use]
    pub fn original_tree_hash(&self, x: usize, unmerged_leaves: &[u32]) -> Digest {
        let mut input = Writer::new();
        if level(x) == 0 {
            let leaf_index = u32::try_from(x / 2).unwrap();
            input.raw(&[LEAF]).raw(&leaf_index.to_be_bytes());
            match self.leaf(x).filter(|_| !unmerged_leaves.contains(&leaf_index)) {
                None => input.raw(&[0]),
                Some(leaf) => input.raw(&[1]).raw(&leaf.encoded),
            };
        } else {
            input.raw(&[PARENT]);
            match self.parent(x) {
                None => _ = input.raw(&[0]),
                Some(parent) => write_parent(input.raw(&[1]), parent, unmerged_leaves),
            }
            input.opaque(self.original_tree_hash(left(x), unmerged_leaves).as_bytes());
            input.opaque(self.original_tree_hash(right(x), unmerged_leaves).as_bytes());
        }
        self.suite.hash().hash(&[&input.finish().unwrap()])
    }

    /// §7.9: the "Parent hash of P (with copath child S)", the hash of P's ParentHashInput.
    #[must_use]
    pub fn parent_hash(&self, p: usize, s: usize) -> Digest {
        let parent = self.parent(p).expect("P is a parent that is not blank");
        let original_sibling_tree_hash = self.original_tree_hash(s, &parent.unmerged_leaves);
        let mut input = Writer::new();
        input.opaque(&parent.encryption_key).opaque(&parent.parent_hash);
        input.opaque(original_sibling_tree_hash.as_bytes());
        self.suite.hash().hash(&[&input.finish().unwrap()])
    }

    /// §7.7: "Append N + 1 blank values to the end of the array."
    pub fn extend(&mut self) {
        self.nodes.resize(self.nodes.len() * 2 + 1, None);
    }

    /// §7.7: "Truncate the array to its first (N-1) / 2 entries", "when the right subtree of the tree no longer has any
    /// non-blank nodes".
    fn truncate(&mut self) {
        while self.nodes.len() > 1 && self.nodes[self.nodes.len() / 2 + 1..].iter().all(Option::is_none) {
            self.nodes.truncate((self.nodes.len() - 1) / 2);
        }
    }

    /// §12.1.1. Returns the new leaf's node.
    pub fn add(&mut self, leaf: Leaf) -> usize {
        // "if there are empty leaves in the tree, L is the leftmost empty leaf. Otherwise, the tree is extended"
        if (0..self.nodes.len()).step_by(2).all(|x| self.nodes[x].is_some()) {
            self.extend();
        }
        let l = (0..self.nodes.len()).step_by(2).find(|x| self.nodes[*x].is_none()).unwrap();
        // "For each non-blank intermediate node along the path from the leaf L to the root, add L's leaf index to the
        // unmerged_leaves list for the node." §7.1: "sorted in increasing order".
        for x in direct_path(l, self.leaves()) {
            if let Some(Node::Parent(parent)) = &mut self.nodes[x] {
                parent.unmerged_leaves.push(u32::try_from(l / 2).unwrap());
                parent.unmerged_leaves.sort_unstable();
            }
        }
        self.nodes[l] = Some(Node::Leaf(Arc::new(leaf)));
        l
    }

    /// §12.1.2.
    pub fn update(&mut self, l: usize, leaf: Leaf) {
        self.nodes[l] = Some(Node::Leaf(Arc::new(leaf)));
        self.blank_direct_path(l);
    }

    /// §12.1.3.
    pub fn remove(&mut self, l: usize) {
        self.nodes[l] = None;
        self.blank_direct_path(l);
        self.truncate();
    }

    fn blank_direct_path(&mut self, l: usize) {
        direct_path(l, self.leaves()).into_iter().for_each(|x| self.nodes[x] = None);
    }

    /// §7.5: what a commit's path does. `keys` are those of the filtered direct path, from the leaf to the root; the leaf
    /// is made of the `parent_hash` that it has to have.
    pub fn set_path(&mut self, l: usize, keys: Vec<Vec<u8>>, leaf: impl FnOnce(Vec<u8>) -> Leaf) {
        // "Blank all the nodes on the direct path from the leaf to the root."
        self.blank_direct_path(l);
        let path = self.filtered_direct_path(l);
        assert_eq!(path.len(), keys.len(), "a key for each node of the filtered direct path");
        // §7.9: "If P is the root, then the parent_hash field is set to a zero-length octet string. Otherwise,
        // parent_hash is the parent hash of the next node after P on the filtered direct path".
        let mut parent_hash = Vec::new();
        for ((p, s), encryption_key) in path.into_iter().zip(keys).rev() {
            self.nodes[p] =
                Some(Node::Parent(Parent { encryption_key, parent_hash, unmerged_leaves: Vec::new() }));
            parent_hash = self.parent_hash(p, s).as_bytes().to_vec();
        }
        self.nodes[l] = Some(Node::Leaf(Arc::new(leaf(parent_hash))));
    }

    /// The entries of P's `unmerged_leaves` that are in the subtree with this head, as nodes.
    pub(super) fn unmerged_within(&self, p: usize, head: usize) -> Vec<usize> {
        let unmerged = self.parent(p).into_iter().flat_map(|parent| &parent.unmerged_leaves);
        let within = |x: &usize| super::array::is_in_subtree(*x, head, self.leaves());
        unmerged.map(|leaf| node_of(*leaf)).filter(within).collect()
    }

    /// True if a leaf index names a non-blank leaf that is a descendant of a parent.
    pub(super) fn has_leaf_below(&self, leaf: u32, p: usize) -> bool {
        self.leaf(node_of(leaf)).is_some() && is_descendant(node_of(leaf), p, self.leaves())
    }

    /// §12.4.3.3: the tree that such a list of nodes is extended to, with the least number of blank nodes.
    #[must_use]
    pub fn of_list(suite: &'static dyn CipherSuite, list: &[Option<Node>]) -> Self {
        let mut leaves = 1;
        while node_width(leaves) < list.len() {
            leaves *= 2;
        }
        let mut nodes = list.to_vec();
        nodes.resize(node_width(leaves), None);
        assert_eq!(root(leaves), nodes.len() / 2, "the root is in the middle");
        Self { suite, nodes }
    }

    /// §12.4.3.3: the list of nodes, without the blank ones after the last that is not.
    #[must_use]
    pub fn list(&self) -> &[Option<Node>] {
        let end = self.nodes.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        &self.nodes[..end]
    }
}

/// "the leaf with index L in array position 2*L".
fn node_of(leaf: u32) -> usize {
    usize::try_from(leaf).unwrap() * 2
}

/// §12.4.3.3: `optional<Node> ratchet_tree<V>`.
#[must_use]
pub fn to_extension(list: &[Option<Node>]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(|writer| {
        for node in list {
            match node {
                None => _ = writer.raw(&[0]),
                Some(Node::Leaf(leaf)) => _ = writer.raw(&[1, LEAF]).raw(&leaf.encoded),
                Some(Node::Parent(parent)) => write_parent(writer.raw(&[1, PARENT]), parent, &[]),
            }
        }
    });
    writer.finish().unwrap()
}

/// The same back; `None` for what is none, or has leaves out of order.
#[must_use]
pub fn from_extension(bytes: &[u8]) -> Option<Vec<Option<Node>>> {
    use hushwood::tree::Node as Wire;

    let node = |node| match node {
        Wire::Leaf(leaf) => Node::Leaf(Arc::new(Leaf::new(leaf))),
        Wire::Parent(parent) => Node::Parent(Parent {
            encryption_key: parent.encryption_key.0,
            parent_hash: parent.parent_hash,
            unmerged_leaves: parent.unmerged_leaves.into_iter().map(|leaf| leaf.number()).collect(),
        }),
    };
    let list = Vec::<Option<Wire>>::from_bytes(bytes).ok()?;
    Some(list.into_iter().map(|entry| entry.map(node)).collect())
}

/// `NodeType` values (§7.8).
const LEAF: u8 = 1;
const PARENT: u8 = 2;
