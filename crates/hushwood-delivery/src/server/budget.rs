//! A number of bytes that may be in memory at the same time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of bytes that may be in memory at the same time, counted in KiB.
#[derive(Clone)]
pub(super) struct Budget {
    free: Arc<Semaphore>,
    all: usize,
}

/// A part of a budget. It is free again when this is dropped.
pub(super) struct Held(Option<OwnedSemaphorePermit>);

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        let all = kib(bytes).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(all)), all }
    }

    /// Takes a part now, or not at all.
    pub(super) fn take(&self, bytes: usize) -> Option<Held> {
        let permits = u32::try_from(kib(bytes)).ok()?;
        self.free.clone().try_acquire_many_owned(permits).ok().map(|permit| Held(Some(permit)))
    }

    /// Waits for a part. One that is larger than the whole budget waits for all of it.
    pub(super) async fn wait(&self, bytes: usize) -> Held {
        let permits = u32::try_from(kib(bytes).min(self.all)).unwrap_or(u32::MAX);
        Held(self.free.clone().acquire_many_owned(permits).await.ok())
    }

    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.all.saturating_sub(self.free.available_permits()).saturating_mul(KIB)
    }
}

impl Held {
    /// Nothing yet.
    pub(super) fn nothing() -> Self {
        Self(None)
    }

    /// One part instead of two.
    pub(super) fn merge(&mut self, other: Self) {
        match (&mut self.0, other.0) {
            (Some(mine), Some(more)) => mine.merge(more),
            (mine @ None, more) => *mine = more,
            (Some(_), None) => {}
        }
    }
}

const KIB: usize = 1 << 10;

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_free_again_when_it_is_dropped() {
        let budget = Budget::new(10 * KIB);
        let mut held = budget.take(4 * KIB).unwrap();
        held.merge(budget.take(1).unwrap());
        assert_eq!(budget.held(), 5 * KIB);
        assert!(budget.take(6 * KIB).is_none());
        drop(held);
        assert!(budget.take(10 * KIB).is_some());
    }
}
