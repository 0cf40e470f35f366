//! Plays all scenes, implementation beside implementation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Error, Result};
use hushwood_crypto::{CipherSuite, CipherSuiteId, Random};
use hushwood_rustcrypto::OsRandom;
use test_support::random::SeededRandom;

use crate::args::Args;
use crate::cell::Cell;
use crate::counting::{self, Counts};
use crate::fixture;
use crate::hushwood_library::Hushwood;
use crate::library::Library;
use crate::prices::Prices;
use crate::recorder::{Finished, Mode, Recorder, Stopped, Taken};
use crate::scene::{self, Kind, Scene, Setting};

/// A run.
pub struct Run<'a> {
    args: &'a Args,
    mode: Mode,
    operations: BTreeSet<String>,
    now: u64,
    /// How long implementations have taken to set a scene and play it once, by size.
    past: BTreeMap<(String, Kind), Vec<(u32, f64)>>,
}

impl<'a> Run<'a> {
    /// What the arguments ask for.
    ///
    /// # Errors
    /// For operations that there are not.
    pub fn new(args: &'a Args, mode: Mode) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(Self { args, mode, operations: args.operations()?, now, past: BTreeMap::new() })
    }

    /// The figures of all implementations.
    ///
    /// # Errors
    /// If the fixtures can't be made.
    pub fn cells(&mut self) -> Result<Vec<Cell>> {
        let libraries = self.libraries();
        let mut cells = Vec::new();
        for (implementation, n, taken, status) in self.play(&libraries)? {
            cells.extend(self.to_cells(&implementation, n, taken, &status));
        }
        Ok(cells)
    }

    /// What the operations ask of the provider, by operation and size.
    ///
    /// # Errors
    /// If the fixtures can't be made, or an operation fails.
    pub fn counts(&mut self) -> Result<BTreeMap<(String, u32), Counts>> {
        self.mode = Mode::Count;
        let provider = counting::provider(&hushwood_aws_lc::PROVIDER);
        let library: Box<dyn Library> = Box::new(Hushwood::new(provider, || Box::new(OsRandom), self.now));
        let mut counts = BTreeMap::new();
        for (_, n, taken, status) in self.play(&[library])? {
            anyhow::ensure!(status == OK, "counting: {status}");
            counts.extend(taken.into_iter().filter_map(|(op, taken)| Some(((op, n), taken.counts?))));
        }
        Ok(counts)
    }

    /// The prices of all implementations.
    ///
    /// # Errors
    /// If one lacks the suite.
    pub fn prices(&self) -> Result<BTreeMap<String, Prices>> {
        let mut prices = BTreeMap::new();
        for library in self.libraries() {
            self.say(&format!("primitives of {}", library.name()));
            let primitives = library.primitives(CipherSuiteId(self.args.suite))?;
            prices.insert(library.name().to_owned(), Prices::measure(primitives));
        }
        Ok(prices)
    }

    fn libraries(&self) -> Vec<Box<dyn Library>> {
        let random: fn() -> Box<dyn Random> = match self.mode {
            // The same at every run, for those who count instructions, and another for each member.
            Mode::Once(_) => || Box::new(SeededRandom::new(MEMBERS.fetch_add(1, Ordering::Relaxed))),
            Mode::Time | Mode::Count | Mode::Heap(_) => || Box::new(OsRandom),
        };
        let providers = [hushwood_aws_lc::PROVIDER, hushwood_rustcrypto::PROVIDER];
        let ours = providers.map(|provider| Hushwood::new(provider, random, self.now));
        let mut libraries: Vec<Box<dyn Library>> = Vec::new();
        libraries.extend(ours.map(|library| -> Box<dyn Library> { Box::new(library) }));
        if self.args.peers {
            libraries.extend(crate::peers());
        }
        libraries.retain(|library| self.args.selects(library.name()));
        libraries
    }

    #[expect(clippy::type_complexity, reason = "used once")]
    fn play(
        &mut self,
        libraries: &[Box<dyn Library>],
    ) -> Result<Vec<(String, u32, BTreeMap<String, Taken>, String)>> {
        let suite = CipherSuiteId(self.args.suite);
        let writer = hushwood_aws_lc::PROVIDER.suite(suite).context("no such suite")?;
        let mut played = Vec::new();
        for (number, &n) in self.args.sizes.iter().enumerate() {
            for kind in Kind::ALL {
                let wanted: BTreeSet<_> = self.wanted(kind).cloned().collect();
                // KeyPackages know no size.
                if wanted.is_empty() || (kind == Kind::KeyPackages && number > 0) {
                    continue;
                }
                let fixture = Fixture::of(kind, writer, n, self.now)?;
                let setting = fixture.setting(suite, n);
                let mut stages: Vec<_> =
                    libraries.iter().map(|library| Stage::new(&**library, self.mode, &wanted)).collect();
                self.play_scene(kind, setting, &mut stages);
                let results = stages.into_iter().map(|stage| {
                    let status = stage.status.unwrap_or_else(|| OK.to_owned());
                    (stage.library.name().to_owned(), n, stage.recorder.into_taken(), status)
                });
                for (name, n, mut taken, status) in results {
                    // An operation that was not reached says why. (Many speakers are a variant only.)
                    for operation in wanted.iter().filter(|_| status != OK && kind != Kind::Many) {
                        taken.entry(operation.clone()).or_default();
                    }
                    played.push((name, n, taken, status));
                }
            }
        }
        Ok(played)
    }

    fn wanted(&self, kind: Kind) -> impl Iterator<Item = &String> {
        self.operations.iter().filter(move |operation| {
            let family = operation.split('.').next().unwrap_or(operation);
            kind.operations().contains(&family)
        })
    }

    /// Sets a scene for all, then plays it in turns.
    fn play_scene<'s>(&mut self, kind: Kind, setting: Setting<'s>, stages: &mut [Stage<'s>]) {
        for stage in &mut *stages {
            let name = stage.library.name().to_owned();
            self.say(&format!("{:>6} members, {kind:?}: {name}", setting.members));
            if let Some(seconds) = self.expected(&name, kind, setting.members) {
                stage.status = Some(format!("not run: at this growth it would take {seconds:.0} s"));
                continue;
            }
            stage.set(kind, setting, self.budget());
        }
        let mut rounds = 0;
        while stages.iter().any(|stage| stage.scene.is_some()) && rounds < MOST_ROUNDS {
            rounds += 1;
            for stage in &mut *stages {
                stage.round(self.budget());
                // What was not run has taken no time, which says nothing of the next size.
                if rounds == 1 && !stage.spent.is_zero() {
                    let key = (stage.library.name().to_owned(), kind);
                    self.past.entry(key).or_default().push((setting.members, stage.spent.as_secs_f64()));
                }
                let enough = match self.mode {
                    Mode::Time => rounds >= 4 && stage.spent > Duration::from_secs(self.args.enough),
                    Mode::Count | Mode::Heap(_) | Mode::Once(_) => rounds >= 2,
                };
                if enough {
                    stage.scene = None;
                }
            }
        }
    }

    fn budget(&self) -> Duration {
        match self.mode {
            Mode::Time | Mode::Heap(_) => Duration::from_secs(self.args.budget),
            Mode::Count | Mode::Once(_) => Duration::MAX / 4,
        }
    }

    /// How many seconds a peer would take at this size, if that is too long. It is as its growth has been.
    fn expected(&self, name: &str, kind: Kind, n: u32) -> Option<f64> {
        let past = self.past.get(&(name.to_owned(), kind)).filter(|_| !name.starts_with("hushwood/"))?;
        let [.., (n1, seconds1), (n2, seconds2)] = past.as_slice() else { return None };
        let growth = (seconds2 / seconds1).ln() / (f64::from(*n2) / f64::from(*n1)).ln();
        let expected = seconds2 * (f64::from(n) / f64::from(*n2)).powf(growth.clamp(1.0, 2.5));
        (expected > self.budget().as_secs_f64()).then_some(expected)
    }

    fn to_cells(
        &self,
        implementation: &str,
        n: u32,
        taken: BTreeMap<String, Taken>,
        status: &str,
    ) -> Vec<Cell> {
        let cell = |(op, taken): (String, Taken)| {
            let mut sorted = taken.nanoseconds;
            sorted.sort_unstable();
            let us = |nanoseconds: &u64| *nanoseconds as f64 / 1_000.0;
            let handed = taken.handed_over;
            let some = !sorted.is_empty() || taken.heap_bytes.is_some() || handed.is_some();
            Cell {
                op,
                n,
                suite: self.args.suite,
                implementation: implementation.to_owned(),
                threads: threads(),
                median_us: sorted.get(sorted.len() / 2).map(us),
                min_us: sorted.first().map(us),
                cpu_us: taken.cpu_nanoseconds.as_ref().map(us),
                wire_bytes: taken.wire_bytes,
                store_bytes: handed.map(|handed| handed.bytes),
                store_rows: handed.map(|handed| handed.rows),
                peak_bytes: taken.heap_bytes,
                runs: sorted.len(),
                status: match taken.lacks {
                    Some(reason) => reason.to_owned(),
                    None if some => OK.to_owned(),
                    None => status.to_owned(),
                },
                ..Cell::default()
            }
        };
        taken.into_iter().map(cell).collect()
    }

    fn say(&self, what: &str) {
        if !self.args.quiet {
            eprintln!("{what}");
        }
    }
}

/// Threads that libraries may use: what rayon is told, or what it takes by itself.
#[must_use]
pub fn threads() -> usize {
    let told = std::env::var("RAYON_NUM_THREADS").ok().and_then(|threads| threads.parse().ok());
    told.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

struct Fixture {
    group: Option<fixture::Group>,
    key_packages: Vec<Vec<u8>>,
}

impl Fixture {
    fn of(kind: Kind, suite: &'static dyn CipherSuite, n: u32, now: u64) -> Result<Self> {
        let in_group = matches!(kind, Kind::Merged | Kind::Many | Kind::Disk) && n >= fixture::SMALLEST;
        let group = in_group.then(|| fixture::Group::write(suite, n)).transpose()?;
        let key_packages = match in_group || kind == Kind::KeyPackages {
            true => Vec::new(),
            false => scene::key_packages(suite, n, now)?,
        };
        Ok(Self { group, key_packages })
    }

    fn setting(&self, suite: CipherSuiteId, members: u32) -> Setting<'_> {
        Setting { suite, members, group: self.group.as_ref(), key_packages: &self.key_packages }
    }
}

struct Stage<'s> {
    library: &'s dyn Library,
    recorder: Recorder,
    scene: Option<Box<dyn Scene + 's>>,
    spent: Duration,
    status: Option<String>,
}

impl<'s> Stage<'s> {
    fn new(library: &'s dyn Library, mode: Mode, wanted: &BTreeSet<String>) -> Self {
        let recorder = Recorder::new(mode, wanted);
        Self { library, recorder, scene: None, spent: Duration::ZERO, status: None }
    }

    fn set(&mut self, kind: Kind, setting: Setting<'s>, budget: Duration) {
        let started = Instant::now();
        self.recorder.grant(budget);
        match kind.set(self.library, setting, &self.recorder) {
            Ok(scene) => self.scene = Some(scene),
            Err(error) => self.status = status_of(&error),
        }
        self.spent += started.elapsed();
    }

    fn round(&mut self, budget: Duration) {
        let Some(scene) = &mut self.scene else { return };
        let started = Instant::now();
        self.recorder.grant(budget.saturating_sub(self.spent));
        if let Err(error) = scene.round(&mut self.recorder) {
            self.status = status_of(&error);
            self.scene = None;
        }
        self.spent += started.elapsed();
    }
}

fn status_of(error: &Error) -> Option<String> {
    if error.is::<Finished>() {
        return None;
    }
    Some(if error.is::<Stopped>() {
        "stopped: over the budget".to_owned()
    } else {
        format!("error: {error:#}")
    })
}

/// How many have been given randomness.
static MEMBERS: AtomicU64 = AtomicU64::new(7);
const OK: &str = "ok";
const MOST_ROUNDS: usize = 40;
