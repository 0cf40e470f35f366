//! What unit tests share: a suite that is fast, deterministic and not secure in the least, and a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use hushwood_crypto::Secret;
pub(crate) use test_support::toy_suite::{
    KEY_LENGTH, NoRandom, SUITE, StuckRandom, ToyRandom, hpke_key, signer,
};

use crate::error::StoreReadError;
use crate::transition::{
    InstanceId, Persist, PersistError, Reader, RecordKey, RecordKind, Records, Write, WriteSet,
};

/// Records in memory, whoever asks for whatever version.
#[derive(Clone, Default)]
pub(crate) struct ToyStore(pub(crate) BTreeMap<RecordKey, Vec<u8>>);

impl Records for ToyStore {
    fn version(&self, _: InstanceId) -> Result<u64, StoreReadError> {
        Ok(0)
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        Ok(self.0.get(key).map(|value| Secret::copy_of(value)))
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        let there = self.0.iter().filter(|(key, _)| key.instance == instance && key.kind == kind);
        Ok(there.map(|(key, value)| (key.id.clone(), Secret::copy_of(value))).collect())
    }

    fn reader(&self) -> Result<Reader, StoreReadError> {
        Ok(Arc::new(self.clone()))
    }
}

impl Persist for ToyStore {
    fn persist(&mut self, writes: &WriteSet) -> Result<(), PersistError> {
        for (key, write) in writes.writes() {
            match write {
                Write::Put(value) => self.0.insert(key.clone(), value.expose().to_vec()),
                Write::Erase => self.0.remove(key),
            };
        }
        Ok(())
    }
}
