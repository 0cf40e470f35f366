//! RFC 9420 §7.9: parent hashes.
//!
//! They chain every parent's key to a leaf whose signature vouches for it: a joiner learns from them that
//! the parents' keys were made by members below those parents, not by somebody who wants to listen.

use std::collections::BTreeMap;

use hushwood_codec::Writer;
use hushwood_crypto::{CipherSuite, Digest, HpkePublicKey};

use crate::error::{Error, Violation};
use crate::parallel::join;
use crate::tree::packed::ParentView;
use crate::tree::subtree::{Parent, Subtree};
use crate::tree::tree_hash::{MANY, OriginalHashes, split_at_parent};
use crate::tree::{LeafIndex, NodeIndex, ParentNode, PathStep, RatchetTree};

/// The hash of `ParentHashInput` (RFC 9420 §7.9, C146).
pub(crate) fn parent_hash(
    suite: &dyn CipherSuite,
    encryption_key: &[u8],
    parent_hash: &[u8],
    original_sibling_tree_hash: &Digest,
) -> Result<Digest, Error> {
    let mut input = Writer::with_capacity(256);
    input.opaque(encryption_key).opaque(parent_hash).value(original_sibling_tree_hash);
    Ok(suite.hash().hash(&[&input.finish()?]))
}

impl RatchetTree {
    /// The nodes of an update path with their parent hashes, and the parent hash of its leaf
    /// (RFC 9420 §7.5, §7.9, C136). Computed from the root down, so that each takes in all that are above.
    pub(crate) fn path_nodes(
        &self,
        path: &[(PathStep, &HpkePublicKey)],
    ) -> Result<(BTreeMap<NodeIndex, ParentNode>, Vec<u8>), Error> {
        let mut nodes = BTreeMap::new();
        // The topmost node has a zero-length parent hash, and so has the leaf of a path without nodes.
        let mut above = Vec::new();
        for (step, key) in path.iter().rev() {
            // The path has just been set, so nothing is unmerged: the original sibling is the current one.
            let sibling = self.node_hash(step.copath_child)?;
            let hash = parent_hash(self.suite, key.as_ref(), &above, &sibling)?;
            let encryption_key = HpkePublicKey::clone(key);
            nodes.insert(
                step.node,
                ParentNode { encryption_key, parent_hash: above, unmerged_leaves: Vec::new() },
            );
            above = hash.as_bytes().to_vec();
        }
        Ok((nodes, above))
    }

    /// Checks on joining that every non-blank parent is parent-hash valid (RFC 9420 §7.9.2).
    ///
    /// Each tree hash is computed once, and once more only where a sibling had other members when the
    /// parent was set. [`from_nodes`](Self::from_nodes) has checked the unmerged leaves before.
    ///
    /// # Errors
    /// [`Violation::ParentHash`].
    pub fn verify_parent_hashes(&self) -> Result<(), Error> {
        let mut hashes = OriginalHashes::new(self.suite);
        self.verify_below(&self.root, &mut hashes)
    }

    /// Verifies the parents of a subtree, children first. Recursion is as deep as the tree is high.
    fn verify_below(&self, subtree: &Subtree, hashes: &mut OriginalHashes<'_>) -> Result<(), Error> {
        let Subtree::Parent(parent) = subtree else { return Ok(()) };
        let (left, right) = parent.children()?;
        if parent.members > MANY {
            let verify = |subtree| {
                let mut hashes = OriginalHashes::new(self.suite);
                self.verify_below(subtree, &mut hashes).map(|()| hashes)
            };
            let (left, right) = join(true, || verify(left), || verify(right));
            hashes.extend(left?);
            hashes.extend(right?);
        } else {
            self.verify_below(left, hashes)?;
            self.verify_below(right, hashes)?;
        }
        let Some(node) = &parent.node else { return Ok(()) };
        let node = node.view()?;
        // RFC 9420 §7.9.2, C148, C334: there is exactly one descendant for which this parent is valid. By
        // induction that descendant is a leaf or is chained to one itself. That there are not two need not be
        // looked at: each would hold a hash of a subtree that holds the other, and so of itself.
        let valid = self.is_valid_for(parent, &node, Side::Left, hashes)?
            || self.is_valid_for(parent, &node, Side::Right, hashes)?;
        match valid {
            true => Ok(()),
            false => Err(Violation::ParentHash.into()),
        }
    }

    /// Whether the parent P is valid for a descendant on one side, given as C with the other child as S.
    fn is_valid_for(
        &self,
        parent: &Parent,
        node: &ParentView<'_>,
        side: Side,
        hashes: &mut OriginalHashes<'_>,
    ) -> Result<bool, Error> {
        let unmerged_leaves = node.unmerged_leaves();
        let (left, right) = split_at_parent(&unmerged_leaves, parent.at);
        let (left_child, right_child) = parent.children()?;
        let (child, unmerged, sibling, sibling_unmerged) = match side {
            Side::Left => (left_child, left, right_child, right),
            Side::Right => (right_child, right, left_child, left),
        };
        let Descendant::One(Some(claimed)) = descendant(child, unmerged)? else { return Ok(false) };
        // C147: the sibling's hash is that of the time before P's unmerged leaves were added.
        let original_sibling_tree_hash = hashes.get(sibling, sibling_unmerged)?;
        let hash =
            parent_hash(self.suite, node.encryption_key, node.parent_hash, &original_sibling_tree_hash)?;
        Ok(claimed == hash.as_bytes())
    }
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// The D of RFC 9420 §7.9.2 within a subtree, given P's unmerged leaves in it.
enum Descendant<'t> {
    /// The resolution holds nothing but unmerged leaves.
    None,
    /// It holds one node more: D, with its `parent_hash` field if it has one (C151: leaves from a
    /// KeyPackage or an Update have none and can't start a chain).
    One(Option<&'t [u8]>),
    /// No node fits.
    Unfit,
}

/// Finds D: it is in the resolution of C, and the resolution without it is P's unmerged leaves below C
/// (C149).
///
/// A resolution holds the nearest non-blank nodes and their unmerged leaves, so D is the only node of it
/// that is not unmerged at P, and each non-blank parent is D and has the same unmerged leaves as P.
fn descendant<'t>(subtree: &'t Subtree, unmerged: &[LeafIndex]) -> Result<Descendant<'t>, Error> {
    Ok(match subtree {
        Subtree::Blank(..) if unmerged.is_empty() => Descendant::None,
        Subtree::Blank(..) => Descendant::Unfit,
        Subtree::Leaf(leaf) if unmerged.is_empty() => Descendant::One(leaf.node.parent_hash()?),
        Subtree::Leaf(leaf) if unmerged == [leaf.index] => Descendant::None,
        Subtree::Leaf(_) => Descendant::Unfit,
        Subtree::Parent(parent) => match &parent.node {
            Some(node) => {
                let node = node.view()?;
                match node.unmerged_leaves() == unmerged {
                    true => Descendant::One(Some(node.parent_hash)),
                    false => Descendant::Unfit,
                }
            }
            None => {
                let (left, right) = split_at_parent(unmerged, parent.at);
                let (left_child, right_child) = parent.children()?;
                match descendant(left_child, left)? {
                    Descendant::None => descendant(right_child, right)?,
                    Descendant::Unfit => Descendant::Unfit,
                    one @ Descendant::One(_) => match descendant(right_child, right)? {
                        Descendant::None => one,
                        Descendant::One(_) | Descendant::Unfit => Descendant::Unfit,
                    },
                }
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tree::world::World;

    /// C147: two parents ask for one subtree as it was at different times.
    #[test]
    fn a_subtree_has_another_original_hash_for_each_parent_above_it() {
        let mut world = World::of(3, 9);
        let leaf = LeafIndex::new;
        // Of leaves 5 to 7 nobody is left; then leaf 0 sets the node over leaves 0 to 7, and the root.
        for gone in [5, 6, 7] {
            world.tree.remove(leaf(gone)).unwrap();
        }
        let set_by = |world: &mut World, sender| {
            let tree = world.tree.clone();
            world.tree = world.send(leaf(sender), tree, BTreeSet::new()).tree;
        };
        let add = |world: &mut World| {
            let (joiner, ..) = crate::tree::world::client(&mut world.dice);
            world.tree.add(joiner).unwrap()
        };
        set_by(&mut world, 0);
        assert_eq!(add(&mut world), leaf(5));
        // The root is set again, from the other side: leaf 5 is merged there.
        set_by(&mut world, 8);
        assert_eq!(add(&mut world), leaf(6));
        let unmerged =
            |node| world.tree.parent(NodeIndex::new(node).unwrap()).unwrap().unwrap().unmerged_leaves;
        assert_eq!((unmerged(7), unmerged(15)), (vec![leaf(5), leaf(6)], vec![leaf(6)]));
        assert_eq!(world.tree.verify_parent_hashes(), Ok(()));
    }
}
