//! The stores that fail and count do what they say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

use hushwood::error::StoreReadError;
use hushwood::transition::{InstanceId, Persist, PersistError, RecordKey, RecordKind, Records, WriteSet};
use hushwood_crypto::Secret;
use hushwood_store::MemoryStore;
use test_support::counting_store::{CountingStore, Read, Written};
use test_support::failing_store::{FailingStore, WriteFailure};

const CLIENT: InstanceId = InstanceId::CLIENT;

fn key() -> RecordKey {
    RecordKey::new(CLIENT, RecordKind::Epoch, "id")
}

fn step(version: u64) -> WriteSet {
    let mut writes = WriteSet::new();
    writes.require(CLIENT, version);
    writes.put(key(), Secret::new(vec![5; 100]));
    writes
}

#[test]
fn each_failure_hits_its_write_only_and_writes_what_it_says() {
    for failure in WriteFailure::ALL {
        for number in 1..=3 {
            let mut store = FailingStore::new(MemoryStore::new());
            store.fail_write(number, failure);
            for current in 1..=3 {
                let before = store.inner().version(CLIENT).unwrap();
                let done = store.persist(&step(before));
                let after = store.inner().version(CLIENT).unwrap();
                let (error, written) = match failure {
                    WriteFailure::NotWritten(error) => (error, false),
                    WriteFailure::Written => (PersistError::Unknown, true),
                };
                let hit = current == number;
                assert_eq!(done, if hit { Err(error) } else { Ok(()) });
                assert_eq!(after, before + u64::from(!hit || written));
            }
            assert_eq!(store.writes(), 3);
        }
    }
}

#[test]
fn a_failed_read_is_one_of_all_kinds_of_reads() {
    for number in 1..=3 {
        let mut store = FailingStore::new(MemoryStore::new());
        store.fail_read(number, StoreReadError::Io);
        let errors = [
            store.version(CLIENT).err(),
            store.get(&key()).err(),
            store.list(CLIENT, RecordKind::Epoch).err(),
        ];
        let hits = errors.iter().enumerate().filter(|(_, error)| **error == Some(StoreReadError::Io));
        assert_eq!(hits.map(|(index, _)| index as u64 + 1).collect::<Vec<_>>(), [number]);
        assert_eq!(store.reads(), 3);
    }
}

#[test]
fn only_what_is_written_is_counted() {
    let mut store = CountingStore::new(MemoryStore::new());
    store.persist(&step(0)).unwrap();
    store.persist(&step(0)).unwrap_err();
    let mut writes = WriteSet::new();
    writes.erase_instance(InstanceId::new([1; 16]));
    writes.erase(key());
    store.persist(&writes).unwrap();

    let put = Written { put: 1, key_bytes: 19, value_bytes: 100, ..Written::default() };
    let erased = Written { erased: 1, erased_instances: 1, key_bytes: 19, ..Written::default() };
    assert_eq!(store.writes(), [put, erased]);
    assert_eq!((store.total().rows(), store.total().bytes()), (2, 138));
}

#[test]
fn reads_are_counted_by_rows_found() {
    let mut store = CountingStore::new(MemoryStore::new());
    store.persist(&step(0)).unwrap();
    store.version(CLIENT).unwrap();
    store.get(&key()).unwrap();
    store.get(&RecordKey { id: Vec::new(), ..key() }).unwrap();
    store.list(CLIENT, RecordKind::Epoch).unwrap();
    assert_eq!(store.reads(), Read { calls: 4, rows: 2, tree_rows: 0, value_bytes: 200 });
    store.reset();
    assert_eq!((store.reads(), store.writes().len()), (Read::default(), 0));
}
