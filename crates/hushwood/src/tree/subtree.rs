//! RFC 9420 Appendix D: the tree as linked nodes.
//!
//! Subtrees are shared between trees and copied along the changed path only, so that a tree is cloned in
//! constant time and a staged commit is a changed clone. A node that nobody else holds is changed in place.
//! Every node knows its position, which neither extending nor truncating the tree changes, and a parent
//! remembers its tree hash until something below it changes. What is below a parent may still be in a store:
//! it is read when somebody goes there.

use std::sync::Arc;

use crate::error::Error;
use crate::tree::packed::{PackedLeaf, PackedParent};
use crate::tree::stored::Stored;
use crate::tree::tree_hash::{BlankHashes, KeptHash};
use crate::tree::{LeafIndex, NodeIndex};

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
pub(crate) struct Leaf {
    pub(crate) index: LeafIndex,
    pub(crate) at: NodeIndex,
    pub(crate) node: PackedLeaf,
}

/// A parent's place.
#[derive(Clone)]
pub(crate) struct Parent {
    pub(crate) at: NodeIndex,
    pub(crate) members: u32,
    pub(crate) node: Option<PackedParent>,
    pub(crate) below: Below,
    pub(crate) hash: KeptHash,
}

/// The children of a parent.
#[derive(Clone)]
pub(crate) enum Below {
    /// Left and right.
    Here(Subtree, Subtree),
    /// Read when they are first needed.
    Stored(Box<Stored>),
}

/// What [`Subtree::edit_path`] does to each parent it passes.
pub(crate) type EditParent<'e> = &'e mut dyn FnMut(NodeIndex, &mut Option<PackedParent>) -> Result<(), Error>;

impl Subtree {
    /// A subtree without anything in it.
    pub(crate) fn blank(at: NodeIndex) -> Self {
        Self::Blank(at, Arc::new(BlankHashes::new(at)))
    }

    /// A member. `None` for an index beyond any tree.
    pub(crate) fn leaf(index: LeafIndex, node: PackedLeaf) -> Option<Self> {
        Some(Self::Leaf(Arc::new(Leaf { index, at: index.node()?, node })))
    }

    /// A parent over two subtrees; blank as a whole if all three are.
    pub(crate) fn parent(at: NodeIndex, node: Option<PackedParent>, left: Self, right: Self) -> Self {
        let members = left.members() + right.members();
        if members == 0 && node.is_none() {
            return Self::blank(at);
        }
        let below = Below::Here(left, right);
        Self::Parent(Arc::new(Parent { at, members, node, below, hash: KeptHash::new() }))
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
    pub(crate) fn find(&self, at: NodeIndex) -> Result<Option<&Self>, Error> {
        let mut subtree = self;
        if !subtree.at().is_above(at.first_leaf()) || at.level() > subtree.at().level() {
            return Ok(None);
        }
        while subtree.at() != at {
            match subtree {
                Self::Parent(parent) => {
                    let (left, right) = parent.children()?;
                    subtree = if at < parent.at { left } else { right };
                }
                Self::Blank(..) => break,
                Self::Leaf(_) => return Ok(None),
            }
        }
        Ok(Some(subtree))
    }

    /// The leftmost blank leaf.
    pub(crate) fn first_blank_leaf(&self) -> Result<Option<LeafIndex>, Error> {
        let mut subtree = self;
        loop {
            match subtree {
                Self::Blank(at, _) => return Ok(Some(at.first_leaf())),
                // A full subtree is not entered: what is below it may be in the store.
                _ if subtree.members() == 1 << subtree.at().level() => return Ok(None),
                Self::Leaf(_) => return Ok(None),
                Self::Parent(parent) => {
                    let (left, right) = parent.children()?;
                    let full = left.members() == 1 << left.at().level();
                    subtree = if full { right } else { left };
                }
            }
        }
    }

    /// Reads the way to a leaf, so that [`edit_path`](Self::edit_path) finds it in memory.
    pub(crate) fn load_path(&self, leaf: LeafIndex) -> Result<(), Error> {
        let mut subtree = self;
        while let Self::Parent(parent) = subtree {
            subtree = parent.children_towards(leaf)?.0;
        }
        Ok(())
    }

    /// Replaces the leaf at `leaf`, which must be in this subtree, by what is in `slot`, which then holds
    /// what was there; every parent on the way down is handed to `edit`. Parents within a blank subtree
    /// come into being if there is a leaf to put below them. If it fails, the tree is of no more use.
    pub(crate) fn edit_path(
        &mut self,
        leaf: LeafIndex,
        slot: &mut Option<PackedLeaf>,
        edit: EditParent<'_>,
    ) -> Result<(), Error> {
        if let Self::Blank(at, hashes) = self {
            if slot.is_none() {
                return Ok(());
            }
            if let Some((left, right)) = at.children() {
                let below =
                    Below::Here(Self::Blank(left, hashes.clone()), Self::Blank(right, hashes.clone()));
                let parent = Parent { at: *at, members: 0, node: None, below, hash: KeptHash::new() };
                *self = Self::Parent(Arc::new(parent));
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
                parent.hash = KeptHash::new();
                edit(parent.at, &mut parent.node)?;
                let (left, right) = parent.below.here()?;
                let child = if left.at().is_above(leaf) { &mut *left } else { &mut *right };
                child.edit_path(leaf, slot, edit)?;
                parent.members = left.members() + right.members();
                if parent.members == 0 && parent.node.is_none() {
                    *self = Self::blank(parent.at);
                }
            }
        }
        Ok(())
    }
}

impl Parent {
    /// Left and right child; read from the store if they have not been.
    pub(crate) fn children(&self) -> Result<(&Subtree, &Subtree), Error> {
        match &self.below {
            Below::Here(left, right) => Ok((left, right)),
            Below::Stored(stored) => stored.children(self),
        }
    }

    /// The child with the leaf in it, and the other one.
    pub(crate) fn children_towards(&self, leaf: LeafIndex) -> Result<(&Subtree, &Subtree), Error> {
        let (left, right) = self.children()?;
        Ok(match left.at().is_above(leaf) {
            true => (left, right),
            false => (right, left),
        })
    }
}

impl Below {
    /// Both children, to be changed. They must have been read.
    pub(crate) fn here(&mut self) -> Result<(&mut Subtree, &mut Subtree), Error> {
        if let Self::Stored(stored) = self {
            let (left, right) = stored.take().ok_or(Error::Bug("a path is changed before it is read"))?;
            *self = Self::Here(left, right);
        }
        match self {
            Self::Here(left, right) => Ok((left, right)),
            Self::Stored(_) => Err(Error::Bug("children that were read are not there")),
        }
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
    type Item = Result<&'t Leaf, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.stack.pop()? {
                Subtree::Blank(..) => {}
                Subtree::Leaf(leaf) => return Some(Ok(leaf)),
                Subtree::Parent(parent) => match parent.children() {
                    Ok((left, right)) => self.stack.extend([right, left]),
                    Err(error) => {
                        self.stack.clear();
                        return Some(Err(error));
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a member takes in memory beside its bytes on the wire; ARCHITECTURE.md counts with it.
    #[test]
    fn a_place_in_the_tree_is_small() {
        assert_eq!((size_of::<Subtree>(), size_of::<Leaf>(), size_of::<Parent>()), (16, 24, 104));
    }
}
