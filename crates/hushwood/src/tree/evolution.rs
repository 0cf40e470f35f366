//! RFC 9420 §7.7, §12.1.1 to §12.1.3: adding, updating and removing leaves.
//!
//! Only the public tree changes here; whether a change is allowed was decided before. What a removed or
//! updated member knew is blanked on its way to the root, so that nobody encrypts to it again.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{ApiMisuse, Error, NotNow, Violation};
use crate::tree::index::MAX_LEAVES;
use crate::tree::packed::{PackedLeaf, PackedParent};
use crate::tree::subtree::{EditParent, Subtree};
use crate::tree::tree_hash::split_at_parent;
use crate::tree::{LeafIndex, LeafNode, NodeIndex, ParentNode, RatchetTree};

impl RatchetTree {
    /// Applies an Add (RFC 9420 §12.1.1): the leaf goes to the leftmost blank place, or to the first new
    /// one after extending the tree (C143, C243).
    ///
    /// # Errors
    /// [`NotNow::Limit`] if the tree can't be extended any more.
    pub fn add(&mut self, leaf: LeafNode) -> Result<LeafIndex, Error> {
        let index = self.place(&leaf)?;
        add_unmerged(&mut self.root, &[index])?;
        Ok(index)
    }

    /// Applies many Adds, in their order: as [`add`](Self::add) for each, with each parent's list of unmerged
    /// leaves written once. One by one, the lists of the nodes above all of them would grow by the square.
    ///
    /// # Errors
    /// As [`add`](Self::add); the tree is then of no more use.
    pub fn add_all<'l>(
        &mut self,
        leaves: impl IntoIterator<Item = &'l LeafNode>,
    ) -> Result<Vec<LeafIndex>, Error> {
        let added = leaves.into_iter().map(|leaf| self.place(leaf)).collect::<Result<Vec<_>, Error>>()?;
        // The leftmost blank place is always further to the right than the one before it.
        add_unmerged(&mut self.root, &added)?;
        Ok(added)
    }

    /// Puts a leaf at its place and nothing else: for an Add, or to see whether the leaf fits.
    pub(crate) fn place(&mut self, leaf: &LeafNode) -> Result<LeafIndex, Error> {
        let index = self.next_free_leaf()?;
        self.extend_to(index)?;
        self.replace_leaf(index, Some(leaf), &mut |_, _| Ok(()))?;
        Ok(index)
    }

    /// Applies an Update (RFC 9420 §12.1.2): replaces a member's leaf and blanks its direct path (C245).
    ///
    /// # Errors
    /// [`ApiMisuse::LeafAbsent`] if the leaf is blank or beyond the tree.
    pub fn update(&mut self, index: LeafIndex, leaf: LeafNode) -> Result<(), Error> {
        if !self.is_member(index)? {
            return Err(ApiMisuse::LeafAbsent.into());
        }
        self.replace_path(index, Some(&leaf), BTreeMap::new())
    }

    /// Applies a Remove (RFC 9420 §12.1.3): blanks a leaf and its direct path, and truncates the tree.
    ///
    /// # Errors
    /// [`Violation::RemoveBlank`] if the leaf is blank or beyond the tree.
    pub fn remove(&mut self, index: LeafIndex) -> Result<(), Error> {
        // RFC 9420 §12.1.3, C246: `removed` names a non-blank leaf.
        if !self.is_member(index)? {
            return Err(Violation::RemoveBlank.into());
        }
        self.replace_path(index, None, BTreeMap::new())?;
        self.truncate()
    }

    /// Extends the tree (RFC 9420 §7.7, C143) if `index` is beyond it, where it must be the next free leaf.
    pub(crate) fn extend_to(&mut self, index: LeafIndex) -> Result<(), Error> {
        if index.number() >= self.leaf_count() {
            if index != self.next_free_leaf()? {
                return Err(ApiMisuse::LeafAbsent.into());
            }
            let leaves = self.leaf_count() << 1;
            if leaves > MAX_LEAVES {
                return Err(NotNow::Limit.into());
            }
            let root = NodeIndex::root(leaves);
            let (_, right) = root.children().ok_or(Error::Bug("a root without children"))?;
            let left = std::mem::replace(&mut self.root, Subtree::blank(root));
            self.root = Subtree::parent(root, None, left, Subtree::blank(right));
        }
        Ok(())
    }

    /// Drops the right half for as long as it is blank (RFC 9420 §7.7, C144). One leaf stays.
    fn truncate(&mut self) -> Result<(), Error> {
        while let Subtree::Parent(parent) = &self.root {
            let (left, right) = parent.children()?;
            if !right.is_blank() {
                break;
            }
            if let Some(node) = &parent.node {
                self.keys.remove_encryption(&node.view()?.encryption_key(), parent.at);
            }
            self.root = left.clone();
        }
        if self.root.is_blank() {
            self.root = Subtree::blank(NodeIndex::root(1));
        }
        Ok(())
    }

    /// Replaces a leaf, blanks its direct path, and sets the given nodes of it (RFC 9420 §7.5). If it fails,
    /// the tree is of no more use.
    pub(crate) fn replace_path(
        &mut self,
        index: LeafIndex,
        leaf: Option<&LeafNode>,
        nodes: BTreeMap<NodeIndex, ParentNode>,
    ) -> Result<(), Error> {
        let mut removed = Vec::new();
        self.replace_leaf(index, leaf, &mut |at, node| {
            if let Some(old) = node.take() {
                removed.push((at, old.view()?.encryption_key()));
            }
            *node = nodes.get(&at).map(PackedParent::new).transpose()?;
            Ok(())
        })?;
        for (at, key) in removed {
            self.keys.remove_encryption(&key, at);
        }
        for (at, node) in &nodes {
            self.keys.insert_encryption(&node.encryption_key, *at, &self.root)?;
        }
        Ok(())
    }

    /// Replaces a leaf and moves what is counted and indexed of it; parents above go through `edit`.
    fn replace_leaf(
        &mut self,
        index: LeafIndex,
        leaf: Option<&LeafNode>,
        edit: EditParent<'_>,
    ) -> Result<(), Error> {
        let Some(at) = index.node() else { return Ok(()) };
        let mut slot = leaf.map(PackedLeaf::new).transpose()?;
        self.root.load_path(index)?;
        self.root.edit_path(index, &mut slot, edit)?;
        let old = slot.map(|old| old.unpack()).transpose()?;
        if let Some(old) = &old {
            self.keys.remove_encryption(&old.encryption_key, at);
            self.keys.remove_signature(&old.signature_key, index);
        }
        if let Some(new) = leaf {
            self.keys.insert_encryption(&new.encryption_key, at, &self.root)?;
            self.keys.insert_signature(&new.signature_key, index, &self.root)?;
        }
        self.capabilities.replace(old.as_ref(), leaf);
        Ok(())
    }
}

/// Lists new leaves, which have been placed and are in increasing order, at the parents above them. Recursion
/// is as deep as the tree is high.
fn add_unmerged(subtree: &mut Subtree, new: &[LeafIndex]) -> Result<(), Error> {
    let Subtree::Parent(shared) = subtree else { return Ok(()) };
    if new.is_empty() {
        return Ok(());
    }
    // Placing the leaves has forgotten the hash, and nobody shares the node any more.
    let parent = Arc::make_mut(shared);
    // RFC 9420 §12.1.1, C243: a new leaf is unmerged at every non-blank parent above it.
    if let Some(node) = &mut parent.node {
        *node = match new {
            [leaf] => node.with_unmerged_leaf(*leaf)?,
            _ => {
                let mut unmerged = node.unmerged_leaves()?;
                unmerged.extend(new);
                unmerged.sort_unstable();
                node.with_unmerged_leaves(unmerged)?
            }
        };
    }
    let (new_left, new_right) = split_at_parent(new, parent.at);
    let (left, right) = parent.below.here()?;
    add_unmerged(left, new_left)?;
    add_unmerged(right, new_right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SUITE;
    use crate::tree::oracle::leaf_node;

    fn tree(members: u64) -> RatchetTree {
        let mut tree = RatchetTree::new(SUITE, leaf_node(0)).unwrap();
        (1..members).for_each(|number| _ = tree.add(leaf_node(number)).unwrap());
        tree
    }

    #[test]
    fn the_tree_doubles_when_it_is_full_and_halves_when_a_half_is_empty() {
        let mut tree = tree(4);
        assert_eq!((tree.leaf_count(), tree.next_free_leaf()), (4, Ok(LeafIndex::new(4))));
        assert_eq!(tree.add(leaf_node(4)), Ok(LeafIndex::new(4)));
        assert_eq!((tree.leaf_count(), tree.next_free_leaf()), (8, Ok(LeafIndex::new(5))));
        tree.remove(LeafIndex::new(2)).unwrap();
        assert_eq!((tree.leaf_count(), tree.next_free_leaf()), (8, Ok(LeafIndex::new(2))));
        tree.remove(LeafIndex::new(4)).unwrap();
        assert_eq!(tree.leaf_count(), 4);
        tree.remove(LeafIndex::new(3)).unwrap();
        assert_eq!(tree.leaf_count(), 2);
        tree.remove(LeafIndex::new(1)).unwrap();
        assert_eq!(tree.leaf_count(), 1);
        // The last member leaves only for an external commit to take its place.
        tree.remove(LeafIndex::new(0)).unwrap();
        assert_eq!((tree.leaf_count(), tree.member_count()), (1, 0));
        assert_eq!(tree.add(leaf_node(9)), Ok(LeafIndex::new(0)));
    }

    #[test]
    fn blank_leaves_and_leaves_beyond_the_tree_are_neither_updated_nor_removed() {
        let mut tree = tree(5);
        tree.remove(LeafIndex::new(1)).unwrap();
        for leaf in [1, 5, 7, 8, 1 << 24, 1 << 30, u32::MAX / 2, u32::MAX].map(LeafIndex::new) {
            assert_eq!(tree.remove(leaf), Err(Violation::RemoveBlank.into()));
            assert_eq!(tree.update(leaf, leaf_node(9)), Err(ApiMisuse::LeafAbsent.into()));
            assert_eq!(tree.leaf(leaf), Ok(None));
            assert_eq!(tree.filtered_direct_path(leaf).is_ok(), leaf.number() < 8);
        }
        let beyond = NodeIndex::new(15).unwrap();
        assert_eq!(tree.resolution(beyond), Err(ApiMisuse::NodeAbsent.into()));
        assert_eq!(tree.node_hash(beyond), Err(ApiMisuse::NodeAbsent.into()));
        assert_eq!(tree.parent(beyond), Ok(None));
    }

    #[test]
    fn two_members_may_swap_keys_within_a_commit() {
        let mut tree = tree(3);
        let (mut first, mut second) = (leaf_node(10), leaf_node(11));
        first.encryption_key = leaf_node(1).encryption_key;
        second.signature_key = leaf_node(0).signature_key;
        tree.update(LeafIndex::new(0), first).unwrap();
        assert_eq!(tree.check_unique_keys(), Err(Violation::EncryptionKeyReused.into()));
        tree.update(LeafIndex::new(1), second).unwrap();
        assert_eq!(tree.check_unique_keys(), Ok(()));
    }

    #[test]
    fn many_leaves_are_added_as_one_by_one() {
        use crate::tree::world::{World, nodes};

        for (members, removed) in [(1_u32, &[][..]), (5, &[1, 3]), (8, &[0, 6]), (11, &[2, 5, 7, 8])] {
            for committer in [None, Some(4)] {
                let mut world = World::of(2, usize::try_from(members).unwrap());
                if let Some(committer) = committer.filter(|leaf| *leaf < members) {
                    let removed: Vec<_> = removed.iter().copied().map(LeafIndex::new).collect();
                    world.commit(LeafIndex::new(committer), 0, &[], &removed);
                }
                for count in [0, 1, 2, 7, 20] {
                    let leaves: Vec<_> = (0..count).map(|number| leaf_node(1000 + number)).collect();
                    let (mut one_by_one, mut together) = (world.tree.clone(), world.tree.clone());
                    let single: Vec<_> =
                        leaves.iter().map(|leaf| one_by_one.add(leaf.clone()).unwrap()).collect();
                    assert_eq!(together.add_all(&leaves), Ok(single));
                    assert_eq!(nodes(&together), nodes(&one_by_one));
                    assert_eq!(together.tree_hash(), one_by_one.tree_hash());
                }
            }
        }
    }

    /// C100, C243: also where a leaf to the right was added before, as in a tree that was joined.
    #[test]
    fn lists_of_unmerged_leaves_stay_in_order() {
        use crate::tree::Node;

        let parent = |number, unmerged: &[u32]| {
            Some(Node::Parent(ParentNode {
                encryption_key: leaf_node(number).encryption_key,
                parent_hash: vec![],
                unmerged_leaves: unmerged.iter().copied().map(LeafIndex::new).collect(),
            }))
        };
        let leaf = |number| Some(Node::Leaf(leaf_node(number)));
        let nodes = vec![leaf(0), None, None, parent(10, &[3]), leaf(2), parent(11, &[3]), leaf(3)];
        let mut tree = RatchetTree::from_nodes(SUITE, nodes, 8).unwrap();
        assert_eq!(tree.add(leaf_node(20)), Ok(LeafIndex::new(1)));
        let root = tree.parent(tree.root()).unwrap().unwrap();
        assert_eq!(root.unmerged_leaves, [1, 3].map(LeafIndex::new));
        let other = tree.parent(NodeIndex::new(5).unwrap()).unwrap().unwrap();
        assert_eq!(other.unmerged_leaves, [LeafIndex::new(3)]);
    }
}
