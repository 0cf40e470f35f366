//! Many seeds: who does them, what is kept of them, and what is written about one that fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};

use crate::action::{Action, drawn};
use crate::checks::Failure;
use crate::shrink::{Shrunk, attempt, shrink};
use crate::world::{Config, Totals, World, run_telling};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The first seed, and the one after the last.
    pub seeds: (u64, u64),
    /// Actions for each.
    pub steps: u64,
    /// Clients at once.
    pub members: usize,
    /// Without cryptography.
    pub fake_crypto: bool,
    /// How many seeds are done at once.
    pub threads: usize,
    /// Where the progress is kept.
    pub resume: Option<PathBuf>,
    /// Where short lists of actions go.
    pub failures: PathBuf,
    /// How long a failing list is made shorter.
    pub shrink: Duration,
}

/// What has been done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Seeds that are done; true for those that failed.
    pub done: BTreeMap<u64, bool>,
    /// All that has happened.
    pub totals: Totals,
    /// For as long, over all threads.
    pub milliseconds: u64,
}

impl Campaign {
    /// The world of a seed.
    #[must_use]
    pub fn config(&self, seed: u64) -> Config {
        Config { seed, members: self.members, fake_crypto: self.fake_crypto, founders: None }
    }

    /// The command that does one seed again.
    #[must_use]
    pub fn command(&self, seed: u64) -> String {
        let fake = if self.fake_crypto { " --fake-crypto" } else { "" };
        let Self { steps, members, .. } = self;
        format!("cargo xtask sim --seeds {seed}..{} --steps {steps} --members {members}{fake}", seed + 1)
    }

    /// The first line of the progress: a file of another campaign is not gone on with.
    fn header(&self) -> String {
        let Self { steps, members, fake_crypto, .. } = self;
        format!("steps {steps} members {members} fake-crypto {fake_crypto}")
    }

    /// Does all seeds that are not done yet.
    ///
    /// # Errors
    /// A file can't be read or written, or is of another campaign.
    pub fn run(&self) -> io::Result<Progress> {
        let progress = Mutex::new(self.read()?);
        let seeds: Vec<u64> = {
            let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            (self.seeds.0..self.seeds.1).filter(|seed| !progress.done.contains_key(seed)).collect()
        };
        let seeds = Mutex::new(seeds.into_iter());
        let next = || seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || -> io::Result<()> {
            // What the protocol shares among threads stays on this one: what is drawn at random depends on their number.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(io::Error::other)?;
            while let Some(seed) = next() {
                let start = Instant::now();
                let result = pool.install(|| self.seed(seed));
                let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
                let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                progress.milliseconds += milliseconds;
                progress.done.insert(seed, result.is_err());
                match result {
                    Ok(totals) => {
                        progress.totals.add(totals);
                        let per_second = (totals.steps + totals.idle) * 1000 / milliseconds.max(1);
                        println!("seed {seed}: ok, {per_second} steps/s, {}", totals.in_words());
                    }
                    Err(shrunk) => {
                        let path = self.failures.join(format!("sim-{seed}.txt"));
                        fs::create_dir_all(&self.failures)?;
                        fs::write(&path, to_text(&shrunk, &self.command(seed)))?;
                        println!("seed {seed}: FAILED: {}", shrunk.failure);
                        println!("  again: {}", self.command(seed));
                        let (count, path) = (shrunk.actions.len(), path.display());
                        println!("  {count} actions of it: cargo xtask sim --replay {path}");
                    }
                }
                self.write(&progress)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads.max(1)).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| io::Error::other("a thread"))?)
        })?;
        Ok(progress.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn seed(&self, seed: u64) -> Result<Totals, Shrunk> {
        let actions = drawn(seed, self.steps);
        let config = self.config(seed);
        let failure: Failure = match attempt(config, &actions) {
            Ok(totals) => return Ok(totals),
            Err(failure) => failure,
        };
        Err(shrink(config, &actions, failure, self.shrink, attempt))
    }

    fn read(&self) -> io::Result<Progress> {
        let Some(path) = self.resume.as_ref().filter(|path| path.exists()) else {
            return Ok(Progress::default());
        };
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let text = fs::read_to_string(path)?;
        let mut lines = text.lines();
        if lines.next() != Some(&self.header()) {
            return Err(wrong(format!("{}: is of another campaign", path.display())));
        }
        Progress::read(lines).ok_or_else(|| wrong(format!("{}: can't be read", path.display())))
    }

    fn write(&self, progress: &Progress) -> io::Result<()> {
        let Some(path) = &self.resume else { return Ok(()) };
        // Whole or not at all: a campaign may be stopped at any time.
        let new = path.with_extension("new");
        fs::write(&new, format!("{}\n{}", self.header(), progress.to_text()))?;
        fs::rename(new, path)
    }
}

impl Progress {
    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut ranges: Vec<(u64, u64, bool)> = Vec::new();
        for (seed, failed) in &self.done {
            match ranges.last_mut() {
                Some((_, end, of)) if *end == *seed && of == failed => *end += 1,
                _ => ranges.push((*seed, seed + 1, *failed)),
            }
        }
        for (start, end, failed) in ranges {
            let word = if failed { "failed" } else { "done" };
            let _ = writeln!(text, "{word} {start}..{end}");
        }
        let _ = writeln!(text, "milliseconds {}", self.milliseconds);
        for (name, number) in self.totals.fields() {
            let _ = writeln!(text, "{name} {number}");
        }
        text
    }

    fn read<'l>(lines: impl Iterator<Item = &'l str>) -> Option<Self> {
        let mut progress = Self::default();
        for line in lines {
            let (word, value) = line.split_once(' ')?;
            match word {
                "done" | "failed" => {
                    let (start, end) = range(value)?;
                    progress.done.extend((start..end).map(|seed| (seed, word == "failed")));
                }
                "milliseconds" => progress.milliseconds = value.parse().ok()?,
                name => *progress.totals.field(name)? = value.parse().ok()?,
            }
        }
        Some(progress)
    }
}

/// `A..B`.
#[must_use]
pub fn range(text: &str) -> Option<(u64, u64)> {
    let (start, end) = text.split_once("..")?;
    Some((start.parse().ok()?, end.parse().ok()?)).filter(|(start, end)| start <= end)
}

/// A failing list as a file.
#[must_use]
pub fn to_text(shrunk: &Shrunk, command: &str) -> String {
    let Config { seed, members, fake_crypto, founders } = shrunk.config;
    let mut text = format!("# {}\n# found by: {command}\n", shrunk.failure.to_string().replace('\n', " "));
    let founders = founders.map_or_else(|| "drawn".into(), |founders| founders.to_string());
    let _ = writeln!(text, "seed {seed}\nmembers {members}\nfake-crypto {fake_crypto}\nfounders {founders}");
    for action in &shrunk.actions {
        let _ = writeln!(text, "{action}");
    }
    text
}

/// The world and the actions of such a file.
///
/// # Errors
/// What can't be read.
pub fn from_text(text: &str) -> Result<(Config, Vec<Action>), String> {
    let mut config = Config { seed: 0, members: 0, fake_crypto: false, founders: None };
    let mut actions = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let (word, value) = line.split_once(' ').ok_or_else(|| line.to_owned())?;
        let wrong = |_| line.to_owned();
        match word {
            "seed" => config.seed = value.parse().map_err(wrong)?,
            "members" => config.members = value.parse().map_err(wrong)?,
            "fake-crypto" => config.fake_crypto = value == "true",
            "founders" => config.founders = value.parse().ok(),
            _ => actions.push(Action::from_str(line)?),
        }
    }
    Ok((config, actions))
}

/// Does the actions of a file, and says what comes of each.
///
/// # Errors
/// The file can't be read; what the checks find.
pub fn replay(path: &Path) -> Result<Totals, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let (config, actions) = from_text(&text)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|error| error.to_string())?;
    let mut tell = |world: &World, action: &Action| println!("{action}\n    {}", world.in_words());
    pool.install(|| run_telling(config, &actions, &mut tell)).map_err(|failure| failure.to_string())
}

macro_rules! totals {
    ($($field:ident),*) => {
        impl Totals {
            fn fields(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field)),*]
            }
            fn field(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $(stringify!($field) => Some(&mut self.$field),)*
                    _ => None,
                }
            }
            /// Adds those of another world.
            pub fn add(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

totals!(steps, idle, epochs, said, opened, faults, refused, joined, seals, clients, groups, healed);

impl Totals {
    /// For people.
    #[must_use]
    pub fn in_words(&self) -> String {
        let words = self.fields().into_iter().map(|(name, number)| format!("{name} {number}"));
        words.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_the_same_after_a_restart() {
        let mut progress = Progress { milliseconds: 77, ..Progress::default() };
        progress.done.extend([(1, false), (2, false), (3, true), (7, false)]);
        progress.totals.seals = 12;
        let text = progress.to_text();
        assert!(text.starts_with("done 1..3\nfailed 3..4\ndone 7..8\n"), "{text}");
        assert_eq!(Progress::read(text.lines()), Some(progress));
    }

    #[test]
    fn a_list_of_actions_is_the_same_after_it_was_written() {
        let config = Config { seed: 5, members: 9, fake_crypto: true, founders: Some(3) };
        let failure = Failure { check: crate::checks::Check::Lost, action: Some(4), what: "a\nb".into() };
        let shrunk = Shrunk { config, actions: drawn(5, 20), failure };
        assert_eq!(from_text(&to_text(&shrunk, "again")), Ok((config, shrunk.actions)));
    }
}
