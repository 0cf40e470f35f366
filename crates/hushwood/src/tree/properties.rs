//! Random trees: whatever happens to them, the tree that remembers agrees with the one that does not.

use hushwood_crypto::{HpkePublicKey, Random};

use crate::testing::{SUITE, ToyRandom};
use crate::tree::oracle::{Oracle, leaf_node};
use crate::tree::{LeafIndex, NodeIndex, NodeRecord, RatchetTree};

/// A number below `end`.
fn below(random: &mut ToyRandom, end: u64) -> u64 {
    let mut bytes = [0; 8];
    random.fill(&mut bytes).unwrap();
    u64::from_be_bytes(bytes) % end
}

/// One random change to both.
fn change(tree: &mut RatchetTree, oracle: &mut Oracle, random: &mut ToyRandom) {
    let members: Vec<LeafIndex> = tree.members().map(|member| member.unwrap().0).collect();
    let some = members[usize::try_from(below(random, members.len() as u64)).unwrap()];
    let leaf = leaf_node(below(random, u64::MAX));
    match below(random, 8) {
        0..3 => assert_eq!(tree.add(leaf.clone()).unwrap(), oracle.add(leaf)),
        3 => {
            tree.update(some, leaf.clone()).unwrap();
            oracle.update(some, leaf);
        }
        4..6 if members.len() > 1 => {
            tree.remove(some).unwrap();
            oracle.remove(some);
        }
        _ => commit(tree, oracle, some, random),
    }
}

/// Sets keys along a member's filtered direct path, without the cryptography.
fn commit(tree: &mut RatchetTree, oracle: &mut Oracle, leaf: LeafIndex, random: &mut ToyRandom) {
    let mut nodes = std::collections::BTreeMap::new();
    for step in tree.filtered_direct_path(leaf).unwrap() {
        let encryption_key = HpkePublicKey((random as &mut dyn Random).bytes(32).unwrap());
        let node = super::ParentNode { encryption_key, parent_hash: vec![], unmerged_leaves: vec![] };
        nodes.insert(step.node, node);
    }
    let new = leaf_node(below(random, u64::MAX));
    oracle.update(leaf, new.clone());
    for (at, node) in &nodes {
        oracle.0[usize::try_from(at.number()).unwrap()] = Some(super::Node::Parent(node.clone()));
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
        let random = &mut ToyRandom(seed << 32);
        let first = leaf_node(seed);
        let mut tree = RatchetTree::new(SUITE, first.clone()).unwrap();
        let mut oracle = Oracle(vec![Some(super::Node::Leaf(first))]);
        oracle.compare(&tree);
        for _ in 0..40 {
            let before = (tree.clone(), oracle.clone());
            change(&mut tree, &mut oracle, random);
            oracle.compare(&tree);
            if below(random, 4) == 0 {
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
        let random = &mut ToyRandom(seed << 32);
        let first = leaf_node(seed);
        let mut tree = RatchetTree::new(SUITE, first.clone()).unwrap();
        let mut oracle = Oracle(vec![Some(super::Node::Leaf(first))]);
        let mut store = std::collections::BTreeMap::from_iter(records(&tree));
        for _ in 0..20 {
            let before = tree.clone();
            for _ in 0..below(random, 4) {
                change(&mut tree, &mut oracle, random);
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
