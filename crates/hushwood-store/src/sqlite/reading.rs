//! Reads that see one state of the store.

use std::fmt;

use hushwood::error::StoreReadError;
use hushwood::transition::{InstanceId, Reader, RecordKey, RecordKind, Records};
use hushwood_crypto::Secret;

use crate::sqlite::{SqliteStore, execute};

/// A view of a [`SqliteStore`] that stays as it was when it was taken.
///
/// A second view taken while the first lives shows the same state.
pub struct Reading<'s> {
    store: &'s SqliteStore,
}

impl<'s> Reading<'s> {
    pub(super) fn begin(store: &'s SqliteStore) -> Result<Self, StoreReadError> {
        if store.readings.get() == 0 {
            store.query(|connection| execute(connection, "BEGIN DEFERRED"))?;
        }
        store.readings.set(store.readings.get().saturating_add(1));
        let reading = Self { store };
        // SQLite takes its snapshot with the first read, not with BEGIN.
        store.generation()?;
        Ok(reading)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let left = self.store.readings.get().saturating_sub(1);
        self.store.readings.set(left);
        if left == 0 {
            let _ = execute(&self.store.connection, "COMMIT");
        }
    }
}

impl Records for Reading<'_> {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        self.store.version(instance)
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        self.store.get(key)
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        self.store.list(instance, kind)
    }

    fn list_all(
        &self,
        instance: InstanceId,
        kinds: &[RecordKind],
    ) -> Result<Vec<(RecordKind, Vec<u8>, Secret)>, StoreReadError> {
        self.store.list_all(instance, kinds)
    }

    /// Not of this view: it sees what is written later.
    fn reader(&self) -> Result<Reader, StoreReadError> {
        self.store.reader()
    }
}

impl fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reading(..)")
    }
}
