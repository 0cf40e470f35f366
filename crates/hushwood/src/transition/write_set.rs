//! What a step writes, and the store it is written to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hushwood_crypto::Secret;
use indexmap::IndexMap;

use crate::error::StoreReadError;
use crate::transition::{InstanceId, RecordKey, RecordKind};

/// Writes that happen together or not at all.
#[derive(Debug, Default)]
pub struct WriteSet {
    preconditions: BTreeMap<InstanceId, Precondition>,
    /// In the order in which they came: a whole tree is tens of thousands of them, and nobody needs them sorted.
    writes: IndexMap<RecordKey, Write>,
    erased_instances: Vec<InstanceId>,
}

/// The version that an instance must have, and the one it gets by the write.
///
/// An instance that does not exist has version 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Precondition {
    /// What the store must have.
    pub expected: u64,
    /// What the store has afterwards.
    pub next: u64,
}

/// A change of one record.
#[derive(Debug)]
pub enum Write {
    /// The record holds this from now on.
    Put(Secret),
    /// The record is gone and its content erased, also from the free space of the store.
    Erase,
}

impl WriteSet {
    /// No writes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for an instance to be at a version, and moves it on by one.
    pub fn require(&mut self, instance: InstanceId, expected: u64) {
        let next = expected.saturating_add(1);
        self.preconditions.insert(instance, Precondition { expected, next });
    }

    /// Writes a record.
    pub fn put(&mut self, key: RecordKey, value: Secret) {
        self.writes.insert(key, Write::Put(value));
    }

    /// Makes room for so many more records.
    pub(crate) fn reserve(&mut self, records: u32) {
        self.writes.reserve(usize::try_from(records).unwrap_or_default());
    }

    /// Erases a record; one that does not exist is no error.
    pub fn erase(&mut self, key: RecordKey) {
        self.writes.insert(key, Write::Erase);
    }

    /// Erases all records of an instance, before the other writes. Its version stays.
    pub fn erase_instance(&mut self, instance: InstanceId) {
        self.writes.retain(|key, _| key.instance != instance);
        self.erased_instances.push(instance);
    }

    /// Adds what happens after this set, as one set: later writes win.
    pub fn append(&mut self, later: Self) {
        for (instance, precondition) in later.preconditions {
            self.preconditions
                .entry(instance)
                .and_modify(|earlier| earlier.next = precondition.next)
                .or_insert(precondition);
        }
        later.erased_instances.into_iter().for_each(|instance| self.erase_instance(instance));
        self.writes.extend(later.writes);
    }

    /// The versions that must hold.
    pub fn preconditions(&self) -> impl Iterator<Item = (InstanceId, Precondition)> {
        self.preconditions.iter().map(|(instance, precondition)| (*instance, *precondition))
    }

    /// The instances to erase first.
    pub fn erased_instances(&self) -> impl Iterator<Item = InstanceId> {
        self.erased_instances.iter().copied()
    }

    /// The records to write, each once, in the order in which they were named first.
    pub fn writes(&self) -> impl ExactSizeIterator<Item = (&RecordKey, &Write)> {
        self.writes.iter()
    }
}

/// A store that takes a [`WriteSet`] atomically and durably.
pub trait Persist {
    /// Checks all preconditions, then writes everything, in one transaction that has reached the disk
    /// when this returns.
    ///
    /// # Errors
    /// [`PersistError`]; only [`PersistError::Unknown`] leaves open what happened.
    fn persist(&mut self, writes: &WriteSet) -> Result<(), PersistError>;
}

/// Why a write set was not (or not surely) written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PersistError {
    /// An instance is not at the version expected: another process was faster. Nothing was written.
    Stale,
    /// The store is busy with another writer. Nothing was written.
    Busy,
    /// No space is left. Nothing was written.
    Full,
    /// The store can't be written. Nothing was written.
    Refused,
    /// An error in the middle of it: written or not, nobody knows until the store is opened again.
    Unknown,
}

impl fmt::Display for PersistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "another process has changed the group: open it again and retry",
            Self::Busy => "the store is busy: try again",
            Self::Full => "no space is left on the disk: make room and try again",
            Self::Refused => "the store can't be written: check permissions and the disk",
            Self::Unknown => "the store failed while writing: open the group again before anything else",
        })
    }
}

impl std::error::Error for PersistError {}

/// A store's records, to be read.
pub trait Records {
    /// The version of an instance, 0 if there is none.
    ///
    /// # Errors
    /// [`StoreReadError`].
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError>;

    /// A record; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreReadError`].
    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError>;

    /// All records of a kind, by id.
    ///
    /// # Errors
    /// [`StoreReadError`].
    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError>;

    /// All records of some kinds, those of each as [`list`](Self::list) gives them: in one read, where the store can do
    /// that.
    ///
    /// # Errors
    /// [`StoreReadError`].
    fn list_all(
        &self,
        instance: InstanceId,
        kinds: &[RecordKind],
    ) -> Result<Vec<(RecordKind, Vec<u8>, Secret)>, StoreReadError> {
        let mut records = Vec::new();
        for kind in kinds {
            records.extend(self.list(instance, *kind)?.into_iter().map(|(id, value)| (*kind, id, value)));
        }
        Ok(records)
    }

    /// A handle of its own to the same store, for whoever reads on after this borrow has ended: a group
    /// reads its tree when it needs it. It sees what has been written last, and costs little until it is
    /// used.
    ///
    /// # Errors
    /// [`StoreReadError`].
    fn reader(&self) -> Result<Reader, StoreReadError>;
}

/// A shared handle to a store's records.
pub type Reader = Arc<dyn Records + Send + Sync>;
