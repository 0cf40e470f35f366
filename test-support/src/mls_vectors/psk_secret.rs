//! `psk_secret.json`: RFC 9420 §8.4.

use hushwood::schedule::{PreSharedKeyId, Psk, PskSecret};
use hushwood_crypto::{CipherSuite, CryptoProvider, Secret};
use serde::{Deserialize, Serialize};

use super::{Checks, Generator, Hex};
use crate::random::SeededRandom;
use crate::table::Row;

#[derive(Deserialize, Serialize)]
struct Vector {
    cipher_suite: u16,
    psks: Vec<VectorPsk>,
    psk_secret: Hex,
}

#[derive(Deserialize, Serialize)]
struct VectorPsk {
    psk_id: Hex,
    psk: Hex,
    psk_nonce: Hex,
}

/// Runs the file.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    let case = |vector: &Vector, suite: &'static dyn CipherSuite, checks: &mut Checks<'_>| {
        let psk_secret = derive(suite, &vector.psks);
        checks.equal("psk_secret", psk_secret.secret().expose(), &vector.psk_secret);
        if vector.psks.is_empty() {
            checks.equal("zero", PskSecret::zero(suite).secret().expose(), &vector.psk_secret);
        }
    };
    super::for_each_suite("psk_secret", provider, json, |vector| vector.cipher_suite, case)
}

/// Makes a file: from no key to ten.
pub(super) fn generate(generator: &Generator) -> String {
    generator.each_suite("psk_secret", |suite, random| {
        (0..=10).map(|count| Vector::generate(suite, count, random)).collect()
    })
}

fn derive(suite: &dyn CipherSuite, psks: &[VectorPsk]) -> PskSecret {
    let psks: Vec<(PreSharedKeyId, Secret)> = psks.iter().map(VectorPsk::id_and_key).collect();
    let psks: Vec<_> = psks.iter().map(|(id, psk)| (id, psk)).collect();
    PskSecret::derive(suite, &psks).unwrap()
}

impl Vector {
    fn generate(suite: &dyn CipherSuite, count: usize, random: &mut SeededRandom) -> Self {
        let mut hash = || Hex(random.bytes(suite.kdf().length()));
        let psk = |_| VectorPsk { psk_id: hash(), psk: hash(), psk_nonce: hash() };
        let psks: Vec<VectorPsk> = (0..count).map(psk).collect();
        let psk_secret = Hex::of(derive(suite, &psks).secret());
        Self { cipher_suite: suite.id().0, psks, psk_secret }
    }
}

impl VectorPsk {
    fn id_and_key(&self) -> (PreSharedKeyId, Secret) {
        let psk = Psk::External { psk_id: self.psk_id.0.clone() };
        (PreSharedKeyId { psk, psk_nonce: self.psk_nonce.0.clone() }, self.psk.secret())
    }
}
