//! RFC 9420 §5.1.2: ECDSA over the NIST curves, with what is the same for all providers written once:
//! private keys are scalars of full width, public keys uncompressed points, signatures DER.

use crate::dhkem::Dhkem;
use crate::{
    CryptoError, HpkePublicKey, Kem, Random, Signature, SignaturePrivateKey, SignaturePublicKey, SigningKey,
};

/// The arithmetic of ECDSA over one curve, with the hash that RFC 9420 §17.1 gives it.
pub trait EcdsaArithmetic: Send + Sync {
    /// Signs; the private key has the right length.
    ///
    /// # Errors
    /// [`CryptoError::PrivateKey`] if the scalar is zero or not below the curve's order.
    fn sign(&self, private: &[u8], message: &[u8]) -> Result<Vec<u8>, CryptoError>;
    /// The key made ready for many signatures; it has the right length.
    ///
    /// # Errors
    /// [`CryptoError::PrivateKey`].
    fn prepare(&self, private: &[u8]) -> Result<Option<Box<dyn SigningKey>>, CryptoError> {
        let _ = private;
        Ok(None)
    }
    /// Verifies; the public key has the form of an uncompressed point. Takes strict DER only: no trailing
    /// data, minimal lengths and integers (C037).
    ///
    /// # Errors
    /// [`CryptoError::PublicKey`] for a point that is not on the curve; [`CryptoError::Signature`].
    fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError>;
}

/// ECDSA as a [`Signature`] scheme.
///
/// Q: may the `s` of a signature be above half of the order, so that there are two signatures for a
/// message? A: the RFC doesn't forbid it and signers of other implementations emit such `s`, so both are
/// accepted.
pub struct Ecdsa {
    /// The KEM over the same curve: it knows how keys are made and what they look like.
    kem: &'static Dhkem,
    arithmetic: &'static dyn EcdsaArithmetic,
}

impl Ecdsa {
    /// ECDSA over the curve of `kem`.
    #[must_use]
    pub const fn new(kem: &'static Dhkem, arithmetic: &'static dyn EcdsaArithmetic) -> Self {
        Self { kem, arithmetic }
    }

    fn check_length(&self, key: &SignaturePrivateKey) -> Result<(), CryptoError> {
        if key.0.len() == self.kem.private_key_length() { Ok(()) } else { Err(CryptoError::PrivateKey) }
    }
}

impl Signature for Ecdsa {
    fn generate(
        &self,
        random: &mut dyn Random,
    ) -> Result<(SignaturePrivateKey, SignaturePublicKey), CryptoError> {
        // A scalar is a scalar: the KEM's way to make one from fresh randomness does for signatures too.
        let (private, public) = self.kem.generate_key_pair(random)?;
        Ok((SignaturePrivateKey(private.0), SignaturePublicKey(public.0)))
    }

    fn public_key(&self, key: &SignaturePrivateKey) -> Result<SignaturePublicKey, CryptoError> {
        self.check_length(key)?;
        self.kem.arithmetic().public_key(key.0.expose()).map(SignaturePublicKey)
    }

    fn sign(&self, key: &SignaturePrivateKey, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.check_length(key)?;
        self.arithmetic.sign(key.0.expose(), message)
    }

    fn prepare(&self, key: &SignaturePrivateKey) -> Result<Option<Box<dyn SigningKey>>, CryptoError> {
        self.check_length(key)?;
        self.arithmetic.prepare(key.0.expose())
    }

    fn verify(&self, key: &SignaturePublicKey, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        self.kem.group().check_form(&key.0)?;
        self.arithmetic.verify(&key.0, message, signature)
    }

    fn check_public_key(&self, key: &SignaturePublicKey) -> Result<(), CryptoError> {
        self.kem.check_public_key(&HpkePublicKey(key.0.clone()))
    }
}
