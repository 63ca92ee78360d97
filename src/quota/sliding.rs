//! A sliding window: each use counts for the window's length.

use std::collections::VecDeque;
use std::time::Duration;

/// The most uses that are kept apart. Beyond that, neighbours within a small part of the window are counted as one, from
/// the later one on.
const MOST_ENTRIES: usize = 512;
/// How many parts a window has for that.
const PARTS: u32 = 256;
/// What no longer counts is remembered for so long: a refusal that arrives may speak of a moment when it did.
const LINGER: Duration = Duration::from_secs(5);

/// The uses of a window. Times are those of the process's own clock.
#[derive(Clone, Debug)]
pub(super) struct Sliding {
    length: Duration,
    /// In the order of their times.
    uses: VecDeque<Use>,
    /// Of all `uses`, those that no longer count included. A pick asks several times for the sum of hundreds, which costs
    /// more than the rest of the pick (16,100 of 24,500 instructions, 2026-11).
    total: u128,
}

/// One use, or several that are counted as one.
#[derive(Clone, Copy, Debug)]
struct Use {
    at: Duration,
    amount: u64,
}

impl Use {
    fn counts(&self, length: Duration, now: Duration) -> bool {
        now < self.at.saturating_add(length)
    }
}

impl Sliding {
    /// Nothing, of a window of this length.
    pub(super) fn new(length: Duration) -> Self {
        Self { length, uses: VecDeque::new(), total: 0 }
    }

    /// How much counts now.
    pub(super) fn amount(&self, now: Duration) -> u64 {
        let over: u128 = self.over(now).map(|it| u128::from(it.amount)).sum();
        u64::try_from(self.total.saturating_sub(over)).unwrap_or(u64::MAX)
    }

    /// How much counted at an earlier moment, as far as that is still known.
    pub(super) fn amount_at(&self, at: Duration) -> u64 {
        let counted = self.uses.iter().filter(|it| it.at <= at && it.counts(self.length, at));
        counted.map(|it| it.amount).fold(0, u64::saturating_add)
    }

    /// Counts a use from `at` on.
    pub(super) fn add(&mut self, amount: u64, at: Duration, now: Duration) {
        let position = match self.uses.back() {
            Some(last) if last.at > at => self.uses.partition_point(|it| it.at <= at),
            _ => self.uses.len(),
        };
        self.uses.insert(position, Use { at, amount });
        self.total += u128::from(amount);
        if self.uses.len() > MOST_ENTRIES {
            self.merge(now);
        }
    }

    /// Counts a use that is over after the time that is `left`, which is at most the window.
    pub(super) fn add_ending_in(&mut self, left: Duration, amount: u64, now: Duration) {
        let age = self.length.saturating_sub(left);
        self.add(amount, now.saturating_sub(age), now);
    }

    /// Takes back `amount` of what was used at `at`, as far as it still counts.
    pub(super) fn take_back(&mut self, amount: u64, at: Duration, now: Duration) {
        let is_over = now >= at.saturating_add(self.length);
        let mut rest = amount;
        // A merged use stands at a later time. What no longer counts cannot be taken back from others.
        for entry in self.uses.iter_mut().filter(|it| if is_over { it.at == at } else { it.at >= at }) {
            rest -= entry.give(rest, &mut self.total);
            if rest == 0 || is_over {
                break;
            }
        }
    }

    /// Takes back `amount` of what counts, the oldest first.
    pub(super) fn forget_oldest(&mut self, amount: u64, now: Duration) {
        let mut rest = amount;
        for entry in self.uses.iter_mut().filter(|it| it.counts(self.length, now)) {
            rest -= entry.give(rest, &mut self.total);
        }
        self.uses.retain(|it| it.amount > 0);
    }

    /// How long it is until this much of what counts is over.
    pub(super) fn time_until_gone(&self, amount: u64, now: Duration) -> Duration {
        let mut rest = amount;
        for entry in self.uses.iter().filter(|it| it.counts(self.length, now)) {
            rest = rest.saturating_sub(entry.amount);
            if rest == 0 {
                return (entry.at + self.length).saturating_sub(now);
            }
        }
        self.length
    }

    /// Forgets what no longer counts.
    pub(super) fn forget_past(&mut self, now: Duration) {
        let is_past = |it: &Use| !it.counts(self.length.saturating_add(LINGER), now);
        while let Some(first) = self.uses.front().filter(|it| it.amount == 0 || is_past(it)) {
            self.total -= u128::from(first.amount);
            self.uses.pop_front();
        }
    }

    /// Those that no longer count.
    fn over(&self, now: Duration) -> impl Iterator<Item = &Use> {
        self.uses.iter().take_while(move |it| !it.counts(self.length, now))
    }

    /// Neighbours within a small part of the window become one, which counts from the later one on.
    fn merge(&mut self, now: Duration) {
        let (length, part) = (self.length, self.length / PARTS);
        let mut merged: VecDeque<Use> = VecDeque::with_capacity(MOST_ENTRIES);
        let mut begun = Duration::ZERO;
        for it in self.uses.drain(..) {
            match merged.back_mut() {
                Some(last)
                    if it.at.saturating_sub(begun) < part
                        && last.counts(length, now) == it.counts(length, now) =>
                {
                    *last = Use { at: it.at, amount: last.amount.saturating_add(it.amount) };
                }
                _ => {
                    begun = it.at;
                    merged.push_back(it);
                }
            }
        }
        self.total = merged.iter().map(|it| u128::from(it.amount)).sum();
        self.uses = merged;
    }
}

impl Use {
    /// Gives up to `most` of its amount, and says how much that is.
    fn give(&mut self, most: u64, total: &mut u128) -> u64 {
        let part = most.min(self.amount);
        self.amount -= part;
        *total -= u128::from(part);
        part
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// What no longer counts is remembered for a moment; it must not count again because it lies beside what does.
    #[test]
    fn a_use_that_is_over_is_not_merged_into_one_that_counts() {
        let mut used = Sliding::new(MINUTE);
        for (at, amount) in [(0, 7), (100, 5), (200, 3)] {
            used.add(amount, ms(at), ms(at));
        }
        used.merge(ms(60_050));
        assert_eq!(used.amount(ms(60_050)), 8);
    }

    proptest! {
        /// The sum that is kept is the sum of what counts, whatever has happened.
        #[test]
        fn the_sum_is_that_of_the_uses(
            steps in prop::collection::vec((0u8..5, 0u64..3_000, prop_oneof![0u64..50, Just(u64::MAX)]), 1..800),
        ) {
            let (mut used, mut now) = (Sliding::new(ms(20_000)), ms(30_000));
            for (kind, step, amount) in steps {
                now += ms(step / 20);
                match kind {
                    0 | 1 => used.add(amount, now, now),
                    2 => used.add_ending_in(ms(step * 10), amount, now),
                    3 => used.take_back(amount, now.saturating_sub(ms(step * 8)), now),
                    _ => used.forget_oldest(amount, now),
                }
                used.forget_past(now);
                let counted = used.uses.iter().filter(|it| it.counts(used.length, now));
                prop_assert_eq!(used.amount(now), counted.map(|it| it.amount).fold(0, u64::saturating_add));
                prop_assert!(used.uses.iter().is_sorted_by_key(|it| it.at));
            }
        }
    }
}
