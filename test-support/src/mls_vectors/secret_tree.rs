//! `secret-tree.json`: RFC 9420 §6.3.2, §9.

use hushwood::framing::{ContentType, MessageKey, sender_data_key};
use hushwood::policy::Policy;
use hushwood::schedule::{EncryptionSecret, SenderDataSecret};
use hushwood::secret_tree::SecretTree;
use hushwood::tree::LeafIndex;
use hushwood_crypto::{CipherSuite, CryptoProvider};
use serde::Deserialize;

use super::{Checks, Hex};
use crate::table::Row;

#[derive(Deserialize)]
struct Vector {
    cipher_suite: u16,
    sender_data: SenderData,
    encryption_secret: Hex,
    leaves: Vec<Vec<Generation>>,
}

#[derive(Deserialize)]
struct SenderData {
    sender_data_secret: Hex,
    ciphertext: Hex,
    key: Hex,
    nonce: Hex,
}

#[derive(Deserialize)]
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

impl Generation {
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
