//! `secret-tree.json`: RFC 9420 §6.3.2, §9.

use hushwood::framing::{ContentType, MessageKey, sender_data_key};
use hushwood::policy::Policy;
use hushwood::schedule::{EncryptionSecret, SenderDataSecret};
use hushwood::secret_tree::SecretTree;
use hushwood::tree::LeafIndex;
use hushwood_crypto::{CipherSuite, CryptoProvider};
use serde::{Deserialize, Serialize};

use super::{Checks, Generator, Hex};
use crate::random::SeededRandom;
use crate::table::Row;

#[derive(Deserialize, Serialize)]
struct Vector {
    cipher_suite: u16,
    sender_data: SenderData,
    encryption_secret: Hex,
    leaves: Vec<Vec<Generation>>,
}

#[derive(Deserialize, Serialize)]
struct SenderData {
    sender_data_secret: Hex,
    ciphertext: Hex,
    key: Hex,
    nonce: Hex,
}

#[derive(Deserialize, Serialize)]
struct Generation {
    generation: u32,
    handshake_key: Hex,
    handshake_nonce: Hex,
    application_key: Hex,
    application_nonce: Hex,
}

/// Runs the file.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    let case = |vector: &Vector, suite: &'static dyn CipherSuite, checks: &mut Checks<'_>| {
        let SenderData { sender_data_secret, ciphertext, key, nonce } = &vector.sender_data;
        let secret = SenderDataSecret::new(sender_data_secret.secret());
        let ours = sender_data_key(suite, &secret, &ciphertext.0).unwrap();
        checks.equal("sender_data_key", ours.key.expose(), key);
        checks.equal("sender_data_nonce", ours.nonce.expose(), nonce);

        let leaves = u32::try_from(vector.leaves.len()).unwrap();
        let root = EncryptionSecret::new(vector.encryption_secret.secret());
        let mut tree = SecretTree::new(suite, leaves, root).unwrap();
        for (leaf, generations) in (0..).map(LeafIndex::new).zip(&vector.leaves) {
            for generation in generations {
                generation.run(&mut tree, leaf, checks);
            }
        }
    };
    super::for_each_suite("secret-tree", provider, json, |vector| vector.cipher_suite, case)
}

/// Makes a file: trees of one leaf, of a few and of many, the first key of each ratchet and a later one.
pub(super) fn generate(generator: &Generator) -> String {
    generator.each_suite("secret-tree", |suite, random| {
        [1, 8, 32].map(|leaves| Vector::generate(suite, leaves, random)).into()
    })
}

impl Vector {
    fn generate(suite: &'static dyn CipherSuite, leaves: u32, random: &mut SeededRandom) -> Self {
        let encryption_secret = Hex(random.bytes(suite.kdf().length()));
        let root = EncryptionSecret::new(encryption_secret.secret());
        let mut tree = SecretTree::new(suite, leaves, root).unwrap();
        let mut keys =
            |leaf| [0, 15].map(|generation| Generation::generate(&mut tree, leaf, generation)).into();
        Self {
            cipher_suite: suite.id().0,
            sender_data: SenderData::generate(suite, random),
            encryption_secret,
            leaves: (0..leaves).map(LeafIndex::new).map(&mut keys).collect(),
        }
    }
}

impl SenderData {
    fn generate(suite: &dyn CipherSuite, random: &mut SeededRandom) -> Self {
        let length = suite.kdf().length();
        let (sender_data_secret, ciphertext) = (Hex(random.bytes(length)), Hex(random.bytes(77)));
        let secret = SenderDataSecret::new(sender_data_secret.secret());
        let derived = sender_data_key(suite, &secret, &ciphertext.0).unwrap();
        let (key, nonce) = (Hex::of(&derived.key), Hex::of(&derived.nonce));
        Self { sender_data_secret, ciphertext, key, nonce }
    }
}

impl Generation {
    fn generate(tree: &mut SecretTree, leaf: LeafIndex, generation: u32) -> Self {
        let handshake = open(tree, leaf, ContentType::Commit, generation);
        let application = open(tree, leaf, ContentType::Application, generation);
        Self {
            generation,
            handshake_key: Hex::of(&handshake.key),
            handshake_nonce: Hex::of(&handshake.nonce),
            application_key: Hex::of(&application.key),
            application_nonce: Hex::of(&application.nonce),
        }
    }

    fn run(&self, tree: &mut SecretTree, leaf: LeafIndex, checks: &mut Checks<'_>) {
        let key = open(tree, leaf, ContentType::Commit, self.generation);
        checks.equal("handshake_key", key.key.expose(), &self.handshake_key);
        checks.equal("handshake_nonce", key.nonce.expose(), &self.handshake_nonce);
        let key = open(tree, leaf, ContentType::Application, self.generation);
        checks.equal("application_key", key.key.expose(), &self.application_key);
        checks.equal("application_nonce", key.nonce.expose(), &self.application_nonce);
    }
}

fn open(tree: &mut SecretTree, leaf: LeafIndex, content_type: ContentType, generation: u32) -> MessageKey {
    let (key, change) = tree.open_key(leaf, content_type, generation, &Policy::default()).unwrap();
    tree.apply(change).unwrap();
    key
}
