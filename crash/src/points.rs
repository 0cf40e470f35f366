//! Where a process is killed, or its calls fail.

use crate::failure::{Failure, Kind};
use crate::process::{Fault, Programs};
use crate::run::{Ran, Recorded, play};
use crate::scenarios::Scenario;

/// What happens to a scenario's process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Point {
    /// To the first process.
    pub fault: Fault,
    /// To the one that is started after it.
    pub again: Option<Fault>,
}

impl Point {
    /// Whether the process has to die of it.
    #[must_use]
    pub fn kills(&self) -> bool {
        matches!(self.fault, Fault::Kill(_) | Fault::Half(_))
    }

    /// Plays a scenario to whose process this happens.
    ///
    /// # Errors
    /// What the checks find; [`Kind::Test`] if nothing has happened.
    pub fn play(&self, programs: &Programs, scenario: (&Scenario, u64)) -> Result<Ran, Failure> {
        let ran = play(programs, scenario, vec![Some(self.fault), self.again])?;
        match self.kills() && ran.deaths == 0 {
            true => Err(Failure::new(Kind::Test, "the process was not killed")),
            false => Ok(ran),
        }
    }
}

/// As long as a disk stays full or broken.
const LONG: u64 = 1_000_000;

/// Every point of a recorded scenario: killed before each call and in the middle of each write, and again while it starts;
/// each call fails once, and from there on; each lock is refused once, and a few times.
#[must_use]
pub fn all(recorded: &Recorded) -> Vec<Point> {
    let mut points = Vec::new();
    let point = |fault| Point { fault, again: None };
    for call in recorded.calls() {
        // The second process is killed early, while it brings the log to an end.
        let again = Some(Fault::Kill(call * 7 % 23));
        points.push(point(Fault::Kill(call)));
        points.push(Point { again, ..point(Fault::Kill(call)) });
        if recorded.is_write(call) {
            points.push(point(Fault::Half(call)));
        }
        for times in [1, LONG] {
            points.push(point(Fault::Eio(call, times)));
            points.push(point(Fault::Full(call, times)));
        }
    }
    for lock in recorded.locks() {
        for times in [1, 3] {
            points.push(point(Fault::Busy(lock, times)));
        }
    }
    points
}
