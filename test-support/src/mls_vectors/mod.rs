//! The working group's vectors for RFC 9420 (github.com/mlswg/mls-implementations, test-vectors.md): a
//! module for each file, under the file's name.

pub mod crypto_basics;
pub mod deserialization;
pub mod key_schedule;
pub mod message_protection;
pub mod messages;
pub mod passive_client;
pub mod psk_secret;
pub mod secret_tree;
pub mod transcript_hashes;
pub mod tree_math;
pub mod tree_operations;
pub mod tree_validation;
pub mod treekem;
pub mod welcome;

use std::fs;

use hushwood_crypto::{CipherSuite, CipherSuiteId, CryptoProvider, Secret};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::table::Row;

/// Tries all cases of a file, given its text.
pub type Check = fn(&CryptoProvider, &str) -> Row;

/// The files, by the stem of their names, each with what tries it.
#[must_use]
pub fn files() -> &'static [(&'static str, Check)] {
    &[
        ("crypto-basics", crypto_basics::run),
        ("deserialization", deserialization::run),
        ("key-schedule", key_schedule::run),
        ("message-protection", message_protection::run),
        ("messages", messages::run),
        ("passive-client-handling-commit", passive_client::handling_commit),
        ("passive-client-random", passive_client::random),
        ("passive-client-welcome", passive_client::welcome),
        ("psk_secret", psk_secret::run),
        ("secret-tree", secret_tree::run),
        ("transcript-hashes", transcript_hashes::run),
        ("tree-math", tree_math::run),
        ("tree-operations", tree_operations::run),
        ("tree-validation", tree_validation::run),
        ("treekem", treekem::run),
        ("welcome", welcome::run),
    ]
}

/// Runs all files; none where the folder is absent.
///
/// # Panics
/// If a file can't be read.
#[must_use]
pub fn run_all(provider: &CryptoProvider) -> Vec<Row> {
    let Some(folder) = crate::vectors::folder() else { return Vec::new() };
    let check = |(stem, check): &(&str, Check)| {
        let json = fs::read_to_string(folder.join(format!("mls/{stem}.json"))).unwrap();
        check(provider, &json)
    };
    files().iter().map(check).collect()
}

/// Runs `case` for each vector of a file whose suite the provider has.
fn for_each_suite<V: DeserializeOwned>(
    name: &str,
    provider: &CryptoProvider,
    json: &str,
    suite_of: impl Fn(&V) -> u16,
    case: impl Fn(&V, &'static dyn CipherSuite, &mut Checks<'_>),
) -> Row {
    let mut row = Row::new(format!("MLS {name}"), provider.name);
    let vectors: Vec<V> = serde_json::from_str(json).unwrap();
    for (index, vector) in vectors.iter().enumerate() {
        let number = suite_of(vector);
        match provider.suite(CipherSuiteId(number)) {
            Some(suite) => {
                let which = format!("{index}, suite {number}");
                case(vector, suite, &mut Checks { row: &mut row, which });
            }
            None => row.skipped += 1,
        }
    }
    row
}

/// Counts the checks of one vector.
struct Checks<'r> {
    row: &'r mut Row,
    which: String,
}

impl Checks<'_> {
    fn good(&mut self, what: &str, good: bool) {
        let which = &self.which;
        self.row.case(good, || format!("{which}: {what}"));
    }

    fn equal(&mut self, what: &str, ours: &[u8], expected: &Hex) {
        self.good(what, ours == expected.0);
    }
}

/// Bytes, in hexadecimal.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl Hex {
    fn secret(&self) -> Secret {
        Secret::copy_of(&self.0)
    }
}

impl TryFrom<String> for Hex {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        hex::decode(text).map(Self)
    }
}
