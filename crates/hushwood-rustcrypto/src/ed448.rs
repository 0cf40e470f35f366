//! RFC 8032 §5.2: Ed448.
//!
//! One implementation serves both providers, so there is one rule here too, the same as for Ed25519: the
//! equation with cofactor, canonical encodings, and no public key of small order.

use crrl::ed448::{Point, PrivateKey, PublicKey};
use hushwood_crypto::{CryptoError, Random, Secret, Signature, SignaturePrivateKey, SignaturePublicKey};

/// Ed448, with an empty context.
#[derive(Clone, Copy, Debug)]
pub struct Ed448;

/// Ed448.
pub static ED448: Ed448 = Ed448;

impl Signature for Ed448 {
    fn generate(
        &self,
        random: &mut dyn Random,
    ) -> Result<(SignaturePrivateKey, SignaturePublicKey), CryptoError> {
        let private = SignaturePrivateKey(random.secret(SEED_LENGTH)?);
        let public = self.public_key(&private)?;
        Ok((private, public))
    }

    fn public_key(&self, key: &SignaturePrivateKey) -> Result<SignaturePublicKey, CryptoError> {
        Ok(SignaturePublicKey(private_key(&key.0)?.public_key.encode().to_vec()))
    }

    fn sign(&self, key: &SignaturePrivateKey, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(private_key(&key.0)?.sign_raw(message).to_vec())
    }

    fn verify(&self, key: &SignaturePublicKey, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        if public_key(key)?.verify_raw(signature, message) { Ok(()) } else { Err(CryptoError::Signature) }
    }

    fn check_public_key(&self, key: &SignaturePublicKey) -> Result<(), CryptoError> {
        public_key(key).map(|_| ())
    }
}

/// The decoder refuses what is not canonical.
fn public_key(key: &SignaturePublicKey) -> Result<PublicKey, CryptoError> {
    let point = Point::decode(&key.0).ok_or(CryptoError::PublicKey)?;
    // The neutral point is of low order too.
    if point.has_low_order() == 0 { Ok(PublicKey::from_point(&point)) } else { Err(CryptoError::PublicKey) }
}

fn private_key(seed: &Secret) -> Result<PrivateKey, CryptoError> {
    PrivateKey::decode(seed.expose()).ok_or(CryptoError::PrivateKey)
}

const SEED_LENGTH: usize = 57;
