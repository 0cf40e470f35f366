//! Work that many hands can share: the only threads of this crate, under the feature `parallel`.
//!
//! What is accepted does not depend on the number of threads; what is drawn at random does. The error is that of the
//! first run, or half, that fails. With one thread, or without the feature, everything is done where it is asked for.

use hushwood_crypto::{CipherSuite, CryptoError, Random, Secret};

use crate::error::Error;

/// What `work` makes of all items, in their order. They are split into runs so that all threads have the same to
/// do, of at least `least` items and at most `most`; each run has randomness of its own.
///
/// # Errors
/// The first of the runs' errors; [`CryptoError::Random`].
pub(crate) fn map_runs<T: Sync, R: Send>(
    items: &[T],
    (least, most): (usize, usize),
    (suite, random): (&dyn CipherSuite, &mut dyn Random),
    work: impl Fn(&[T], &mut dyn Random) -> Result<Vec<R>, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let length = items.len().div_ceil(hands::number()).clamp(least, most);
    let mut runs = Vec::with_capacity(items.len().div_ceil(length));
    for run in items.chunks(length) {
        // A source of randomness is used by one hand at a time: each run gets a seed before they begin.
        runs.push((run, random.secret(suite.kdf().length())?));
    }
    let done = hands::map(&runs, &|(run, seed)| work(run, &mut Drawn { suite, seed, drawn: 0 }));
    let mut all = Vec::with_capacity(items.len());
    for results in done {
        all.extend(results?);
    }
    Ok(all)
}

/// Both, at once if `worthwhile`.
pub(crate) fn join<A: Send, B: Send>(
    worthwhile: bool,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    match worthwhile {
        true => hands::join(one, other),
        false => (one(), other()),
    }
}

/// `KDF.Expand(seed, counter)`, for as long as somebody draws.
struct Drawn<'s> {
    suite: &'s dyn CipherSuite,
    seed: &'s Secret,
    drawn: u64,
}

impl Random for Drawn<'_> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        let kdf = self.suite.kdf();
        for piece in bytes.chunks_mut(kdf.length()) {
            let info = self.drawn.to_be_bytes();
            self.drawn = self.drawn.checked_add(1).ok_or(CryptoError::Random)?;
            piece.copy_from_slice(kdf.expand(self.seed.expose(), &[&info], piece.len())?.expose());
        }
        Ok(())
    }
}

#[cfg(feature = "parallel")]
mod hands {
    use rayon::prelude::*;

    /// How many threads there are.
    pub(super) fn number() -> usize {
        rayon::current_num_threads()
    }

    pub(super) fn map<T: Sync, R: Send>(items: &[T], work: &(impl Fn(&T) -> R + Sync)) -> Vec<R> {
        // To hand work to the only thread of a pool would cost two wake-ups and save nothing.
        match items.len() < 2 || number() < 2 {
            true => items.iter().map(work).collect(),
            false => items.par_iter().map(work).collect(),
        }
    }

    pub(super) fn join<A: Send, B: Send>(
        one: impl FnOnce() -> A + Send,
        other: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        match number() < 2 {
            true => (one(), other()),
            false => rayon::join(one, other),
        }
    }
}

#[cfg(not(feature = "parallel"))]
mod hands {
    pub(super) fn number() -> usize {
        1
    }

    pub(super) fn map<T: Sync, R: Send>(items: &[T], work: &(impl Fn(&T) -> R + Sync)) -> Vec<R> {
        items.iter().map(work).collect()
    }

    pub(super) fn join<A: Send, B: Send>(
        one: impl FnOnce() -> A + Send,
        other: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        (one(), other())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::NotNow;
    use crate::testing::{NoRandom, SUITE, ToyRandom};

    #[test]
    fn results_are_in_the_order_of_the_items_and_so_are_errors() {
        let items: Vec<u32> = (0..1000).collect();
        let double = |run: &[u32], _: &mut dyn Random| Ok(run.iter().map(|item| 2 * item).collect());
        let doubled = map_runs(&items, (1, 7), (SUITE, &mut ToyRandom(0)), double).unwrap();
        assert!(doubled.into_iter().eq((0..1000).map(|item| 2 * item)));
        let failing = |run: &[u32], _: &mut dyn Random| match run[0] {
            70 => Err::<Vec<()>, _>(Error::from(NotNow::Limit)),
            900 => Err(NotNow::Stale.into()),
            _ => Ok(Vec::new()),
        };
        let failed = map_runs(&items, (10, 10), (SUITE, &mut ToyRandom(0)), failing);
        assert_eq!(failed.unwrap_err(), NotNow::Limit.into());
    }

    #[test]
    fn runs_are_as_long_as_asked_for() {
        let lengths = |items: usize, bounds| {
            let items = vec![(); items];
            let length = |run: &[()], _: &mut dyn Random| Ok(vec![run.len()]);
            map_runs(&items, bounds, (SUITE, &mut ToyRandom(0)), length).unwrap()
        };
        assert_eq!(lengths(10, (100, 100)), [10]);
        assert_eq!(lengths(10, (1, 4)), [4, 4, 2]);
        assert_eq!(lengths(0, (1, 4)), [0_usize; 0]);
    }

    #[test]
    fn each_run_has_randomness_of_its_own() {
        let draw = |_: &[u8], random: &mut dyn Random| Ok(vec![random.bytes(100)?]);
        let drawn = map_runs(&[0; 2], (1, 1), (SUITE, &mut ToyRandom(0)), draw).unwrap();
        assert_ne!(drawn[0], drawn[1]);
        assert_ne!(drawn[0][..32], drawn[0][32..64]);
        let without = map_runs(&[0; 2], (1, 1), (SUITE, &mut NoRandom), draw);
        assert_eq!(without.unwrap_err(), CryptoError::Random.into());
    }
}
