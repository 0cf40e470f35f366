//! RFC 9420 §12.4.3.1: the key and nonce that a Welcome's GroupInfo is encrypted with.

use hushwood_crypto::{CipherSuite, CryptoError, Secret, expand_with_label};

use crate::error::{Error, Violation};
use crate::schedule::types::WelcomeSecret;

impl WelcomeSecret {
    /// Encrypts an encoded GroupInfo. It takes the secret, since key and nonce are good for one use.
    ///
    /// # Errors
    /// [`ApiMisuse::TooLong`](crate::error::ApiMisuse::TooLong) beyond the AEAD's limit.
    pub fn seal(self, suite: &dyn CipherSuite, group_info: &[u8]) -> Result<Vec<u8>, Error> {
        let (key, nonce) = self.welcome_key_and_nonce(suite)?;
        suite.aead().seal(key.expose(), nonce.expose(), b"", group_info).map_err(|error| match error {
            CryptoError::InputTooLong => crate::error::ApiMisuse::TooLong.into(),
            other => other.into(),
        })
    }

    /// Decrypts `encrypted_group_info`.
    ///
    /// # Errors
    /// [`Violation::WelcomeDoesNotOpen`].
    pub fn open(self, suite: &dyn CipherSuite, encrypted_group_info: &[u8]) -> Result<Secret, Error> {
        let (key, nonce) = self.welcome_key_and_nonce(suite)?;
        // RFC 9420 §12.4.3.1, C330: the GroupInfo must decrypt.
        let opened = suite.aead().open(key.expose(), nonce.expose(), b"", encrypted_group_info);
        opened.map_err(|error| match error {
            CryptoError::Open | CryptoError::InputTooLong => Violation::WelcomeDoesNotOpen.into(),
            other => other.into(),
        })
    }

    fn welcome_key_and_nonce(&self, suite: &dyn CipherSuite) -> Result<(Secret, Secret), Error> {
        let key = expand_with_label(suite, self.secret(), "key", b"", suite.aead().key_length())?;
        let nonce = expand_with_label(suite, self.secret(), "nonce", b"", suite.aead().nonce_length())?;
        Ok((key, nonce))
    }
}
