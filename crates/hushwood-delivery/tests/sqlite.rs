//! The back end on SQLite: what every back end does, and what only files do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[macro_use]
mod conformance;

use std::sync::Arc;

use hushwood_delivery::backend::{
    Backend, BackendError, Committed, Created, Incarnation, Kinds, NewCommit, NewGroup, PageLimit, Reading,
    RequestId, Seconds, SqliteBackend, SqliteSettings,
};
use tempfile::TempDir;

fn open(folder: &TempDir) -> Arc<dyn Backend> {
    Arc::new(SqliteBackend::open(&SqliteSettings::new(&folder.path().join("delivery.db"))).unwrap())
}

async fn open_new() -> (Arc<dyn Backend>, TempDir) {
    let folder = TempDir::new().unwrap();
    (open(&folder), folder)
}

conforms!(crate::open_new);

fn commit(epoch: u64, process: u8) -> NewCommit {
    let mut request = [process; 32];
    request[..8].copy_from_slice(&epoch.to_be_bytes());
    NewCommit {
        incarnation: Incarnation([3; 16]),
        request: RequestId(request),
        epoch,
        body: vec![process],
        group_info: Vec::new(),
        welcomes: Vec::new(),
        shared: Vec::new(),
        at: Seconds(0),
    }
}

async fn create(backend: &dyn Backend, group: &[u8]) {
    let new = NewGroup {
        group: group.to_vec(),
        incarnation: Incarnation([3; 16]),
        request: RequestId([0; 32]),
        epoch: 0,
        snapshot: Vec::new(),
        group_info: Vec::new(),
        at: Seconds(0),
    };
    assert_eq!(backend.create_group(new).await, Ok(Created::Created));
}

/// Two back ends on one file are two processes for SQLite.
#[tokio::test(flavor = "multi_thread")]
async fn two_writers_on_one_file_have_one_winner_for_each_epoch() {
    let folder = TempDir::new().unwrap();
    let backends = [open(&folder), open(&folder)];
    create(&*backends[0], b"tea").await;
    for epoch in 0..50 {
        let (one, other) = tokio::join!(
            backends[0].commit(b"tea", commit(epoch, 1)),
            backends[1].commit(b"tea", commit(epoch, 2)),
        );
        let accepted = [one.unwrap(), other.unwrap()];
        let accepted = accepted.iter().filter(|answer| matches!(answer, Committed::Accepted(_))).count();
        assert_eq!(accepted, 1, "epoch {epoch}");
    }
}

#[tokio::test]
async fn what_was_answered_is_there_after_opening_again() {
    let folder = TempDir::new().unwrap();
    let backend = open(&folder);
    create(&*backend, b"tea").await;
    backend.commit(b"tea", commit(0, 1)).await.unwrap();
    drop(backend);
    let again = open(&folder);
    assert_eq!(again.head(b"tea").await.unwrap().unwrap().epoch, 1);
    let limit = PageLimit { entries: 10, bytes: 1000 };
    let reading = Reading { kinds: Kinds::All, after: 0, slot: None };
    assert_eq!(again.read(b"tea", reading, limit).await.unwrap().unwrap().entries.len(), 1);
}

#[test]
fn a_file_of_another_program_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("other.db");
    std::fs::write(&path, b"these are somebody's notes, and no database at all").unwrap();
    let error = SqliteBackend::open(&SqliteSettings::new(&path)).unwrap_err();
    assert!(matches!(error, BackendError::Corrupt(_)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"these are somebody's notes, and no database at all");
}

#[test]
fn a_folder_that_does_not_exist_is_said() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("nowhere").join("delivery.db");
    let error = SqliteBackend::open(&SqliteSettings::new(&path)).unwrap_err();
    assert!(matches!(error, BackendError::Unavailable(_)), "{error}");
}
