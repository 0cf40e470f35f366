//! What the tests of the store on disk share.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};

use hushwood::transition::{InstanceId, Persist, RecordKey, RecordKind, Records, WriteSet};
use hushwood_crypto::{CryptoError, Random, Secret};
use hushwood_store::{SqliteStore, Unlock};
use rusqlite::Connection;
use tempfile::TempDir;

pub const TEA: InstanceId = InstanceId::new([1; 16]);
pub const CHESS: InstanceId = InstanceId::new([2; 16]);

/// A folder for one store.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    pub fn anchor(&self) -> PathBuf {
        self.0.path().join("anchor")
    }

    pub fn create(&self) -> SqliteStore {
        SqliteStore::create(self.store(), &key_file()).unwrap()
    }

    pub fn open(&self) -> SqliteStore {
        SqliteStore::open(self.store(), &key_file()).unwrap()
    }

    /// The database as anybody sees it who has no key.
    pub fn raw(&self) -> Connection {
        Connection::open(self.store()).unwrap()
    }

    /// All bytes of all files.
    pub fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.0.path()).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

pub fn key_file() -> Unlock {
    Unlock::KeyFile(Secret::new(vec![7; 32]))
}

pub fn passphrase(text: &str) -> Unlock {
    Unlock::Passphrase(Secret::copy_of(text.as_bytes()))
}

pub fn node(id: impl AsRef<[u8]>) -> RecordKey {
    RecordKey::new(TEA, RecordKind::TreeNode, id.as_ref())
}

pub fn secret(bytes: impl AsRef<[u8]>) -> Secret {
    Secret::copy_of(bytes.as_ref())
}

pub fn set(write: impl FnOnce(&mut WriteSet)) -> WriteSet {
    let mut writes = WriteSet::new();
    write(&mut writes);
    writes
}

pub fn put(store: &mut impl Persist, key: RecordKey, value: impl AsRef<[u8]>) {
    store.persist(&set(|writes| writes.put(key, secret(value)))).unwrap();
}

pub fn read(store: &impl Records, key: &RecordKey) -> Option<Vec<u8>> {
    store.get(key).unwrap().map(|value| value.expose().to_vec())
}

pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Different bytes each time, the same in each run.
pub struct Seeded(pub u64);

impl Random for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        for byte in bytes {
            // SplitMix64.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed ^ (mixed >> 31)).to_be_bytes()[0];
        }
        Ok(())
    }
}
