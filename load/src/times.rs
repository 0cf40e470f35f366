//! Many times, of which quantiles are asked.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Times, to three digits.
#[derive(Clone, Debug)]
pub struct Times(Histogram<u64>);

impl Times {
    /// None yet.
    ///
    /// # Errors
    /// Never: three digits are possible.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new(3)?))
    }

    /// One more.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // It grows with what comes.
        let _ = self.0.record(micros);
    }

    /// Those of another.
    ///
    /// # Errors
    /// Never: these grow.
    pub fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The time that so many of a hundred do not exceed, in milliseconds.
    #[must_use]
    pub fn percentile(&self, of_hundred: f64) -> f64 {
        millis(self.0.value_at_quantile(of_hundred / 100.0))
    }

    /// The longest, in milliseconds.
    #[must_use]
    pub fn longest(&self) -> f64 {
        millis(self.0.max())
    }
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() <= other * 0.002
    }

    #[test]
    fn percentiles_are_those_of_the_times() {
        let mut times = Times::new().unwrap();
        for micros in 1..=100_000 {
            times.record(Duration::from_micros(micros));
        }
        assert_eq!(times.len(), 100_000);
        assert!(close(times.percentile(50.0), 50.0), "{}", times.percentile(50.0));
        assert!(close(times.percentile(99.0), 99.0), "{}", times.percentile(99.0));
        assert!(close(times.longest(), 100.0), "{}", times.longest());
    }

    #[test]
    fn times_of_several_are_put_together() {
        let (mut one, mut other) = (Times::new().unwrap(), Times::new().unwrap());
        one.record(Duration::from_millis(1));
        other.record(Duration::from_secs(70));
        one.add(&other).unwrap();
        assert_eq!(one.len(), 2);
        assert!(close(one.percentile(50.0), 1.0) && close(one.longest(), 70_000.0));
    }

    #[test]
    fn of_no_times_all_is_nothing() {
        let times = Times::new().unwrap();
        assert!(times.is_empty());
        assert!(times.percentile(99.0).abs() < f64::EPSILON);
    }
}
