//! RFC 9420 §4, §7.4 to §7.9: the ratchet tree as an array of nodes, word by word, without a check.

use hushwood::tree::{LeafNode, LeafNodeSource, Node, ParentNode};
use hushwood_codec::Decode;

use super::crypto::{Suite, hash, written};

/// A tree: 2^(d+1) - 1 nodes, leaf `L` at `2 * L` (Appendix C).
#[derive(Clone, Default)]
pub struct Tree {
    /// The nodes, blank ones too.
    pub nodes: Vec<Option<Node>>,
}

/// The level of a node: 0 for leaves.
pub fn level(node: usize) -> u32 {
    node.trailing_ones()
}

/// The left child of a parent.
pub fn left(node: usize) -> usize {
    node ^ (1 << (level(node) - 1))
}

/// The right child of a parent.
pub fn right(node: usize) -> usize {
    node ^ (3 << (level(node) - 1))
}

/// The first and the last leaf below a node, as numbers of leaves.
pub fn leaves_below(node: usize) -> std::ops::RangeInclusive<usize> {
    let half = (1 << level(node)) - 1;
    (node - half) / 2..=(node + half) / 2
}

impl Tree {
    /// From a `ratchet_tree` extension (§12.4.3.3).
    pub fn from_extension(data: &[u8]) -> Self {
        let mut tree = Self { nodes: Vec::<Option<Node>>::from_bytes(data).expect("a tree") };
        let full = (tree.nodes.len() + 1).next_power_of_two() - 1;
        tree.nodes.resize(full.max(1), None);
        tree
    }

    /// The content of a `ratchet_tree` extension: without blank nodes at the end.
    pub fn extension(&self) -> Vec<u8> {
        let end = self.nodes.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        written(|w| _ = w.vector(&self.nodes[..end]))
    }

    /// The number of leaves, blank ones too.
    pub fn width(&self) -> usize {
        self.nodes.len().div_ceil(2)
    }

    /// The root.
    pub fn root(&self) -> usize {
        self.width() - 1
    }

    /// The leaf with this number.
    pub fn leaf(&self, leaf: usize) -> Option<&LeafNode> {
        match self.nodes.get(2 * leaf)? {
            Some(Node::Leaf(leaf)) => Some(leaf),
            _ => None,
        }
    }

    /// The members, by the numbers of their leaves.
    pub fn members(&self) -> Vec<usize> {
        (0..self.width()).filter(|leaf| self.leaf(*leaf).is_some()).collect()
    }

    /// A parent, if it is not blank.
    pub fn parent_node(&self, node: usize) -> Option<&ParentNode> {
        match self.nodes.get(node)? {
            Some(Node::Parent(parent)) => Some(parent),
            _ => None,
        }
    }

    /// The nodes above a node, nearest first, up to the root.
    pub fn direct_path(&self, node: usize) -> Vec<usize> {
        let mut path = Vec::new();
        let mut node = node;
        while node != self.root() {
            let level = level(node);
            node = (node | (1 << level)) & !(1 << (level + 1));
            path.push(node);
        }
        path
    }

    /// The child of `parent` that is not above, and is not, `node`.
    pub fn other_child(parent: usize, node: usize) -> usize {
        if node < parent { right(parent) } else { left(parent) }
    }

    /// The resolution of a node (§4.1.1).
    pub fn resolution(&self, node: usize) -> Vec<usize> {
        match &self.nodes[node] {
            Some(Node::Leaf(_)) => vec![node],
            Some(Node::Parent(parent)) => {
                let unmerged = parent.unmerged_leaves.iter();
                let unmerged = unmerged.map(|leaf| 2 * usize::try_from(leaf.number()).expect("a leaf"));
                std::iter::once(node).chain(unmerged).collect()
            }
            None if level(node) == 0 => vec![],
            None => [self.resolution(left(node)), self.resolution(right(node))].concat(),
        }
    }

    /// The filtered direct path of a leaf (§4.1.2).
    pub fn filtered_path(&self, leaf: usize) -> Vec<usize> {
        let mut path = self.direct_path(2 * leaf);
        path.retain(|parent| !self.resolution(Self::other_child(*parent, 2 * leaf)).is_empty());
        path
    }

    /// The tree hash of a node (§7.8).
    pub fn hash(&self, suite: Suite, node: usize) -> Vec<u8> {
        self.hash_without(suite, node, &[])
    }

    /// The tree hash of a node, as if these leaves were blank and in no list of unmerged leaves (§7.9).
    pub fn hash_without(&self, suite: Suite, node: usize, without: &[u32]) -> Vec<u8> {
        let input = if level(node) == 0 {
            let number = u32::try_from(node / 2).expect("a leaf");
            let leaf = self.leaf(node / 2).filter(|_| !without.contains(&number)).cloned();
            written(|w| _ = w.value(&1_u8).value(&number).value(&leaf))
        } else {
            let parent = self.parent_node(node).cloned().map(|mut parent| {
                parent.unmerged_leaves.retain(|leaf| !without.contains(&leaf.number()));
                parent
            });
            let below = [left(node), right(node)].map(|child| self.hash_without(suite, child, without));
            written(|w| _ = w.value(&2_u8).value(&parent).opaque(&below[0]).opaque(&below[1]))
        };
        hash(suite, &input)
    }

    /// The hash of the whole tree.
    pub fn root_hash(&self, suite: Suite) -> Vec<u8> {
        self.hash(suite, self.root())
    }

    /// The parent hash of a parent, as the node below it on the side of `below` has to have it (§7.9).
    pub fn parent_hash(&self, suite: Suite, parent: usize, below: usize) -> Vec<u8> {
        let node = self.parent_node(parent).expect("a parent that is not blank");
        let without: Vec<u32> = node.unmerged_leaves.iter().map(|leaf| leaf.number()).collect();
        let sibling = self.hash_without(suite, Self::other_child(parent, below), &without);
        hash(
            suite,
            &written(|w| _ = w.value(&node.encryption_key).opaque(&node.parent_hash).opaque(&sibling)),
        )
    }

    /// Puts a leaf into the leftmost blank place, and into the lists of unmerged leaves above it (§7.7, §12.1.1).
    pub fn add(&mut self, leaf: LeafNode) -> usize {
        let blank = (0..self.width()).find(|leaf| self.nodes[2 * leaf].is_none());
        let place = blank.unwrap_or_else(|| {
            let width = self.width();
            self.nodes.resize(4 * width - 1, None);
            width
        });
        for parent in self.direct_path(2 * place) {
            if let Some(Node::Parent(parent)) = &mut self.nodes[parent] {
                let number = hushwood::tree::LeafIndex::new(u32::try_from(place).expect("a leaf"));
                let at = parent.unmerged_leaves.partition_point(|other| *other < number);
                parent.unmerged_leaves.insert(at, number);
            }
        }
        self.nodes[2 * place] = Some(Node::Leaf(leaf));
        place
    }

    /// Blanks all nodes above a leaf.
    pub fn blank_path(&mut self, leaf: usize) {
        for parent in self.direct_path(2 * leaf) {
            self.nodes[parent] = None;
        }
    }

    /// Replaces a leaf (§12.1.2).
    pub fn update(&mut self, leaf: usize, node: LeafNode) {
        if 2 * leaf < self.nodes.len() {
            self.nodes[2 * leaf] = Some(Node::Leaf(node));
            self.blank_path(leaf);
        }
    }

    /// Blanks a leaf and what is above it, and cuts the right half off where nobody is left in it (§7.7, §12.1.3).
    pub fn remove(&mut self, leaf: usize) {
        if 2 * leaf >= self.nodes.len() {
            return;
        }
        self.nodes[2 * leaf] = None;
        self.blank_path(leaf);
        while self.width() > 1 && (self.width() / 2..self.width()).all(|leaf| self.leaf(leaf).is_none()) {
            let root = self.root();
            self.nodes.truncate(root);
        }
    }

    /// Writes the parent hashes of a leaf's path anew, of those nodes that there are, and the leaf's own, without signing it.
    pub fn write_parent_hashes(&mut self, suite: Suite, leaf: usize, path: &[usize]) -> Vec<u8> {
        let mut hash = Vec::new();
        for (place, node) in path.iter().enumerate().rev() {
            if let Some(Node::Parent(parent)) = &mut self.nodes[*node] {
                parent.parent_hash = std::mem::take(&mut hash);
            }
            let below = if place == 0 { 2 * leaf } else { path[place - 1] };
            hash = self.parent_hash(suite, *node, below);
        }
        if let Some(Node::Leaf(leaf)) = &mut self.nodes[2 * leaf] {
            leaf.leaf_node_source = LeafNodeSource::Commit { parent_hash: hash.clone() };
        }
        hash
    }

    /// Whether every parent is parent-hash valid, by the words of §7.9.2.
    pub fn parent_hashes_hold(&self, suite: Suite) -> bool {
        (1..self.nodes.len()).step_by(2).all(|parent| {
            let Some(node) = self.parent_node(parent) else { return true };
            [left(parent), right(parent)].into_iter().any(|child| {
                let expected = self.parent_hash(suite, parent, child);
                let resolution = self.resolution(child);
                let unmerged = node.unmerged_leaves.iter();
                let unmerged = unmerged.map(|leaf| usize::try_from(leaf.number()).expect("a leaf"));
                let unmerged: Vec<_> =
                    unmerged.filter(|leaf| leaves_below(child).contains(leaf)).map(|leaf| 2 * leaf).collect();
                resolution.iter().any(|below| {
                    let others: Vec<_> = resolution.iter().copied().filter(|node| node != below).collect();
                    let hash = match &self.nodes[*below] {
                        Some(Node::Parent(parent)) => Some(&parent.parent_hash),
                        Some(Node::Leaf(leaf)) => match &leaf.leaf_node_source {
                            LeafNodeSource::Commit { parent_hash } => Some(parent_hash),
                            _ => None,
                        },
                        None => None,
                    };
                    hash == Some(&expected) && others == unmerged
                })
            })
        })
    }
}
