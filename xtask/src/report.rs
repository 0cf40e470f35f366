//! What passed and what failed, and the summary at the end.

use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::time::{Duration, Instant};

use anyhow::Result;

/// How many passed and how many failed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

/// The steps of a run.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

struct Step {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

/// How a step ended.
pub(crate) enum Outcome {
    Counted(Counts),
    /// Why it was not done.
    Skipped(String),
}

impl Report {
    /// Does a step. One that can't be done at all has failed, and the next ones are done all the same.
    pub(crate) fn step(&mut self, name: &'static str, step: impl FnOnce() -> Result<Outcome>) {
        println!("\n== {name} ==");
        let start = Instant::now();
        let outcome = step().unwrap_or_else(|error| {
            println!("error: {error:#}");
            Outcome::from(false)
        });
        if let Outcome::Skipped(why) = &outcome {
            println!("skipped: {why}");
        }
        self.steps.push(Step { name, outcome, took: start.elapsed() });
    }

    pub(crate) fn counts(&self) -> Counts {
        self.steps.iter().map(|step| step.outcome.counts()).sum()
    }

    /// Prints a line for each step and the totals, and says whether nothing failed.
    pub(crate) fn close(&self) -> bool {
        println!("\n== summary ==");
        for Step { name, outcome, took } in &self.steps {
            let result = match outcome {
                Outcome::Counted(Counts { passed, failed }) => {
                    format!("{passed:>7} passed {failed:>5} failed")
                }
                Outcome::Skipped(why) => format!("skipped: {why}"),
            };
            println!("{name:<16}{:>7.1} s  {result}", took.as_secs_f64());
        }
        let Counts { passed, failed } = self.counts();
        println!("{passed} passed, {failed} failed");
        failed == 0
    }
}

impl Outcome {
    fn counts(&self) -> Counts {
        match self {
            Self::Counted(counts) => *counts,
            Self::Skipped(_) => Counts::default(),
        }
    }
}

impl From<bool> for Outcome {
    fn from(passed: bool) -> Self {
        Self::Counted(if passed { Counts { passed: 1, failed: 0 } } else { Counts { passed: 0, failed: 1 } })
    }
}

impl Counts {
    /// What a closing line of nextest, of cargo test, or of our own programs counts; nothing for other lines.
    pub(crate) fn of_closing_line(line: &str) -> Self {
        let line = without_colours(line);
        let line = line.trim();
        let counted = [
            line.strip_prefix("Summary [").and_then(|rest| rest.split_once("run: ")).map(|(_, rest)| rest),
            line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")).map(|(_, rest)| rest),
            line.strip_prefix("totals: "),
            line.strip_prefix("total: "),
        ];
        let Some(counted) = counted.into_iter().flatten().next() else { return Self::default() };
        // "38 passed (1 slow)" is among the parts.
        let number = |names: [&str; 2]| {
            let mut parts = counted.split([',', ';']).map(str::split_whitespace);
            let numbers = parts.find_map(|mut words| {
                Some((words.next()?, words.next()?)).filter(|(_, name)| names.contains(name))
            });
            numbers.and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
        };
        Self { passed: number(["passed", "pass"]), failed: number(["failed", "FAIL"]) }
    }
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.split_once('m').map_or("", |(_, text)| text));
    std::iter::once(first).chain(rest).collect()
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        for (line, passed, failed) in [
            ("     Summary [   0.005s] 40 tests run: 38 passed (1 slow), 2 failed, 1 skipped", 38, 2),
            (
                "\u{1b}[32;1m     Summary\u{1b}[0m [   0.005s] 3 tests run: \u{1b}[1m3\u{1b}[0m passed, 0 skipped",
                3,
                0,
            ),
            ("test result: FAILED. 5 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out", 5, 1),
            ("totals: 120 passed, 3 failed, 7 skipped", 120, 3),
            ("total: 90 pass, 4 n/a, 1 FAIL", 90, 1),
            ("test commit_is_refused ... ok", 0, 0),
            ("7 passed, 1 failed", 0, 0),
        ] {
            assert_eq!(Counts::of_closing_line(line), Counts { passed, failed }, "{line}");
        }
    }
}
