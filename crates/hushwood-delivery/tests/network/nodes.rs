//! Nodes that share a PostgreSQL database.

#![cfg(all(feature = "postgres", unix))]

use std::sync::Arc;

use hushwood_delivery::backend::{PostgresBackend, PostgresSettings};
use hushwood_delivery::server::PostgresBus;
use hushwood_delivery::wire::{ClientFrame, ServerFrame};
use tempfile::TempDir;
use test_support::postgres::Postgres;

use crate::person::{Person, two};
use crate::stream::Stream;
use crate::world::{World, plain, quick, until};

async fn node(url: &str) -> World {
    let backend = PostgresBackend::open(&PostgresSettings::new(url).unwrap()).await.unwrap();
    let backend = Arc::new(backend);
    let bus = Arc::new(PostgresBus::new(backend.clone()));
    World::on(Arc::new(TempDir::new().unwrap()), backend, (plain(), bus), quick()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_connected_to_one_hears_of_what_is_sent_to_another() {
    let url = Postgres::shared().database();
    let (one, other) = (node(&url).await, node(&url).await);
    let ((mut alice, token), (bob, _)) = two(one.place).await;
    let (carol, carols) = Person::registered("carol", one.place).await;
    let mut stream = Stream::open(other.place).await;
    stream.say(ClientFrame::Credit { entries: 100 }).await;
    stream.say(ClientFrame::Device { token: carols.bytes.clone() }).await;
    stream.say(ClientFrame::Subscribe(bob.subscribe(7, 1))).await;
    assert_eq!(stream.next().await, ServerFrame::Subscribed { number: 7, head: 1 });
    for number in 2..10 {
        assert_eq!(alice.send(b"from the other node").await, number);
        assert_eq!(stream.entry().await.sequence, number);
    }
    alice.invite(&token, "carol").await;
    let mut frames = vec![stream.next().await, stream.next().await];
    frames.sort_by_key(|frame| matches!(frame, ServerFrame::Inbox));
    assert!(matches!(frames[..], [ServerFrame::Entry { .. }, ServerFrame::Inbox]), "{frames:?}");
    // Tokens are good with all nodes, and what one has taken the others have.
    let mut there = carol;
    there.place = other.place;
    until("a Welcome", || async { !there.inbox(&carols).await.is_empty() }).await;
    drop((one.stopped().await, other.stopped().await));
}
