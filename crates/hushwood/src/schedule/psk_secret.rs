//! RFC 9420 §8.4: the pre-shared keys of a commit as one secret.

use hushwood_codec::Writer;
use hushwood_crypto::{CipherSuite, Secret, expand_with_label};

use crate::error::{ApiMisuse, Error};
use crate::schedule::pre_shared_key::PreSharedKeyId;
use crate::schedule::types::PskSecret;

/// The most pre-shared keys that go into one secret: `PSKLabel.index` and `PSKLabel.count` are uint16.
pub(crate) const MAX_PSKS: usize = 65_535;

impl PskSecret {
    /// The secret of a commit without pre-shared keys (C174).
    #[must_use]
    pub fn zero(suite: &dyn CipherSuite) -> Self {
        Self::new(Secret::zero(suite.kdf().length()))
    }

    /// Chains the keys in the order in which the Commit, or the GroupSecrets, lists them (C172).
    ///
    /// # Errors
    /// [`ApiMisuse::PskTooMany`].
    pub fn derive(suite: &dyn CipherSuite, psks: &[(&PreSharedKeyId, &Secret)]) -> Result<Self, Error> {
        // RFC 9420 §8.4, C173: `PSKLabel.index` and `PSKLabel.count` are uint16.
        let count = u16::try_from(psks.len()).map_err(|_| ApiMisuse::PskTooMany)?;
        let length = suite.kdf().length();
        let zero = Secret::zero(length);
        let mut psk_secret = Secret::zero(length);
        for (index, (id, psk)) in (0..count).zip(psks) {
            let psk_extracted = suite.kdf().extract(zero.expose(), &[psk.expose()]);
            let mut psk_label = Writer::new();
            psk_label.value(*id).value(&index).value(&count);
            let psk_label = psk_label.finish()?;
            let psk_input = expand_with_label(suite, &psk_extracted, "derived psk", &psk_label, length)?;
            psk_secret = suite.kdf().extract(psk_input.expose(), &[psk_secret.expose()]);
        }
        Ok(Self::new(psk_secret))
    }
}
