//! `psk_secret.json`: RFC 9420 §8.4.

use hushwood::schedule::{PreSharedKeyId, Psk, PskSecret};
use hushwood_crypto::{CipherSuite, CryptoProvider, Secret};
use serde::Deserialize;

use super::{Checks, Hex};
use crate::table::Row;

#[derive(Deserialize)]
struct Vector {
    cipher_suite: u16,
    psks: Vec<VectorPsk>,
    psk_secret: Hex,
}

#[derive(Deserialize)]
struct VectorPsk {
    psk_id: Hex,
    psk: Hex,
    psk_nonce: Hex,
}

/// Runs the file.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    let case = |vector: &Vector, suite: &'static dyn CipherSuite, checks: &mut Checks<'_>| {
        let psks: Vec<(PreSharedKeyId, Secret)> = vector.psks.iter().map(VectorPsk::id_and_key).collect();
        let psks: Vec<_> = psks.iter().map(|(id, psk)| (id, psk)).collect();
        let psk_secret = PskSecret::derive(suite, &psks).unwrap();
        checks.equal("psk_secret", psk_secret.secret().expose(), &vector.psk_secret);
        if psks.is_empty() {
            checks.equal("zero", PskSecret::zero(suite).secret().expose(), &vector.psk_secret);
        }
    };
    super::for_each_suite("psk_secret", provider, json, |vector| vector.cipher_suite, case)
}

impl VectorPsk {
    fn id_and_key(&self) -> (PreSharedKeyId, Secret) {
        let psk = Psk::External { psk_id: self.psk_id.0.clone() };
        (PreSharedKeyId { psk, psk_nonce: self.psk_nonce.0.clone() }, self.psk.secret())
    }
}
