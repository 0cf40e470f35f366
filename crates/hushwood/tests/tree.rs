//! Ratchet trees with real keys, in every suite: what a joiner refuses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

use std::collections::BTreeSet;

use hushwood::credential::{Credential, CredentialType};
use hushwood::error::{Error, Violation};
use hushwood::extension::Extensions;
use hushwood::tree::{
    Capabilities, KeyPair, LeafIndex, LeafNode, LeafNodeSource, Lifetime, NewLeaf, NewPath, Node, NodeIndex,
    RatchetTree, merge,
};
use hushwood_crypto::{CipherSuite, CryptoProvider, SignaturePublicKey, Signer, SoftwareSigner};
use test_support::assert_breaks;
use test_support::random::SeededRandom;

const PROVIDERS: [&CryptoProvider; 2] = [&hushwood_aws_lc::PROVIDER, &hushwood_rustcrypto::PROVIDER];

fn suites() -> impl Iterator<Item = &'static dyn CipherSuite> {
    PROVIDERS.into_iter().flat_map(|provider| provider.suites.iter().copied())
}

fn member(suite: &'static dyn CipherSuite, random: &mut SeededRandom) -> (LeafNode, SoftwareSigner) {
    let signer = SoftwareSigner::generate(suite, random).unwrap();
    let leaf = LeafNode {
        encryption_key: KeyPair::generate(suite, random).unwrap().public,
        signature_key: SignaturePublicKey(signer.public_key().0.clone()),
        credential: Credential::basic("somebody"),
        capabilities: Capabilities { credentials: vec![CredentialType::BASIC], ..Capabilities::default() },
        leaf_node_source: LeafNodeSource::KeyPackage(Lifetime { not_before: 0, not_after: 1 }),
        extensions: Extensions::new(),
        signature: Vec::new(),
    };
    (leaf, signer)
}

/// Six members, of which two have committed.
fn group(suite: &'static dyn CipherSuite, random: &mut SeededRandom) -> (RatchetTree, Vec<SoftwareSigner>) {
    let (leaf, signer) = member(suite, random);
    let mut tree = RatchetTree::new(suite, leaf).unwrap();
    let mut signers = vec![signer];
    for _ in 1..6 {
        let (leaf, signer) = member(suite, random);
        tree.add(leaf).unwrap();
        signers.push(signer);
    }
    for committer in [0, 5] {
        let leaf = LeafIndex::new(committer);
        let new_leaf = NewLeaf::successor(&tree.leaf(leaf).unwrap().unwrap());
        let signer = &signers[committer as usize];
        NewPath::generate(&mut tree, leaf, new_leaf, (b"group", signer), random).unwrap();
    }
    (tree, signers)
}

fn nodes(tree: &RatchetTree) -> Vec<Option<Node>> {
    let node = |at: NodeIndex| match at.leaf() {
        Some(leaf) => tree.leaf(leaf).unwrap().map(Node::Leaf),
        None => tree.parent(at).unwrap().map(Node::Parent),
    };
    let mut nodes: Vec<_> = (0..15).map(|number| node(NodeIndex::new(number).unwrap())).collect();
    let last = nodes.iter().rposition(Option::is_some).unwrap();
    nodes.truncate(last + 1);
    nodes
}

/// A key of the right length that no suite's KEM allows: a point off the curve, or one of small order.
fn bad_key(key: &[u8]) -> Vec<u8> {
    let mut bad = key.to_vec();
    match key.len() {
        32 | 56 => bad.fill(0),
        _ => *bad.last_mut().unwrap() ^= 1,
    }
    bad
}

#[test]
fn a_parent_with_a_key_that_is_none_is_refused_in_every_suite() {
    for suite in suites() {
        let (tree, _) = group(suite, &mut SeededRandom::new(1));
        let nodes = nodes(&tree);
        let good = RatchetTree::from_nodes(suite, nodes.clone(), 8).unwrap();
        assert_eq!(good.verify_parent_keys(), Ok(()));
        assert_eq!(good.verify_parent_hashes(), Ok(()));
        assert_eq!(good.tree_hash(), tree.tree_hash());
        for place in 0..nodes.len() {
            let mut bad = nodes.clone();
            let Some(Node::Parent(parent)) = &mut bad[place] else { continue };
            parent.encryption_key.0 = bad_key(&parent.encryption_key.0);
            let verdict = RatchetTree::from_nodes(suite, bad, 8).and_then(|tree| tree.verify_parent_keys());
            assert_breaks!(
                verdict.unwrap_err(),
                Error::Violation(Violation::HpkePublicKey),
                "C032",
                "C033",
                "C101"
            );
        }
    }
}

#[test]
fn a_path_with_a_key_that_is_none_is_refused_in_every_suite() {
    for suite in suites() {
        let random = &mut SeededRandom::new(2);
        let (before, signers) = group(suite, random);
        let leaf = LeafIndex::new(3);
        let new_leaf = NewLeaf::successor(&before.leaf(leaf).unwrap().unwrap());
        let mut tree = before.clone();
        let path = NewPath::generate(&mut tree, leaf, new_leaf, (b"group", &signers[3]), random).unwrap();
        let nobody = BTreeSet::new();
        let update_path = path.encrypt(&tree, b"context", &nobody, random).unwrap();
        assert_eq!(merge(&mut before.clone(), leaf, &update_path, &nobody), Ok(()));
        for place in 0..update_path.nodes.len() {
            let mut bad = update_path.clone();
            let key = &mut bad.nodes[place].encryption_key.0;
            *key = bad_key(key);
            let verdict = merge(&mut before.clone(), leaf, &bad, &nobody);
            assert_breaks!(
                verdict.unwrap_err(),
                Error::Violation(Violation::HpkePublicKey),
                "C032",
                "C033",
                "C034"
            );
        }
    }
}
