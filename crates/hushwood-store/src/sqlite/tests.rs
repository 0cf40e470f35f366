//! Failures that only a hand on the connection can bring about.

use hushwood::error::StoreReadError;
use hushwood::transition::{InstanceId, Persist, PersistError, RecordKey, RecordKind, Records, WriteSet};
use hushwood_crypto::Secret;

use crate::{OpenError, SqliteOptions, SqliteStore, Unlock};

const TEA: InstanceId = InstanceId::new([1; 16]);

fn unlock() -> Unlock {
    Unlock::KeyFile(Secret::new(vec![7; 32]))
}

fn key(id: u32) -> RecordKey {
    RecordKey::new(TEA, RecordKind::SecretTree, id.to_be_bytes())
}

fn write(version: u64, records: u32) -> WriteSet {
    let mut writes = WriteSet::new();
    writes.require(TEA, version);
    (0..records).for_each(|id| writes.put(key(id), Secret::new(vec![5; 500])));
    writes
}

#[test]
fn a_full_disk_writes_nothing_and_may_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::create(folder.path().join("store"), &unlock()).unwrap();
    store.persist(&write(0, 1)).unwrap();
    let pages: u32 = store.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = |store: &SqliteStore, pages: u32| {
        store.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    };

    limit(&store, pages + 2);
    assert_eq!(store.persist(&write(1, 100)), Err(PersistError::Full));
    assert_eq!(store.version(TEA), Ok(1));
    assert_eq!(store.list(TEA, RecordKind::SecretTree).unwrap().len(), 1);

    limit(&store, pages + 200);
    store.persist(&write(1, 100)).unwrap();
    assert_eq!(store.list(TEA, RecordKind::SecretTree).unwrap().len(), 100);
}

#[test]
fn a_store_that_can_only_be_read_refuses_writes() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::create(folder.path().join("store"), &unlock()).unwrap();
    store.persist(&write(0, 1)).unwrap();
    store.connection.execute_batch("PRAGMA query_only = ON").unwrap();
    assert_eq!(store.persist(&write(1, 2)), Err(PersistError::Refused));
    assert_eq!(store.version(TEA), Ok(1));
    store.connection.execute_batch("PRAGMA query_only = OFF").unwrap();
    store.persist(&write(1, 2)).unwrap();
}

#[test]
fn a_commit_of_unknown_outcome_ends_the_use_of_the_handle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut store = SqliteStore::create(&path, &unlock()).unwrap();
    store.persist(&write(0, 1)).unwrap();
    store.connection.commit_hook(Some(|| true));
    assert_eq!(store.persist(&write(1, 2)), Err(PersistError::Unknown));
    store.connection.commit_hook(None::<fn() -> bool>);

    assert_eq!(store.persist(&write(1, 2)), Err(PersistError::Refused));
    assert_eq!(store.checkpoint(), Err(PersistError::Refused));
    assert_eq!(store.change_unlock(&unlock()), Err(OpenError::Refused));
    assert_eq!(store.version(TEA), Err(StoreReadError::Io));
    assert_eq!(store.get(&key(0)).err(), Some(StoreReadError::Io));
    assert_eq!(store.list(TEA, RecordKind::SecretTree).err(), Some(StoreReadError::Io));
    assert!(store.read().is_err());
    drop(store);

    let mut store = SqliteStore::open(&path, &unlock()).unwrap();
    let version = store.version(TEA).unwrap();
    store.persist(&write(version, 2)).unwrap();
}

#[test]
fn a_step_whose_anchor_can_not_be_moved_is_of_unknown_outcome_and_there_when_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, anchor) = (folder.path().join("store"), folder.path().join("anchor"));
    let options = || SqliteOptions::new().anchor(&anchor);
    let mut store = SqliteStore::create_with(&path, &unlock(), options()).unwrap();
    store.anchor.as_mut().unwrap().break_down(&anchor);
    assert_eq!(store.persist(&write(0, 1)), Err(PersistError::Unknown));
    assert_eq!(store.persist(&write(1, 1)), Err(PersistError::Refused));
    drop(store);
    let store = SqliteStore::open_with(&path, &unlock(), options()).unwrap();
    assert_eq!((store.version(TEA), store.generation()), (Ok(1), Ok(1)));
}

#[test]
fn the_settings_that_durability_and_erasing_rest_on_are_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(SqliteStore::create(&path, &unlock()).unwrap());
    let store = SqliteStore::open(&path, &unlock()).unwrap();
    let setting = |name: &str| -> String {
        let query = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
        store.connection.query_row(&query, [], |row| row.get(0)).unwrap()
    };
    let expected =
        [("journal_mode", "wal"), ("synchronous", "2"), ("auto_vacuum", "0"), ("cell_size_check", "1")];
    for (name, value) in expected {
        assert_eq!(setting(name), value, "{name}");
    }
    let secure: i64 = store.connection.query_row("PRAGMA secure_delete", [], |row| row.get(0)).unwrap();
    assert_eq!(secure, 1);
}
