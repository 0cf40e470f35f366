//! Several processes on one store, some of which die.

use std::collections::BTreeMap;
use std::thread;

use test_support::random::SeededRandom;
use test_support::recording::{Note, read_from};

use crate::ME;
use crate::command::{Answer, Bytes, Command, Settings, Trouble, View, What};
use crate::disk::DiskOptions;
use crate::failure::{Failure, Kind};
use crate::process::{Process, Programs, Start};
use crate::run::{Place, whole};
use crate::scenarios::Scenario;
use crate::world::{Me, World};

/// What came of a race.
#[derive(Clone, Debug, Default)]
pub struct Raced {
    /// Things that one of the processes has done.
    pub done: u64,
    /// Things for which another one was faster.
    pub stale: u64,
    /// Processes that were killed.
    pub killed: u64,
    /// Encryptions whose keys were compared.
    pub seals: u64,
    /// Attempts that were made durable.
    durable: Vec<u64>,
}

/// One process of several.
struct Racer<'p> {
    programs: &'p Programs,
    start: Start,
    process: Option<Process>,
}

impl Racer<'_> {
    fn started(&mut self) -> Result<View, Failure> {
        for _ in 0..100 {
            self.start.disk.seed += 1;
            let (process, answer) = Process::start(self.programs, &self.start, None, None);
            match answer {
                Some(Answer::Done(view)) => {
                    self.process = Some(process);
                    return Ok(*view);
                }
                // The others write.
                Some(Answer::Failed(Trouble::Busy | Trouble::Stale | Trouble::Read) | Answer::Wrong(_)) => {
                    process.kill();
                }
                other => return Err(Failure::new(Kind::Lost, format!("a racer does not start: {other:?}"))),
            }
        }
        Err(Failure::new(Kind::Liveness, "a racer does not start"))
    }

    /// Opens everything again; the others go on writing meanwhile.
    fn reopened(&mut self, random: u64) -> Result<View, Failure> {
        for _ in 0..200 {
            let command = Command { number: 0, attempt: 0, random, now: NOW, what: What::Reopen };
            match self.ask(&command) {
                Some(Answer::Done(view)) => return Ok(*view),
                Some(Answer::Failed(_) | Answer::Wrong(_)) => {}
                other => return Err(Failure::new(Kind::Lost, format!("a racer opens again: {other:?}"))),
            }
        }
        self.started()
    }
}

impl Me for Racer<'_> {
    fn ask(&mut self, command: &Command) -> Option<Answer> {
        self.process.as_mut()?.ask(command)
    }
    fn start(&mut self) -> Option<Answer> {
        if let Some(process) = self.process.take() {
            process.kill();
        }
        self.started().ok().map(|view| Answer::Done(Box::new(view)))
    }
    fn is_clean(&self) -> bool {
        true
    }
}

/// What a racer does: it says things, and reads letters, which all are given.
fn run(mut racer: Racer<'_>, group: &Bytes, letters: &[Bytes], seed: u64) -> Result<Raced, Failure> {
    let mut random = SeededRandom::new(seed);
    let mut raced = Raced::default();
    let (mut said, mut read, mut number) = (0, 0, 0);
    racer.started()?;
    while said < TEXTS || read < letters.len() {
        number += 1;
        if number > 5000 {
            return Err(Failure::new(Kind::Liveness, "a racer does not come to its end"));
        }
        if random.below(16) == 0 {
            // It is killed between two commands; what kills in the middle of them is elsewhere.
            racer.process.take().map(Process::kill);
            raced.killed += 1;
            racer.started()?;
            continue;
        }
        let says = said < TEXTS && (read == letters.len() || random.below(2) == 0);
        let what = match says {
            true => What::Say(group.clone(), format!("{seed}: {said}").as_str().into()),
            false => What::Receive(group.clone(), letters[read].clone()),
        };
        let command = Command { number, attempt: 0, random: random.number(), now: NOW, what };
        let done = match racer.ask(&command) {
            Some(Answer::Done(_)) => true,
            // Another one has read it.
            Some(Answer::Refused(error)) if !says && error.contains("KeyUsed") => {
                read += 1;
                false
            }
            // Another one was faster, or has written between this one's write and its look at what it has written.
            Some(Answer::Failed(_) | Answer::Wrong(_)) => {
                raced.stale += 1;
                racer.reopened(random.number())?.progress == number
            }
            other => return Err(Failure::new(Kind::Liveness, format!("a racer: {other:?}"))),
        };
        if done {
            raced.done += 1;
            raced.durable.push(command.tag());
            (said, read) = if says { (said + 1, read) } else { (said, read + 1) };
        }
    }
    if let Some(process) = racer.process.take() {
        process.end();
    }
    Ok(raced)
}

/// So many processes of one client race on its store, while some of them are killed. In the end everything has been said and
/// read once.
///
/// # Errors
/// What the checks find.
pub fn race(programs: &Programs, scenario: &Scenario, racers: u64, seed: u64) -> Result<Raced, Failure> {
    let place = Place::new();
    let racer = |number: u64| {
        let busy_milliseconds = if number.is_multiple_of(2) { 50 } else { 0 };
        let options = DiskOptions { busy_milliseconds, ..place.options(scenario, seed ^ number << 20) };
        let seals = place.seals().with_extension(number.to_string());
        let start = Start { disk: options, seals, progress: format!("progress {number}") };
        Racer { programs, start, process: None }
    };
    let mut world = World::new(seed, Box::new(racer(0)))?;
    world.gather(&["bob", "carol"], &Settings::default())?;
    let mut letters = Vec::new();
    for text in 0..TEXTS {
        letters.push(world.said("bob", &format!("letter {text}"))?);
    }
    let group = world.group.clone();
    let raced: Vec<_> = thread::scope(|scope| {
        let (group, letters) = (&group, &letters);
        let run = |number: u64| {
            let racer = racer(number);
            scope.spawn(move || run(racer, group, letters, seed ^ number << 40))
        };
        let running: Vec<_> = (1..=racers).map(run).collect();
        running.into_iter().map(|thread| thread.join().expect("a racer does not panic")).collect()
    });
    let mut all = Raced::default();
    for (number, raced) in (1..).zip(raced) {
        let raced = raced?;
        let notes =
            read_from(&std::fs::read(place.seals().with_extension(number.to_string())).unwrap_or_default());
        all.done += raced.done;
        all.stale += raced.stale;
        all.killed += raced.killed;
        add(&mut world, number, &notes, &raced.durable);
    }
    world.look()?;
    said_and_read_once(&mut world, racers)?;
    all.seals = world.finish()?;
    whole(&place.disk(), world.view.records.1)?;
    Ok(all)
}

/// All that the racers have said is in the outbox and opens once; all letters are in the inbox, once.
fn said_and_read_once(world: &mut World<'_>, racers: u64) -> Result<(), Failure> {
    let own = world.group_of(ME).clone();
    let mut texts = BTreeMap::new();
    for (_, message) in &own.outbox {
        let seen = world.tell("bob", What::Receive(world.instance("bob"), message.clone()))?;
        world.tell("carol", What::Receive(world.instance("carol"), message.clone()))?;
        for read in seen.read {
            *texts.entry(read.text).or_insert(0) += 1;
        }
    }
    let expected = usize::try_from(racers).expect("a few") * TEXTS;
    if texts.len() != expected || texts.values().any(|times| *times != 1) {
        let what = format!("{expected} texts were said, there are {}: {texts:?}", texts.len());
        return Err(Failure::new(Kind::Lost, what));
    }
    let letters: BTreeMap<_, _> = own.inbox.iter().map(|letter| (&letter.text, letter)).collect();
    match letters.len() == TEXTS && own.inbox.len() == TEXTS {
        true => Ok(()),
        false => Err(Failure::new(Kind::Twice, format!("{} letters were read", own.inbox.len()))),
    }
}

/// Adds what a racer has encrypted; the numbers of its commands are its own.
fn add(world: &mut World<'_>, number: u64, notes: &[Note], durable: &[u64]) {
    let own = |tag: u64| tag | number << 56;
    let notes = notes.iter().map(|note| match note {
        Note::Mark(tag) => Note::Mark(own(*tag)),
        seal @ Note::Seal(_) => *seal,
    });
    world.ledger.add_notes(&notes.collect::<Vec<_>>());
    durable.iter().for_each(|tag| world.ledger.is_durable(own(*tag)));
}

/// How many things each racer says, and how many letters there are.
const TEXTS: usize = 8;
/// When they race.
const NOW: u64 = 1_800_000_000;
