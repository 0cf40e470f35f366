//! What an application decides.

use std::fmt;
use std::time::Duration;

use hushwood::policy::{Padding, Policy, Timestamp};
use hushwood_crypto::{CipherSuiteId, CryptoProvider, Random, Signer};
use hushwood_delivery::wire::InviteToken;

use crate::invitation::Invitations;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Millis(pub u64);

impl Millis {
    /// In whole seconds, as the protocol counts.
    #[must_use]
    pub fn seconds(self) -> Timestamp {
        Timestamp(self.0 / 1000)
    }

    /// So much later.
    #[must_use]
    pub fn after(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// The time now, by the clock of the operating system.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Cryptography and randomness.
pub struct Provider {
    /// The suites.
    pub crypto: CryptoProvider,
    /// Where random bytes come from.
    pub random: Box<dyn Random + Send>,
    /// Signature keys that are kept elsewhere. By default a client makes its own, and keeps them in its store.
    pub signers: Option<Signers>,
}

/// Signature keys outside of the store: in a chip, in the operating system's key store, in another process (RFC 9750 §8.3.3).
///
/// The private keys never come to the client: it asks for each signature. The public ones stay what they were when the store was
/// made. All calls are made in the thread that drives the client.
pub struct Signers {
    /// For groups, with the signature scheme of [`Settings::suite`]: what others know this device by.
    pub groups: Box<dyn Signer>,
    /// For the delivery service: Ed25519.
    pub service: Box<dyn Signer>,
}

impl Provider {
    /// This provider with this source of randomness.
    pub fn new(crypto: CryptoProvider, random: impl Random + Send + 'static) -> Self {
        Self { crypto, random: Box::new(random), signers: None }
    }

    /// With signature keys that are kept elsewhere. A store that was made with them opens with the same ones alone
    /// ([`Error::OtherSigner`](crate::Error::OtherSigner)), and one that has keys of its own keeps them.
    #[must_use]
    pub fn with_signers(self, groups: impl Signer + 'static, service: impl Signer + 'static) -> Self {
        let signers = Signers { groups: Box::new(groups), service: Box::new(service) };
        Self { signers: Some(signers), ..self }
    }
}

impl fmt::Debug for Signers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signers").finish_non_exhaustive()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").finish_non_exhaustive()
    }
}

/// Waits that become longer: each is three times the one before. A part of each, up to a half, is left out at random, so that
/// many who wait for the same do not come at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Waits {
    /// The first.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

/// What an application decides, with what fits most.
///
/// ```
/// use std::time::Duration;
/// use hushwood_client::{Invitations, Settings};
///
/// let settings =
///     Settings { patience: Duration::from_secs(3), invitations: Invitations::Ask, ..Settings::default() };
/// assert_eq!(settings.history, 10_000);
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    /// The suite of groups that are made here, and of our KeyPackages. It is chosen when the store is made and stays: another one
    /// later is [`Error::OtherSuite`](crate::Error::OtherSuite).
    pub suite: CipherSuiteId,
    /// What the service's operator has given to those who may have an account, where that is asked for.
    pub invite_token: Option<InviteToken>,
    /// How messages are padded.
    pub padding: Padding,
    /// So many KeyPackages are kept with the service.
    pub stock: u32,
    /// More are made when so few are left.
    pub stock_low: u32,
    /// How often the stock is looked at.
    pub stock_interval: Duration,
    /// When our keys in a room are so old they are renewed.
    pub renew_after: Duration,
    /// So many messages of an epoch to come are kept for a room.
    pub early_messages: usize,
    /// So long.
    pub early_age: Duration,
    /// How long to wait before something is tried again.
    pub retry: Waits,
    /// How often [`wait`](crate::Client::wait) looks for news where the service's stream can't be had; the first wait again whenever
    /// there were some.
    pub poll: Waits,
    /// How long a call waits for what it asked for before it says that it is kept for later.
    pub patience: Duration,
    /// The most entries that are read at once.
    pub page: u32,
    /// Which invitations are followed without asking.
    pub invitations: Invitations,
    /// So many messages of each room are kept to be read again; 0 for none.
    pub history: u64,
}

impl Default for Settings {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        Self {
            suite: CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519,
            invite_token: None,
            padding: Padding::Padme,
            stock: 20,
            stock_low: 8,
            stock_interval: HOUR.saturating_mul(6),
            renew_after: HOUR.saturating_mul(7 * 24),
            early_messages: 64,
            early_age: Duration::from_secs(10 * 60),
            retry: Waits { first: Duration::from_millis(50), longest: Duration::from_secs(10) },
            poll: Waits { first: Duration::from_millis(500), longest: Duration::from_secs(10) },
            patience: Duration::from_secs(10),
            page: 200,
            invitations: Invitations::default(),
            history: 10_000,
        }
    }
}

impl Settings {
    /// The policy of groups: handshakes that the service can follow, trees that it keeps.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            padding: self.padding,
            encrypt_handshakes: false,
            ratchet_tree_extension: false,
            // The service has looked, by its clock and at the time. Whoever reads a log days later, or with another clock, must
            // come to the same (RFC 9420 §7.2, C122: receivers "SHOULD" look where they see it live).
            check_lifetime_on_add: false,
            ..Policy::default()
        }
    }
}

/// In whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
