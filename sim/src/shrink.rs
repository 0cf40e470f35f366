//! Fewer actions with the same fault.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::action::Action;
use crate::checks::{Check, Failure};
use crate::world::{Config, Totals, run};

/// Runs a list in a world; a panic is a failure like others.
///
/// # Errors
/// What the checks find.
pub fn attempt(config: Config, actions: &[Action]) -> Result<Totals, Failure> {
    let run = catch_unwind(AssertUnwindSafe(|| run(config, actions)));
    run.unwrap_or_else(|_| {
        let what = PANIC.take();
        Err(Failure { check: Check::Bug, action: None, what: format!("panicked: {what}") })
    })
}

thread_local! {
    /// What the last panic of this thread said.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Panics are kept for the report, and not printed.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| PANIC.set(panic.to_string())));
}

/// A short list of actions, and a small group, with which the same check fails.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The world.
    pub config: Config,
    /// The actions.
    pub actions: Vec<Action>,
    /// What is found.
    pub failure: Failure,
}

/// Leaves out as much as it can in that time.
///
/// `runs` does a list of actions in a world: [`attempt`], or one with a world that is broken on purpose.
#[must_use]
pub fn shrink(
    config: Config,
    actions: &[Action],
    failure: Failure,
    time: Duration,
    runs: impl Fn(Config, &[Action]) -> Result<Totals, Failure>,
) -> Shrunk {
    let end = Instant::now() + time;
    let mut best = Shrunk { config, actions: actions.to_vec(), failure };
    // What comes after the action at which it was found is not needed.
    best.cut();
    for founders in [1, 2, 3, 4, 6, 8, 12] {
        let smaller = Config { founders: Some(founders), ..config };
        let actions = best.actions.clone();
        if best.config.founders.is_none() && best.fails(smaller, actions, &runs) {
            break;
        }
    }
    let mut length = best.actions.len().div_ceil(2).max(1);
    loop {
        let mut start = 0;
        let mut shorter = false;
        while start < best.actions.len() && Instant::now() < end {
            let mut actions = best.actions.clone();
            actions.drain(start..(start + length).min(actions.len()));
            match best.fails(best.config, actions, &runs) {
                true => shorter = true,
                false => start += length,
            }
        }
        if Instant::now() >= end || length == 1 && !shorter {
            return best;
        }
        length = length.div_ceil(2).max(1);
    }
}

impl Shrunk {
    /// Drops what comes after the action at which the check fails.
    fn cut(&mut self) {
        let last = self.failure.action;
        let end = self.actions.iter().position(|action| Some(action.number) == last);
        self.actions.truncate(end.map_or(self.actions.len(), |end| end + 1));
    }

    /// Takes these actions if the same check fails with them.
    fn fails(
        &mut self,
        config: Config,
        actions: Vec<Action>,
        runs: &impl Fn(Config, &[Action]) -> Result<Totals, Failure>,
    ) -> bool {
        match runs(config, &actions) {
            Err(failure) if failure.check == self.failure.check => {
                *self = Self { config, actions, failure };
                self.cut();
                true
            }
            Err(_) | Ok(_) => false,
        }
    }
}
