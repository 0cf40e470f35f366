//! Clients over HTTP, with a server that is known by its fingerprint.

#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod served;

use std::time::Duration;

use hushwood_client::transport::{AddressError, BlockingHttp, Http, ServerTrust};
use hushwood_client::{
    AsyncClient, Client, Error, EventKind, Outcome, Settings, Transport, TransportError, Trust,
};
use hushwood_store::MemoryStore;
use served::{Served, identity, provider, settings, text};

fn client<T: Transport>(person: &str, transport: T, patience: u64) -> Client<T> {
    let settings = Settings { patience: Duration::from_millis(patience), ..settings() };
    served::client(person, settings, transport)
}

#[test]
fn people_talk_over_tls_and_the_server_may_restart() {
    let mut served = Served::new(true);
    let alice = client("alice", served.transport(), 20_000);
    let bob = client("bob", served.transport(), 20_000);
    bob.sync().unwrap();
    let room = alice.create_group("tea").unwrap();
    assert!(matches!(room.invite("bob").unwrap(), Outcome::Done(_)));
    assert!(matches!(room.send(b"hello").unwrap(), (_, Outcome::Done(_))));
    assert_eq!(text(&bob).as_deref(), Some("hello"));
    served.stop();
    served.start(true);
    assert!(matches!(room.send(b"still here").unwrap(), (_, Outcome::Done(_))));
    assert_eq!(text(&bob).as_deref(), Some("still here"));
    let reply = bob.room(room.id()).unwrap();
    assert!(matches!(reply.send(b"so am I").unwrap(), (_, Outcome::Done(_))));
    assert_eq!(text(&alice).as_deref(), Some("so am I"));
    assert_eq!(room.members().unwrap().len(), 2);
    served.stop();
}

#[test]
fn what_can_not_be_sent_is_kept_and_sent_later() {
    let mut served = Served::new(false);
    let alice = client("alice", served.transport(), 1000);
    let bob = client("bob", served.transport(), 20_000);
    bob.sync().unwrap();
    let room = alice.create_group("tea").unwrap();
    assert!(matches!(room.invite("bob").unwrap(), Outcome::Done(_)));
    served.stop();
    let (_, kept) = room.send(b"from the train").unwrap();
    assert!(matches!(kept, Outcome::Kept { why: Some(Error::Transport(_)), .. }), "{kept:?}");
    assert!(matches!(alice.sync().unwrap_err(), Error::Transport(_)));
    served.start(false);
    alice.sync().unwrap();
    assert_eq!(text(&bob).as_deref(), Some("from the train"));
    served.stop();
}

#[test]
fn another_server_is_told_nothing() {
    let mut served = Served::new(true);
    let address = format!("https://{}", served.address);
    let transport = BlockingHttp::new(&address, &ServerTrust::Fingerprint([1; 32])).unwrap();
    let alice = client("alice", transport, 300);
    let error = alice.sync().unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::WrongServer(_))), "{error}");
    // No authority vouches for it either.
    let served_by_nobody = include_bytes!("data/authority.pem").to_vec();
    let transport = BlockingHttp::new(&address, &ServerTrust::Certificates(served_by_nobody)).unwrap();
    let error = client("alice", transport, 300).sync().unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::WrongServer(_))), "{error}");
    served.stop();
}

#[test]
fn addresses_and_protection_belong_together() {
    let new = |address: &str, trust: &ServerTrust| Http::new(address, trust).map(drop);
    let pinned = ServerTrust::Fingerprint([1; 32]);
    assert!(matches!(new("http://chat.example", &pinned), Err(AddressError::Protection)));
    assert!(matches!(new("https://chat.example", &ServerTrust::Unprotected), Err(AddressError::Protection)));
    for none in ["chat.example", "ftp://chat.example", "https://", ""] {
        assert!(new(none, &pinned).is_err(), "{none}");
    }
    let nothing = ServerTrust::Certificates(b"nothing".to_vec());
    assert!(matches!(new("https://chat.example", &nothing), Err(AddressError::Certificates(_))));
}

#[test]
fn the_same_without_threads_that_wait() {
    let mut served = Served::new(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let open = |person: &str| {
            let (store, trust) = (Box::new(MemoryStore::new()), Trust::on_first_use());
            let (provider, identity) = (provider(), identity(person));
            AsyncClient::open_with(store, provider, &identity, trust, (settings(), served.http())).unwrap()
        };
        let (alice, bob) = (open("alice"), open("bob"));
        bob.sync().await.unwrap();
        let room = alice.create_group("tea").unwrap();
        room.invite("bob").await.unwrap();
        let (one, two) = tokio::join!(room.send(b"one"), room.send(b"two"));
        assert!(matches!((one.unwrap().1, two.unwrap().1), (Outcome::Done(_), Outcome::Done(_))));
        bob.sync().await.unwrap();
        let events = bob.events().unwrap();
        let messages = events.iter().filter(|event| matches!(event.kind, EventKind::Message(_)));
        assert_eq!(messages.count(), 2);
        bob.acknowledge(&events).unwrap();
        assert_eq!(bob.events().unwrap(), []);
        assert_eq!(bob.wait(Duration::from_millis(300)).await.unwrap(), []);
    });
    served.stop();
}
