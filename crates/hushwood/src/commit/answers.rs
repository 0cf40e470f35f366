//! Pre-shared keys, which the caller brings (RFC 9420 §8.4, C308, C328).

use std::collections::BTreeMap;
use std::fmt;

use hushwood_crypto::{CipherSuite, Secret};

use crate::error::{Error, NotNow};
use crate::schedule::{PreSharedKeyId, Psk, PskSecret};

/// What the caller knows and a commit or a Welcome asks for.
#[derive(Default)]
pub struct Answers {
    psks: BTreeMap<Psk, Secret>,
}

impl Answers {
    /// Nothing was asked for.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a pre-shared key.
    pub fn add_psk(&mut self, psk: Psk, key: Secret) {
        self.psks.insert(psk, key);
    }

    /// The key of this name, whatever the usage it is named for.
    #[must_use]
    pub fn psk(&self, psk: &Psk) -> Option<&Secret> {
        self.psks.get(psk)
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("psks", &self.psks.len()).finish()
    }
}

/// `psk_secret` of the keys in their order, each looked up by `find`.
///
/// # Errors
/// [`NotNow::PskMissing`] if one is not found.
pub(crate) fn psk_secret<'k, 'i>(
    suite: &dyn CipherSuite,
    ids: impl Iterator<Item = &'i PreSharedKeyId>,
    find: impl Fn(&Psk) -> Option<&'k Secret>,
) -> Result<PskSecret, Error> {
    // RFC 9420 §12.4.2, C308: every key must be at hand before anything is derived.
    let found = ids.map(|id| find(&id.psk).map(|key| (id, key)));
    let keys: Vec<_> = found.collect::<Option<_>>().ok_or(NotNow::PskMissing)?;
    PskSecret::derive(suite, &keys)
}
