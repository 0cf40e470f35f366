//! Parent hashes for any shape: those it would have, had its parents been set in the one order that leads there.

use std::sync::Arc;

use hushwood::tree::LeafNodeSource;

use super::array::{left, level, right};
use super::tree::{Node, Tree};

impl Tree {
    /// The nodes D that a parent P can be chained to, each with its C and S: at most one on either side.
    #[must_use]
    pub fn candidates(&self, p: usize) -> Vec<(usize, usize, usize)> {
        let sides = [(left(p), right(p)), (right(p), left(p))];
        let below = |(c, s): (usize, usize)| {
            self.resolution(c)
                .into_iter()
                .filter(move |d| self.are_neighbours(*d, c, p))
                .map(move |d| (d, c, s))
        };
        sides.into_iter().flat_map(below).collect()
    }

    /// Chains every parent that can be, to the candidate that `choose` names (it gets their number, never 0). What is
    /// not D for any P keeps what it has. Tells whether all parents are chained, so that the tree is valid.
    pub fn chain(&mut self, choose: &mut dyn FnMut(usize) -> usize) -> bool {
        self.chain_below(self.nodes.len() / 2, choose)
    }

    fn chain_below(&mut self, x: usize, choose: &mut dyn FnMut(usize) -> usize) -> bool {
        if level(x) == 0 {
            return true;
        }
        let candidates = if self.parent(x).is_some() { self.candidates(x) } else { Vec::new() };
        let Some((d, c, s)) = candidates.get(choose(candidates.len().max(1))).copied() else {
            let below = [left(x), right(x)].map(|child| self.chain_below(child, choose));
            return self.parent(x).is_none() && below == [true, true];
        };
        // What is below S was there before P was set; P's own field is there by now.
        let below_s = self.chain_below(s, choose);
        let hash = self.parent_hash(x, s).as_bytes().to_vec();
        self.set_parent_hash(d, hash);
        self.chain_below(c, choose) && below_s
    }

    /// Sets the `parent_hash` field of a node. A leaf becomes one that came with a commit.
    pub fn set_parent_hash(&mut self, d: usize, parent_hash: Vec<u8>) {
        match &mut self.nodes[d] {
            Some(Node::Parent(parent)) => parent.parent_hash = parent_hash,
            Some(Node::Leaf(leaf)) => {
                *leaf = Arc::new(leaf.with_source(LeafNodeSource::Commit { parent_hash }));
            }
            None => panic!("a blank node has no field"),
        }
    }
}
