//! What people get wrong at first, and what they are told: nothing that is mistaken ruins anything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Person, World};
use hushwood_client::{Done, Error, RoomId};

/// Alice, Bob and Carol in a room.
fn three(world: &mut World) -> (Person, Person, Person, RoomId) {
    let (mut alice, mut bob, mut carol) =
        (Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3));
    for person in [&mut bob, &mut carol] {
        person.sync(world);
    }
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    for name in ["bob", "carol"] {
        alice.done(world, |core| core.invite(&room, name));
    }
    for person in [&mut bob, &mut carol] {
        person.sync(world);
    }
    (alice, bob, carol, room)
}

#[test]
fn a_name_is_one_name_however_it_is_spelled() {
    let mut world = World::new();
    let (mut alice, _bob, carol, room) = three(&mut world);
    // In capitals of full width.
    let done = alice.done(&mut world, |core| core.remove(&room, "ＢＯＢ"));
    assert!(matches!(done, Done::Accepted(_)), "{done:?}");
    assert_eq!(alice.people(&room), ["alice", "carol"]);
    let device = carol.core.member().device;
    let done = alice.done(&mut world, |core| core.remove_device(&room, "Carol", device));
    assert!(matches!(done, Done::Accepted(_)), "{done:?}");
    assert_eq!(alice.people(&room), ["alice"]);
}

#[test]
fn who_is_not_in_the_room_is_not_removed_and_it_says_who_is() {
    let mut world = World::new();
    let (mut alice, bob, _carol, room) = three(&mut world);
    let error = alice.core.remove(&room, "bop").unwrap_err();
    let there = ["alice", "bob", "carol"].map(str::to_owned).to_vec();
    assert_eq!(error, Error::NotThere { person: "bop".to_owned(), device: None, there });
    for name in ["alice", "bob", "carol"] {
        assert!(error.to_string().contains(name), "{error}");
    }
    let other = alice.core.member().device;
    let error = alice.core.remove_device(&room, "bob", other).unwrap_err();
    assert!(error.to_string().contains(&other.to_string()), "{error}");
    // Who is about to come can be removed: it is done after that.
    let mut dora = Person::new("dora", 4);
    dora.sync(&mut world);
    let invited = alice.does(|core| core.invite(&room, "dora"));
    let removed = alice.does(|core| core.remove(&room, "dora"));
    alice.settle(&mut world);
    for number in [invited, removed] {
        assert!(matches!(alice.core.result(number), Some(Ok(Done::Accepted(_)))));
    }
    assert_eq!(alice.people(&room), ["alice", "bob", "carol"]);
    drop(bob);
}
