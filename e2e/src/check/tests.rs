//! A history in which nothing is broken, and for each promise one in which it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::history::{Accepted, Change, Claim, End, Event, Offered, Page, Said, Welcomed};

const ROOM: &str = "0a";

fn members(who: &[(&str, u64)]) -> Members {
    who.iter().map(|(name, since)| ((*name).to_owned(), *since)).collect()
}

fn hash(number: u64) -> Digest {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    digest
}

fn entry(sequence: u64, kind: Kind, epoch: u64, members: Option<Members>) -> Entry {
    Entry { sequence, kind, epoch, digest: Some(hash(sequence)), members }
}

fn told() -> Told {
    Told::default()
}

fn event(told: &mut Told, what: What) {
    let cursor = told.events.last().map_or(1, |event| event.cursor + 1);
    told.events.push(Event { cursor, room: ROOM.to_owned(), what });
}

/// Ada has said `name`, which is in the log; these have heard it.
fn says(history: &mut History, sequence: u64, ears: &[&str]) {
    let (name, text) = (format!("m{sequence}"), format!("text {sequence}"));
    let ada = history.bots.get_mut("ada").unwrap();
    let (room, message, text) = (ROOM.to_owned(), name, text);
    let answer = Answer::Done(Some(sequence));
    ada.said.push(Said { room, message: message.clone(), text: text.clone(), answer });
    event(ada, What::Sent { message: message.clone(), sequence });
    for ear in ears {
        let (from, message, text) = ("ada".to_owned(), message.clone(), text.clone());
        event(history.bots.get_mut(*ear).unwrap(), What::Message { from, message, sequence, text });
    }
}

/// Ada makes a room; Ben comes with 1, Cyd with 3, and goes with 5 after asking for it with 4. 2, 6 and 7 are messages, 7 of
/// the epoch before.
fn good() -> History {
    let mut history = History::default();
    for name in ["ada", "ben", "cyd"] {
        history.bots.insert(name.to_owned(), told());
    }
    let both = members(&[("ada", 0), ("ben", 1)]);
    let three = members(&[("ada", 0), ("ben", 1), ("cyd", 2)]);
    let entries = vec![
        entry(1, Kind::Commit, 0, Some(both.clone())),
        entry(2, Kind::Message, 1, None),
        entry(3, Kind::Commit, 1, Some(three)),
        entry(4, Kind::Proposal, 2, None),
        entry(5, Kind::Commit, 2, Some(both.clone())),
        entry(6, Kind::Message, 3, None),
        entry(7, Kind::Message, 2, None),
    ];
    let pages = [("ben", 1, 2..=7), ("cyd", 0, 4..=5)];
    for (to, after, numbers) in pages {
        let entries = numbers.map(|number| &entries[number - 1]);
        let entries = entries.map(|entry| (entry.sequence, entry.kind, entry.epoch, hash(entry.sequence)));
        let page =
            Page { to: to.to_owned(), room: ROOM.to_owned(), after, newest: 7, entries: entries.collect() };
        history.pages.push(page);
    }
    for number in [1, 3, 5] {
        let (room, digest) = (ROOM.to_owned(), hash(number));
        history.accepted.push(Accepted { room: room.clone(), sequence: number, digest });
        history.offered.push(Offered { room, digest, welcome: Some(hash(100 + number)) });
    }
    // It has lost.
    let lost = Offered { room: ROOM.to_owned(), digest: hash(99), welcome: Some(hash(199)) };
    history.offered.push(lost);
    for (to, commit) in [("ben", 1), ("cyd", 3)] {
        history.welcomes.push(Welcomed { to: to.to_owned(), welcome: hash(100 + commit) });
        history.claims.push(Claim { by: "ada".to_owned(), package: hash(200 + commit), last_resort: false });
    }
    history.rooms.insert(ROOM.to_owned(), Log { epoch: 0, members: members(&[("ada", 0)]), entries });
    for sequence in [2, 6, 7] {
        says(&mut history, sequence, &["ben"]);
    }
    let leave = Change { room: ROOM.to_owned(), what: "leave", answer: Answer::Done(Some(4)) };
    history.bots.get_mut("cyd").unwrap().changes.push(leave);
    for (name, standing) in [("ada", "active"), ("ben", "active"), ("cyd", "removed")] {
        let names = both.keys().cloned().collect();
        let (standing, authenticator) = (standing.to_owned(), "aa".to_owned());
        let end = End { standing, epoch: Some(3), authenticator, members: names };
        history.bots.get_mut(name).unwrap().end.insert(ROOM.to_owned(), end);
    }
    history
}

fn log(history: &mut History) -> &mut Log {
    history.rooms.get_mut(ROOM).unwrap()
}

fn bot<'a>(history: &'a mut History, name: &str) -> &'a mut Told {
    history.bots.get_mut(name).unwrap()
}

/// Breaks something, and only that is found.
#[track_caller]
fn breaks(rules: &[Rule], change: impl FnOnce(&mut History)) {
    let mut history = good();
    change(&mut history);
    let found: BTreeSet<_> = check(&history).into_iter().map(|finding| finding.rule).collect();
    assert_eq!(found, rules.iter().copied().collect(), "{:#?}", check(&history));
}

#[test]
fn in_a_good_history_nothing_is_found() {
    assert_eq!(check(&good()), []);
}

#[test]
fn two_commits_of_one_epoch_are_found() {
    let mut history = good();
    let both = log(&mut history).entries[4].members.clone();
    log(&mut history).entries.push(entry(8, Kind::Commit, 2, both));
    assert!(check(&history).iter().any(|finding| finding.rule == Rule::OneCommit));
}

#[test]
fn a_message_of_an_epoch_to_come_is_found() {
    breaks(&[Rule::OneCommit], |history| {
        log(history).entries[6].epoch = 4;
        // Nobody is there yet, so nobody has heard it.
        let heard = |event: &Event| matches!(&event.what, What::Message { sequence: 7, .. });
        bot(history, "ben").events.retain(|event| !heard(event));
        history.pages[0].entries[5].2 = 4;
    });
}

#[test]
fn an_epoch_that_was_left_out_is_found() {
    let mut history = good();
    let both = log(&mut history).entries[4].members.clone();
    log(&mut history).entries.push(entry(8, Kind::Commit, 4, both));
    assert!(check(&history).iter().any(|finding| finding.rule == Rule::OneCommit));
}

#[test]
fn a_number_that_is_missing_in_a_log_is_found() {
    let mut history = good();
    log(&mut history).entries.remove(1);
    assert!(check(&history).iter().any(|finding| finding.rule == Rule::OneCommit));
}

#[test]
fn a_message_of_too_long_ago_is_found() {
    let mut history = good();
    let members = log(&mut history).entries[4].members.clone();
    for number in 8..14 {
        log(&mut history).entries.push(entry(number, Kind::Commit, number - 5, members.clone()));
    }
    log(&mut history).entries.push(entry(14, Kind::Message, 3, None));
    assert!(check(&history).iter().any(|finding| finding.rule == Rule::OneCommit));
}

#[test]
fn what_was_accepted_and_is_not_there_is_found() {
    breaks(&[Rule::Kept], |history| {
        history.accepted.push(Accepted { room: ROOM.to_owned(), sequence: 8, digest: hash(8) });
    });
    breaks(&[Rule::Kept], |history| {
        history.accepted.push(Accepted { room: ROOM.to_owned(), sequence: 3, digest: hash(99) });
    });
}

#[test]
fn something_done_that_is_not_in_the_log_is_found() {
    breaks(&[Rule::Kept], |history| {
        let answer = Answer::Done(Some(2));
        let change = Change { room: ROOM.to_owned(), what: "renew", answer };
        bot(history, "ada").changes.push(change);
    });
}

#[test]
fn whoever_reads_another_log_is_found() {
    breaks(&[Rule::SameLog], |history| history.pages[0].entries[0].3 = hash(55));
    breaks(&[Rule::SameLog], |history| history.pages[0].entries[0].2 = 0);
}

#[test]
fn a_gap_in_what_is_read_is_found() {
    breaks(&[Rule::SameLog], |history| {
        history.pages[0].entries.remove(2);
    });
    breaks(&[Rule::SameLog], |history| drop(history.pages[0].entries.drain(..2)));
    // Who has joined later reads from there on, and nobody else does.
    breaks(&[Rule::SameLog], |history| history.pages[1].to = "ben".to_owned());
}

#[test]
fn a_message_that_was_acknowledged_and_is_not_in_the_log_is_found() {
    breaks(&[Rule::SaidOnce], |history| bot(history, "ada").said[0].answer = Answer::Done(Some(3)));
    breaks(&[Rule::SaidOnce], |history| {
        let (room, message, text) = (ROOM.to_owned(), "m8".to_owned(), String::new());
        bot(history, "ada").said.push(Said { room, message, text, answer: Answer::Kept });
    });
}

#[test]
fn who_says_that_it_will_not_be_said_owes_nothing() {
    breaks(&[], |history| {
        let (room, message, text) = (ROOM.to_owned(), "m8".to_owned(), String::new());
        bot(history, "ada").said.push(Said { room, message, text, answer: Answer::Kept });
        event(bot(history, "ada"), What::NotDone("removed".to_owned()));
    });
}

#[test]
fn a_message_that_is_in_the_log_twice_is_found() {
    breaks(&[Rule::SaidOnce, Rule::Heard], |history| {
        log(history).entries.push(entry(8, Kind::Message, 3, None));
        event(bot(history, "ada"), What::Sent { message: "m6".to_owned(), sequence: 8 });
    });
}

#[test]
fn who_has_not_heard_a_message_is_found() {
    breaks(&[Rule::Heard], |history| drop(bot(history, "ben").events.remove(0)));
    breaks(&[Rule::Heard], |history| log(history).entries.push(entry(8, Kind::Message, 3, None)));
}

#[test]
fn another_text_or_another_author_is_found() {
    for change in [0, 1] {
        breaks(&[Rule::Heard], |history| {
            let What::Message { from, text, .. } = &mut bot(history, "ben").events[0].what else { panic!() };
            match change {
                0 => "cyd".clone_into(from),
                _ => "something else".clone_into(text),
            }
        });
    }
}

#[test]
fn who_hears_what_was_said_before_or_after_they_were_there_is_found() {
    // 6 came after Cyd had gone; 7 was encrypted while Cyd was there, and came after that.
    for number in [2, 6, 7] {
        breaks(&[Rule::Secret], |history| {
            let (from, message, text) = ("ada".to_owned(), format!("m{number}"), format!("text {number}"));
            event(bot(history, "cyd"), What::Message { from, message, sequence: number, text });
        });
    }
}

#[test]
fn who_went_and_came_back_is_not_owed_what_was_said_before() {
    breaks(&[], |history| {
        let again = members(&[("ada", 0), ("ben", 1), ("cyd", 4)]);
        log(history).entries.push(entry(8, Kind::Commit, 3, Some(again.clone())));
        log(history).entries.push(entry(9, Kind::Message, 2, None));
        says(history, 9, &["ben"]);
        for name in ["ada", "ben", "cyd"] {
            let end = bot(history, name).end.get_mut(ROOM).unwrap();
            "active".clone_into(&mut end.standing);
            end.epoch = Some(4);
            end.members = again.keys().cloned().collect();
        }
    });
}

#[test]
fn what_is_heard_twice_or_out_of_order_is_found() {
    breaks(&[Rule::Order], |history| {
        let again = bot(history, "ben").events[2].what.clone();
        event(bot(history, "ben"), again);
    });
    breaks(&[Rule::Order], |history| {
        let events = &mut bot(history, "ben").events;
        let (one, other) = (events[0].what.clone(), events[1].what.clone());
        (events[0].what, events[1].what) = (other, one);
    });
}

#[test]
fn what_comes_again_after_a_restart_is_no_finding_unless_it_is_something_else() {
    breaks(&[], |history| {
        let again = bot(history, "ben").events[1].clone();
        bot(history, "ben").events.push(again);
    });
    breaks(&[Rule::Cursors], |history| {
        let mut again = bot(history, "ben").events[1].clone();
        again.what = What::Other;
        bot(history, "ben").events.push(again);
    });
}

#[test]
fn a_number_of_an_event_that_goes_back_is_found() {
    breaks(&[Rule::Cursors], |history| {
        let last = bot(history, "ben").events.last_mut().unwrap();
        last.cursor = 9;
        let (room, what) = (ROOM.to_owned(), What::Other);
        bot(history, "ben").events.push(Event { cursor: 5, room, what });
    });
}

#[test]
fn a_key_package_that_was_given_out_twice_is_found_unless_it_is_of_last_resort() {
    for last_resort in [false, true] {
        let rules: &[Rule] = if last_resort { &[] } else { &[Rule::KeyPackages] };
        breaks(rules, |history| {
            let claim = Claim { by: "ben".to_owned(), package: hash(201), last_resort };
            history.claims[0].last_resort = last_resort;
            history.claims.push(claim);
        });
    }
}

#[test]
fn a_welcome_of_a_commit_that_has_lost_is_found() {
    breaks(&[Rule::Welcomes], |history| history.welcomes[0].welcome = hash(199));
}

#[test]
fn members_that_do_not_agree_are_found() {
    let end = |history: &mut History, name: &str, change: fn(&mut End)| {
        change(bot(history, name).end.get_mut(ROOM).unwrap());
    };
    breaks(&[Rule::Agreement], |history| end(history, "ben", |end| end.epoch = Some(2)));
    breaks(&[Rule::Agreement], |history| end(history, "ben", |end| "bb".clone_into(&mut end.authenticator)));
    breaks(&[Rule::Agreement], |history| end(history, "ben", |end| drop(end.members.pop())));
    breaks(&[Rule::Agreement], |history| end(history, "ben", |end| "forked".clone_into(&mut end.standing)));
    breaks(&[Rule::Agreement], |history| end(history, "cyd", |end| "active".clone_into(&mut end.standing)));
    breaks(&[Rule::Agreement], |history| bot(history, "ben").end.clear());
    breaks(&[Rule::Agreement], |history| log(history).entries.push(entry(8, Kind::Proposal, 3, None)));
}

#[test]
fn trouble_that_nobody_has_made_is_found() {
    breaks(&[Rule::Quiet], |history| history.accidents.push("a node has ended".to_owned()));
    breaks(&[Rule::Quiet], |history| event(bot(history, "ben"), What::Trouble("gap".to_owned())));
}
