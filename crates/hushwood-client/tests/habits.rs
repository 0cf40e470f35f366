//! What a client does, tells and forgets without being asked (RFC 9750 §5.1, §8.2.2, §8.3.4, §8.6).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;

use common::{Person, World, invited_by_all};
use hushwood::group::client::key_packages;
use hushwood_client::{Attention, Event, EventKind, Member, MessageId, RoomId, Settings, Trust};

const DAY: u64 = 24 * 60 * 60 * 1000;

fn person(name: &str, seed: u64) -> Person {
    Person::with(name, seed, invited_by_all(), Trust::on_first_use)
}

/// Alice's room, with others in it who are there.
fn room_with(world: &mut World, alice: &mut Person, others: &mut [&mut Person]) -> RoomId {
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    for other in others {
        other.sync(world);
        let name = other.name.clone();
        alice.done(world, |core| core.invite(&room, &name));
        other.sync(world);
    }
    room
}

fn epoch(person: &mut Person, room: &RoomId) -> u64 {
    person.does(|core| Ok(core.group(room)?.epoch()))
}

/// The KeyPackages of last resort that a client has keys of.
fn last_resorts(person: &Person) -> usize {
    let all = key_packages(&person.disk).unwrap();
    all.iter().filter(|(_, private)| private.is_last_resort()).count()
}

/// One that others may have been given, too: the member has new keys at once (A036), the service another KeyPackage (A035), and
/// the old one's keys go when nobody is on the way any more who was given it (A037).
#[test]
fn a_key_package_of_last_resort_is_followed_by_new_keys_and_another_one() {
    let mut world = World::new();
    let settings = Settings { stock: 0, stock_low: 0, ..invited_by_all() };
    let mut alice = person("alice", 1);
    let mut bob = Person::with("bob", 2, settings, Trust::on_first_use);
    bob.sync(&mut world);
    world.pass(60_000);
    let room = room_with(&mut world, &mut alice, &mut [&mut bob]);
    alice.sync(&mut world);
    assert_eq!(epoch(&mut alice, &room), 2, "Bob was added, and has new keys");
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));
    assert_eq!(last_resorts(&bob), 2, "somebody else may have invited him with the first");

    // The service has the second: he is invited with it.
    world.pass(60_000);
    let other = room_with(&mut world, &mut alice, &mut [&mut bob]);
    alice.sync(&mut world);
    assert_eq!(epoch(&mut alice, &other), 2);
    assert_eq!(last_resorts(&bob), 3);

    world.pass(8 * DAY);
    bob.sync(&mut world);
    assert_eq!(last_resorts(&bob), 1, "that which the service has");
    room_with(&mut world, &mut alice, &mut [&mut bob]);
    assert_eq!(bob.core.rooms().count(), 3);

    // One that nobody has used is replaced when it is old.
    world.pass(50 * DAY);
    bob.sync(&mut world);
    let before = last_resorts(&bob);
    world.pass(8 * DAY);
    bob.sync(&mut world);
    assert_eq!((before, last_resorts(&bob)), (2, 1));
    room_with(&mut world, &mut alice, &mut [&mut bob]);
    assert_eq!(bob.core.rooms().count(), 4);
}

/// A member who was invited with one of many has the keys that nobody else was given.
#[test]
fn an_ordinary_key_package_needs_no_new_keys() {
    let mut world = World::new();
    let (mut alice, mut bob) = (person("alice", 1), person("bob", 2));
    let room = room_with(&mut world, &mut alice, &mut [&mut bob]);
    alice.sync(&mut world);
    assert_eq!(epoch(&mut alice, &room), 1);
    assert_eq!(last_resorts(&bob), 1);
}

/// MLS does not keep a member from encrypting once more what another has said: a name does (A119).
#[test]
fn what_is_said_again_under_a_name_is_heard_once() {
    let mut world = World::new();
    let (mut alice, mut bob, mut carol) = (person("alice", 1), person("bob", 2), person("carol", 3));
    let room = room_with(&mut world, &mut alice, &mut [&mut bob, &mut carol]);
    let now = world.now;
    let mut say = |who: &mut Person, name: u8| {
        who.done(&mut world, |core| core.send_as(&room, MessageId([name; 16]), b"yes", now));
    };
    say(&mut bob, 1);
    say(&mut carol, 1);
    say(&mut carol, 2);
    alice.sync(&mut world);
    assert_eq!(
        alice.texts(),
        [("bob", "yes"), ("carol", "yes")].map(|(who, text)| (who.to_owned(), text.to_owned()))
    );
}

/// All clients of one application do the same about a credential that is not believed: nothing of the room is read on, until
/// somebody says that it is right (A009).
#[test]
fn a_room_waits_where_somebody_is_added_who_is_not_believed() {
    let mut world = World::new();
    let mut alice = Person::with("alice", 1, Settings::default(), Trust::known_only);
    let (mut bob, mut carol) = (person("bob", 2), person("carol", 3));
    for person in [&mut alice, &mut carol] {
        person.sync(&mut world);
    }
    let now = world.now;
    let room = bob.does(|core| core.create_room("tea", now));
    bob.done(&mut world, |core| core.invite(&room, "alice"));
    let doubted = |alice: &mut Person| -> Vec<Member> {
        let of = |event: Event| match event.kind {
            EventKind::NeedsAttention(Attention::UnknownKey(member)) => Some(member),
            _ => None,
        };
        alice.events().into_iter().filter_map(of).collect()
    };
    let trust_next = |alice: &mut Person, world: &mut World| {
        alice.sync(world);
        let who = doubted(alice);
        for member in &who {
            let claim = alice.core.doubted(member).cloned().unwrap();
            alice.does(|core| core.trust(&claim));
        }
        alice.sync(world);
        who
    };
    while alice.core.rooms().next().is_none() {
        assert_ne!(trust_next(&mut alice, &mut world), []);
    }

    bob.done(&mut world, |core| core.invite(&room, "carol"));
    bob.say(&mut world, &room, "carol is here");
    for _ in 0..3 {
        alice.sync(&mut world);
    }
    assert_eq!(alice.people(&room), ["alice", "bob"]);
    let messages = alice.core.history(&room, None, 10).unwrap();
    assert_eq!(messages, [], "nothing after it");
    assert_eq!(trust_next(&mut alice, &mut world), [carol.core.member().clone()], "told once");
    assert_eq!(alice.people(&room), ["alice", "bob", "carol"]);
    assert_eq!(alice.texts(), [("bob".to_owned(), "carol is here".to_owned())]);
}

/// Who comes, goes or has other keys is seen as it happens (A016).
#[test]
fn every_change_of_members_is_told() {
    let mut world = World::new();
    let (mut alice, mut bob, mut carol) = (person("alice", 1), person("bob", 2), person("carol", 3));
    let room = room_with(&mut world, &mut alice, &mut [&mut bob]);
    bob.events();
    let told =
        |bob: &mut Person| -> Vec<EventKind> { bob.events().into_iter().map(|event| event.kind).collect() };
    let member = |person: &Person| -> Member { person.core.member().clone() };
    let (by, who) = (member(&alice), member(&carol));
    carol.sync(&mut world);
    alice.done(&mut world, |core| core.invite(&room, "carol"));
    bob.sync(&mut world);
    assert_eq!(
        told(&mut bob),
        [EventKind::MemberAdded { member: who.clone(), by: by.clone(), first_seen: true }]
    );
    alice.done(&mut world, |core| core.remove(&room, "carol"));
    bob.sync(&mut world);
    assert_eq!(told(&mut bob), [EventKind::MemberRemoved { member: who, by }]);
}

/// Whom to ask whether they are still there, and whom to remove (A113, A143).
#[test]
fn it_is_known_who_was_not_heard_for_long() {
    let mut world = World::new();
    let (mut alice, mut bob) = (person("alice", 1), person("bob", 2));
    let room = room_with(&mut world, &mut alice, &mut [&mut bob]);
    let heard = |alice: &mut Person| {
        let contacts = alice.does(|core| core.contacts(&room));
        contacts.into_iter().find(|contact| contact.member.person == "bob").unwrap().heard_at.unwrap()
    };
    let begun = heard(&mut alice);
    world.pass(30 * DAY);
    alice.sync(&mut world);
    assert_eq!(heard(&mut alice), begun);
    // He has said nothing, but his client has made new keys.
    bob.sync(&mut world);
    alice.sync(&mut world);
    assert!(heard(&mut alice) >= begun + 30 * DAY / 1000);
}

/// Where the application keeps messages itself, or nobody does, nothing of them stays (A117).
#[test]
fn without_a_history_nothing_of_a_message_stays() {
    const SECRET: &[u8] = b"the cake is in the cellar";
    for (history, stays) in [(0, false), (10, true)] {
        let mut world = World::new();
        let settings = Settings { history, ..invited_by_all() };
        let mut alice = Person::with("alice", 1, settings.clone(), Trust::on_first_use);
        let mut bob = Person::with("bob", 2, settings, Trust::on_first_use);
        for person in [&alice, &bob] {
            person.disk.state().rows = Some(BTreeMap::new());
        }
        let room = room_with(&mut world, &mut alice, &mut [&mut bob]);
        let now = world.now;
        alice.does(|core| core.send(&room, SECRET, now));
        assert!(alice.disk.state().has(SECRET), "it waits to be sent");
        alice.settle(&mut world);
        bob.sync(&mut world);
        assert!(bob.disk.state().has(SECRET), "it waits to be acknowledged");
        for person in [&mut alice, &mut bob] {
            person.events();
            assert_eq!(person.disk.state().has(SECRET), stays, "{} {history}", person.name);
        }
    }
}
