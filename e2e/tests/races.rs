//! Committers race at a back end: few of them, for few epochs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use e2e::race::race;
use hushwood_delivery::backend::{Backend, PostgresBackend, PostgresSettings, SqliteBackend, SqliteSettings};
use test_support::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn each_epoch_has_one_winner_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SqliteSettings::new(&folder.path().join("race.db"));
    let node: Arc<dyn Backend> = Arc::new(SqliteBackend::open(&settings).unwrap());
    let raced = race(&[node], 32, 100).await.unwrap();
    assert_eq!(raced.stale, 31 * 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_epoch_has_one_winner_on_three_nodes_of_postgresql() {
    let settings = PostgresSettings::new(&Postgres::shared().database()).unwrap();
    let mut nodes: Vec<Arc<dyn Backend>> = Vec::new();
    for _ in 0..3 {
        nodes.push(Arc::new(PostgresBackend::open(&settings).await.unwrap()));
    }
    let raced = race(&nodes, 32, 100).await.unwrap();
    assert_eq!(raced.stale, 31 * 100);
}
