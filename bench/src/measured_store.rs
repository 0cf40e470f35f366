//! A store, in memory or on disk, that notes what is handed to it and how long it takes.

use std::fmt;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use hushwood::error::StoreReadError;
use hushwood::transition::{
    InstanceId, Persist, PersistError, Reader, RecordKey, RecordKind, Records, Write, WriteSet,
};
use hushwood_crypto::Secret;
use hushwood_store::{MemoryStore, SqliteStore, Unlock};

use crate::library::HandedOver;

/// The store of a Hushwood member.
pub struct MeasuredStore {
    store: Kind,
    handed: HandedOver,
}

enum Kind {
    Memory(MemoryStore),
    Disk(Box<SqliteStore>),
}

impl MeasuredStore {
    /// In memory.
    #[must_use]
    pub fn memory() -> Self {
        Self { store: Kind::Memory(MemoryStore::new()), handed: HandedOver::default() }
    }

    /// On disk, durable, in a new file.
    ///
    /// # Errors
    /// What the disk says.
    pub fn disk(path: &Path) -> Result<Self> {
        let unlock = Unlock::KeyFile(Secret::copy_of(&[7; 32]));
        let store = SqliteStore::create(path, &unlock)?;
        Ok(Self { store: Kind::Disk(Box::new(store)), handed: HandedOver::default() })
    }

    /// What was handed over since the last call.
    pub fn take(&mut self) -> HandedOver {
        std::mem::take(&mut self.handed)
    }
}

impl Persist for MeasuredStore {
    fn persist(&mut self, writes: &WriteSet) -> Result<(), PersistError> {
        let started = Instant::now();
        match &mut self.store {
            Kind::Memory(store) => store.persist(writes)?,
            Kind::Disk(store) => store.persist(writes)?,
        }
        self.handed.nanoseconds += u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        for (key, write) in writes.writes().filter(|(key, _)| is_counted(key)) {
            let value = match write {
                Write::Put(value) => value.len(),
                Write::Erase => 0,
            };
            self.handed.rows += 1;
            self.handed.bytes += (key.instance.as_bytes().len() + 1 + key.id.len() + value) as u64;
        }
        Ok(())
    }
}

/// A row of the secret tree is named by its epoch and by a number that says what it is: 3 is a skipped key.
fn is_counted(key: &RecordKey) -> bool {
    match key.kind {
        RecordKind::Inbox | RecordKind::Outbox => false,
        RecordKind::SecretTree => key.id.get(8) != Some(&3),
        _ => true,
    }
}

impl Records for MeasuredStore {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        match &self.store {
            Kind::Memory(store) => store.version(instance),
            Kind::Disk(store) => store.version(instance),
        }
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        match &self.store {
            Kind::Memory(store) => store.get(key),
            Kind::Disk(store) => store.get(key),
        }
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        match &self.store {
            Kind::Memory(store) => store.list(instance, kind),
            Kind::Disk(store) => store.list(instance, kind),
        }
    }

    fn list_all(
        &self,
        instance: InstanceId,
        kinds: &[RecordKind],
    ) -> Result<Vec<(RecordKind, Vec<u8>, Secret)>, StoreReadError> {
        match &self.store {
            Kind::Memory(store) => store.list_all(instance, kinds),
            Kind::Disk(store) => store.list_all(instance, kinds),
        }
    }

    fn reader(&self) -> Result<Reader, StoreReadError> {
        match &self.store {
            Kind::Memory(store) => store.reader(),
            Kind::Disk(store) => store.reader(),
        }
    }
}

impl fmt::Debug for MeasuredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasuredStore").field("handed", &self.handed).finish_non_exhaustive()
    }
}
