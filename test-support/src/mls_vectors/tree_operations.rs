//! `tree-operations.json`: RFC 9420 §12.1.1 to §12.1.3, on the tree.

use hushwood::policy::Policy;
use hushwood::proposal::{Add, Proposal, Remove, Update};
use hushwood::tree::{KeyPair, LeafIndex, LeafNodeSource, RatchetTree, UnsignedLeafNode};
use hushwood_codec::{Decode, Encode, Writer};
use hushwood_crypto::{CipherSuite, CryptoProvider};
use serde::{Deserialize, Serialize};

use super::grove::{Grove, encoded};
use super::{Checks, Generator, Hex};
use crate::table::Row;

#[derive(Deserialize, Serialize)]
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
    apply(&mut tree, Proposal::from_bytes(&vector.proposal.0).unwrap(), vector.proposal_sender);
    let mut writer = Writer::new();
    tree.encode(&mut writer).unwrap();
    checks.equal("tree_after", &writer.finish().unwrap(), &vector.tree_after);
    checks.equal("tree_hash_after", tree.tree_hash().unwrap().as_bytes(), &vector.tree_hash_after);
}

fn apply(tree: &mut RatchetTree, proposal: Proposal, sender: u32) {
    match proposal {
        Proposal::Add(add) => _ = tree.add(add.key_package.leaf_node).unwrap(),
        Proposal::Update(update) => {
            tree.update(LeafIndex::new(sender), update.leaf_node).unwrap();
        }
        Proposal::Remove(remove) => tree.remove(remove.removed).unwrap(),
        other => panic!("not a change of the tree: {other:?}"),
    }
}

/// Makes a file: Adds on the right and into a blank, an Update, Removes in the middle and on the right, which
/// shortens the tree.
pub(super) fn generate(generator: &Generator) -> String {
    generator.each_suite("tree-operations", |suite, random| {
        let mut grown = |leaves| Grove::grown(generator.provider(), suite, leaves, random);
        let mut with_blank = grown(6);
        with_blank.remove(&[2]);
        vec![
            Vector::add(grown(8)),
            Vector::add(grown(5)),
            Vector::add(with_blank),
            Vector::update(grown(7), 3),
            Vector::remove(grown(8), 4),
            Vector::remove(grown(9), 8),
        ]
    })
}

impl Vector {
    fn generate(grove: &Grove, proposal: &Proposal, sender: u32) -> Self {
        let mut after = grove.tree.clone();
        apply(&mut after, proposal.clone(), sender);
        let hash = |tree: &RatchetTree| Hex(tree.tree_hash().unwrap().as_bytes().to_vec());
        Self {
            cipher_suite: grove.suite.id().0,
            tree_before: grove.encoded(),
            proposal: Hex(proposal.to_bytes().unwrap()),
            proposal_sender: sender,
            tree_hash_before: hash(&grove.tree),
            tree_after: encoded(&after),
            tree_hash_after: hash(&after),
        }
    }

    fn add(mut grove: Grove) -> Self {
        let (key_package, _) = grove.newcomer();
        Self::generate(&grove, &Proposal::Add(Box::new(Add { key_package })), 0)
    }

    fn update(mut grove: Grove, sender: u32) -> Self {
        let leaf = LeafIndex::new(sender);
        let keys = KeyPair::generate(grove.suite, grove.random()).unwrap();
        let old = grove.tree.leaf(leaf).unwrap().unwrap();
        let new = UnsignedLeafNode::successor(&old, keys.public, LeafNodeSource::Update);
        let leaf_node = new.sign(&grove.members[&leaf].signer, (&grove.group_id.0, leaf)).unwrap();
        Self::generate(&grove, &Proposal::Update(Box::new(Update { leaf_node })), sender)
    }

    fn remove(grove: Grove, removed: u32) -> Self {
        let removed = LeafIndex::new(removed);
        Self::generate(&grove, &Proposal::Remove(Remove { removed }), 0)
    }
}
