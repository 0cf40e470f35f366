//! How the members of this server behave.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use hushwood::credential::Credential;
use hushwood::crypto::{CipherSuite, CipherSuiteId, CryptoProvider, Random};
use hushwood::extension::Extensions;
use hushwood::policy::{Grease, Policy, Timestamp};
use hushwood::tree::{LeafContent, Supported};
use hushwood_rustcrypto::OsRandom;

use crate::failure::Failure;

/// What all members of a server have in common.
#[derive(Clone, Copy)]
pub struct Settings {
    /// Who does the cryptography.
    pub provider: CryptoProvider,
    /// Where GREASE is sent.
    pub grease: Grease,
}

impl Settings {
    /// With this provider, and GREASE where all known implementations take it.
    #[must_use]
    pub fn new(provider: CryptoProvider) -> Self {
        Self { provider, grease: Grease::Capabilities }
    }

    /// The policy of a member: strict, but for what other implementations are known to do, which breaks no rule that a
    /// receiver is to enforce.
    pub(crate) fn policy(&self, encrypt_handshakes: bool) -> Policy {
        Policy {
            encrypt_handshakes,
            grease: self.grease,
            // mlspp's KeyPackages are valid from 0 to 2^64 - 1.
            max_lifetime: u64::MAX,
            // OpenMLS lists default types in its capabilities, mlspp does not list the GREASE in its KeyPackages.
            refuse_listed_defaults: false,
            require_listed_unknown_extensions: false,
            // mls-rs goes by the hash of the group that is reinitialised.
            check_welcome_psk_nonces: false,
            // The runner reads messages late and uses resumption keys of long ago.
            max_past_epochs: 128,
            max_past_epoch_age: u64::MAX,
            max_resumption_psks: 1024,
            ..Policy::default()
        }
    }

    /// The suite of this number.
    pub(crate) fn suite(&self, number: u32) -> Result<&'static dyn CipherSuite, Failure> {
        let number = u16::try_from(number).map_err(|_| Failure::Request("a cipher suite has 16 bits"))?;
        let suite = self.provider.suite(CipherSuiteId(number));
        suite.ok_or(Failure::Request("this provider lacks the cipher suite"))
    }

    /// What a member supports, in a group of this suite.
    pub(crate) fn supported(&self, suite: CipherSuiteId) -> Supported {
        // A runner tries every suite, also where all clients have a better one (RFC 9420 §11).
        Supported::new(&self.provider).preferring(suite)
    }

    /// What stands in a member's leaf.
    pub(crate) fn leaf(&self, suite: CipherSuiteId, identity: &[u8]) -> LeafContent {
        LeafContent {
            credential: Credential::basic(identity),
            supported: self.supported(suite),
            extensions: Extensions::new(),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("provider", &self.provider.name)
            .field("grease", &self.grease)
            .finish()
    }
}

/// The time.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map(|duration| duration.as_secs()).unwrap_or_default())
}

/// The operating system's randomness.
pub(crate) fn random() -> impl Random {
    OsRandom
}
