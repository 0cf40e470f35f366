//! Who may do what in a room (RFC 9750 §6.1, A100).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::mallory::Mallory;
use common::{Person, World, invited_by_all};
use hushwood::extension::ExtensionType;
use hushwood::group::{CommitPlan, NewProposal};
use hushwood::tree::LeafIndex;
use hushwood_client::{Done, Error, EventKind, NotTaken, RoomId, Rules, Standing, Transport, Trust, Who};
use hushwood_delivery::wire::{Answer, EntryKind, LogEntry, ReadAnswer};

fn person(name: &str, seed: u64) -> Person {
    Person::with(name, seed, invited_by_all(), Trust::on_first_use)
}

fn by_admins() -> Rules {
    Rules { add: Who::Admins, remove: Who::Admins, change: Who::Admins, ..Rules::default() }
}

/// Alice has made a room with rules, and has invited the others.
fn room_of(world: &mut World, rules: &Rules, others: &[&str]) -> (Vec<Person>, RoomId) {
    let mut people = vec![person("alice", 1)];
    for (name, seed) in others.iter().zip(2..) {
        people.push(person(name, seed));
        people.last_mut().unwrap().sync(world);
    }
    let now = world.now;
    let room = people[0].does(|core| core.create_room_with("team", rules.clone(), now));
    for name in others {
        people[0].done(world, |core| core.invite(&room, name));
    }
    for person in &mut people {
        person.sync(world);
        person.events();
    }
    (people, room)
}

/// What becomes of something that is wanted.
fn result(
    person: &mut Person,
    world: &mut World,
    mut what: impl FnMut(&mut hushwood_client::Core) -> Result<u64, Error>,
) -> Result<Done, Error> {
    let number = person.does(&mut what);
    person.settle(world);
    person.core.result(number).expect("it has ended")
}

#[test]
fn where_admins_say_who_is_there_others_add_remove_and_change_nothing_and_may_leave() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &by_admins(), &["bob", "carol"]);
    let mut dave = person("dave", 9);
    dave.sync(&mut world);
    let [alice, bob, carol] = people.as_mut_slice() else { panic!() };
    assert_eq!(bob.does(|core| core.admins(&room)), [alice.core.member().clone()]);
    let packages = dave.disk.state().writes;
    for outcome in [
        result(bob, &mut world, |core| core.invite(&room, "dave")),
        result(bob, &mut world, |core| core.remove(&room, "carol")),
        result(bob, &mut world, |core| core.make_admin(&room, "bob")),
        result(bob, &mut world, |core| core.set_rules(&room, Rules::default())),
    ] {
        assert!(matches!(outcome, Err(Error::Void(why)) if why.starts_with("only admins")), "{outcome:?}");
    }
    assert_eq!(dave.disk.state().writes, packages);
    bob.say(&mut world, &room, "I speak all the same");
    alice.sync(&mut world);
    assert_eq!(alice.texts(), [("bob".to_owned(), "I speak all the same".to_owned())]);

    // Another admin, until they are none any more.
    alice.done(&mut world, |core| core.make_admin(&room, "bob"));
    bob.sync(&mut world);
    bob.done(&mut world, |core| core.invite(&room, "dave"));
    dave.sync(&mut world);
    assert_eq!(dave.people(&room), ["alice", "bob", "carol", "dave"]);
    assert_eq!(dave.does(|core| core.rules(&room)).add, Who::Admins);
    alice.sync(&mut world);
    alice.done(&mut world, |core| core.unmake_admin(&room, "bob"));
    bob.sync(&mut world);
    assert!(matches!(result(bob, &mut world, |core| core.remove(&room, "dave")), Err(Error::Void(_))));
    assert!(matches!(
        result(alice, &mut world, |core| core.unmake_admin(&room, "alice")),
        Err(Error::Void(_))
    ));

    // Everybody may leave, and anybody commits that.
    carol.sync(&mut world);
    carol.done(&mut world, |core| core.leave(&room));
    for _ in 0..3 {
        bob.sync(&mut world);
        dave.sync(&mut world);
    }
    assert_eq!(bob.people(&room), ["alice", "bob", "dave"]);
    alice.sync(&mut world);
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));
}

#[test]
fn rules_come_later_too_and_where_the_last_admin_has_gone_every_member_is_one() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &Rules::default(), &["bob", "carol"]);
    let [alice, bob, carol] = people.as_mut_slice() else { panic!() };
    alice.done(&mut world, |core| core.set_rules(&room, Rules { remove: Who::Admins, ..Rules::default() }));
    for person in [&mut *bob, &mut *carol] {
        person.sync(&mut world);
        let told =
            |kind: &EventKind| matches!(kind, EventKind::GroupChanged { by, .. } if by.person == "alice");
        assert!(person.events().iter().any(|event| told(&event.kind)));
    }
    assert!(matches!(result(bob, &mut world, |core| core.remove(&room, "carol")), Err(Error::Void(_))));
    // Nor does he make himself an admin, though everybody may change the rest.
    assert!(matches!(result(bob, &mut world, |core| core.make_admin(&room, "bob")), Err(Error::Void(_))));
    alice.done(&mut world, |core| core.leave(&room));
    for _ in 0..3 {
        bob.sync(&mut world);
        carol.sync(&mut world);
    }
    assert_eq!(bob.does(|core| core.admins(&room)), []);
    bob.done(&mut world, |core| core.remove(&room, "carol"));
    assert_eq!(bob.people(&room), ["bob"]);
}

#[test]
fn what_is_against_the_rules_the_service_refuses() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &by_admins(), &["bob", "mallory"]);
    let last = people.pop().unwrap();
    let mut mallory = Mallory::instead_of(&last, &room, &world, 2);
    let remove = || NewProposal::Remove(LeafIndex::new(1));
    let mut extensions = mallory.group.context().extensions.clone();
    extensions.remove(ExtensionType(0xF0D3));
    for proposal in [remove(), NewProposal::GroupContextExtensions(extensions)] {
        let plan = CommitPlan { proposals: vec![proposal], ..CommitPlan::default() };
        let refused = mallory.commit(&world, plan, Vec::new()).unwrap_err();
        assert!(refused.contains("leave this to its admins"), "{refused}");
    }
    // Nor does she get there by somebody who would commit it.
    let message = mallory.proposed(&world, remove());
    let refused = mallory.try_send(&world, message).unwrap_err();
    assert!(refused.contains("leave this to its admins"), "{refused}");
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    alice.done(&mut world, |core| core.renew(&room));
    bob.sync(&mut world);
    assert_eq!(bob.people(&room), ["alice", "bob", "mallory"]);
}

/// Reads what is new, and behind it what a service that means harm has put there.
fn read_with(person: &mut Person, world: &mut World, kind: EntryKind, message: &[u8]) {
    person.core.want_sync();
    let (epoch, mut shown) = (2, false);
    person.settle_by(world, |transport, call, token| {
        transport.call(call, token).map(|answer| match answer {
            Answer::Read(ReadAnswer::Page(mut page)) if page.entries.is_empty() && !shown => {
                shown = true;
                page.newest += 1;
                let message = message.to_vec();
                page.entries.push(LogEntry { sequence: page.newest, kind, epoch, message });
                Answer::Read(ReadAnswer::Page(page))
            }
            answer => answer,
        })
    });
}

#[test]
fn what_is_against_the_rules_nobody_takes_whatever_the_service_does() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &by_admins(), &["bob", "mallory"]);
    let last = people.pop().unwrap();
    let mut mallory = Mallory::instead_of(&last, &room, &world, 2);
    let plan =
        CommitPlan { proposals: vec![NewProposal::Remove(LeafIndex::new(1))], ..CommitPlan::default() };
    let commit = mallory.committed(&world, plan);
    for person in &mut people {
        read_with(person, &mut world, EntryKind::Commit, &commit);
        let events = person.events();
        let told = events.iter().any(|event| {
            matches!(&event.kind, EventKind::NotTaken { by: Some(by), why: NotTaken::Rules, .. } if by.person == "mallory")
        });
        assert!(told, "{events:?}");
        assert_eq!(person.core.standing(&room), Ok(Standing::Forked));
        assert_eq!(person.people(&room), ["alice", "bob", "mallory"], "both are still there");
    }
}

#[test]
fn a_proposal_against_the_rules_is_as_if_nobody_had_made_it() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &by_admins(), &["bob", "mallory"]);
    let last = people.pop().unwrap();
    let mut mallory = Mallory::instead_of(&last, &room, &world, 2);
    let proposal = mallory.proposed(&world, NewProposal::Remove(LeafIndex::new(1)));
    let alice = &mut people[0];
    read_with(alice, &mut world, EntryKind::Proposal, &proposal);
    assert_eq!(alice.does(|core| Ok(core.group(&room)?.pending_proposals().count())), 0);
    assert_eq!(alice.people(&room), ["alice", "bob", "mallory"]);
    assert_eq!(alice.core.standing(&room), Ok(Standing::Active));
}

#[test]
fn nobody_joins_from_outside_where_admins_say_who_is_there_and_members_come_back() {
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &by_admins(), &["bob", "mallory"]);
    let last = people.pop().unwrap();
    let mut mallory = Mallory::instead_of(&last, &room, &world, 2);
    let joins = mallory.joined_from_outside(&world);
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    read_with(bob, &mut world, EntryKind::Commit, &joins);
    let refused =
        |kind: &EventKind| matches!(kind, EventKind::NotTaken { by: None, why: NotTaken::Rules, .. });
    assert!(bob.events().iter().any(|event| refused(&event.kind)));
    // He is no admin, and is back by an external commit of his own all the same.
    bob.done(&mut world, |core| core.rejoin(&room));
    alice.sync(&mut world);
    assert_eq!(alice.people(&room), ["alice", "bob", "mallory"]);
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));

    // Without rules they would take it.
    let mut world = World::new();
    let (mut people, room) = room_of(&mut world, &Rules::default(), &["bob", "mallory"]);
    let last = people.pop().unwrap();
    let joins = Mallory::instead_of(&last, &room, &world, 2).joined_from_outside(&world);
    let bob = &mut people[1];
    read_with(bob, &mut world, EntryKind::Commit, &joins);
    assert_eq!(bob.people(&room), ["alice", "bob", "eve", "mallory"]);
}

/// Where no admin is left every member is one: whoever could remove them would be.
#[test]
fn where_everybody_removes_members_admins_are_removed_by_admins_alone() {
    let mut world = World::new();
    let rules = Rules { add: Who::Admins, ..Rules::default() };
    let (mut people, room) = room_of(&mut world, &rules, &["bob", "carol"]);
    let [alice, bob, carol] = people.as_mut_slice() else { panic!() };
    let refused = result(bob, &mut world, |core| core.remove(&room, "alice"));
    assert!(matches!(refused, Err(Error::Void(why)) if why.starts_with("only admins")), "{refused:?}");
    bob.done(&mut world, |core| core.remove(&room, "carol"));
    for person in [alice, carol] {
        person.sync(&mut world);
        assert_eq!(person.people(&room), ["alice", "bob"]);
    }
}
