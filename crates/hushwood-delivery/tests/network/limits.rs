//! Clients that mean harm, or whose network is bad: what they cost is bounded, and the others do not notice.

use std::time::{Duration, Instant};

use hushwood_delivery::server::{Limits, Protection};
use hushwood_delivery::wire::{Call, CallKind, MEDIA_TYPE, Nothing, RefusalCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answered;
use crate::net::{Net, Place, request};
use crate::person::Person;
use crate::world::{World, plain, quick, until, world};

/// A request whose body has come in part.
pub struct Half {
    socket: TcpStream,
    sent: usize,
}

impl Half {
    pub async fn begin(place: Place, path: &str, body: &[u8]) -> Self {
        let mut socket = TcpStream::connect(place.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let sent = body.len() / 2;
        socket.write_all(&body[..sent]).await.unwrap();
        Self { socket, sent }
    }

    /// Sends the rest, and gives all that comes back.
    pub async fn finish(mut self, body: &[u8]) -> Vec<u8> {
        self.socket.write_all(&body[self.sent..]).await.unwrap();
        self.rest().await
    }

    /// Sends the rest and goes away.
    pub async fn abandon(mut self, body: &[u8]) {
        self.socket.write_all(&body[self.sent..]).await.unwrap();
        self.socket.flush().await.unwrap();
        self.socket.shutdown().await.unwrap();
    }

    pub async fn rest(mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let _ = self.socket.read_to_end(&mut all).await;
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = Limits { body_pause: Duration::from_millis(200), ..quick() };
    let world = World::with(limits).await;
    let half = Half::begin(world.place, "/v1/groups/send", &[0; 1000]).await;
    let begun = Instant::now();
    let reply = half.rest().await;
    assert!(reply.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&reply));
    assert!(begun.elapsed() < Duration::from_secs(3));
}

/// A byte now and then is not enough either.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_is_not_waited_for() {
    let limits = Limits { body_pause: Duration::from_millis(300), body_rate: 100_000, ..quick() };
    let world = World::with(limits).await;
    let mut half = Half::begin(world.place, "/v1/groups/send", &[0; 1000]).await;
    let begun = Instant::now();
    for _ in 0..100 {
        if half.socket.write_all(&[0]).await.is_err() {
            break;
        }
        let mut there = [0; 12];
        let reply = tokio::time::timeout(Duration::from_millis(50), half.socket.peek(&mut there)).await;
        if reply.is_ok() {
            assert_eq!(&there, b"HTTP/1.1 408");
            break;
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_are_closed() {
    let limits =
        Limits { greeting: Duration::from_millis(200), silence: Duration::from_millis(400), ..quick() };
    let folder = std::sync::Arc::new(tempfile::TempDir::new().unwrap());
    let own = Protection::OwnCertificate(folder.path().to_path_buf());
    for protection in [plain(), own] {
        let world = World::start(folder.clone(), protection, limits.clone()).await;
        let mut silent = TcpStream::connect(world.place.address).await.unwrap();
        let mut half_head = TcpStream::connect(world.place.address).await.unwrap();
        half_head.write_all(b"POST /v1/challenge HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        let mut net = Net::http2(world.place).await;
        answered!(Challenge, net.call(Call::Challenge(Nothing), None).await);
        let begun = Instant::now();
        let mut rest = Vec::new();
        let _ = silent.read_to_end(&mut rest).await;
        let _ = half_head.read_to_end(&mut rest).await;
        until("silence", || async { world.metric("hushwood_connections").await == 0 }).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let call = request(CallKind::Challenge, Vec::new(), None);
        assert!(net.send(call).await.is_err(), "the other one was idle for too long");
        drop(world.stopped().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_room_for_so_many_connections_and_when_one_goes_for_another() {
    let world = World::with(Limits { connections: 2, ..quick() }).await;
    let mut nets = vec![Net::http1(world.place).await, Net::http1(world.place).await];
    for net in &mut nets {
        answered!(Challenge, net.call(Call::Challenge(Nothing), None).await);
    }
    let mut third = TcpStream::connect(world.place.address).await.unwrap();
    assert_eq!(third.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed at once");
    nets.pop();
    until("room", || async {
        let mut net = Net::http1(world.place).await;
        net.send(request(CallKind::Challenge, Vec::new(), None)).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_requests_and_is_told_when_it_has_more() {
    let limits = Limits { requests_per_second: 1, requests_at_once: 3, limit_loopback: true, ..quick() };
    let world = World::with(limits).await;
    let mut net = Net::http2(world.place).await;
    // The connection was one.
    for _ in 0..2 {
        answered!(Challenge, net.call(Call::Challenge(Nothing), None).await);
    }
    let refused = net.call(Call::Challenge(Nothing), None).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::TOO_MANY);
    assert_eq!(refused.retry_after, Some(Duration::from_secs(1)));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    answered!(Challenge, net.call(Call::Challenge(Nothing), None).await);
}

/// What is no request of the interface counts as one.
#[tokio::test(flavor = "multi_thread")]
async fn paths_that_are_nowhere_and_health_are_counted_too() {
    for (path, method) in [("/nowhere", "GET"), ("/health", "GET"), ("/v1/challenge", "GET")] {
        let limits = Limits { requests_per_second: 1, requests_at_once: 3, limit_loopback: true, ..quick() };
        let world = World::with(limits).await;
        let mut net = Net::http1(world.place).await;
        let mut last = 0;
        for _ in 0..3 {
            let request = hyper::Request::builder().method(method).uri(path).header("host", "x");
            last = net.send(request.body(Default::default()).unwrap()).await.unwrap().status.as_u16();
        }
        assert_eq!(last, 429, "{path}");
    }
}

/// New accounts of an address are counted apart, since they stay.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_makes_so_many_accounts() {
    let limits = Limits { registrations_at_once: 2, limit_loopback: true, ..quick() };
    let world = World::with(limits).await;
    for name in ["alice", "bob"] {
        let registration = Person::new(name, world.place).registration().await;
        answered!(Register, world.place.call(Call::Register(registration), None).await);
    }
    let registration = Person::new("carol", world.place).registration().await;
    let refused = world.place.call(Call::Register(registration), None).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after.is_some()), (RefusalCode::TOO_MANY, true));
    answered!(Challenge, world.place.call(Call::Challenge(Nothing), None).await);
}

/// What stays is counted by its size: nobody fills the disk from one place in a day.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_brings_so_many_bytes_to_be_kept() {
    let limits = Limits { kept_kib_at_once: 100, kept_kib_per_hour: 3600, limit_loopback: true, ..quick() };
    let world = World::with(limits).await;
    let ((mut alice, _), _) = crate::person::two(world.place).await;
    alice.send(&vec![0; 50 << 10]).await;
    let more = alice.send_request(&vec![0; 90 << 10]);
    let refused = world.place.call(Call::Send(more), None).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after.is_some()), (RefusalCode::TOO_MANY, true));
    assert!(world.metrics().await.contains("turned_away_total{why=\"bytes of an address\"}"));
    answered!(Read, world.place.call(Call::Read(alice.read_request(0)), None).await);
}

/// Behind a proxy it is the proxy's word that counts, its last.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_addresses_are_those_that_it_names() {
    let limits = Limits { requests_per_second: 1, requests_at_once: 1, ..quick() };
    let folder = std::sync::Arc::new(tempfile::TempDir::new().unwrap());
    let world = World::start(folder, Protection::Plain { forwarded: true }, limits).await;
    let mut net = Net::http1(world.place).await;
    for (forwarded, status) in [
        ("192.0.2.1", 200),
        ("192.0.2.1", 429),
        ("198.51.100.7, 192.0.2.1", 429),
        ("192.0.2.1, 192.0.2.2", 200),
    ] {
        let mut call = request(CallKind::Challenge, Vec::new(), None);
        call.headers_mut().insert("x-forwarded-for", forwarded.parse().unwrap());
        assert_eq!(net.send(call).await.unwrap().status.as_u16(), status, "{forwarded}");
    }
}

/// All requests together hold so many bytes: who comes beyond that is told to come again, whatever it has announced.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_in_flight_are_bounded() {
    let world = World::with(Limits { request_bytes: 300 << 10, ..quick() }).await;
    let body = vec![0; 800 << 10];
    let mut halves = Vec::new();
    for _ in 0..4 {
        // Half of it does not fit, or fits once.
        halves.push(Half::begin(world.place, "/v1/groups/send", &body[..400 << 10]).await);
    }
    until("a refusal", || async {
        world.metrics().await.contains("turned_away_total{why=\"bytes of requests\"}")
    })
    .await;
    let held = world.metric("hushwood_request_held_bytes").await;
    assert!(held <= 300 << 10, "{held}");
    drop(halves);
    until("room", || async { world.metric("hushwood_request_held_bytes").await == 0 }).await;
    let small = Call::Challenge(Nothing);
    answered!(Challenge, world.place.call(small, None).await);
}

/// One address that sends much, and not the end of it, holds its share; others are served.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_holds_its_share_of_bytes_and_no_more() {
    let limits = Limits { request_bytes: 1 << 20, request_bytes_of_address: 256 << 10, ..quick() };
    let folder = std::sync::Arc::new(tempfile::TempDir::new().unwrap());
    let world = World::start(folder, Protection::Plain { forwarded: true }, limits).await;
    let begin = async |from: &str| {
        let mut socket = TcpStream::connect(world.place.address).await.unwrap();
        let head = format!(
            "POST /v1/groups/send HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {from}\r\ncontent-type: {MEDIA_TYPE}\r\n\
            content-length: {}\r\n\r\n",
            800 << 10
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&vec![0; 200 << 10]).await.unwrap();
        socket
    };
    let held = async || world.metric("hushwood_request_held_bytes").await;
    let first = begin("192.0.2.1").await;
    until("a part of a body", || async { held().await >= 200 << 10 }).await;
    let mut second = begin("192.0.2.1").await;
    let mut reply = [0; 12];
    second.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"HTTP/1.1 429");
    let third = begin("192.0.2.2").await;
    until("another's", || async { held().await >= 400 << 10 }).await;
    drop((first, third));
    until("room", || async { held().await == 0 }).await;
}

/// A body may be large, so it is looked first whether who brings it is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_somebody_unknown_is_not_read() {
    let world = world().await;
    let mut socket = TcpStream::connect(world.place.address).await.unwrap();
    let head = format!(
        "POST /v1/groups/create HTTP/1.1\r\nhost: x\r\nauthorization: Bearer AAAA\r\ncontent-type: {MEDIA_TYPE}\r\n\
        content-length: {}\r\n\r\n",
        60 << 20
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut reply = [0; 12];
    socket.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"HTTP/1.1 401");
}

/// Who asks for much and takes nothing is let go.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_takes_are_let_go() {
    let limits = Limits { silence: Duration::from_millis(500), ..quick() };
    let world = World::with(limits).await;
    let ((mut alice, _), _) = crate::person::two(world.place).await;
    for _ in 0..8 {
        alice.send(&vec![0; 900 << 10]).await;
    }
    let read = Call::Read(alice.read_request(0)).to_body().unwrap();
    let half = Half::begin(world.place, "/v1/groups/read", &read).await;
    let mut socket = half.socket;
    socket.write_all(&read[half.sent..]).await.unwrap();
    until("an answer", || async { world.metric("hushwood_answer_held_bytes").await > 1 << 20 }).await;
    until("its end", || async { world.metric("hushwood_answer_held_bytes").await == 0 }).await;
    drop(socket);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_no_reason_to_fall() {
    let world = world().await;
    for garbage in [
        &b"\x16\x03\x01\x00\x05hello"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxx",
    ] {
        let mut socket = TcpStream::connect(world.place.address).await.unwrap();
        socket.write_all(garbage).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
    }
    answered!(Challenge, world.place.call(Call::Challenge(Nothing), None).await);
}
