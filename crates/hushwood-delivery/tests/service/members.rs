//! Members, those who were members, and those who have only heard of a group.

use hushwood::extension::ExtensionType;
use hushwood::group::{CommitPlan, LeafUpdate, NewProposal};
use hushwood_delivery::service::ProposalLimits;
use hushwood_delivery::wire::{
    CommitAnswer, CommitRequest, EntryKind, GroupKey, HeadRequest, LogPage, ReadAnswer, Refusal, SendAnswer,
    TreeRequest,
};

use crate::world::{
    Client, SERVICE, invited, key, settings, two, with_extensions, without, world, world_with,
};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_removed_reads_up_to_that_and_sends_nothing() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    alice.remove(service, bob.actor.leaf()).await;
    let secret = alice.actor.send(b"without bob").unwrap();
    let send = alice.send_request(secret);
    assert_eq!(service.send(send).await, Ok(SendAnswer::Accepted(3)));

    let late = bob.actor.send(b"still here").unwrap();
    let refusal = service.send(bob.send_request(late)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal}");
    let LogPage { epoch, newest, entries, .. } = bob.page(service, 1).await;
    assert_eq!((epoch, newest), (1, 2), "nothing of what came after");
    assert_eq!(
        entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(),
        [2],
        "the commit that removes him"
    );
    assert_eq!(entries[0].kind, EntryKind::Commit);
    let mut head = HeadRequest { group_id: alice.group_id(), key: key(), admission: bob.member() };
    head.admission.set_signature(bob.sign(&head.signed(SERVICE)));
    assert!(matches!(service.head(&head).await, Err(Refusal::Forbidden(_))));
}

/// Whoever was away when they were removed and invited again has to learn the one before the other.
#[tokio::test(flavor = "multi_thread")]
async fn who_went_and_came_back_reads_first_up_to_when_they_went() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, bob) = two(&world).await;
    let device = alice.log_in(service).await;
    for times in 0..2_u64 {
        let text = alice.actor.send(b"for bob").unwrap();
        service.send(alice.send_request(text)).await.unwrap();
        alice.remove(service, bob.actor.leaf()).await;
        let text = alice.actor.send(b"not for bob").unwrap();
        service.send(alice.send_request(text)).await.unwrap();
        let commit = alice.invite(service, device, &["bob"]).await;
        assert_eq!(alice.send_commit(service, commit).await, 5 + 4 * times);
    }
    let text = alice.actor.send(b"for bob again").unwrap();
    service.send(alice.send_request(text)).await.unwrap();
    // He has read 1, came with it, and knows of nothing since.
    for node in [service, &crate::world::node(&world.backend).await] {
        assert_eq!(bob.numbers(node, 1).await, [2, 3], "up to the commit that he went with");
        assert_eq!(bob.numbers(node, 2).await, [3]);
        let page = bob.page(node, 1).await;
        assert_eq!((page.epoch, page.newest), (1, 3));
        assert_eq!(bob.numbers(node, 3).await, [6, 7], "then what was for him the second time");
        assert_eq!(bob.numbers(node, 6).await, [7]);
        assert_eq!(bob.numbers(node, 7).await, [10], "and the third");
        assert_eq!(bob.numbers(node, 9).await, [10]);
    }
}

/// What was said before somebody came is not for them, and the service does not give it to them.
#[tokio::test(flavor = "multi_thread")]
async fn who_joins_reads_from_there_on() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, bob) = two(&world).await;
    let hello = alice.actor.send(b"before carol").unwrap();
    service.send(alice.send_request(hello)).await.unwrap();
    let (mut carol, _) = Client::registered("carol", service).await;
    let device = alice.log_in(service).await;
    let commit = alice.invite(service, device, &["carol"]).await;
    assert_eq!(alice.send_commit(service, commit).await, 3);
    carol.join(service).await;
    let welcome = alice.actor.send(b"welcome").unwrap();
    service.send(alice.send_request(welcome)).await.unwrap();
    assert_eq!(carol.numbers(service, 0).await, [4]);
    assert_eq!(bob.numbers(service, 0).await, [2, 3, 4], "he came with the first");
    assert_eq!(alice.numbers(service, 0).await, [1, 2, 3, 4], "she was there before the service");
    // It stays so when she has gone, and on a node that begins from a snapshot.
    alice.remove(service, carol.actor.leaf()).await;
    for _ in 0..5 {
        alice.update(service).await;
    }
    let other = crate::world::node(&world.backend).await;
    assert_eq!(carol.numbers(&other, 0).await, [4, 5]);
    assert_eq!(bob.numbers(&other, 0).await.first(), Some(&2));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_read_and_write_nothing() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let message = alice.actor.send(b"hi").unwrap();
    let mut forged = alice.send_request(message);
    forged.admission.set_signature(bob.sign(b"something else"));
    assert!(matches!(service.send(forged).await, Err(Refusal::Forbidden(_))));
    let mut moved = alice.read_request(0);
    moved.after = 1;
    assert!(matches!(service.read(moved).await, Err(Refusal::Forbidden(_))), "the proof is for what it says");
    let mut old = alice.read_request(0);
    old.proof.at -= 3600;
    assert!(matches!(service.read(old).await, Err(Refusal::Unauthorized(_))));
    let mut other = alice.read_request(0);
    other.key = GroupKey::new([1; 32]);
    assert!(matches!(service.read(other).await, Err(Refusal::Forbidden(_))));
    let mut nowhere = alice.read_request(0);
    nowhere.group_id = b"nowhere".to_vec();
    assert!(matches!(service.read(nowhere).await, Err(Refusal::NotFound(_))));
    // Bob's message in Alice's hand, and the other way round.
    let proposal = bob.actor.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    let carried = alice.send_request(proposal);
    assert!(matches!(service.send(carried).await, Err(Refusal::Forbidden(_))));
    let (_, commit) = bob.commit(CommitPlan::default(), Vec::new());
    let mut commit = commit;
    commit.admission = alice.member();
    assert!(matches!(service.commit(alice.signed_commit(commit)).await, Err(Refusal::Forbidden(_))));
}

/// Who has been removed knows the group's key and its public state, and the members would take their external commit.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_does_not_come_back_by_an_external_commit() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let old_invitation = alice.invitation(&bob);
    let own_invitation = bob.invitation(&bob);
    let (group_id, bobs_leaf) = (alice.group_id(), bob.actor.leaf());
    alice.remove(service, bobs_leaf).await;
    let refused = bob.group_info(service, &group_id, bob.member()).await;
    assert!(matches!(refused, Err(Refusal::Forbidden(_))));
    let (_, late) = bob.commit(CommitPlan::default(), Vec::new());
    assert!(
        matches!(service.commit(late).await, Err(Refusal::Forbidden(_))),
        "nor learns how far the group is"
    );
    // Even if somebody gives him the GroupInfo.
    let info = alice.group_info(service, &group_id, alice.member()).await.unwrap();
    let info = (info.group_info.as_slice(), info.ratchet_tree.as_slice());
    let as_member = bob.member();
    for admission in [as_member, invited(old_invitation), invited(own_invitation)] {
        let commit = bob.external_commit(info, None, admission);
        let refusal = service.commit(commit).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal}");
    }
    assert_eq!(alice.numbers(service, 2).await, [0_u64; 0], "the epoch goes on");
    // Invited again, he does come back.
    let again = invited(alice.invitation(&bob));
    bob.group_info(service, &group_id, again.clone()).await.unwrap();
    let commit = bob.external_commit(info, None, again);
    service.commit(commit).await.unwrap();
    alice.sync(service).await;
    assert_eq!(alice.actor.group().epoch(), bob.actor.group().epoch());
    assert_eq!(bob.numbers(service, 0).await, [2], "how he went, which was his to read before");
    assert_eq!(bob.numbers(service, 2).await, [0_u64; 0], "nothing of what was between");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_for_one_key_for_a_time_and_by_a_member() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, bob) = two(&world).await;
    let (mut dave, mut eve) = (Client::new("dave"), Client::new("eve"));
    let group_id = alice.group_id();
    let good = bob.invitation(&dave);
    let mut expired = good.clone();
    expired.not_after = test_support::actor::NOW.0 - 1;
    let mut eternal = good.clone();
    eternal.not_after = u64::MAX;
    let mut early = good.clone();
    early.epoch += 1;
    let mut other_group = good.clone();
    other_group.signature = bob.sign(&other_group.signed(SERVICE, b"another group"));
    let mut of_alice = good.clone();
    of_alice.leaf_index = alice.actor.leaf().number();
    for bad in [
        bob.signed_invitation(expired),
        bob.signed_invitation(eternal),
        bob.signed_invitation(early),
        other_group,
        of_alice,
    ] {
        let refused = dave.group_info(service, &group_id, invited(bad.clone())).await;
        assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{bad:?}");
    }
    let stolen = eve.group_info(service, &group_id, invited(good.clone())).await;
    assert!(matches!(stolen, Err(Refusal::Forbidden(_))), "it is for another key");

    let info = dave.group_info(service, &group_id, invited(good.clone())).await.unwrap();
    let info = (info.group_info.as_slice(), info.ratchet_tree.as_slice());
    // Who is invited lets nobody else in, and throws nobody out.
    let mut for_eve = eve.external_commit(info, None, invited(good.clone()));
    for_eve.admission.set_signature(dave.sign(&for_eve.signed(SERVICE)));
    assert!(matches!(service.commit(for_eve).await, Err(Refusal::Forbidden(_))));
    let removes = dave.external_commit(info, Some(alice.actor.leaf()), invited(good.clone()));
    let refusal = service.commit(removes).await.unwrap_err();
    assert!(refusal.to_string().contains("removes nobody"), "{refusal}");
    // Nor does he send messages before he is in.
    let message = alice.actor.send(b"hi").unwrap();
    let sent = dave.send_request_as(group_id.clone(), message, invited(good.clone()));
    assert!(matches!(service.send(sent).await, Err(Refusal::Forbidden(_))));

    let joins = dave.external_commit(info, None, invited(good.clone()));
    service.commit(joins.clone()).await.unwrap();
    assert!(service.commit(joins).await.is_ok(), "asked again");
    alice.sync(service).await;
    assert_eq!(alice.actor.group().epoch(), dave.actor.group().epoch());

    // An invitation goes with the member who made it.
    let of_bob = bob.invitation(&eve);
    alice.remove(service, bob.actor.leaf()).await;
    let refused = eve.group_info(service, &group_id, invited(of_bob)).await;
    assert!(matches!(refused, Err(Refusal::Forbidden(_))));
}

/// RFC 9420 §12.4.3.2, RFC 9750 §6.6: who has lost its state comes back in the place of its old leaf.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_has_lost_its_state_comes_back_in_its_place() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let (group_id, leaf, member) = (alice.group_id(), bob.actor.leaf(), bob.member());
    let info = bob.group_info(service, &group_id, member.clone()).await.unwrap();
    let info = (info.group_info.as_slice(), info.ratchet_tree.as_slice());
    // Nobody takes the place of another with his word, and nobody comes beside him.
    for resync in [Some(alice.actor.leaf()), None] {
        let mut puppet = Client::new("puppet");
        let mut commit = puppet.external_commit(info, resync, member.clone());
        commit.admission.set_signature(bob.sign(&commit.signed(SERVICE)));
        let refusal = service.commit(commit).await.unwrap_err();
        assert!(refusal.to_string().contains("its own leaf"), "{refusal}");
    }
    let comes_back = bob.external_commit(info, Some(leaf), member);
    service.commit(comes_back).await.unwrap();
    alice.sync(service).await;
    assert_eq!(alice.actor.group().epoch(), bob.actor.group().epoch());
    let message = bob.actor.send(b"back").unwrap();
    service.send(bob.send_request(message)).await.unwrap();
    assert_eq!(alice.sync(service).await, [b"back"]);
}

/// RFC 9750 §5.3, A059: the service can't check a commit's tags. One that no member takes ends an epoch here and nowhere else;
/// the members come back, each in its place, and the group goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_no_member_takes_is_not_the_end_of_the_group() {
    the_others_come_back_from(|_, _| {}).await;
}

/// RFC 9750 §5.3, A061: nor is it if it comes with a key of which nobody has the private one. Who comes back needs the public key
/// alone (RFC 9420 §8.3), and nobody is in that epoch to need the other; the next come back to the epoch that the first has begun.
#[tokio::test(flavor = "multi_thread")]
async fn who_ends_an_epoch_with_a_key_that_nobody_has_keeps_nobody_out() {
    the_others_come_back_from(|bob, bad| {
        let nobodys = [vec![32], vec![5; 32]].concat();
        bad.group_info =
            with_extensions(bob, &bad.group_info, |all| all.set(ExtensionType::EXTERNAL_PUB, nobodys));
    })
    .await;
}

/// Bob ends an epoch with a commit that no member takes, and with what `worse` makes of it. The others come back and remove him.
async fn the_others_come_back_from(worse: impl FnOnce(&Client, &mut CommitRequest)) {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let (mut carol, _) = Client::registered("carol", service).await;
    let device = alice.log_in(service).await;
    let commit = alice.invite(service, device, &["carol"]).await;
    alice.send_commit(service, commit).await;
    carol.join(service).await;
    bob.sync(service).await;
    // The last byte is of the membership tag.
    let (_, mut bad) = bob.commit(CommitPlan::default(), Vec::new());
    *bad.commit.last_mut().unwrap() ^= 1;
    worse(&bob, &mut bad);
    assert_eq!(service.commit(bob.signed_commit(bad)).await, Ok(CommitAnswer::Accepted(3)));
    for member in [&mut alice, &mut carol] {
        member.sync(service).await;
        assert_eq!(member.actor.group().epoch(), 2, "{} does not take it", member.actor.name);
        let (_, commit) = member.commit(CommitPlan::default(), Vec::new());
        assert_eq!(service.commit(commit).await, Ok(CommitAnswer::Stale { epoch: 3, winner: 3 }));
    }
    for member in [&mut alice, &mut carol] {
        let (group_id, leaf, proof) = (member.group_id(), member.actor.leaf(), member.member());
        let info = member.group_info(service, &group_id, proof.clone()).await.unwrap();
        let info = (info.group_info.as_slice(), info.ratchet_tree.as_slice());
        let comes_back = member.external_commit(info, Some(leaf), proof);
        service.commit(comes_back).await.unwrap();
    }
    alice.read = 4;
    alice.sync(service).await;
    assert_eq!((alice.actor.group().epoch(), carol.actor.group().epoch()), (5, 5));
    let message = carol.actor.send(b"without him").unwrap();
    service.send(carol.send_request(message)).await.unwrap();
    assert_eq!(alice.sync(service).await, [b"without him"]);
    // Who has done it is known by the signature of the commit, and goes.
    alice.remove(service, bob.actor.leaf()).await;
    carol.read = 5;
    carol.sync(service).await;
    assert_eq!(carol.actor.group().member_count(), 2);
}

/// Who joins needs what stands in a GroupInfo: one that nobody could use does not take the place of a good one (A061, A064).
#[tokio::test(flavor = "multi_thread")]
async fn a_group_info_that_nobody_could_use_is_refused() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, _) = two(&world).await;
    let (_, good) = alice.commit(CommitPlan::default(), Vec::new());
    let tree = alice.actor.group().ratchet_tree().unwrap();
    let short = vec![2, 1, 2];
    for (why, info) in [
        (
            "external_pub",
            with_extensions(&alice, &good.group_info, |all| without(all, ExtensionType::EXTERNAL_PUB)),
        ),
        (
            "key",
            with_extensions(&alice, &good.group_info, |all| {
                all.set(ExtensionType::EXTERNAL_PUB, short.clone())
            }),
        ),
        (
            "tree",
            with_extensions(&alice, &good.group_info, |all| {
                all.set(ExtensionType::RATCHET_TREE, tree.clone())
            }),
        ),
    ] {
        let mut bad = good.clone();
        bad.group_info = info;
        let refusal = service.commit(alice.signed_commit(bad)).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Invalid(_) | Refusal::Malformed(_)), "{refusal}");
        assert!(refusal.to_string().contains(why), "{why}: {refusal}");
    }
    service.commit(good).await.unwrap();
}

/// RFC 9420 §12.4.3.1: a Welcome is for those whom the commit adds, each once. Who was added by nobody gets none.
#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_is_for_whom_the_commit_adds() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, _) = two(&world).await;
    Client::registered("carol", service).await;
    Client::registered("dave", service).await;
    let device = alice.log_in(service).await;
    let (_, for_carol) = alice.invite(service, device, &["carol"]).await;
    let (_, good) = alice.invite(service, device, &["dave"]).await;
    let mut bad = good.clone();
    (bad.welcome, bad.recipients) = (for_carol.welcome, for_carol.recipients);
    let refusal = service.commit(alice.signed_commit(bad)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Malformed(_)), "{refusal}");
    service.commit(good).await.unwrap();
}

/// A request is signed as a whole: nobody who carries it puts other recipients in.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_with_a_commit_is_signed_with_it() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, _) = two(&world).await;
    let (carol, _) = Client::registered("carol", service).await;
    let device = alice.log_in(service).await;
    let (_, good) = alice.invite(service, device, &["carol"]).await;
    let mut other = good.clone();
    other.recipients[0].account = [9; 16];
    assert!(matches!(service.commit(other).await, Err(Refusal::Forbidden(_))));
    service.commit(good).await.unwrap();
    carol.welcome(service).await;
}

/// The tree of an epoch is for those who were in it or have a Welcome for it: they know its hash.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_given_for_its_hash() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, _) = two(&world).await;
    let (mut carol, _) = Client::registered("carol", service).await;
    let device = alice.log_in(service).await;
    let commit = alice.invite(service, device, &["carol"]).await;
    let sequence = alice.send_commit(service, commit).await;
    let (_, welcome) = carol.welcome(service).await;
    let request = carol.tree_request(&welcome);
    for _ in 0..9 {
        alice.update(service).await;
    }
    let tree = service.tree(&request).await.unwrap();
    assert_eq!((tree.epoch, tree.sequence), (2, sequence));
    carol.actor.join(&welcome, Some(&tree.ratchet_tree)).unwrap();
    // A node that has begun later knows it too.
    let late = crate::world::node(&world.backend).await;
    assert_eq!(late.tree(&request).await, Ok(tree));
    let (mut wrong, mut of_another_epoch, mut to_come) = (request.clone(), request.clone(), request.clone());
    wrong.tree_hash[0] ^= 1;
    of_another_epoch.epoch += 1;
    to_come.epoch = 100;
    for bad in [wrong, of_another_epoch, to_come] {
        assert!(matches!(service.tree(&bad).await, Err(Refusal::NotFound(_))));
    }
    let mut other_key = request;
    other_key.key = GroupKey::new([1; 32]);
    assert!(matches!(service.tree(&other_key).await, Err(Refusal::Forbidden(_))));
}

/// Trees of epochs that are over have to be made anew: not without end. Those that were asked for are at hand.
#[tokio::test(flavor = "multi_thread")]
async fn old_trees_are_made_so_often() {
    let mut settings = settings();
    settings.rates.trees =
        hushwood_delivery::service::Rate { burst: 1, every: std::time::Duration::from_secs(3600) };
    let world = world_with(settings).await;
    let service = &world.service;
    let (mut alice, _) = two(&world).await;
    let mut requests = Vec::new();
    for _ in 0..3 {
        let context = alice.actor.group().context();
        let (group_id, epoch, tree_hash) = (alice.group_id(), context.epoch, context.tree_hash.clone());
        requests.push(TreeRequest { group_id, key: key(), epoch, tree_hash });
        alice.update(service).await;
    }
    for _ in 0..2 {
        assert!(service.tree(&requests[1]).await.is_ok());
    }
    assert!(matches!(service.tree(&requests[2]).await, Err(Refusal::TooMany(_))));
}

/// One member that proposes without end leaves room for the others, and the group goes on after a commit.
#[tokio::test(flavor = "multi_thread")]
async fn so_many_proposals_wait_and_not_all_of_one() {
    let mut settings = settings();
    settings.proposals = ProposalLimits { all: 5, of_one: 3, ..ProposalLimits::default() };
    let world = world_with(settings).await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let propose = async |client: &mut Client| {
        let proposal = client.actor.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
        service.send(client.send_request(proposal)).await
    };
    for _ in 0..3 {
        propose(&mut bob).await.unwrap();
    }
    assert!(matches!(propose(&mut bob).await, Err(Refusal::Full(_))));
    for _ in 0..2 {
        propose(&mut alice).await.unwrap();
    }
    assert!(matches!(propose(&mut alice).await, Err(Refusal::Full(_))));
    alice.sync(service).await;
    alice.update(service).await;
    bob.sync(service).await;
    propose(&mut bob).await.unwrap();

    let mut settings = crate::world::settings();
    settings.proposals = ProposalLimits { bytes_of_one: 10, ..ProposalLimits::default() };
    let narrow = hushwood_delivery::service::Service::new(world.backend.clone(), settings).await.unwrap();
    let proposal = alice.actor.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    assert!(matches!(narrow.send(alice.send_request(proposal)).await, Err(Refusal::Full(_))));
}

/// A copy of a client's state that was restored may not be used to send: the service knows that it had come further
/// (RFC 9420 §6.3.1, A120).
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_set_back_learns_how_far_it_had_been() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, bob) = two(&world).await;
    for _ in 0..3 {
        alice.update(service).await;
    }
    assert_eq!(bob.page(service, 1).await.cursor, 0);
    assert_eq!(bob.page(service, 4).await.cursor, 1);
    assert_eq!(bob.page(service, 1).await.cursor, 4, "that is more than it knows of");
    assert_eq!(alice.page(service, 0).await.cursor, 0, "each has its own");
    // Another node knows it when it was written down, and nobody comes further than there is something.
    service.settle().await.unwrap();
    let other = crate::world::node(&world.backend).await;
    assert_eq!(bob.page(&other, 99).await.cursor, 4);
    assert_eq!(bob.page(&other, 4).await.cursor, 4);
}

/// What has been forgotten is not nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_reads_on_where_the_log_was_trimmed_is_told() {
    const LATER: u64 = 150 * 24 * 60 * 60;
    let mut one_snapshot = settings();
    one_snapshot.snapshots = 1;
    let world = world_with(one_snapshot).await;
    let (mut alice, bob) = two(&world).await;
    for _ in 0..10 {
        alice.update(&world.service).await;
    }
    alice.page(&world.service, 11).await;
    world.service.settle().await.unwrap();
    assert_eq!(bob.numbers(&world.service, 1).await.len(), 10);
    let mut settings = settings();
    settings.clock = || hushwood_delivery::backend::Seconds(test_support::actor::NOW.0 + LATER);
    let later = hushwood_delivery::service::Service::new(world.backend.clone(), settings).await.unwrap();
    later.settle().await.unwrap();
    let read = |client: &Client, after| {
        let mut read = client.read_request(after);
        read.proof.at += LATER;
        read.proof.signature = client.sign(&read.signed(SERVICE));
        read
    };
    // A snapshot is kept, and what follows it.
    let ReadAnswer::Trimmed { first, newest, epoch } = later.read(read(&bob, 0)).await.unwrap() else {
        panic!("trimmed")
    };
    assert_eq!((newest, epoch), (11, 11));
    assert!(first > 2 && first < 11, "{first}");
    let ReadAnswer::Page(page) = later.read(read(&bob, first - 1)).await.unwrap() else { panic!("a page") };
    assert_eq!(page.entries[0].sequence, first);
    let ReadAnswer::Page(page) = later.read(read(&alice, 11)).await.unwrap() else { panic!("a page") };
    assert_eq!((page.newest, page.entries.len()), (11, 0), "who is up to date is that");
}
