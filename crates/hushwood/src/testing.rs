//! What unit tests share: a suite without cryptography, random sources, and a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use hushwood_crypto::{CryptoError, HpkePublicKey, Random, Secret, SoftwareSigner};
pub(crate) use test_support::fake_crypto::{LENGTH as KEY_LENGTH, SUITE};
pub(crate) use test_support::random::BrokenRandom as NoRandom;

use crate::error::StoreReadError;
use crate::transition::{
    InstanceId, Persist, PersistError, Reader, RecordKey, RecordKind, Records, Write, WriteSet,
};

/// Counts, so that nothing repeats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToyRandom(pub(crate) u64);

impl Random for ToyRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        for chunk in bytes.chunks_mut(KEY_LENGTH) {
            self.0 += 1;
            let digest = SUITE.hash().hash(&[&self.0.to_be_bytes()]);
            chunk.copy_from_slice(&digest.as_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// A source that always gives the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StuckRandom;

impl Random for StuckRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        bytes.fill(1);
        Ok(())
    }
}

/// A fresh key.
pub(crate) fn signer(random: &mut ToyRandom) -> SoftwareSigner {
    SoftwareSigner::generate(SUITE, random).unwrap()
}

/// A public key that the suite's checks accept.
pub(crate) fn hpke_key(number: u8) -> HpkePublicKey {
    HpkePublicKey(vec![number; KEY_LENGTH])
}

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
