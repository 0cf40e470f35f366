//! A network that loses, doubles, delays and garbles, and machines that stop: from a seed.

#![allow(
    clippy::as_conversions,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::collections::BTreeMap;

use common::{Carried, Person, World};
use hushwood_client::core::{Next, Request};
use hushwood_client::{
    EventKind, Invitations, MessageId, RoomId, Settings, Transport, TransportError, Trust,
};
use hushwood_delivery::wire::{Answer, CommitAnswer, Nothing, ReadAnswer};
use test_support::random::SeededRandom;

/// What is between people and the service.
struct Network {
    transport: Carried,
    dice: SeededRandom,
    /// Out of a hundred requests, so many are harmed.
    faults: u64,
    waiting: Vec<Waiting>,
    counts: BTreeMap<&'static str, u64>,
}

/// An answer on its way.
struct Waiting {
    to: usize,
    id: u64,
    answer: Result<Answer, TransportError>,
}

impl Network {
    fn ask(&mut self, from: usize, request: Request) {
        let Request { id, call, token } = request;
        let fault = if self.dice.number() % 100 < self.faults { self.dice.number() % 6 } else { 99 };
        let lost = || Err(TransportError::Unknown("no answer".to_owned()));
        let ask = || self.transport.call(call.clone(), token.as_deref());
        let (name, answers) = match fault {
            0 => ("request lost", vec![lost()]),
            1 => {
                drop(ask());
                ("answer lost", vec![lost()])
            }
            2 => {
                let first = ask();
                drop(ask());
                ("request doubled", vec![first])
            }
            3 => {
                let answer = ask();
                ("answer doubled", vec![answer.clone(), answer])
            }
            4 => {
                let answer = ask().map(|answer| garble(answer, self.dice.number()));
                ("answer garbled", vec![answer])
            }
            5 => ("not reached", vec![Err(TransportError::Unreachable("down".to_owned()))]),
            _ => ("nothing", vec![ask()]),
        };
        *self.counts.entry(name).or_default() += 1;
        self.waiting.extend(answers.into_iter().map(|answer| Waiting { to: from, id, answer }));
    }

    /// One of the answers that are on their way.
    fn next(&mut self) -> Option<Waiting> {
        if self.waiting.is_empty() {
            return None;
        }
        let at = (self.dice.number() % self.waiting.len() as u64) as usize;
        Some(self.waiting.swap_remove(at))
    }
}

/// Answers that can't be: whoever takes them at their word is lost.
fn garble(answer: Answer, dice: u64) -> Answer {
    match (answer, dice % 3) {
        (Answer::Read(ReadAnswer::Page(mut page)), 0 | 1) if page.entries.len() > 1 => {
            match dice % 3 {
                0 => page.entries.reverse(),
                _ => drop(page.entries.remove(page.entries.len() / 2)),
            }
            Answer::Read(ReadAnswer::Page(page))
        }
        (Answer::Commit(_), _) => Answer::Commit(CommitAnswer::Stale { epoch: dice, winner: 1 << 40 }),
        (_, _) => Answer::Acknowledge(Nothing),
    }
}

struct Story {
    world: World,
    people: Vec<Person>,
    network: Network,
    room: RoomId,
    /// What was said, by name.
    said: BTreeMap<MessageId, (usize, Vec<u8>)>,
    /// What each has heard: the number in the log, the name, and the text.
    heard: Vec<Vec<(u64, MessageId, Vec<u8>)>>,
    bad: Vec<String>,
}

impl Story {
    fn new(count: usize, seed: u64) -> Self {
        let mut world = World::new();
        let settings = Settings {
            patience: std::time::Duration::ZERO,
            invitations: Invitations::All,
            ..Settings::default()
        };
        let mut people: Vec<_> = (0..count)
            .map(|number| {
                let name = format!("person{number}");
                let seed = seed * 100 + number as u64;
                Person::with(&name, seed, settings.clone(), Trust::on_first_use)
            })
            .collect();
        for person in &mut people {
            person.sync(&mut world);
        }
        let now = world.now;
        let room = people[0].does(|core| core.create_room("tea", now));
        for number in 1..count {
            let name = people[number].name.clone();
            people[0].done(&mut world, |core| core.invite(&room, &name));
        }
        for person in &mut people {
            person.sync(&mut world);
            person.events();
        }
        let transport = world.transport();
        let dice = SeededRandom::new(seed);
        let network = Network { transport, dice, faults: 0, waiting: Vec::new(), counts: BTreeMap::new() };
        let heard = vec![Vec::new(); count];
        Self { world, people, network, room, said: BTreeMap::new(), heard, bad: Vec::new() }
    }

    fn step(&mut self) {
        self.world.pass(1 + self.network.dice.number() % 20);
        let who = (self.network.dice.number() % self.people.len() as u64) as usize;
        let now = self.world.now;
        match self.network.dice.number() % 100 {
            0..=9 => {
                let id = MessageId(self.network.dice.bytes(16).try_into().unwrap());
                let text = format!("{who} says {}", self.said.len()).into_bytes();
                self.people[who].does(|core| core.send_as(&self.room, id, &text, now));
                self.said.insert(id, (who, text));
            }
            10..=12 => drop(self.people[who].does(|core| core.renew(&self.room))),
            13..=20 => drop(self.people[who].core.want_sync()),
            21 => {
                let after = self.network.dice.number().is_multiple_of(2);
                let mut disk = self.people[who].disk.state();
                let at = disk.writes + 1 + self.network.dice.number() % 5;
                disk.crash = Some((at, after));
            }
            22 => {
                self.people[who].restart();
                self.people[who].core.want_sync();
            }
            23..=60 => {
                if let Some(Waiting { to, id, answer }) = self.network.next() {
                    self.people[to].answer(id, answer, now);
                }
            }
            _ => {
                if let Next::Request(request) = self.people[who].does(|core| core.poll(now)) {
                    self.network.ask(who, *request);
                }
            }
        }
        self.listen(who);
    }

    fn listen(&mut self, who: usize) {
        for event in self.people[who].events() {
            match event.kind {
                EventKind::Message(message) => {
                    self.heard[who].push((message.sequence, message.id, message.body));
                }
                EventKind::Fork { .. }
                | EventKind::Gap { .. }
                | EventKind::NotDone { .. }
                | EventKind::NeedsAttention(_) => {
                    self.bad.push(format!("{who}: {event:?}"));
                }
                _ => {}
            }
        }
    }

    /// Nothing fails any more: all is done, and all agree.
    fn end(mut self, seed: u64) {
        for person in &mut self.people {
            person.disk.state().crash = None;
        }
        // What is on its way arrives.
        while let Some(Waiting { to, id, answer }) = self.network.next() {
            self.people[to].answer(id, answer, self.world.now);
        }
        for _ in 0..3 {
            for who in 0..self.people.len() {
                self.world.pass(60_000);
                self.people[who].sync(&mut self.world);
                self.listen(who);
            }
        }
        let context = format!("seed {seed}: {:?}", self.network.counts);
        assert_eq!(self.bad, Vec::<String>::new(), "{context}");
        let first = self.people[0].authenticator(&self.room);
        for person in &mut self.people {
            assert_eq!(person.authenticator(&self.room), first, "{context}");
        }
        for (who, heard) in self.heard.iter().enumerate() {
            let numbers: Vec<_> = heard.iter().map(|(sequence, ..)| *sequence).collect();
            assert!(numbers.is_sorted_by(|one, other| one < other), "{context}: each once and in order");
            let of_others = self.said.iter().filter(|(_, (by, _))| *by != who);
            let mut expected: Vec<_> = of_others.map(|(id, (_, text))| (*id, text.clone())).collect();
            let mut found: Vec<_> = heard.iter().map(|(_, id, text)| (*id, text.clone())).collect();
            expected.sort();
            found.sort();
            assert_eq!(found, expected, "{context}: {who}");
        }
    }
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice() {
    let seeds = std::env::var("HUSHWOOD_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(12);
    let first = std::env::var("HUSHWOOD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    for seed in first..first + seeds {
        let mut story = Story::new(2 + (seed % 3) as usize, seed);
        story.network.faults = 30;
        for _ in 0..1500 {
            story.step();
        }
        story.end(seed);
    }
}
