//! The back end on SQLite: what every back end does, and what only files do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod conformance;

use std::sync::Arc;

use hushwood_delivery::backend::{
    Backend, BackendError, Committed, Created, Incarnation, Kinds, NewCommit, NewGroup, PageLimit, Reading,
    RequestId, Seconds, SqliteBackend, SqliteSettings, self_check,
};
use tempfile::TempDir;

fn open(folder: &TempDir) -> Arc<dyn Backend> {
    Arc::new(SqliteBackend::open(&SqliteSettings::new(&folder.path().join("delivery.db"))).unwrap())
}

/// A test for each function of `conformance`, on a file of its own.
macro_rules! conforms {
    ($($name:ident ( $($shared:tt)? )),* $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let folder = TempDir::new().unwrap();
            let backend = open(&folder);
            conforms!(@call $name backend $($shared)?).await;
        }
    )* };
    (@call $name:ident $backend:ident) => { conformance::$name(&*$backend) };
    (@call $name:ident $backend:ident shared) => { conformance::$name($backend.clone()) };
}

conforms! {
    a_group_is_created_once(),
    an_epoch_ends_once(),
    messages_are_numbered_without_gaps(),
    pages_have_a_limit_and_at_least_one_entry(),
    racing_commits_have_one_winner(shared),
    what_was_checked_in_another_life_is_not_written(),
    welcomes_are_of_the_winner_and_wait_until_they_are_carried(),
    an_inbox_takes_what_its_device_has_asked_for_and_has_an_end(),
    a_reserved_key_package_is_not_claimed(),
    a_device_has_so_many_key_packages(),
    key_packages_are_claimed_once(shared),
    the_last_resort_comes_last(),
    names_and_devices_belong_to_one_account(),
    cursors_go_forward_and_trimming_leaves_one_piece(),
    the_service_has_one_secret(),
}

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

#[tokio::test]
async fn the_self_check_passes_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let backend = open(&folder);
    self_check(&*backend, b"self check", 50).await.unwrap();
    assert_eq!(backend.head(b"self check").await, Ok(None));
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
