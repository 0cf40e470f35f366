//! Work that takes long, such as the checks of a large group, away from the threads that serve everybody.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

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

    #[tokio::test]
    async fn what_panics_is_told_and_leaves_its_place() {
        let work = Work::new(1, 0);
        assert!(matches!(work.run(|| panic!("a check")).await, Err(Refusal::Failed(_))));
        assert_eq!(work.run(|| 1).await, Ok(1));
    }
}
