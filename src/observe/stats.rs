//! The counters and times of each model since the process began.
//!
//! Bounded by the models there are: a counter for each outcome, the tokens of complete answers, and the latest times to
//! first token. `/health` shows sums of the same numbers.

use std::collections::{BTreeMap, VecDeque};
use std::iter::Sum;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::middle::{Reason, Usage};

/// How many of the latest times to first token are kept: enough for a 99th percentile, few enough to forget yesterday.
const KEPT_FIRST_TOKENS: usize = 256;

/// How an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The answer was complete.
    Ok,
    /// It failed, before its first content or after.
    Failed(Reason),
    /// The answer was no longer wanted: the client left, or the process ended.
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

/// The counters and times of one model.
#[derive(Debug, Default)]
// A std mutex: held for microseconds, never across an await.
pub struct ModelStats(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    attempts: u64,
    outcomes: BTreeMap<Outcome, u64>,
    tokens: Tokens,
    /// In milliseconds, the latest last.
    first_tokens: VecDeque<u32>,
}

/// What complete answers have used, as the provider counted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens of the conversations sent.
    pub prompt: u64,
    /// Tokens of the answers, thinking included.
    pub completion: u64,
}

/// One provider's counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls sent to the provider.
    pub attempts: u64,
    /// How many of them failed. A client that leaves does not count as a failure.
    pub failures: u64,
}

/// The median and the 99th percentile, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// The median.
    pub p50: u32,
    /// The slow end.
    pub p99: u32,
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, its| Self {
            attempts: sum.attempts + its.attempts,
            failures: sum.failures + its.failures,
        })
    }
}

impl ModelStats {
    /// A call is being sent.
    pub(crate) fn attempted(&self) {
        self.lock().attempts += 1;
    }

    /// A call has ended.
    pub(crate) fn ended(&self, outcome: Outcome) {
        *self.lock().outcomes.entry(outcome).or_default() += 1;
    }

    /// A complete answer has used this many tokens.
    pub(crate) fn used(&self, usage: &Usage) {
        let tokens = &mut self.lock().tokens;
        tokens.prompt = tokens.prompt.saturating_add(usage.prompt_tokens);
        tokens.completion = tokens.completion.saturating_add(usage.completion_tokens);
    }

    /// The first token came this long after the call was sent.
    pub(crate) fn first_token(&self, after: Duration) {
        let after_ms = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        let times = &mut self.lock().first_tokens;
        if times.len() == KEPT_FIRST_TOKENS {
            times.pop_front();
        }
        times.push_back(after_ms);
    }

    /// The counters now.
    pub fn counts(&self) -> Counts {
        let state = self.lock();
        let failures = state.outcomes.iter().filter(|(outcome, _)| matches!(outcome, Outcome::Failed(_)));
        Counts { attempts: state.attempts, failures: failures.map(|(_, count)| count).sum() }
    }

    /// How often attempts ended in each way.
    pub fn outcomes(&self) -> BTreeMap<Outcome, u64> {
        self.lock().outcomes.clone()
    }

    /// What complete answers have used.
    pub fn tokens(&self) -> Tokens {
        self.lock().tokens
    }

    /// How long the first token took lately; `None` before the first one.
    pub fn first_tokens(&self) -> Option<Percentiles> {
        let mut times: Vec<u32> = self.lock().first_tokens.iter().copied().collect();
        times.sort_unstable();
        // The nearest rank: the first value that this many of 100 do not exceed.
        let percentile =
            |percent: usize| times.get((times.len() * percent).div_ceil(100).checked_sub(1)?).copied();
        Some(Percentiles { p50: percentile(50)?, p99: percentile(99)? })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is an assignment or two that cannot panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
