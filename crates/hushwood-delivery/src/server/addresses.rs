//! Limits by address: how many connections and requests one may have.
//!
//! Addresses are kept as keyed hashes, as long as they have something to pay off, and are told to nobody: not to logs, not to
//! metrics, not to the service.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::server::settings::Limits;

/// An address as it is known here: of IPv6 its first half, which is what one customer is given.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Origin(Option<u64>);

impl Origin {
    /// Whether there are limits for it.
    pub(super) fn is_limited(self) -> bool {
        self.0.is_some()
    }
}

/// What each address has of requests and connections.
pub(super) struct Addresses {
    hasher: RandomState,
    started: Instant,
    limit_loopback: bool,
    most_connections: usize,
    most_checks: usize,
    requests: Owed,
    registrations: Owed,
    kept: Owed,
    connections: Mutex<HashMap<u64, usize>>,
    checks: Mutex<HashMap<u64, usize>>,
}

/// What addresses have used up of something that comes back with time.
struct Owed {
    /// Nanoseconds for one.
    interval: u64,
    /// Nanoseconds that may be owed.
    burst: u64,
    /// Until when an address owes, in nanoseconds since the start.
    until: Mutex<HashMap<u64, u64>>,
}

/// Something that was counted for an address; it counts no more when this is dropped.
pub(super) struct Counted<'a>(&'a Addresses, Origin);

/// The most addresses that are kept apart: when all of them owe at the same time, the others share one account.
const MOST: usize = 100_000;
const SHARED: u64 = 0;

impl Addresses {
    pub(super) fn new(limits: &Limits) -> Self {
        let requests = (Duration::from_secs(1), limits.requests_per_second, limits.requests_at_once);
        let hour = Duration::from_secs(60 * 60);
        let registrations = (hour, limits.registrations_per_hour, limits.registrations_at_once);
        Self {
            hasher: RandomState::new(),
            started: Instant::now(),
            requests: Owed::new(requests),
            registrations: Owed::new(registrations),
            kept: Owed::new((hour, limits.kept_kib_per_hour, limits.kept_kib_at_once)),
            limit_loopback: limits.limit_loopback,
            most_connections: limits.connections_of_address,
            most_checks: limits.checks_of_address,
            connections: Mutex::default(),
            checks: Mutex::default(),
        }
    }

    /// The origin of a connection or request; `None` for one that is not known.
    pub(super) fn origin(&self, address: Option<IpAddr>) -> Origin {
        let Some(address) = address.map(|address| address.to_canonical()) else { return Origin(None) };
        if address.is_loopback() && !self.limit_loopback {
            return Origin(None);
        }
        let known = match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address) >> 64 | 1 << 127,
        };
        Origin(Some(self.hasher.hash_one(known).max(SHARED + 1)))
    }

    /// Takes so many requests from what the origin has, or tells when there will be enough.
    pub(super) fn take(&self, origin: Origin, requests: u32) -> Result<(), Duration> {
        self.requests.take(origin, requests, self.now())
    }

    /// Takes one account from what the origin may make, or tells when it may.
    pub(super) fn register(&self, origin: Origin) -> Result<(), Duration> {
        self.registrations.take(origin, 1, self.now())
    }

    /// Takes so many bytes from what the origin may bring to be kept, or tells when it may.
    pub(super) fn keep(&self, origin: Origin, bytes: usize) -> Result<(), Duration> {
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        self.kept.take(origin, kib, self.now())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Counts a connection, if its origin may have one more.
    pub(super) fn connect(&self, origin: Origin) -> bool {
        one_more(&self.connections, origin, self.most_connections)
    }

    /// A connection that was counted is over.
    pub(super) fn disconnect(&self, origin: Origin) {
        one_less(&self.connections, origin);
    }

    /// Counts a request that may take long, if its origin may have one more.
    pub(super) fn check(&self, origin: Origin) -> Option<Counted<'_>> {
        one_more(&self.checks, origin, self.most_checks).then(|| Counted(self, origin))
    }
}

impl Owed {
    fn new((period, rate, burst): (Duration, u32, u32)) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        let interval = period / u64::from(rate.max(1));
        Self { interval, burst: interval.saturating_mul(burst.into()), until: Mutex::default() }
    }

    fn take(&self, origin: Origin, number: u32, now: u64) -> Result<(), Duration> {
        let Some(key) = origin.0 else { return Ok(()) };
        let mut owed = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if owed.len() >= MOST && !owed.contains_key(&key) {
            owed.retain(|_, until| *until > now);
        }
        let key = if owed.len() >= MOST && !owed.contains_key(&key) { SHARED } else { key };
        let until = owed.get(&key).copied().unwrap_or(0).max(now);
        let next = until.saturating_add(self.interval.saturating_mul(number.into()));
        let beyond = next.saturating_sub(now).saturating_sub(self.burst);
        if beyond > 0 {
            return Err(Duration::from_nanos(beyond));
        }
        owed.insert(key, next);
        Ok(())
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        one_less(&self.0.checks, self.1);
    }
}

fn one_more(counts: &Mutex<HashMap<u64, usize>>, origin: Origin, most: usize) -> bool {
    let Some(key) = origin.0 else { return true };
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let count = counts.get(&key).copied().unwrap_or(0);
    if count < most {
        counts.insert(key, count.saturating_add(1));
    }
    count < most
}

fn one_less(counts: &Mutex<HashMap<u64, usize>>, origin: Origin) {
    let Some(key) = origin.0 else { return };
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn addresses() -> Addresses {
        Addresses::new(&Limits {
            requests_per_second: 10,
            requests_at_once: 5,
            connections_of_address: 2,
            ..Limits::default()
        })
    }

    fn origin(addresses: &Addresses, address: &str) -> Origin {
        addresses.origin(Some(address.parse().unwrap()))
    }

    #[test]
    fn one_address_gets_what_it_may_have_and_the_others_are_not_touched() {
        let addresses = addresses();
        let (one, other) = (origin(&addresses, "192.0.2.1"), origin(&addresses, "192.0.2.2"));
        for _ in 0..5 {
            assert_eq!(addresses.requests.take(one, 1, SECOND), Ok(()));
        }
        assert_eq!(addresses.requests.take(one, 1, SECOND), Err(Duration::from_millis(100)));
        assert_eq!(addresses.requests.take(other, 5, SECOND), Ok(()));
        assert_eq!(
            addresses.requests.take(one, 1, SECOND + SECOND / 10),
            Ok(()),
            "a tenth of a second later"
        );
        assert_eq!(
            addresses.requests.take(one, 6, 100 * SECOND),
            Err(Duration::from_millis(100)),
            "never at once"
        );
    }

    #[test]
    fn of_ipv6_the_first_half_counts() {
        let addresses = addresses();
        let one = origin(&addresses, "2001:db8::1");
        assert_eq!(one, origin(&addresses, "2001:db8::2"));
        assert_ne!(one, origin(&addresses, "2001:db8:0:1::1"));
        assert_eq!(origin(&addresses, "::ffff:192.0.2.1"), origin(&addresses, "192.0.2.1"));
    }

    #[test]
    fn connections_are_counted() {
        let addresses = addresses();
        let one = origin(&addresses, "192.0.2.1");
        assert!(addresses.connect(one) && addresses.connect(one) && !addresses.connect(one));
        addresses.disconnect(one);
        assert!(addresses.connect(one));
        let here = origin(&addresses, "127.0.0.1");
        assert!((0..10).all(|_| addresses.connect(here)), "this machine is not limited");
    }

    #[test]
    fn accounts_are_made_apart_from_requests() {
        let limits = Limits { registrations_per_hour: 20, registrations_at_once: 3, ..Limits::default() };
        let addresses = Addresses::new(&limits);
        let (one, other) = (origin(&addresses, "192.0.2.1"), origin(&addresses, "192.0.2.2"));
        let register = |origin, now| addresses.registrations.take(origin, 1, now);
        assert!((0..3).all(|_| register(one, SECOND).is_ok()));
        assert_eq!(register(one, SECOND), Err(Duration::from_secs(180)));
        assert_eq!(register(other, SECOND), Ok(()));
        assert_eq!(register(one, 181 * SECOND), Ok(()), "twenty an hour");
        assert_eq!(addresses.take(one, 1), Ok(()));
        let here = origin(&addresses, "127.0.0.1");
        assert!((0..1000).all(|_| addresses.register(here).is_ok()), "this machine is not limited");
    }

    #[test]
    fn what_is_to_be_kept_is_counted_by_its_size() {
        let limits = Limits { kept_kib_per_hour: 3600, kept_kib_at_once: 100, ..Limits::default() };
        let addresses = Addresses::new(&limits);
        let (one, other) = (origin(&addresses, "192.0.2.1"), origin(&addresses, "192.0.2.2"));
        assert_eq!(addresses.keep(one, 99 << 10), Ok(()));
        assert_eq!(addresses.keep(one, 1), Ok(()));
        let wait = addresses.keep(one, 10 << 10).unwrap_err();
        assert!(wait > Duration::from_secs(8) && wait <= Duration::from_secs(10), "{wait:?}");
        assert_eq!(addresses.keep(other, 100 << 10), Ok(()));
        assert_eq!(addresses.take(one, 1), Ok(()), "it may ask for what is there");
    }

    #[test]
    fn checks_are_counted_while_they_are_made() {
        let addresses =
            Addresses::new(&Limits { checks_of_address: 2, limit_loopback: false, ..Limits::default() });
        let (one, other) = (origin(&addresses, "192.0.2.1"), origin(&addresses, "192.0.2.2"));
        let (first, _second) = (addresses.check(one).unwrap(), addresses.check(one).unwrap());
        assert!(addresses.check(one).is_none() && addresses.check(other).is_some());
        drop(first);
        assert!(addresses.check(one).is_some());
        let here = origin(&addresses, "127.0.0.1");
        let all: Vec<_> = (0..10).map(|_| addresses.check(here)).collect();
        assert!(all.iter().all(Option::is_some));
    }

    #[test]
    fn many_addresses_do_not_fill_the_memory() {
        let addresses = addresses();
        for number in 0..150_000u32 {
            let one = addresses.origin(Some(IpAddr::from(number.to_be_bytes())));
            let _ = addresses.requests.take(one, 1, SECOND);
        }
        assert!(addresses.requests.until.lock().unwrap().len() <= MOST + 1);
        let late = origin(&addresses, "198.51.100.1");
        assert_eq!(addresses.requests.take(late, 1, 10 * SECOND), Ok(()), "what is paid off makes room");
    }
}
