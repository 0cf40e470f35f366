//! The ratchet tree beside the RFC's definitions, word by word and with nothing remembered.

use std::collections::BTreeSet;

use arbitrary::Unstructured;
use hushwood::policy::Policy;
use hushwood::tree::{LeafIndex, LeafNode, NewLeaf, NewPath, Node, NodeIndex, RatchetTree, merge};
use hushwood_codec::{Decode, Writer};
use hushwood_crypto::{CipherSuite, Secret, SignaturePrivateKey, SoftwareSigner};

use super::mutation::below;
use super::scene::actor;
use crate::fake_crypto::SUITE;
use crate::random::SeededRandom;

/// Any tree that is taken has the hashes and resolutions that its nodes have.
pub(super) fn tree_validate_vs_oracle(data: &[u8]) {
    let suite = hushwood_rustcrypto::PROVIDER.suites[0];
    for suite in [suite, SUITE] {
        if let Ok(tree) = RatchetTree::from_extension(suite, data, &Policy::default()) {
            let nodes = Vec::<Option<Node>>::from_bytes(data).expect("the tree was taken");
            compare(suite, &tree, nodes);
        }
    }
}

/// Adds, Updates, Removes and paths in any order.
pub(super) fn tree_ops_vs_oracle(data: &[u8]) {
    let choices = &mut Unstructured::new(data);
    let random = &mut SeededRandom::new(u64::from(choices.arbitrary::<u8>().unwrap_or_default()));
    let mut tree = RatchetTree::new(SUITE, leaf_node(random)).expect("a leaf");
    for _ in 0..40 {
        let members: Vec<LeafIndex> = tree.members().map(|member| member.expect("in memory").0).collect();
        let somebody = members[below(choices, members.len())];
        match below(choices, 6) {
            0 | 1 if members.len() < 40 => _ = tree.add(leaf_node(random)).expect("there is room"),
            2 => tree.update(somebody, leaf_node(random)).expect("a member"),
            3 if members.len() > 1 => tree.remove(somebody).expect("a member"),
            _ => path(&mut tree, somebody, random),
        }
        if choices.is_empty() {
            break;
        }
    }
    let encoded = tree.to_extension().expect("it is small");
    compare(SUITE, &tree, Vec::from_bytes(&encoded).expect("what was encoded is decoded"));
    let again = RatchetTree::from_extension(SUITE, &encoded, &Policy::default()).expect("a valid tree");
    assert_eq!(again.tree_hash(), tree.tree_hash());
    assert_eq!(again.verify_parent_hashes(), Ok(()));
}

/// A path, and the same merged by somebody who gets it.
fn path(tree: &mut RatchetTree, leaf: LeafIndex, random: &mut SeededRandom) {
    let old = tree.leaf(leaf).expect("in memory").expect("a member");
    let key = SignaturePrivateKey(Secret::copy_of(&old.signature_key.0));
    let signer = SoftwareSigner::new(SUITE, key).expect("it is a key");
    let mut merged = tree.clone();
    let new = NewPath::generate(tree, leaf, NewLeaf::successor(&old), (b"group", &signer), random);
    let new = new.expect("a member makes a path");
    let update_path = new.encrypt(tree, b"context", &BTreeSet::new(), random).expect("all keys are valid");
    merge(&mut merged, leaf, &update_path, &BTreeSet::new()).expect("our own path");
    assert_eq!(merged.tree_hash(), tree.tree_hash());
}

fn leaf_node(random: &mut SeededRandom) -> LeafNode {
    let mut actor = actor("leaf", random.number());
    let message = actor.key_package();
    let message = hushwood::framing::MlsMessage::from_bytes(&message).expect("our own");
    let hushwood::framing::MlsMessage::KeyPackage(key_package) = message else { panic!("not a KeyPackage") };
    key_package.inspect().leaf_node.clone()
}

fn compare(suite: &dyn CipherSuite, tree: &RatchetTree, mut nodes: Vec<Option<Node>>) {
    let width = (nodes.len() + 1).next_power_of_two() - 1;
    nodes.resize_with(width, || None);
    // Definitions that begin anew at each node are slow in large trees.
    if width > 255 {
        return;
    }
    for number in 0..u32::try_from(width).expect("it is small") {
        let node = NodeIndex::new(number).expect("it is small");
        let hash = tree.node_hash(node).expect("in memory");
        assert_eq!(hash.as_bytes(), tree_hash(suite, &nodes, node), "node {number}");
        assert_eq!(tree.resolution(node).expect("in memory"), resolution(&nodes, node), "node {number}");
    }
}

fn node_at(nodes: &[Option<Node>], at: NodeIndex) -> Option<&Node> {
    nodes[usize::try_from(at.number()).expect("it is small")].as_ref()
}

/// RFC 9420 §7.8: the hash of a TreeHashInput.
fn tree_hash(suite: &dyn CipherSuite, nodes: &[Option<Node>], at: NodeIndex) -> Vec<u8> {
    let mut input = Writer::new();
    match at.children() {
        None => {
            input.raw(&[1]).value(&(at.number() / 2));
            match node_at(nodes, at) {
                Some(Node::Leaf(leaf)) => input.raw(&[1]).value(leaf),
                Some(Node::Parent(_)) => panic!("a parent at an even place"),
                None => input.raw(&[0]),
            };
        }
        Some((left, right)) => {
            input.raw(&[2]);
            match node_at(nodes, at) {
                Some(Node::Parent(parent)) => input.raw(&[1]).value(parent),
                Some(Node::Leaf(_)) => panic!("a leaf at an odd place"),
                None => input.raw(&[0]),
            };
            input.opaque(&tree_hash(suite, nodes, left)).opaque(&tree_hash(suite, nodes, right));
        }
    }
    suite.hash().hash(&[&input.finish().expect("it is small")]).as_bytes().to_vec()
}

/// RFC 9420 §4.1.1.
fn resolution(nodes: &[Option<Node>], at: NodeIndex) -> Vec<NodeIndex> {
    match (node_at(nodes, at), at.children()) {
        (Some(Node::Parent(parent)), _) => {
            let unmerged = parent.unmerged_leaves.iter().map(|leaf| leaf.node().expect("it is in the tree"));
            std::iter::once(at).chain(unmerged).collect()
        }
        (Some(Node::Leaf(_)), _) => vec![at],
        (None, None) => Vec::new(),
        (None, Some((left, right))) => [resolution(nodes, left), resolution(nodes, right)].concat(),
    }
}
