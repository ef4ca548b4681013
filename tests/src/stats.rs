//! The few figures a benchmark reports.

use std::time::Duration;

/// Measured durations, in order of size.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    sorted: Vec<Duration>,
}

// === impl Sample ===

impl Sample {
    /// A sample of the values, in any order.
    pub fn new(mut values: Vec<Duration>) -> Self {
        values.sort_unstable();
        Self { sorted: values }
    }

    /// The smallest value that is not below `percent` of all (nearest rank); zero for an empty sample.
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
        self.sorted.get(rank - 1).or(self.sorted.last()).copied().unwrap_or_default()
    }

    /// The value in the middle.
    pub fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// The smallest value.
    pub fn min(&self) -> Duration {
        self.sorted.first().copied().unwrap_or_default()
    }

    /// The largest value.
    pub fn max(&self) -> Duration {
        self.sorted.last().copied().unwrap_or_default()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }
}

/// Milliseconds with two digits, for a table.
pub fn millis(value: Duration) -> String {
    format!("{:.2} ms", value.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let sample = Sample::new((1..=10).rev().map(Duration::from_millis).collect());
        assert_eq!(sample.median(), Duration::from_millis(5));
        assert_eq!(sample.percentile(95), Duration::from_millis(10));
        assert_eq!(sample.percentile(0), sample.min());
        assert_eq!(sample.percentile(200), sample.max());
    }

    #[test]
    fn an_empty_sample_is_zero_and_no_panic() {
        let sample = Sample::default();
        assert!(sample.is_empty() && sample.median().is_zero() && sample.max().is_zero());
    }
}
