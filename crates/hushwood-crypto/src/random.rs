//! Randomness as an argument.

use crate::{CryptoError, Secret};

/// A source of cryptographically secure random bytes that may fail.
///
/// Providers offer one over the operating system's generator. A failure is passed on and leaves
/// everything as it was: no key, nonce or guard is ever made from bytes that were not filled.
pub trait Random {
    /// Fills `bytes` entirely.
    ///
    /// # Errors
    /// [`CryptoError::Random`]; the content of `bytes` is then unspecified and must not be used.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError>;
}

impl dyn Random + '_ {
    /// A fresh secret of `length` bytes.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    pub fn secret(&mut self, length: usize) -> Result<Secret, CryptoError> {
        let mut secret = Secret::zero(length);
        self.fill(secret.expose_mut())?;
        Ok(secret)
    }

    /// Fresh public bytes, such as an identifier or a nonce that is sent.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    pub fn bytes(&mut self, length: usize) -> Result<Vec<u8>, CryptoError> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// A fresh array.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CryptoError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}
