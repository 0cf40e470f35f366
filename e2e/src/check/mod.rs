//! Which promises a history breaks. A pure function, so that each rule can be broken on purpose.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::history::{Answer, Digest, Entry, History, Kind, Log, Members, Room, Told, What};

/// A promise of the service or its clients.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Rule {
    /// Each epoch is ended by one commit, the next one begins where it ends, and numbers have no gaps.
    OneCommit,
    /// What was answered to be in a log is there, under its number, with its content.
    Kept,
    /// Whoever reads a log reads what is in it, without gaps.
    SameLog,
    /// Every message that a bot was told is said is in the log, once.
    SaidOnce,
    /// Every message is heard, as it was said, by all who were there from when it was encrypted until it was in the log.
    Heard,
    /// Nobody hears what was said when they were not there.
    Secret,
    /// Nobody hears anything twice, or in another order than that of the log.
    Order,
    /// Numbers of events grow; what comes again after a restart is what it was, and nothing is left out.
    Cursors,
    /// No KeyPackage is given out twice, unless it is one of last resort.
    KeyPackages,
    /// Welcomes are of commits that have won.
    Welcomes,
    /// In the end all members of a room agree with each other and with its log, and nothing waits.
    Agreement,
    /// Nothing has hung, ended by itself, or told of trouble that nobody has made.
    Quiet,
}

/// A promise that was broken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Which.
    pub rule: Rule,
    /// How.
    pub what: String,
}

/// All promises that this history breaks.
#[must_use]
pub fn check(history: &History) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    for (room, log) in &history.rooms {
        one_commit(room, log, &mut findings);
    }
    kept(history, &mut findings);
    same_log(history, &mut findings);
    for (name, told) in &history.bots {
        cursors(name, told, &mut findings);
        order(name, told, &mut findings);
        said_once(name, told, history, &mut findings);
    }
    let ears = ears(history);
    heard(history, &ears, &mut findings);
    secret(history, &ears, &mut findings);
    key_packages(history, &mut findings);
    welcomes(history, &mut findings);
    agreement(history, &mut findings);
    quiet(history, &mut findings);
    findings.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, rule: Rule, what: String) {
        self.0.push(Finding { rule, what });
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

impl Log {
    /// The entry of a number.
    #[must_use]
    pub fn entry(&self, sequence: u64) -> Option<&Entry> {
        let at = usize::try_from(sequence.checked_sub(1)?).ok()?;
        self.entries.get(at).filter(|entry| entry.sequence == sequence)
    }

    /// Who was there in each epoch, and which entry began it.
    fn epochs(&self) -> BTreeMap<u64, (u64, &Members)> {
        let mut epochs = BTreeMap::from([(self.epoch, (0, &self.members))]);
        for entry in &self.entries {
            if let Some(members) = &entry.members {
                epochs.insert(entry.epoch.saturating_add(1), (entry.sequence, members));
            }
        }
        epochs
    }
}

/// Who may hear a message: those who were there in its epoch, and in all epochs until it was in the log.
fn entitled<'a>(epochs: &BTreeMap<u64, (u64, &'a Members)>, entry: &Entry) -> BTreeSet<&'a str> {
    let Some((_, then)) = epochs.get(&entry.epoch) else { return BTreeSet::new() };
    let later: Vec<_> = epochs
        .range(entry.epoch..)
        .filter(|(_, (began, _))| *began < entry.sequence)
        .map(|(_, (_, members))| *members)
        .collect();
    let stayed = |(name, since): (&'a String, &'a u64)| {
        let is_there = |members: &&Members| members.get(name) == Some(since);
        later.iter().all(is_there).then_some(name.as_str())
    };
    then.iter().filter_map(stayed).collect()
}

/// Of each message in a log, who may hear it.
type Ears<'a> = BTreeMap<(&'a Room, u64), BTreeSet<&'a str>>;

fn ears(history: &History) -> Ears<'_> {
    let mut ears = Ears::new();
    for (room, log) in &history.rooms {
        let epochs = log.epochs();
        for entry in log.entries.iter().filter(|entry| entry.kind == Kind::Message) {
            ears.insert((room, entry.sequence), entitled(&epochs, entry));
        }
    }
    ears
}

fn one_commit(room: &Room, log: &Log, findings: &mut Findings) {
    let mut epoch = log.epoch;
    for (entry, number) in log.entries.iter().zip(1..) {
        if entry.sequence != number {
            let found = entry.sequence;
            return findings.add(Rule::OneCommit, format!("{room}: entry {found} where {number} should be"));
        }
        let right = match entry.kind {
            Kind::Commit | Kind::Proposal => entry.epoch == epoch,
            Kind::Message => entry.epoch <= epoch && entry.epoch.saturating_add(LATE) >= epoch,
        };
        if !right {
            let (kind, of) = (entry.kind, entry.epoch);
            findings.add(Rule::OneCommit, format!("{room}: {number} is a {kind:?} of epoch {of} in {epoch}"));
        }
        if entry.kind == Kind::Commit {
            epoch = entry.epoch.saturating_add(1);
        }
    }
}

/// Messages of so many epochs before are taken.
const LATE: u64 = 5;

fn kept(history: &History, findings: &mut Findings) {
    for accepted in &history.accepted {
        let (room, sequence) = (&accepted.room, accepted.sequence);
        let entry = history.rooms.get(room).and_then(|log| log.entry(sequence));
        if entry.is_none_or(|entry| entry.digest != Some(accepted.digest)) {
            findings.add(Rule::Kept, format!("{room}: what was accepted as {sequence} is not there"));
        }
    }
    for (name, told) in &history.bots {
        for change in &told.changes {
            let Answer::Done(Some(sequence)) = change.answer else { continue };
            let entry = history.rooms.get(&change.room).and_then(|log| log.entry(sequence));
            let kind = if change.what == "leave" { Kind::Proposal } else { Kind::Commit };
            if entry.is_none_or(|entry| entry.kind != kind) {
                let (room, what) = (&change.room, change.what);
                findings.add(Rule::Kept, format!("{room}: {name} was told that {what} is {sequence}"));
            }
        }
    }
}

fn same_log(history: &History, findings: &mut Findings) {
    for page in &history.pages {
        let (room, to, after) = (&page.room, &page.to, page.after);
        let Some(log) = history.rooms.get(room) else {
            findings.add(Rule::SameLog, format!("{room}: {to} has read a log that is not there"));
            continue;
        };
        for (sequence, kind, epoch, digest) in &page.entries {
            let there = log.entry(*sequence).is_some_and(|entry| {
                (entry.kind, entry.epoch, entry.digest) == (*kind, *epoch, Some(*digest))
            });
            if !there {
                findings.add(Rule::SameLog, format!("{room}: {to} has read another {sequence}"));
            }
        }
        let first = page.entries.first().map(|(sequence, ..)| *sequence);
        let numbers = page.entries.iter().map(|(sequence, ..)| *sequence);
        let in_order = first.is_none_or(|first| numbers.zip(first..).all(|(one, other)| one == other));
        // Who joins reads from there on.
        let follows = first.is_none_or(|first| {
            let before = first.saturating_sub(1);
            let joined = || {
                let entry = log.entry(before)?;
                let since = entry.members.as_ref()?.get(to)?;
                Some(*since == entry.epoch.saturating_add(1))
            };
            before == after || (before > after && joined() == Some(true))
        });
        if !in_order || !follows {
            findings.add(Rule::SameLog, format!("{room}: {to} has read with a gap after {after}"));
        }
    }
}

fn cursors(name: &str, told: &Told, findings: &mut Findings) {
    let mut known = BTreeMap::new();
    let mut newest = 0;
    for event in &told.events {
        let cursor = event.cursor;
        match known.get(&cursor) {
            Some(before) if *before != event => {
                findings.add(Rule::Cursors, format!("{name}: {cursor} was something else before"));
            }
            None if cursor <= newest => {
                findings.add(Rule::Cursors, format!("{name}: {cursor} comes after {newest}"));
            }
            Some(_) | None => {}
        }
        known.insert(cursor, event);
        newest = newest.max(cursor);
    }
}

/// Each event once, in order.
fn events(told: &Told) -> impl Iterator<Item = &crate::history::Event> {
    let mut newest = 0;
    told.events.iter().filter(move |event| {
        let new = event.cursor > newest;
        newest = newest.max(event.cursor);
        new
    })
}

fn order(name: &str, told: &Told, findings: &mut Findings) {
    let mut last: BTreeMap<&Room, u64> = BTreeMap::new();
    let mut heard = BTreeSet::new();
    for event in events(told) {
        let What::Message { message, sequence, .. } = &event.what else { continue };
        if !heard.insert((&event.room, message)) {
            findings.add(Rule::Order, format!("{}: {name} has heard {message} twice", event.room));
        }
        let before = last.entry(&event.room).or_default();
        if *sequence <= *before {
            findings.add(Rule::Order, format!("{}: {name} has heard {sequence} after {before}", event.room));
        }
        *before = (*before).max(*sequence);
    }
}

fn said_once(name: &str, told: &Told, history: &History, findings: &mut Findings) {
    let mut places: BTreeMap<(&Room, &str), BTreeSet<u64>> = BTreeMap::new();
    for said in &told.said {
        if let Answer::Done(Some(sequence)) = said.answer {
            places.entry((&said.room, &said.message)).or_default().insert(sequence);
        }
    }
    let mut failed: BTreeMap<&Room, usize> = BTreeMap::new();
    for event in events(told) {
        match &event.what {
            What::Sent { message, sequence } => {
                places.entry((&event.room, message)).or_default().insert(*sequence);
            }
            What::NotDone(_) => *failed.entry(&event.room).or_default() += 1,
            _ => {}
        }
    }
    for ((room, message), places) in &places {
        if places.len() > 1 {
            findings.add(Rule::SaidOnce, format!("{room}: {name} has said {message} at {places:?}"));
        }
        for sequence in places {
            let entry = history.rooms.get(*room).and_then(|log| log.entry(*sequence));
            if entry.is_none_or(|entry| entry.kind != Kind::Message) {
                findings.add(
                    Rule::SaidOnce,
                    format!("{room}: {name} has {message} at {sequence}, which it is not"),
                );
            }
        }
    }
    // What was kept has been said, or it was told that it won't be.
    let mut missing: BTreeMap<&Room, BTreeSet<&str>> = BTreeMap::new();
    for said in &told.said {
        let is_owed = matches!(said.answer, Answer::Kept | Answer::Done(None));
        if is_owed && !places.contains_key(&(&said.room, said.message.as_str())) {
            missing.entry(&said.room).or_default().insert(&said.message);
        }
    }
    for (room, missing) in missing {
        if missing.len() > failed.get(room).copied().unwrap_or_default() {
            findings.add(Rule::SaidOnce, format!("{room}: {name} has never said {missing:?}"));
        }
    }
}

/// Who has said what: room, name of the message.
fn authors(history: &History) -> BTreeMap<(&Room, &str), (&str, &str)> {
    let mut authors = BTreeMap::new();
    for (name, told) in &history.bots {
        for said in &told.said {
            authors.insert((&said.room, said.message.as_str()), (name.as_str(), said.text.as_str()));
        }
    }
    authors
}

fn heard(history: &History, ears: &Ears<'_>, findings: &mut Findings) {
    let authors = authors(history);
    // Who knows what stands at a number: its author by what they were told, others by what they heard.
    let mut by: BTreeMap<(&Room, u64), BTreeMap<&str, &str>> = BTreeMap::new();
    for (name, told) in &history.bots {
        for said in &told.said {
            if let Answer::Done(Some(sequence)) = said.answer {
                by.entry((&said.room, sequence)).or_default().insert(name, &said.message);
            }
        }
        for event in events(told) {
            match &event.what {
                What::Sent { message, sequence } => {
                    by.entry((&event.room, *sequence)).or_default().insert(name, message);
                }
                What::Message { from, message, sequence, text } => {
                    by.entry((&event.room, *sequence)).or_default().insert(name, message);
                    if authors.get(&(&event.room, message.as_str())) != Some(&(from.as_str(), text.as_str()))
                    {
                        let room = &event.room;
                        findings.add(
                            Rule::Heard,
                            format!("{room}: {name} has heard {message}, which is another"),
                        );
                    }
                }
                _ => {}
            }
        }
    }
    for ((room, sequence), entitled) in ears {
        let knows = by.get(&(*room, *sequence)).cloned().unwrap_or_default();
        let names: BTreeSet<_> = knows.values().collect();
        if names.len() > 1 {
            findings.add(Rule::Heard, format!("{room}: {sequence} is {names:?}"));
        }
        let deaf: Vec<_> = entitled.iter().filter(|name| !knows.contains_key(**name)).collect();
        if !deaf.is_empty() {
            findings.add(Rule::Heard, format!("{room}: {sequence} was not heard by {deaf:?}"));
        }
    }
}

fn secret(history: &History, ears: &Ears<'_>, findings: &mut Findings) {
    for (name, told) in &history.bots {
        for event in events(told) {
            let What::Message { sequence, .. } = &event.what else { continue };
            let room = &event.room;
            match ears.get(&(room, *sequence)) {
                Some(entitled) if entitled.contains(name.as_str()) => {}
                Some(_) => {
                    findings
                        .add(Rule::Secret, format!("{room}: {name} has heard {sequence} and was not there"));
                }
                None => {
                    findings.add(Rule::Heard, format!("{room}: {name} has heard {sequence}: there is none"))
                }
            }
        }
    }
}

fn key_packages(history: &History, findings: &mut Findings) {
    let mut given = BTreeMap::new();
    for claim in history.claims.iter().filter(|claim| !claim.last_resort) {
        if let Some(other) = given.insert(claim.package, &claim.by) {
            let (package, by) = (short(&claim.package), &claim.by);
            findings.add(Rule::KeyPackages, format!("{package} was given to {other} and to {by}"));
        }
    }
}

fn welcomes(history: &History, findings: &mut Findings) {
    let logged: BTreeSet<(&Room, Digest)> = history
        .rooms
        .iter()
        .flat_map(|(room, log)| log.entries.iter().map(move |entry| (room, entry)))
        .filter(|(_, entry)| entry.kind == Kind::Commit)
        .filter_map(|(room, entry)| Some((room, entry.digest?)))
        .collect();
    let mut won = BTreeSet::new();
    for offered in &history.offered {
        if let Some(welcome) = offered.welcome
            && logged.contains(&(&offered.room, offered.digest))
        {
            won.insert(welcome);
        }
    }
    for welcomed in &history.welcomes {
        if !won.contains(&welcomed.welcome) {
            let to = &welcomed.to;
            findings.add(Rule::Welcomes, format!("{to} has a Welcome of a commit that has not won"));
        }
    }
}

fn agreement(history: &History, findings: &mut Findings) {
    for (room, log) in &history.rooms {
        let epochs = log.epochs();
        let Some((epoch, (began, members))) = epochs.last_key_value() else { continue };
        let names: Vec<_> = members.keys().cloned().collect();
        let mut authenticators = BTreeSet::new();
        for name in &names {
            let end = history.bots.get(name).and_then(|told| told.end.get(room));
            match end {
                Some(end)
                    if end.standing == "active" && end.epoch == Some(*epoch) && end.members == names =>
                {
                    authenticators.insert(&end.authenticator);
                }
                Some(end) => {
                    let (standing, at) = (&end.standing, end.epoch);
                    let text = format!("{room}: {name} is {standing} in {at:?} with {:?}", end.members);
                    findings.add(Rule::Agreement, format!("{text}, the log is in {epoch} with {names:?}"));
                }
                None => {
                    findings.add(Rule::Agreement, format!("{room}: {name} is there and does not know it"))
                }
            }
        }
        if authenticators.len() > 1 {
            findings
                .add(Rule::Agreement, format!("{room}: members of epoch {epoch} are in different groups"));
        }
        for (name, told) in &history.bots {
            let active = told.end.get(room).is_some_and(|end| end.standing == "active");
            if active && !members.contains_key(name) {
                findings.add(Rule::Agreement, format!("{room}: {name} is not there and does not know it"));
            }
        }
        let waiting =
            log.entries.iter().find(|entry| entry.sequence > *began && entry.kind == Kind::Proposal);
        if let Some(waiting) = waiting {
            let sequence = waiting.sequence;
            findings.add(Rule::Agreement, format!("{room}: nobody commits the proposal {sequence}"));
        }
    }
}

fn quiet(history: &History, findings: &mut Findings) {
    for accident in &history.accidents {
        findings.add(Rule::Quiet, accident.clone());
    }
    for (name, told) in &history.bots {
        for event in events(told) {
            if let What::Trouble(what) = &event.what {
                findings.add(Rule::Quiet, format!("{}: {name} tells of {what}", event.room));
            }
        }
    }
}

/// The beginning of a hash, to be shown.
fn short(digest: &Digest) -> String {
    hex::encode(digest.first_chunk::<6>().copied().unwrap_or_default())
}
