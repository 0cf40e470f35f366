//! Files of every released format are kept and opened for ever.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

mod common;

use std::path::PathBuf;

use common::{CHESS, Folder, Seeded, TEA, passphrase, put, read, secret, set};
use hushwood::transition::{Persist, RecordKey, RecordKind, Records};
use hushwood_store::{PassphraseCost, SqliteOptions, SqliteStore};

const PASSPHRASE: &str = "golden, and no secret";

fn golden(format: u32) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join("golden");
    folder.join(format!("format-{format}.sqlite"))
}

/// One record of every kind: all that a format may lose.
fn record(kind: RecordKind) -> (RecordKey, Vec<u8>) {
    let id = vec![kind.number(); usize::from(kind.number() % 5)];
    (RecordKey::new(TEA, kind, id), vec![kind.number(); usize::from(kind.number()) * 40])
}

/// The kinds there were when the golden file of format 1 was made.
const KINDS_OF_FORMAT_1: [u8; 21] =
    [1, 2, 3, 4, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32];

#[test]
fn format_1_is_opened_read_and_written() {
    let folder = Folder::new();
    std::fs::copy(golden(1), folder.store()).unwrap();
    let mut store = SqliteStore::open(folder.store(), &passphrase(PASSPHRASE)).unwrap();
    assert_eq!((store.version(TEA), store.version(CHESS), store.generation()), (Ok(2), Ok(1), Ok(3)));
    let kinds = RecordKind::ALL.iter().filter(|kind| KINDS_OF_FORMAT_1.contains(&kind.number()));
    for kind in kinds.clone() {
        let (key, value) = record(*kind);
        assert_eq!(read(&store, &key).unwrap(), value);
        assert_eq!(store.list(TEA, *kind).unwrap().len(), 1);
    }
    assert_eq!(kinds.count(), KINDS_OF_FORMAT_1.len());
    assert!(store.list(CHESS, RecordKind::Epoch).unwrap().is_empty());

    put(&mut store, RecordKey::new(CHESS, RecordKind::Epoch, ""), "new");
    store.close().unwrap();
    let store = SqliteStore::open(folder.store(), &passphrase(PASSPHRASE)).unwrap();
    assert_eq!(read(&store, &RecordKey::new(CHESS, RecordKind::Epoch, "")).unwrap(), b"new");
}

#[test]
#[ignore = "writes the golden file of a new format, once"]
fn write_format_1() {
    let options =
        SqliteOptions::new().passphrase_cost(PassphraseCost::insecure_for_tests()).random(Seeded(1));
    let mut store = SqliteStore::create_with(golden(1), &passphrase(PASSPHRASE), options).unwrap();
    store
        .persist(&set(|writes| {
            writes.require(TEA, 0);
            writes.require(CHESS, 0);
            RecordKind::ALL.iter().for_each(|kind| writes.put(record(*kind).0, secret("before")));
            writes.put(RecordKey::new(CHESS, RecordKind::Epoch, ""), secret("erased"));
        }))
        .unwrap();
    store
        .persist(&set(|writes| {
            writes.require(TEA, 1);
            for kind in RecordKind::ALL {
                let (key, value) = record(*kind);
                writes.put(key, secret(value));
            }
        }))
        .unwrap();
    store.persist(&set(|writes| writes.erase_instance(CHESS))).unwrap();
    store.close().unwrap();
}
