//! `tree-operations.json`: RFC 9420 §12.1.1 to §12.1.3, on the tree.

use hushwood::policy::Policy;
use hushwood::proposal::Proposal;
use hushwood::tree::{LeafIndex, RatchetTree};
use hushwood_codec::{Decode, Writer};
use hushwood_crypto::{CipherSuite, CryptoProvider};
use serde::Deserialize;

use super::{Checks, Hex};
use crate::table::Row;

#[derive(Deserialize)]
struct Vector {
    cipher_suite: u16,
    tree_before: Hex,
    proposal: Hex,
    proposal_sender: u32,
    tree_hash_before: Hex,
    tree_after: Hex,
    tree_hash_after: Hex,
}

/// Runs the file.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    super::for_each_suite("tree-operations", provider, json, |vector: &Vector| vector.cipher_suite, case)
}

fn case(vector: &Vector, suite: &'static dyn CipherSuite, checks: &mut Checks<'_>) {
    let policy = Policy::default();
    let mut tree = RatchetTree::from_extension(suite, &vector.tree_before.0, &policy).unwrap();
    checks.equal("tree_hash_before", tree.tree_hash().unwrap().as_bytes(), &vector.tree_hash_before);
    match Proposal::from_bytes(&vector.proposal.0).unwrap() {
        Proposal::Add(add) => _ = tree.add(add.key_package.leaf_node).unwrap(),
        Proposal::Update(update) => {
            tree.update(LeafIndex::new(vector.proposal_sender), update.leaf_node).unwrap();
        }
        Proposal::Remove(remove) => tree.remove(remove.removed).unwrap(),
        other => panic!("not a change of the tree: {other:?}"),
    }
    let mut writer = Writer::new();
    tree.encode(&mut writer).unwrap();
    checks.equal("tree_after", &writer.finish().unwrap(), &vector.tree_after);
    checks.equal("tree_hash_after", tree.tree_hash().unwrap().as_bytes(), &vector.tree_hash_after);
}
