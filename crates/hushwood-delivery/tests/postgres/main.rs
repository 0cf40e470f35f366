//! The back end on PostgreSQL: what every back end does, and what only a server does. Each test has a database of its own.

#![cfg(all(feature = "postgres", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[macro_use]
#[path = "../conformance/mod.rs"]
mod conformance;

mod crash;
mod hints;
mod nodes;
mod proxy;
mod refusals;
mod tls;

use std::sync::Arc;

use hushwood_delivery::backend::{
    Backend, Created, Entry, Incarnation, Kinds, NewCommit, NewEntry, NewGroup, PageLimit, PostgresBackend,
    PostgresSettings, Reading, RequestId, Seconds,
};
use hushwood_delivery::wire::EntryKind;
use test_support::postgres::Postgres;

const LIFE: Incarnation = Incarnation([3; 16]);

/// A node on this database.
async fn node(url: &str) -> Arc<PostgresBackend> {
    Arc::new(PostgresBackend::open(&PostgresSettings::new(url).unwrap()).await.unwrap())
}

async fn open_new() -> (Arc<dyn Backend>, ()) {
    (node(&Postgres::shared().database()).await, ())
}

conforms!(crate::open_new);

/// The same with a transaction for each group, as a distributed database needs it.
mod groups_apart {
    use super::*;

    async fn open_new() -> (Arc<dyn Backend>, ()) {
        let mut settings = PostgresSettings::new(&Postgres::shared().database()).unwrap();
        settings.mix_groups = false;
        settings.lanes = 4;
        (Arc::new(PostgresBackend::open(&settings).await.unwrap()), ())
    }

    conforms!(self::open_new);
}

fn request(number: u64, who: u8) -> RequestId {
    let mut request = [who; 32];
    request[..8].copy_from_slice(&number.to_be_bytes());
    RequestId(request)
}

fn commit(epoch: u64, who: u8) -> NewCommit {
    NewCommit {
        incarnation: LIFE,
        request: request(epoch, who),
        epoch,
        body: vec![who],
        group_info: vec![who],
        welcomes: Vec::new(),
        shared: Vec::new(),
        at: Seconds(7),
    }
}

fn message(number: u64, who: u8) -> NewEntry {
    NewEntry {
        incarnation: LIFE,
        request: request(number, who),
        kind: EntryKind::Message,
        epoch: 0,
        late: u64::MAX,
        body: request(number, who).0.to_vec(),
        at: Seconds(7),
    }
}

async fn create(backend: &dyn Backend, group: &[u8]) {
    let new = NewGroup {
        group: group.to_vec(),
        incarnation: LIFE,
        request: RequestId([0; 32]),
        epoch: 0,
        snapshot: Vec::new(),
        group_info: Vec::new(),
        at: Seconds(0),
    };
    assert_eq!(backend.create_group(new).await, Ok(Created::Created));
}

/// The whole log.
async fn log(backend: &dyn Backend, group: &[u8]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(0, |entry| entry.sequence);
        let reading = Reading { kinds: Kinds::All, after, slot: None };
        let limit = PageLimit { entries: 5000, bytes: u64::MAX };
        let page = backend.read(group, reading, limit).await.unwrap().unwrap();
        if page.entries.is_empty() {
            assert_eq!(page.newest, after, "the head is where the log ends");
            return entries;
        }
        entries.extend(page.entries);
    }
}

/// Numbered without gaps, and one commit for each epoch.
fn check_order(entries: &[Entry]) {
    let numbers = entries.iter().map(|entry| entry.sequence);
    assert!(numbers.eq(1..=u64::try_from(entries.len()).unwrap()), "numbered without gaps");
    let commits = entries.iter().filter(|entry| entry.kind == EntryKind::Commit);
    let epochs: Vec<_> = commits.map(|entry| entry.epoch).collect();
    assert!(epochs.iter().copied().eq(0..u64::try_from(epochs.len()).unwrap()), "one commit for each epoch");
}
