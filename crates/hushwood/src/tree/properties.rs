//! Random trees: whatever happens to them, the tree that remembers agrees with the one that does not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{HpkePublicKey, Random};

use crate::error::{Error, StoreReadError};
use crate::testing::SUITE;
use crate::tree::oracle::{Oracle, leaf_node};
use crate::tree::world::{Dice, World};
use crate::tree::{
    KeyKind, LeafIndex, LeafNodeSource, Node, NodeIndex, NodeRecord, ParentNode, PrivateTree, RatchetTree,
    TreeSource,
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
    tree.replace_path(leaf, Some(&new), nodes).unwrap();
}

/// A store of a tree's records and keys. Counts what is read of it.
#[derive(Default)]
struct Records(Mutex<Kept>);

#[derive(Clone, Default)]
struct Kept {
    nodes: BTreeMap<NodeIndex, NodeRecord>,
    keys: BTreeMap<(u8, Vec<u8>), NodeIndex>,
    reads: usize,
}

impl Records {
    /// Writes what differs between two trees, or a whole tree.
    fn write(&self, old: Option<&RatchetTree>, new: &RatchetTree) {
        let mut kept = self.0.lock().unwrap();
        let changed = match old {
            Some(old) => new.changes_since(old).unwrap(),
            None => new.record_indices().unwrap().collect(),
        };
        let keys = |tree: &RatchetTree, at: NodeIndex| {
            let leaf = at.leaf().and_then(|leaf| tree.leaf(leaf).unwrap());
            let signature_key = leaf.map(|leaf| (2, leaf.signature_key.0));
            tree.encryption_key(at).unwrap().map(|key| (1, key.0)).into_iter().chain(signature_key)
        };
        for at in &changed {
            old.into_iter().flat_map(|old| keys(old, *at)).for_each(|key| _ = kept.keys.remove(&key));
            match new.node_record(*at).unwrap() {
                Some(record) => kept.nodes.insert(*at, record),
                None => kept.nodes.remove(at),
            };
        }
        kept.keys.extend(changed.iter().flat_map(|at| keys(new, *at).map(|key| (key, *at))));
    }

    /// The tree as it is opened.
    fn open(self: &Arc<Self>, of: &RatchetTree) -> Result<RatchetTree, Error> {
        let root = self.0.lock().unwrap().nodes.get(&of.root()).cloned().ok_or(StoreReadError::Missing)?;
        let source: Arc<dyn TreeSource> = self.clone();
        RatchetTree::stored(SUITE, (of.leaf_count(), &of.encode_counts()?), &root, source)
    }

    fn reads(&self) -> usize {
        self.0.lock().unwrap().reads
    }
}

impl TreeSource for Records {
    fn node(&self, at: NodeIndex) -> Result<Option<NodeRecord>, Error> {
        let mut kept = self.0.lock().unwrap();
        kept.reads += 1;
        Ok(kept.nodes.get(&at).cloned())
    }

    fn nodes(&self) -> Result<Vec<(NodeIndex, NodeRecord)>, Error> {
        Ok(self.0.lock().unwrap().nodes.clone().into_iter().collect())
    }

    fn key(&self, kind: KeyKind, key: &[u8]) -> Result<Option<NodeIndex>, Error> {
        let kind = if kind == KeyKind::Encryption { 1 } else { 2 };
        Ok(self.0.lock().unwrap().keys.get(&(kind, key.to_vec())).copied())
    }

    fn mismatch(&self) -> Error {
        StoreReadError::Corrupt.into()
    }
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
        let store = Arc::new(Records::default());
        store.write(None, &tree);
        for _ in 0..20 {
            // Sometimes the tree goes on, sometimes it is opened again, and then read as it is needed.
            if dice.below(3) == 0 {
                tree = store.open(&tree).unwrap();
            }
            let before = tree.clone();
            for _ in 0..dice.below(4) {
                change(&mut tree, &mut oracle, dice);
            }
            store.write(Some(&before), &tree);
            let whole = Records::default();
            whole.write(None, &tree);
            assert_eq!(store.0.lock().unwrap().nodes, whole.0.lock().unwrap().nodes);
            assert_eq!(store.0.lock().unwrap().keys, whole.0.lock().unwrap().keys);
            oracle.compare(&store.open(&tree).unwrap());
        }
    }
}

/// A thousand members, and the store they are in.
fn large() -> (Arc<Records>, RatchetTree) {
    let mut tree = RatchetTree::new(SUITE, leaf_node(0)).unwrap();
    (1..1000).for_each(|number| _ = tree.add(leaf_node(number)).unwrap());
    let store = Arc::new(Records::default());
    store.write(None, &tree);
    (store, tree)
}

#[test]
fn a_stored_tree_is_read_along_the_path_only() {
    let (store, whole) = large();
    let mut tree = store.open(&whole).unwrap();
    assert_eq!(tree.tree_hash(), whole.tree_hash());
    assert_eq!((tree.member_count(), store.reads()), (1000, 0));
    assert_eq!(tree.leaf(LeafIndex::new(500)), whole.leaf(LeafIndex::new(500)));
    assert_eq!(store.reads(), 20);
    tree.update(LeafIndex::new(500), leaf_node(5000)).unwrap();
    assert_eq!(store.reads(), 20);
    tree.remove(LeafIndex::new(501)).unwrap();
    assert_eq!(store.reads(), 20);
    let mut expected = whole.clone();
    expected.update(LeafIndex::new(500), leaf_node(5000)).unwrap();
    expected.remove(LeafIndex::new(501)).unwrap();
    assert_eq!(tree.tree_hash(), expected.tree_hash());
    assert_eq!(tree.next_free_leaf(), Ok(LeafIndex::new(501)));
}

#[test]
fn keys_of_a_stored_tree_are_found_where_the_tree_has_them() {
    let (store, whole) = large();
    let mut tree = store.open(&whole).unwrap();
    let (at, old, new) = (LeafIndex::new(7), leaf_node(7), leaf_node(7000));
    assert_eq!(tree.encryption_key_at(&old.encryption_key), Ok(at.node()));
    assert_eq!(tree.signature_key_at(&old.signature_key), Ok(Some(at)));
    assert_eq!(tree.encryption_key_at(&new.encryption_key), Ok(None));
    // The store still has the old key; the tree knows better.
    tree.update(at, new.clone()).unwrap();
    assert_eq!(tree.encryption_key_at(&old.encryption_key), Ok(None));
    assert_eq!(tree.signature_key_at(&old.signature_key), Ok(None));
    assert_eq!(tree.encryption_key_at(&new.encryption_key), Ok(at.node()));
    // A key that is elsewhere in the store counts as there twice, until one of both is gone.
    let twice = leaf_node(8);
    tree.update(at, twice).unwrap();
    assert!(tree.check_unique_keys().is_err());
    tree.update(LeafIndex::new(8), old).unwrap();
    assert_eq!(tree.check_unique_keys(), Ok(()));
}

#[test]
fn a_change_touches_its_path_only() {
    let mut tree = RatchetTree::new(SUITE, leaf_node(0)).unwrap();
    (1..1000).for_each(|number| _ = tree.add(leaf_node(number)).unwrap());
    let mut changed = tree.clone();
    changed.update(LeafIndex::new(500), leaf_node(5000)).unwrap();
    assert_eq!(changed.changes_since(&tree).unwrap().len(), 11);
    assert_eq!(tree.changes_since(&changed).unwrap().len(), 11);
    assert!(tree.changes_since(&tree.clone()).unwrap().is_empty());
}

#[test]
fn records_that_are_gone_or_changed_are_found_out_by_the_hashes_above_them() {
    let mut tree = RatchetTree::new(SUITE, leaf_node(0)).unwrap();
    (1..7).for_each(|number| _ = tree.add(leaf_node(number)).unwrap());
    let store = Arc::new(Records::default());
    store.write(None, &tree);
    let good = store.0.lock().unwrap().clone();
    let read = || {
        let opened = store.open(&tree)?;
        // Whoever opens a tree compares its hash with the one in the group context.
        if opened.tree_hash() != tree.tree_hash() {
            return Err(Error::from(StoreReadError::Corrupt));
        }
        let node_by_node = (0..8).try_for_each(|leaf| opened.leaf(LeafIndex::new(leaf)).map(drop));
        let at_once = store.open(&tree)?.members().try_for_each(|member| member.map(drop));
        assert_eq!(node_by_node.is_ok(), at_once.is_ok());
        node_by_node
    };
    assert_eq!(read(), Ok(()));
    for at in good.nodes.keys() {
        store.0.lock().unwrap().nodes.remove(at);
        assert!(read().is_err(), "{at:?} is gone");
        let damages: [fn(&mut NodeRecord); 5] = [
            |record| record.node = vec![1],
            |record| record.node = Some(Node::Leaf(leaf_node(99))).to_bytes().unwrap(),
            |record| record.hashes.push(0),
            |record| record.hashes.iter_mut().take(1).for_each(|byte| *byte ^= 1),
            |record| record.members = record.members.wrapping_sub(1),
        ];
        for (number, damage) in damages.into_iter().enumerate() {
            let mut record = good.nodes[at].clone();
            damage(&mut record);
            // A leaf has no hashes, and is one member by being there.
            if record != good.nodes[at]
                && !(at.leaf().is_some() && number >= 2 && good.nodes[at].members == 1)
            {
                store.0.lock().unwrap().nodes.insert(*at, record);
                assert!(read().is_err(), "{at:?}, damage {number}");
            }
        }
        store.0.lock().unwrap().nodes.insert(*at, good.nodes[at].clone());
    }
    for width in [0, 1, 3, 1 << 25] {
        let root = good.nodes[&tree.root()].clone();
        let source: Arc<dyn TreeSource> = store.clone();
        let opened = RatchetTree::stored(SUITE, (width, &tree.encode_counts().unwrap()), &root, source);
        assert!(opened.is_err(), "{width}");
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
