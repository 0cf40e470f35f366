//! A store that lives as long as the process.

use std::collections::{BTreeMap, HashMap};
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
    records: BTreeMap<RecordKind, HashMap<Vec<u8>, Secret>>,
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
        let copy = |instance: &Instance| {
            let rows = |rows: &HashMap<Vec<u8>, Secret>| {
                rows.iter().map(|(id, value)| (id.clone(), value.duplicate())).collect()
            };
            let records = instance.records.iter().map(|(kind, of_kind)| (*kind, rows(of_kind))).collect();
            Instance { version: instance.version, records }
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
        // A whole group is tens of thousands of rows: the tables do not grow step by step under them.
        let mut coming: BTreeMap<(InstanceId, RecordKind), usize> = BTreeMap::new();
        let many = writes.writes().filter(|_| writes.writes().len() >= MANY);
        for (key, _) in many.filter(|(_, write)| matches!(write, Write::Put(_))) {
            *coming.entry((key.instance, key.kind)).or_default() += 1;
        }
        for ((instance, kind), rows) in coming.into_iter().filter(|(_, rows)| *rows >= MANY) {
            let records = &mut instances.entry(instance).or_default().records;
            records.entry(kind).or_default().reserve(rows);
        }
        for (key, write) in writes.writes() {
            let records = &mut instances.entry(key.instance).or_default().records;
            let rows = records.entry(key.kind).or_default();
            match write {
                Write::Put(value) => rows.insert(key.id.clone(), value.duplicate()),
                Write::Erase => rows.remove(&key.id),
            };
        }
        for (id, precondition) in writes.preconditions() {
            instances.entry(id).or_default().version = precondition.next;
        }
        Ok(())
    }
}

/// From how many rows of a kind on it is worth making room for them at once.
const MANY: usize = 64;

impl Records for MemoryStore {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        Ok(self.read().get(&instance).map_or(0, |instance| instance.version))
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        let instances = self.read();
        let rows = instances.get(&key.instance).and_then(|instance| instance.records.get(&key.kind));
        Ok(rows.and_then(|rows| rows.get(&key.id)).map(Secret::duplicate))
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        let instances = self.read();
        let rows = instances.get(&instance).and_then(|instance| instance.records.get(&kind));
        let rows = rows.into_iter().flatten().map(|(id, value)| (id.clone(), value.duplicate()));
        let mut rows: Vec<_> = rows.collect();
        rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(rows)
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
