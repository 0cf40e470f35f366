//! A store that counts: the figures "rows and bytes per commit", and what opening a group reads.

use std::ops::AddAssign;
use std::sync::{Arc, Mutex};

use hushwood::error::StoreReadError;
use hushwood::transition::{
    InstanceId, Persist, PersistError, Reader, RecordKey, RecordKind, Records, Write, WriteSet,
};
use hushwood_crypto::Secret;

/// Passes everything on to another store and counts what went through.
///
/// Bytes are those of keys (instance, kind and id) and of values as they are handed to the store, before
/// it seals them and makes pages of them.
///
/// ```
/// use hushwood::transition::{InstanceId, Persist, RecordKey, RecordKind, WriteSet};
/// use hushwood_crypto::Secret;
/// use hushwood_store::MemoryStore;
/// use test_support::counting_store::CountingStore;
///
/// let mut store = CountingStore::new(MemoryStore::new());
/// let mut writes = WriteSet::new();
/// writes.put(RecordKey::new(InstanceId::CLIENT, RecordKind::Epoch, "id"), Secret::zero(100));
/// writes.erase(RecordKey::new(InstanceId::CLIENT, RecordKind::Epoch, "old"));
/// store.persist(&writes)?;
/// assert_eq!((store.last().rows(), store.last().bytes()), (2, 16 + 1 + 2 + 100 + 16 + 1 + 3));
/// # Ok::<(), hushwood::transition::PersistError>(())
/// ```
#[derive(Debug)]
pub struct CountingStore<S> {
    inner: S,
    writes: Vec<Written>,
    reads: Arc<Mutex<Read>>,
}

/// What a write set that was written held.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Written {
    /// Records put.
    pub put: usize,
    /// Records erased one by one.
    pub erased: usize,
    /// Instances erased whole.
    pub erased_instances: usize,
    /// Bytes of the records' keys.
    pub key_bytes: usize,
    /// Bytes of the records put.
    pub value_bytes: usize,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Read {
    /// Calls, those for versions among them.
    pub calls: usize,
    /// Records found.
    pub rows: usize,
    /// Those of them that are nodes or keys of a tree.
    pub tree_rows: usize,
    /// Their bytes.
    pub value_bytes: usize,
}

impl Written {
    fn of(writes: &WriteSet) -> Self {
        let mut written = Self { erased_instances: writes.erased_instances().count(), ..Self::default() };
        for (key, write) in writes.writes() {
            written.key_bytes += key.instance.as_bytes().len() + 1 + key.id.len();
            match write {
                Write::Put(value) => {
                    written.put += 1;
                    written.value_bytes += value.len();
                }
                Write::Erase => written.erased += 1,
            }
        }
        written
    }

    /// Records put or erased.
    pub fn rows(&self) -> usize {
        self.put + self.erased
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.key_bytes + self.value_bytes
    }
}

impl AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.put += other.put;
        self.erased += other.erased;
        self.erased_instances += other.erased_instances;
        self.key_bytes += other.key_bytes;
        self.value_bytes += other.value_bytes;
    }
}

impl<S> CountingStore<S> {
    /// Nothing counted yet.
    pub fn new(inner: S) -> Self {
        Self { inner, writes: Vec::new(), reads: Arc::default() }
    }

    /// What each write set held that was written, in order.
    pub fn writes(&self) -> &[Written] {
        &self.writes
    }

    /// What the last one held.
    pub fn last(&self) -> Written {
        self.writes.last().copied().unwrap_or_default()
    }

    /// What all of them held.
    pub fn total(&self) -> Written {
        let mut total = Written::default();
        self.writes.iter().for_each(|written| total += *written);
        total
    }

    /// What was read.
    pub fn reads(&self) -> Read {
        *self.reads.lock().unwrap()
    }

    /// Starts to count anew.
    pub fn reset(&mut self) {
        self.writes.clear();
        *self.reads.lock().unwrap() = Read::default();
    }

    /// The store itself.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: Persist> Persist for CountingStore<S> {
    fn persist(&mut self, writes: &WriteSet) -> Result<(), PersistError> {
        self.inner.persist(writes)?;
        self.writes.push(Written::of(writes));
        Ok(())
    }
}

impl<S: Records> Records for CountingStore<S> {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        counted(&self.inner, &self.reads).version(instance)
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        counted(&self.inner, &self.reads).get(key)
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        counted(&self.inner, &self.reads).list(instance, kind)
    }

    fn reader(&self) -> Result<Reader, StoreReadError> {
        Ok(Arc::new(CountingReader { inner: self.inner.reader()?, reads: self.reads.clone() }))
    }
}

/// A reader whose reads count with those of its store.
struct CountingReader {
    inner: Reader,
    reads: Arc<Mutex<Read>>,
}

impl Records for CountingReader {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        counted(&*self.inner, &self.reads).version(instance)
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        counted(&*self.inner, &self.reads).get(key)
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        counted(&*self.inner, &self.reads).list(instance, kind)
    }

    fn reader(&self) -> Result<Reader, StoreReadError> {
        Ok(Arc::new(Self { inner: self.inner.reader()?, reads: self.reads.clone() }))
    }
}

fn counted<'s>(inner: &'s dyn Records, reads: &'s Mutex<Read>) -> Counted<'s> {
    Counted { inner, reads }
}

struct Counted<'s> {
    inner: &'s dyn Records,
    reads: &'s Mutex<Read>,
}

impl Counted<'_> {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        self.count(None, []);
        self.inner.version(instance)
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        let value = self.inner.get(key)?;
        self.count(Some(key.kind), &value);
        Ok(value)
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        let records = self.inner.list(instance, kind)?;
        self.count(Some(kind), records.iter().map(|(_, value)| value));
        Ok(records)
    }

    fn count<'v>(&self, kind: Option<RecordKind>, values: impl IntoIterator<Item = &'v Secret>) {
        let mut read = self.reads.lock().unwrap();
        read.calls += 1;
        for value in values {
            read.rows += 1;
            read.value_bytes += value.len();
            if matches!(kind, Some(RecordKind::TreeNode | RecordKind::TreeKey)) {
                read.tree_rows += 1;
            }
        }
    }
}
