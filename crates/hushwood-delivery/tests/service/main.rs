//! The rules of the service, with real clients and real groups on the back end in a file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod accounts;
mod groups;
mod members;
mod nodes;
mod outside;
mod world;

use hushwood::group::{CommitPlan, LeafUpdate, NewProposal};
use hushwood_delivery::wire::{CommitAnswer, GroupKey, Recipient, Refusal, SendAnswer};

use world::{SERVICE, node, two, world};

#[tokio::test(flavor = "multi_thread")]
async fn people_find_each_other_and_talk() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let hello = alice.actor.send(b"hello").unwrap();
    let send = alice.send_request(hello);
    assert_eq!(service.send(send.clone()).await, Ok(SendAnswer::Accepted(2)));
    assert_eq!(service.send(send).await, Ok(SendAnswer::Accepted(2)), "asked again, sent once");
    assert_eq!(bob.sync(service).await, [b"hello"]);
    assert_eq!(bob.read, 2);

    // A proposal, and the commit that covers it.
    let proposal = bob.actor.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    let send = bob.send_request(proposal);
    assert_eq!(service.send(send).await, Ok(SendAnswer::Accepted(3)));
    alice.sync(service).await;
    assert_eq!(alice.update(service).await, 4);
    bob.sync(service).await;
    assert_eq!(
        bob.actor.group().epoch_authenticator().unwrap(),
        alice.actor.group().epoch_authenticator().unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_commits_one_wins_and_the_other_is_told() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let (mine, won) = alice.commit(CommitPlan::default(), Vec::new());
    let (other, lost) = bob.commit(CommitPlan::default(), Vec::new());
    assert_eq!(service.commit(won.clone()).await, Ok(CommitAnswer::Accepted(2)));
    assert_eq!(service.commit(lost).await, Ok(CommitAnswer::Stale { epoch: 2, winner: 2 }));
    assert_eq!(service.commit(won).await, Ok(CommitAnswer::Accepted(2)), "asked again");
    alice.actor.apply(&mine).unwrap();
    bob.sync(service).await;
    assert!(bob.actor.apply(&other).is_err(), "what lost is gone");
    assert_eq!(bob.actor.group().epoch(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_members_would_refuse_is_refused() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let (_, good) = alice.commit(CommitPlan::default(), Vec::new());
    let mut flipped = good.clone();
    // In the signature; the two tags after it are 33 bytes each.
    let at = flipped.commit.len() - 80;
    flipped.commit[at] ^= 1;
    let mut other_info = good.clone();
    other_info.group_info = bob.actor.group_info(false);
    let mut welcome = good.clone();
    welcome.recipients = vec![Recipient { account: bob.account, device: bob.device }];
    let mut other_key = good.clone();
    other_key.key = GroupKey::new([8; 32]);
    for (bad, why) in
        [(flipped, "signature"), (other_info, "epoch"), (welcome, "Welcome"), (other_key, "key")]
    {
        let refusal = service.commit(alice.signed_commit(bad)).await.unwrap_err();
        assert!(refusal.to_string().contains(why), "{why}: {refusal}");
    }
    // None of it has left anything.
    assert_eq!(service.commit(good).await, Ok(CommitAnswer::Accepted(2)));
    bob.sync(service).await;
    assert_eq!(bob.actor.group().epoch(), 2);
}

/// What was not checked is not written, though the epoch that it names may come while it waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_an_epoch_to_come_leaves_nothing() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let (mine, good) = alice.commit(CommitPlan::default(), Vec::new());
    let mut early = good.clone();
    (early.epoch, early.commit, early.request) = (good.epoch + 1, b"garbage".to_vec(), [1; 32]);
    let early = alice.signed_commit(early);
    assert_eq!(service.commit(early.clone()).await, Ok(CommitAnswer::Stale { epoch: 1, winner: 0 }));
    let (won, _) = tokio::join!(service.commit(good), service.commit(early.clone()));
    assert_eq!(won, Ok(CommitAnswer::Accepted(2)));
    // Its epoch has come: now it is looked at.
    assert!(matches!(service.commit(early).await, Err(Refusal::Invalid(_))));
    alice.actor.apply(&mine).unwrap();
    bob.sync(service).await;
    assert_eq!(bob.actor.group().epoch(), 2);
}

/// Two nodes take proposals in turn, and each follows what the other took.
#[tokio::test(flavor = "multi_thread")]
async fn proposals_of_two_nodes_are_all_there_for_a_commit() {
    let world = world().await;
    let nodes = [node(&world.backend).await, node(&world.backend).await];
    let (mut alice, mut bob) = two(&world).await;
    for (round, node) in nodes.iter().chain(&nodes).enumerate() {
        let client = if round % 2 == 0 { &mut alice } else { &mut bob };
        let proposal = NewProposal::Update(LeafUpdate::default());
        let proposal = client.actor.propose(proposal).unwrap();
        let send = client.send_request(proposal);
        assert_eq!(node.send(send).await, Ok(SendAnswer::Accepted(u64::try_from(round).unwrap() + 2)));
    }
    alice.sync(&nodes[0]).await;
    bob.sync(&nodes[1]).await;
    let (_, request) = alice.commit(CommitPlan::default(), Vec::new());
    assert_eq!(nodes[1].commit(request).await, Ok(CommitAnswer::Accepted(6)));
}

/// The same name for another request is no second answer to the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_known_by_what_it_asks() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, _) = two(&world).await;
    let messages = [b"one", b"two"].map(|text| alice.actor.send(text).unwrap());
    let mut numbers = Vec::new();
    for message in messages {
        let mut send = alice.send_request(message);
        send.request = [5; 32];
        let signature = alice.sign(&send.signed(SERVICE));
        send.admission.set_signature(signature);
        numbers.push(service.send(send).await.unwrap());
    }
    assert_eq!(numbers, [SendAnswer::Accepted(2), SendAnswer::Accepted(3)]);
}

/// What lies on the disk is sealed: no name of a member is in it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_a_group_is_sealed_on_the_disk() {
    let world = world().await;
    let (mut alice, _) = two(&world).await;
    let (_, request) = alice.commit(CommitPlan::default(), Vec::new());
    let commit = request.commit.clone();
    world.service.commit(request).await.unwrap();
    let snapshot = world.backend.snapshot(&alice.group_id(), u64::MAX).await.unwrap().unwrap();
    let head = world.backend.head(&alice.group_id()).await.unwrap().unwrap();
    let limit = hushwood_delivery::backend::PageLimit { entries: 10, bytes: u64::MAX };
    let all = hushwood_delivery::backend::Kinds::All;
    let reading = hushwood_delivery::backend::Reading { kinds: all, after: 0, slot: None };
    let log = world.backend.read(&alice.group_id(), reading, limit).await.unwrap().unwrap().entries;
    let has = |place: &[u8], what: &[u8]| place.windows(what.len()).any(|window| window == what);
    for place in log.iter().map(|entry| &entry.body).chain([&snapshot.body, &head.group_info]) {
        assert!(!has(place, b"alice") && !has(place, b"bob") && !has(place, &commit[..32]));
    }
}
