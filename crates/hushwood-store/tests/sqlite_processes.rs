//! One file and several processes, some of which die.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Folder, Seeded, TEA, key_file, node, read, secret, set};
use hushwood::transition::{Persist, PersistError, RecordKey, RecordKind, Records};
use hushwood_crypto::Random;
use hushwood_store::SqliteStore;

const STORE: &str = "HUSHWOOD_TEST_STORE";
const TASK: &str = "HUSHWOOD_TEST_TASK";

/// What a child process runs; nothing when it is run as a test.
#[test]
fn child() {
    let (Ok(path), Ok(task)) = (std::env::var(STORE), std::env::var(TASK)) else { return };
    let store = SqliteStore::open(path, &key_file()).unwrap();
    match task.as_str() {
        "count" => count(store),
        "write until killed" => write_until_killed(store),
        _ => unreachable!(),
    }
}

fn spawn(path: &Path, task: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--quiet"])
        .env(STORE, path)
        .env(TASK, task)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

const COUNTS: u64 = 100;

/// Adds one, a hundred times, each time to what is there.
fn count(mut store: SqliteStore) {
    for _ in 0..COUNTS {
        loop {
            // The record is read after the version: if it has moved meanwhile, the write is stale.
            let version = store.version(TEA).unwrap();
            let sum = read(&store, &node("sum")).map_or(0, |sum| u64::from_be_bytes(sum.try_into().unwrap()));
            let written = store.persist(&set(|writes| {
                writes.require(TEA, version);
                writes.put(node("sum"), secret((sum + 1).to_be_bytes()));
            }));
            match written {
                Ok(()) => break,
                Err(PersistError::Stale | PersistError::Busy) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn processes_that_race_lose_no_write() {
    let folder = Folder::new();
    folder.create().close().unwrap();
    let children = [(); 3].map(|()| spawn(&folder.store(), "count"));
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let store = folder.open();
    assert_eq!(read(&store, &node("sum")).unwrap(), (3 * COUNTS).to_be_bytes());
    assert_eq!(store.version(TEA), Ok(3 * COUNTS));
    assert_eq!(store.generation(), Ok(3 * COUNTS));
}

const RECORDS: u64 = 8;

fn ratchet(id: u64) -> RecordKey {
    RecordKey::new(TEA, RecordKind::SecretTree, id.to_be_bytes())
}

/// Step after step: all records say the step's number, and one record of the step before is erased.
fn write_until_killed(mut store: SqliteStore) {
    for version in store.version(TEA).unwrap().. {
        let next = version + 1;
        let writes = set(|writes| {
            writes.require(TEA, version);
            for id in 0..RECORDS {
                let length = usize::try_from(id * 400 + next % 300 + 1).unwrap();
                writes.put(node(id.to_be_bytes()), secret(next.to_be_bytes().repeat(length)));
            }
            writes.put(ratchet(next), secret(next.to_be_bytes()));
            writes.erase(ratchet(version));
        });
        store.persist(&writes).unwrap();
        println!("written {next}");
    }
}

#[test]
fn a_process_that_is_killed_leaves_whole_steps_and_all_it_has_confirmed() {
    let folder = Folder::new();
    folder.create().close().unwrap();
    let mut random = Seeded(7);
    for _ in 0..20 {
        let mut child = spawn(&folder.store(), "write until killed");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let confirmed = |line: String| line.strip_prefix("written ").map(|number| number.parse().unwrap());
        let first: u64 = lines.by_ref().find_map(confirmed).unwrap();
        let mut delay = [0; 2];
        random.fill(&mut delay).unwrap();
        std::thread::sleep(Duration::from_micros(u64::from(u16::from_be_bytes(delay))));
        child.kill().unwrap();
        child.wait().unwrap();
        let last = lines.filter_map(confirmed).last().unwrap_or(first);

        let store = folder.open();
        let version = store.version(TEA).unwrap();
        assert!(version == last || version == last + 1, "confirmed {last}, found {version}");
        for id in 0..RECORDS {
            let value = read(&store, &node(id.to_be_bytes())).unwrap();
            assert!(value.chunks(8).all(|chunk| chunk == version.to_be_bytes()));
        }
        let ratchets = store.list(TEA, RecordKind::SecretTree).unwrap();
        assert_eq!(ratchets.len(), 1);
        assert_eq!(ratchets[0].1.expose(), version.to_be_bytes());
        assert_eq!(store.generation(), Ok(version));
        let check: String = folder.raw().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        store.close().unwrap();
    }
}
