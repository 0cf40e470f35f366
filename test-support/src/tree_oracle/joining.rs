//! RFC 9420 §7.9.2, §12.4.3.1, §12.4.3.3: what a client that joins has to look at, apart from what single leaves say.

use std::collections::BTreeSet;

use hushwood_crypto::CipherSuite;

use super::array::{direct_path, is_descendant, is_in_subtree, left, level, right};
use super::tree::{Node, Tree};

/// A rule that a tree breaks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// §5.1.1: a key is not as long as those of the suite.
    KeyLength,
    /// §7.1: unmerged leaves are not in increasing order.
    UnmergedOrder,
    /// §7.3: two leaves have one signature key.
    SignatureKeyTwice,
    /// §7.3, §12.4.3.1: two nodes have one encryption key.
    EncryptionKeyTwice,
    /// §7.9.2: a parent is not parent-hash valid.
    ParentHash,
    /// §12.4.3.1: an unmerged leaf is blank, or no descendant of the parent.
    UnmergedLeaf,
    /// §12.4.3.1: a node between an unmerged leaf and the parent does not have it.
    UnmergedBetween,
    /// §12.4.3.3: the last node is blank, a leaf is at an odd place or a parent at an even one.
    Shape,
}

/// All rules that a list of nodes breaks.
#[must_use]
pub fn faults(suite: &'static dyn CipherSuite, list: &[Option<Node>]) -> BTreeSet<Fault> {
    // §12.4.3.3: "The receiver MUST check that the last node in ratchet_tree is non-blank". "The leaves of the tree are
    // stored in even-numbered entries in the array".
    let in_place = |(x, node): (usize, &Option<Node>)| match node {
        None => true,
        Some(Node::Leaf(_)) => level(x) == 0,
        Some(Node::Parent(_)) => level(x) > 0,
    };
    if !list.last().is_some_and(Option::is_some) || !list.iter().enumerate().all(in_place) {
        // What is no tree has nothing that could be said of trees.
        return BTreeSet::from([Fault::Shape]);
    }
    let tree = Tree::of_list(suite, list);
    let rules = [
        (Fault::KeyLength, tree.keys_have_the_length_of_the_suite()),
        (Fault::UnmergedOrder, tree.unmerged_leaves_are_in_order()),
        (Fault::SignatureKeyTwice, tree.signature_keys_are_unique()),
        (Fault::EncryptionKeyTwice, tree.encryption_keys_are_unique()),
        (Fault::ParentHash, tree.all_parents_are_parent_hash_valid()),
        (Fault::UnmergedLeaf, tree.unmerged_leaves_are_leaves_below()),
        (Fault::UnmergedBetween, tree.nodes_between_have_unmerged_leaves()),
    ];
    rules.into_iter().filter(|(_, holds)| !holds).map(|(fault, _)| fault).collect()
}

impl Tree {
    fn keys_have_the_length_of_the_suite(&self) -> bool {
        let length = self.suite.kem().public_key_length();
        self.nodes.iter().flatten().all(|node| node.encryption_key().len() == length)
    }

    /// §7.1: "the entries in the unmerged_leaves vector MUST be sorted in increasing order".
    fn unmerged_leaves_are_in_order(&self) -> bool {
        let in_order = |entries: &[u32]| entries.windows(2).all(|pair| pair[0] < pair[1]);
        self.parents()
            .into_iter()
            .all(|p| self.parent(p).is_some_and(|parent| in_order(&parent.unmerged_leaves)))
    }

    /// §7.3: "Verify that the following fields are unique among the members of the group: signature_key,
    /// encryption_key".
    fn signature_keys_are_unique(&self) -> bool {
        let keys = self.members().into_iter().filter_map(|x| Some(&self.leaf(x)?.node().signature_key.0));
        let keys: Vec<_> = keys.collect();
        BTreeSet::from_iter(&keys).len() == keys.len()
    }

    /// §12.4.3.1: "Verify that the encryption key in the parent node does not appear in any other node of the tree."
    fn encryption_keys_are_unique(&self) -> bool {
        let keys: Vec<_> = self.nodes.iter().flatten().map(Node::encryption_key).collect();
        BTreeSet::from_iter(&keys).len() == keys.len()
    }

    /// §12.4.3.1: "Verify that the entry represents a non-blank leaf node that is a descendant of the parent node."
    fn unmerged_leaves_are_leaves_below(&self) -> bool {
        let entries = |p| self.parent(p).into_iter().flat_map(|parent| &parent.unmerged_leaves);
        self.parents().into_iter().all(|p| entries(p).all(|leaf| self.has_leaf_below(*leaf, p)))
    }

    /// §12.4.3.1: "Verify that every non-blank intermediate node between the leaf node and the parent node also has an
    /// entry for the leaf node in its unmerged_leaves."
    fn nodes_between_have_unmerged_leaves(&self) -> bool {
        let has = |p: usize, leaf: u32| {
            let l = usize::try_from(leaf).unwrap() * 2;
            let between = direct_path(l, self.leaves()).into_iter().take_while(|x| *x != p);
            between.filter_map(|x| self.parent(x)).all(|parent| parent.unmerged_leaves.contains(&leaf))
        };
        let entries = |p| self.parent(p).into_iter().flat_map(|parent| &parent.unmerged_leaves);
        // An entry that is no descendant has nothing in between.
        let below = |p, leaf: u32| is_descendant(usize::try_from(leaf).unwrap() * 2, p, self.leaves());
        self.parents().into_iter().all(|p| entries(p).all(|leaf| !below(p, *leaf) || has(p, *leaf)))
    }

    /// §7.9.2: "The parent hash in a node D is valid with respect to a parent node P if the following criteria hold. Here
    /// C and S are the children of P, with C being the child that is on the direct path of D (possibly D itself)".
    fn is_valid_with_respect_to(&self, d: usize, p: usize) -> bool {
        // "D is a descendant of P in the tree."
        if !is_descendant(d, p, self.leaves()) {
            return false;
        }
        let on_the_left = is_in_subtree(d, left(p), self.leaves());
        let (c, s) = if on_the_left { (left(p), right(p)) } else { (right(p), left(p)) };
        if !self.are_neighbours(d, c, p) {
            return false;
        }
        // "The parent_hash field of D is equal to the parent hash of P with copath child S."
        let parent_hash = self.nodes[d].as_ref().and_then(Node::parent_hash);
        parent_hash.is_some_and(|parent_hash| parent_hash == self.parent_hash(p, s).as_bytes())
    }

    /// "D is in the resolution of C, and the intersection of P's unmerged_leaves with the subtree under C is equal to the
    /// resolution of C with D removed."
    pub(super) fn are_neighbours(&self, d: usize, c: usize, p: usize) -> bool {
        let resolution = self.resolution(c);
        if !resolution.contains(&d) {
            return false;
        }
        let without_d: BTreeSet<usize> = resolution.into_iter().filter(|x| *x != d).collect();
        without_d == self.unmerged_within(p, c).into_iter().collect()
    }

    /// §7.9.2, in both ways in which "this can be done"; they must come to the same.
    fn all_parents_are_parent_hash_valid(&self) -> bool {
        let pairs = self.valid_pairs();
        let bottom_up = self.is_valid_bottom_up(&pairs);
        // "top down": "there is exactly one descendant of each non-blank parent node for which the parent node is
        // parent-hash valid."
        let descendants = |p| pairs.iter().filter(|(_, parent)| *parent == p).count();
        let top_down = self.parents().into_iter().all(|p| descendants(p) == 1);
        assert_eq!(bottom_up, top_down, "both ways come to the same");
        top_down
    }

    /// All D with the P that they are valid with respect to.
    fn valid_pairs(&self) -> Vec<(usize, usize)> {
        let there = (0..self.nodes.len()).filter(|x| self.nodes[*x].is_some());
        // Whatever is a descendant of P has P in its direct path.
        let above = |d| direct_path(d, self.leaves()).into_iter().filter(|p| self.parent(*p).is_some());
        let pairs = there.flat_map(|d| above(d).map(move |p| (d, p)));
        pairs.filter(|(d, p)| self.is_valid_with_respect_to(*d, *p)).collect()
    }

    /// "bottom up": "building chains up from leaves and verifying that all non-blank parent nodes are covered by exactly
    /// one such chain".
    fn is_valid_bottom_up(&self, pairs: &[(usize, usize)]) -> bool {
        let mut covered = vec![0; self.nodes.len()];
        for leaf in self.members() {
            let mut ends = vec![leaf];
            while let Some(end) = ends.pop() {
                for (_, p) in pairs.iter().filter(|(d, _)| *d == end) {
                    covered[*p] += 1;
                    ends.push(*p);
                }
            }
        }
        self.parents().into_iter().all(|p| covered[p] == 1)
    }
}
