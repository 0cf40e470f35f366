//! Which conversations there are, and playing them on all cores.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    peer::{CipherSuite, Peer, WireFormat},
    random::{self, Played},
    scenario::{Roles, SCENARIOS, Scenario},
    world::Halt,
};

/// What to play.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Only pairs with this peer.
    pub only: Option<String>,
    /// Only this scenario.
    pub scenario: Option<String>,
    /// Only this suite.
    pub suite: Option<CipherSuite>,
    /// Also each peer with itself.
    pub with_itself: bool,
    /// How many random conversations.
    pub random: u64,
    /// The first one's seed.
    pub seed: u64,
}

impl Default for Selection {
    fn default() -> Self {
        Self { only: None, scenario: None, suite: None, with_itself: false, random: 200, seed: 1 }
    }
}

/// One scenario with every role assigned.
#[derive(Clone, Copy)]
pub struct Cast<'a> {
    /// What is played.
    pub scenario: &'a Scenario,
    /// In which suite.
    pub suite: CipherSuite,
    /// With handshakes framed how.
    pub handshake: WireFormat,
    /// The two peers, in the order of the registry.
    pub pair: (&'a str, &'a str),
    /// Who plays which role.
    pub roles: Roles<'a>,
}

/// How a conversation ended.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// All views were equal to the end.
    Pass,
    /// Not to be had, for this reason.
    NotAvailable(String),
    /// A divergence, with the steps up to it.
    Fail(String, Vec<String>),
}

/// A scenario's result.
pub struct Scene<'a> {
    /// What was played.
    pub cast: Cast<'a>,
    /// How it ended.
    pub verdict: Verdict,
}

/// A random conversation's result.
pub struct Chat {
    /// Its seed.
    pub seed: u64,
    /// How it ended.
    pub verdict: Verdict,
    /// What it was, unless it panicked.
    pub played: Option<Played>,
}

/// Plays every selected scenario; progress goes to stderr.
pub fn scenes<'a>(peers: &[&'a dyn Peer], selection: &Selection) -> Vec<Scene<'a>> {
    let casts = casts(peers, selection);
    let verdicts = on_all_cores("scenarios", &casts, |cast| {
        guarded(|| cast.scenario.play(cast.roles, cast.suite, cast.handshake))
    });
    casts.into_iter().zip(verdicts).map(|(cast, verdict)| Scene { cast, verdict }).collect()
}

/// Plays the selected random conversations; progress goes to stderr.
pub fn chats(peers: &[&dyn Peer], selection: &Selection) -> Vec<Chat> {
    let seeds: Vec<_> = (0..selection.random).map(|number| selection.seed.wrapping_add(number)).collect();
    on_all_cores("random conversations", &seeds, |seed| {
        let mut kept = None;
        let verdict = guarded(|| {
            let Some(played) = random::play(*seed, peers, selection.only.as_deref()) else {
                return Err((Halt::NotAvailable("no two peers share a suite".into()), Vec::new()));
            };
            kept = Some(played.clone());
            played.halt.map_or(Ok(()), |halt| Err((halt, played.steps)))
        });
        Chat { seed: *seed, verdict, played: kept }
    })
}

fn casts<'a>(peers: &[&'a dyn Peer], selection: &Selection) -> Vec<Cast<'a>> {
    let mut casts = Vec::new();
    for (first, second) in pairs(peers, selection) {
        for scenario in
            SCENARIOS.iter().filter(|s| selection.scenario.as_deref().is_none_or(|name| name == s.name))
        {
            for suite in common_suites(first, second, selection.suite) {
                for handshake in [WireFormat::PrivateMessage, WireFormat::PublicMessage] {
                    let pair = (first.name(), second.name());
                    let cast = |roles| Cast { scenario, suite, handshake, pair, roles };
                    casts.extend(assignments(first, second).into_iter().map(cast));
                }
            }
        }
    }
    casts
}

fn common_suites(first: &dyn Peer, second: &dyn Peer, only: Option<CipherSuite>) -> Vec<CipherSuite> {
    let mut suites = first.suites();
    suites.retain(|suite| second.suites().contains(suite) && only.is_none_or(|only| only == *suite));
    suites.sort_unstable();
    suites
}

fn pairs<'a>(peers: &[&'a dyn Peer], selection: &Selection) -> Vec<(&'a dyn Peer, &'a dyn Peer)> {
    let mut pairs = Vec::new();
    for (index, first) in peers.iter().enumerate() {
        let rest = peers.iter().skip(if selection.with_itself { index } else { index + 1 });
        pairs.extend(rest.map(|second| (*first, *second)));
    }
    pairs.retain(|(first, second)| {
        selection.only.as_deref().is_none_or(|only| first.name() == only || second.name() == only)
    });
    pairs
}

/// The six ways to give three roles to two peers so that both take part, or the one way with one peer.
fn assignments<'a>(first: &'a dyn Peer, second: &'a dyn Peer) -> Vec<Roles<'a>> {
    if first.name() == second.name() {
        return vec![Roles { creator: first, committer: first, joiner: first }];
    }
    let of = |bit: u8| if bit == 0 { first } else { second };
    (1..7u8)
        .map(|bits| Roles { creator: of(bits & 4), committer: of(bits & 2), joiner: of(bits & 1) })
        .collect()
}

/// Runs a conversation; a peer's panic is a divergence of that conversation, not the end of the run.
pub(crate) fn guarded(play: impl FnOnce() -> Result<(), (Halt, Vec<String>)>) -> Verdict {
    match catch_unwind(AssertUnwindSafe(play)) {
        Ok(Ok(())) => Verdict::Pass,
        Ok(Err((Halt::NotAvailable(reason), _))) => Verdict::NotAvailable(reason),
        Ok(Err((Halt::Diverged(detail), steps))) => Verdict::Fail(detail, steps),
        Err(panic) => Verdict::Fail(format!("a panic: {}", panic_text(panic.as_ref())), Vec::new()),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}

/// Results come in the order of the jobs, whoever did them.
fn on_all_cores<J: Sync, R: Send>(what: &str, jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let progress = Mutex::new(Instant::now());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { break };
                    let result = work(job);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    results.push((index, result));
                    report(what, results.len(), jobs.len(), &progress);
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn report(what: &str, done: usize, of: usize, last: &Mutex<Instant>) {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    if done == of || last.elapsed() > Duration::from_secs(2) {
        *last = Instant::now();
        eprintln!("{what}: {done} of {of}");
    }
}
