//! What has been counted and observed of each model since the process began.
//!
//! Bounded by the models that are offered and the keys there are: a counter for each outcome, the latest times to a first
//! token, and the [`allowances`](crate::allowances) of each key. `/health` shows sums of the same numbers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::middle::{FreePlan, Told};
use crate::quota::{Book, Known, together};
use crate::middle::{Reason, Wait};
use crate::providers::Provider;

/// How many of the latest times to a first token are looked at: enough for a 99th percentile, few enough to forget
/// yesterday.
const KEPT_FIRST_TOKENS: usize = 256;

/// How an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The answer was complete.
    Ok,
    /// It failed, before its first content or after.
    Failed(Reason),
    /// Nobody wanted the answer any more: the client left, or the process ended.
    Cancelled,
}

impl Outcome {
    /// The word in `/providers`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed(reason) => reason.as_str(),
            Self::Cancelled => "cancelled",
        }
    }
}

/// What has been counted; shared by all requests.
#[derive(Debug, Default)]
pub struct Stats {
    models: Mutex<HashMap<(Provider, String), Arc<ModelStats>>>,
}

/// What has been counted and observed of one model.
#[derive(Debug, Default)]
// A std mutex: held for microseconds, never across an await.
pub struct ModelStats(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    attempts: u64,
    outcomes: BTreeMap<Outcome, u64>,
    /// In milliseconds, the latest last.
    first_tokens: VecDeque<u32>,
    /// One for each key, by its number; those at the end that were never used are missing.
    books: Vec<Book>,
}

/// One provider's counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls sent to the provider.
    pub attempts: u64,
    /// Those of them that failed. A client that leaves is no failure.
    pub failures: u64,
}

/// What half of the times and 99 of 100 do not exceed, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// The median.
    pub p50: u32,
    /// The slow end.
    pub p99: u32,
}

impl Stats {
    /// The numbers of one model, by the provider's id.
    pub fn model(&self, provider: Provider, id: &str) -> Arc<ModelStats> {
        self.lock().entry((provider, id.to_owned())).or_default().clone()
    }

    /// The counters of `provider` now: of all its models together.
    pub fn counts(&self, provider: Provider) -> Counts {
        let mut counts = Counts::default();
        for (_, model) in self.lock().iter().filter(|((of, _), _)| *of == provider) {
            let state = model.lock();
            counts.attempts += state.attempts;
            let failures = state.outcomes.iter().filter(|(outcome, _)| matches!(outcome, Outcome::Failed(_)));
            counts.failures += failures.map(|(_, count)| count).sum::<u64>();
        }
        counts
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Provider, String), Arc<ModelStats>>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ModelStats {
    /// A call is being sent with one of the keys. `day_end` is when the provider's day ends, if it has one by the
    /// calendar.
    pub fn attempted(&self, key: usize, day_end: Option<Wait>, now: Timestamp) {
        let mut state = self.lock();
        state.attempts += 1;
        state.book(key).sends(day_end, now);
    }

    /// A call has ended.
    pub fn ended(&self, outcome: Outcome) {
        *self.lock().outcomes.entry(outcome).or_default() += 1;
    }

    /// So long after the call was sent came its first token.
    pub fn first_token(&self, after: Duration) {
        let after_ms = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        let times = &mut self.lock().first_tokens;
        if times.len() == KEPT_FIRST_TOKENS {
            times.pop_front();
        }
        times.push_back(after_ms);
    }

    /// The provider has told of allowances of one of the keys.
    pub fn learn(&self, key: usize, told: &[Told], now: Timestamp) {
        if told.is_empty() {
            return;
        }
        let mut state = self.lock();
        told.iter().for_each(|told| state.book(key).learn(told, now));
    }

    /// How often attempts have ended how.
    pub fn outcomes(&self) -> BTreeMap<Outcome, u64> {
        self.lock().outcomes.clone()
    }

    /// How long the first token took lately; none before the first one.
    pub fn first_tokens(&self) -> Option<Percentiles> {
        let mut times: Vec<u32> = self.lock().first_tokens.iter().copied().collect();
        times.sort_unstable();
        // The nearest rank: the first that so many of 100 do not exceed.
        let percentile =
            |percent: usize| times.get((times.len() * percent).div_ceil(100).checked_sub(1)?).copied();
        Some(Percentiles { p50: percentile(50)?, p99: percentile(99)? })
    }

    /// What is known of the allowances of these keys together.
    pub fn allowances(
        &self,
        keys: &[usize],
        plan: FreePlan,
        day_end: Option<Wait>,
        now: Timestamp,
    ) -> Vec<Known> {
        let state = self.lock();
        let unused = Book::default();
        let books = keys.iter().map(|&key| state.books.get(key).unwrap_or(&unused));
        together(books.map(|book| book.known(plan, day_end, now)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is an assignment or two that cannot panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    #[expect(clippy::indexing_slicing, reason = "the line before makes room for it")]
    fn book(&mut self, key: usize) -> &mut Book {
        if self.books.len() <= key {
            self.books.resize_with(key + 1, Book::default);
        }
        &mut self.books[key]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let model = ModelStats::default();
        assert_eq!(model.first_tokens(), None);
        let learn = |ms: u64| model.first_token(Duration::from_millis(ms));
        learn(7);
        assert_eq!(model.first_tokens(), Some(Percentiles { p50: 7, p99: 7 }));
        learn(300);
        assert_eq!(model.first_tokens(), Some(Percentiles { p50: 7, p99: 300 }));
        (1..=200).for_each(learn);
        assert_eq!(model.first_tokens(), Some(Percentiles { p50: 100, p99: 199 }));
    }

    #[test]
    fn old_times_are_forgotten() {
        let model = ModelStats::default();
        (0..KEPT_FIRST_TOKENS).for_each(|_| model.first_token(Duration::from_secs(9)));
        (0..KEPT_FIRST_TOKENS).for_each(|_| model.first_token(Duration::from_millis(1)));
        assert_eq!(model.first_tokens(), Some(Percentiles { p50: 1, p99: 1 }));
        model.first_token(Duration::MAX);
        assert_eq!(model.lock().first_tokens.len(), KEPT_FIRST_TOKENS);
    }
}
