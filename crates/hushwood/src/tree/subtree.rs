//! RFC 9420 Appendix D: the tree as linked nodes.
//!
//! Subtrees are shared between trees and copied along the changed path only, so that a tree is cloned in
//! constant time and a staged commit is a changed clone. A node that nobody else holds is changed in place.
//! Every node knows its position, which neither extending nor truncating the tree changes, and remembers
//! its tree hash until something below it changes.

use std::sync::{Arc, OnceLock};

use hushwood_crypto::Digest;

use crate::tree::tree_hash::BlankHashes;
use crate::tree::{LeafIndex, LeafNode, NodeIndex, ParentNode};

/// A subtree. One with nothing in it, of whatever size, is always [`Blank`](Self::Blank): so a resolution
/// is empty exactly if the subtree is that.
#[derive(Clone)]
pub(crate) enum Subtree {
    /// Blank leaves under blank parents, or one blank leaf.
    Blank(NodeIndex, Arc<BlankHashes>),
    /// A member.
    Leaf(Arc<Leaf>),
    /// A parent with a member below; itself blank or not.
    Parent(Arc<Parent>),
}

/// A member's place.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) index: LeafIndex,
    pub(crate) at: NodeIndex,
    pub(crate) node: Arc<LeafNode>,
    pub(crate) hash: OnceLock<Digest>,
}

/// A parent's place.
#[derive(Clone)]
pub(crate) struct Parent {
    pub(crate) at: NodeIndex,
    pub(crate) node: Option<Arc<ParentNode>>,
    pub(crate) left: Subtree,
    pub(crate) right: Subtree,
    pub(crate) members: u32,
    pub(crate) hash: OnceLock<Digest>,
}

/// What [`Subtree::edit_path`] does to each parent it passes.
pub(crate) type EditParent<'e> = &'e mut dyn FnMut(NodeIndex, &mut Option<Arc<ParentNode>>);

impl Subtree {
    /// A subtree without anything in it.
    pub(crate) fn blank(at: NodeIndex) -> Self {
        Self::Blank(at, Arc::new(BlankHashes::new(at)))
    }

    /// A member. `None` for an index beyond any tree.
    pub(crate) fn leaf(index: LeafIndex, node: Arc<LeafNode>) -> Option<Self> {
        Some(Self::Leaf(Arc::new(Leaf { index, at: index.node()?, node, hash: OnceLock::new() })))
    }

    /// A parent over two subtrees; blank as a whole if all three are.
    pub(crate) fn parent(at: NodeIndex, node: Option<Arc<ParentNode>>, left: Self, right: Self) -> Self {
        let members = left.members() + right.members();
        if members == 0 && node.is_none() {
            return Self::blank(at);
        }
        Self::Parent(Arc::new(Parent { at, node, left, right, members, hash: OnceLock::new() }))
    }

    /// The subtree, just made, with a hash of its head that is known already.
    pub(crate) fn with_hash(self, hash: Digest) -> Self {
        match &self {
            Self::Blank(..) => {}
            Self::Leaf(leaf) => _ = leaf.hash.set(hash),
            Self::Parent(parent) => _ = parent.hash.set(hash),
        }
        self
    }

    /// The head's position.
    pub(crate) fn at(&self) -> NodeIndex {
        match self {
            Self::Blank(at, _) => *at,
            Self::Leaf(leaf) => leaf.at,
            Self::Parent(parent) => parent.at,
        }
    }

    /// How many leaves are not blank.
    pub(crate) fn members(&self) -> u32 {
        match self {
            Self::Blank(..) => 0,
            Self::Leaf(_) => 1,
            Self::Parent(parent) => parent.members,
        }
    }

    pub(crate) fn is_blank(&self) -> bool {
        matches!(self, Self::Blank(..))
    }

    /// True if both are one and the same in memory, or equal by being blank.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Blank(left, _), Self::Blank(right, _)) => left == right,
            (Self::Leaf(left), Self::Leaf(right)) => Arc::ptr_eq(left, right),
            (Self::Parent(left), Self::Parent(right)) => Arc::ptr_eq(left, right),
            _ => false,
        }
    }

    /// The subtree whose head is at `at`, or the blank subtree that contains it. `None` if `at` is not in
    /// this subtree.
    pub(crate) fn find(&self, at: NodeIndex) -> Option<&Self> {
        let mut subtree = self;
        if !subtree.at().is_above(at.first_leaf()) || at.level() > subtree.at().level() {
            return None;
        }
        while subtree.at() != at {
            match subtree {
                Self::Parent(parent) => subtree = parent.child(at),
                Self::Blank(..) => break,
                Self::Leaf(_) => return None,
            }
        }
        Some(subtree)
    }

    /// The leftmost blank leaf.
    pub(crate) fn first_blank_leaf(&self) -> Option<LeafIndex> {
        let mut subtree = self;
        loop {
            match subtree {
                Self::Blank(at, _) => return Some(at.first_leaf()),
                Self::Leaf(_) => return None,
                Self::Parent(parent) => {
                    let left = &parent.left;
                    let full = left.members() == 1 << left.at().level();
                    subtree = if full { &parent.right } else { left };
                }
            }
        }
    }

    /// Replaces the leaf at `leaf`, which must be in this subtree, by what is in `slot`, which then holds
    /// what was there; every parent on the way down is handed to `edit`. Parents within a blank subtree
    /// come into being if there is a leaf to put below them.
    pub(crate) fn edit_path(
        &mut self,
        leaf: LeafIndex,
        slot: &mut Option<Arc<LeafNode>>,
        edit: EditParent<'_>,
    ) {
        if let Self::Blank(at, hashes) = self {
            if slot.is_none() {
                return;
            }
            if let Some((left, right)) = at.children() {
                let (at, left, right) =
                    (*at, Self::Blank(left, hashes.clone()), Self::Blank(right, hashes.clone()));
                let hash = OnceLock::new();
                *self = Self::Parent(Arc::new(Parent { at, node: None, left, right, members: 0, hash }));
            }
        }
        match self {
            Self::Blank(..) => {
                if let Some(new) = slot.take().and_then(|node| Self::leaf(leaf, node)) {
                    *self = new;
                }
            }
            Self::Leaf(old) => {
                let at = old.at;
                let removed = old.node.clone();
                *self = slot.take().and_then(|node| Self::leaf(leaf, node)).unwrap_or(Self::blank(at));
                *slot = Some(removed);
            }
            Self::Parent(shared) => {
                let parent = Arc::make_mut(shared);
                parent.hash = OnceLock::new();
                edit(parent.at, &mut parent.node);
                parent.child_mut(leaf).edit_path(leaf, slot, edit);
                parent.members = parent.left.members() + parent.right.members();
                if parent.members == 0 && parent.node.is_none() {
                    *self = Self::blank(parent.at);
                }
            }
        }
    }
}

impl Parent {
    /// The child whose subtree has the node `at`.
    fn child(&self, at: NodeIndex) -> &Subtree {
        if at < self.at { &self.left } else { &self.right }
    }

    fn child_mut(&mut self, leaf: LeafIndex) -> &mut Subtree {
        if self.left.at().is_above(leaf) { &mut self.left } else { &mut self.right }
    }
}

/// The members of a subtree, from left to right.
pub(crate) struct Leaves<'t> {
    /// Subtrees yet to be visited, the next one last; never more than two per level.
    stack: Vec<&'t Subtree>,
}

impl<'t> Leaves<'t> {
    pub(crate) fn new(root: &'t Subtree) -> Self {
        Self { stack: vec![root] }
    }
}

impl<'t> Iterator for Leaves<'t> {
    type Item = &'t Leaf;

    fn next(&mut self) -> Option<&'t Leaf> {
        loop {
            match self.stack.pop()? {
                Subtree::Blank(..) => {}
                Subtree::Leaf(leaf) => return Some(leaf),
                Subtree::Parent(parent) => self.stack.extend([&parent.right, &parent.left]),
            }
        }
    }
}
