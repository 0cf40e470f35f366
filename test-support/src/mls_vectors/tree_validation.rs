//! `tree-validation.json`: RFC 9420 §4.1.1, §7.8, §7.9.

use hushwood::policy::{Policy, Timestamp};
use hushwood::tree::{LeafChecks, LeafPlace, NodeIndex, RatchetTree};
use hushwood_codec::Writer;
use hushwood_crypto::{CipherSuite, CryptoProvider};
use serde::Deserialize;

use super::{Checks, Hex};
use crate::table::Row;

#[derive(Deserialize)]
struct Vector {
    cipher_suite: u16,
    tree: Hex,
    group_id: Hex,
    resolutions: Vec<Vec<u32>>,
    tree_hashes: Vec<Hex>,
}

/// Runs the file.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    super::for_each_suite("tree-validation", provider, json, |vector: &Vector| vector.cipher_suite, case)
}

fn case(vector: &Vector, suite: &'static dyn CipherSuite, checks: &mut Checks<'_>) {
    let policy = Policy::default();
    let tree = RatchetTree::from_extension(suite, &vector.tree.0, &policy).unwrap();
    for (number, (resolution, tree_hash)) in (0..).zip(vector.resolutions.iter().zip(&vector.tree_hashes)) {
        let node = NodeIndex::new(number).unwrap();
        let ours = tree.resolution(node).unwrap().into_iter().map(NodeIndex::number);
        checks.good("resolution", ours.eq(resolution.iter().copied()));
        checks.equal("tree hash", tree.node_hash(node).unwrap().as_bytes(), tree_hash);
    }
    checks.good("parent keys", tree.verify_parent_keys().is_ok());
    checks.good("parent hashes", tree.verify_parent_hashes().is_ok());
    let leaf_checks = LeafChecks { suite, policy: &policy, now: Timestamp(0), sending: false };
    for member in tree.members() {
        let (index, leaf) = member.unwrap();
        let place = LeafPlace::Tree(&vector.group_id.0, index);
        checks.good("leaf signature", leaf_checks.signature(&leaf, place).is_ok());
    }
    let mut writer = Writer::new();
    tree.encode(&mut writer).unwrap();
    checks.equal("encoded again", &writer.finish().unwrap(), &vector.tree);
}
