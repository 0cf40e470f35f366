//! `tree-validation.json`: RFC 9420 §4.1.1, §7.8, §7.9.

use hushwood::policy::{Policy, Timestamp};
use hushwood::tree::{LeafChecks, LeafPlace, NodeIndex, RatchetTree};
use hushwood_codec::Writer;
use hushwood_crypto::{CipherSuite, CryptoProvider};
use serde::{Deserialize, Serialize};

use super::grove::Grove;
use super::{Checks, Generator, Hex};
use crate::random::SeededRandom;
use crate::table::Row;

#[derive(Deserialize, Serialize)]
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

/// Makes a file, with the trees that the working group's has, and some that a walk at random leads to.
pub(super) fn generate(generator: &Generator) -> String {
    generator.each_suite("tree-validation", |suite, random| {
        let mut groves = Vec::new();
        for leaves in [2, 4, 8, 32, 3, 5, 6, 7, 9, 33, 34] {
            groves.push(Grove::grown(generator.provider(), suite, leaves, random));
        }
        groves.extend(odd_trees(generator, suite, random));
        groves.iter().map(Vector::generate).collect()
    })
}

/// Trees with blanks inside, with unmerged leaves, and with both.
pub(super) fn odd_trees(
    generator: &Generator,
    suite: &'static dyn CipherSuite,
    random: &mut SeededRandom,
) -> Vec<Grove> {
    let mut grown = |leaves| Grove::grown(generator.provider(), suite, leaves, random);
    let mut refilled = grown(8);
    refilled.remove(&[2, 3]);
    refilled.add();
    refilled.commit(0);

    let mut skipping = grown(8);
    skipping.remove(&[1, 2, 3]);
    skipping.commit(0);

    let mut unmerged = grown(7);
    unmerged.add();

    let mut both = grown(7);
    both.remove(&[1, 4]);
    both.commit(0);
    both.add();
    both.commit(3);
    both.add();

    let mut walked = grown(1);
    walked.wander(24);
    vec![refilled, skipping, unmerged, both, walked]
}

impl Vector {
    fn generate(grove: &Grove) -> Self {
        let tree = &grove.tree;
        let nodes = (0..=2 * (tree.leaf_count() - 1)).map(|number| NodeIndex::new(number).unwrap());
        let resolution = |node| tree.resolution(node).unwrap().into_iter().map(NodeIndex::number).collect();
        Self {
            cipher_suite: grove.suite.id().0,
            tree: grove.encoded(),
            group_id: grove.group_id.clone(),
            resolutions: nodes.clone().map(resolution).collect(),
            tree_hashes: nodes.map(|node| Hex(tree.node_hash(node).unwrap().as_bytes().to_vec())).collect(),
        }
    }
}
