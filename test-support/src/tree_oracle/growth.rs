//! Trees by chance: grown as groups grow, or put together of anything.

use std::sync::Arc;

use hushwood::credential::Credential;
use hushwood::extension::Extensions;
use hushwood::tree::{Capabilities, LeafNode, LeafNodeSource, Lifetime, NewLeaf, NewPath, RatchetTree};
use hushwood_crypto::{HpkePublicKey, Secret, SignaturePrivateKey, SignaturePublicKey, SoftwareSigner};

use super::array::{direct_path, level, node_width};
use super::dice::Dice;
use super::judge::leaf_index;
use super::shapes::some_leaf;
use super::tree::{Leaf, Node, Parent, Tree};
use crate::fake_crypto::SUITE;

/// A leaf as in a KeyPackage, that is like no other with another number.
#[must_use]
pub fn leaf_node(number: u64) -> LeafNode {
    let dice = &mut Dice::new(number);
    LeafNode {
        encryption_key: HpkePublicKey(dice.key()),
        signature_key: SignaturePublicKey(dice.key()),
        credential: Credential::basic("somebody"),
        capabilities: Capabilities::default(),
        leaf_node_source: LeafNodeSource::KeyPackage(lifetime()),
        extensions: Extensions::new(),
        signature: vec![0; 16],
    }
}

/// Any lifetime.
#[must_use]
pub fn lifetime() -> Lifetime {
    Lifetime { not_before: 0, not_after: u64::MAX }
}

/// A group's tree, in the library and literally.
#[derive(Clone)]
pub struct Grown {
    /// The library's.
    pub fast: RatchetTree,
    /// The literal one.
    pub tree: Tree,
}

impl Grown {
    /// A group of one.
    #[must_use]
    pub fn new(dice: &mut Dice) -> Self {
        let leaf = leaf_node(dice.number());
        let fast = RatchetTree::new(SUITE, leaf.clone()).unwrap();
        Self { fast, tree: Tree::new(SUITE, Leaf::new(leaf)) }
    }

    /// One thing that happens to a group: Adds, an Update, Removes, a commit's path, an external commit.
    pub fn step(&mut self, most: usize, dice: &mut Dice) {
        let members = self.tree.members();
        let somebody = members[dice.below(members.len())];
        match dice.below(12) {
            0..4 if members.len() < most => self.add(1 + dice.below((most - members.len()).min(6)), dice),
            4 => self.update(somebody, dice),
            5 | 6 => {
                let count = 1 + dice.below(3);
                for _ in 0..count {
                    let members = self.tree.members();
                    if members.len() > 1 {
                        self.remove(members[dice.below(members.len())]);
                    }
                }
            }
            7 if members.len() < most => self.join_by_external_commit(dice),
            // One half goes, from the right: the tree is truncated.
            8 if members.len() > 4 && dice.once_in(3) => {
                members[members.len() / 2..].iter().rev().for_each(|x| self.remove(*x));
            }
            _ => self.commit(somebody, dice),
        }
    }

    /// Adds without a path.
    pub fn add(&mut self, count: usize, dice: &mut Dice) {
        let leaves: Vec<_> = (0..count).map(|_| leaf_node(dice.number())).collect();
        let places: Vec<_> = leaves.iter().map(|leaf| self.tree.add(Leaf::new(leaf.clone()))).collect();
        let added = match dice.once_in(2) {
            true => self.fast.add_all(&leaves).unwrap(),
            false => leaves.into_iter().map(|leaf| self.fast.add(leaf).unwrap()).collect(),
        };
        assert_eq!(added, places.into_iter().map(leaf_index).collect::<Vec<_>>());
    }

    /// An Update.
    pub fn update(&mut self, x: usize, dice: &mut Dice) {
        let node = leaf_node(dice.number());
        let leaf = LeafNode { leaf_node_source: LeafNodeSource::Update, ..node };
        self.fast.update(leaf_index(x), leaf.clone()).unwrap();
        self.tree.update(x, Leaf::new(leaf));
    }

    /// A Remove.
    pub fn remove(&mut self, x: usize) {
        self.fast.remove(leaf_index(x)).unwrap();
        self.tree.remove(x);
    }

    /// A commit's path.
    pub fn commit(&mut self, x: usize, dice: &mut Dice) {
        let leaf = self.tree.leaf(x).unwrap().node().clone();
        self.path(x, &leaf, dice);
    }

    /// Somebody joins by a path, at the leftmost blank leaf.
    pub fn join_by_external_commit(&mut self, dice: &mut Dice) {
        // §12.4.3.2: as "if it had been added with an Add proposal", but that its path sets all nodes above it.
        let leaf = leaf_node(dice.number());
        let free = (0..self.tree.nodes.len()).step_by(2).find(|x| self.tree.nodes[*x].is_none());
        let x = free.unwrap_or_else(|| {
            self.tree.extend();
            self.tree.nodes.len() / 2 + 1
        });
        self.path(x, &leaf, dice);
    }

    fn path(&mut self, x: usize, old: &LeafNode, dice: &mut Dice) {
        let key = SignaturePrivateKey(Secret::copy_of(&old.signature_key.0));
        let signer = SoftwareSigner::new(SUITE, key).unwrap();
        let index = leaf_index(x);
        NewPath::generate(&mut self.fast, index, NewLeaf::successor(old), (b"group", &signer), dice).unwrap();
        // Keys are drawn by the library, and so is the leaf signed; all else is computed again.
        let new = self.fast.leaf(index).unwrap().unwrap();
        let steps = self.fast.filtered_direct_path(index).unwrap();
        let keys = steps.iter().map(|step| self.fast.encryption_key(step.node).unwrap().unwrap().0).collect();
        self.tree.set_path(x, keys, |parent_hash| {
            Leaf::new(LeafNode { leaf_node_source: LeafNodeSource::Commit { parent_hash }, ..new })
        });
    }
}

/// A tree put together of anything: some nodes blank, some leaves unmerged. Parents are chained where they can be.
#[must_use]
pub fn put_together(most: usize, dice: &mut Dice) -> Tree {
    let leaves = 1_usize << dice.below(usize::try_from(most.ilog2()).unwrap() + 1);
    let mut tree = Tree { suite: SUITE, nodes: vec![None; node_width(leaves)] };
    let [blank_leaves, blank_parents] = [1 + dice.below(8), 1 + dice.below(4)];
    for x in 0..tree.nodes.len() {
        if level(x) == 0 {
            let blank = blank_leaves < 6 && dice.once_in(1 + blank_leaves);
            tree.nodes[x] = (!blank).then(|| Node::Leaf(Arc::new(some_leaf(dice))));
        } else if !dice.once_in(1 + blank_parents) {
            let parent_hash = if dice.once_in(2) { Vec::new() } else { dice.key() };
            let parent = Parent { encryption_key: dice.key(), parent_hash, unmerged_leaves: Vec::new() };
            tree.nodes[x] = Some(Node::Parent(parent));
        }
    }
    unmerge(&mut tree, dice);
    // Blank nodes at the end are not sent, so the tree may be a narrower one.
    let mut tree = Tree::of_list(SUITE, tree.list());
    if !dice.once_in(8) {
        blank_what_nobody_set(&mut tree);
    }
    tree.chain(&mut |count| dice.below(count));
    tree
}

/// Some leaves are unmerged from their lowest parent on up to some height; seldom also elsewhere.
fn unmerge(tree: &mut Tree, dice: &mut Dice) {
    let (often, wild) = (1 + dice.below(6), dice.once_in(16));
    for x in tree.members() {
        let mut listed = dice.once_in(often + 1);
        for p in direct_path(x, tree.leaves()) {
            let Some(Node::Parent(parent)) = &mut tree.nodes[p] else { continue };
            if listed || wild && dice.once_in(16) {
                parent.unmerged_leaves.push(u32::try_from(x / 2).unwrap());
            }
            listed &= !dice.once_in(2);
        }
    }
}

/// Parents that no leaf below can vouch for would make every such tree invalid: they are blank.
fn blank_what_nobody_set(tree: &mut Tree) {
    while let Some(p) = tree.parents().into_iter().find(|p| tree.candidates(*p).is_empty()) {
        tree.nodes[p] = None;
    }
    *tree = Tree::of_list(tree.suite, tree.list());
}
