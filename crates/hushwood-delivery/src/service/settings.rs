//! What an operator decides.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hushwood::policy::Policy;

use crate::backend::{PageLimit, Seconds};

/// What an operator decides, with what fits most.
#[derive(Clone)]
pub struct ServiceSettings {
    /// The service's name. It stands in everything that is signed for it, so that nothing signed for another service can
    /// be used here.
    pub name: String,
    /// How long a token is good.
    pub token_lifetime: Duration,
    /// How old a challenge or a proof may be, and how far ahead the clock of who made it.
    pub clock_skew: Duration,
    /// How many epochs back a message may be from. Members can read those of a few past epochs.
    pub late_epochs: u64,
    /// A snapshot is made every so many commits.
    pub snapshot_every: u64,
    /// So many snapshots are kept, so that who was invited long ago still gets the tree.
    pub snapshots: u32,
    /// The most KeyPackages that a device may have here, and publish at once.
    pub max_key_packages: u32,
    /// The most devices that an account may have.
    pub max_devices: u32,
    /// How many Welcomes, and bytes of them, may wait for a device. While that many do, it can't be added to groups.
    pub inbox: PageLimit,
    /// The longest name of an account, in bytes.
    pub max_name: usize,
    /// The largest message.
    pub max_message: usize,
    /// The largest tree of a group that comes to the service.
    pub max_tree: usize,
    /// The most bytes that the Welcomes of one commit may come to, each with its own copy of what they share.
    pub max_welcomes: usize,
    /// The most proposals that may wait for a commit.
    pub max_proposals: usize,
    /// The most groups that are kept in memory.
    pub max_followed: usize,
    /// What groups may be like, and how KeyPackages are judged.
    pub policy: Policy,
    /// The clock.
    pub clock: fn() -> Seconds,
}

impl ServiceSettings {
    /// Settings for a service of this name, which is best that under which clients reach it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            token_lifetime: Duration::from_secs(15 * 60),
            clock_skew: Duration::from_secs(5 * 60),
            late_epochs: 5,
            snapshot_every: 64,
            snapshots: 4,
            max_key_packages: 200,
            max_devices: 20,
            inbox: PageLimit { entries: 1000, bytes: 64 << 20 },
            max_name: 64,
            max_message: 1 << 20,
            max_tree: 64 << 20,
            max_welcomes: 64 << 20,
            max_proposals: 1000,
            max_followed: 10_000,
            policy: Policy::default(),
            clock: system_clock,
        }
    }
}

impl fmt::Debug for ServiceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceSettings").field("name", &self.name).finish_non_exhaustive()
    }
}

fn system_clock() -> Seconds {
    Seconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
