//! Values counted in buckets: no lock, and no memory beyond its buckets.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts values by the smallest bound that they do not exceed.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for all values beyond the last.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What a histogram has counted at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// The bounds, in ascending order.
    pub(crate) bounds: &'static [u64],
    /// How many values lie between a bound and the one before it; the last count is of those beyond all bounds.
    pub(crate) counts: Vec<u64>,
    /// All values together.
    pub(crate) sum: u64,
}

impl Histogram {
    /// An empty one. `bounds` ascend.
    pub(super) fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a value.
    pub(super) fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(value, Relaxed);
    }

    /// What it has counted so far.
    pub(super) fn distribution(&self) -> Distribution {
        let counts = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        Distribution { bounds: self.bounds, counts, sum: self.sum.load(Relaxed) }
    }
}

impl Distribution {
    /// How many values it has counted.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Adds up two of the same bounds.
impl AddAssign<&Self> for Distribution {
    fn add_assign(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, others)| *count += others);
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_at_the_first_bound_that_it_does_not_exceed() {
        let histogram = Histogram::new(&[1, 4, 16]);
        [0, 1, 2, 4, 5, 16, 17, 1_000].into_iter().for_each(|value| histogram.observe(value));
        let counted = histogram.distribution();
        assert_eq!(counted.counts, [2, 2, 2, 2]);
        assert_eq!((counted.count(), counted.sum), (8, 1_045));
    }

    #[test]
    fn two_add_up() {
        let (one, other) = (Histogram::new(&[10]), Histogram::new(&[10]));
        one.observe(1);
        [2, 20].into_iter().for_each(|value| other.observe(value));
        let mut sum = one.distribution();
        sum += &other.distribution();
        assert_eq!((sum.counts, sum.sum), (vec![2, 1], 23));
    }
}
