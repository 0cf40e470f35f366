//! Notes what operations take: time, heap, or what they ask of the provider.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use cpu_time::ProcessTime;

use crate::counting::{self, Counts};
use crate::library::HandedOver;

/// The names that `--ops` takes. A scene may measure variants: `add_commit.inside` is one of `add_commit`.
pub const OPERATIONS: [&str; 21] = [
    "key_package",
    "create_commit",
    "join_flat",
    "join_merged",
    "external_commit",
    "update_commit",
    "add_commit",
    "remove_commit",
    "update_process",
    "add_process",
    "remove_process",
    "apply_own",
    "encrypt_1k",
    "decrypt_1k",
    "rate",
    "persist_commit",
    "persist_message",
    "open",
    "observe",
    "memory",
    "past_epochs",
];

/// What is looked at while an operation runs.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// The clock.
    Time,
    /// The counting provider.
    Count,
    /// The heap.
    Heap(Heap),
    /// Nothing: the operation of this name runs once, and the scene is over.
    Once(&'static str),
}

/// The heap, as a counting allocator knows it.
#[derive(Clone, Copy, Debug)]
pub struct Heap {
    /// Bytes in use.
    pub in_use: fn() -> usize,
    /// The most there were since the last reset.
    pub peak: fn() -> usize,
    /// Begins again at what is in use.
    pub reset: fn(),
}

/// What is known of an operation of one implementation at one size.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// By the clock, one for each run.
    pub nanoseconds: Vec<u64>,
    /// The least that the processor has spent on a run, on all threads.
    pub cpu_nanoseconds: Option<u64>,
    /// What the first run asked of the provider.
    pub counts: Option<Counts>,
    /// The most heap that a run had beyond what there was before; of `memory`, what the group itself has.
    pub heap_bytes: Option<u64>,
    /// What goes out.
    pub wire_bytes: Option<u64>,
    /// What is handed to the store.
    pub handed_over: Option<HandedOver>,
    /// Why the implementation does not do it.
    pub lacks: Option<&'static str>,
}

/// Notes.
pub struct Recorder {
    mode: Mode,
    wanted: BTreeSet<String>,
    deadline: Option<Instant>,
    taken: BTreeMap<String, Taken>,
}

impl Recorder {
    /// For these operations.
    #[must_use]
    pub fn new(mode: Mode, wanted: &BTreeSet<String>) -> Self {
        Self { mode, wanted: wanted.clone(), deadline: None, taken: BTreeMap::new() }
    }

    /// Lets it go on for so long from now.
    pub fn grant(&mut self, time: Duration) {
        self.deadline = Some(Instant::now() + time);
    }

    /// What is looked at.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether any of these is to be measured.
    #[must_use]
    pub fn wants(&self, operations: &[&str]) -> bool {
        operations.iter().any(|operation| self.wants_one(operation))
    }

    fn wants_one(&self, operation: &str) -> bool {
        let family = operation.split('.').next().unwrap_or(operation);
        self.wanted.contains(family) || self.wanted.contains(operation)
    }

    /// How often a cheap operation is to be repeated.
    #[must_use]
    pub fn repetitions(&self, times: usize) -> usize {
        if matches!(self.mode, Mode::Time) { times } else { 1 }
    }

    /// Runs an operation and notes what it takes.
    ///
    /// # Errors
    /// Its own; [`Stopped`] if the time is up; [`Finished`] after the one operation of [`Mode::Once`].
    pub fn measure<T>(&mut self, operation: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.deadline.is_some_and(|deadline| Instant::now() > deadline) {
            bail!(Stopped);
        }
        if !self.wants_one(operation) {
            return run();
        }
        match self.mode {
            Mode::Time => {
                settle();
                let (cpu, started) = (ProcessTime::now(), Instant::now());
                let output = black_box(run())?;
                let (taken, cpu) = (started.elapsed(), cpu.elapsed());
                self.time(operation, taken);
                self.cpu(operation, cpu);
                Ok(output)
            }
            Mode::Count => {
                counting::take();
                let output = run()?;
                let counts = counting::take();
                self.taken(operation).counts.get_or_insert(counts);
                Ok(output)
            }
            Mode::Heap(heap) => {
                (heap.reset)();
                let before = (heap.in_use)();
                let output = run()?;
                let beyond = (heap.peak)().saturating_sub(before) as u64;
                self.heap(operation, beyond);
                Ok(output)
            }
            Mode::Once(only) if only == operation => {
                once(run)?;
                bail!(Finished)
            }
            Mode::Once(_) => run(),
        }
    }

    /// Notes a time that was taken elsewhere.
    pub fn time(&mut self, operation: &str, taken: Duration) {
        if self.wants_one(operation) && matches!(self.mode, Mode::Time) {
            let nanoseconds = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX);
            self.taken(operation).nanoseconds.push(nanoseconds);
        }
    }

    fn cpu(&mut self, operation: &str, spent: Duration) {
        let spent = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        let least = &mut self.taken(operation).cpu_nanoseconds;
        *least = Some(least.map_or(spent, |least| least.min(spent)));
    }

    /// Notes heap in use.
    pub fn heap(&mut self, operation: &str, bytes: u64) {
        if self.wants_one(operation) && matches!(self.mode, Mode::Heap(_)) {
            self.taken(operation).heap_bytes.get_or_insert(bytes);
        }
    }

    /// Notes what goes out.
    pub fn wire(&mut self, operation: &str, bytes: usize) {
        if self.wants_one(operation) {
            self.taken(operation).wire_bytes.get_or_insert(bytes as u64);
        }
    }

    /// Whether it is not known yet what this hands to the store.
    #[must_use]
    pub fn watches(&self, operation: &str) -> bool {
        let known = self.taken.get(operation).is_some_and(|taken| taken.handed_over.is_some());
        self.wants_one(operation) && matches!(self.mode, Mode::Time) && !known
    }

    /// Notes what is handed to the store.
    pub fn handed_over(&mut self, operation: &str, what: HandedOver) {
        if self.wants_one(operation) {
            self.taken(operation).handed_over.get_or_insert(what);
        }
    }

    /// Notes that the implementation has no such thing.
    pub fn lacks(&mut self, operation: &str, reason: &'static str) {
        if self.wants_one(operation) {
            self.taken(operation).lacks = Some(reason);
        }
    }

    fn taken(&mut self, operation: &str) -> &mut Taken {
        self.taken.entry(operation.to_owned()).or_default()
    }

    /// The notes.
    #[must_use]
    pub fn into_taken(self) -> BTreeMap<String, Taken> {
        self.taken
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Lets the allocator put together what others have freed before: with glibc, the first large allocation does, and
/// whoever happens to make it would pay for all.
fn settle() {
    drop(black_box(vec![1_u8; 100_000]));
}

/// The frame below which a profiler collects.
#[inline(never)]
pub fn once<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    black_box(run())
}

/// The time for an implementation is up.
#[derive(Clone, Copy, Debug)]
pub struct Stopped;

/// The one operation has run.
#[derive(Clone, Copy, Debug)]
pub struct Finished;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("finished")
    }
}

impl std::error::Error for Stopped {}
impl std::error::Error for Finished {}
