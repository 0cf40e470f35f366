//! Invitations: whose are followed, which wait, and that none stays in the inbox.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Person, World};
use hushwood_client::core::Request;
use hushwood_client::{
    Error, Event, EventKind, Invitation, Invitations, Known, RoomId, Settings, Transport, TransportError,
    Trust,
};
use hushwood_delivery::wire::{Answer, Call};

fn person(name: &str, seed: u64, settings: Settings) -> Person {
    Person::with(name, seed, settings, Trust::on_first_use)
}

/// Alice has invited Bob, who does not know her.
fn invited(world: &mut World, settings: Settings) -> (Person, Person, RoomId) {
    let (mut alice, mut bob) = (person("alice", 1, Settings::default()), person("bob", 2, settings));
    bob.sync(world);
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    alice.done(world, |core| core.invite(&room, "bob"));
    bob.sync(world);
    (alice, bob, room)
}

fn told(events: &[Event]) -> Vec<(RoomId, Invitation)> {
    let told = events.iter().filter_map(|event| match &event.kind {
        EventKind::Invited(invitation) => Some((event.room.clone(), invitation.clone())),
        _ => None,
    });
    told.collect()
}

/// How many Welcomes the service has for somebody.
fn in_inbox(person: &mut Person, world: &mut World) -> usize {
    let (transport, mut count) = (world.transport(), 0);
    person.core.want_sync();
    while let Some(Request { id, call, token }) = person.request(world.now) {
        let answer = transport.call(call, token.as_deref());
        if let Ok(Answer::Inbox(inbox)) = &answer {
            count = count.max(inbox.welcomes.len());
        }
        person.answer(id, answer, world.now);
    }
    count
}

#[test]
fn an_invitation_of_a_stranger_waits_and_is_followed_when_it_is_accepted() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = invited(&mut world, Settings::default());
    let told = told(&bob.events());
    let [(to, invitation)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(*to, room);
    assert_eq!((invitation.by.person.as_str(), invitation.by_trust), ("alice", Known::Unknown));
    let members: Vec<_> =
        invitation.members.iter().map(|one| (one.member.person.as_str(), one.trust)).collect();
    assert_eq!(members, [("alice", Known::Unknown), ("bob", Known::Own)]);
    assert_eq!((invitation.count, invitation.external_senders), (2, 0));
    assert_eq!(bob.core.rooms().count(), 0);

    // It waits here, not there, across restarts, and is told once.
    assert_eq!(in_inbox(&mut bob, &mut world), 0);
    bob.restart();
    bob.sync(&mut world);
    assert_eq!(bob.events(), []);
    assert_eq!(bob.core.invitations(), [(room.clone(), invitation.clone())]);

    alice.say(&mut world, &room, "are you coming?");
    bob.does(|core| core.accept_invitation(invitation.id));
    bob.sync(&mut world);
    assert_eq!(bob.people(&room), ["alice", "bob"]);
    assert_eq!(bob.texts(), [("alice".to_owned(), "are you coming?".to_owned())]);
    assert_eq!(bob.core.invitations(), []);
    let contacts = bob.does(|core| core.contacts(&room));
    assert!(contacts.iter().any(|one| one.member.person == "alice" && one.trust == Known::Seen));

    // Now she is known.
    let now = world.now;
    let other = alice.does(|core| core.create_room("coffee", now));
    alice.done(&mut world, |core| core.invite(&other, "bob"));
    bob.sync(&mut world);
    assert_eq!(bob.people(&other), ["alice", "bob"]);
}

#[test]
fn an_invitation_that_is_refused_is_gone_and_nobody_in_it_is_known() {
    let mut world = World::new();
    let (mut alice, mut bob, _) = invited(&mut world, Settings::default());
    let id = bob.core.invitations()[0].1.id;
    bob.does(|core| core.refuse_invitation(id));
    assert!(matches!(bob.core.accept_invitation(id), Err(Error::Void(_))));
    bob.restart();
    bob.sync(&mut world);
    assert_eq!((bob.core.invitations(), bob.core.rooms().count()), (Vec::new(), 0));
    // Another one of hers is one of a stranger again.
    let now = world.now;
    let other = alice.does(|core| core.create_room("coffee", now));
    alice.done(&mut world, |core| core.invite(&other, "bob"));
    bob.sync(&mut world);
    assert_eq!(bob.core.invitations()[0].1.by_trust, Known::Unknown);
}

#[test]
fn who_wants_to_be_asked_is_asked_about_everybody() {
    let mut world = World::new();
    let settings = Settings { invitations: Invitations::Ask, ..Settings::default() };
    let (mut alice, mut bob, _) = invited(&mut world, settings);
    let id = bob.core.invitations()[0].1.id;
    bob.does(|core| core.accept_invitation(id));
    bob.sync(&mut world);
    let now = world.now;
    let other = alice.does(|core| core.create_room("coffee", now));
    alice.done(&mut world, |core| core.invite(&other, "bob"));
    bob.sync(&mut world);
    assert_eq!(bob.core.invitations()[0].1.by_trust, Known::Seen);
    assert_eq!(bob.core.rooms().count(), 1);
}

#[test]
fn an_invitation_into_a_room_that_we_are_in_does_not_stay() {
    let mut world = World::new();
    // Only a KeyPackage of last resort, which opens a Welcome as often as it comes.
    let settings = Settings { stock: 0, invitations: Invitations::All, ..Settings::default() };
    let (mut alice, mut bob) = (person("alice", 1, Settings::default()), person("bob", 2, settings));
    bob.sync(&mut world);
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    alice.done(&mut world, |core| core.invite(&room, "bob"));
    // He joins, and the service does not hear that he has it.
    let transport = world.transport();
    bob.core.want_sync();
    for _ in 0..200 {
        if bob.core.rooms().count() > 0 {
            break;
        }
        match bob.request(world.now) {
            Some(Request { id, call: Call::Acknowledge(_), .. }) => {
                bob.answer(id, Err(TransportError::Unreachable("down".to_owned())), world.now);
                // It is asked again much later.
                bob.restart();
            }
            Some(Request { id, call, token }) => {
                bob.answer(id, transport.call(call, token.as_deref()), world.now);
            }
            None => world.pass(1_000),
        }
    }
    assert_eq!(bob.people(&room), ["alice", "bob"]);
    bob.restart();
    assert_eq!(in_inbox(&mut bob, &mut world), 1, "it is still there");
    assert_eq!(in_inbox(&mut bob, &mut world), 0, "and is not any more");
    bob.restart();
    bob.sync(&mut world);
    assert_eq!(bob.core.invitations(), []);
    alice.say(&mut world, &room, "hello");
    bob.sync(&mut world);
    assert_eq!(bob.texts(), [("alice".to_owned(), "hello".to_owned())]);
}
