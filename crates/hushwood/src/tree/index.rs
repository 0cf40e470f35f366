//! RFC 9420 Appendix C: positions in the tree.
//!
//! Nodes are numbered from left to right: leaves have even numbers, leaf `L` the number `2 * L`. Both
//! index types are below [`MAX_LEAVES`], whatever a message says, so arithmetic on them can't overflow.

use std::fmt;

use hushwood_codec::{Decode, DecodeError, Element, Encode, Reader, Writer};

/// The most leaves a tree can have here: 2^24. The policy sets a lower limit.
pub const MAX_LEAVES: u32 = 1 << 24;

/// A leaf's number among the leaves, from the left; `uint32 leaf_index` on the wire.
///
/// Read from the wire it may be any number: the tree says whether there is such a leaf.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LeafIndex(u32);

/// A node's number among all nodes, from the left.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeIndex(u32);

impl LeafIndex {
    /// The leaf with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The leaf as a node; `None` beyond [`MAX_LEAVES`].
    #[must_use]
    pub const fn node(self) -> Option<NodeIndex> {
        if self.0 < MAX_LEAVES { Some(NodeIndex(self.0 << 1)) } else { None }
    }
}

impl NodeIndex {
    /// The node with this number; `None` if no tree has it.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number < (MAX_LEAVES << 1) - 1 { Some(Self(number)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The root of a tree with `leaves` leaves, a power of two.
    #[must_use]
    pub const fn root(leaves: u32) -> Self {
        Self(leaves.saturating_sub(1))
    }

    /// 0 for leaves, one more than its children's for a parent.
    #[must_use]
    pub const fn level(self) -> u32 {
        self.0.trailing_ones()
    }

    /// True for a leaf.
    #[must_use]
    pub const fn is_leaf(self) -> bool {
        self.level() == 0
    }

    /// The node as a leaf; `None` for a parent.
    #[must_use]
    pub const fn leaf(self) -> Option<LeafIndex> {
        if self.is_leaf() { Some(LeafIndex(self.0 >> 1)) } else { None }
    }

    /// The left child; `None` for a leaf.
    #[must_use]
    pub const fn left(self) -> Option<Self> {
        match self.level() {
            0 => None,
            level => Some(Self(self.0 ^ (1 << (level - 1)))),
        }
    }

    /// The right child; `None` for a leaf.
    #[must_use]
    pub const fn right(self) -> Option<Self> {
        match self.level() {
            0 => None,
            level => Some(Self(self.0 ^ (3 << (level - 1)))),
        }
    }

    /// Both children; `None` for a leaf.
    #[must_use]
    pub fn children(self) -> Option<(Self, Self)> {
        Some((self.left()?, self.right()?))
    }

    /// The parent in a tree with `leaves` leaves; `None` for the root.
    #[must_use]
    pub const fn parent(self, leaves: u32) -> Option<Self> {
        if self.0 == Self::root(leaves).0 {
            return None;
        }
        let level = self.level();
        Some(Self((self.0 | (1 << level)) & !(1 << (level + 1))))
    }

    /// The other child of the parent; `None` for the root.
    #[must_use]
    pub fn sibling(self, leaves: u32) -> Option<Self> {
        let parent = self.parent(leaves)?;
        if self < parent { parent.right() } else { parent.left() }
    }

    /// The nodes above this one, nearest first, up to the root of a tree with `leaves` leaves.
    pub fn direct_path(self, leaves: u32) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(leaves), move |node| node.parent(leaves))
    }

    /// The leftmost leaf below this node, or the node itself.
    #[must_use]
    pub const fn first_leaf(self) -> LeafIndex {
        LeafIndex((self.0 + 1 - (1 << self.level())) >> 1)
    }

    /// The rightmost leaf below this node, or the node itself.
    #[must_use]
    pub const fn last_leaf(self) -> LeafIndex {
        LeafIndex((self.0 + (1 << self.level()) - 1) >> 1)
    }

    /// True if `leaf` is below this node, or is it.
    #[must_use]
    pub fn is_above(self, leaf: LeafIndex) -> bool {
        (self.first_leaf()..=self.last_leaf()).contains(&leaf)
    }

    /// The lowest node above both leaves (or the leaf itself if they are one).
    #[must_use]
    pub const fn common_ancestor(left: LeafIndex, right: LeafIndex) -> Option<Self> {
        let (Some(left), Some(right)) = (left.node(), right.node()) else { return None };
        // The bits in which the two differ say how far up they meet.
        let level = u32::BITS - (left.0 ^ right.0).leading_zeros();
        if level == 0 {
            return Some(left);
        }
        Some(Self((left.0 >> level << level) | ((1 << (level - 1)) - 1)))
    }
}

impl fmt::Debug for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leaf {}", self.0)
    }
}

impl fmt::Display for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

impl Encode for LeafIndex {
    fn encode(&self, writer: &mut Writer) {
        self.0.encode(writer);
    }
}

impl Decode for LeafIndex {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u32::decode(reader).map(Self)
    }
}

impl Element for LeafIndex {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: nodes of a subtree of `leaves` leaves starting at node `first`, its root between.
    fn check(first: u32, leaves: u32, tree: u32, parent: Option<NodeIndex>) {
        let root = NodeIndex(first + leaves - 1);
        assert_eq!(root.parent(tree), parent);
        assert_eq!(root.first_leaf(), LeafIndex(first / 2));
        assert_eq!(root.last_leaf(), LeafIndex(first / 2 + leaves - 1));
        if leaves == 1 {
            assert_eq!((root.left(), root.right(), root.leaf()), (None, None, Some(LeafIndex(first / 2))));
            return;
        }
        let half = leaves / 2;
        let (left, right) = (NodeIndex(first + half - 1), NodeIndex(first + leaves + half - 1));
        assert_eq!((root.left(), root.right()), (Some(left), Some(right)));
        assert_eq!((left.sibling(tree), right.sibling(tree)), (Some(right), Some(left)));
        for a in first / 2..first / 2 + half {
            for b in first / 2 + half..first / 2 + leaves {
                assert_eq!(NodeIndex::common_ancestor(LeafIndex(a), LeafIndex(b)), Some(root));
                assert_eq!(NodeIndex::common_ancestor(LeafIndex(b), LeafIndex(a)), Some(root));
            }
        }
        check(first, half, tree, Some(root));
        check(first + leaves, half, tree, Some(root));
    }

    #[test]
    fn relations_are_those_of_the_recursive_definition() {
        for depth in 0..8 {
            check(0, 1 << depth, 1 << depth, None);
        }
    }

    #[test]
    fn indices_beyond_any_tree_are_no_nodes() {
        for number in [1 << 24, 1 << 30, u32::MAX / 2, u32::MAX / 2 + 1, u32::MAX] {
            assert_eq!(LeafIndex(number).node(), None);
        }
        assert_eq!(NodeIndex::new(u32::MAX), None);
        assert_eq!(LeafIndex(MAX_LEAVES - 1).node(), NodeIndex::new((MAX_LEAVES - 1) * 2));
    }
}
