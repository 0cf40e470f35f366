//! What a loss of power can leave on a disk.
//!
//! All that was synced is there. Of what was written after that, anything may be: nothing, all, any part of it in any order,
//! and of each write any of its sectors. A file that is new, or gone, is so for certain when its folder was synced.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use test_support::random::SeededRandom;
use test_support::recording::Note;

use crate::client::Client;
use crate::command::{Answer, Command};
use crate::disk::{DiskOptions, SqliteDisk};
use crate::failure::Failure;
use crate::run::{Place, Ran, Recorded, whole};
use crate::scenarios::Scenario;
use crate::shim::Event;
use crate::world::{Me, World};
use crate::{ME, PROGRESS, provider};

/// Drives write such pieces whole or not at all.
const SECTOR: u64 = 512;
/// The index of the log, which SQLite makes anew.
const INDEX: &str = "-shm";

/// A change of a file's content.
#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

/// How much of a change has reached the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Durable,
    Pending,
    /// Its sync has failed: the system takes it to be written, and may never write it.
    Doomed,
}

#[derive(Clone, Debug, Default)]
struct Content {
    durable: Vec<u8>,
    /// With the place of each in the order of all changes.
    changes: Vec<(u64, Change, State)>,
}

/// A disk, as far as it is known what is on it.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    contents: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    clock: u64,
}

/// How a loss of power treats what was not synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loss {
    /// All of it is lost.
    Everything,
    /// Nothing is.
    Nothing,
    /// What came last is, from a sector of one of the writes on.
    Tail,
    /// Some of the writes are.
    Writes,
    /// Some of the sectors are.
    Sectors,
}

impl Loss {
    /// Every way.
    pub const ALL: [Self; 5] = [Self::Everything, Self::Nothing, Self::Tail, Self::Writes, Self::Sectors];
}

/// The files of an image.
pub type Files = BTreeMap<String, Vec<u8>>;

impl Disk {
    /// Does what was done.
    pub fn apply(&mut self, event: &Event) {
        self.clock += 1;
        match event {
            Event::Created(name) => {
                self.contents.push(Content::default());
                self.names.insert(name.clone(), self.contents.len() - 1);
            }
            Event::Written(name, offset, data) => self.change(name, Change::Write(*offset, data.clone())),
            Event::Cut(name, length) => self.change(name, Change::Cut(*length)),
            Event::Synced(name, done) if name.is_empty() => {
                if *done {
                    self.durable_names = self.names.clone();
                }
            }
            Event::Synced(name, done) => {
                if let Some(content) = self.names.get(name) {
                    self.contents[*content].sync(*done);
                }
            }
            Event::Removed(name) => {
                self.names.remove(name);
            }
            Event::Renamed(from, to) => {
                if let Some(content) = self.names.remove(from) {
                    self.names.insert(to.clone(), content);
                }
            }
            Event::Lock | Event::Told => {}
        }
    }

    fn change(&mut self, name: &str, change: Change) {
        if let Some(content) = self.names.get(name) {
            self.contents[*content].changes.push((self.clock, change, State::Pending));
        }
    }

    /// Whether a loss of power could change anything.
    #[must_use]
    pub fn is_at_risk(&self) -> bool {
        self.names != self.durable_names || self.contents.iter().any(|content| !content.changes.is_empty())
    }

    /// An image.
    #[must_use]
    pub fn image(&self, loss: Loss, random: &mut SeededRandom) -> Files {
        let pending: Vec<u64> = self
            .contents
            .iter()
            .flat_map(|content| &content.changes)
            .filter(|(.., state)| *state != State::Durable)
            .map(|(clock, ..)| *clock)
            .collect();
        let last = pending.iter().max().copied().unwrap_or_default();
        let cut = match pending.is_empty() {
            true => 0,
            false => pending[random.below(pending.len())],
        };
        let mut files = Files::new();
        for name in self.names.keys().chain(self.durable_names.keys()).collect::<HashSet<_>>() {
            let (now, durable) = (self.names.get(name), self.durable_names.get(name));
            let chosen = match loss {
                Loss::Everything => durable,
                Loss::Nothing => now,
                _ if random.below(2) == 0 => durable,
                _ => now,
            };
            let Some(content) = chosen.filter(|_| !name.ends_with(INDEX)) else { continue };
            // Each file has its own luck, whatever order their names are gone through in.
            let mut hasher = DefaultHasher::new();
            (name, last, cut).hash(&mut hasher);
            let mut luck = SeededRandom::new(hasher.finish() ^ random.clone().number());
            files.insert(name.clone(), self.contents[*content].left(loss, cut, &mut luck));
        }
        if matches!(loss, Loss::Writes | Loss::Sectors) && random.below(4) == 0 {
            // What the index had in it may be there, or anything else.
            files.insert(format!("store{INDEX}"), random.bytes(32 << 10));
        }
        files
    }
}

impl Content {
    fn sync(&mut self, done: bool) {
        for (_, change, state) in &mut self.changes {
            *state = match (done, *state) {
                (true, State::Pending) => State::Durable,
                (false, State::Pending) if matches!(change, Change::Write(..)) => State::Doomed,
                (_, state) => state,
            };
        }
        // What lies before anything that is not certain is certain.
        let certain = self.changes.iter().take_while(|(.., state)| *state == State::Durable).count();
        for (_, change, _) in self.changes.drain(..certain) {
            make(&mut self.durable, &change, |_| true);
        }
    }

    fn left(&self, loss: Loss, cut: u64, luck: &mut SeededRandom) -> Vec<u8> {
        let mut content = self.durable.clone();
        for (clock, change, state) in &self.changes {
            let seed = luck.number();
            let mut sectors = SeededRandom::new(seed);
            let mut half = |_: u64| sectors.below(2) == 0;
            match (state, loss) {
                (State::Durable, _) | (State::Pending, Loss::Nothing) => make(&mut content, change, |_| true),
                (State::Doomed, Loss::Nothing | Loss::Everything) | (State::Pending, Loss::Everything) => {}
                (_, Loss::Tail) if *clock < cut => make(&mut content, change, |_| true),
                (_, Loss::Tail) if *clock == cut => {
                    // The first sectors of it.
                    let mut more = true;
                    make(&mut content, change, |_| {
                        more &= half(0);
                        more
                    });
                }
                (_, Loss::Tail) => {}
                (_, Loss::Writes) if seed & 1 == 0 => make(&mut content, change, |_| true),
                (_, Loss::Writes) => {}
                (_, Loss::Sectors) => make(&mut content, change, half),
            }
        }
        content
    }
}

/// Makes a change, or those sectors of it.
fn make(content: &mut Vec<u8>, change: &Change, mut chosen: impl FnMut(u64) -> bool) {
    let place = |number: u64| usize::try_from(number).expect("a file of bearable length");
    match change {
        Change::Cut(length) => {
            if chosen(0) {
                content.resize(place(*length), 0);
            }
        }
        Change::Write(offset, data) => {
            let mut from = *offset;
            let end = from + u64::try_from(data.len()).expect("a length");
            while from < end {
                let to = ((from / SECTOR + 1) * SECTOR).min(end);
                if chosen(from) {
                    if content.len() < place(to) {
                        content.resize(place(to), 0);
                    }
                    content[place(from)..place(to)]
                        .copy_from_slice(&data[place(from - offset)..place(to - offset)]);
                }
                from = to;
            }
        }
    }
}

/// A client whose process has been recorded up to a point, and that goes on from an image.
struct Survivor<'r> {
    recorded: &'r Recorded,
    /// How many questions were answered before the power went.
    told: usize,
    next: usize,
    options: DiskOptions,
    client: Option<Client<SqliteDisk>>,
}

impl Survivor<'_> {
    /// What it said then; `None` from the loss of power on.
    fn then(&mut self) -> Option<Option<Answer>> {
        let then = (self.next < self.told).then(|| self.recorded.told[self.next].answer.clone());
        // The question on the way to which the power goes is not answered.
        let then = then.or((self.next == self.told).then_some(None));
        self.next += 1;
        then
    }
}

impl Me for Survivor<'_> {
    fn ask(&mut self, command: &Command) -> Option<Answer> {
        match self.then() {
            Some(answer) => answer,
            None => Some(self.client.as_mut()?.ask(command)),
        }
    }

    fn start(&mut self) -> Option<Answer> {
        if let Some(answer) = self.then() {
            return answer;
        }
        self.client = None;
        self.options.seed += 7;
        let disk = SqliteDisk::open(self.options.clone());
        match disk.and_then(|disk| Client::start(ME, PROGRESS, provider(), disk)) {
            Ok(mut client) => {
                let answer = client.ask(&Command::view());
                self.client = Some(client);
                Some(answer)
            }
            Err(trouble) => Some(Answer::Failed(trouble)),
        }
    }

    fn is_clean(&self) -> bool {
        self.next > self.told
    }
}

/// Where the power goes: before this event of a recorded run.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// The event.
    pub event: usize,
    /// How many questions were answered before it.
    pub told: usize,
}

/// The places in the part of a recorded run that its scenario is about.
#[must_use]
pub fn outages(recorded: &Recorded) -> Vec<Outage> {
    let (begin, end) = recorded.event_window();
    // A process that died said nothing.
    let answered: Vec<usize> = recorded
        .told
        .iter()
        .enumerate()
        .filter(|(_, told)| told.answer.is_some())
        .map(|(at, _)| at)
        .collect();
    let mut answers = 0;
    let mut outages = Vec::new();
    for (event, what) in recorded.events.iter().enumerate() {
        if (begin..=end).contains(&event) {
            let told = answered.get(answers).copied().unwrap_or(recorded.told.len());
            outages.push(Outage { event, told });
        }
        answers += usize::from(*what == Event::Told);
    }
    outages
}

/// Goes on from an image with the rest of the scenario.
///
/// # Errors
/// What the checks find.
pub fn survive(
    recorded: &Recorded,
    (scenario, seed): (&Scenario, u64),
    outage: Outage,
    files: &Files,
) -> Result<Ran, Failure> {
    let place = Place::new();
    write(files, &place.disk());
    let options = DiskOptions { seed: seed ^ 0xbad, ..place.options(scenario, seed) };
    let me = Survivor { recorded, told: outage.told, next: 0, options, client: None };
    let mut world = World::new(seed, Box::new(me))?;
    world.ledger.add_notes(&until(&recorded.notes, recorded, outage.told));
    scenario.play(&mut world)?;
    whole(&place.disk(), world.view.records.1)?;
    let seals = world.ledger.check()?;
    Ok(Ran { deaths: world.deaths, failures: world.failures, seals })
}

/// Writes the files of an image.
///
/// # Panics
/// If it can't.
pub fn write(files: &Files, folder: &Path) {
    for (name, content) in files {
        std::fs::write(folder.join(name), content).expect("a file can be written");
    }
}

/// What was encrypted up to the question on the way to which the power went.
fn until(notes: &[Note], recorded: &Recorded, told: usize) -> Vec<Note> {
    let asked = recorded.told[..told.min(recorded.told.len())].iter().filter(|told| !told.start).count();
    let mut marks = 0;
    let within = |note: &&Note| {
        marks += usize::from(matches!(note, Note::Mark(_)));
        marks <= asked + 1
    };
    notes.iter().take_while(within).copied().collect()
}

/// Stands for an image and for what was known when it was made.
#[must_use]
pub fn digest(files: &Files, outage: Outage) -> u64 {
    let mut hasher = DefaultHasher::new();
    (files, outage.told).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(offset: u64, byte: u8, length: usize) -> Event {
        Event::Written("store".into(), offset, vec![byte; length])
    }

    fn disk(events: &[Event]) -> Disk {
        let mut disk = Disk::default();
        events.iter().for_each(|event| disk.apply(event));
        disk
    }

    fn content(disk: &Disk, loss: Loss, seed: u64) -> Option<Vec<u8>> {
        disk.image(loss, &mut SeededRandom::new(seed)).remove("store")
    }

    #[test]
    fn what_was_synced_is_there_and_what_was_not_may_be() {
        let folder = Event::Synced(String::new(), true);
        let mut events = vec![Event::Created("store".into()), written(0, 1, 1024)];
        assert_eq!(content(&disk(&events), Loss::Everything, 0), None);
        events.extend([Event::Synced("store".into(), true), folder, written(512, 2, 1024)]);
        let disk = disk(&events);
        assert_eq!(content(&disk, Loss::Everything, 0).unwrap(), [1; 1024]);
        let all = [vec![1; 512], vec![2; 1024]].concat();
        assert_eq!(content(&disk, Loss::Nothing, 0).unwrap(), all);
        let torn: HashSet<_> = (0..64).map(|seed| content(&disk, Loss::Sectors, seed).unwrap()).collect();
        // Each of the two sectors, or both, or none.
        assert_eq!(torn.len(), 4);
        assert!(torn.iter().all(|content| content[..512] == [1; 512]));
        let tails: HashSet<_> = (0..64).map(|seed| content(&disk, Loss::Tail, seed).unwrap()).collect();
        assert_eq!(tails.len(), 3);
    }

    #[test]
    fn what_failed_to_be_synced_is_never_certain() {
        let events = [
            Event::Created("store".into()),
            Event::Synced(String::new(), true),
            written(0, 1, 512),
            Event::Synced("store".into(), false),
            written(512, 2, 512),
            Event::Synced("store".into(), true),
        ];
        let disk = disk(&events);
        assert!(disk.is_at_risk());
        let left = content(&disk, Loss::Everything, 0).unwrap();
        assert_eq!(left, [vec![0; 512], vec![2; 512]].concat());
    }

    #[test]
    fn a_file_that_is_gone_may_come_back_until_its_folder_is_synced() {
        let gone = [
            Event::Created("store".into()),
            Event::Synced(String::new(), true),
            written(0, 1, 10),
            Event::Synced("store".into(), true),
            Event::Removed("store".into()),
        ];
        assert!(content(&disk(&gone), Loss::Everything, 0).is_some());
        assert!(content(&disk(&gone), Loss::Nothing, 0).is_none());
        let synced = [gone.as_slice(), &[Event::Synced(String::new(), true)]].concat();
        assert!(content(&disk(&synced), Loss::Everything, 0).is_none());
    }
}
