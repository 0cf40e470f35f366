//! A store that lives as long as the process.

use std::collections::BTreeMap;
use std::fmt;

use hushwood::error::StoreReadError;
use hushwood::transition::{
    InstanceId, Persist, PersistError, RecordKey, RecordKind, Records, Write, WriteSet,
};
use hushwood_crypto::Secret;

/// Records in memory: for tests, and for clients that are meant to forget.
///
/// A write set is applied whole or not at all, as everywhere; nothing survives the process, so nothing
/// here protects against using a key twice after a restart.
#[derive(Default)]
pub struct MemoryStore {
    instances: BTreeMap<InstanceId, Instance>,
}

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
        Self { instances: self.instances.iter().map(|(id, instance)| (*id, copy(instance))).collect() }
    }

    fn erase(&mut self, key: &RecordKey) {
        if let Some(instance) = self.instances.get_mut(&key.instance) {
            instance.records.remove(key);
        }
    }

    fn put(&mut self, key: &RecordKey, value: &Secret) {
        let instance = self.instances.entry(key.instance).or_default();
        instance.records.insert(key.clone(), value.duplicate());
    }
}

impl Persist for MemoryStore {
    fn persist(&mut self, writes: &WriteSet) -> Result<(), PersistError> {
        let version = |id| self.instances.get(&id).map_or(0, |instance: &Instance| instance.version);
        if writes.preconditions().any(|(id, precondition)| version(id) != precondition.expected) {
            return Err(PersistError::Stale);
        }
        for id in writes.erased_instances() {
            if let Some(instance) = self.instances.get_mut(&id) {
                instance.records.clear();
            }
        }
        for (key, write) in writes.writes() {
            match write {
                Write::Put(value) => self.put(key, value),
                Write::Erase => self.erase(key),
            }
        }
        for (id, precondition) in writes.preconditions() {
            self.instances.entry(id).or_default().version = precondition.next;
        }
        Ok(())
    }
}

impl Records for MemoryStore {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        Ok(self.instances.get(&instance).map_or(0, |instance| instance.version))
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        let instance = self.instances.get(&key.instance);
        Ok(instance.and_then(|instance| instance.records.get(key)).map(Secret::duplicate))
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        let Some(found) = self.instances.get(&instance) else { return Ok(Vec::new()) };
        let rows = found.records.range(RecordKey::new(instance, kind, Vec::new())..);
        Ok(rows
            .take_while(|(key, _)| key.kind == kind)
            .map(|(key, value)| (key.id.clone(), value.duplicate()))
            .collect())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("instances", &self.instances.len()).finish_non_exhaustive()
    }
}
