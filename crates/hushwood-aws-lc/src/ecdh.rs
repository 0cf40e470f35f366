//! SP 800-56A, RFC 7748: ECDH over the NIST curves, and X25519.

use aws_lc_rs::agreement::{self, Algorithm, ParsedPublicKey, PrivateKey, UnparsedPublicKey, agree};
use hushwood_crypto::dhkem::DiffieHellman;
use hushwood_crypto::{CryptoError, Secret};

/// A Diffie-Hellman group of AWS-LC.
pub(crate) struct Ecdh {
    algorithm: &'static Algorithm,
    /// Whether all bytes of the right length are a point.
    complete: bool,
}

pub(crate) static X25519: Ecdh = Ecdh { algorithm: &agreement::X25519, complete: true };
pub(crate) static P256: Ecdh = Ecdh { algorithm: &agreement::ECDH_P256, complete: false };
pub(crate) static P384: Ecdh = Ecdh { algorithm: &agreement::ECDH_P384, complete: false };
pub(crate) static P521: Ecdh = Ecdh { algorithm: &agreement::ECDH_P521, complete: false };

impl Ecdh {
    /// This also computes the public key.
    pub(crate) fn private_key(&self, private: &[u8]) -> Result<PrivateKey, CryptoError> {
        PrivateKey::from_private_key(self.algorithm, private).map_err(|_| CryptoError::PrivateKey)
    }

    /// The library would also take other encodings, such as X.509; those have other lengths, and have
    /// been refused before.
    fn parse(&self, public: &[u8]) -> Result<ParsedPublicKey, CryptoError> {
        UnparsedPublicKey::new(self.algorithm, public).try_into().map_err(|_| CryptoError::PublicKey)
    }
}

impl DiffieHellman for Ecdh {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let public = self.private_key(private)?.compute_public_key().map_err(|_| CryptoError::Provider)?;
        Ok(public.as_ref().to_vec())
    }

    fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError> {
        // X25519 fails here for a result of zero.
        agree(&self.private_key(private)?, self.parse(public)?, CryptoError::PublicKey, |shared| {
            Ok(Secret::copy_of(shared))
        })
    }

    fn exchange(&self, private: &[u8], public: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError> {
        let private = self.private_key(private)?;
        let own = private.compute_public_key().map_err(|_| CryptoError::Provider)?;
        let shared = agree(&private, self.parse(public)?, CryptoError::PublicKey, |shared| {
            Ok(Secret::copy_of(shared))
        })?;
        Ok((own.as_ref().to_vec(), shared))
    }

    fn check_point(&self, public: &[u8]) -> Result<(), CryptoError> {
        match self.complete {
            true => Ok(()),
            false => self.parse(public).map(drop),
        }
    }
}
