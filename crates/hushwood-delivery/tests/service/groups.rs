//! Groups that come to the service, and what becomes of them in memory.

use std::sync::Arc;
use std::time::Duration;

use hushwood::codec::Encode;
use hushwood::crypto::Signer;
use hushwood::extension::{ExtensionType, Extensions, ExternalSender};
use hushwood::group::{CommitPlan, Group, NewGroup, NewProposal};
use hushwood::tree::Supported;
use hushwood_delivery::service::{Rate, Service};
use hushwood_delivery::wire::{DELIVERY_EXTENSION, GroupKey, PublishedKeyPackage, Refusal, SendAnswer};
use test_support::actor::NOW;

use crate::world::{Client, SERVICE, settings, two, with_extensions, without, world, world_with};

/// Who has only heard of a group does not take its place here.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_brought_by_the_member_that_vouches_for_it() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, device) = Client::registered("alice", service).await;
    let (mut bob, bobs_device) = Client::registered("bob", service).await;
    alice.actor.create();
    let package = bob.actor.key_package();
    let (_, change) = alice.actor.invite(&[package]).unwrap();
    let tree = alice.actor.group().ratchet_tree().unwrap();
    bob.actor.join(&change.welcomes[0].message, Some(&tree)).unwrap();

    let good = alice.create_request();
    let mut stranger = good.clone();
    stranger.proof.signature = bob.sign(&stranger.signed(SERVICE));
    let mut other_member = good.clone();
    other_member.proof.leaf_index = bob.actor.leaf().number();
    other_member.proof.signature = bob.sign(&other_member.signed(SERVICE));
    let mut other_key = good.clone();
    other_key.key = GroupKey::new([8; 32]);
    for bad in [stranger, other_member, other_key] {
        let refusal = service.create_group(bobs_device, bad).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal}");
    }
    let mut old = good.clone();
    old.proof.at -= 3600;
    assert!(matches!(service.create_group(device, old).await, Err(Refusal::Unauthorized(_))));
    let signed = |group_info| {
        let mut request = good.clone();
        request.group_info = group_info;
        request.proof.signature = alice.sign(&request.signed(SERVICE));
        request
    };
    let no_key = with_extensions(&alice, &good.group_info, |all| without(all, ExtensionType::EXTERNAL_PUB));
    let with_tree =
        with_extensions(&alice, &good.group_info, |all| all.set(ExtensionType::RATCHET_TREE, tree.clone()));
    for bad in [signed(no_key), signed(with_tree)] {
        assert!(matches!(service.create_group(device, bad).await, Err(Refusal::Malformed(_))));
    }
    let mut other_tree = good.clone();
    other_tree.ratchet_tree.truncate(20);
    other_tree.proof.signature = alice.sign(&other_tree.signed(SERVICE));
    assert!(matches!(service.create_group(device, other_tree).await, Err(Refusal::Invalid(_))));

    assert_eq!(service.create_group(device, good.clone()).await, Ok(()));
    assert_eq!(service.create_group(device, good).await, Ok(()), "asked again");
    let again = bob.create_request();
    assert!(matches!(service.create_group(bobs_device, again).await, Err(Refusal::Taken(_))));
}

/// RFC 9420 has no limit for the id of a group, but what it is found by in a database has one.
#[tokio::test(flavor = "multi_thread")]
async fn a_groups_id_has_a_length_that_a_database_can_find() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, device) = Client::registered("alice", service).await;
    for (length, fits) in [(255, true), (256, false), (4000, false)] {
        alice.actor.create_as(&vec![7; length]);
        let created = service.create_group(device, alice.create_request()).await;
        match fits {
            true => assert_eq!(created, Ok(())),
            false => assert!(matches!(created, Err(Refusal::TooLarge(_))), "{created:?}"),
        }
    }
    assert_eq!(alice.actor.group().group_id().len(), 4000, "nothing is wrong with it otherwise");
}

/// What is there already is not checked again, and does not count.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_there_costs_nothing_to_ask_for_again() {
    let mut settings = settings();
    settings.rates.groups = Rate { burst: 1, every: Duration::from_secs(3600) };
    let world = world_with(settings).await;
    let service = &world.service;
    let (mut alice, device) = Client::registered("alice", service).await;
    alice.actor.create();
    let good = alice.create_request();
    let mut forged = good.clone();
    forged.proof.signature = alice.sign(b"something else");
    for _ in 0..3 {
        let refusal = service.create_group(device, forged.clone()).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal}");
    }
    for _ in 0..3 {
        assert_eq!(service.create_group(device, good.clone()).await, Ok(()));
    }
    let other = alice.create_request();
    assert!(matches!(service.create_group(device, other).await, Err(Refusal::Taken(_))));
}

/// Databases count up to 2^63, and nobody needs a name of kilobytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_numbers_do_not_fit_is_refused_when_it_comes() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, device) = Client::registered("alice", service).await;
    alice.actor.create();
    let good = alice.create_request();
    let changed = |change: fn(&mut hushwood::schedule::GroupContext)| {
        let mut request = good.clone();
        request.group_info = crate::world::with_context(&alice, &request.group_info, change);
        request.proof.signature = alice.sign(&request.signed(SERVICE));
        request
    };
    let late = changed(|context| context.epoch = u64::MAX - 1);
    let long = changed(|context| context.group_id = vec![1; 256]);
    for bad in [late, long] {
        let refusal = service.create_group(device, bad).await.unwrap_err();
        assert!(matches!(refusal, Refusal::TooLarge(_)), "{refusal}");
    }
    assert_eq!(service.create_group(device, good).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_brings_so_many_groups() {
    let mut settings = settings();
    settings.rates.groups = Rate { burst: 2, every: Duration::from_secs(3600) };
    let world = world_with(settings).await;
    let service = &world.service;
    let (mut alice, device) = Client::registered("alice", service).await;
    for _ in 0..2 {
        alice.create_group(service).await;
    }
    alice.actor.create();
    assert!(matches!(service.create_group(device, alice.create_request()).await, Err(Refusal::TooMany(_))));
    let (mut bob, _) = Client::registered("bob", service).await;
    bob.create_group(service).await;
}

/// In the long run, too, whichever node it brings them to. What is not taken is not counted.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_brings_so_many_groups_to_all_nodes() {
    let mut settings = settings();
    settings.max_groups = 2;
    let world = world_with(settings.clone()).await;
    let other = Service::new(world.backend.clone(), settings).await.unwrap();
    let (mut alice, device) = Client::registered("alice", &world.service).await;
    alice.create_group(&world.service).await;
    let again = alice.create_request();
    let mut bad = alice.create_request();
    bad.group_info[0] ^= 1;
    assert!(world.service.create_group(device, bad).await.is_err());
    assert!(matches!(world.service.create_group(device, again.clone()).await, Err(Refusal::Taken(_))));
    alice.create_group(&other).await;
    alice.actor.create();
    let third = alice.create_request();
    for service in [&world.service, &other] {
        let refusal = service.create_group(device, third.clone()).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Full(_)), "{refusal}");
    }
    let (mut bob, _) = Client::registered("bob", &other).await;
    bob.create_group(&other).await;
}

/// Whoever changed the key that stands in a group's context would keep all later joiners out.
#[tokio::test(flavor = "multi_thread")]
async fn how_a_group_is_delivered_is_not_changed() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, device) = Client::registered("alice", service).await;
    let delivery = ExtensionType(DELIVERY_EXTENSION);
    let extensions = |value: &[u8]| {
        let mut extensions = Extensions::new();
        extensions.set(delivery, value.to_vec());
        extensions
    };
    let actor = &mut alice.actor;
    let mut supported = Supported::new(&actor.provider).preferring(actor.suite.id());
    supported.extensions.push(delivery);
    let settings = NewGroup {
        extensions: extensions(b"as it is"),
        policy: actor.policy.clone(),
        ..NewGroup::new(actor.suite, actor.credential(), supported)
    };
    let step = Group::create(settings, &actor.signer, NOW, &mut actor.random).unwrap();
    actor.group = Some(step.commit(&mut actor.store).unwrap());
    service.create_group(device, alice.create_request()).await.unwrap();

    let change = |extensions| vec![NewProposal::GroupContextExtensions(extensions)];
    for changed in [extensions(b"another"), Extensions::new()] {
        let plan = CommitPlan { proposals: change(changed.clone()), ..CommitPlan::default() };
        let (_, commit) = alice.commit(plan, Vec::new());
        assert!(matches!(service.commit(commit).await, Err(Refusal::Forbidden(_))));
    }
    // Other extensions are the members' own.
    let mut more = extensions(b"as it is");
    let sender = ExternalSender {
        signature_key: alice.actor.signer.public_key().clone(),
        credential: alice.actor.credential(),
    };
    more.set(ExtensionType::EXTERNAL_SENDERS, vec![sender].to_bytes().unwrap());
    let plan = CommitPlan { proposals: change(more), ..CommitPlan::default() };
    let commit = alice.commit(plan, Vec::new());
    alice.send_commit(service, commit).await;
    // Nor does such a proposal wait for somebody to commit it.
    let proposal = NewProposal::GroupContextExtensions(extensions(b"another"));
    let proposal = alice.actor.propose(proposal).unwrap();
    let send = alice.send_request(proposal);
    assert!(matches!(service.send(send).await, Err(Refusal::Forbidden(_))));
}

/// Who fills a log is removed all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_has_so_many_bytes_and_commits_a_few_more() {
    let mut settings = settings();
    settings.max_log = 40_000;
    let world = world_with(settings).await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    for _ in 0..2 {
        let message = bob.actor.send(&[0; 10_000]).unwrap();
        service.send(bob.send_request(message)).await.unwrap();
    }
    let message = bob.actor.send(&[0; 10_000]).unwrap();
    let third = bob.send_request(message);
    assert_eq!(service.send(third.clone()).await, Ok(SendAnswer::Accepted(4)));
    let message = bob.actor.send(&[0; 10_000]).unwrap();
    assert!(matches!(service.send(bob.send_request(message)).await, Err(Refusal::Full(_))));
    assert_eq!(service.send(third).await, Ok(SendAnswer::Accepted(4)), "asked again");
    let leaf = hushwood::tree::LeafIndex::new(1);
    alice.remove(service, leaf).await;
}

/// A group that nobody has written to for half a year is gone; one that somebody has is not.
#[tokio::test(flavor = "multi_thread")]
async fn groups_that_nobody_uses_are_forgotten() {
    const LATER: u64 = 181 * 24 * 60 * 60;
    let world = world().await;
    let (mut alice, _) = Client::registered("alice", &world.service).await;
    alice.create_group(&world.service).await;
    let unused = alice.group_id();
    let (mut bob, _) = Client::registered("bob", &world.service).await;
    bob.create_group(&world.service).await;
    let mut settings = settings();
    settings.clock = || hushwood_delivery::backend::Seconds(test_support::actor::NOW.0 + LATER - 100_000);
    let earlier = Service::new(world.backend.clone(), settings.clone()).await.unwrap();
    earlier.settle().await.unwrap();
    let (_, mut request) = bob.commit(Default::default(), Vec::new());
    let hushwood_delivery::wire::Admission::Member(proof) = &mut request.admission else { panic!() };
    proof.at += LATER - 100_000;
    earlier.commit(bob.signed_commit(request)).await.unwrap();
    settings.clock = || hushwood_delivery::backend::Seconds(test_support::actor::NOW.0 + LATER);
    Service::new(world.backend.clone(), settings).await.unwrap().settle().await.unwrap();
    assert_eq!(world.backend.head(&unused).await, Ok(None));
    assert!(world.backend.head(&bob.group_id()).await.unwrap().is_some());
}

/// A node remembers a group that was erased meanwhile and created anew: same id, same key, same epoch.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_memory_of_a_group_is_not_taken_for_the_new_one() {
    let world = world().await;
    let (mut alice, mut bob) = two(&world).await;
    let old_node = &world.service;
    let before = alice.actor.group().epoch();
    let proposal = bob.actor.propose(hushwood::group::NewProposal::Update(Default::default())).unwrap();
    old_node.send(bob.send_request(proposal)).await.unwrap();

    let always = hushwood_delivery::backend::Seconds(u64::MAX);
    world.backend.erase_group(&alice.group_id(), always).await.unwrap();
    assert!(matches!(old_node.read(alice.read_request(0)).await, Err(Refusal::NotFound(_))));
    let other_node = crate::world::node(&world.backend).await;
    let device = alice.log_in(&other_node).await;
    other_node.create_group(device, alice.create_request()).await.unwrap();
    assert_eq!(alice.actor.group().epoch(), before);

    let message = alice.actor.send(b"anew").unwrap();
    assert_eq!(old_node.send(alice.send_request(message)).await, Ok(SendAnswer::Accepted(1)));
    assert_eq!(alice.update(old_node).await, 2, "the proposal of the other life is not there");
    bob.read = 0;
    assert_eq!(bob.sync(&other_node).await, [b"anew"]);
    assert_eq!(bob.actor.group().epoch(), before + 1);
}

/// Groups that do not fit into memory are read again; those who ask with a wrong key leave nothing there.
#[tokio::test(flavor = "multi_thread")]
async fn groups_that_do_not_fit_are_read_again() {
    let mut settings = settings();
    settings.max_followed = 1;
    let world = world_with(settings).await;
    let (mut alice, mut bob) = two(&world).await;
    for _ in 0..5 {
        let message = alice.actor.send(b"hi").unwrap();
        let mut wrong = alice.send_request(message.clone());
        wrong.key = GroupKey::new([8; 32]);
        assert!(matches!(world.service.send(wrong).await, Err(Refusal::Forbidden(_))));
        world.service.send(alice.send_request(message)).await.unwrap();
        alice.update(&world.service).await;
        assert_eq!(bob.sync(&world.service).await, [b"hi"]);
    }
}

/// Whoever asks for more checks than can be made is told to come again, and the node goes on.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_checks_at_once_are_refused_and_later_ones_made() {
    let mut narrow = settings();
    (narrow.checks, narrow.waiting_checks) = (1, 1);
    let world = world().await;
    let service = Arc::new(Service::new(world.backend.clone(), narrow).await.unwrap());
    let (mut alice, device) = Client::registered("alice", &service).await;
    let packages = std::iter::repeat_with(|| PublishedKeyPackage { message: alice.actor.key_package() });
    let packages: Vec<_> = packages.take(100).collect();
    let mut running = Vec::new();
    for _ in 0..20 {
        let (service, packages) = (service.clone(), packages.clone());
        running.push(tokio::spawn(async move { service.publish(device, packages).await }));
    }
    let mut refused = 0;
    for one in running {
        match one.await.unwrap() {
            Ok(()) => {}
            Err(Refusal::TooMany(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 0);
    assert_eq!(service.publish(device, packages).await, Ok(()));
}
