//! The secret tree beside a list of all keys: each is given out once, and in any order the same.

use std::collections::BTreeSet;

use arbitrary::Unstructured;
use hushwood::error::{Error, NotNow};
use hushwood::framing::ContentType;
use hushwood::policy::Policy;
use hushwood::schedule::EncryptionSecret;
use hushwood::secret_tree::{SecretTree, Usage};
use hushwood::tree::LeafIndex;
use hushwood_crypto::Secret;

use super::mutation::below;
use crate::fake_crypto::SUITE;

const LEAVES: u32 = 8;

fn new() -> SecretTree {
    let root = EncryptionSecret::new(Secret::copy_of(&[5; 32]));
    SecretTree::new(SUITE, LEAVES, root).expect("the size of a tree")
}

/// Sealing, opening, restarting and changing one's mind, in any order.
pub(super) fn secret_tree_ops(data: &[u8]) {
    let choices = &mut Unstructured::new(data);
    let policy = Policy { max_forward: 40, max_skipped: 10, max_skipped_total: 25, ..Policy::default() };
    let mut tree = new();
    let mut used = BTreeSet::new();
    for _ in 0..60 {
        let leaf = LeafIndex::new(u32::try_from(below(choices, 8)).expect("below 8"));
        let content_type = match below(choices, 2) {
            0 => ContentType::Application,
            _ => ContentType::Commit,
        };
        let asked = u32::try_from(below(choices, 60)).expect("below 60");
        let opened = match below(choices, 6) {
            0 => tree.seal_key(leaf, content_type),
            _ => tree.open_key(leaf, content_type, asked, &policy).map(|(key, change)| (asked, key, change)),
        };
        match opened {
            Ok((generation, key, change)) => {
                let name = (leaf.number(), content_type == ContentType::Application, generation);
                assert!(!used.contains(&name), "a key was given out again");
                // A tree that has seen nothing derives the same.
                let far = Policy { max_forward: 1000, ..Policy::default() };
                let (same, _) = new().open_key(leaf, content_type, generation, &far).expect("a first key");
                assert_eq!(key.key.expose(), same.key.expose());
                assert_eq!(key.nonce.expose(), same.nonce.expose());
                let undo = tree.apply(change).expect("a change of this tree");
                match below(choices, 4) {
                    0 => tree.revert(undo),
                    _ => _ = used.insert(name),
                }
            }
            Err(Error::NotNow(NotNow::KeyUsed | NotNow::GenerationTooFar)) => {}
            Err(other) => panic!("{other:?}"),
        }
        assert!(tree.skipped_keys() <= policy.max_skipped_total);
        if below(choices, 5) == 0 {
            let rows = tree.records().expect("rows are short");
            tree = SecretTree::from_rows(SUITE, LEAVES, Usage::Current, rows).expect("its own rows");
        }
        if choices.is_empty() {
            break;
        }
    }
}
