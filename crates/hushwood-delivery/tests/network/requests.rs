//! Requests and answers: each route, and what is wrong with requests.

use hushwood_delivery::wire::{
    Call, CallKind, ClaimRequest, CommitAnswer, GroupKey, HeadAnswer, InboxRequest, MEDIA_TYPE, Nothing,
    ProposeRequest, RefusalCode, RevokeRequest,
};
use hyper::{Request, StatusCode};

use crate::answered;
use crate::net::{Net, Place, bearer, request};
use crate::person::{Person, two};
use crate::world::{key, plain, quick, world};

/// Every route is taken at least once on the way.
#[tokio::test(flavor = "multi_thread")]
async fn people_find_each_other_and_talk() {
    let world = world().await;
    let ((mut alice, token), (mut bob, bobs)) = two(world.place).await;
    assert_eq!(alice.send(b"hello").await, 2);
    assert_eq!(bob.sync().await, [b"hello"]);
    assert!(bob.inbox(&bobs).await.is_empty());

    let request = alice.head_request();
    let head = answered!(Head, world.place.call(Call::Head(request.clone()), None).await);
    assert_eq!(head, HeadAnswer { epoch: 1, sequence: 2, commit: 1 });
    let mut wrong = request;
    wrong.key = GroupKey::new([0; 32]);
    assert_eq!(world.place.call(Call::Head(wrong), None).await.unwrap_err().code, RefusalCode::FORBIDDEN);
    let there = alice.group_info().await;
    assert_eq!((there.epoch, there.ratchet_tree), (1, alice.actor.group().ratchet_tree().unwrap()));
    let (request, group_id, message) = ([1; 32], alice.group_id(), b"nothing".to_vec());
    let propose = Call::Propose(ProposeRequest { request, group_id, key: key(), message });
    let refused = world.place.call(propose, Some(&token.bytes)).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::MALFORMED);

    let stock = answered!(Stock, world.place.call(Call::Stock(Nothing), Some(&token.bytes)).await);
    assert_eq!(stock.entries[0].left, 1);
    let devices = answered!(Devices, world.place.call(Call::Devices(Nothing), Some(&token.bytes)).await);
    assert_eq!(devices.devices.iter().map(|entry| entry.device).collect::<Vec<_>>(), [alice.device]);
    let revoke = Call::Revoke(RevokeRequest { device: alice.device });
    answered!(Revoke, world.place.call(revoke, Some(&token.bytes)).await);
    let refused =
        world.place.call(Call::Inbox(InboxRequest::default()), Some(&token.bytes)).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::REVOKED);

    let metrics = world.metrics().await;
    for kind in CallKind::ALL {
        let status = if *kind == CallKind::Propose { 400 } else { 200 };
        let line = format!("hushwood_requests_total{{call=\"{}\",status=\"{status}\"}}", kind.name());
        assert!(metrics.contains(&line), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_commits_one_wins_and_the_other_is_told_what_it_needs() {
    let world = world().await;
    let ((mut alice, _), (mut bob, _)) = two(world.place).await;
    let (mine, won) = alice.commit(Default::default(), Vec::new());
    let (_, lost) = bob.commit(Default::default(), Vec::new());
    let answer = answered!(Commit, world.place.call(Call::Commit(won.clone()), None).await);
    assert_eq!(answer, CommitAnswer::Accepted(2));
    let answer = answered!(Commit, world.place.call(Call::Commit(lost), None).await);
    assert_eq!(answer, CommitAnswer::Stale { epoch: 2, winner: 2 });
    let again = answered!(Commit, world.place.call(Call::Commit(won), None).await);
    assert_eq!(again, CommitAnswer::Accepted(2));
    alice.actor.apply(&mine).unwrap();
    bob.sync().await;
    assert_eq!(bob.actor.group().epoch(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_of_http2_carries_many_requests_at_once() {
    let world = world().await;
    let Net::Two(sender) = Net::http2(world.place).await else { unreachable!() };
    let calls = (0..50).map(|_| {
        let mut net = Net::Two(sender.clone());
        tokio::spawn(async move { net.call(Call::Challenge(Nothing), None).await })
    });
    for call in calls.collect::<Vec<_>>() {
        answered!(Challenge, call.await.unwrap());
    }
    assert_eq!(world.metric("hushwood_requests_total{call=\"Challenge\",status=\"200\"}").await, 50);
    drop(sender);
    let mut one = Net::http1(world.place).await;
    for _ in 0..3 {
        answered!(Challenge, one.call(Call::Challenge(Nothing), None).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_none_is_refused_for_what_it_lacks() {
    let world = world().await;
    let mut net = Net::http1(world.place).await;
    let (_, token) = Person::registered("alice", world.place).await;
    let good = |kind: CallKind, body: &[u8]| request(kind, body.to_vec(), Some(&token.bytes));

    let mut no_token = good(CallKind::Stock, &[]);
    no_token.headers_mut().remove("authorization");
    let mut not_base64 = good(CallKind::Stock, &[]);
    not_base64.headers_mut().insert("authorization", "Bearer !!!".parse().unwrap());
    let mut made_up = good(CallKind::Stock, &[]);
    made_up.headers_mut().insert("authorization", bearer(b"made up").parse().unwrap());
    let mut json = good(CallKind::Challenge, &[]);
    json.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let mut get = good(CallKind::Challenge, &[]);
    *get.method_mut() = hyper::Method::GET;
    let nowhere = Request::post("/v2/challenge").header("host", "x").body(Default::default()).unwrap();
    let stream = Request::get("/v1/stream").header("host", "x").body(Default::default()).unwrap();
    let claim = ClaimRequest { name: b"nobody".to_vec(), suite: 1 };
    let claim = good(CallKind::Claim, &Call::Claim(claim).to_body().unwrap());
    for (request, status, code) in [
        (no_token, 401, RefusalCode::UNAUTHORIZED),
        (not_base64, 401, RefusalCode::UNAUTHORIZED),
        (made_up, 401, RefusalCode::UNAUTHORIZED),
        (json, 400, RefusalCode::MALFORMED),
        (get, 405, RefusalCode::MALFORMED),
        (nowhere, 404, RefusalCode::NOT_FOUND),
        (stream, 400, RefusalCode::MALFORMED),
        (good(CallKind::Send, b"no"), 400, RefusalCode::MALFORMED),
        (good(CallKind::Challenge, b"x"), 413, RefusalCode::TOO_LARGE),
        (claim, 404, RefusalCode::NOT_FOUND),
    ] {
        let path = request.uri().path().to_owned();
        let reply = net.send(request).await.unwrap();
        assert_eq!(reply.status.as_u16(), status, "{path}");
        assert_eq!(reply.headers["content-type"], MEDIA_TYPE);
        let refused = reply.refused();
        assert_eq!(refused.code, code, "{path}: {refused}");
        assert!(!refused.text.is_empty());
    }
    // The connection is as good as before.
    answered!(Challenge, net.call(Call::Challenge(Nothing), None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_takes_more_than_its_cap() {
    let world = world().await;
    let (_, token) = crate::person::Person::registered("alice", world.place).await;
    for kind in CallKind::ALL.iter().filter(|kind| kind.max_body() < 1 << 20) {
        let body = vec![0; kind.max_body() + 1];
        let mut net = Net::http2(world.place).await;
        let reply = net.send(request(*kind, body, Some(&token.bytes))).await.unwrap();
        assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_everything() {
    let first = world().await;
    let ((mut alice, token), (mut bob, bobs)) = two(first.place).await;
    alice.send(b"before").await;
    let folder = first.stopped().await;
    let second = crate::world::World::start(folder, plain(), quick()).await;
    (alice.place, bob.place) = (second.place, second.place);
    alice.send(b"after").await;
    assert_eq!(bob.sync().await, [b"before".to_vec(), b"after".to_vec()]);
    // Tokens, too: all nodes have the same key for them.
    assert!(bob.inbox(&bobs).await.is_empty());
    let stock = answered!(Stock, second.place.call(Call::Stock(Nothing), Some(&token.bytes)).await);
    assert_eq!(stock.entries[0].left, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_our_own_stays_and_is_known_by_its_fingerprint() {
    use hushwood_delivery::server::{Fingerprint, Protection};
    let folder = std::sync::Arc::new(tempfile::TempDir::new().unwrap());
    let own = Protection::OwnCertificate(folder.path().to_path_buf());
    let first = crate::world::World::start(folder, own.clone(), quick()).await;
    let pin = first.place.pin.unwrap();
    answered!(Challenge, first.place.call(Call::Challenge(Nothing), None).await);
    answered!(Challenge, Net::http1(first.place).await.call(Call::Challenge(Nothing), None).await);
    let other = Place { pin: Some(Fingerprint([0; 32])), ..first.place };
    let error = other.socket("h2").await.err().unwrap();
    assert!(error.to_string().contains("another certificate"), "{error}");
    assert!(Place::plain(first.place.address).call_fails().await, "nobody speaks without TLS");

    let folder = first.stopped().await;
    let key = std::fs::metadata(folder.path().join("server.key")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600);
    let second = crate::world::World::start(folder.clone(), own, quick()).await;
    assert_eq!(second.place.pin, Some(pin));
    drop(second.stopped().await);

    // The same files as somebody would give them.
    let at = |name: &str| folder.path().join(name);
    let files = Protection::Files { certificates: at("server.crt"), key: at("server.key") };
    let third = crate::world::World::start(folder.clone(), files, quick()).await;
    assert_eq!(third.place.pin, Some(pin));
    answered!(Challenge, third.place.call(Call::Challenge(Nothing), None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_are_there_for_the_operator() {
    let world = world().await;
    for place in [world.place, world.admin] {
        let request = Request::get("/health").header("host", "x").body(Default::default()).unwrap();
        let reply = Net::http1(place).await.send(request).await.unwrap();
        assert_eq!((reply.status.as_u16(), &*reply.body), (200, &b"{\"status\":\"ok\"}\n"[..]));
    }
    let metrics = Request::get("/metrics").header("host", "x").body(Default::default()).unwrap();
    let reply = Net::http1(world.place).await.send(metrics).await.unwrap();
    assert_eq!(reply.status.as_u16(), 404, "not for everybody");
    assert!(world.metrics().await.ends_with("# EOF\n"));
}
