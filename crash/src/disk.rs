//! What clients keep their state on: the real store, and memory for those that are never killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hushwood::error::StoreReadError;
use hushwood::transition::{
    InstanceId, Persist, PersistError, Reader, RecordKey, RecordKind, Records, WriteSet,
};
use hushwood_crypto::Secret;
use hushwood_store::{MemoryStore, OpenError, SqliteOptions, SqliteStore, Unlock};
use serde::{Deserialize, Serialize};
use test_support::random::SeededRandom;

use crate::command::Trouble;

/// A store that can be closed and opened again.
pub trait Disk: Persist + Records {
    /// Closes and opens the store.
    ///
    /// # Errors
    /// [`Trouble`].
    fn reopen(&mut self) -> Result<(), Trouble>;

    /// Empties the log.
    ///
    /// # Errors
    /// [`Trouble`].
    fn checkpoint(&mut self) -> Result<(), Trouble>;

    /// Another key from now on.
    ///
    /// # Errors
    /// [`Trouble`].
    fn change_unlock(&mut self, key: u8) -> Result<(), Trouble>;

    /// Which key opens it.
    fn unlock(&self) -> u8;

    /// How many write sets it has taken.
    ///
    /// # Errors
    /// [`StoreReadError`].
    fn generation(&self) -> Result<u64, StoreReadError>;
}

impl Disk for MemoryStore {
    fn reopen(&mut self) -> Result<(), Trouble> {
        Ok(())
    }
    fn checkpoint(&mut self) -> Result<(), Trouble> {
        Ok(())
    }
    fn change_unlock(&mut self, _: u8) -> Result<(), Trouble> {
        Ok(())
    }
    fn unlock(&self) -> u8 {
        0
    }
    fn generation(&self) -> Result<u64, StoreReadError> {
        Ok(0)
    }
}

/// How a store on disk is opened.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DiskOptions {
    /// The folder with the store, in the file `store`.
    pub folder: PathBuf,
    /// What its randomness depends on.
    pub seed: u64,
    /// After how many steps the log is emptied.
    pub checkpoint_steps: u64,
    /// Whether there is an anchor, in the file `anchor` of the folder.
    pub anchor: bool,
    /// How long a busy store is waited for, in milliseconds.
    pub busy_milliseconds: u64,
}

/// The store in one SQLite file.
pub struct SqliteDisk {
    options: DiskOptions,
    /// None where it could not be opened again.
    store: Option<SqliteStore>,
    unlock: u8,
    opened: u64,
}

/// The file of a store.
#[must_use]
pub fn file(folder: &Path) -> PathBuf {
    folder.join("store")
}

/// The file of the anchor.
pub const ANCHOR: &str = "anchor";

fn key(number: u8) -> Unlock {
    Unlock::KeyFile(Secret::new(vec![number + 7; 32]))
}

fn trouble(error: OpenError) -> Trouble {
    match error {
        OpenError::Busy => Trouble::Busy,
        OpenError::Full => Trouble::Full,
        error => Trouble::NotOpened(format!("{error:?}")),
    }
}

fn of_write(error: PersistError) -> Trouble {
    match error {
        PersistError::Busy => Trouble::Busy,
        PersistError::Full => Trouble::Full,
        PersistError::Unknown => Trouble::Unknown,
        _ => Trouble::NotWritten,
    }
}

impl SqliteDisk {
    /// Opens the store in a folder, or creates it: a creation that was cut short is repeated.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn open(options: DiskOptions) -> Result<Self, Trouble> {
        let mut disk = Self { options, store: None, unlock: 0, opened: 0 };
        disk.open_or_create()?;
        Ok(disk)
    }

    fn sqlite_options(&mut self) -> SqliteOptions {
        self.opened += 1;
        let seed = self.options.seed.wrapping_mul(0x9e37_79b9).wrapping_add(self.opened);
        let options = SqliteOptions::new()
            .busy_timeout(Duration::from_millis(self.options.busy_milliseconds))
            .checkpoint_after(self.options.checkpoint_steps, Duration::from_secs(3600))
            .random(SeededRandom::new(seed));
        match self.options.anchor {
            true => options.anchor(self.options.folder.join(ANCHOR)),
            false => options,
        }
    }

    fn open_or_create(&mut self) -> Result<(), Trouble> {
        let path = file(&self.options.folder);
        for number in 0..2 {
            let options = self.sqlite_options();
            match SqliteStore::open_with(&path, &key(number), options) {
                Ok(store) => {
                    (self.store, self.unlock) = (Some(store), number);
                    return Ok(());
                }
                Err(OpenError::WrongKey) => {}
                Err(OpenError::NotFound | OpenError::NotAStore) => {
                    let options = self.sqlite_options();
                    let store = SqliteStore::create_with(&path, &key(0), options).map_err(trouble)?;
                    (self.store, self.unlock) = (Some(store), 0);
                    return Ok(());
                }
                Err(error) => return Err(trouble(error)),
            }
        }
        Err(trouble(OpenError::WrongKey))
    }

    fn store(&self) -> Result<&SqliteStore, StoreReadError> {
        self.store.as_ref().ok_or(StoreReadError::Io)
    }
}

impl Persist for SqliteDisk {
    fn persist(&mut self, writes: &WriteSet) -> Result<(), PersistError> {
        self.store.as_mut().ok_or(PersistError::Refused)?.persist(writes)
    }
}

impl Records for SqliteDisk {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        self.store()?.version(instance)
    }
    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        self.store()?.get(key)
    }
    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        self.store()?.list(instance, kind)
    }
    fn reader(&self) -> Result<Reader, StoreReadError> {
        self.store()?.reader()
    }
}

impl Disk for SqliteDisk {
    fn reopen(&mut self) -> Result<(), Trouble> {
        self.store = None;
        self.open_or_create()
    }

    fn checkpoint(&mut self) -> Result<(), Trouble> {
        self.store.as_mut().ok_or(Trouble::Read)?.checkpoint().map_err(of_write)
    }

    fn change_unlock(&mut self, number: u8) -> Result<(), Trouble> {
        let store = self.store.as_mut().ok_or(Trouble::Read)?;
        store.change_unlock(&key(number)).map_err(trouble)?;
        self.unlock = number;
        Ok(())
    }

    fn unlock(&self) -> u8 {
        self.unlock
    }

    fn generation(&self) -> Result<u64, StoreReadError> {
        self.store()?.generation()
    }
}
