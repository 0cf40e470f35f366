//! The WebSocket: entries where there is credit, hints where there is none, and memory that does not grow.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hushwood::group::{CommitPlan, NewProposal};
use hushwood_codec::Encode;
use hushwood_delivery::server::{Alone, Limits, Polling};
use hushwood_delivery::wire::{
    Call, ClientFrame, GroupKey, LogEntry, Nothing, ReadAnswer, RefusalCode, RevokeRequest, STREAM_PATH,
    ServerFrame,
};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::answered;
use crate::net::{Net, Place, Socket};
use crate::person::two;
use crate::world::{World, open, plain, quick, until, world};

pub struct Stream(WebSocketStream<Box<dyn Socket>>);

impl Stream {
    pub async fn open(place: Place) -> Self {
        let socket = place.socket("http/1.1").await.unwrap();
        let (stream, _) = client_async(format!("ws://delivery.example{STREAM_PATH}"), socket).await.unwrap();
        Self(stream)
    }

    pub async fn say(&mut self, frame: ClientFrame) {
        self.0.send(Message::Binary(frame.to_bytes().unwrap().into())).await.unwrap();
    }

    /// The next frame; it comes soon.
    pub async fn next(&mut self) -> ServerFrame {
        loop {
            let message = timeout(Duration::from_secs(10), self.0.next()).await.expect("a frame");
            match message.unwrap().unwrap() {
                Message::Binary(bytes) => return ServerFrame::from_message(&bytes).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn entry(&mut self) -> LogEntry {
        match self.next().await {
            ServerFrame::Entry { entry, .. } => entry,
            other => panic!("{other:?}"),
        }
    }

    /// The code with which the server closes.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match timeout(Duration::from_secs(10), self.0.next()).await.expect("an end") {
                Some(Ok(Message::Close(frame))) => return frame.map_or(1005, |frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return 1006,
            }
        }
    }

    /// Everything that was said before has been heard.
    pub async fn settle(&mut self) {
        self.say(ClientFrame::Ping { payload: [9; 8] }).await;
        assert_eq!(self.next().await, ServerFrame::Pong { payload: [9; 8] });
    }
}

/// The same over HTTP/2 (RFC 8441): beside other requests on one connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_over_http2_too() {
    let world = world().await;
    let mut net = Net::http2(world.place).await;
    answered!(Challenge, net.call(Call::Challenge(Nothing), None).await);
    let Net::Two(mut sender) = net else { unreachable!() };
    let request = hyper::Request::connect(format!("https://delivery.example{STREAM_PATH}"))
        .extension(hyper::ext::Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(Default::default());
    let response = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let socket: Box<dyn Socket> = Box::new(TokioIo::new(hyper::upgrade::on(response).await.unwrap()));
    let mut stream = Stream(WebSocketStream::from_raw_socket(socket, Role::Client, None).await);
    stream.settle().await;
    answered!(Challenge, Net::Two(sender).call(Call::Challenge(Nothing), None).await);
    stream.settle().await;
}

fn hint(head: u64) -> ServerFrame {
    ServerFrame::Hint { number: 7, head }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_come_while_there_is_credit_and_then_one_hint_at_a_time() {
    let world = world().await;
    let ((mut alice, _), (mut bob, _)) = two(world.place).await;
    let mut stream = Stream::open(world.place).await;
    alice.send(b"one").await;
    // The commit that added him is not for him: he has its Welcome.
    stream.say(ClientFrame::Subscribe(bob.subscribe(7, 0))).await;
    assert_eq!(stream.next().await, ServerFrame::Subscribed { number: 7, head: 2 });
    assert_eq!(stream.next().await, hint(2), "no credit yet");
    stream.say(ClientFrame::Credit { entries: 1 }).await;
    let entry = stream.entry().await;
    assert_eq!(bob.take(&entry), Some(b"one".to_vec()));
    // Now there is none.
    alice.send(b"two").await;
    assert_eq!(stream.next().await, hint(3));
    alice.send(b"three").await;
    assert_eq!(stream.next().await, hint(4));
    stream.say(ClientFrame::Credit { entries: 10 }).await;
    for text in [b"two".as_slice(), b"three"] {
        let entry = stream.entry().await;
        assert_eq!(bob.take(&entry).as_deref(), Some(text));
    }
    stream.settle().await;

    // A commit comes the same way.
    alice.commit_now(CommitPlan::default(), Vec::new()).await;
    let entry = stream.entry().await;
    bob.take(&entry);
    assert_eq!(bob.actor.group().epoch(), alice.actor.group().epoch());

    // No longer.
    stream.say(ClientFrame::Unsubscribe { number: 7 }).await;
    stream.settle().await;
    alice.send(b"four").await;
    stream.settle().await;
    assert_eq!(world.metric("hushwood_subscriptions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_removed_is_told_up_to_that_and_not_beyond() {
    let world = world().await;
    let ((mut alice, _), (bob, _)) = two(world.place).await;
    let mut stream = Stream::open(world.place).await;
    stream.say(ClientFrame::Credit { entries: 100 }).await;
    stream.say(ClientFrame::Subscribe(bob.subscribe(7, 1))).await;
    assert_eq!(stream.next().await, ServerFrame::Subscribed { number: 7, head: 1 });
    let proposals = vec![NewProposal::Remove(bob.actor.leaf())];
    alice.commit_now(CommitPlan { proposals, ..CommitPlan::default() }, Vec::new()).await;
    assert_eq!(stream.entry().await.sequence, 2, "the commit that removes him");
    alice.send(b"without bob").await;
    let ServerFrame::Refused { number: Some(7), refused } = stream.next().await else { panic!() };
    assert_eq!(refused.code, RefusalCode::FORBIDDEN);
    alice.send(b"still without bob").await;
    stream.settle().await;

    // Beginning again does not help, and everything at once does not either.
    stream.say(ClientFrame::Subscribe(bob.subscribe(8, 0))).await;
    assert_eq!(stream.next().await, ServerFrame::Subscribed { number: 8, head: 2 });
    assert_eq!(stream.entry().await.sequence, 2);
    let ServerFrame::Refused { number: Some(8), .. } = stream.next().await else { panic!() };
}

/// Whoever keeps a stream without ever taking anything learns of the commit that removes them, and of nothing after it.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_removed_is_not_told_how_the_log_grows() {
    let world = world().await;
    let ((mut alice, _), (bob, _)) = two(world.place).await;
    let mut stream = Stream::open(world.place).await;
    stream.say(ClientFrame::Subscribe(bob.subscribe(7, 1))).await;
    assert_eq!(stream.next().await, ServerFrame::Subscribed { number: 7, head: 1 });
    alice.send(b"with bob").await;
    assert_eq!(stream.next().await, hint(2));
    let proposals = vec![NewProposal::Remove(bob.actor.leaf())];
    alice.commit_now(CommitPlan { proposals, ..CommitPlan::default() }, Vec::new()).await;
    assert_eq!(stream.next().await, hint(3));
    for _ in 0..3 {
        alice.send(b"without bob").await;
    }
    alice.commit_now(CommitPlan::default(), Vec::new()).await;
    stream.settle().await;
    stream.settle().await;
    // Nor by asking anew, whatever is said to have been read.
    stream.say(ClientFrame::Subscribe(bob.subscribe(8, 1))).await;
    assert_eq!(stream.next().await, ServerFrame::Subscribed { number: 8, head: 3 });
    assert_eq!(stream.next().await, ServerFrame::Hint { number: 8, head: 3 });
    alice.send(b"still without bob").await;
    stream.settle().await;
    // With credit, what is theirs comes, and then the end.
    stream.say(ClientFrame::Credit { entries: 100 }).await;
    let mut ends = 0;
    while ends < 2 {
        match stream.next().await {
            ServerFrame::Entry { entry, .. } => assert!(entry.sequence <= 3),
            ServerFrame::Refused { refused, .. } => {
                assert_eq!(refused.code, RefusalCode::FORBIDDEN);
                ends += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_needs_its_proof_and_a_number_of_its_own() {
    let limits = Limits { subscriptions: 2, ..quick() };
    let world = World::with(limits).await;
    let ((_, _), (bob, _)) = two(world.place).await;
    let mut stream = Stream::open(world.place).await;
    let mut forged = bob.subscribe(1, 0);
    forged.after = 1;
    let mut other_key = bob.subscribe(2, 0);
    other_key.key = GroupKey::new([0; 32]);
    let beyond = bob.subscribe(3, 99);
    let mut nowhere = bob.subscribe(4, 0);
    nowhere.group_id = b"nowhere".to_vec();
    for (subscribe, code) in [
        (forged, RefusalCode::FORBIDDEN),
        (other_key, RefusalCode::FORBIDDEN),
        (beyond, RefusalCode::MALFORMED),
        (nowhere, RefusalCode::NOT_FOUND),
    ] {
        let number = subscribe.number;
        stream.say(ClientFrame::Subscribe(subscribe)).await;
        let ServerFrame::Refused { number: which, refused } = stream.next().await else { panic!() };
        assert_eq!((which, refused.code), (Some(number), code), "{refused}");
    }
    for (number, refusal) in
        [(1, None), (1, Some(RefusalCode::MALFORMED)), (2, None), (3, Some(RefusalCode::TOO_LARGE))]
    {
        stream.say(ClientFrame::Subscribe(bob.subscribe(number, 1))).await;
        match (stream.next().await, refusal) {
            (ServerFrame::Subscribed { .. }, None) => {}
            (ServerFrame::Refused { refused, .. }, Some(code)) => assert_eq!(refused.code, code),
            other => panic!("{other:?}"),
        }
    }
    stream.0.send(Message::Binary(vec![99, 99].into())).await.unwrap();
    assert_eq!(stream.closed().await, 1008);
    until("the end of it", || async { world.metric("hushwood_streams").await == 0 }).await;
    assert_eq!(world.metric("hushwood_subscriptions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_told_of_its_inbox() {
    let world = world().await;
    let ((mut alice, token), _) = two(world.place).await;
    let (carol, carols) = crate::person::Person::registered("carol", world.place).await;
    let mut stream = Stream::open(world.place).await;
    stream.say(ClientFrame::Device { token: b"made up".to_vec() }).await;
    let ServerFrame::Refused { number: None, refused } = stream.next().await else { panic!() };
    assert_eq!(refused.code, RefusalCode::UNAUTHORIZED);
    stream.say(ClientFrame::Device { token: carols.bytes.clone() }).await;
    stream.settle().await;
    alice.invite(&token, "carol").await;
    assert_eq!(stream.next().await, ServerFrame::Inbox);
    assert_eq!(carol.inbox(&carols).await.len(), 1);
    // Who comes later is told of what waits.
    let mut stream = Stream::open(world.place).await;
    stream.say(ClientFrame::Device { token: carols.bytes.clone() }).await;
    assert_eq!(stream.next().await, ServerFrame::Inbox);
}

/// Who asks for nothing has no place here, and a device that was revoked is told so.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_asks_for_nothing_is_closed() {
    let limits = Limits { idle_stream: Duration::from_millis(500), ..quick() };
    let world = World::with(limits).await;
    let ((_, token), (bob, bobs)) = two(world.place).await;
    let mut idle = Stream::open(world.place).await;
    let mut watching = Stream::open(world.place).await;
    watching.say(ClientFrame::Device { token: token.bytes.clone() }).await;
    let mut reading = Stream::open(world.place).await;
    reading.say(ClientFrame::Subscribe(bob.subscribe(7, 1))).await;
    reading.next().await;
    // Pings ask for nothing.
    idle.settle().await;
    assert_eq!(idle.closed().await, 1008);
    watching.settle().await;
    reading.settle().await;
    until("its end", || async { world.metric("hushwood_streams").await == 2 }).await;
    assert!(world.metrics().await.contains("why=\"stream without a subscription\"} 1"));
    reading.say(ClientFrame::Unsubscribe { number: 7 }).await;
    assert_eq!(reading.closed().await, 1008);

    let revoke = Call::Revoke(RevokeRequest { device: bob.device });
    answered!(Revoke, world.place.call(revoke, Some(&bobs.bytes)).await);
    watching.say(ClientFrame::Device { token: bobs.bytes }).await;
    let ServerFrame::Refused { number: None, refused } = watching.next().await else { panic!() };
    assert_eq!(refused.code, RefusalCode::REVOKED);
}

/// A client that says again and again which device it is asks as often as it may, and not more.
#[tokio::test(flavor = "multi_thread")]
async fn devices_on_a_stream_count_as_requests() {
    let limits = Limits { requests_per_second: 1, requests_at_once: 20, limit_loopback: true, ..quick() };
    let world = World::with(limits).await;
    let (_, token) = crate::person::Person::registered("alice", world.place).await;
    let mut stream = Stream::open(world.place).await;
    for _ in 0..20 {
        stream.say(ClientFrame::Device { token: token.bytes.clone() }).await;
    }
    let ServerFrame::Refused { number: None, refused } = stream.next().await else { panic!() };
    assert_eq!(refused.code, RefusalCode::TOO_MANY);
}

/// Hundreds read the same group: the log is read once for all of them.
#[tokio::test(flavor = "multi_thread")]
async fn what_many_wait_for_is_read_once() {
    const READERS: u64 = 200;
    let world = world().await;
    let ((mut alice, _), (bob, _)) = two(world.place).await;
    let mut streams = Vec::new();
    for _ in 0..READERS {
        let mut stream = Stream::open(world.place).await;
        stream.say(ClientFrame::Credit { entries: 100 }).await;
        stream.say(ClientFrame::Subscribe(bob.subscribe(7, 1))).await;
        assert_eq!(stream.next().await, ServerFrame::Subscribed { number: 7, head: 1 });
        streams.push(stream);
    }
    for round in 0..5 {
        alice.send(b"to all").await;
        alice.commit_now(CommitPlan::default(), Vec::new()).await;
        for stream in &mut streams {
            assert_eq!(stream.entry().await.sequence, 2 + 2 * round);
            assert_eq!(stream.entry().await.sequence, 3 + 2 * round);
        }
    }
    assert_eq!(world.metric("hushwood_stream_entries_total").await, READERS * 10);
    let reads = world.metric("hushwood_stream_log_reads_total").await;
    assert!(reads <= 20, "{reads}");
}

/// A reader that has credit for everything and takes nothing: what is held for it does not grow, others are served, and
/// in the end it is let go.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_costs_one_batch() {
    let limits = Limits { stalled_write: Duration::from_secs(2), body_rate: 1 << 20, ..quick() };
    let world = World::with(limits).await;
    let ((mut alice, _), (bob, _)) = two(world.place).await;
    let mut slow = Stream::open(world.place).await;
    slow.say(ClientFrame::Credit { entries: u32::MAX }).await;
    slow.say(ClientFrame::Subscribe(bob.subscribe(7, 1))).await;
    let mut quick = Stream::open(world.place).await;
    quick.say(ClientFrame::Credit { entries: u32::MAX }).await;
    quick.say(ClientFrame::Subscribe(bob.subscribe(7, 1))).await;
    assert_eq!(quick.next().await, ServerFrame::Subscribed { number: 7, head: 1 });
    let big = vec![0; 900 << 10];
    for round in 0..24 {
        alice.send(&big).await;
        assert_eq!(quick.entry().await.sequence, 2 + round);
        world.metrics().await;
        let held = world.metric("hushwood_stream_held_bytes").await;
        assert!(held <= 2 * (1 << 20), "{held} bytes are held after {round} messages");
    }
    until("the slow one's end", || async { world.metric("hushwood_streams").await == 1 }).await;
    assert!(world.metrics().await.contains("why=\"stream not read\"} 1"));
    alice.send(b"and on").await;
    assert_eq!(quick.entry().await.sequence, 26);
}

/// What a reader says to have stored is written down, so that old entries can go.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_are_taken_and_a_stream_goes_on_where_it_was() {
    let world = world().await;
    let ((mut alice, _), (bob, _)) = two(world.place).await;
    let mut stream = Stream::open(world.place).await;
    stream.say(ClientFrame::Credit { entries: 100 }).await;
    stream.say(ClientFrame::Subscribe(bob.subscribe(7, 1))).await;
    stream.next().await;
    alice.send(b"one").await;
    assert_eq!(stream.entry().await.sequence, 2);
    stream.say(ClientFrame::Ack { number: 7, sequence: 2 }).await;
    stream.settle().await;
    drop(stream);
    let cursor = |answer| match answer {
        ReadAnswer::Page(page) => page.cursor,
        trimmed @ ReadAnswer::Trimmed { .. } => panic!("{trimmed:?}"),
    };
    let read = Call::Read(bob.read_request(0));
    assert_eq!(cursor(answered!(Read, world.place.call(read, None).await)), 2);
    alice.send(b"two").await;
    let mut stream = Stream::open(world.place).await;
    stream.say(ClientFrame::Credit { entries: 100 }).await;
    stream.say(ClientFrame::Subscribe(bob.subscribe(7, 2))).await;
    assert_eq!(stream.next().await, ServerFrame::Subscribed { number: 7, head: 3 });
    assert_eq!(stream.entry().await.sequence, 3);
}

/// Two nodes on one back end: who is connected to one hears of what is sent to the other.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_hear_of_each_other() {
    let folder = Arc::new(TempDir::new().unwrap());
    let backend = open(folder.path());
    let one = World::on(folder.clone(), backend.clone(), (plain(), Arc::new(Alone)), quick()).await;
    let polling = Arc::new(Polling::new(backend.clone(), Duration::from_millis(20)));
    let other = World::on(folder, backend, (plain(), polling), quick()).await;
    let ((mut alice, token), (bob, _)) = two(one.place).await;
    let (_, carols) = crate::person::Person::registered("carol", one.place).await;
    let mut stream = Stream::open(other.place).await;
    stream.say(ClientFrame::Credit { entries: 100 }).await;
    stream.say(ClientFrame::Device { token: carols.bytes }).await;
    stream.say(ClientFrame::Subscribe(bob.subscribe(7, 1))).await;
    assert_eq!(stream.next().await, ServerFrame::Subscribed { number: 7, head: 1 });
    alice.send(b"from the other node").await;
    assert_eq!(stream.entry().await.sequence, 2);
    alice.invite(&token, "carol").await;
    let mut frames = vec![stream.next().await, stream.next().await];
    frames.sort_by_key(|frame| matches!(frame, ServerFrame::Inbox));
    assert!(matches!(frames[..], [ServerFrame::Entry { .. }, ServerFrame::Inbox]), "{frames:?}");
}
