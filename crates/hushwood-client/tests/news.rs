//! How news come: by the service's stream, and without one.

#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod served;

use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hushwood_client::transport::{BlockingHttp, Http, ServerTrust};
use hushwood_client::{AsyncClient, Client, Error, EventKind, Outcome, Settings, Trust, Waits};
use hushwood_store::{MemoryStore, SqliteStore, Unlock};
use served::{Counted, Network, Served, client, identity, provider, settings, text};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// Who looks for nothing by themselves within a test.
fn never_looking() -> Settings {
    Settings { poll: Waits { first: HOUR, longest: HOUR }, ..settings() }
}

#[test]
fn the_stream_tells_of_messages_and_nothing_is_looked_for() {
    let served = Served::new(true);
    let alice = client("alice", settings(), served.transport());
    // He would look several times in a second.
    let tenth = Duration::from_millis(100);
    let often = Settings { poll: Waits { first: tenth, longest: tenth }, ..settings() };
    let (transport, calls) = Counted::new(served.transport());
    let bob = client("bob", often, transport);
    bob.sync().unwrap();
    let room = alice.create_group("tea").unwrap();
    assert!(matches!(room.invite("bob").unwrap(), Outcome::Done(_)));
    assert!(matches!(room.send(b"one").unwrap(), (_, Outcome::Done(_))));
    assert_eq!(text(&bob), Some("one".to_owned()));
    // Whatever was to be done after that is done.
    assert_eq!(bob.wait(SECOND).unwrap(), []);

    let before = calls.load(Ordering::Relaxed);
    assert_eq!(bob.wait(SECOND).unwrap(), []);
    assert_eq!(calls.load(Ordering::Relaxed), before, "nothing is asked while nothing happens");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| text(&bob));
        std::thread::sleep(Duration::from_millis(300));
        room.send(b"two").unwrap();
        assert_eq!(waiting.join().unwrap(), Some("two".to_owned()));
    });
    assert_eq!(calls.load(Ordering::Relaxed), before + 1, "what the hint told of was read, and nothing else");
}

#[test]
fn the_stream_tells_of_invitations_and_of_rooms_that_are_new() {
    let served = Served::new(false);
    let alice = client("alice", settings(), served.transport());
    let bob = client("bob", never_looking(), served.transport());
    bob.sync().unwrap();
    assert_eq!(bob.wait(SECOND).unwrap(), []);
    let room = alice.create_group("tea").unwrap();
    room.invite("bob").unwrap();
    let joined = bob.wait(Duration::from_secs(10)).unwrap();
    assert!(joined.iter().any(|event| matches!(event.kind, EventKind::Joined { .. })), "{joined:?}");
    bob.acknowledge(&joined).unwrap();
    for said in ["one", "two"] {
        room.send(said.as_bytes()).unwrap();
        assert_eq!(text(&bob).as_deref(), Some(said));
    }
}

#[test]
fn a_stream_that_is_cut_is_opened_again_and_nothing_is_missed() {
    let served = Served::new(false);
    let network = Network::before(served.address);
    let alice = client("alice", settings(), served.transport());
    let bob = client("bob", never_looking(), network.transport());
    bob.sync().unwrap();
    let room = alice.create_group("tea").unwrap();
    room.invite("bob").unwrap();
    room.send(b"one").unwrap();
    assert_eq!(text(&bob).as_deref(), Some("one"));
    for (said, title) in [("two", "coffee"), ("three", "milk")] {
        network.cut();
        room.send(said.as_bytes()).unwrap();
        let another = alice.create_group(title).unwrap();
        another.invite("bob").unwrap();
        assert_eq!(bob.wait(Duration::from_millis(300)).unwrap_or_default(), []);
        network.mend();
        assert_eq!(text(&bob).as_deref(), Some(said));
        let begun = Instant::now();
        while bob.room(another.id()).is_err() {
            bob.acknowledge(bob.wait(SECOND).unwrap()).unwrap();
            assert!(begun.elapsed() < 20 * SECOND, "he was invited meanwhile");
        }
    }
}

#[test]
fn where_there_is_no_stream_news_are_looked_for_ever_more_rarely() {
    let served = Served::new(false);
    let alice = client("alice", settings(), served.transport());
    let (transport, calls) = Counted::new(served.transport().without_stream());
    let poll = Waits { first: Duration::from_millis(100), longest: 2 * SECOND };
    let bob = client("bob", Settings { poll, ..settings() }, transport);
    bob.sync().unwrap();
    let room = alice.create_group("tea").unwrap();
    room.invite("bob").unwrap();
    room.send(b"one").unwrap();
    assert_eq!(text(&bob).as_deref(), Some("one"));
    let before = calls.load(Ordering::Relaxed);
    assert_eq!(bob.wait(3 * SECOND).unwrap(), []);
    let looks = (calls.load(Ordering::Relaxed) - before).div_ceil(2);
    assert!((2..9).contains(&looks), "{looks} looks in three seconds");
    room.send(b"two").unwrap();
    assert_eq!(text(&bob).as_deref(), Some("two"));
}

#[test]
fn waiting_lasts_no_longer_than_was_said() {
    // It takes what is said to it and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let alice = client("alice", settings(), BlockingHttp::new(&address, &ServerTrust::Unprotected).unwrap());
    let begun = Instant::now();
    drop(alice.wait(Duration::from_millis(300)));
    assert!(begun.elapsed() < 3 * SECOND, "{:?}", begun.elapsed());
    assert!(alice.link_request(Duration::from_millis(300)).is_err());
    assert!(begun.elapsed() < 6 * SECOND, "{:?}", begun.elapsed());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let http = Http::new(&address, &ServerTrust::Unprotected).unwrap();
        let bob = open_async("bob", MemoryStore::new(), http);
        let begun = Instant::now();
        drop(bob.wait(Duration::from_millis(300)).await);
        assert!(begun.elapsed() < 3 * SECOND, "{:?}", begun.elapsed());
    });
}

#[test]
fn events_come_as_a_stream_and_again_after_a_restart_until_they_are_acknowledged() {
    let served = Served::new(true);
    let folder = TempDir::new().unwrap();
    let unlock = Unlock::KeyFile(hushwood_client::Secret::new(vec![7; 32]));
    let path = folder.path().join("bob");
    drop(SqliteStore::create(&path, &unlock).unwrap());
    let open = || open_async("bob", SqliteStore::open(&path, &unlock).unwrap(), served.http());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let alice = open_async("alice", MemoryStore::new(), served.http());
        let bob = open();
        bob.sync().await.unwrap();
        let room = alice.create_group("tea").unwrap();
        room.invite("bob").await.unwrap();
        for said in ["one", "two"] {
            room.send(said.as_bytes()).await.unwrap();
        }
        let mut stream = bob.stream();
        let joined = stream.next().await.unwrap();
        assert!(matches!(joined.kind, EventKind::Joined { .. }), "{joined:?}");
        bob.acknowledge([&joined]).unwrap();
        let one = stream.next().await.unwrap();
        assert!(says(&one, "one"), "{one:?}");
        drop(stream);
        // What was given is not given again, what was not given is, even if the stream had it already.
        let two = bob.stream().next().await.unwrap();
        assert!(says(&two, "two"), "{two:?}");
        drop((bob, room));

        let bob = open();
        let mut stream = bob.stream();
        let again = [stream.next().await.unwrap(), stream.next().await.unwrap()];
        assert_eq!(again, [one, two], "nobody has said that they were dealt with");
        bob.acknowledge(&again).unwrap();
        assert_eq!(bob.events().unwrap(), []);
    });
}

#[test]
fn a_call_that_is_dropped_halfway_goes_on() {
    let served = Served::new(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let alice = open_async("alice", MemoryStore::new(), served.http());
        let room = alice.create_group("tea").unwrap();
        for _ in 0..20 {
            drop(tokio::time::timeout(Duration::from_millis(2), room.send(b"hello")).await);
        }
        let sent = room.send(b"the last").await.unwrap();
        assert!(matches!(sent, (_, Outcome::Done(_))), "{sent:?}");
        let sent = |event: &hushwood_client::Event| matches!(event.kind, EventKind::Sent { .. });
        assert_eq!(alice.events().unwrap().into_iter().filter(sent).count(), 21);
    });
}

#[test]
fn a_client_for_threads_works_in_a_task() {
    let served = Served::new(true);
    for runtime in [
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
    ] {
        let handle = runtime.block_on(async {
            let transport = served.transport();
            let answer = hushwood_client::Transport::call(
                &transport,
                hushwood_client::Call::Challenge(hushwood_delivery::wire::Nothing),
                None,
            );
            assert!(answer.is_ok(), "{answer:?}");
            let name = format!("alice{:?}", runtime.handle().runtime_flavor()).to_lowercase();
            let alice = client(&name, settings(), transport);
            alice.sync().unwrap();
            alice.create_group("tea").unwrap()
        });
        runtime.block_on(async { drop(handle) });
    }
}

#[test]
fn another_suite_than_the_stores_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("alice");
    let unlock = Unlock::KeyFile(hushwood_client::Secret::new(vec![7; 32]));
    drop(SqliteStore::create(&path, &unlock).unwrap());
    let open = |suite| {
        let transport = BlockingHttp::new("http://127.0.0.1:1", &ServerTrust::Unprotected).unwrap();
        let store = Box::new(SqliteStore::open(&path, &unlock).unwrap());
        let settings = Settings { suite, ..settings() };
        Client::open_with(store, provider(), &identity("alice"), Trust::on_first_use(), (settings, transport))
            .map(drop)
    };
    let nobody_has = hushwood_client::CipherSuiteId(0xF00D);
    assert_eq!(open(nobody_has), Err(Error::NoSuite(nobody_has)));
    let (first, other) = (
        hushwood_client::CipherSuiteId::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_ED25519,
        hushwood_client::CipherSuiteId::MLS_128_DHKEMP256_AES128GCM_SHA256_P256,
    );
    assert_eq!(open(first), Ok(()));
    assert_eq!(open(other), Err(Error::OtherSuite { store: first, settings: other }));
    assert_eq!(open(first), Ok(()));
}

fn open_async(person: &str, store: impl hushwood_client::Store + 'static, http: Http) -> AsyncClient<Http> {
    let (store, trust) = (Box::new(store), Trust::on_first_use());
    AsyncClient::open_with(store, provider(), &identity(person), trust, (settings(), http)).unwrap()
}

fn says(event: &hushwood_client::Event, text: &str) -> bool {
    matches!(&event.kind, EventKind::Message(message) if message.body == text.as_bytes())
}
