//! The working group's vectors for RFC 9420 (github.com/mlswg/mls-implementations, test-vectors.md): a
//! module for each file, under the file's name, that reads it and makes new ones like it.

pub mod crypto_basics;
pub mod deserialization;
pub mod generator;
mod grove;
pub mod key_schedule;
pub mod message_protection;
pub mod messages;
mod newcomer;
pub mod passive_client;
pub mod psk_secret;
pub mod secret_tree;
mod talk;
pub mod transcript_hashes;
pub mod tree_math;
pub mod tree_operations;
pub mod tree_validation;
pub mod treekem;
pub mod welcome;

use std::fs;

use hushwood_crypto::{CipherSuite, CipherSuiteId, CryptoProvider, Secret};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

pub use self::generator::Generator;
use crate::table::Row;

/// Tries all cases of a file, given its text.
pub type Check = fn(&CryptoProvider, &str) -> Row;

/// Makes the text of a file.
pub type Generate = fn(&Generator) -> String;

/// One of the files.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// The stem of its name.
    pub stem: &'static str,
    /// What tries all of its cases.
    pub check: Check,
    /// What makes one.
    pub generate: Generate,
}

/// The files.
#[must_use]
pub fn files() -> &'static [File] {
    const fn file(stem: &'static str, check: Check, generate: Generate) -> File {
        File { stem, check, generate }
    }
    const FILES: [File; 16] = [
        file("crypto-basics", crypto_basics::run, crypto_basics::generate),
        file("deserialization", deserialization::run, deserialization::generate),
        file("key-schedule", key_schedule::run, key_schedule::generate),
        file("message-protection", message_protection::run, message_protection::generate),
        file("messages", messages::run, messages::generate),
        file(
            "passive-client-handling-commit",
            passive_client::handling_commit,
            passive_client::generate_handling_commit,
        ),
        file("passive-client-random", passive_client::random, passive_client::generate_random),
        file("passive-client-welcome", passive_client::welcome, passive_client::generate_welcome),
        file("psk_secret", psk_secret::run, psk_secret::generate),
        file("secret-tree", secret_tree::run, secret_tree::generate),
        file("transcript-hashes", transcript_hashes::run, transcript_hashes::generate),
        file("tree-math", tree_math::run, tree_math::generate),
        file("tree-operations", tree_operations::run, tree_operations::generate),
        file("tree-validation", tree_validation::run, tree_validation::generate),
        file("treekem", treekem::run, treekem::generate),
        file("welcome", welcome::run, welcome::generate),
    ];
    &FILES
}

/// Small ratchet trees of every kind, in suite 1.
pub(crate) fn small_trees() -> Vec<Vec<u8>> {
    let generator = Generator::new(&[CipherSuiteId(1)], 1).expect("there is suite 1");
    let random = &mut crate::random::SeededRandom::new(1);
    let suite = generator.provider().suites.iter().find(|suite| suite.id() == CipherSuiteId(1));
    let groves = tree_validation::odd_trees(&generator, *suite.expect("there is suite 1"), random);
    groves.iter().map(|grove| grove.encoded().0).collect()
}

/// Runs all files; none where the folder is absent.
///
/// # Panics
/// If a file can't be read.
#[must_use]
pub fn run_all(provider: &CryptoProvider) -> Vec<Row> {
    let Some(folder) = crate::vectors::folder() else { return Vec::new() };
    let check = |file: &File| {
        let json = fs::read_to_string(folder.join(format!("mls/{}.json", file.stem))).unwrap();
        (file.check)(provider, &json)
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
#[derive(Clone, Default, Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl Hex {
    fn secret(&self) -> Secret {
        Secret::copy_of(&self.0)
    }

    /// A secret, for a vector to tell.
    fn of(secret: &Secret) -> Self {
        Self(secret.expose().to_vec())
    }
}

impl TryFrom<String> for Hex {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        hex::decode(text).map(Self)
    }
}

impl From<Vec<u8>> for Hex {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}
