//! A store that lives as long as the process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use hushwood::error::StoreReadError;
use hushwood::transition::{
    InstanceId, Persist, PersistError, Reader, RecordKey, RecordKind, Records, Write, WriteSet,
};
use hushwood_crypto::Secret;

/// Records in memory: for tests, and for clients that are meant to forget.
///
/// A write set is applied whole or not at all, as everywhere; nothing survives the process, so nothing
/// here protects against using a key twice after a restart.
#[derive(Default)]
pub struct MemoryStore {
    instances: Shared,
}

/// The records, which the store and its readers see.
type Shared = Arc<RwLock<BTreeMap<InstanceId, Instance>>>;

#[derive(Default)]
struct Instance {
    version: u64,
    records: BTreeMap<RecordKey, Secret>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A second store with the same content, as if the disk had been copied.
    ///
    /// For tests of restarts and of restored copies. It is no `Clone`: two clients that go on from one
    /// state use the same keys twice.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let copy = |instance: &Instance| Instance {
            version: instance.version,
            records: instance.records.iter().map(|(key, value)| (key.clone(), value.duplicate())).collect(),
        };
        let instances = self.read();
        let copies = instances.iter().map(|(id, instance)| (*id, copy(instance)));
        Self { instances: Arc::new(RwLock::new(copies.collect())) }
    }

    /// Writes are whole or not begun, so records are good whatever their last user came to.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<InstanceId, Instance>> {
        self.instances.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Persist for MemoryStore {
    fn persist(&mut self, writes: &WriteSet) -> Result<(), PersistError> {
        let mut instances = self.instances.write().unwrap_or_else(PoisonError::into_inner);
        let version = |id| instances.get(&id).map_or(0, |instance: &Instance| instance.version);
        if writes.preconditions().any(|(id, precondition)| version(id) != precondition.expected) {
            return Err(PersistError::Stale);
        }
        for id in writes.erased_instances() {
            if let Some(instance) = instances.get_mut(&id) {
                instance.records.clear();
            }
        }
        for (key, write) in writes.writes() {
            let records = &mut instances.entry(key.instance).or_default().records;
            match write {
                Write::Put(value) => records.insert(key.clone(), value.duplicate()),
                Write::Erase => records.remove(key),
            };
        }
        for (id, precondition) in writes.preconditions() {
            instances.entry(id).or_default().version = precondition.next;
        }
        Ok(())
    }
}

impl Records for MemoryStore {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        Ok(self.read().get(&instance).map_or(0, |instance| instance.version))
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        let instances = self.read();
        let instance = instances.get(&key.instance);
        Ok(instance.and_then(|instance| instance.records.get(key)).map(Secret::duplicate))
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        let instances = self.read();
        let Some(found) = instances.get(&instance) else { return Ok(Vec::new()) };
        let rows = found.records.range(RecordKey::new(instance, kind, Vec::new())..);
        Ok(rows
            .take_while(|(key, _)| key.kind == kind)
            .map(|(key, value)| (key.id.clone(), value.duplicate()))
            .collect())
    }

    fn reader(&self) -> Result<Reader, StoreReadError> {
        Ok(Arc::new(Self { instances: self.instances.clone() }))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("instances", &self.read().len()).finish_non_exhaustive()
    }
}
