//! Whether time tells secrets: a statistical test of two classes of inputs (Reparaz, Balasch, Verbauwhede: Dude, is my code
//! constant time?, 2017).
//!
//! The same code runs on inputs of two classes, in random order, and each run is timed. If Welch's t-test finds that the
//! means differ, the time depends on the class. Long times are cut off at many places, since what the system does
//! meanwhile is noise that has nothing to do with the input: t is the largest of all.

pub mod subjects;

use std::hint::black_box;
use std::time::Instant;

/// From this |t| on, time tells.
pub const THRESHOLD: f64 = 4.5;

/// Which of the two kinds of inputs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// The first.
    A,
    /// The second.
    B,
}

/// Times something for inputs of both classes. `prepare` makes the next input where the last one was, so that inputs of
/// both classes lie in the same memory; what it does is not timed.
///
/// # Panics
/// If it takes longer than some hundreds of years.
pub fn t_value<I>(
    samples: usize,
    mut input: I,
    mut prepare: impl FnMut(Class, &mut I),
    mut run: impl FnMut(&I),
) -> f64 {
    let mut coins = Coins(0x5eed);
    let mut times = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    for number in 0..samples + samples / 50 {
        let class = if coins.next() { Class::A } else { Class::B };
        prepare(class, &mut input);
        let begun = Instant::now();
        run(black_box(&input));
        let nanoseconds = begun.elapsed().as_nanos();
        // The first ones warm up caches and predictors.
        if number >= samples / 50 {
            times[usize::from(class == Class::B)].push(u32::try_from(nanoseconds).unwrap_or(u32::MAX));
        }
    }
    largest_t(&times)
}

/// The t-value of largest absolute value: of all times, and of those below each of some percentiles.
#[must_use]
pub fn largest_t(times: &[Vec<u32>; 2]) -> f64 {
    let mut sorted: Vec<u32> = times.iter().flatten().copied().collect();
    sorted.sort_unstable();
    let mut limits: Vec<u32> = (0..PERCENTILES)
        .map(|number| {
            // Denser towards the end, where the noise is: 1 - 2^(-10 (i + 1) / n).
            let part = 1.0 - 0.5_f64.powf(10.0 * f64::from(number + 1) / f64::from(PERCENTILES));
            sorted.get(at(sorted.len(), part)).copied().unwrap_or(u32::MAX)
        })
        .chain([u32::MAX])
        .collect();
    limits.dedup();
    let t = limits.into_iter().map(|limit| {
        let [a, b] =
            times.each_ref().map(|times| Moments::of(times.iter().copied().filter(|time| *time <= limit)));
        a.welch(&b)
    });
    t.fold(0.0, |largest: f64, t| if t.abs() > largest.abs() { t } else { largest })
}

const PERCENTILES: u32 = 100;

#[allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "an index below the length"
)]
fn at(length: usize, part: f64) -> usize {
    (length as f64 * part) as usize
}

/// Mean and variance.
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn of(times: impl Iterator<Item = u32>) -> Self {
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for time in times {
            // Welford's: no difference of large sums.
            count += 1.0;
            let delta = f64::from(time) - mean;
            mean += delta / count;
            squares += delta * (f64::from(time) - mean);
        }
        Self { count, mean, squares }
    }

    fn welch(&self, other: &Self) -> f64 {
        if self.count < 1_000.0 || other.count < 1_000.0 {
            return 0.0;
        }
        let error = |moments: &Self| moments.squares / (moments.count - 1.0) / moments.count;
        let error = (error(self) + error(other)).sqrt();
        if error > 0.0 { (self.mean - other.mean) / error } else { 0.0 }
    }
}

/// SplitMix64: the order of the classes, which must not be a pattern that the processor learns.
struct Coins(u64);

impl Coins {
    fn next(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_differ_a_little_are_told_apart_below_the_noise_and_equal_ones_are_not() {
        let mut coins = Coins(1);
        let mut times = |extra: u32| -> Vec<u32> {
            let noise = |coins: &mut Coins| (0..8).map(|_| u32::from(coins.next())).sum::<u32>();
            (0..50_000)
                .map(|n| if n % 50 == 0 { 100_000 + n } else { 1_000 + noise(&mut coins) + extra })
                .collect()
        };
        let equal = [times(0), times(0)];
        assert!(largest_t(&equal).abs() < THRESHOLD, "{}", largest_t(&equal));
        let other = [times(0), times(1)];
        assert!(largest_t(&other) < -THRESHOLD, "{}", largest_t(&other));
    }
}
