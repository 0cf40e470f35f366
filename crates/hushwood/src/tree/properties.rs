//! Random trees: whatever happens to them, the tree that remembers agrees with the one that does not.

use std::collections::BTreeMap;

use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{HpkePublicKey, Random};

use crate::testing::SUITE;
use crate::tree::oracle::{Oracle, leaf_node};
use crate::tree::world::{Dice, World};
use crate::tree::{
    LeafIndex, LeafNodeSource, Node, NodeIndex, NodeRecord, ParentNode, PrivateTree, RatchetTree,
};

/// One random change to both.
fn change(tree: &mut RatchetTree, oracle: &mut Oracle, dice: &mut Dice) {
    let members: Vec<LeafIndex> = tree.members().map(|member| member.unwrap().0).collect();
    let some = members[dice.below(members.len())];
    let leaf = leaf_node(dice.number());
    match dice.below(8) {
        0..3 => assert_eq!(tree.add(leaf.clone()).unwrap(), oracle.add(leaf)),
        3 => {
            tree.update(some, leaf.clone()).unwrap();
            oracle.update(some, leaf);
        }
        4..6 if members.len() > 1 => {
            tree.remove(some).unwrap();
            oracle.remove(some);
        }
        _ => commit(tree, oracle, some, dice),
    }
}

/// Sets keys along a member's filtered direct path, without the cryptography.
fn commit(tree: &mut RatchetTree, oracle: &mut Oracle, leaf: LeafIndex, dice: &mut Dice) {
    let mut nodes = BTreeMap::new();
    for step in tree.filtered_direct_path(leaf).unwrap() {
        let mut encryption_key = HpkePublicKey(vec![0; 32]);
        dice.0.fill(&mut encryption_key.0).unwrap();
        nodes.insert(step.node, ParentNode { encryption_key, parent_hash: vec![], unmerged_leaves: vec![] });
    }
    let new = leaf_node(dice.number());
    oracle.update(leaf, new.clone());
    for (at, node) in &nodes {
        oracle.0[usize::try_from(at.number()).unwrap()] = Some(Node::Parent(node.clone()));
    }
    tree.replace_path(leaf, Some(new.into()), nodes);
}

/// The records of a tree, as a store has them.
fn records(tree: &RatchetTree) -> Vec<(NodeIndex, NodeRecord)> {
    tree.record_indices().map(|at| (at, tree.node_record(at).unwrap().unwrap())).collect()
}

#[test]
fn changed_trees_agree_with_the_definitions() {
    for seed in 0..60 {
        let dice = &mut Dice::new(seed);
        let first = leaf_node(seed);
        let mut tree = RatchetTree::new(SUITE, first.clone()).unwrap();
        let mut oracle = Oracle(vec![Some(Node::Leaf(first))]);
        oracle.compare(&tree);
        for _ in 0..40 {
            let before = (tree.clone(), oracle.clone());
            change(&mut tree, &mut oracle, dice);
            oracle.compare(&tree);
            if dice.below(4) == 0 {
                // What a clone does is not seen by the other.
                before.1.compare(&before.0);
                (tree, oracle) = before;
            }
        }
    }
}

#[test]
fn records_of_changes_are_all_that_a_store_needs() {
    for seed in 0..60 {
        let dice = &mut Dice::new(seed);
        let first = leaf_node(seed);
        let mut tree = RatchetTree::new(SUITE, first.clone()).unwrap();
        let mut oracle = Oracle(vec![Some(Node::Leaf(first))]);
        let mut store = BTreeMap::from_iter(records(&tree));
        for _ in 0..20 {
            let before = tree.clone();
            for _ in 0..dice.below(4) {
                change(&mut tree, &mut oracle, dice);
            }
            for at in tree.changes_since(&before) {
                match tree.node_record(at).unwrap() {
                    Some(record) => store.insert(at, record),
                    None => store.remove(&at),
                };
            }
            assert_eq!(store, records(&tree).into_iter().collect());
            let again = RatchetTree::from_records(SUITE, tree.leaf_count(), store.clone()).unwrap();
            oracle.compare(&again);
        }
    }
}

#[test]
fn a_change_touches_its_path_only() {
    let mut tree = RatchetTree::new(SUITE, leaf_node(0)).unwrap();
    (1..1000).for_each(|number| _ = tree.add(leaf_node(number)).unwrap());
    let mut changed = tree.clone();
    changed.update(LeafIndex::new(500), leaf_node(5000)).unwrap();
    assert_eq!(changed.changes_since(&tree).len(), 11);
    assert_eq!(tree.changes_since(&changed).len(), 11);
    assert!(tree.changes_since(&tree.clone()).is_empty());
}

#[test]
fn records_that_make_no_tree_are_refused() {
    let mut tree = RatchetTree::new(SUITE, leaf_node(0)).unwrap();
    (1..7).for_each(|number| _ = tree.add(leaf_node(number)).unwrap());
    let good = records(&tree);
    assert!(RatchetTree::from_records(SUITE, 8, good.clone()).is_ok());
    for width in [0, 1, 3, 4, 16, 1 << 25] {
        assert!(RatchetTree::from_records(SUITE, width, good.clone()).is_err());
    }
    for missing in 0..good.len() {
        let mut records = good.clone();
        records.remove(missing);
        assert!(RatchetTree::from_records(SUITE, 8, records).is_err());
    }
    for damaged in 0..good.len() {
        let mut records = good.clone();
        records[damaged].1.node = vec![1];
        assert!(RatchetTree::from_records(SUITE, 8, records).is_err());
    }
}

/// The whole tree of a group, as the definitions take it.
fn oracle(world: &World) -> Oracle {
    let mut nodes = world.nodes();
    nodes.resize(usize::try_from(world.tree.leaf_count()).unwrap() * 2 - 1, None);
    Oracle(nodes)
}

#[test]
fn members_of_random_groups_agree_and_their_trees_are_valid() {
    for seed in 0..120 {
        let mut world = World::new(seed);
        for _ in 0..12 {
            world.step(16);
            world.check_private_trees();
            let oracle = oracle(&world);
            oracle.compare(&world.tree);
            assert!(oracle.parent_hashes_are_valid());
            let again = RatchetTree::from_nodes(SUITE, world.nodes(), 16).unwrap();
            assert_eq!(again.verify_parent_hashes(), Ok(()), "seed {seed}");
        }
        for member in world.members.values() {
            let bytes = member.private.to_secret().unwrap();
            let again = PrivateTree::from_bytes(bytes.expose()).unwrap();
            assert_eq!(again.to_bytes(), member.private.to_bytes());
        }
    }
}

#[test]
fn larger_random_groups_agree() {
    for seed in 0..4 {
        let mut world = World::of(seed, 200);
        (0..12).for_each(|_| world.step(300));
        world.check_private_trees();
        let again = RatchetTree::from_nodes(SUITE, world.nodes(), 300).unwrap();
        assert_eq!(again.verify_parent_hashes(), Ok(()));
        assert_eq!(again.tree_hash(), world.tree.tree_hash());
    }
}

/// All the ways in which one node can be tampered with.
fn tampered(nodes: &[Option<Node>], place: usize) -> Vec<Vec<Option<Node>>> {
    let mut all = Vec::new();
    let mut with = |node: Option<Node>| {
        let mut nodes = nodes.to_vec();
        nodes[place] = node;
        all.push(nodes);
    };
    match &nodes[place] {
        None => {
            let encryption_key = HpkePublicKey(vec![1; 32]);
            let (parent_hash, unmerged_leaves) = (vec![], vec![]);
            with(Some(Node::Parent(ParentNode { encryption_key, parent_hash, unmerged_leaves })));
            with(Some(Node::Leaf(leaf_node(u64::MAX))));
        }
        Some(Node::Leaf(leaf)) => {
            with(None);
            let mut source = |leaf_node_source| {
                with(Some(Node::Leaf(crate::tree::LeafNode { leaf_node_source, ..leaf.clone() })));
            };
            source(LeafNodeSource::Update);
            source(LeafNodeSource::Commit { parent_hash: vec![] });
            for other in nodes.iter().flatten() {
                if let Node::Parent(ParentNode { parent_hash, .. }) = other {
                    source(LeafNodeSource::Commit { parent_hash: parent_hash.clone() });
                }
            }
            let mut other = leaf.clone();
            other.encryption_key.0[0] ^= 1;
            with(Some(Node::Leaf(other)));
        }
        Some(Node::Parent(parent)) => {
            with(None);
            let mut other = parent.clone();
            other.encryption_key.0[0] ^= 1;
            with(Some(Node::Parent(other)));
            for parent_hash in [vec![], vec![0; 32]].into_iter().filter(|hash| *hash != parent.parent_hash) {
                with(Some(Node::Parent(ParentNode { parent_hash, ..parent.clone() })));
            }
            for leaf in (0..16).map(LeafIndex::new) {
                let mut other = parent.clone();
                match other.unmerged_leaves.binary_search(&leaf) {
                    Ok(at) => _ = other.unmerged_leaves.remove(at),
                    Err(at) => other.unmerged_leaves.insert(at, leaf),
                }
                with(Some(Node::Parent(other)));
            }
        }
    }
    all
}

/// Takes groups apart; returns how many tampered trees were refused and how many were not.
fn tamper_with_random_groups(seeds: std::ops::Range<u64>) -> (usize, usize) {
    let (mut refused, mut taken) = (0, 0);
    for seed in seeds {
        let mut world = World::new(seed);
        (0..8).for_each(|_| world.step(16));
        let nodes = world.nodes();
        for place in 0..nodes.len() {
            for (way, tampered) in tampered(&nodes, place).into_iter().enumerate() {
                let tree = RatchetTree::from_nodes(SUITE, tampered.clone(), 16);
                let verdict = tree.map(|tree| (tree.leaf_count(), tree.verify_parent_hashes().is_ok()));
                let Ok((leaves, valid)) = verdict else {
                    refused += 1;
                    continue;
                };
                let mut padded = tampered;
                padded.resize(usize::try_from(leaves).unwrap() * 2 - 1, None);
                let oracle = Oracle(padded);
                assert_eq!(valid, oracle.parent_hashes_are_valid(), "seed {seed}, node {place}, way {way}");
                // Whatever was done to a parent, but to take it away, is found out.
                if let (Some(Node::Parent(_)), true) = (&nodes[place], valid) {
                    assert!(oracle.0[place].is_none(), "seed {seed}, node {place}, way {way}");
                }
                if valid { taken += 1 } else { refused += 1 }
            }
        }
    }
    (refused, taken)
}

#[test]
fn every_tampered_parent_is_refused() {
    let (refused, taken) = tamper_with_random_groups(0..25);
    assert!(refused > 4_000 && taken > 30, "{refused} refused, {taken} taken");
}

#[test]
#[ignore = "takes minutes"]
fn every_tampered_parent_of_many_groups_is_refused() {
    let (refused, taken) = tamper_with_random_groups(1_000..5_500);
    println!("{refused} refused, {taken} taken");
}
