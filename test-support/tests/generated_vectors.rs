//! The vectors that our own implementation makes: whoever checks others' can check them, they are the same for
//! the same seed, and a single changed value is found out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hushwood_crypto::{CipherSuiteId, CryptoProvider};
use serde_json::Value;
use test_support::mls_vectors::{File, Generator, files};
use test_support::table::Row;

const PROVIDERS: [&CryptoProvider; 2] = [&hushwood_aws_lc::PROVIDER, &hushwood_rustcrypto::PROVIDER];

#[test]
fn what_is_generated_passes_on_every_provider() {
    let folder = tempfile::tempdir().unwrap();
    let suites = [1, 2, 7].map(CipherSuiteId);
    Generator::new(&suites, 1).unwrap().write_all(folder.path()).unwrap();
    for file in files() {
        let json = fs::read_to_string(folder.path().join(file.stem).with_extension("json")).unwrap();
        for provider in PROVIDERS {
            let row = (file.check)(provider, &json);
            assert_eq!(row.failed, Vec::<String>::new(), "{} on {}", file.stem, provider.name);
            assert_eq!(row.skipped, 0, "{} on {}", file.stem, provider.name);
            assert!(row.passed > 0, "{} on {}", file.stem, provider.name);
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_files_and_another_makes_others() {
    let text = |file: &File, seed| Generator::new(&[CipherSuiteId(1)], seed).unwrap().text(file);
    for file in files() {
        let first = text(file, 7);
        assert_eq!(first, text(file, 7), "{}", file.stem);
        // Two files have nothing that is chosen.
        let is_fixed = ["tree-math", "deserialization"].contains(&file.stem);
        assert_eq!(first == text(file, 8), is_fixed, "{}", file.stem);
    }
}

#[test]
fn a_suite_that_the_provider_lacks_is_named() {
    assert_eq!(Generator::new(&[CipherSuiteId(1), CipherSuiteId(99)], 1).err(), Some(CipherSuiteId(99)));
}

/// In each file a vector in which every value matters, and the values that matter to nobody.
const CASES: [(&str, usize, &[&str]); 16] = [
    ("crypto-basics", 0, &[]),
    ("deserialization", 5, &[]),
    ("key-schedule", 0, &[]),
    ("message-protection", 0, &[]),
    // Only syntax counts, and any number is a version or a leaf.
    ("messages", 0, &["/add_proposal", "/remove_proposal"]),
    ("passive-client-handling-commit", 1, &[]),
    ("passive-client-random", 0, &[]),
    ("passive-client-welcome", 3, &[]),
    ("psk_secret", 4, &[]),
    ("secret-tree", 1, &[]),
    ("transcript-hashes", 0, &[]),
    ("tree-math", 3, &[]),
    ("tree-operations", 3, &[]),
    ("tree-validation", 1, &[]),
    ("treekem", 1, &[]),
    ("welcome", 0, &[]),
];

#[test]
fn a_vector_with_one_changed_value_is_refused() {
    // Where a file has very many values, so many of them are tried.
    const MOST: usize = 60;
    let generator = Generator::new(&[CipherSuiteId(1)], 3).unwrap();
    for ((stem, index, ignored), file) in CASES.iter().zip(files()) {
        assert_eq!(*stem, file.stem, "the cases are in the files' order");
        let vectors: Vec<Value> = serde_json::from_str(&generator.text(file)).unwrap();
        let vector = &vectors[*index];
        assert!(passes(file, vector), "{stem}");

        let mut pointers = Vec::new();
        leaves(vector, String::new(), &mut pointers);
        pointers.retain(|pointer| !ignored.contains(&pointer.as_str()));
        assert!(!pointers.is_empty(), "{stem}");
        for pointer in pointers.iter().step_by(pointers.len().div_ceil(MOST)) {
            let mut changed = vector.clone();
            match changed.pointer_mut(pointer).unwrap() {
                // One with another hash: the suites up to the third have the same.
                suite if pointer == "/cipher_suite" => *suite = 5.into(),
                value => change(value),
            }
            assert!(!passes(file, &changed), "{stem}{pointer}");
        }
    }
}

/// A check may panic at what makes no sense at all.
fn passes(file: &File, vector: &Value) -> bool {
    let json = serde_json::to_string(&[vector]).unwrap();
    let row = catch_unwind(AssertUnwindSafe(|| (file.check)(&hushwood_aws_lc::PROVIDER, &json)));
    row.is_ok_and(|Row { passed, failed, skipped, .. }| passed > 0 && failed.is_empty() && skipped == 0)
}

fn leaves(value: &Value, at: String, pointers: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| leaves(item, format!("{at}/{index}"), pointers));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| leaves(field, format!("{at}/{name}"), pointers));
        }
        Value::Number(_) | Value::String(_) => pointers.push(at),
        Value::Null | Value::Bool(_) => {}
    }
}

/// A number grows, of bytes a bit flips: one that X25519 does not ignore. Other text gets longer.
fn change(value: &mut Value) {
    *value = match value {
        Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
        Value::String(text) => match hex::decode(&text) {
            Ok(mut bytes) => {
                match bytes.first_mut() {
                    Some(first) => *first ^= 8,
                    None => bytes.push(8),
                }
                hex::encode(bytes).into()
            }
            Err(_) => format!("{text}x").into(),
        },
        other => panic!("not a leaf: {other}"),
    };
}
