//! How a server stops: nothing that it has begun is lost.

use std::time::{Duration, Instant};

use hushwood_delivery::server::Limits;
use hushwood_delivery::wire::{Call, ClientFrame, CommitAnswer, Nothing, ServerFrame};

use crate::answered;
use crate::net::{Net, request};
use crate::person::two;
use crate::stream::Stream;
use crate::world::{World, quick, world};

#[tokio::test(flavor = "multi_thread")]
async fn what_has_begun_is_answered_and_nothing_new_is_begun() {
    let mut world = world().await;
    let ((mut alice, _), _) = two(world.place).await;
    let mut stream = Stream::open(world.place).await;
    stream.settle().await;
    let mut idle = Net::http1(world.place).await;
    answered!(Challenge, idle.call(Call::Challenge(Nothing), None).await);
    // A commit whose body is half there when the server is told to stop.
    let (_, commit) = alice.commit(Default::default(), Vec::new());
    let body = Call::Commit(commit).to_body().unwrap();
    let half = crate::limits::Half::begin(world.place, "/v1/groups/commit", &body).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.tell_to_stop();
    assert_eq!(stream.closed().await, 1001);
    // Each connection is told by itself: one that says something before that is still answered.
    let told = Instant::now();
    while idle.send(request(hushwood_delivery::wire::CallKind::Challenge, vec![], None)).await.is_ok() {
        assert!(told.elapsed() < Duration::from_secs(5), "an idle connection is not closed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(tokio::net::TcpStream::connect(world.place.address).await.is_err(), "it listens no more");
    let reply = half.finish(&body).await;
    assert!(reply.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&reply));
    let expected = hushwood_codec::Encode::to_bytes(&CommitAnswer::Accepted(2)).unwrap();
    assert!(reply.ends_with(&expected));
    let stopped = Instant::now();
    drop(world.stopped().await);
    assert!(stopped.elapsed() < Duration::from_secs(2), "it has nothing to wait for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_those_who_do_nothing() {
    let world = World::with(Limits { drain: Duration::from_millis(500), ..quick() }).await;
    // One that has never said anything, one in the middle of a body.
    let silent = tokio::net::TcpStream::connect(world.place.address).await.unwrap();
    let half = crate::limits::Half::begin(world.place, "/v1/groups/send", &[0; 1000]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    drop(world.stopped().await);
    assert!(begun.elapsed() < Duration::from_secs(3));
    drop((silent, half));
}

/// The answer has gone, the commit has not: who asked finds it in the log, and others are told of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_client_has_gone_is_carried_out() {
    let world = world().await;
    let ((mut alice, _), (bob, _)) = two(world.place).await;
    let mut stream = Stream::open(world.place).await;
    stream.say(ClientFrame::Subscribe(bob.subscribe(7, 1))).await;
    assert_eq!(stream.next().await, ServerFrame::Subscribed { number: 7, head: 1 });
    let (_, commit) = alice.commit(Default::default(), Vec::new());
    let body = Call::Commit(commit).to_body().unwrap();
    let half = crate::limits::Half::begin(world.place, "/v1/groups/commit", &body).await;
    half.abandon(&body).await;
    assert_eq!(stream.next().await, ServerFrame::Hint { number: 7, head: 2 });
}
