//! A store that fails when it is told to.

use std::sync::{Arc, Mutex};

use hushwood::error::StoreReadError;
use hushwood::transition::{
    InstanceId, Persist, PersistError, Reader, RecordKey, RecordKind, Records, WriteSet,
};
use hushwood_crypto::Secret;

/// Passes everything on to another store, but fails one write, one read, or both.
///
/// A test runs once to learn the number of writes, then once for each of them:
///
/// ```
/// use hushwood::transition::{InstanceId, Persist, PersistError, Records, WriteSet};
/// use hushwood_store::MemoryStore;
/// use test_support::failing_store::{FailingStore, WriteFailure};
///
/// let mut store = FailingStore::new(MemoryStore::new());
/// store.fail_write(2, WriteFailure::Written);
/// let mut step = WriteSet::new();
/// step.require(InstanceId::CLIENT, 0);
/// assert_eq!(store.persist(&step), Ok(()));
/// let mut step = WriteSet::new();
/// step.require(InstanceId::CLIENT, 1);
/// assert_eq!(store.persist(&step), Err(PersistError::Unknown));
/// assert_eq!(store.version(InstanceId::CLIENT), Ok(2));
/// assert_eq!(store.writes(), 2);
/// ```
#[derive(Debug)]
pub struct FailingStore<S> {
    inner: S,
    writes: u64,
    write_failure: Option<(u64, WriteFailure)>,
    reads: Arc<Mutex<Reads>>,
}

/// Reads so far, and which is to fail.
#[derive(Debug, Default)]
struct Reads {
    number: u64,
    failure: Option<(u64, StoreReadError)>,
}

/// How a write fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WriteFailure {
    /// Nothing is written, and the error is this. With [`PersistError::Unknown`] the caller can't know.
    NotWritten(PersistError),
    /// Everything is written, and the error is [`PersistError::Unknown`].
    Written,
}

impl WriteFailure {
    /// Every way to fail.
    pub const ALL: [Self; 6] = [
        Self::NotWritten(PersistError::Stale),
        Self::NotWritten(PersistError::Busy),
        Self::NotWritten(PersistError::Full),
        Self::NotWritten(PersistError::Refused),
        Self::NotWritten(PersistError::Unknown),
        Self::Written,
    ];
}

impl<S> FailingStore<S> {
    /// A store that does not fail yet.
    pub fn new(inner: S) -> Self {
        Self { inner, writes: 0, write_failure: None, reads: Arc::default() }
    }

    /// Fails the write with this number; the first ever is 1. Those after it succeed.
    pub fn fail_write(&mut self, number: u64, failure: WriteFailure) {
        self.write_failure = Some((number, failure));
    }

    /// Fails the read with this number; the first ever is 1. Those after it succeed.
    pub fn fail_read(&mut self, number: u64, error: StoreReadError) {
        self.reads.lock().unwrap().failure = Some((number, error));
    }

    /// Writes so far, failed ones among them.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// Reads so far, failed ones among them.
    pub fn reads(&self) -> u64 {
        self.reads.lock().unwrap().number
    }

    /// What is in the store, as a client finds it that opens it again.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The store itself.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

fn read(reads: &Mutex<Reads>) -> Result<(), StoreReadError> {
    let mut reads = reads.lock().unwrap();
    reads.number += 1;
    match reads.failure {
        Some((number, error)) if number == reads.number => Err(error),
        _ => Ok(()),
    }
}

impl<S: Persist> Persist for FailingStore<S> {
    fn persist(&mut self, writes: &WriteSet) -> Result<(), PersistError> {
        self.writes += 1;
        match self.write_failure {
            Some((number, WriteFailure::NotWritten(error))) if number == self.writes => Err(error),
            Some((number, WriteFailure::Written)) if number == self.writes => {
                self.inner.persist(writes)?;
                Err(PersistError::Unknown)
            }
            _ => self.inner.persist(writes),
        }
    }
}

impl<S: Records> Records for FailingStore<S> {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        read(&self.reads)?;
        self.inner.version(instance)
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        read(&self.reads)?;
        self.inner.get(key)
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        read(&self.reads)?;
        self.inner.list(instance, kind)
    }

    fn reader(&self) -> Result<Reader, StoreReadError> {
        Ok(Arc::new(FailingReader { inner: self.inner.reader()?, reads: self.reads.clone() }))
    }
}

/// A reader that fails with its store.
struct FailingReader {
    inner: Reader,
    reads: Arc<Mutex<Reads>>,
}

impl Records for FailingReader {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        read(&self.reads)?;
        self.inner.version(instance)
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        read(&self.reads)?;
        self.inner.get(key)
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        read(&self.reads)?;
        self.inner.list(instance, kind)
    }

    fn reader(&self) -> Result<Reader, StoreReadError> {
        Ok(Arc::new(Self { inner: self.inner.reader()?, reads: self.reads.clone() }))
    }
}
