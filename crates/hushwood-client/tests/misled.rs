//! A service that shows what is not so (RFC 9750 §5.3, §8.4.2).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Person, World, invited_by_all};
use hushwood_client::{Error, Event, EventKind, Known, RoomId, Settings, Standing, Transport, Trust};
use hushwood_delivery::wire::{Answer, Call, EntryKind, LogPage, ReadAnswer};

fn person(name: &str, seed: u64) -> Person {
    Person::with(name, seed, invited_by_all(), Trust::on_first_use)
}

fn pair(world: &mut World, mut bob: Person) -> (Person, Person, RoomId) {
    let mut alice = person("alice", 1);
    bob.sync(world);
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    alice.done(world, |core| core.invite(&room, "bob"));
    bob.sync(world);
    bob.events();
    (alice, bob, room)
}

/// Reads what is new, as somebody in between has changed it.
fn read(person: &mut Person, world: &mut World, mut change: impl FnMut(&mut LogPage)) {
    person.core.want_sync();
    person.settle_by(world, |transport, call, token| {
        transport.call(call, token).map(|answer| match answer {
            Answer::Read(ReadAnswer::Page(mut page)) => {
                change(&mut page);
                Answer::Read(ReadAnswer::Page(page))
            }
            answer => answer,
        })
    });
}

/// As if the service gave out KeyPackages of others (A002).
#[test]
fn a_key_package_of_somebody_else_is_not_added() {
    let mut world = World::new();
    let (mut alice, mut carol) = (person("alice", 1), person("carol", 3));
    let mut bob = person("bob", 2);
    for person in [&mut bob, &mut carol] {
        person.sync(&mut world);
    }
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    let number = alice.does(|core| core.invite(&room, "bob"));
    alice.settle_by(&mut world, |transport, mut call, token| {
        if let Call::Claim(claim) = &mut call {
            claim.name = b"carol".to_vec();
        }
        transport.call(call, token)
    });
    let refused = Error::BadAnswer("a KeyPackage of somebody else");
    assert_eq!(alice.core.result(number), Some(Err(refused)));
    assert_eq!(alice.people(&room), ["alice"]);
    carol.sync(&mut world);
    assert_eq!(carol.core.rooms().count(), 0);
}

/// A commit arrives as nobody made it. Coming back means to believe the service what the group is, so it is not done without
/// being asked for (A060), and it brings back nothing of what was said meanwhile (A111).
#[test]
fn who_can_not_follow_comes_back_when_asked_to_and_is_told_what_is_missing() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = pair(&mut world, person("bob", 2));
    alice.done(&mut world, |core| core.renew(&room));
    read(&mut bob, &mut world, |page| {
        for entry in &mut page.entries {
            *entry.message.last_mut().unwrap() ^= 1;
        }
    });
    let told =
        |events: &[Event]| events.iter().filter(|event| matches!(event.kind, EventKind::Fork { .. })).count();
    assert_eq!(told(&bob.events()), 1);
    alice.say(&mut world, &room, "meanwhile");
    let epoch = |person: &mut Person| person.does(|core| Ok(core.group(&room)?.epoch()));
    let before = epoch(&mut alice);
    for _ in 0..3 {
        world.pass(24 * 60 * 60 * 1000);
        bob.sync(&mut world);
        alice.sync(&mut world);
    }
    assert_eq!(bob.core.standing(&room), Ok(Standing::Forked));
    assert_eq!(epoch(&mut alice), before, "nobody has come back");

    bob.done(&mut world, |core| core.rejoin(&room));
    let events = bob.events();
    let gap = EventKind::Gap { from: None, missing: 1 };
    assert!(events.iter().any(|event| event.kind == gap), "{events:?}");
    let back =
        events.iter().any(|event| matches!(&event.kind, EventKind::Joined { by } if by.person == "bob"));
    assert!(back, "{events:?}");
    alice.sync(&mut world);
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));
}

/// A message of an epoch to come is kept until its commit is there, as many as the settings say (A135).
#[test]
fn a_message_that_comes_before_its_commit_waits_for_it() {
    for (most, texts) in [(1, 1), (0, 0)] {
        let mut world = World::new();
        let settings = Settings {
            early_messages: most,
            early_age: std::time::Duration::from_secs(60),
            ..invited_by_all()
        };
        let bob = Person::with("bob", 2, settings, Trust::on_first_use);
        let (mut alice, mut bob, room) = pair(&mut world, bob);
        alice.done(&mut world, |core| core.renew(&room));
        alice.say(&mut world, &room, "in the new epoch");
        read(&mut bob, &mut world, |page| {
            if let [commit, message] = &mut page.entries[..] {
                assert_eq!((commit.kind, message.kind), (EntryKind::Commit, EntryKind::Message));
                std::mem::swap(&mut commit.sequence, &mut message.sequence);
                page.entries.reverse();
            }
        });
        let events = bob.events();
        let count = |is: fn(&EventKind) -> bool| events.iter().filter(|event| is(&event.kind)).count();
        assert_eq!(count(|kind| matches!(kind, EventKind::Message(_))), texts, "{events:?}");
        assert_eq!(count(|kind| matches!(kind, EventKind::Gap { missing: 1, .. })), 1 - texts, "{events:?}");
    }
}

/// Coming back means to believe the service who is there: whoever is new is shown first (A060).
#[test]
fn who_comes_back_sees_first_who_is_new_there() {
    let mut world = World::new();
    let bob = Person::with("bob", 2, Settings::default(), Trust::on_first_use);
    let mut alice = person("alice", 1);
    let (mut bob, mut carol) = (bob, person("carol", 3));
    bob.sync(&mut world);
    carol.sync(&mut world);
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    alice.done(&mut world, |core| core.invite(&room, "bob"));
    bob.sync(&mut world);
    let (_, invitation) = bob.core.invitations().pop().unwrap();
    bob.does(|core| core.accept_invitation(invitation.id));
    bob.sync(&mut world);
    bob.events();

    let forked = |bob: &mut Person, world: &mut World| {
        read(bob, world, |page| {
            for entry in &mut page.entries {
                entry.message.truncate(3);
            }
        });
        assert_eq!(bob.core.standing(&room), Ok(Standing::Forked));
        bob.events();
    };
    alice.done(&mut world, |core| core.renew(&room));
    forked(&mut bob, &mut world);
    // Nobody is new: he is back at once.
    bob.done(&mut world, |core| core.rejoin(&room));
    bob.events();

    alice.sync(&mut world);
    alice.done(&mut world, |core| core.invite(&room, "carol"));
    forked(&mut bob, &mut world);
    let number = bob.does(|core| core.rejoin(&room));
    bob.settle(&mut world);
    assert!(
        matches!(bob.core.result(number), Some(Err(Error::Void(why))) if why.contains("rejoin it again"))
    );
    assert_eq!(bob.core.standing(&room), Ok(Standing::Forked));
    let shown = bob.events().into_iter().find_map(|event| match event.kind {
        EventKind::Returning(returning) => Some(returning),
        _ => None,
    });
    let shown = shown.expect("he is told who is there");
    let trust = |name: &str| shown.members.iter().find(|one| one.member.person == name).unwrap().trust;
    assert_eq!((shown.count, trust("carol"), trust("alice")), (3, Known::Unknown, Known::Seen));
    bob.restart();
    bob.done(&mut world, |core| core.rejoin(&room));
    assert_eq!(bob.people(&room), ["alice", "bob", "carol"]);
    alice.sync(&mut world);
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));
}
