//! RFC 9420 §8.5: secrets for other protocols.

use hushwood_crypto::{CipherSuite, CryptoError, Secret, derive_secret, expand_with_label};

use crate::error::{ApiMisuse, Error};
use crate::schedule::types::ExporterSecret;

impl ExporterSecret {
    /// `MLS-Exporter(Label, Context, Length)`.
    ///
    /// The label says what the secret is for and must not be used for anything else (registry: RFC 9420
    /// §17.8). The secret is of this epoch: after a commit, export again (C177).
    ///
    /// # Errors
    /// [`ApiMisuse::ExportTooLong`] if `length` exceeds 255 hash lengths (C160, C176).
    pub fn export(
        &self,
        suite: &dyn CipherSuite,
        label: &str,
        context: &[u8],
        length: usize,
    ) -> Result<Secret, Error> {
        let derived = derive_secret(suite, self.secret(), label).map_err(too_long)?;
        let context = suite.hash().hash(&[context]);
        expand_with_label(suite, &derived, "exported", context.as_bytes(), length).map_err(too_long)
    }
}

fn too_long(error: CryptoError) -> Error {
    match error {
        CryptoError::Length => ApiMisuse::ExportTooLong.into(),
        other => other.into(),
    }
}
