//! When to try again.

use hushwood_crypto::Random;

use crate::error::Error;
use crate::settings::{Millis, Waits, millis};

/// Waits that become longer while something fails.
#[derive(Default)]
pub(crate) struct Backoff {
    failures: u32,
    /// Not before this time.
    pub(crate) until: Millis,
    /// What failed last, while it does.
    pub(crate) trouble: Option<Error>,
}

impl Backoff {
    /// It has failed again: wait, at least so long.
    pub(crate) fn fail(
        &mut self,
        trouble: Error,
        (now, at_least): (Millis, u64),
        waits: Waits,
        random: &mut dyn Random,
    ) {
        self.until = now.after(pause(self.failures, waits, random).max(at_least));
        self.failures = self.failures.saturating_add(1);
        self.trouble = Some(trouble);
    }

    pub(crate) fn succeed(&mut self) {
        *self = Self::default();
    }

    /// Tries again now.
    pub(crate) fn hurry(&mut self) {
        self.until = Millis(0);
    }
}

/// Between half and all of first x 3^n, at most the longest, in milliseconds: two that met once do not meet again.
pub(crate) fn pause(attempts: u32, waits: Waits, random: &mut dyn Random) -> u64 {
    let (first, longest) = (millis(waits.first), millis(waits.longest));
    let most = 3_u64.checked_pow(attempts).and_then(|factor| factor.checked_mul(first));
    let most = most.unwrap_or(longest).min(longest);
    let [dice] = random.array::<1>().unwrap_or([128]);
    most / 2 + (most / 2).saturating_mul(u64::from(dice)) / 255
}
