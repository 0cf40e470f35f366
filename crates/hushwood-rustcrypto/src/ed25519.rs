//! RFC 8032 §5.1: Ed25519, verified by the one rule of [`hushwood_crypto::ed25519`].

use ed25519_dalek::{Signer, SigningKey};
use hushwood_crypto::{
    BatchItem, CryptoError, Random, Secret, Signature, SignaturePrivateKey, SignaturePublicKey, ed25519,
};

/// Ed25519.
#[derive(Clone, Copy, Debug)]
pub struct Ed25519;

/// Ed25519.
pub static ED25519: Ed25519 = Ed25519;

impl Signature for Ed25519 {
    fn generate(
        &self,
        random: &mut dyn Random,
    ) -> Result<(SignaturePrivateKey, SignaturePublicKey), CryptoError> {
        let private = SignaturePrivateKey(random.secret(SEED_LENGTH)?);
        let public = self.public_key(&private)?;
        Ok((private, public))
    }

    fn public_key(&self, key: &SignaturePrivateKey) -> Result<SignaturePublicKey, CryptoError> {
        Ok(SignaturePublicKey(signing_key(&key.0)?.verifying_key().to_bytes().to_vec()))
    }

    fn sign(&self, key: &SignaturePrivateKey, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(signing_key(&key.0)?.sign(message).to_bytes().to_vec())
    }

    fn verify(&self, key: &SignaturePublicKey, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        // The library's own check without cofactor takes as long: there is no faster one to ask first.
        ed25519::verify_cofactored(&key.0, message, signature)
    }

    fn verify_batch(&self, items: &[BatchItem<'_>], random: &mut dyn Random) -> Result<(), usize> {
        ed25519::verify_batch(items, random)
    }

    fn check_public_key(&self, key: &SignaturePublicKey) -> Result<(), CryptoError> {
        ed25519::check_public_key(&key.0)
    }
}

fn signing_key(seed: &Secret) -> Result<SigningKey, CryptoError> {
    let seed = <&[u8; SEED_LENGTH]>::try_from(seed.expose()).map_err(|_| CryptoError::PrivateKey)?;
    Ok(SigningKey::from_bytes(seed))
}

const SEED_LENGTH: usize = 32;
