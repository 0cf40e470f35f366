//! How often somebody may ask (RFC 9420 §16.8; RFC 9750 §8.1.3).
//!
//! Each node counts for itself, in memory, and forgets what nobody has asked for a while: with several nodes the limits
//! are those of one, times their number at most.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::backend::AccountId;
use crate::service::settings::{Rate, Rates};
use crate::wire::Refusal;

/// Who asks about a group: a hash of it and of the signature key by which they show who they are.
pub(super) type Who = [u8; 32];

/// All that is counted.
pub(super) struct Limits {
    account: Counter<AccountId>,
    member: Counter<Who>,
    outsider: Counter<Who>,
    invited: Counter<Who>,
    external_sender: Counter<([u8; 32], u32)>,
    claims: Counter<AccountId>,
    claims_of_one: Counter<(AccountId, AccountId)>,
    fresh_of_one: Counter<(AccountId, AccountId)>,
    fresh: Counter<AccountId>,
    registrations: Counter<()>,
    devices: Counter<AccountId>,
    groups: Counter<AccountId>,
    outside: Counter<AccountId>,
    outside_of: Counter<[u8; 32]>,
    trees: Counter<[u8; 32]>,
}

impl Limits {
    pub(super) fn new(rates: &Rates) -> Self {
        Self {
            account: Counter::new(rates.account),
            member: Counter::new(rates.member),
            outsider: Counter::new(rates.outsider),
            invited: Counter::new(rates.invited),
            external_sender: Counter::new(rates.outside),
            claims: Counter::new(rates.claims),
            claims_of_one: Counter::new(rates.claims_of_one),
            fresh_of_one: Counter::new(rates.fresh_of_one),
            fresh: Counter::new(rates.fresh),
            registrations: Counter::new(rates.registrations),
            devices: Counter::new(rates.devices),
            groups: Counter::new(rates.groups),
            outside: Counter::new(rates.outside),
            outside_of: Counter::new(rates.outside_of_group),
            trees: Counter::new(rates.trees),
        }
    }

    /// A request of an account.
    pub(super) fn request(&self, account: AccountId) -> Result<(), Refusal> {
        self.account.count(&account)
    }

    /// A request about a group, by a member of it, that brings so many bytes to be kept.
    pub(super) fn member(&self, who: Who, bytes: usize) -> Result<(), Refusal> {
        self.member.count_with(&who, bytes)
    }

    /// A request about a group, by somebody who was a member of it. They take nothing of whoever stands at their leaf now.
    pub(super) fn departed(&self, who: Who) -> Result<(), Refusal> {
        self.outsider.count(&who)
    }

    /// A request about a group, by somebody whom a member has invited. They take nothing of that member's own, but whom one member
    /// invites is counted together as well: keys to be invited cost nothing.
    pub(super) fn invited(&self, who: Who, by: Who, bytes: usize) -> Result<(), Refusal> {
        self.outsider.count_with(&who, bytes)?;
        self.invited.count_with(&by, bytes)
    }

    /// A request about a group, by one of its external senders.
    pub(super) fn external_sender(&self, group: [u8; 32], index: u32) -> Result<(), Refusal> {
        self.external_sender.count(&(group, index))
    }

    /// RFC 9420 §16.8, A040: somebody who claims KeyPackages again and again leaves others none but those of last resort.
    pub(super) fn claim(&self, by: AccountId, of: AccountId) -> Result<(), Refusal> {
        self.claims_of_one.count(&(by, of))?;
        self.claims.count(&by)
    }

    /// Somebody asks for a name that nobody has.
    pub(super) fn probe(&self, by: AccountId) -> Result<(), Refusal> {
        self.claims.count(&by)
    }

    /// Whether a claim may take one of the KeyPackages that are given once. What one account, or a few together, could take is
    /// less than what somebody keeps here.
    pub(super) fn fresh(&self, by: AccountId, of: AccountId) -> Result<(), Refusal> {
        if by == of {
            return Ok(());
        }
        self.fresh_of_one.count(&(by, of))?;
        self.fresh.count(&of)
    }

    /// A new account.
    pub(super) fn registration(&self) -> Result<(), Refusal> {
        self.registrations.count(&())
    }

    /// A device that wants to belong to an account.
    pub(super) fn device(&self, account: AccountId) -> Result<(), Refusal> {
        self.devices.count(&account)
    }

    /// A group that comes to the service, with a tree of so many bytes.
    pub(super) fn group(&self, by: AccountId, bytes: usize) -> Result<(), Refusal> {
        self.groups.count_with(&by, bytes)
    }

    /// A proposal from outside a group.
    pub(super) fn outside(&self, by: AccountId) -> Result<(), Refusal> {
        self.outside.count(&by)
    }

    /// A proposal from outside a group, of whichever account.
    pub(super) fn outside_of(&self, group: [u8; 32]) -> Result<(), Refusal> {
        self.outside_of.count(&group)
    }

    /// A tree of an epoch of a group that is over, which has to be made anew from what was before.
    pub(super) fn old_tree(&self, group: [u8; 32]) -> Result<(), Refusal> {
        self.trees.count(&group)
    }

    /// Forgets those who may ask as often as if they never had.
    pub(super) fn forget(&self) {
        self.account.forget();
        self.member.forget();
        self.outsider.forget();
        self.invited.forget();
        self.external_sender.forget();
        self.claims.forget();
        self.claims_of_one.forget();
        self.fresh_of_one.forget();
        self.fresh.forget();
        self.devices.forget();
        self.groups.forget();
        self.outside.forget();
        self.outside_of.forget();
        self.trees.forget();
    }
}

struct Counter<K: Clone + Eq + Hash> {
    limiter: RateLimiter<K, HashMapStateStore<K>, MonotonicClock>,
    burst: NonZeroU32,
}

/// So many bytes count as much as a request.
const PIECE: usize = 64 << 10;

impl<K: Clone + Eq + Hash> Counter<K> {
    fn new(rate: Rate) -> Self {
        // Nobody can be told to wait for no time at all.
        let every = rate.every.max(Duration::from_micros(1));
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(every).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        let state = HashMapStateStore::default();
        Self { limiter: RateLimiter::new(quota.allow_burst(burst), state, MonotonicClock), burst }
    }

    fn count(&self, key: &K) -> Result<(), Refusal> {
        self.limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(MonotonicClock.now());
            Refusal::TooMany(wait.max(Duration::from_secs(1)))
        })
    }

    /// Counts a request and what it brings. One that is worth more than everything at once is worth that.
    fn count_with(&self, key: &K, bytes: usize) -> Result<(), Refusal> {
        let pieces = u32::try_from(bytes.checked_div(PIECE).unwrap_or_default()).unwrap_or(u32::MAX);
        let worth = NonZeroU32::MIN.saturating_add(pieces).min(self.burst);
        match self.limiter.check_key_n(key, worth) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(MonotonicClock.now());
                Err(Refusal::TooMany(wait.max(Duration::from_secs(1))))
            }
            // It is not worth more than everything.
            Err(_) => Err(Refusal::TooMany(Duration::from_secs(1))),
        }
    }

    fn forget(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_one_more_after_a_time() {
        let counter = Counter::new(Rate { burst: 3, every: Duration::from_millis(200) });
        for _ in 0..3 {
            counter.count(&1).unwrap();
        }
        assert!(matches!(counter.count(&1), Err(Refusal::TooMany(_))));
        counter.count(&2).unwrap();
        std::thread::sleep(Duration::from_millis(250));
        counter.count(&1).unwrap();
        assert!(counter.count(&1).is_err());
    }

    #[test]
    fn what_is_large_counts_as_many() {
        let counter = Counter::new(Rate { burst: 20, every: Duration::from_secs(3600) });
        counter.count_with(&1, 1 << 20).unwrap();
        for _ in 0..3 {
            counter.count_with(&1, 100).unwrap();
        }
        assert!(counter.count_with(&1, 100).is_err());
        counter.count_with(&2, 1 << 30).unwrap();
        assert!(counter.count(&2).is_err());
    }

    #[test]
    fn who_has_not_asked_for_long_is_forgotten() {
        let counter = Counter::new(Rate { burst: 1, every: Duration::from_millis(50) });
        for key in 0..1000 {
            counter.count(&key).unwrap();
        }
        assert_eq!(counter.limiter.len(), 1000);
        std::thread::sleep(Duration::from_millis(150));
        counter.forget();
        assert_eq!(counter.limiter.len(), 0);
    }
}
