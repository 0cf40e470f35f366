//! That something has changed, for threads and tasks that wait for it.

#[cfg(feature = "async")]
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
#[cfg(feature = "async")]
use std::task::{Context, Poll};
use std::time::Duration;

/// Wakes all who wait. Whoever looks at its count first and at what it is about after that misses nothing.
#[derive(Default)]
pub(super) struct Signal {
    waiting: Mutex<Waiting>,
    threads: Condvar,
}

#[derive(Default)]
struct Waiting {
    count: u64,
    tasks: Vec<Waker>,
}

/// That the count has gone on.
#[cfg(feature = "async")]
pub(super) struct Changed<'a> {
    signal: &'a Signal,
    seen: u64,
}

impl Signal {
    /// How often it was raised.
    pub(super) fn seen(&self) -> u64 {
        self.waiting().count
    }

    pub(super) fn raise(&self) {
        let mut waiting = self.waiting();
        waiting.count = waiting.count.wrapping_add(1);
        self.threads.notify_all();
        let tasks = std::mem::take(&mut waiting.tasks);
        drop(waiting);
        tasks.into_iter().for_each(Waker::wake);
    }

    /// Keeps this thread until it is raised again, at most so long.
    pub(super) fn wait(&self, seen: u64, time: Duration) {
        let is_unchanged = |waiting: &mut Waiting| waiting.count == seen;
        drop(self.threads.wait_timeout_while(self.waiting(), time, is_unchanged));
    }

    /// The same for a task, without an end.
    #[cfg(feature = "async")]
    pub(super) fn changed(&self, seen: u64) -> Changed<'_> {
        Changed { signal: self, seen }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "async")]
impl Future for Changed<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.signal.waiting();
        if waiting.count != self.seen {
            return Poll::Ready(());
        }
        if !waiting.tasks.iter().any(|task| task.will_wake(context.waker())) {
            waiting.tasks.push(context.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(all(test, feature = "async"))]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_what_has_happened() {
        let signal = Signal::default();
        let seen = signal.seen();
        signal.raise();
        signal.wait(seen, Duration::from_secs(60));
        let mut changed = signal.changed(seen);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(Pin::new(&mut changed).poll(&mut context), Poll::Ready(()));
        let mut changed = signal.changed(signal.seen());
        assert_eq!(Pin::new(&mut changed).poll(&mut context), Poll::Pending);
        signal.raise();
        assert_eq!(Pin::new(&mut changed).poll(&mut context), Poll::Ready(()));
    }
}
