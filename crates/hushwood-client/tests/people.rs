//! Who is who: keys that change, several devices of one person, histories that differ.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Person, World};
use hushwood_client::core::{Next, Request};
use hushwood_client::{Attention, Error, EventKind, Invitations, Known, RoomId, Settings, Transport, Trust};
use hushwood_delivery::wire::{Answer, Call, ReadAnswer};

fn person(name: &str, seed: u64) -> Person {
    // Whom they do not know yet may invite them.
    let settings = Settings { invitations: Invitations::All, ..Settings::default() };
    Person::with(name, seed, settings, Trust::on_first_use)
}

fn pair(world: &mut World) -> (Person, Person, RoomId) {
    let (mut alice, mut bob) = (person("alice", 1), person("bob", 2));
    bob.sync(world);
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    alice.done(world, |core| core.invite(&room, "bob"));
    bob.sync(world);
    (alice, bob, room)
}

/// A device is linked by another of the same person.
fn link(world: &mut World, old: &mut Person, new: &mut Person) {
    new.does(hushwood_client::Core::link);
    new.settle(world);
    let shown = new.core.link_request().unwrap().expect("the service has given something to sign");
    let answer = old.does(|core| core.authorize(&shown));
    new.does(|core| core.linked(&answer));
    new.sync(world);
}

#[test]
fn a_new_device_is_linked_and_brought_into_all_rooms() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = pair(&mut world);
    // It follows invitations of those whom it knows alone: of the device that has linked it.
    let mut phone = Person::with("bob", 3, Settings::default(), Trust::on_first_use);
    link(&mut world, &mut bob, &mut phone);
    let numbers = bob.does(hushwood_client::Core::invite_own_devices);
    bob.settle(&mut world);
    for number in numbers {
        assert!(matches!(bob.core.result(number), Some(Ok(_))));
    }
    phone.sync(&mut world);
    alice.sync(&mut world);
    let asked = alice.events().into_iter().any(|event| matches!(event.kind, EventKind::NeedsAttention(_)));
    assert!(!asked, "she knows the device that vouches for it");
    assert_eq!(alice.people(&room), ["alice", "bob", "bob"]);
    phone.say(&mut world, &room, "from the phone");
    alice.sync(&mut world);
    bob.sync(&mut world);
    assert_eq!(alice.texts(), [("bob".to_owned(), "from the phone".to_owned())]);
    assert_eq!(bob.texts(), [("bob".to_owned(), "from the phone".to_owned())]);

    // Who is invited comes with all devices.
    let now = world.now;
    let other = alice.does(|core| core.create_room("coffee", now));
    alice.done(&mut world, |core| core.invite(&other, "bob"));
    assert_eq!(alice.people(&other), ["alice", "bob", "bob"]);

    // One is lost: it is taken out of everything.
    let lost = phone.core.member().device;
    bob.sync(&mut world);
    bob.does(|core| core.revoke(lost));
    bob.settle(&mut world);
    alice.sync(&mut world);
    assert_eq!(alice.people(&room), ["alice", "bob"]);
    assert_eq!(alice.people(&other), ["alice", "bob"]);
    // It still reads that it was removed, though it has no account any more.
    for _ in 0..2 {
        phone.sync(&mut world);
    }
    assert_eq!(phone.core.trouble(None), Some(&Error::Revoked));
    let events = phone.events();
    assert!(events.iter().any(|event| matches!(event.kind, EventKind::Removed { .. })), "{events:?}");
    phone.restart();
    phone.sync(&mut world);
    assert_eq!(phone.core.trouble(None), Some(&Error::UnknownDevice));
}

#[test]
fn nobody_is_linked_whom_no_device_has_agreed_to() {
    let mut world = World::new();
    let (_, mut bob, _) = pair(&mut world);
    let mut mallory = person("bob", 4);
    mallory.sync(&mut world);
    assert!(matches!(mallory.core.trouble(None), Some(Error::Refused(_))), "the name is taken");
    let mut other = person("bob", 5);
    other.does(hushwood_client::Core::link);
    other.settle(&mut world);
    let shown = other.core.link_request().unwrap().unwrap();
    let answer = bob.does(|core| core.authorize(&shown));
    assert_eq!(bob.core.authorize(b"nonsense"), Err(Error::Void("this is not what a new device shows")));
    // What was agreed to for one device is worth nothing to another.
    let mut third = person("bob", 6);
    third.does(hushwood_client::Core::link);
    third.settle(&mut world);
    third.does(|core| core.linked(&answer));
    third.sync(&mut world);
    assert!(matches!(third.core.trouble(None), Some(Error::NotLinked(_))));
}

#[test]
fn another_key_under_a_known_name_is_refused_until_it_is_trusted() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = pair(&mut world);
    let contacts = alice.does(|core| core.contacts(&room));
    let known = |name: &str| contacts.iter().find(|contact| contact.member.person == name).unwrap().clone();
    assert_eq!((known("alice").trust, known("bob").trust), (Known::Own, Known::Seen));
    let of_bob = bob.does(|core| core.contacts(&room));
    let of_alice = of_bob.iter().find(|contact| contact.member.person == "alice").unwrap();
    let numbers = (alice.core.safety_number(&known("bob").claim), bob.core.safety_number(&bob.core.claim()));
    assert_eq!(numbers.0, numbers.1, "she sees the number that he has of himself");
    assert_ne!(numbers.0, alice.core.safety_number(&of_alice.claim));
    let numbers = (alice.core.epoch_number(&room), bob.core.epoch_number(&room));
    assert_eq!(numbers.0, numbers.1, "both are in one state");
    alice.does(|core| core.trust(&known("bob").claim));
    let contacts = alice.does(|core| core.contacts(&room));
    assert_eq!(contacts.iter().filter(|contact| contact.trust == Known::Verified).count(), 1);

    // Carol trusts nobody whom she has not verified.
    let mut carol = Person::with("carol", 9, Settings::default(), Trust::known_only);
    carol.sync(&mut world);
    alice.done(&mut world, |core| core.invite(&room, "carol"));
    carol.sync(&mut world);
    let attention = carol.events().into_iter().find_map(|event| match event.kind {
        EventKind::NeedsAttention(Attention::UnknownKey(member)) => Some(member),
        _ => None,
    });
    let doubted = attention.expect("she is asked");
    for _ in 0..2 {
        let Some(claim) = carol.core.doubted(&doubted).cloned() else { break };
        carol.does(|core| core.trust(&claim));
    }
    // The other one is asked for next; then she is in.
    for _ in 0..2 {
        carol.sync(&mut world);
        for event in carol.events() {
            if let EventKind::NeedsAttention(Attention::UnknownKey(member)) = event.kind {
                let claim = carol.core.doubted(&member).cloned().unwrap();
                carol.does(|core| core.trust(&claim));
            }
        }
    }
    carol.sync(&mut world);
    assert_eq!(carol.people(&room), ["alice", "bob", "carol"]);
}

#[test]
fn a_device_is_revoked_though_the_process_ends_before_the_service_was_asked() {
    let mut world = World::new();
    let (_, mut bob, _) = pair(&mut world);
    let mut phone = person("bob", 3);
    link(&mut world, &mut bob, &mut phone);
    let lost = phone.core.member().device;
    bob.does(|core| core.revoke(lost));
    bob.restart();
    bob.sync(&mut world);
    phone.restart();
    for _ in 0..2 {
        phone.sync(&mut world);
    }
    assert_eq!(phone.core.trouble(None), Some(&Error::UnknownDevice));
    // And is asked once.
    bob.restart();
    bob.core.want_sync();
    while let Some(Request { id, call, token }) = bob.request(world.now) {
        assert!(!matches!(call, Call::Revoke(_)));
        let answer = world.transport().call(call, token.as_deref());
        bob.answer(id, answer, world.now);
    }
}

/// A service that keeps one message from Bob and numbers the rest anew.
#[test]
fn a_service_that_hides_a_message_is_noticed() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = pair(&mut world);
    alice.say(&mut world, &room, "one");
    alice.say(&mut world, &room, "hidden");
    alice.say(&mut world, &room, "three");
    let transport = world.transport();
    bob.core.want_sync();
    while let Next::Request(request) = bob.does(|core| core.poll(world.now)) {
        let Request { id, call, token } = *request;
        let answer = transport.call(call, token.as_deref()).map(|answer| match answer {
            Answer::Read(ReadAnswer::Page(mut page)) if page.entries.len() == 3 => {
                page.entries.remove(1);
                page.entries[1].sequence -= 1;
                page.newest -= 1;
                Answer::Read(ReadAnswer::Page(page))
            }
            answer => answer,
        });
        bob.answer(id, answer, world.now);
    }
    let events = bob.events();
    assert!(
        events.iter().any(|event| matches!(&event.kind, EventKind::Gap { missing: 1, .. })),
        "{events:?}"
    );
    let fork = events.iter().any(
        |event| matches!(&event.kind, EventKind::Fork { with: Some(with), .. } if with.person == "alice"),
    );
    assert!(fork, "{events:?}");
    let now = world.now;
    assert_eq!(bob.core.send(&room, b"who hears this?", now), Err(Error::Forked));

    // He comes back by himself, and all is well.
    bob.done(&mut world, |core| core.rejoin(&room));
    alice.sync(&mut world);
    bob.say(&mut world, &room, "I am back");
    alice.sync(&mut world);
    assert_eq!(alice.texts(), [("bob".to_owned(), "I am back".to_owned())]);
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));
    bob.restart();
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));
}

/// A machine is put back to an old backup: it must not go on from there.
#[test]
fn an_old_backup_is_noticed_and_comes_back() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = pair(&mut world);
    bob.sync(&mut world);
    let backup = bob.disk.state().store.snapshot();
    bob.say(&mut world, &room, "after the backup");
    bob.disk.state().store = backup;
    bob.restart();
    bob.sync(&mut world);
    let events = bob.events();
    assert!(events.iter().any(|event| matches!(event.kind, EventKind::Fork { .. })), "{events:?}");
    bob.done(&mut world, |core| core.rejoin(&room));
    alice.sync(&mut world);
    alice.events();
    bob.say(&mut world, &room, "with new keys");
    alice.sync(&mut world);
    assert_eq!(alice.texts(), [("bob".to_owned(), "with new keys".to_owned())]);
}

#[test]
fn old_keys_are_renewed_and_stock_is_refilled() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = pair(&mut world);
    let before = alice.does(|core| Ok(core.group(&room)?.epoch()));
    world.pass(8 * 24 * 60 * 60 * 1000);
    alice.sync(&mut world);
    bob.sync(&mut world);
    alice.sync(&mut world);
    let after = alice.does(|core| Ok(core.group(&room)?.epoch()));
    assert_eq!(after, before + 2, "each has new keys");
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));
    // More invitations than there were KeyPackages at first.
    let now = world.now;
    for number in 0..40 {
        let room = alice.does(|core| core.create_room(&format!("room {number}"), now));
        alice.done(&mut world, |core| core.invite(&room, "bob"));
        if number % 10 == 9 {
            world.pass(7 * 60 * 60 * 1000);
            bob.sync(&mut world);
        }
    }
    bob.sync(&mut world);
    assert_eq!(bob.core.rooms().count(), 41);
}

#[test]
fn of_many_who_could_commit_a_proposal_one_does() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = pair(&mut world);
    let mut others: Vec<_> = (0..4).map(|number| person(&format!("person{number}"), 20 + number)).collect();
    for other in &mut others {
        other.sync(&mut world);
        let name = other.name.clone();
        alice.done(&mut world, |core| core.invite(&room, &name));
    }
    bob.sync(&mut world);
    bob.done(&mut world, |core| core.leave(&room));
    let epoch = |person: &mut Person| person.does(|core| Ok(core.group(&room)?.epoch()));
    let before = epoch(&mut alice);
    for _ in 0..3 {
        alice.sync(&mut world);
        for other in &mut others {
            other.sync(&mut world);
        }
    }
    assert_eq!(epoch(&mut alice), before + 1, "one commit, not five");
    assert_eq!(alice.people(&room).len(), 5);
}

/// Whoever has a device that was revoked can sign with it that others are of the same person.
#[test]
fn a_revoked_device_is_believed_no_more_nor_whom_it_vouches_for() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = pair(&mut world);
    let mut phone = person("bob", 3);
    link(&mut world, &mut bob, &mut phone);
    bob.does(hushwood_client::Core::invite_own_devices);
    bob.settle(&mut world);
    for person in [&mut phone, &mut alice] {
        person.sync(&mut world);
        person.events();
    }
    let lost = phone.core.member().clone();
    let contacts = alice.does(|core| core.contacts(&room));
    let claim = contacts.iter().find(|one| one.member == lost).unwrap().claim.clone();
    // Before anybody knows, it has another device linked.
    let mut ghost = person("bob", 4);
    link(&mut world, &mut phone, &mut ghost);
    bob.does(|core| core.revoke(lost.device));
    bob.settle(&mut world);
    alice.sync(&mut world);
    let events = alice.events();
    let told = events.iter().any(|event| {
        matches!(&event.kind, EventKind::DeviceRevoked { member, by } if *member == lost && by == bob.core.member())
    });
    assert!(told, "{events:?}");
    assert_eq!(alice.people(&room), ["alice", "bob"]);

    // Alice invites all devices of Bob: the one that the lost one has vouched for is none that she knows.
    let now = world.now;
    let other = alice.does(|core| core.create_room("coffee", now));
    let number = alice.does(|core| core.invite(&other, "bob"));
    alice.settle(&mut world);
    assert_eq!(alice.core.result(number), Some(Err(Error::KeyChanged { person: "bob".to_owned() })));
    let refused: Vec<_> = alice.core.all_doubted().map(|(member, _)| member.clone()).collect();
    assert_eq!(refused, [ghost.core.member().clone()]);
    // And if it comes back itself, it is nobody.
    alice.restart();
    assert!(alice.does(|core| core.contacts(&room)).iter().all(|one| one.claim != claim));
    let known = |person: &mut Person| person.does(|core| Ok(core.known(&claim)));
    assert_eq!((known(&mut alice), known(&mut bob)), (Known::Doubted, Known::Doubted));
}

/// Only another device of the same person says so of one.
#[test]
fn nobody_revokes_the_device_of_somebody_else() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = pair(&mut world);
    let now = world.now;
    let of_bob = bob.core.member().device;
    // As if it were one of hers.
    alice.does(|core| core.revoke(of_bob));
    alice.settle(&mut world);
    bob.sync(&mut world);
    alice.does(|core| core.send(&room, b"hello", now));
    alice.settle(&mut world);
    bob.sync(&mut world);
    assert_eq!(bob.texts(), [("alice".to_owned(), "hello".to_owned())]);
    let contacts = alice.does(|core| core.contacts(&room));
    assert!(contacts.iter().all(|one| one.trust != Known::Doubted));
}
