//! All scenarios, all points, as many images as there are to be; and what came of it.

use std::collections::HashSet;
use std::ops::AddAssign;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use test_support::random::SeededRandom;

use crate::copies::{self, put_back};
use crate::failure::Failure;
use crate::images::{self, Disk, Loss};
use crate::points::{self, Point};
use crate::process::{Fault, Programs};
use crate::race::race;
use crate::run::{Ran, Recorded};
use crate::scenarios::Scenario;

/// How much of it is done.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// One of so many crash points of each scenario.
    pub one_point_of: u64,
    /// One of so many points at which calls fail.
    pub one_failure_of: u64,
    /// One of so many places for a loss of power.
    pub one_outage_of: u64,
    /// Images at each of them, of those in which something is lost in part.
    pub images: u64,
    /// One of so many syncs fails, after which the power goes.
    pub one_sync_of: u64,
    /// One of so many places at which a copy is made that is put back.
    pub one_copy_of: usize,
    /// Races of several processes.
    pub races: u64,
}

impl Sizes {
    /// All of it.
    pub const CAMPAIGN: Self = Self {
        one_point_of: 1,
        one_failure_of: 6,
        one_outage_of: 1,
        images: 3,
        one_sync_of: 1,
        one_copy_of: 20,
        races: 200,
    };
    /// Some of it, in some minutes.
    pub const SAMPLE: Self = Self {
        one_point_of: 12,
        one_failure_of: 40,
        one_outage_of: 10,
        images: 2,
        one_sync_of: 16,
        one_copy_of: 100,
        races: 10,
    };
    /// What a test has time for.
    pub const TEST: Self = Self {
        one_point_of: 150,
        one_failure_of: 400,
        one_outage_of: 150,
        images: 1,
        one_sync_of: 100,
        one_copy_of: 1000,
        races: 1,
    };
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// What it takes.
    pub programs: Programs,
    /// With which scenarios.
    pub scenarios: Vec<&'static Scenario>,
    /// Everything follows from it.
    pub seed: u64,
    /// How many are played at once.
    pub threads: usize,
    /// How much.
    pub sizes: Sizes,
    /// Nothing is begun after so many seconds.
    pub seconds: Option<u64>,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Runs in which the process was killed.
    pub killed: u64,
    /// Runs in which calls failed.
    pub failed: u64,
    /// Images of a loss of power, each different.
    pub images: u64,
    /// Of these, after a sync that had failed.
    pub after_failed_syncs: u64,
    /// Old copies that were put back.
    pub copies: u64,
    /// Races of several processes.
    pub races: u64,
    /// Encryptions whose keys were compared.
    pub seals: u64,
    /// What was found.
    pub found: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.killed += other.killed;
        self.failed += other.failed;
        self.images += other.images;
        self.after_failed_syncs += other.after_failed_syncs;
        self.copies += other.copies;
        self.races += other.races;
        self.seals += other.seals;
        self.found += other.found;
    }
}

impl Counts {
    /// For people.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self { killed, failed, images, after_failed_syncs, copies, races, seals, found } = self;
        format!(
            "{killed} killed, {failed} with failing calls, {images} images ({after_failed_syncs} after a failed sync), \
             {copies} copies put back, {races} races, {seals} encryptions compared; {found} failures"
        )
    }
}

/// Whether a number is in the sample.
fn is_chosen(number: u64, one_of: u64, salt: u64) -> bool {
    let mixed = (number ^ salt.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 33).is_multiple_of(one_of)
}

impl Campaign {
    /// Does it, says what it does, and gives what came of it.
    #[must_use]
    pub fn run(&self) -> Counts {
        let begin = Instant::now();
        let mut total = Counts::default();
        println!(
            "{:<40}{:>7}{:>8}{:>8}{:>8}{:>7}{:>9}",
            "scenario", "calls", "killed", "failed", "images", "s", "failures"
        );
        for scenario in &self.scenarios {
            let began = Instant::now();
            let (calls, counts) = self.scenario(scenario, begin);
            let Counts { killed, failed, images, found, .. } = counts;
            let seconds = began.elapsed().as_secs();
            println!(
                "{:<40}{calls:>7}{killed:>8}{failed:>8}{images:>8}{seconds:>7}{found:>9}",
                scenario.name
            );
            total += counts;
        }
        total += self.races(begin);
        println!(
            "{} scenarios in {} s: {}",
            self.scenarios.len(),
            begin.elapsed().as_secs(),
            total.in_words()
        );
        total
    }

    fn is_over(&self, begin: Instant) -> bool {
        self.seconds.is_some_and(|seconds| begin.elapsed() >= Duration::from_secs(seconds))
    }

    /// One scenario: how many calls it makes, and what came of it.
    fn scenario(&self, scenario: &'static Scenario, begin: Instant) -> (u64, Counts) {
        let mut counts = Counts::default();
        if self.is_over(begin) {
            return (0, counts);
        }
        let recorded = match Recorded::play(&self.programs, (scenario, self.seed), None) {
            Ok(recorded) => recorded,
            Err(failure) => {
                self.report(scenario, "without any fault", &failure);
                counts.found += 1;
                return (0, counts);
            }
        };
        let calls = recorded.calls();
        counts += self.points(scenario, &recorded, begin);
        counts += self.images(scenario, &recorded, begin, None);
        match put_back(&recorded, scenario, &copies::places(&recorded, self.sizes.one_copy_of)) {
            Ok(copies) => counts.copies += copies,
            Err(failure) => {
                self.report(scenario, "a copy that is put back", &failure);
                counts.found += 1;
            }
        }
        let syncs = recorded.syncs().filter(|sync| is_chosen(*sync, self.sizes.one_sync_of, self.seed));
        for (sync, times) in syncs.flat_map(|sync| [(sync, 1), (sync, 6)]) {
            if self.is_over(begin) {
                break;
            }
            let fault = Fault::Sync(sync, times);
            match Recorded::play(&self.programs, (scenario, self.seed), Some(fault)) {
                Ok(recorded) => {
                    let after = self.images(scenario, &recorded, begin, Some(fault));
                    counts += Counts { after_failed_syncs: after.images, ..after };
                }
                Err(failure) => {
                    self.report(scenario, &format!("{fault:?}"), &failure);
                    counts.found += 1;
                }
            }
        }
        (calls.end - calls.start, counts)
    }

    /// Several processes on one store.
    fn races(&self, begin: Instant) -> Counts {
        let scenario = self.scenarios[0];
        let races: Vec<u64> = (0..self.sizes.races).collect();
        self.share(&races, begin, |number, counts| {
            counts.races += 1;
            match race(&self.programs, scenario, 2 + number % 3, self.seed ^ number << 8) {
                Ok(raced) => counts.seals += raced.seals,
                Err(failure) => {
                    self.report(scenario, &format!("race {number}"), &failure);
                    counts.found += 1;
                }
            }
        })
    }

    fn points(&self, scenario: &'static Scenario, recorded: &Recorded, begin: Instant) -> Counts {
        let all = points::all(recorded).into_iter().enumerate();
        let chosen = all.filter(|(number, point)| {
            let one_of = if point.kills() { self.sizes.one_point_of } else { self.sizes.one_failure_of };
            is_chosen(u64::try_from(*number).expect("a number"), one_of, self.seed)
        });
        let points: Vec<Point> = chosen.map(|(_, point)| point).collect();
        self.share(&points, begin, |point, counts| {
            let played = point.play(&self.programs, (scenario, self.seed));
            counts.killed += u64::from(point.kills());
            counts.failed += u64::from(!point.kills());
            self.count(scenario, &format!("{point:?}"), played, counts);
        })
    }

    fn images(
        &self,
        scenario: &'static Scenario,
        recorded: &Recorded,
        begin: Instant,
        after: Option<Fault>,
    ) -> Counts {
        // After a failed sync what is not certain never becomes certain: fewer places tell as much.
        let one_of = if after.is_some() { self.sizes.one_outage_of * 16 } else { self.sizes.one_outage_of };
        let mut random = SeededRandom::new(self.seed ^ 0x1_0bad);
        let (mut disk, mut at) = (Disk::default(), 0);
        let mut images = Vec::new();
        let mut known = HashSet::new();
        for outage in images::outages(recorded) {
            while at < outage.event {
                disk.apply(&recorded.events[at]);
                at += 1;
            }
            let number = u64::try_from(outage.event).expect("a number");
            if !disk.is_at_risk() || !is_chosen(number, one_of, self.seed) {
                continue;
            }
            let parts = (0..self.sizes.images).map(|number| match number % 3 {
                0 => Loss::Sectors,
                1 => Loss::Tail,
                _ => Loss::Writes,
            });
            for loss in [Loss::Everything, Loss::Nothing].into_iter().chain(parts) {
                let files = disk.image(loss, &mut random);
                if known.insert(images::digest(&files, outage)) {
                    images.push((outage, loss, files));
                }
            }
        }
        self.share(&images, begin, |(outage, loss, files), counts| {
            counts.images += 1;
            let played = images::survive(recorded, (scenario, self.seed), *outage, files);
            self.count(scenario, &format!("{after:?}, {outage:?}, {loss:?}"), played, counts);
        })
    }

    fn count(&self, scenario: &Scenario, what: &str, played: Result<Ran, Failure>, counts: &mut Counts) {
        match played {
            Ok(ran) => counts.seals += ran.seals,
            Err(failure) => {
                self.report(scenario, what, &failure);
                counts.found += 1;
            }
        }
    }

    /// Does something with each of several things, on all threads.
    fn share<T: Sync>(&self, items: &[T], begin: Instant, what: impl Fn(&T, &mut Counts) + Sync) -> Counts {
        let (next, total) = (Mutex::new(items.iter()), Mutex::new(Counts::default()));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    let mut counts = Counts::default();
                    while !over.load(Ordering::Relaxed) {
                        let Some(item) = next.lock().expect("nobody panics with it").next() else { break };
                        what(item, &mut counts);
                        over.fetch_or(self.is_over(begin), Ordering::Relaxed);
                    }
                    *total.lock().expect("nobody panics with it") += counts;
                });
            }
        });
        *total.lock().expect("nobody panics with it")
    }

    fn report(&self, scenario: &Scenario, what: &str, failure: &Failure) {
        let text = failure.to_string();
        let short: String = text.chars().take(2000).collect();
        println!("FAILED: {} (seed {}), {what}: {short}", scenario.name, self.seed);
    }
}
