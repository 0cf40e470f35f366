//! Bots live, processes die, and in the end somebody looks at what was promised.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use test_support::random::SeededRandom;

use crate::bot::{Driver, Place, Slot};
use crate::check::{Finding, check};
use crate::history::{History, Kind, What};
use crate::log::logs;
use crate::process::Guard;
use crate::proxy::{Fault, Proxy};
use crate::service::{Database, Service};
use crate::tap::{Seen, Tap};

/// What is done.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The program `hushwood`.
    pub program: PathBuf,
    /// Which database the nodes have.
    pub database: Database,
    /// How many nodes there are; one, if it is SQLite.
    pub nodes: usize,
    /// How many bots.
    pub bots: usize,
    /// How many processes are killed.
    pub kills: usize,
    /// What is drawn is drawn from it. What processes do at the same time is not.
    pub seed: u64,
    /// The most milliseconds between two kills.
    pub pace: usize,
    /// Where the folder of a run goes that has found something.
    pub failures: PathBuf,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Promises that were broken.
    pub findings: Vec<Finding>,
    /// What has happened, counted.
    pub figures: Figures,
    /// What was left of a run that has found something.
    pub folder: Option<PathBuf>,
}

/// What has happened, counted.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// How long the bots lived.
    pub seconds: u64,
    /// Processes that were killed: nodes, bots, databases.
    pub kills: [u64; 3],
    /// Rooms.
    pub rooms: usize,
    /// Messages in logs.
    pub messages: usize,
    /// How often one was heard.
    pub heard: usize,
    /// Commits in logs.
    pub epochs: usize,
    /// Commits that came too late.
    pub stale: u64,
    /// Welcomes and KeyPackages that were given out.
    pub welcomes: usize,
    /// KeyPackages that were given out.
    pub claims: usize,
    /// Requests that arrived.
    pub requests: u64,
    /// What the network has done to them.
    pub faults: BTreeMap<Fault, u64>,
    /// Whether all agreed in the end before the time was over, and after how many seconds.
    pub settled: Option<u64>,
}

/// How long all may take to agree when nothing fails any more.
const SETTLE: Duration = Duration::from_secs(150);

impl Campaign {
    /// As the tests do it: few bots, few kills, in about half a minute.
    #[must_use]
    pub fn quick(self) -> Self {
        Self { nodes: self.nodes.min(2), bots: 4, kills: 10, pace: 2000, ..self }
    }

    /// Does it.
    ///
    /// # Errors
    /// If something can't be started, or the history can't be read.
    pub fn run(&self) -> Result<Outcome> {
        let folder = tempfile::Builder::new().prefix("hushwood-e2e-").tempdir()?;
        let guard = Guard::new()?;
        let mut dice = SeededRandom::new(self.seed);
        let service = Service::start(&self.program, folder.path(), (self.database, self.nodes), &guard)?;
        let tap = Arc::new(Tap::default());
        let people: Vec<_> = (0..self.bots).map(|number| format!("bot{number}")).collect();
        let (mut proxies, mut drivers) = (Vec::new(), Vec::new());
        for (number, name) in people.iter().enumerate() {
            let proxy = Proxy::start(name, &service.addresses(), &tap, dice.fork())?;
            let place = Place {
                program: self.program.clone(),
                folder: folder.path().to_path_buf(),
                url: proxy.url(),
                guard: guard.clone(),
            };
            drivers.push(Driver::new(name, &people, place, dice.fork(), number % 7 == 0));
            proxies.push(proxy);
        }
        thread::scope(|scope| {
            for driver in &mut drivers {
                scope.spawn(move || driver.begin());
            }
        });
        let (begun, mut figures) = (Instant::now(), Figures::default());
        let mut accidents = Vec::new();
        let drivers = self.live(drivers, &service, (&mut dice, &mut figures), &mut accidents)?;
        figures.seconds = begun.elapsed().as_secs();
        for proxy in &proxies {
            proxy.set_faults(false);
            for (fault, count) in proxy.counts() {
                *figures.faults.entry(fault).or_default() += count;
            }
        }
        let (drivers, settled) = settle(drivers, &tap);
        figures.settled = settled;
        accidents.extend(service.accidents());
        let history = history(drivers, service, &tap.seen(), accidents)?;
        drop(proxies);
        figures.count(&history, &tap.seen());
        let findings = check(&history);
        let folder = match findings.is_empty() {
            true => None,
            false => Some(keep(folder, &self.failures, &history)?),
        };
        Ok(Outcome { findings, figures, folder })
    }

    /// Bots live until so many processes were killed.
    fn live(
        &self,
        drivers: Vec<Driver>,
        service: &Service,
        (dice, figures): (&mut SeededRandom, &mut Figures),
        accidents: &mut Vec<String>,
    ) -> Result<Vec<Driver>> {
        let stop = AtomicBool::new(false);
        let slots: Vec<_> = drivers.iter().map(Driver::slot).collect();
        thread::scope(|scope| {
            let lives: Vec<_> = drivers
                .into_iter()
                .map(|mut driver| {
                    let stop = &stop;
                    scope.spawn(move || {
                        driver.live(stop);
                        driver
                    })
                })
                .collect();
            let killed = self.kill(service, &slots, (dice, figures), accidents);
            stop.store(true, Ordering::SeqCst);
            let lives = lives.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>();
            killed?;
            lives.into_iter().map(|life| life.or_else(|_| anyhow::bail!("a thread has panicked"))).collect()
        })
    }

    fn kill(
        &self,
        service: &Service,
        slots: &[Slot],
        (dice, figures): (&mut SeededRandom, &mut Figures),
        accidents: &mut Vec<String>,
    ) -> Result<()> {
        // First there are rooms.
        thread::sleep(Duration::from_secs(5));
        let mut count = 0;
        while count < self.kills {
            pause(dice, self.pace);
            // Sometimes several at once.
            let together = if dice.below(5) == 0 { 2 } else { 1 };
            let (mut nodes, mut database) = (Vec::new(), false);
            for _ in 0..together {
                match dice.below(100) {
                    0..=14 if service.has_database() && !database => {
                        service.kill_database();
                        (database, count) = (true, count + 1);
                        figures.kills[2] += 1;
                    }
                    0..=54 => {
                        let node = dice.below(service.nodes());
                        if nodes.contains(&node) {
                            continue;
                        }
                        if !service.kill_node(node) {
                            accidents.push(format!("node {node} has ended by itself, see node{node}.log"));
                        }
                        nodes.push(node);
                        count += 1;
                        figures.kills[0] += 1;
                    }
                    _ => {
                        if slots.get(dice.below(slots.len())).is_some_and(Slot::kill) {
                            count += 1;
                            figures.kills[1] += 1;
                        }
                    }
                }
            }
            pause(dice, 2000);
            if database {
                service.start_database();
            }
            for node in nodes {
                service.start_node(node)?;
            }
        }
        pause(dice, self.pace);
        Ok(())
    }
}

fn pause(dice: &mut SeededRandom, most: usize) {
    let wait = u64::try_from(dice.below(most.max(1))).unwrap_or(0);
    thread::sleep(Duration::from_millis(wait));
}

/// Nothing fails any more: bots read on until nothing changes. Gives how many seconds that took.
fn settle(mut drivers: Vec<Driver>, tap: &Tap) -> (Vec<Driver>, Option<u64>) {
    let begun = Instant::now();
    let mut before = None;
    while begun.elapsed() < SETTLE {
        let all_said = thread::scope(|scope| {
            let looks: Vec<_> = drivers.iter_mut().map(|driver| scope.spawn(move || driver.look())).collect();
            looks.into_iter().all(|look| look.join().unwrap_or(false))
        });
        let now: Vec<_> = drivers.iter().map(|driver| driver.told.end.clone()).collect();
        let now = (now, tap.changes());
        if all_said && before.as_ref() == Some(&now) && owed(&drivers) == 0 {
            return (drivers, Some(begun.elapsed().as_secs()));
        }
        before = Some(now);
        // As long as somebody waits for their turn, or before they try again.
        thread::sleep(Duration::from_secs(3));
    }
    (drivers, None)
}

/// How many messages were kept and have not been said, nor been given up.
fn owed(drivers: &[Driver]) -> usize {
    use crate::history::Answer;
    let of_one = |driver: &Driver| {
        let mut owed: std::collections::BTreeSet<_> = driver
            .told
            .said
            .iter()
            .filter(|said| matches!(said.answer, Answer::Kept))
            .map(|said| said.message.as_str())
            .collect();
        let mut given_up = 0_usize;
        for event in &driver.told.events {
            match &event.what {
                What::Sent { message, .. } => drop(owed.remove(message.as_str())),
                What::NotDone(_) => given_up += 1,
                _ => {}
            }
        }
        owed.len().saturating_sub(given_up)
    };
    drivers.iter().map(of_one).sum()
}

fn history(
    drivers: Vec<Driver>,
    service: Service,
    seen: &Seen,
    mut accidents: Vec<String>,
) -> Result<History> {
    let mut bots = BTreeMap::new();
    for mut driver in drivers {
        driver.end();
        accidents.append(&mut driver.accidents);
        bots.insert(driver.name().to_owned(), std::mem::take(&mut driver.told));
    }
    accidents.extend(seen.garbage.iter().cloned());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rooms = runtime.block_on(async {
        let (backend, _server) = service.into_backend().await?;
        logs(&*backend, seen).await
    })?;
    Ok(History {
        rooms,
        bots,
        accepted: seen.accepted.clone(),
        pages: seen.pages.clone(),
        claims: seen.claims.clone(),
        offered: seen.offered.clone(),
        welcomes: seen.welcomes.clone(),
        accidents,
    })
}

/// Keeps what is left of a run, with its history, for somebody who wants to know why.
fn keep(folder: tempfile::TempDir, to: &Path, history: &History) -> Result<PathBuf> {
    std::fs::write(folder.path().join("history.txt"), format!("{history:#?}"))?;
    std::fs::create_dir_all(to)?;
    let kept = folder.keep();
    let name = kept.file_name().unwrap_or_default().to_owned();
    let place = to.join(name);
    // On another disk it stays where it is.
    Ok(match std::fs::rename(&kept, &place) {
        Ok(()) => place,
        Err(_) => kept,
    })
}

impl Figures {
    fn count(&mut self, history: &History, seen: &Seen) {
        let entries = || history.rooms.values().flat_map(|log| &log.entries);
        self.rooms = history.rooms.len();
        self.messages = entries().filter(|entry| entry.kind == Kind::Message).count();
        self.epochs = entries().filter(|entry| entry.kind == Kind::Commit).count();
        let events = history.bots.values().flat_map(|told| &told.events);
        self.heard = events.filter(|event| matches!(event.what, What::Message { .. })).count();
        self.stale = seen.stale;
        self.welcomes = seen.welcomes.len();
        self.claims = seen.claims.len();
        self.requests = seen.requests.values().map(|(asked, _)| asked).sum();
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [nodes, bots, databases] = self.kills;
        writeln!(f, "{} s; killed: {nodes} nodes, {bots} bots, {databases} databases", self.seconds)?;
        writeln!(
            f,
            "{} rooms, {} epochs, {} commits too late, {} messages, heard {} times (again after restarts)",
            self.rooms, self.epochs, self.stale, self.messages, self.heard
        )?;
        writeln!(
            f,
            "{} requests arrived; {} KeyPackages and {} Welcomes were given out",
            self.requests, self.claims, self.welcomes
        )?;
        writeln!(f, "the network: {:?}", self.faults)?;
        match self.settled {
            Some(seconds) => write!(f, "all agreed {seconds} s after the last fault"),
            None => write!(f, "not all agreed in {} s after the last fault", SETTLE.as_secs()),
        }
    }
}
