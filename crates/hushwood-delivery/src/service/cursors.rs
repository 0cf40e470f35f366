//! How far readers have come, as they say with each request, written down from time to time.
//!
//! It is for two things: a log is not forgotten that somebody has still to read, and a client that was set back to an old copy of
//! itself learns it. Neither needs the last minute.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, PoisonError};

use crate::backend::{Backend, BackendError, Cursor, SlotId};

/// Cursors that have moved and are not written yet.
#[derive(Default)]
pub(super) struct Cursors(Mutex<BTreeMap<(Vec<u8>, SlotId), Cursor>>);

/// So many wait to be written at most. What comes after that is noted the next time its reader asks.
const MOST: usize = 100_000;

const DAY: u64 = 24 * 60 * 60;

impl Cursors {
    /// A reader has come as far as this. Gives how far it has been before: `written` is what the back end says.
    pub(super) fn moved(&self, group: &[u8], cursor: Cursor, written: Option<Cursor>) -> u64 {
        let mut moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = moved.len() >= MOST;
        let known = written.map_or(0, |written| written.sequence);
        match moved.entry((group.to_vec(), cursor.slot)) {
            Entry::Occupied(mut entry) => {
                let before = entry.get().sequence.max(known);
                entry.insert(Cursor { sequence: cursor.sequence.max(before), ..cursor });
                before
            }
            Entry::Vacant(entry) => {
                // Who has nothing new is still there: once a day that is noted, too.
                let lately = written.is_some_and(|written| cursor.at.0.saturating_sub(written.at.0) < DAY);
                if !full && (cursor.sequence > known || !lately) {
                    entry.insert(Cursor { sequence: cursor.sequence.max(known), ..cursor });
                }
                known
            }
        }
    }

    /// Writes them down. What can't be written is lost: their readers come again.
    pub(super) async fn write(&self, backend: &dyn Backend) -> Result<(), BackendError> {
        let moved = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut groups: BTreeMap<Vec<u8>, Vec<Cursor>> = BTreeMap::new();
        for ((group, _), cursor) in moved {
            groups.entry(group).or_default().push(cursor);
        }
        for (group, cursors) in groups {
            backend.move_cursors(&group, cursors).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Seconds;

    fn cursor(sequence: u64, at: u64) -> Cursor {
        Cursor { slot: SlotId([1; 16]), sequence, at: Seconds(at) }
    }

    fn waiting(cursors: &Cursors) -> Vec<u64> {
        cursors.0.lock().unwrap().values().map(|one| one.sequence).collect()
    }

    #[test]
    fn a_cursor_never_goes_back() {
        let cursors = Cursors::default();
        let moved = |sequence, written| cursors.moved(b"tea", cursor(sequence, 9), Some(cursor(written, 9)));
        assert_eq!(moved(5, 3), 3);
        assert_eq!(moved(4, 3), 5);
        assert_eq!(moved(9, 3), 5);
        assert_eq!(moved(2, 20), 20, "another node has seen it further");
        assert_eq!(waiting(&cursors), [20]);
    }

    #[test]
    fn who_has_nothing_new_is_noted_once_a_day() {
        let cursors = Cursors::default();
        assert_eq!(cursors.moved(b"tea", cursor(5, 100), Some(cursor(5, 50))), 5);
        assert_eq!(waiting(&cursors), [0_u64; 0]);
        assert_eq!(cursors.moved(b"tea", cursor(5, 50 + DAY), Some(cursor(5, 50))), 5);
        assert_eq!(waiting(&cursors), [5]);
        assert_eq!(cursors.moved(b"coffee", cursor(0, 1), None), 0);
        assert_eq!(waiting(&cursors), [0, 5]);
    }
}
