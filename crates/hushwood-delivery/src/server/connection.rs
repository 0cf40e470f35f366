//! One connection: what it holds, and whether it still does something.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use crate::server::App;
use crate::server::addresses::Origin;

/// What a connection holds as long as anything of it is there: the requests and WebSockets on it hold it too.
pub(super) struct Place {
    app: Arc<App>,
    origin: Origin,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// A place for one more, or why there is none.
    pub(super) fn take(app: &Arc<App>, origin: Origin) -> Result<Arc<Self>, &'static str> {
        let permit = app.places.clone().try_acquire_owned().or(Err("connections"))?;
        if !app.addresses.connect(origin) {
            return Err("connections of an address");
        }
        app.metrics.connections.inc();
        Ok(Arc::new(Self { app: app.clone(), origin, _permit: permit }))
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.addresses.disconnect(self.origin);
        self.app.metrics.connections.dec();
    }
}

/// When something last moved on a connection. What keeps a connection is what it asks for and takes: pings do not.
pub(super) struct Pulse {
    started: Instant,
    /// Milliseconds after the start.
    last: AtomicU64,
    /// Whether a request's head has come.
    greeted: AtomicUsize,
    /// Requests that the service is at work on: then silence is nobody's fault.
    working: AtomicUsize,
    /// Answers that are being taken, and when something of each last was.
    answers: Mutex<HashMap<u64, u64>>,
    next: AtomicU64,
}

/// That the service is at work on a request of a connection.
pub(super) struct Working(Arc<Pulse>);

/// An answer that is being taken.
pub(super) struct Taking(Arc<Pulse>, u64);

impl Pulse {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            last: AtomicU64::new(0),
            greeted: AtomicUsize::new(0),
            working: AtomicUsize::new(0),
            answers: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    /// Something moved.
    pub(super) fn beat(&self) {
        self.last.fetch_max(self.now(), Ordering::Relaxed);
    }

    /// A request's head is there.
    pub(super) fn request(&self) {
        self.greeted.store(1, Ordering::Relaxed);
        self.beat();
    }

    pub(super) fn work(self: &Arc<Self>) -> Working {
        self.working.fetch_add(1, Ordering::Relaxed);
        Working(self.clone())
    }

    pub(super) fn answer(self: &Arc<Self>) -> Taking {
        let taking = Taking(self.clone(), self.next.fetch_add(1, Ordering::Relaxed));
        taking.moved();
        taking
    }

    /// Whether it has been silent for too long, or an answer on it has.
    pub(super) fn is_silent(&self, greeting: Duration, silence: Duration) -> bool {
        let now = self.now();
        let since = |then: u64| Duration::from_millis(now.saturating_sub(then));
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.values().any(|then| since(*then) > silence) {
            return true;
        }
        let most = if self.greeted.load(Ordering::Relaxed) == 0 { greeting } else { silence };
        self.working.load(Ordering::Relaxed) == 0 && since(self.last.load(Ordering::Relaxed)) > most
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Taking {
    /// Something of it was taken.
    pub(super) fn moved(&self) {
        self.0.beat();
        let mut answers = self.0.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(self.1, self.0.now());
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.0.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.beat();
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_connection_is_silent_when_nothing_is_asked_taken_or_worked_on() {
        let pulse = Pulse::new();
        std::thread::sleep(Duration::from_millis(5));
        assert!(pulse.is_silent(NONE, LONG) && !pulse.is_silent(LONG, NONE), "no request yet");
        pulse.request();
        let working = pulse.work();
        std::thread::sleep(Duration::from_millis(5));
        assert!(!pulse.is_silent(NONE, NONE), "it waits for us");
        drop(working);
        let taking = pulse.answer();
        assert!(!pulse.is_silent(NONE, LONG));
        std::thread::sleep(Duration::from_millis(5));
        pulse.beat();
        assert!(pulse.is_silent(LONG, Duration::from_millis(4)), "others move, this answer does not");
        drop(taking);
        assert!(!pulse.is_silent(LONG, LONG));
    }
}
