//! People make a room, invite, talk, and go: by the machine, over a service in the same process.

#![allow(
    clippy::as_conversions,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{Person, World, three};
use hushwood_client::{Done, EventKind, MessageId};

#[test]
fn people_are_invited_and_talk() {
    let mut world = World::new();
    let (mut alice, mut bob, mut carol, room) = three(&mut world);
    assert_eq!(alice.people(&room), ["alice", "bob", "carol"]);
    let joined = bob.events().into_iter().any(|event| {
        matches!(&event.kind, EventKind::Joined { by } if by.person == "alice") && event.room == room
    });
    assert!(joined);
    alice.say(&mut world, &room, "hello");
    bob.sync(&mut world);
    bob.say(&mut world, &room, "hello, Alice");
    for person in [&mut alice, &mut carol] {
        person.sync(&mut world);
    }
    assert_eq!(bob.texts(), [("alice".to_owned(), "hello".to_owned())]);
    let all = [("alice".to_owned(), "hello".to_owned()), ("bob".to_owned(), "hello, Alice".to_owned())];
    assert_eq!(carol.texts(), all);
    assert_eq!(carol.texts(), [], "each event is given until it is dealt with, and not after it");
    assert_eq!(alice.texts(), all[1..]);
    let history = carol.core.history(&room, None, 10).unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!(history[1].body, b"hello, Alice");
    let history = bob.core.history(&room, None, 10).unwrap();
    assert_eq!(history.len(), 2, "one's own messages too");
    assert_eq!(alice.authenticator(&room), carol.authenticator(&room));
}

#[test]
fn who_is_removed_is_told_and_reads_no_more() {
    let mut world = World::new();
    let (mut alice, mut bob, mut carol, room) = three(&mut world);
    let done = alice.done(&mut world, |core| core.remove(&room, "bob"));
    assert!(matches!(done, Done::Accepted(_)));
    alice.say(&mut world, &room, "he is gone");
    for person in [&mut bob, &mut carol] {
        person.sync(&mut world);
    }
    let events = bob.events();
    assert!(
        events.iter().any(|event| matches!(&event.kind, EventKind::Removed { by } if by.person == "alice")),
        "{events:?}"
    );
    assert_eq!(carol.texts(), [("alice".to_owned(), "he is gone".to_owned())]);
    assert_eq!(carol.people(&room), ["alice", "carol"]);
    let refused = bob.core.send(&room, b"am I?", world.now).unwrap_err();
    assert_eq!(refused, hushwood_client::Error::Removed);
    let gone = alice.core.remove(&room, "bob").unwrap_err();
    assert!(matches!(gone, hushwood_client::Error::NotThere { .. }), "{gone}");

    // And comes back when he is invited again.
    alice.done(&mut world, |core| core.invite(&room, "bob"));
    bob.sync(&mut world);
    alice.say(&mut world, &room, "welcome back");
    bob.sync(&mut world);
    assert_eq!(bob.texts(), [("alice".to_owned(), "welcome back".to_owned())]);
}

/// He was away meanwhile: he hears what was for him, that he was removed, and that he is there again, and says nothing from the
/// state that he had.
#[test]
fn who_is_removed_and_invited_again_while_away_learns_both() {
    let mut world = World::new();
    let (mut alice, mut bob, mut carol, room) = three(&mut world);
    bob.events();
    alice.say(&mut world, &room, "while you were away");
    alice.done(&mut world, |core| core.remove(&room, "bob"));
    alice.say(&mut world, &room, "not for you");
    alice.done(&mut world, |core| core.invite(&room, "bob"));
    alice.say(&mut world, &room, "welcome back");
    // What he wanted to say before he knows is said after he knows, or not at all.
    let now = world.now;
    bob.does(|core| core.send_as(&room, MessageId([3; 16]), b"am I there?", now));
    for _ in 0..2 {
        bob.sync(&mut world);
    }
    let events = bob.events();
    let told: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Message(message) => Some(String::from_utf8(message.body.clone()).unwrap()),
            EventKind::Removed { .. } => Some("removed".to_owned()),
            EventKind::Joined { .. } => Some("joined".to_owned()),
            EventKind::Fork { .. } | EventKind::Gap { .. } => Some(format!("{event:?}")),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["while you were away", "removed", "joined", "welcome back"]);
    bob.say(&mut world, &room, "here I am");
    for person in [&mut alice, &mut carol] {
        person.sync(&mut world);
        let events = person.events();
        let trouble = |kind: &EventKind| matches!(kind, EventKind::Fork { .. } | EventKind::Gap { .. });
        assert!(!events.iter().any(|event| trouble(&event.kind)), "{}: {events:?}", person.name);
    }
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));
}

#[test]
fn who_was_removed_and_does_not_know_it_is_told_when_they_speak() {
    let mut world = World::new();
    let (mut alice, mut bob, _, room) = three(&mut world);
    alice.done(&mut world, |core| core.remove(&room, "bob"));
    let now = world.now;
    let (number, _) = bob.does(|core| core.send(&room, b"hello?", now));
    bob.settle(&mut world);
    assert_eq!(bob.core.result(number), Some(Err(hushwood_client::Error::Removed)));
}

#[test]
fn numbers_of_events_are_never_given_twice() {
    let mut world = World::new();
    let (mut alice, mut bob, _, room) = three(&mut world);
    alice.say(&mut world, &room, "one");
    bob.sync(&mut world);
    let before = bob.events().last().unwrap().number;
    bob.restart();
    alice.say(&mut world, &room, "two");
    bob.sync(&mut world);
    assert!(bob.events().iter().all(|event| event.number > before));
}

#[test]
fn who_leaves_is_removed_by_the_others() {
    let mut world = World::new();
    let (mut alice, mut bob, mut carol, room) = three(&mut world);
    bob.done(&mut world, |core| core.leave(&room));
    for _ in 0..2 {
        for person in [&mut alice, &mut carol, &mut bob] {
            person.sync(&mut world);
        }
    }
    assert_eq!(alice.people(&room), ["alice", "carol"]);
    assert!(bob.events().iter().any(|event| matches!(event.kind, EventKind::Removed { .. })));
    assert_eq!(alice.authenticator(&room), carol.authenticator(&room));
}

#[test]
fn titles_are_the_members_own() {
    let mut world = World::new();
    let (mut alice, mut bob, _, room) = three(&mut world);
    let now = world.now;
    alice.done(&mut world, |core| core.set_title(&room, "coffee", now));
    bob.sync(&mut world);
    assert_eq!(bob.core.title(&room).unwrap(), "coffee");
    assert_eq!(alice.core.title(&room).unwrap(), "coffee");
}

#[test]
fn what_was_said_before_somebody_came_is_no_gap_for_them() {
    let mut world = World::new();
    let (mut alice, mut bob, _, room) = three(&mut world);
    let mut dan = Person::new("dan", 4);
    dan.sync(&mut world);
    alice.done(&mut world, |core| core.invite(&room, "dan"));
    // Bob has not read yet that Dan is there.
    bob.say(&mut world, &room, "too early for Dan");
    bob.sync(&mut world);
    bob.say(&mut world, &room, "hello, Dan");
    dan.sync(&mut world);
    let events = dan.events();
    assert!(!events.iter().any(|event| matches!(event.kind, EventKind::Gap { .. })), "{events:?}");
    let texts = events.iter().filter(|event| matches!(event.kind, EventKind::Message(_)));
    assert_eq!(texts.count(), 1);
}

/// The whole story, with the machine of one of them stopping at one write: nothing is lost, nothing happens twice.
#[test]
fn a_crash_at_any_write_changes_nothing() {
    let mut writes = [0; 2];
    tell(None, &mut writes);
    for (who, count) in writes.into_iter().enumerate() {
        for at in 1..=count {
            for after in [false, true] {
                tell(Some((who, at, after)), &mut [0; 2]);
            }
        }
    }
}

fn tell(crash: Option<(usize, u64, bool)>, writes: &mut [u64; 2]) {
    let mut world = World::new();
    let mut people = [Person::new("alice", 1), Person::new("bob", 2)];
    let begun = people.each_ref().map(|person| person.disk.state().writes);
    if let Some((who, at, after)) = crash {
        people[who].disk.state().crash = Some((begun[who] + at, after));
    }
    let [alice, bob] = &mut people;
    bob.sync(&mut world);
    let now = world.now;
    // Whoever does not know whether a room was made looks whether it is there.
    let room = alice.does(|core| {
        let there = core.rooms().next().cloned();
        there.map_or_else(|| core.create_room("tea", now), Ok)
    });
    let number = alice.does(|core| match core.members(&room)?.len() {
        1 => core.invite(&room, "bob"),
        _ => Ok(0),
    });
    alice.settle(&mut world);
    let _ = number;
    assert_eq!(alice.people(&room), ["alice", "bob"], "{crash:?}");
    bob.sync(&mut world);
    assert_eq!(bob.people(&room), ["alice", "bob"], "{crash:?}");
    for (text, who) in [("one", 0), ("two", 1), ("three", 0)] {
        let [one, other] = &mut people;
        let (from, to) = if who == 0 { (one, other) } else { (other, one) };
        let (now, id) = (world.now, MessageId([text.len() as u8 + text.as_bytes()[0]; 16]));
        from.does(|core| core.send_as(&room, id, text.as_bytes(), now));
        from.settle(&mut world);
        to.sync(&mut world);
    }
    let [alice, bob] = &mut people;
    alice.sync(&mut world);
    bob.sync(&mut world);
    let text = |who: &str, text: &str| (who.to_owned(), text.to_owned());
    assert_eq!(bob.texts(), [text("alice", "one"), text("alice", "three")], "{crash:?}");
    assert_eq!(alice.texts(), [text("bob", "two")], "{crash:?}");
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room), "{crash:?}");
    for (count, (person, begun)) in writes.iter_mut().zip(people.iter().zip(begun)) {
        *count = person.disk.state().writes - begun;
    }
}
