//! How a store on disk behaves.

use std::fmt;
use std::time::Duration;

use hushwood_crypto::{CryptoError, Random};

use crate::sqlite::PassphraseCost;

/// How a [`SqliteStore`](crate::SqliteStore) behaves, where the defaults do not fit.
pub struct SqliteOptions {
    pub(super) busy_timeout: Duration,
    pub(super) checkpoint_interval: Duration,
    pub(super) checkpoint_steps: u64,
    pub(super) cost: PassphraseCost,
    pub(super) random: Box<dyn Random + Send>,
}

impl SqliteOptions {
    /// The defaults: they wait 5 s for other writers, empty the log after 1,000 steps or 60 s, guard
    /// passphrases with [`PassphraseCost::DEFAULT`], and take randomness from the operating system.
    #[must_use]
    pub fn new() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            checkpoint_interval: Duration::from_secs(60),
            checkpoint_steps: 1000,
            cost: PassphraseCost::DEFAULT,
            random: Box::new(OsRandom),
        }
    }

    /// How long a call waits while another process writes.
    #[must_use]
    pub fn busy_timeout(self, busy_timeout: Duration) -> Self {
        Self { busy_timeout, ..self }
    }

    /// When a write also empties the log, and with it what was erased since: after so many steps, or so
    /// long after the first of them.
    #[must_use]
    pub fn checkpoint_after(self, checkpoint_steps: u64, checkpoint_interval: Duration) -> Self {
        Self { checkpoint_interval, checkpoint_steps, ..self }
    }

    /// What a guess at the passphrase costs, for a new store or a new passphrase.
    #[must_use]
    pub fn passphrase_cost(self, cost: PassphraseCost) -> Self {
        Self { cost, ..self }
    }

    /// Where keys and nonces come from.
    #[must_use]
    pub fn random(self, random: impl Random + Send + 'static) -> Self {
        Self { random: Box::new(random), ..self }
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOptions")
            .field("busy_timeout", &self.busy_timeout)
            .field("checkpoint_interval", &self.checkpoint_interval)
            .field("checkpoint_steps", &self.checkpoint_steps)
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}

/// The generator of the operating system.
struct OsRandom;

impl Random for OsRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        getrandom::fill(bytes).map_err(|_| CryptoError::Random)
    }
}
