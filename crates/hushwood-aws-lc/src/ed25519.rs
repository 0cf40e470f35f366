//! RFC 8032 §5.1: Ed25519, verified by the one rule of [`hushwood_crypto::ed25519`].

use aws_lc_rs::signature::{ED25519 as AWS_LC_ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use hushwood_crypto::{
    BatchItem, CryptoError, Random, Secret, Signature, SignaturePrivateKey, SignaturePublicKey, SigningKey,
    ed25519,
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
        Ok(SignaturePublicKey(key_pair(&key.0)?.public_key().as_ref().to_vec()))
    }

    fn sign(&self, key: &SignaturePrivateKey, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(key_pair(&key.0)?.sign(message).as_ref().to_vec())
    }

    fn prepare(&self, key: &SignaturePrivateKey) -> Result<Option<Box<dyn SigningKey>>, CryptoError> {
        Ok(Some(Box::new(Prepared(key_pair(&key.0)?))))
    }

    fn verify(&self, key: &SignaturePublicKey, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        // AWS-LC checks the equation without cofactor, and that S is canonical.
        ed25519::verify_with(&key.0, message, signature, || {
            UnparsedPublicKey::new(&AWS_LC_ED25519, &key.0).verify(message, signature).is_ok()
        })
    }

    fn verify_batch(&self, items: &[BatchItem<'_>], random: &mut dyn Random) -> Result<(), usize> {
        ed25519::verify_batch(items, random)
    }

    fn check_public_key(&self, key: &SignaturePublicKey) -> Result<(), CryptoError> {
        ed25519::check_public_key(&key.0)
    }
}

/// A seed and its public key, in memory that AWS-LC erases.
struct Prepared(Ed25519KeyPair);

impl SigningKey for Prepared {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

/// The public key is recomputed from the seed, so that none from outside is ever signed with.
fn key_pair(seed: &Secret) -> Result<Ed25519KeyPair, CryptoError> {
    // The library would ignore what follows the seed.
    if seed.len() != SEED_LENGTH {
        return Err(CryptoError::PrivateKey);
    }
    Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| CryptoError::PrivateKey)
}

const SEED_LENGTH: usize = 32;
