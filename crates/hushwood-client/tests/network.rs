//! Clients over HTTP, with a server that is known by its fingerprint.

#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Duration;

use hushwood_client::transport::{AddressError, BlockingHttp, Http, ServerTrust};
use hushwood_client::{
    AsyncClient, Client, Error, EventKind, Identity, Invitations, Outcome, Provider, Settings, Transport,
    TransportError, Trust,
};
use hushwood_delivery::backend::{SqliteBackend, SqliteSettings};
use hushwood_delivery::server::{Alone, Limits, Protection, Server, ServerSettings};
use hushwood_delivery::service::{Service, ServiceSettings};
use hushwood_rustcrypto::OsRandom;
use hushwood_store::MemoryStore;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

const SERVICE: &str = "localhost";

/// A server in a runtime of its own.
struct Served {
    folder: TempDir,
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    address: std::net::SocketAddr,
    fingerprint: Option<[u8; 32]>,
}

impl Served {
    fn new(protected: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let mut served = Self {
            folder,
            runtime: None,
            stop: None,
            address: "127.0.0.1:0".parse().unwrap(),
            fingerprint: None,
        };
        served.start(protected);
        served
    }

    fn start(&mut self, protected: bool) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let path = self.folder.path().to_path_buf();
        let listen = self.address;
        let server = runtime.block_on(async move {
            let backend = SqliteBackend::open(&SqliteSettings::new(&path.join("delivery.db"))).unwrap();
            let service = Service::new(Arc::new(backend), ServiceSettings::new(SERVICE)).await.unwrap();
            let protection = match protected {
                true => Protection::OwnCertificate(path),
                false => Protection::Plain { forwarded: false },
            };
            let settings = ServerSettings { listen, admin: None, protection, limits: Limits::default() };
            Server::bind(Arc::new(service), Arc::new(Alone), settings).await.unwrap()
        });
        self.address = server.address();
        self.fingerprint = server.fingerprint().map(|fingerprint| fingerprint.0);
        let (stop, stopped) = oneshot::channel();
        runtime.spawn(server.run(async move {
            drop(stopped.await);
        }));
        self.runtime = Some(runtime);
        self.stop = Some(stop);
    }

    fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    fn transport(&self) -> BlockingHttp {
        match self.fingerprint {
            Some(fingerprint) => {
                let address = format!("https://{}", self.address);
                BlockingHttp::new(&address, &ServerTrust::Fingerprint(fingerprint)).unwrap()
            }
            None => {
                let address = format!("http://{}", self.address);
                BlockingHttp::new(&address, &ServerTrust::Unprotected).unwrap()
            }
        }
    }
}

fn client<T: Transport>(person: &str, transport: T, patience: u64) -> Client<T> {
    let provider = Provider::new(hushwood_rustcrypto::PROVIDER, OsRandom);
    let identity = Identity { person: person.to_owned(), service: SERVICE.to_owned() };
    let settings = Settings { patience, invitations: Invitations::All, ..Settings::default() };
    let store = Box::new(MemoryStore::new());
    Client::open_with(store, provider, &identity, Trust::on_first_use(), (settings, transport)).unwrap()
}

fn texts<T: Transport>(client: &Client<T>) -> Vec<String> {
    let events = client.wait(Duration::from_secs(10)).unwrap().filter_map(|event| match event.kind {
        EventKind::Message(message) => Some(String::from_utf8(message.body).unwrap()),
        _ => None,
    });
    events.collect()
}

#[test]
fn people_talk_over_tls_and_the_server_may_restart() {
    let mut served = Served::new(true);
    let alice = client("alice", served.transport(), 20_000);
    let bob = client("bob", served.transport(), 20_000);
    bob.sync().unwrap().for_each(drop);
    let room = alice.create_group("tea").unwrap();
    assert!(matches!(room.invite("bob").unwrap(), Outcome::Done(_)));
    assert!(matches!(room.send(b"hello").unwrap(), (_, Outcome::Done(_))));
    assert_eq!(texts(&bob), ["hello"]);
    served.stop();
    served.start(true);
    assert!(matches!(room.send(b"still here").unwrap(), (_, Outcome::Done(_))));
    assert_eq!(texts(&bob), ["still here"]);
    let reply = bob.room(room.id()).unwrap();
    assert!(matches!(reply.send(b"so am I").unwrap(), (_, Outcome::Done(_))));
    assert_eq!(texts(&alice), ["so am I"]);
    assert_eq!(room.members().unwrap().len(), 2);
    served.stop();
}

#[test]
fn what_can_not_be_sent_is_kept_and_sent_later() {
    let mut served = Served::new(false);
    let alice = client("alice", served.transport(), 1000);
    let bob = client("bob", served.transport(), 20_000);
    bob.sync().unwrap().for_each(drop);
    let room = alice.create_group("tea").unwrap();
    assert!(matches!(room.invite("bob").unwrap(), Outcome::Done(_)));
    served.stop();
    let (_, kept) = room.send(b"from the train").unwrap();
    assert!(matches!(kept, Outcome::Kept { why: Some(Error::Transport(_)), .. }), "{kept:?}");
    assert!(matches!(alice.sync().unwrap_err(), Error::Transport(_)));
    served.start(false);
    alice.sync().unwrap().for_each(drop);
    assert_eq!(texts(&bob), ["from the train"]);
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
    let address = format!("https://{}", served.address);
    let trust = ServerTrust::Fingerprint(served.fingerprint.unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let open = |person: &str| {
            let provider = Provider::new(hushwood_rustcrypto::PROVIDER, OsRandom);
            let identity = Identity { person: person.to_owned(), service: SERVICE.to_owned() };
            let transport = Http::new(&address, &trust).unwrap();
            let settings = Settings { invitations: Invitations::All, ..Settings::default() };
            let (store, trust) = (Box::new(MemoryStore::new()), Trust::on_first_use());
            AsyncClient::open_with(store, provider, &identity, trust, (settings, transport)).unwrap()
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
        bob.acknowledge(events.iter().map(|event| event.number)).unwrap();
        assert_eq!(bob.events().unwrap(), []);
    });
    served.stop();
}
