//! All trees up to eight leaves: every choice of blank nodes, and every legal choice of unmerged leaves.
//!
//! A list of unmerged leaves is legal if its entries are non-blank leaves below, and all non-blank nodes between have
//! them too. So for each leaf there is one number: how many of the non-blank parents above it, from the lowest on, list
//! it. Of these there are 2 trees of width 1, 13 of width 2, 794 of width 4 and 5,948,072 of width 8, the blank ones and
//! those that are sent as a narrower one among them.

use std::sync::Arc;

use hushwood::tree::LeafNodeSource;
use hushwood_crypto::CipherSuite;

use super::array::{direct_path, level, node_width};
use super::dice::Dice;
use super::growth::leaf_node;
use super::tree::{Leaf, Node, Parent, Tree};

/// What a tree looks like, without keys and hashes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shape {
    leaves: usize,
    /// Which parents are not blank: one bit for each node.
    parents: u32,
    /// For each leaf: `None` if it is blank, or how many of the parents above list it.
    listed_above: Vec<Option<usize>>,
}

/// How many shapes of a width there are.
#[must_use]
pub fn count(leaves: usize) -> u64 {
    fn below(level: u32, above: u64) -> u64 {
        match level {
            0 => above + 2,
            _ => below(level - 1, above).pow(2) + below(level - 1, above + 1).pow(2),
        }
    }
    below(leaves.ilog2(), 0)
}

/// Hands out all shapes of a width, a power of two.
pub fn each(leaves: usize, mut take: impl FnMut(&Shape)) {
    let odd: Vec<usize> = (0..node_width(leaves)).filter(|x| level(*x) > 0).collect();
    for chosen in 0..1_u32 << odd.len() {
        let bit = |(place, x): (usize, &usize)| ((chosen >> place) & 1) << x;
        let parents: u32 = odd.iter().enumerate().map(bit).sum();
        let above = |leaf: usize| {
            direct_path(2 * leaf, leaves).into_iter().filter(|x| (parents >> x) & 1 == 1).count()
        };
        // A counter, with a digit for each leaf: blank, or a number from 0 to that of the parents above.
        let highest: Vec<usize> = (0..leaves).map(above).collect();
        let mut shape = Shape { leaves, parents, listed_above: vec![None; leaves] };
        loop {
            take(&shape);
            let Some(digit) = (0..leaves).find(|leaf| shape.listed_above[*leaf] != Some(highest[*leaf]))
            else {
                break;
            };
            shape.listed_above[..digit].fill(None);
            shape.listed_above[digit] = Some(shape.listed_above[digit].map_or(0, |count| count + 1));
        }
    }
}

impl Shape {
    /// True for what is not sent as such: it has no node, or none to the right of the root's left child.
    #[must_use]
    pub fn is_narrower(&self) -> bool {
        let half = self.leaves / 2;
        let right = self.listed_above[half..].iter().any(Option::is_some);
        !right && (self.parents >> (self.leaves - 1)) == 0
    }

    /// A tree of this shape. What its leaves came from and what its fields hold is from the dice.
    #[must_use]
    pub fn tree(&self, suite: &'static dyn CipherSuite, dice: &mut Dice) -> Tree {
        let mut tree = Tree { suite, nodes: vec![None; node_width(self.leaves)] };
        for x in (0..tree.nodes.len()).filter(|x| (self.parents >> x) & 1 == 1) {
            let parent_hash = if dice.once_in(2) { Vec::new() } else { dice.key() };
            let parent = Parent { encryption_key: dice.key(), parent_hash, unmerged_leaves: Vec::new() };
            tree.nodes[x] = Some(Node::Parent(parent));
        }
        for (leaf, listed_above) in self.listed_above.iter().enumerate() {
            let Some(listed_above) = listed_above else { continue };
            tree.nodes[2 * leaf] = Some(Node::Leaf(Arc::new(some_leaf(dice))));
            let above = direct_path(2 * leaf, self.leaves).into_iter();
            let above: Vec<usize> =
                above.filter(|x| (self.parents >> x) & 1 == 1).take(*listed_above).collect();
            for x in above {
                let Some(Node::Parent(parent)) = &mut tree.nodes[x] else { continue };
                parent.unmerged_leaves.push(u32::try_from(leaf).unwrap());
            }
        }
        tree
    }
}

/// A leaf with any source.
#[must_use]
pub fn some_leaf(dice: &mut Dice) -> Leaf {
    let leaf = Leaf::new(leaf_node(dice.number()));
    match dice.below(4) {
        0 => leaf.with_source(LeafNodeSource::Update),
        1 => leaf.with_source(LeafNodeSource::Commit { parent_hash: Vec::new() }),
        2 => leaf.with_source(LeafNodeSource::Commit { parent_hash: dice.key() }),
        _ => leaf,
    }
}
