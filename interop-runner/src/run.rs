//! Playing all cases, one after another or several at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::cast::Case;
use crate::client::Client;
use crate::play::{self, Verdict};

/// A case, played.
#[derive(Clone, Debug)]
pub struct Played {
    /// What was played.
    pub case: Case,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// How cases are played.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// So many at a time.
    pub jobs: usize,
    /// The longest that all of them may take.
    pub limit: Option<Duration>,
    /// Whether each case ends with a look at the common state.
    pub verify: bool,
}

/// Plays them; the results are in the order of the cases. Progress goes to `tell`, now and then.
pub async fn run(
    clients: Arc<[Client]>,
    cases: Vec<Case>,
    how: How,
    tell: impl Fn(usize, usize) + Send + Sync + 'static,
) -> Vec<Played> {
    let work = Arc::new(Work {
        clients,
        cases,
        how,
        ends: how.limit.and_then(|limit| Instant::now().checked_add(limit)),
        next: AtomicUsize::new(0),
        played: Mutex::default(),
        tell,
    });
    let hands: Vec<_> = (0..how.jobs.max(1)).map(|_| tokio::spawn(Arc::clone(&work).until_done())).collect();
    for hand in hands {
        // One that panicked leaves its case out, which shows as not played.
        let _ = hand.await;
    }
    let mut played = std::mem::take(&mut *work.played.lock().unwrap_or_else(PoisonError::into_inner));
    let mut all = Vec::with_capacity(work.cases.len());
    played.sort_unstable_by_key(|(position, ..)| *position);
    let mut played = played.into_iter().peekable();
    for (position, case) in work.cases.iter().enumerate() {
        let (verdict, took) = match played.next_if(|(of, ..)| *of == position) {
            Some((_, verdict, took)) => (verdict, took),
            None => (Verdict::NotPlayed, Duration::ZERO),
        };
        all.push(Played { case: case.clone(), verdict, took });
    }
    all
}

struct Work<T> {
    clients: Arc<[Client]>,
    cases: Vec<Case>,
    how: How,
    ends: Option<Instant>,
    next: AtomicUsize,
    played: Mutex<Vec<(usize, Verdict, Duration)>>,
    tell: T,
}

impl<T: Fn(usize, usize)> Work<T> {
    async fn until_done(self: Arc<Self>) {
        loop {
            let position = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = self.cases.get(position) else { return };
            let began = Instant::now();
            let playing = play::play(&self.clients, case, self.how.verify);
            let verdict = match self.ends {
                Some(ends) if ends <= began => return,
                Some(ends) => tokio::time::timeout_at(ends, playing).await.unwrap_or(Verdict::NotPlayed),
                None => playing.await,
            };
            let mut played = self.played.lock().unwrap_or_else(PoisonError::into_inner);
            played.push((position, verdict, began.elapsed()));
            (self.tell)(played.len(), self.cases.len());
        }
    }
}
