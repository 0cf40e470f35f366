//! A service that means harm, one lie for each test. What it can do is keep things back; whatever else it does is noticed: the
//! client says so, says what to do, and either goes on safely or stops. It never learns what is said.

#![allow(
    clippy::as_conversions,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::collections::VecDeque;

use common::{Person, World, invited_by_all};
use hushwood_client::core::{Next, Request};
use hushwood_client::{Attention, Error, EventKind, RoomId, Settings, Standing, Transport, TransportError};
use hushwood_delivery::wire::{
    Answer, Call, CommitAnswer, EntryKind, GroupInfoAnswer, InboxAnswer, LogEntry, LogPage, ReadAnswer,
    RefusalCode, Refused, SendAnswer,
};
use test_support::random::SeededRandom;

type Asked<'a> = &'a mut dyn FnMut(Call) -> Result<Answer, TransportError>;

fn two(world: &mut World) -> (Person, Person, RoomId) {
    let (mut alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
    bob.sync(world);
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    alice.done(world, |core| core.invite(&room, "bob"));
    bob.sync(world);
    for person in [&mut alice, &mut bob] {
        person.events();
    }
    (alice, bob, room)
}

/// What it reads goes through somebody who changes it.
fn read_through(person: &mut Person, world: &mut World, mut lie: impl FnMut(&mut LogPage)) {
    person.sync_through(world, &mut |call: Call, ask: Asked<'_>| {
        ask(call).map(|answer| match answer {
            Answer::Read(ReadAnswer::Page(mut page)) => {
                lie(&mut page);
                Answer::Read(ReadAnswer::Page(page))
            }
            answer => answer,
        })
    });
}

fn is_fork(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Fork { .. })
}

/// The room is stopped, the application was told, and nothing is sent from there.
#[track_caller]
fn has_stopped(person: &mut Person, world: &World, room: &RoomId) {
    let events = person.events();
    assert!(events.iter().any(|event| is_fork(&event.kind)), "{}: {events:?}", person.name);
    stays_stopped(person, world, room);
}

#[track_caller]
fn stays_stopped(person: &mut Person, world: &World, room: &RoomId) {
    assert_eq!(person.core.standing(room), Ok(Standing::Forked));
    let refused = person.core.send(room, b"who hears this?", world.now).unwrap_err();
    assert_eq!(refused, Error::Forked);
    assert!(refused.to_string().contains("rejoin it"), "it says what to do");
}

/// After coming back everybody hears everybody.
fn comes_back(person: &mut Person, other: &mut Person, world: &mut World, room: &RoomId) {
    person.done(world, |core| core.rejoin(room));
    other.sync(world);
    other.events();
    person.say(world, room, "I am back");
    other.sync(world);
    assert_eq!(other.texts(), [(person.name.clone(), "I am back".to_owned())]);
    other.say(world, room, "welcome");
    person.sync(world);
    assert!(person.texts().contains(&(other.name.clone(), "welcome".to_owned())));
    assert_eq!(person.authenticator(room), other.authenticator(room));
}

/// It says yes to two commits of one epoch, and shows each to the one who made it: two groups, each of which believes to be the
/// one.
#[test]
fn two_winners_of_one_epoch_are_noticed() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    alice.done(&mut world, |core| core.renew(&room));
    // Bob has not read that, commits, and is told that he has won.
    let number = bob.does(|core| core.renew(&room));
    bob.settle_through(&mut world, &mut |call: Call, ask: Asked<'_>| match call {
        Call::Commit(_) => Ok(Answer::Commit(CommitAnswer::Accepted(2))),
        call => ask(call),
    });
    assert!(matches!(bob.core.result(number), Some(Ok(_))), "he believes it");
    // What Alice says he can't read, and is told that something is missing.
    alice.say(&mut world, &room, "hello");
    bob.sync(&mut world);
    let events = bob.events();
    assert!(events.iter().any(|event| matches!(event.kind, EventKind::Gap { .. })), "{events:?}");
    // With the next commit it is sure.
    alice.done(&mut world, |core| core.renew(&room));
    bob.sync(&mut world);
    has_stopped(&mut bob, &world, &room);
    comes_back(&mut bob, &mut alice, &mut world, &room);
}

/// It says that a commit has won, and then shows the one that has.
#[test]
fn a_commit_that_was_said_to_have_won_and_has_not_is_noticed_when_the_winner_shows() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    bob.does(|core| core.renew(&room));
    bob.settle_through(&mut world, &mut |call: Call, ask: Asked<'_>| match call {
        Call::Commit(_) => Ok(Answer::Commit(CommitAnswer::Accepted(2))),
        call => ask(call),
    });
    for _ in 0..2 {
        alice.done(&mut world, |core| core.renew(&room));
    }
    // In the log that Bob reads on from 2, the commit at 3 ends an epoch that his did not begin.
    bob.sync(&mut world);
    has_stopped(&mut bob, &world, &room);
    comes_back(&mut bob, &mut alice, &mut world, &room);
}

/// A commit of an epoch that is over stands at a number that is new.
#[test]
fn a_commit_of_an_epoch_that_is_over_at_a_new_number_is_noticed() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    let mut old = None;
    alice.done(&mut world, |core| core.renew(&room));
    read_through(&mut bob, &mut world, |page| old = old.take().or(page.entries.first().cloned()));
    let old = old.unwrap();
    assert_eq!(old.kind, EntryKind::Commit);
    read_through(&mut bob, &mut world, |page| {
        if page.newest < 3 {
            page.newest = 3;
            page.entries = vec![LogEntry { sequence: 3, ..old.clone() }];
        }
    });
    has_stopped(&mut bob, &world, &room);
    comes_back(&mut bob, &mut alice, &mut world, &room);
}

/// It says that a message was taken, and drops it.
#[test]
fn a_message_that_was_said_to_be_taken_and_was_dropped_is_noticed() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    let now = world.now;
    let number = bob.does(|core| Ok(core.send(&room, b"dropped", now)?.0));
    bob.settle_through(&mut world, &mut |call: Call, ask: Asked<'_>| match call {
        Call::Send(_) => Ok(Answer::Send(SendAnswer::Accepted(2))),
        call => ask(call),
    });
    assert!(matches!(bob.core.result(number), Some(Ok(_))), "he believes it");
    // Whatever he says next shows it to the others: something of his is missing, and his log is not theirs.
    let now = world.now;
    bob.does(|core| core.send(&room, b"next", now));
    bob.settle(&mut world);
    alice.sync(&mut world);
    let events = alice.events();
    let gap = |kind: &EventKind| matches!(kind, EventKind::Gap { from: Some(from), missing: 1 } if from.person == "bob");
    assert!(events.iter().any(|event| gap(&event.kind)), "{events:?}");
    assert!(events.iter().any(|event| is_fork(&event.kind)), "{events:?}");
}

/// It says a message again, under a new number.
#[test]
fn a_message_that_is_said_again_is_not_heard_again() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    alice.say(&mut world, &room, "once");
    let mut old = None;
    read_through(&mut bob, &mut world, |page| old = old.take().or(page.entries.first().cloned()));
    let old = old.unwrap();
    read_through(&mut bob, &mut world, |page| {
        if page.newest < 3 {
            page.newest = 3;
            page.entries = vec![LogEntry { sequence: 3, ..old.clone() }];
        }
    });
    assert_eq!(bob.texts(), [("alice".to_owned(), "once".to_owned())]);
    // His log is longer than hers: he notices by what she says next.
    alice.say(&mut world, &room, "next");
    alice.say(&mut world, &room, "and next");
    read_through(&mut bob, &mut world, |page| {
        page.newest += 1;
        page.entries.iter_mut().for_each(|entry| entry.sequence = (entry.sequence + 1).max(4));
    });
    let events = bob.events();
    let heard = |kind: &EventKind| matches!(kind, EventKind::Message(message) if message.body == b"once");
    assert!(!events.iter().any(|event| heard(&event.kind)), "{events:?}");
    assert!(events.iter().any(|event| is_fork(&event.kind)), "{events:?}");
    stays_stopped(&mut bob, &world, &room);
}

/// It gives a page that was read before.
#[test]
fn a_page_that_was_read_before_is_not_taken() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    alice.say(&mut world, &room, "once");
    let mut old = None;
    read_through(&mut bob, &mut world, |page| old = old.take().or(Some(page.clone())));
    let (old, mut times) = (old.unwrap(), 0);
    alice.say(&mut world, &room, "twice");
    read_through(&mut bob, &mut world, |page| {
        times += 1;
        if times < 4 {
            *page = old.clone();
        }
    });
    let heard: Vec<_> = bob.texts().into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["once", "twice"], "it asked until it got what comes next");
}

/// It turns two messages around, under each other's numbers.
#[test]
fn messages_that_are_turned_around_are_noticed() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    for text in ["yes", "no", "maybe"] {
        alice.say(&mut world, &room, text);
    }
    read_through(&mut bob, &mut world, |page| {
        if page.entries.len() == 3 {
            page.entries.swap(0, 1);
            for (entry, sequence) in page.entries.iter_mut().zip(2..) {
                entry.sequence = sequence;
            }
        }
    });
    has_stopped(&mut bob, &world, &room);
    comes_back(&mut bob, &mut alice, &mut world, &room);
}

/// It turns a commit and what was said after it around: what comes too early is kept, within limits and over a restart, until it
/// can be read; that the log is another is noticed then.
#[test]
fn messages_that_come_before_their_epoch_are_kept_and_the_lie_is_noticed() {
    for restarts in [false, true] {
        let mut world = World::new();
        let (mut alice, _, room) = two(&mut world);
        let settings = Settings { early_messages: 2, ..invited_by_all() };
        let mut carol = Person::with("carol", 3, settings, hushwood_client::Trust::on_first_use);
        carol.sync(&mut world);
        alice.done(&mut world, |core| core.invite(&room, "carol"));
        carol.sync(&mut world);
        carol.events();
        alice.done(&mut world, |core| core.renew(&room));
        for text in ["one", "two", "three"] {
            alice.say(&mut world, &room, text);
        }
        // The commit stands at 3; what comes after it is shown first.
        let mut commit = None;
        read_through(&mut carol, &mut world, |page| {
            if page.entries.len() == 4 {
                commit = Some(page.entries.remove(0));
                page.entries.iter_mut().for_each(|entry| entry.sequence -= 1);
                page.newest = 5;
            } else if page.newest == 6 {
                page.entries.clear();
                page.newest = 5;
            }
        });
        let commit = commit.unwrap();
        let events = carol.events();
        let message = |kind: &EventKind| matches!(kind, EventKind::Message(_));
        let gap = |kind: &EventKind| matches!(kind, EventKind::Gap { from: None, missing: 1 });
        assert!(!events.iter().any(|event| message(&event.kind)), "they can't be read yet: {events:?}");
        // One for the message that is not kept; who hears two of a sender and then knows of a third is told again.
        assert!(events.iter().any(|event| gap(&event.kind)), "two are kept: {events:?}");
        assert_eq!(carol.core.standing(&room), Ok(Standing::Active));
        if restarts {
            carol.restart();
        }
        read_through(&mut carol, &mut world, |page| {
            if page.newest == 6 {
                page.entries = vec![LogEntry { sequence: 6, ..commit.clone() }];
            }
        });
        let events = carol.events();
        let texts: Vec<_> = events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Message(message) => Some(message.body.as_slice()),
                _ => None,
            })
            .collect();
        assert_eq!(texts, [b"one", b"two"], "{events:?}");
        // So far it is the word of one of three.
        let noticed = |kind: &EventKind| matches!(kind, EventKind::OtherHistory { .. });
        assert!(events.iter().any(|event| noticed(&event.kind)), "{events:?}");
    }
}

/// The log has entries of another group.
#[test]
fn messages_of_another_group_are_not_heard() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    let now = world.now;
    let other = alice.does(|core| core.create_room("coffee", now));
    alice.done(&mut world, |core| core.invite(&other, "bob"));
    bob.sync(&mut world);
    bob.events();
    alice.say(&mut world, &other, "over there");
    let mut elsewhere: VecDeque<LogEntry> = VecDeque::new();
    read_through(&mut bob, &mut world, |page| elsewhere.extend(page.entries.drain(..)));
    let entry = elsewhere.pop_front().unwrap();
    // In the other room it is shown what was said in this one.
    bob.core.want_sync();
    let transport = world.transport();
    while let Next::Request(request) = bob.does(|core| core.poll(world.now)) {
        let Request { id, call, token } = *request;
        let here = matches!(&call, Call::Read(read) if read.group_id == room.0);
        let answer = match transport.call(call, token.as_deref()) {
            Ok(Answer::Read(ReadAnswer::Page(mut page))) if here && page.newest == 1 => {
                page.newest = 2;
                page.entries = vec![LogEntry { sequence: 2, ..entry.clone() }];
                Ok(Answer::Read(ReadAnswer::Page(page)))
            }
            answer => answer,
        };
        bob.answer(id, answer, world.now);
    }
    let events = bob.events();
    let of_room =
        |kind: fn(&EventKind) -> bool| events.iter().any(|event| event.room == room && kind(&event.kind));
    assert!(!of_room(|kind| matches!(kind, EventKind::Message(_))), "{events:?}");
    assert!(of_room(|kind| matches!(kind, EventKind::Gap { .. })), "{events:?}");
}

/// The log has a commit of another group.
#[test]
fn a_commit_of_another_group_stops_the_room() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    let now = world.now;
    let other = alice.does(|core| core.create_room("coffee", now));
    let mut commit = None;
    alice.does(|core| core.renew(&other));
    alice.settle_through(&mut world, &mut |call: Call, ask: Asked<'_>| {
        if let Call::Commit(request) = &call {
            commit = Some(request.commit.clone());
        }
        ask(call)
    });
    let message = commit.unwrap();
    read_through(&mut bob, &mut world, |page| {
        if page.newest == 1 {
            page.newest = 2;
            let (kind, epoch, message) = (EntryKind::Commit, page.epoch, message.clone());
            page.entries = vec![LogEntry { sequence: 2, kind, epoch, message }];
        }
    });
    has_stopped(&mut bob, &world, &room);
    comes_back(&mut bob, &mut alice, &mut world, &room);
}

/// Whoever comes back is given the group as it was long ago.
#[test]
fn a_group_info_of_long_ago_is_noticed() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    // As it was, from when Bob came back once.
    let mut old: Option<GroupInfoAnswer> = None;
    read_through(&mut bob, &mut world, |page| page.cursor = 99);
    has_stopped(&mut bob, &world, &room);
    bob.does(|core| core.rejoin(&room));
    bob.settle_through(&mut world, &mut |call: Call, ask: Asked<'_>| {
        let answer = ask(call);
        if let Ok(Answer::GroupInfo(info)) = &answer {
            old = Some(info.clone());
        }
        answer
    });
    assert_eq!(bob.core.standing(&room), Ok(Standing::Active));
    for _ in 0..3 {
        alice.sync(&mut world);
        alice.done(&mut world, |core| core.renew(&room));
    }
    bob.sync(&mut world);
    bob.events();
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));

    // Once more, and now it is given that one, and told that it is back.
    let (old, mut answered) = (old.unwrap(), 0);
    read_through(&mut bob, &mut world, |page| page.cursor = 99);
    bob.events();
    bob.does(|core| core.rejoin(&room));
    bob.settle_through(&mut world, &mut |call: Call, ask: Asked<'_>| match call {
        Call::GroupInfo(_) => Ok(Answer::GroupInfo(old.clone())),
        Call::Commit(_) => {
            answered += 1;
            Ok(Answer::Commit(CommitAnswer::Accepted(6)))
        }
        call => ask(call),
    });
    assert_eq!(answered, 0, "nothing is committed to an epoch that is over");
    assert_eq!(bob.core.standing(&room), Ok(Standing::Forked));
    for _ in 0..2 {
        alice.done(&mut world, |core| core.renew(&room));
    }
    alice.say(&mut world, &room, "not for those who are elsewhere");
    bob.sync(&mut world);
    let events = bob.events();
    let heard = |kind: &EventKind| matches!(kind, EventKind::Message(_));
    assert!(!events.iter().any(|event| heard(&event.kind)), "{events:?}");
    // He still wants to be back, and is as soon as he is given what is true.
    assert_eq!(bob.core.standing(&room), Ok(Standing::Active));
    alice.sync(&mut world);
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));
}

/// A GroupInfo and a tree of another group, or torn ones.
#[test]
fn a_group_info_that_is_not_the_rooms_is_not_taken() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    let now = world.now;
    let other = alice.does(|core| core.create_room("coffee", now));
    alice.done(&mut world, |core| core.invite(&other, "bob"));
    bob.sync(&mut world);
    read_through(&mut bob, &mut world, |page| page.cursor = 99);
    bob.events();
    // Both rooms have stopped; what is for one is given for the other.
    let mut of_other = None;
    bob.does(|core| core.rejoin(&other));
    bob.settle_through(&mut world, &mut |call: Call, ask: Asked<'_>| {
        let answer = ask(call);
        if let Ok(Answer::GroupInfo(info)) = &answer {
            of_other = Some(info.clone());
        }
        answer
    });
    let of_other = of_other.unwrap();
    let number = bob.does(|core| core.rejoin(&room));
    let (mut tries, mut commits) = (0, 0);
    bob.settle_through(&mut world, &mut |call: Call, ask: Asked<'_>| match call {
        Call::GroupInfo(_) if tries < 3 => {
            tries += 1;
            Ok(Answer::GroupInfo(of_other.clone()))
        }
        Call::Commit(commit) => {
            commits += 1;
            assert_eq!(
                commit.group_id, room.0,
                "nothing is committed to another group under this one's name"
            );
            ask(Call::Commit(commit))
        }
        call => ask(call),
    });
    assert_eq!(tries, 3);
    assert!(matches!(bob.core.result(number), Some(Ok(_))), "it asked until it got the right one");
    assert_eq!(commits, 1);
    alice.sync(&mut world);
    assert_eq!(alice.authenticator(&room), bob.authenticator(&room));
}

/// The inbox has somebody else's Welcome, and one that was changed.
#[test]
fn welcomes_that_were_swapped_lead_nowhere() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    let mut carol = Person::new("carol", 3);
    carol.sync(&mut world);
    alice.done(&mut world, |core| core.invite(&room, "carol"));
    let mut of_carol = None;
    carol.sync_through(&mut world, &mut |call: Call, ask: Asked<'_>| {
        let answer = ask(call);
        if let Ok(Answer::Inbox(inbox)) = &answer
            && !inbox.welcomes.is_empty()
        {
            of_carol = Some(inbox.clone());
            return Ok(Answer::Inbox(InboxAnswer { welcomes: Vec::new() }));
        }
        answer
    });
    let of_carol = of_carol.unwrap();
    // Bob gets hers.
    bob.sync_through(&mut world, &mut |call: Call, ask: Asked<'_>| match call {
        Call::Inbox(_) => Ok(Answer::Inbox(of_carol.clone())),
        Call::Acknowledge(_) => Err(TransportError::Unreachable("not now".to_owned())),
        call => ask(call),
    });
    assert_eq!(bob.core.rooms().count(), 1);
    // Carol gets one that was changed, and is told; then the right one.
    let mut changed = of_carol.clone();
    let message = &mut changed.welcomes[0].message;
    let last = message.len() - 1;
    message[last] ^= 1;
    changed.welcomes[0].id = [9; 32];
    let mut times = 0;
    carol.sync_through(&mut world, &mut |call: Call, ask: Asked<'_>| match call {
        Call::Inbox(_) => {
            times += 1;
            Ok(Answer::Inbox(if times == 1 { changed.clone() } else { InboxAnswer { welcomes: Vec::new() } }))
        }
        call => ask(call),
    });
    let told = |kind: &EventKind| matches!(kind, EventKind::NeedsAttention(Attention::Invitation(_)));
    assert!(carol.events().iter().any(|event| told(&event.kind)), "she is told of an invitation that fails");
    assert_eq!(carol.core.rooms().count(), 0);
    carol.sync(&mut world);
    assert_eq!(carol.people(&room), ["alice", "bob", "carol"]);
}

/// Whoever joins is given another tree.
#[test]
fn a_tree_that_is_not_the_invitations_is_not_taken() {
    let mut world = World::new();
    let (mut alice, _, room) = two(&mut world);
    let mut carol = Person::new("carol", 3);
    carol.sync(&mut world);
    alice.done(&mut world, |core| core.invite(&room, "carol"));
    carol.sync_through(&mut world, &mut |call: Call, ask: Asked<'_>| {
        ask(call).map(|answer| match answer {
            Answer::Tree(mut tree) => {
                let middle = tree.ratchet_tree.len() / 2;
                tree.ratchet_tree[middle] ^= 1;
                Answer::Tree(tree)
            }
            answer => answer,
        })
    });
    let told = |kind: &EventKind| matches!(kind, EventKind::NeedsAttention(Attention::Invitation(_)));
    assert!(carol.events().iter().any(|event| told(&event.kind)));
    assert_eq!(carol.core.rooms().count(), 0);
}

/// For Bob's name it gives a KeyPackage of somebody else, or one that it has given before.
#[test]
fn key_packages_of_somebody_else_and_old_ones_are_not_used() {
    let mut world = World::new();
    let (mut alice, bob, room) = two(&mut world);
    drop(bob);
    let (mut carol, mut mallory) = (Person::new("carol", 3), Person::new("mallory", 4));
    carol.sync(&mut world);
    mallory.sync(&mut world);
    let swap = |name: &'static str| {
        move |call: Call, ask: Asked<'_>| match call {
            Call::Claim(mut claim) => {
                claim.name = name.as_bytes().to_vec();
                ask(Call::Claim(claim))
            }
            call => ask(call),
        }
    };
    let number = alice.does(|core| core.invite(&room, "carol"));
    alice.settle_through(&mut world, &mut swap("mallory"));
    let result = alice.core.result(number).expect("it has ended");
    assert!(matches!(result, Err(Error::BadAnswer(_))), "{result:?}");
    let told = |kind: &EventKind| matches!(kind, EventKind::NotDone { .. });
    assert!(!alice.events().iter().any(|event| told(&event.kind)), "it is told once");
    assert_eq!(alice.people(&room), ["alice", "bob"]);

    // One of long ago: it has expired.
    let mut old = None;
    let number = alice.does(|core| core.invite(&room, "carol"));
    alice.settle_through(&mut world, &mut |call: Call, ask: Asked<'_>| {
        let answer = ask(call);
        if let Ok(Answer::Claim(claim)) = &answer {
            old = Some(claim.clone());
        }
        answer
    });
    assert!(matches!(alice.core.result(number), Some(Ok(_))));
    alice.done(&mut world, |core| core.remove(&room, "carol"));
    world.pass(365 * 24 * 60 * 60 * 1000);
    let old = old.unwrap();
    let number = alice.does(|core| core.invite(&room, "carol"));
    alice.settle_through(&mut world, &mut |call: Call, ask: Asked<'_>| match call {
        Call::Claim(_) => Ok(Answer::Claim(old.clone())),
        call => ask(call),
    });
    let result = alice.core.result(number).expect("it has ended");
    assert!(matches!(result, Err(Error::Void(_) | Error::Protocol(_))), "{result:?}");
    assert_eq!(alice.people(&room), ["alice", "bob"]);
}

/// It refuses everything, in every way there is: what is for later is kept, the rest is told, and nothing is lost but that.
#[test]
fn a_service_that_refuses_everything_is_asked_again_or_told_of() {
    for code in 1..=15 {
        let mut world = World::new();
        let (mut alice, mut bob, room) = two(&mut world);
        let now = world.now;
        let number = alice.does(|core| Ok(core.send(&room, b"hello", now)?.0));
        let mut asked = 0;
        alice.settle_through(&mut world, &mut |_: Call, _: Asked<'_>| {
            asked += 1;
            let (code, text) = (RefusalCode(code), "no".to_owned());
            let happened = if asked < 20 { Some(std::time::Duration::from_secs(1)) } else { None };
            match asked {
                // It does not refuse for ever.
                40.. => Err(TransportError::Unreachable("gone".to_owned())),
                _ => Err(TransportError::Refused(Refused {
                    code,
                    retry_after: happened,
                    may_have_happened: false,
                    text,
                })),
            }
        });
        assert!((1..=2000).contains(&asked), "code {code}: asked {asked} times");
        alice.settle(&mut world);
        let told = |kind: &EventKind| matches!(kind, EventKind::NotDone { intent, .. } if *intent == number);
        let told = alice.events().iter().any(|event| told(&event.kind));
        let result = alice.core.result(number);
        bob.sync(&mut world);
        let heard = !bob.texts().is_empty();
        match result {
            Some(Ok(_)) => assert!(heard, "code {code}"),
            Some(Err(error)) => {
                assert!(!heard, "code {code}: {error}");
                assert!(told, "code {code}: {error}");
            }
            None => panic!("code {code}: nobody knows what has become of it"),
        }
        // And after that all is as it was.
        alice.say(&mut world, &room, "are you there?");
        bob.sync(&mut world);
        assert_eq!(
            bob.texts().last(),
            Some(&("alice".to_owned(), "are you there?".to_owned())),
            "code {code}"
        );
    }
}

/// Answers that are noise, or true ones with a bit that was changed.
#[test]
fn noise_is_not_taken_and_harms_nothing() {
    for seed in 0..20 {
        let mut world = World::new();
        let (mut alice, mut bob, room) = two(&mut world);
        let mut dice = SeededRandom::new(seed);
        for round in 0..10 {
            alice.say(&mut world, &room, &format!("text {round}"));
            if round % 3 == 0 {
                alice.done(&mut world, |core| core.renew(&room));
            }
            let mut left = 6;
            bob.sync_through(&mut world, &mut |call: Call, ask: Asked<'_>| {
                let kind = call.kind();
                let answer = ask(call)?;
                if left == 0 {
                    return Ok(answer);
                }
                left -= 1;
                let mut body = answer.to_body().unwrap();
                match dice.below(3) {
                    0 => body = dice.some_bytes(200),
                    1 if !body.is_empty() => {
                        let at = dice.below(body.len());
                        body[at] ^= 1 << dice.below(8);
                    }
                    _ => body.truncate(dice.below(body.len() + 1)),
                }
                Answer::from_body(kind, &body).or(Err(TransportError::Garbled("noise")))
            });
        }
        let events = bob.events();
        for event in &events {
            if let EventKind::Message(message) = &event.kind {
                let text = String::from_utf8(message.body.clone()).unwrap();
                assert!(text.starts_with("text "), "seed {seed}: {text}");
            }
        }
        // It may have stopped, if what it read was not what was said; then it says so, and comes back.
        let told = events.iter().any(|event| is_fork(&event.kind));
        match bob.core.standing(&room).unwrap() {
            Standing::Active => {}
            Standing::Forked => assert!(told, "seed {seed}: {events:?}"),
            other => panic!("seed {seed}: {other:?}"),
        }
        if bob.core.standing(&room) == Ok(Standing::Forked) {
            comes_back(&mut bob, &mut alice, &mut world, &room);
        }
    }
}

/// It says that a client has read further than it knows: then its state is an old copy, and it must not go on from there.
#[test]
fn a_client_that_is_said_to_have_read_further_stops() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    read_through(&mut bob, &mut world, |page| page.cursor = page.newest + 1);
    has_stopped(&mut bob, &world, &room);
    comes_back(&mut bob, &mut alice, &mut world, &room);
}

/// It shows nothing new for a while. That can't be noticed, and nothing is lost by it.
#[test]
fn what_was_kept_back_is_read_when_it_comes() {
    let mut world = World::new();
    let (mut alice, mut bob, room) = two(&mut world);
    alice.say(&mut world, &room, "one");
    alice.done(&mut world, |core| core.renew(&room));
    alice.say(&mut world, &room, "two");
    let epoch = bob.does(|core| Ok(core.group(&room)?.epoch()));
    read_through(&mut bob, &mut world, |page| {
        page.entries.clear();
        (page.newest, page.epoch) = (1, epoch);
    });
    assert_eq!(bob.texts(), []);
    bob.sync(&mut world);
    let heard: Vec<_> = bob.texts().into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["one", "two"]);
}

/// Whatever it is asked, nothing of what is said stands in it.
#[test]
fn nothing_that_is_said_is_in_what_is_sent() {
    let mut world = World::new();
    let mut alice = Person::with("alice", 1, Settings::default(), hushwood_client::Trust::on_first_use);
    let mut bob = Person::new("bob", 2);
    bob.sync(&mut world);
    let now = world.now;
    let (secret, title) = ("the kettle is on at seven", "conspiracy of tea drinkers");
    let mut sent = Vec::new();
    let room = alice.does(|core| core.create_room(title, now));
    alice.does(|core| core.invite(&room, "bob"));
    alice.does(|core| Ok(core.send(&room, secret.as_bytes(), now)?.0));
    alice.does(|core| core.set_title(&room, title, now));
    alice.does(|core| core.renew(&room));
    alice.settle_through(&mut world, &mut |call: Call, ask: Asked<'_>| {
        sent.extend(call.to_body().unwrap());
        ask(call)
    });
    bob.sync(&mut world);
    assert_eq!(bob.texts(), [("alice".to_owned(), secret.to_owned())], "it was said");
    for text in [secret, title] {
        assert!(!sent.windows(text.len()).any(|bytes| bytes == text.as_bytes()), "{text}");
    }
    assert!(sent.windows(5).any(|bytes| bytes == b"alice"), "names are known");
}
