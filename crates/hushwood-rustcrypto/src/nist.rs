//! FIPS 186-5, SP 800-56A: ECDSA and ECDH over the NIST curves.

use hushwood_crypto::dhkem::DiffieHellman;
use hushwood_crypto::ecdsa::EcdsaArithmetic;
use hushwood_crypto::{CryptoError, Secret};
use p256::ecdsa::signature::{Signer, Verifier};

/// The crates of the three curves have the same API; with types in place of traits it stays readable.
macro_rules! nist_curve {
    ($(#[$doc:meta])* $name:ident, $curve:ident) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl $name {
            fn private(bytes: &[u8]) -> Result<$curve::SecretKey, CryptoError> {
                $curve::SecretKey::from_slice(bytes).map_err(|_| CryptoError::PrivateKey)
            }

            fn public(bytes: &[u8]) -> Result<$curve::PublicKey, CryptoError> {
                $curve::PublicKey::from_sec1_bytes(bytes).map_err(|_| CryptoError::PublicKey)
            }
        }

        impl DiffieHellman for $name {
            fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
                let public = Self::private(private)?.public_key();
                Ok($curve::Sec1Point::from(public).as_bytes().to_vec())
            }

            fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError> {
                let public = Self::public(public)?;
                let shared = Self::private(private)?.diffie_hellman(&public);
                Ok(Secret::copy_of(shared.raw_secret_bytes()))
            }

            fn check_point(&self, public: &[u8]) -> Result<(), CryptoError> {
                Self::public(public).map(|_| ())
            }
        }

        impl EcdsaArithmetic for $name {
            /// The nonce is derived from key and message (RFC 6979).
            fn sign(&self, private: &[u8], message: &[u8]) -> Result<Vec<u8>, CryptoError> {
                let key = $curve::ecdsa::SigningKey::from(Self::private(private)?);
                let signature: $curve::ecdsa::DerSignature =
                    key.try_sign(message).map_err(|_| CryptoError::Provider)?;
                Ok(signature.as_bytes().to_vec())
            }

            fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
                let key = $curve::ecdsa::VerifyingKey::from(Self::public(public)?);
                let signature = $curve::ecdsa::DerSignature::from_bytes(signature);
                let signature = signature.map_err(|_| CryptoError::Signature)?;
                key.verify(message, &signature).map_err(|_| CryptoError::Signature)
            }
        }
    };
}

nist_curve! {
    /// P-256, ECDSA with SHA-256.
    P256, p256
}

nist_curve! {
    /// P-384, ECDSA with SHA-384.
    P384, p384
}

nist_curve! {
    /// P-521, ECDSA with SHA-512.
    P521, p521
}
