//! Scenarios that are played by a process, and written down.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use test_support::recording::{Note, read_from};

use crate::PROGRESS;
use crate::command::{Answer, Command};
use crate::disk::DiskOptions;
use crate::failure::{Failure, Kind};
use crate::process::{Fault, Process, Programs, Start};
use crate::scenarios::Scenario;
use crate::shim::{Event, read_log};
use crate::world::{Me, Told, World};

/// Where a run has its files.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// A new one: in memory where there is such a file system, since a process that is killed loses nothing of it.
    ///
    /// # Panics
    /// If no folder can be made.
    #[must_use]
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()),
            false => tempfile::tempdir(),
        };
        let place = Self { folder: folder.expect("a folder can be made") };
        fs::create_dir(place.disk()).expect("a folder can be made");
        place
    }

    /// The client's disk.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// What the process has encrypted with.
    #[must_use]
    pub fn seals(&self) -> PathBuf {
        self.folder.path().join("seals")
    }

    /// What it has done to its files.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// How the store is opened.
    #[must_use]
    pub fn options(&self, scenario: &Scenario, seed: u64) -> DiskOptions {
        let checkpoint_steps = scenario.checkpoint_steps;
        DiskOptions { folder: self.disk(), seed, checkpoint_steps, anchor: true, busy_milliseconds: 0 }
    }

    fn notes(&self) -> Vec<Note> {
        read_from(&fs::read(self.seals()).unwrap_or_default())
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

/// A client in processes: when one has died, the next is started.
struct Processes<'p> {
    programs: &'p Programs,
    start: Start,
    log: Option<PathBuf>,
    /// What happens to the first process, to the second, and so on.
    faults: Vec<Option<Fault>>,
    process: Option<Process>,
    clean: bool,
}

impl Me for Processes<'_> {
    fn ask(&mut self, command: &Command) -> Option<Answer> {
        self.process.as_mut()?.ask(command)
    }

    fn start(&mut self) -> Option<Answer> {
        if let Some(process) = self.process.take() {
            assert!(process.kill(), "the client ends by itself");
        }
        let fault = if self.faults.is_empty() { None } else { self.faults.remove(0) };
        self.clean = fault.is_none();
        let mut start = self.start.clone();
        // Its randomness is never the same again.
        self.start.disk.seed += 1;
        start.disk.seed = start.disk.seed.wrapping_mul(1000);
        let (process, answer) = Process::start(self.programs, &start, self.log.as_deref(), fault);
        self.process = Some(process);
        answer
    }

    fn is_clean(&self) -> bool {
        self.clean
    }
}

impl Drop for Processes<'_> {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ran {
    /// How often the process was found dead.
    pub deaths: u64,
    /// How often it said that something had failed.
    pub failures: u64,
    /// Encryptions whose keys were compared.
    pub seals: u64,
}

/// Plays a scenario in a process to which this happens: to the first, to the one after it, and so on.
///
/// # Errors
/// What the checks find.
pub fn play(
    programs: &Programs,
    (scenario, seed): (&Scenario, u64),
    faults: Vec<Option<Fault>>,
) -> Result<Ran, Failure> {
    let place = Place::new();
    play_in(&place, programs, (scenario, seed), faults, None).map(|(ran, ..)| ran)
}

type Played = (Ran, Vec<Told>, (usize, usize));

fn play_in(
    place: &Place,
    programs: &Programs,
    (scenario, seed): (&Scenario, u64),
    faults: Vec<Option<Fault>>,
    log: Option<PathBuf>,
) -> Result<Played, Failure> {
    let start =
        Start { disk: place.options(scenario, seed), seals: place.seals(), progress: PROGRESS.into() };
    let clean = faults.is_empty();
    let me = Processes { programs, start, log, faults, process: None, clean };
    let mut world = World::new(seed, Box::new(me))?;
    let played = scenario.play(&mut world);
    world.ledger.add_notes(&place.notes());
    played?;
    whole(&place.disk(), world.view.records.1)?;
    let seals = world.ledger.check()?;
    let ran = Ran { deaths: world.deaths, failures: world.failures, seals };
    Ok((ran, std::mem::take(&mut world.told), world.window))
}

/// A run that was written down.
pub struct Recorded {
    /// What came of each question.
    pub told: Vec<Told>,
    /// The questions that the scenario is about.
    pub window: (usize, usize),
    /// What happened to the files.
    pub events: Vec<Event>,
    /// What was encrypted.
    pub notes: Vec<Note>,
}

impl Recorded {
    /// Plays a scenario and writes it down.
    ///
    /// # Errors
    /// What the checks find.
    pub fn play(
        programs: &Programs,
        (scenario, seed): (&Scenario, u64),
        fault: Option<Fault>,
    ) -> Result<Self, Failure> {
        let place = Place::new();
        let (_, told, window) = play_in(&place, programs, (scenario, seed), vec![fault], Some(place.log()))?;
        let events = read_log(&fs::read(place.log()).expect("it was written"));
        let answers = events.iter().filter(|event| **event == Event::Told).count();
        if answers != answered(&told) {
            return Err(Failure::new(Kind::Test, "answers and notes of them differ in number"));
        }
        Ok(Self { told, window, events, notes: place.notes() })
    }

    /// Where in the events the scenario begins and ends.
    #[must_use]
    pub fn event_window(&self) -> (usize, usize) {
        let mut answers = self.events.iter().enumerate().filter(|(_, event)| **event == Event::Told);
        let given = |until: usize| answered(&self.told[..until.min(self.told.len())]);
        let (first, last) = (given(self.window.0), given(self.window.1));
        let begin = answers.clone().nth(first.saturating_sub(1)).map_or(0, |(place, _)| place);
        let end = answers.nth(last.saturating_sub(1)).map_or(self.events.len(), |(place, _)| place);
        (if first == 0 || self.window.0 <= 1 { 0 } else { begin }, end)
    }

    /// How many events of a kind there were before a place.
    fn before(&self, place: usize, counts: impl Fn(&Event) -> bool) -> u64 {
        u64::try_from(self.events[..place].iter().filter(|event| counts(event)).count()).expect("a number")
    }

    /// The calls of the scenario: from this number to before that.
    #[must_use]
    pub fn calls(&self) -> std::ops::Range<u64> {
        let (begin, end) = self.event_window();
        self.before(begin, Event::is_call)..self.before(end, Event::is_call)
    }

    /// The same of requests for locks.
    #[must_use]
    pub fn locks(&self) -> std::ops::Range<u64> {
        let (begin, end) = self.event_window();
        let is_lock = |event: &Event| *event == Event::Lock;
        self.before(begin, is_lock)..self.before(end, is_lock)
    }

    /// The same of syncs.
    #[must_use]
    pub fn syncs(&self) -> std::ops::Range<u64> {
        let (begin, end) = self.event_window();
        let is_sync = |event: &Event| matches!(event, Event::Synced(..));
        self.before(begin, is_sync)..self.before(end, is_sync)
    }

    /// Whether the call of this number writes data, so that it can be done by half.
    #[must_use]
    pub fn is_write(&self, call: u64) -> bool {
        let mut calls = self.events.iter().filter(|event| event.is_call());
        matches!(calls.nth(usize::try_from(call).expect("a number")), Some(Event::Written(..)))
    }
}

fn answered(told: &[Told]) -> usize {
    told.iter().filter(|told| told.answer.is_some()).count()
}

/// The file is a whole database, with as many records as are known to be there.
///
/// # Errors
/// [`Kind::Torn`].
pub fn whole(folder: &Path, records: u64) -> Result<(), Failure> {
    let torn = |what: String| Failure::new(Kind::Torn, what);
    let file = crate::disk::file(folder);
    let read = || -> rusqlite::Result<(String, u64)> {
        let connection = rusqlite::Connection::open(&file)?;
        let check = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        let rows = connection.query_row("SELECT count(*) FROM records", [], |row| row.get(0))?;
        Ok((check, rows))
    };
    let (check, rows) = read().map_err(|error| torn(format!("the database: {error}")))?;
    match check == "ok" && rows == records {
        true => Ok(()),
        false => Err(torn(format!("the database: {check}, {rows} records, {records} are known"))),
    }
}
