//! What can go wrong in a primitive.

use std::error::Error;
use std::fmt;

/// A cryptographic operation that did not succeed.
///
/// A failed decapsulation and a failed authentication are deliberately one variant: to tell them apart
/// helps only an attacker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CryptoError {
    /// A ciphertext that does not open: forged, altered, or made for another key.
    Open,
    /// A public key that is malformed or not allowed: wrong length, not on the curve, of small order
    /// (RFC 9180 §7.1.4; C032 to C035).
    PublicKey,
    /// A private key that is malformed.
    PrivateKey,
    /// A pre-shared key that is too short to be one, or has no identifier (RFC 9180 §5.1, §5.1.2).
    PreSharedKey,
    /// A signature that does not verify (C037).
    Signature,
    /// An output longer than the primitive gives (RFC 9420 §8; C160).
    Length,
    /// An input longer than the AEAD's limit (C091).
    InputTooLong,
    /// The source of randomness failed; nothing was generated.
    Random,
    /// The provider failed in a way its primitive does not allow for.
    Provider,
}

impl fmt::Display for CryptoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "a ciphertext does not open with this key",
            Self::PublicKey => "a public key is malformed or not allowed",
            Self::PrivateKey => "a private key is malformed",
            Self::PreSharedKey => "a pre-shared key is too short or has no identifier",
            Self::Signature => "a signature does not verify",
            Self::Length => "more output was asked for than the primitive gives",
            Self::InputTooLong => "an input is longer than the AEAD's limit",
            Self::Random => "the source of randomness failed",
            Self::Provider => "the cryptographic provider failed",
        })
    }
}

impl Error for CryptoError {}

/// A [`Signer`](crate::Signer) that could not sign: hardware absent, access refused, key broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignerError;

impl fmt::Display for SignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signer did not sign; see that its key is at hand and try again")
    }
}

impl Error for SignerError {}
