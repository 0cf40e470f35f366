//! As much of the campaigns as ordinary tests have time for, and that a fault is seen.

use super::campaign::{Effort, TREES_OF_A_WORLD, Totals, shapes, world};
use super::dice::Dice;
use super::growth::Grown;
use super::joining::{Fault, faults};
use super::{mutation, shapes::count};
use crate::fake_crypto::SUITE;

#[test]
fn all_trees_up_to_four_leaves_are_as_the_rfc_says() {
    for leaves in [1, 2, 4] {
        let totals = shapes(leaves, Effort::ALL, |_| {});
        println!("{leaves} leaves: {totals}");
        assert!(totals.shapes <= count(leaves) && totals.taken > 0);
    }
}

#[test]
fn some_trees_of_eight_leaves_are_as_the_rfc_says() {
    let effort = Effort { every: 2999, all_chains: false, mutations: Some(4), changes: Some(2) };
    let totals = shapes(8, effort, |_| {});
    println!("{totals}");
    assert!(totals.taken > 100);
}

#[test]
fn trees_by_chance_are_as_the_rfc_says() {
    let mut totals = Totals::default();
    (0..60).for_each(|seed| totals.add(&world(seed)));
    println!("{totals}");
    assert_eq!(totals.trees + totals.mutated, 60 * TREES_OF_A_WORLD);
    let seen: Vec<Fault> = totals.refused.into_keys().collect();
    let all = [
        Fault::KeyLength,
        Fault::UnmergedOrder,
        Fault::SignatureKeyTwice,
        Fault::EncryptionKeyTwice,
        Fault::ParentHash,
        Fault::UnmergedLeaf,
        Fault::UnmergedBetween,
        Fault::Shape,
    ];
    assert_eq!(seen, all, "each rule is broken by some tree");
}

#[test]
fn shapes_are_counted() {
    assert_eq!([1, 2, 4, 8].map(count), [2, 13, 794, 5_948_072]);
}

/// The chain of each parent in turn: whichever field is changed, the tree is refused for it.
#[test]
fn a_chain_that_is_broken_at_any_node_is_seen() {
    let dice = &mut Dice::new(5);
    let mut grown = Grown::new(dice);
    grown.add(15, dice);
    (0..16).for_each(|leaf| grown.commit(2 * leaf, dice));
    let tree = grown.tree;
    assert!(faults(SUITE, tree.list()).is_empty());
    // Every node is D for the parent above, or below its S; and the root's own field is in its parent hash.
    for x in 0..tree.nodes.len() {
        let mutation = mutation::Mutation::ParentHash(x, mutation::Hash::Flipped);
        let list = mutation::mutated(&tree, mutation).unwrap();
        assert!(faults(SUITE, &list).contains(&Fault::ParentHash), "node {x}");
    }
}
