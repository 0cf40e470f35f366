//! One after another, for what would only wait for each other with a thread in its hand.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use tokio::sync::{Mutex, MutexGuard};

/// Places to wait, each for many groups.
pub(super) struct Turns {
    hasher: RandomState,
    places: Vec<Mutex<()>>,
}

/// Enough that groups seldom wait for others.
const PLACES: u64 = 4096;

impl Turns {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), places: (0..PLACES).map(|_| Mutex::new(())).collect() }
    }

    /// Waits until it is this group's turn.
    pub(super) async fn of(&self, group_id: &[u8]) -> Option<MutexGuard<'_, ()>> {
        let place = usize::try_from(self.hasher.hash_one(group_id) % PLACES).unwrap_or(0);
        match self.places.get(place) {
            Some(place) => Some(place.lock().await),
            None => None,
        }
    }
}
