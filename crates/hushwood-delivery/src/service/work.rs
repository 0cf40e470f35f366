//! Work that takes long, such as the checks of a large group, away from the threads that serve everybody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::backend::AccountId;
use crate::service::unavailable;
use crate::wire::Refusal;

/// So many things are done at once, and so many more may wait; what comes after that is told to come again.
#[derive(Clone)]
pub(super) struct Work {
    running: Arc<Semaphore>,
    accepted: Arc<Semaphore>,
}

impl Work {
    pub(super) fn new(at_once: usize, waiting: usize) -> Self {
        let running = at_once.clamp(1, Semaphore::MAX_PERMITS / 2);
        let accepted = running.saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        Self { running: Arc::new(Semaphore::new(running)), accepted: Arc::new(Semaphore::new(accepted)) }
    }

    /// Does this on a thread that may block.
    ///
    /// # Errors
    /// [`Refusal::TooMany`] if too much waits; [`Refusal::Failed`] if it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let accepted = self.accepted.clone().try_acquire_owned();
        let accepted = accepted.map_err(|_| Refusal::TooMany(Duration::from_secs(1)))?;
        let running = self.running.clone().acquire_owned().await;
        let running = running.map_err(|_| unavailable("the service is stopping"))?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((running, accepted));
            done
        });
        done.await.map_err(|_| unavailable("a check came to no end"))
    }
}

/// Whose checks are made or wait, so that nobody has all places.
pub(super) struct Turns {
    most: usize,
    taken: Mutex<HashMap<AccountId, usize>>,
}

/// A place of an account; free again when this is dropped.
pub(super) struct Turn<'a>(&'a Turns, AccountId);

impl Turns {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), taken: Mutex::default() }
    }

    /// A place for one more check of an account.
    ///
    /// # Errors
    /// [`Refusal::TooMany`] if it has as many as it may.
    pub(super) fn take(&self, account: AccountId) -> Result<Turn<'_>, Refusal> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_account = taken.entry(account).or_default();
        if *of_account >= self.most {
            return Err(Refusal::TooMany(Duration::from_secs(1)));
        }
        *of_account = of_account.saturating_add(1);
        Ok(Turn(self, account))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_account) = taken.get_mut(&self.1) {
            *of_account = of_account.saturating_sub(1);
            if *of_account == 0 {
                taken.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn one_runs_one_waits_and_the_third_comes_again() {
        let work = Work::new(1, 1);
        let (release, released) = std::sync::mpsc::channel::<()>();
        let first = tokio::spawn({
            let work = work.clone();
            async move { work.run(move || released.recv().is_ok()).await }
        });
        let second = tokio::spawn({
            let work = work.clone();
            async move { work.run(|| 2).await }
        });
        // Both have begun: nothing that blocks is on this thread.
        while work.accepted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(work.run(|| 3).await, Err(Refusal::TooMany(Duration::from_secs(1))));
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(true));
        assert_eq!(second.await.unwrap(), Ok(2));
        assert_eq!(work.run(|| 3).await, Ok(3));
    }

    #[test]
    fn an_account_has_so_many_places() {
        let turns = Turns::new(2);
        let (one, other) = (AccountId([1; 16]), AccountId([2; 16]));
        let first = turns.take(one).unwrap();
        let second = turns.take(one).unwrap();
        assert!(turns.take(one).is_err());
        assert!(turns.take(other).is_ok());
        drop(first);
        assert!(turns.take(one).is_ok());
        drop(second);
        assert!(turns.taken.lock().unwrap().is_empty(), "nothing is kept of those who have none");
    }

    #[tokio::test]
    async fn what_panics_is_told_and_leaves_its_place() {
        let work = Work::new(1, 0);
        assert!(matches!(work.run(|| panic!("a check")).await, Err(Refusal::Failed(_))));
        assert_eq!(work.run(|| 1).await, Ok(1));
    }
}
