//! The counters and times of each model since the process began.
//!
//! Bounded by the models there are: a histogram for each outcome, for times to first token and for tokens, and the latest
//! times to first token. `/health`, `/providers` and `/metrics` show the same numbers. Recording is a few atomic additions
//! for each attempt, and none for each token.

use std::array;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::iter::Sum;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::histogram::{Distribution, Histogram};
use crate::middle::{Cause, Reason, Usage};

/// How many of the latest times to first token are kept: enough for a 99th percentile, few enough to forget yesterday.
const KEPT_FIRST_TOKENS: usize = 256;

/// Bounds of times to first token, in microseconds: from the 50 ms of a short prompt at the fastest provider, close together
/// where most answers begin, over the 20 s after which somebody else is asked, to the three times 20 s that an answer in one
/// piece may take.
const FIRST_TOKEN_BOUNDS: [u64; 14] = [
    50_000, 100_000, 200_000, 300_000, 500_000, 750_000, 1_000_000, 2_000_000, 3_000_000, 5_000_000,
    10_000_000, 20_000_000, 30_000_000, 60_000_000,
];

/// Bounds of the whole time of an attempt, in microseconds: from a refusal, which takes a round trip, over the 120 s in which
/// an answer must have begun, to the ten minutes of a very long answer.
const DURATION_BOUNDS: [u64; 13] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
];

/// Bounds of the tokens of an answer and of its prompt: powers of four, as OpenTelemetry advises for
/// `gen_ai.client.token.usage`, up to the million of the largest context windows.
const TOKEN_BOUNDS: [u64; 11] = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576];

/// What a provider says beyond this is nonsense, and must not spoil the sum.
const MOST_TOKENS: u64 = u32::MAX as u64;

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
    /// Every outcome there is.
    pub(crate) fn all() -> BTreeSet<Self> {
        let failures = Cause::ALL.map(|cause| Self::Failed(cause.reason()));
        failures.into_iter().chain([Self::Ok, Self::Cancelled]).collect()
    }

    /// Its place among all outcomes.
    const fn number(self) -> usize {
        match self {
            Self::Ok => 0,
            Self::Cancelled => 1,
            Self::Failed(reason) => 2 + reason as usize,
        }
    }

    /// The word in `/providers` and `/metrics`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed(reason) => reason.as_str(),
            Self::Cancelled => "cancelled",
        }
    }
}

/// One for each outcome.
const OUTCOMES: usize = 3 + Reason::UpstreamError as usize;

/// The counters and times of one model.
#[derive(Debug)]
pub struct ModelStats {
    attempts: AtomicU64,
    /// How long attempts took, in microseconds, by [`Outcome::number`]; an outcome that never was takes no memory.
    durations: [OnceLock<Box<(Outcome, Histogram)>>; OUTCOMES],
    /// In microseconds.
    first_tokens: Histogram,
    prompt_tokens: Histogram,
    completion_tokens: Histogram,
    /// In milliseconds, the latest last. A std mutex: held for nanoseconds, never across an await.
    latest_first_tokens: Mutex<VecDeque<u32>>,
}

/// All that was recorded of a model up to one moment.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// How long attempts took that have ended, in microseconds, by how they ended.
    pub(crate) durations: BTreeMap<Outcome, Distribution>,
    /// The times to first token, in microseconds.
    pub(crate) first_tokens: Distribution,
    /// The tokens of conversations that were answered completely, as the provider counted them.
    pub(crate) prompt_tokens: Distribution,
    /// The tokens of complete answers, thinking included.
    pub(crate) completion_tokens: Distribution,
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

/// Adds up what was recorded of two models.
impl AddAssign<&Self> for Recorded {
    fn add_assign(&mut self, other: &Self) {
        for (outcome, durations) in &other.durations {
            match self.durations.get_mut(outcome) {
                Some(sum) => *sum += durations,
                None => drop(self.durations.insert(*outcome, durations.clone())),
            }
        }
        self.first_tokens += &other.first_tokens;
        self.prompt_tokens += &other.prompt_tokens;
        self.completion_tokens += &other.completion_tokens;
    }
}

impl Default for ModelStats {
    fn default() -> Self {
        Self {
            attempts: AtomicU64::new(0),
            durations: array::from_fn(|_| OnceLock::new()),
            first_tokens: Histogram::new(&FIRST_TOKEN_BOUNDS),
            prompt_tokens: Histogram::new(&TOKEN_BOUNDS),
            completion_tokens: Histogram::new(&TOKEN_BOUNDS),
            latest_first_tokens: Mutex::default(),
        }
    }
}

impl ModelStats {
    /// A call is being sent.
    pub(crate) fn attempted(&self) {
        self.attempts.fetch_add(1, Relaxed);
    }

    /// A call has ended, this long after it was sent.
    pub(crate) fn ended(&self, outcome: Outcome, after: Duration) {
        let new = || Box::new((outcome, Histogram::new(&DURATION_BOUNDS)));
        if let Some(slot) = self.durations.get(outcome.number()) {
            slot.get_or_init(new).1.observe(micros(after));
        }
    }

    /// A complete answer has used this many tokens.
    pub(crate) fn used(&self, usage: &Usage) {
        self.prompt_tokens.observe(usage.prompt_tokens.min(MOST_TOKENS));
        self.completion_tokens.observe(usage.completion_tokens.min(MOST_TOKENS));
    }

    /// The first token came this long after the call was sent.
    pub(crate) fn first_token(&self, after: Duration) {
        self.first_tokens.observe(micros(after));
        let after_ms = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        let mut times = self.latest_first_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() == KEPT_FIRST_TOKENS {
            times.pop_front();
        }
        times.push_back(after_ms);
    }

    /// The counters now.
    pub fn counts(&self) -> Counts {
        let outcomes = self.outcomes();
        let failures = outcomes.iter().filter(|(outcome, _)| matches!(outcome, Outcome::Failed(_)));
        Counts { attempts: self.attempts.load(Relaxed), failures: failures.map(|(_, count)| count).sum() }
    }

    /// How often attempts ended in each way.
    pub fn outcomes(&self) -> BTreeMap<Outcome, u64> {
        self.durations().map(|(outcome, durations)| (outcome, durations.count())).collect()
    }

    /// Everything recorded so far.
    pub(crate) fn recorded(&self) -> Recorded {
        Recorded {
            durations: self.durations().collect(),
            first_tokens: self.first_tokens.distribution(),
            prompt_tokens: self.prompt_tokens.distribution(),
            completion_tokens: self.completion_tokens.distribution(),
        }
    }

    /// How long the first token took lately; `None` before the first one.
    pub fn first_tokens(&self) -> Option<Percentiles> {
        let times = self.latest_first_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times: Vec<u32> = times.iter().copied().collect();
        times.sort_unstable();
        // The nearest rank: the first value that this many of 100 do not exceed.
        let percentile =
            |percent: usize| times.get((times.len() * percent).div_ceil(100).checked_sub(1)?).copied();
        Some(Percentiles { p50: percentile(50)?, p99: percentile(99)? })
    }

    fn durations(&self) -> impl Iterator<Item = (Outcome, Distribution)> {
        let known = self.durations.iter().filter_map(OnceLock::get);
        known.map(|known| (known.0, known.1.distribution()))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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
        assert_eq!(model.latest_first_tokens.lock().unwrap().len(), KEPT_FIRST_TOKENS);
    }

    #[test]
    fn every_outcome_has_a_place_of_its_own() {
        let model = ModelStats::default();
        let outcomes = Outcome::all();
        outcomes.iter().for_each(|outcome| model.ended(*outcome, Duration::ZERO));
        assert_eq!(model.outcomes(), outcomes.iter().map(|outcome| (*outcome, 1)).collect());
        assert_eq!(outcomes.len(), OUTCOMES);
    }

    #[test]
    fn nonsense_about_tokens_spoils_no_sum() {
        let model = ModelStats::default();
        let used = |prompt_tokens, completion_tokens| {
            let (total_tokens, cached_tokens, reasoning_tokens) = (0, None, None);
            let usage =
                Usage { prompt_tokens, completion_tokens, total_tokens, cached_tokens, reasoning_tokens };
            model.used(&usage);
        };
        used(9, 5);
        used(u64::MAX, u64::MAX);
        let recorded = model.recorded();
        assert_eq!(recorded.prompt_tokens.sum, 9 + u64::from(u32::MAX));
        assert_eq!(recorded.completion_tokens.sum, 5 + u64::from(u32::MAX));
        assert_eq!(recorded.prompt_tokens.counts, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn what_was_recorded_of_two_models_adds_up() {
        let (one, other) = (ModelStats::default(), ModelStats::default());
        one.ended(Outcome::Ok, Duration::from_secs(1));
        other.ended(Outcome::Ok, Duration::from_secs(2));
        other.ended(Outcome::Cancelled, Duration::MAX);
        other.first_token(Duration::from_millis(70));
        let mut sum = one.recorded();
        sum += &other.recorded();
        let counts: Vec<_> =
            sum.durations.iter().map(|(outcome, durations)| (*outcome, durations.count())).collect();
        assert_eq!(counts, [(Outcome::Ok, 2), (Outcome::Cancelled, 1)]);
        assert_eq!(sum.durations[&Outcome::Ok].sum, 3_000_000);
        assert_eq!((sum.first_tokens.count(), sum.first_tokens.sum), (1, 70_000));
    }
}
