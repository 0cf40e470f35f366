//! FIPS 186-5: ECDSA over the NIST curves.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, ParsedPublicKey, VerificationAlgorithm,
};
use hushwood_crypto::dhkem::DiffieHellman;
use hushwood_crypto::ecdsa::EcdsaArithmetic;
use hushwood_crypto::{CryptoError, SigningKey};

use crate::ecdh::{self, Ecdh};

/// ECDSA with one curve and hash.
pub(crate) struct EcdsaCurve {
    curve: &'static Ecdh,
    signing: &'static EcdsaSigningAlgorithm,
    verification: &'static dyn VerificationAlgorithm,
}

pub(crate) static P256_SHA256: EcdsaCurve = EcdsaCurve {
    curve: &ecdh::P256,
    signing: &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
    verification: &signature::ECDSA_P256_SHA256_ASN1,
};
pub(crate) static P384_SHA384: EcdsaCurve = EcdsaCurve {
    curve: &ecdh::P384,
    signing: &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
    verification: &signature::ECDSA_P384_SHA384_ASN1,
};
pub(crate) static P521_SHA512: EcdsaCurve = EcdsaCurve {
    curve: &ecdh::P521,
    signing: &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
    verification: &signature::ECDSA_P521_SHA512_ASN1,
};

impl EcdsaCurve {
    fn key_pair(&self, private: &[u8]) -> Result<Prepared, CryptoError> {
        let public = self.curve.public_key(private)?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(self.signing, private, &public);
        pair.map(Prepared).map_err(|_| CryptoError::PrivateKey)
    }
}

/// A private key and its public key, in memory that AWS-LC erases.
struct Prepared(EcdsaKeyPair);

impl SigningKey for Prepared {
    /// The nonce is AWS-LC's own affair: it is drawn from its generator, which aborts rather than fail.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        // The library asks for a generator and ignores it.
        let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| CryptoError::Provider)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl EcdsaArithmetic for EcdsaCurve {
    fn sign(&self, private: &[u8], message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.key_pair(private)?.sign(message)
    }

    fn prepare(&self, private: &[u8]) -> Result<Option<Box<dyn SigningKey>>, CryptoError> {
        Ok(Some(Box::new(self.key_pair(private)?)))
    }

    fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let key = ParsedPublicKey::new(self.verification, public).map_err(|_| CryptoError::PublicKey)?;
        key.verify_sig(message, signature).map_err(|_| CryptoError::Signature)
    }
}
