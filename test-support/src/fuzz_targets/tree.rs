//! The ratchet tree beside the RFC's definitions, word by word and with nothing remembered ([`crate::tree_oracle`]).

use std::collections::BTreeSet;

use arbitrary::Unstructured;
use hushwood::error::Error;
use hushwood::policy::Policy;
use hushwood::tree::{LeafIndex, LeafNode, NewLeaf, NewPath, RatchetTree, merge};
use hushwood_codec::Decode;
use hushwood_crypto::{Secret, SignaturePrivateKey, SoftwareSigner};

use super::mutation::below;
use super::scene::actor;
use crate::fake_crypto::SUITE;
use crate::random::SeededRandom;
use crate::tree_oracle::{Tree, from_extension, judge};

/// Any tree that is taken has the hashes and resolutions that its nodes have.
pub(super) fn tree_validate_vs_oracle(data: &[u8]) {
    let suite = hushwood_rustcrypto::PROVIDER.suites[0];
    for suite in [suite, SUITE] {
        let list = from_extension(data);
        let fast = RatchetTree::from_extension(suite, data, &Policy::default());
        let Some(list) = list.filter(|list| list.len() <= 255) else {
            // Definitions that begin anew at each node are slow in large trees.
            continue;
        };
        // What a limit refuses may well be a tree.
        if !matches!(fast, Err(Error::Decode(_) | Error::NotNow(_))) {
            _ = judge::verdict(suite, &list);
        }
        if let Ok(fast) = fast {
            judge::compare_all(&fast, &Tree::of_list(suite, &list));
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
    let list = from_extension(&encoded).expect("what was encoded is decoded");
    judge::compare_all(&tree, &Tree::of_list(SUITE, &list));
    let again = judge::verdict(SUITE, &list).expect("a valid tree");
    assert_eq!(again.tree_hash(), tree.tree_hash());
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
