//! How a store on disk behaves.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hushwood_crypto::{CryptoError, Random};

use crate::sqlite::PassphraseCost;

/// How a [`SqliteStore`](crate::SqliteStore) behaves, where the defaults do not fit.
pub struct SqliteOptions {
    pub(super) accept_rollback: bool,
    pub(super) anchor: Option<PathBuf>,
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
            accept_rollback: false,
            anchor: None,
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

    /// Keeps the number of steps in a file of its own as well, which is made with the store, and moved on by each step before
    /// the step gives anything out. So a store that was put back from an old copy is found out when it is opened
    /// ([`OpenError::RolledBack`](crate::OpenError::RolledBack)), as long as the anchor was not put back with it: let it lie
    /// where backups of the store do not reach, on another disk perhaps. The same path is to be given whenever the store is
    /// opened. It costs one more sync of a disk for each step.
    ///
    /// A store without an anchor gets one by [`accept_rollback`](Self::accept_rollback).
    #[must_use]
    pub fn anchor(self, path: impl Into<PathBuf>) -> Self {
        Self { anchor: Some(path.into()), ..self }
    }

    /// Opens the store whatever its anchor says, and moves the anchor to where the store is.
    ///
    /// For a host that knows better, or after [`OpenError::RolledBack`](crate::OpenError::RolledBack) and
    /// [`OpenError::AnchorMissing`](crate::OpenError::AnchorMissing) for one that sends nothing from the groups in it
    /// before it has joined them again: what is encrypted with the old state uses keys that have been used.
    #[must_use]
    pub fn accept_rollback(self) -> Self {
        Self { accept_rollback: true, ..self }
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
            .field("accept_rollback", &self.accept_rollback)
            .field("anchor", &self.anchor)
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
