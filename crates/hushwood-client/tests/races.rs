//! Many want something of one room at the same time, and of the service more than it gives.

#![allow(
    clippy::as_conversions,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{Carried, Person, World};
use hushwood_client::core::{Next, Request};
use hushwood_client::{Error, EventKind, MessageId, RoomId, Transport};
use hushwood_delivery::service::Rate;
use hushwood_delivery::wire::{Answer, Call, CommitAnswer};

/// So many people in one room, each done with what the others did.
fn crowd(world: &mut World, count: usize) -> (Vec<Person>, RoomId) {
    let mut people: Vec<_> =
        (0..count).map(|number| Person::new(&format!("person{number}"), 1 + number as u64)).collect();
    for person in &mut people {
        person.sync(world);
    }
    let now = world.now;
    let room = people[0].does(|core| core.create_room("tea", now));
    for number in 1..count {
        let name = people[number].name.clone();
        people[0].done(world, |core| core.invite(&room, &name));
    }
    all_read(world, &mut people);
    (people, room)
}

fn all_read(world: &mut World, people: &mut [Person]) {
    for person in people {
        person.sync(world);
        person.events();
    }
}

/// Everybody makes the next request before anybody has an answer. Gives how many commits won and how many came too late.
fn all_at_once(world: &mut World, people: &mut [Person], transport: &Carried) -> (usize, usize) {
    let (mut won, mut late) = (0, 0);
    for round in 0..2000 {
        let now = world.now;
        let (mut asked, mut waits) = (Vec::new(), false);
        for (who, person) in people.iter_mut().enumerate() {
            match person.does(|core| core.poll(now)) {
                Next::Request(request) => asked.push((who, *request)),
                Next::Wait(until) => waits |= until.is_some_and(|until| until <= now.after(60_000)),
            }
        }
        if asked.is_empty() && !waits {
            return (won, late);
        }
        // Another one is the first each time.
        let first = round % asked.len().max(1);
        asked.rotate_left(first);
        for (who, Request { id, call, token }) in asked {
            let is_commit = matches!(call, Call::Commit(_));
            let answer = transport.call(call, token.as_deref());
            match &answer {
                Ok(Answer::Commit(CommitAnswer::Accepted(_))) if is_commit => won += 1,
                Ok(Answer::Commit(CommitAnswer::Stale { .. })) => late += 1,
                _ => {}
            }
            people[who].answer(id, answer, now);
        }
        world.pass(200);
    }
    panic!("they are never done");
}

/// Whole clients, all of whom commit to every epoch at once.
#[test]
fn of_many_that_commit_at_once_one_wins_and_all_are_done_in_the_end() {
    let mut world = World::new();
    let (mut people, room) = crowd(&mut world, 8);
    let transport = world.transport();
    let before = people[0].does(|core| Ok(core.group(&room)?.epoch()));
    let (mut all_won, mut all_late) = (0, 0);
    for _ in 0..5 {
        let numbers: Vec<_> = people.iter_mut().map(|person| person.does(|core| core.renew(&room))).collect();
        let (won, late) = all_at_once(&mut world, &mut people, &transport);
        (all_won, all_late) = (all_won + won, all_late + late);
        for (person, number) in people.iter_mut().zip(numbers) {
            assert!(matches!(person.core.result(number), Some(Ok(_))), "{}", person.name);
        }
        all_read(&mut world, &mut people);
    }
    assert!(all_late > 0, "nobody was too late: this was no race");
    assert_eq!(all_won, 40);
    let after = people[0].does(|core| Ok(core.group(&room)?.epoch()));
    assert_eq!(after, before + 40, "each commit has ended one epoch");
    let all: BTreeSet<_> = people.iter_mut().map(|person| person.authenticator(&room)).collect();
    assert_eq!(all.len(), 1);
}

/// Two add the same person at the same time: she is added once, by the one who wins, and her only Welcome is that one's.
#[test]
fn of_two_that_add_somebody_one_does_and_the_welcome_is_theirs() {
    let mut world = World::new();
    let (mut people, room) = crowd(&mut world, 2);
    let mut carol = Person::new("carol", 50);
    carol.sync(&mut world);
    let transport = world.transport();
    let numbers: Vec<_> =
        people.iter_mut().map(|person| person.does(|core| core.invite(&room, "carol"))).collect();
    let (won, late) = all_at_once(&mut world, &mut people, &transport);
    assert_eq!((won, late), (1, 1), "one adds her, the other sees that she is there");
    for (person, number) in people.iter_mut().zip(numbers) {
        assert!(matches!(person.core.result(number), Some(Ok(_))), "{}", person.name);
    }
    let mut welcomes = Vec::new();
    carol.sync_through(&mut world, &mut |call: Call, ask: &mut dyn FnMut(Call) -> _| {
        let answer = ask(call);
        if let Ok(Answer::Inbox(inbox)) = &answer {
            welcomes.extend(inbox.welcomes.iter().map(|welcome| welcome.id));
        }
        answer
    });
    let different: BTreeSet<_> = welcomes.into_iter().collect();
    assert_eq!(different.len(), 1, "the Welcome of the commit that lost goes nowhere");
    carol.sync(&mut world);
    people.push(carol);
    all_read(&mut world, &mut people);
    for person in &mut people {
        assert_eq!(person.people(&room), ["carol", "person0", "person1"]);
    }
    let all: BTreeSet<_> = people.iter_mut().map(|person| person.authenticator(&room)).collect();
    assert_eq!(all.len(), 1);
}

/// Two that add different people at the same time both do, one after the other.
#[test]
fn of_two_that_add_different_people_both_do() {
    let mut world = World::new();
    let (mut people, room) = crowd(&mut world, 2);
    let mut new: Vec<_> =
        ["carol", "dan"].iter().zip(50..).map(|(name, seed)| Person::new(name, seed)).collect();
    for person in &mut new {
        person.sync(&mut world);
    }
    let transport = world.transport();
    for (person, name) in people.iter_mut().zip(["carol", "dan"]) {
        person.does(|core| core.invite(&room, name));
    }
    let (won, late) = all_at_once(&mut world, &mut people, &transport);
    assert_eq!((won, late), (2, 1));
    people.append(&mut new);
    all_read(&mut world, &mut people);
    for person in &mut people {
        assert_eq!(person.people(&room), ["carol", "dan", "person0", "person1"]);
    }
}

/// Whoever claims more KeyPackages of somebody than the service gives is told when; whatever else they want goes on.
#[test]
fn an_invitation_that_has_to_wait_holds_up_nothing_else() {
    let mut world = World::with(|settings| {
        settings.rates.claims_of_one = Rate { burst: 1, every: Duration::from_secs(3600) };
    });
    let (mut people, room) = crowd(&mut world, 2);
    let mut carol = Person::new("carol", 50);
    carol.sync(&mut world);
    let [alice, bob] = people.as_mut_slice() else { panic!() };
    let now = world.now;
    let other = alice.does(|core| core.create_room("coffee", now));
    alice.done(&mut world, |core| core.invite(&room, "carol"));
    // Once more, for the other room: too often.
    let transport = world.transport();
    let number = alice.does(|core| core.invite(&other, "carol"));
    let ask_all = |alice: &mut Person, world: &World| {
        for _ in 0..100 {
            let Next::Request(request) = alice.does(|core| core.poll(world.now)) else { break };
            let Request { id, call, token } = *request;
            let answer = transport.call(call, token.as_deref());
            alice.answer(id, answer, world.now);
        }
    };
    ask_all(alice, &world);
    assert!(alice.core.is_waiting(number));
    assert_eq!(alice.core.result(number), None, "it is kept");
    let why = alice.core.trouble(Some(&other)).cloned();
    let refused = matches!(&why, Some(Error::Refused(refused)) if refused.retry_after.is_some());
    assert!(refused, "it says why, and when: {why:?}");
    // In that room and in others, things go on.
    for place in [&other, &room] {
        let number = alice.does(|core| Ok(core.send(place, b"meanwhile", now)?.0));
        ask_all(alice, &world);
        assert!(matches!(alice.core.result(number), Some(Ok(_))), "it is said while the invitation waits");
    }
    assert!(alice.core.is_waiting(number));
    bob.sync(&mut world);
    assert_eq!(bob.texts().len(), 1);
}

/// Any member could encrypt under a name what another has said under it: it is heard once, the first of them.
#[test]
fn two_messages_of_one_name_are_heard_once() {
    let mut world = World::new();
    let (mut people, room) = crowd(&mut world, 3);
    let now = world.now;
    let id = MessageId([7; 16]);
    for (who, text) in [(0, "first"), (1, "second")] {
        people[who].does(|core| core.send_as(&room, id, text.as_bytes(), now));
        people[who].settle(&mut world);
    }
    people[2].sync(&mut world);
    assert_eq!(people[2].texts(), [("person0".to_owned(), "first".to_owned())]);
    // Nor after a restart.
    people[2].restart();
    people[1].does(|core| core.send_as(&room, MessageId([8; 16]), b"third", now));
    people[1].settle(&mut world);
    people[2].sync(&mut world);
    assert_eq!(people[2].texts(), [("person1".to_owned(), "third".to_owned())]);
    // Asked for again, it is not even sent.
    let number = people[1].does(|core| core.send_as(&room, MessageId([8; 16]), b"third", now));
    assert!(matches!(people[1].core.result(number), Some(Ok(_))));
    let fork = |kind: &EventKind| matches!(kind, EventKind::Fork { .. } | EventKind::Gap { .. });
    assert!(people.iter_mut().all(|person| !person.events().iter().any(|event| fork(&event.kind))));
}
