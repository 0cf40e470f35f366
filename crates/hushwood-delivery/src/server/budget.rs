//! A number of bytes that may be in memory at the same time, and how many of them one address may have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::server::addresses::Origin;

/// A number of bytes that may be in memory at the same time, counted in KiB.
///
/// No address has more than its share, so that one that takes long leaves the others enough.
#[derive(Clone)]
pub(super) struct Budget {
    free: Arc<Semaphore>,
    all: usize,
    share: usize,
    /// What addresses have left of their shares, of those that have taken something.
    shares: Arc<Mutex<HashMap<Origin, Arc<Semaphore>>>>,
}

/// A part of a budget. It is free again when this is dropped.
pub(super) struct Held(Option<(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>)>);

impl Budget {
    /// So many bytes, and so many of them for an address.
    pub(super) fn new(bytes: usize, share: usize) -> Self {
        let all = kib(bytes).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(all)), all, share: kib(share).min(all), shares: Arc::default() }
    }

    /// Takes a part now, or not at all. One that is larger than an address's share takes all of the share.
    pub(super) fn take(&self, origin: Origin, bytes: usize) -> Option<Held> {
        let own = match self.share_of(origin) {
            Some(share) => Some(share.try_acquire_many_owned(permits(kib(bytes).min(self.share))).ok()?),
            None => None,
        };
        let permit = self.free.clone().try_acquire_many_owned(u32::try_from(kib(bytes)).ok()?).ok()?;
        Some(Held(Some((permit, own))))
    }

    /// Waits for a part. One that is larger than the whole budget waits for all of it.
    pub(super) async fn wait(&self, origin: Origin, bytes: usize) -> Held {
        // Who waits for their own share is in nobody's way.
        let own = match self.share_of(origin) {
            Some(share) => share.acquire_many_owned(permits(kib(bytes).min(self.share))).await.ok(),
            None => None,
        };
        let permit = self.free.clone().acquire_many_owned(permits(kib(bytes).min(self.all))).await;
        Held(permit.ok().map(|permit| (permit, own)))
    }

    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.all.saturating_sub(self.free.available_permits()).saturating_mul(KIB)
    }

    /// What an address has left of its share; nothing for those who are not limited.
    fn share_of(&self, origin: Origin) -> Option<Arc<Semaphore>> {
        /// So many are kept before it is looked whose share is whole.
        const MANY: usize = 1024;
        if !origin.is_limited() {
            return None;
        }
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= MANY {
            // Who holds or waits for something has a clone.
            shares.retain(|_, share| Arc::strong_count(share) > 1);
        }
        Some(shares.entry(origin).or_insert_with(|| Arc::new(Semaphore::new(self.share))).clone())
    }
}

impl Held {
    /// Nothing yet.
    pub(super) fn nothing() -> Self {
        Self(None)
    }

    /// One part instead of two, of one address.
    pub(super) fn merge(&mut self, other: Self) {
        match (&mut self.0, other.0) {
            (Some((mine, own)), Some((more, more_own))) => {
                mine.merge(more);
                match (own, more_own) {
                    (Some(own), Some(more)) => own.merge(more),
                    (own @ None, more) => *own = more,
                    (Some(_), None) => {}
                }
            }
            (mine @ None, more) => *mine = more,
            (Some(_), None) => {}
        }
    }
}

const KIB: usize = 1 << 10;

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(KIB)
}

fn permits(kib: usize) -> u32 {
    u32::try_from(kib).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Limits;
    use crate::server::addresses::Addresses;

    fn origins() -> [Origin; 3] {
        let addresses = Addresses::new(&Limits::default());
        ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|one| addresses.origin(Some(one.parse().unwrap())))
    }

    #[test]
    fn what_is_held_is_free_again_when_it_is_dropped() {
        let [one, ..] = origins();
        let budget = Budget::new(10 * KIB, 10 * KIB);
        let mut held = budget.take(one, 4 * KIB).unwrap();
        held.merge(budget.take(one, 1).unwrap());
        assert_eq!(budget.held(), 5 * KIB);
        assert!(budget.take(one, 6 * KIB).is_none());
        drop(held);
        assert!(budget.take(one, 10 * KIB).is_some());
    }

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let [one, other, here] = origins();
        let budget = Budget::new(10 * KIB, 4 * KIB);
        let held = budget.take(one, 3 * KIB).unwrap();
        assert!(budget.take(one, 2 * KIB).is_none());
        let others = budget.take(other, 4 * KIB).unwrap();
        assert!(budget.take(here, 3 * KIB).is_some(), "this machine is not limited");
        drop((held, others));
        assert!(budget.take(one, 9 * KIB).is_some(), "one who has nothing may have something large");
        assert_eq!(budget.held(), 0);
    }

    /// Who waits for their own share does not stand before others.
    #[tokio::test]
    async fn who_waits_for_their_share_is_in_nobodys_way() {
        let [one, other, _] = origins();
        let budget = Budget::new(10 * KIB, 4 * KIB);
        let held = budget.wait(one, 4 * KIB).await;
        let waits = tokio::spawn({
            let budget = budget.clone();
            async move { budget.wait(one, 4 * KIB).await }
        });
        tokio::task::yield_now().await;
        drop(budget.wait(other, 4 * KIB).await);
        assert!(!waits.is_finished());
        drop(held);
        drop(waits.await.unwrap());
    }

    #[test]
    fn addresses_that_hold_nothing_are_forgotten() {
        let addresses = Addresses::new(&Limits::default());
        let budget = Budget::new(10 * KIB, 4 * KIB);
        for number in 0..5000_u32 {
            drop(budget.take(addresses.origin(Some(std::net::IpAddr::from(number.to_be_bytes()))), KIB));
        }
        assert!(budget.shares.lock().unwrap().len() <= 1024);
    }
}
