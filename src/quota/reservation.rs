//! What is written down about attempts: one outcome each, whatever happens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::middle::Told;
use crate::time::Clock;
use crate::middle::{Diagnosis, Failure};
use crate::quota::{Admission, Candidate, Limits};
use crate::observe::{ModelStats, Outcome, Stats};

/// The books that all attempts share.
pub struct Ledger {
    /// Who can serve.
    pub limits: Limits,
    /// What is counted.
    pub stats: Stats,
    clock: Clock,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("limits", &self.limits)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl Ledger {
    /// Empty books.
    pub fn new(limits: Limits, clock: Clock) -> Self {
        Self { limits, stats: Stats::default(), clock }
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// The entry of one attempt. Dropped without a word it means that the client left: the attempt stays counted,
/// is no failure, and what it probed may be probed again.
#[derive(Debug)]
pub struct Entry {
    ledger: Arc<Ledger>,
    model: Arc<ModelStats>,
    /// Taken when the outcome is written.
    admission: Option<Admission>,
}

impl Entry {
    /// A call is about to be sent to the model of this id.
    pub fn open(ledger: Arc<Ledger>, admission: Admission, model: &str) -> Self {
        let Candidate { provider, key, .. } = admission.candidate;
        let model = ledger.stats.model(provider, model);
        model.attempted(key, provider.profile().day_end, ledger.now());
        Self { ledger, model, admission: Some(admission) }
    }

    /// The provider has told of allowances.
    pub fn learn(&self, told: &[Told]) {
        if let Some(admission) = &self.admission {
            self.model.learn(admission.candidate.key, told, self.ledger.now());
        }
    }

    /// The answer has begun: what rested is well again. How it ends is written later.
    pub fn has_begun(&mut self, exhausted: Option<&Diagnosis>, first_token: Option<Duration>) {
        let Some(admission) = &mut self.admission else {
            return;
        };
        if let Some(after) = first_token {
            self.model.first_token(after);
        }
        self.ledger.limits.succeeded(admission);
        if let Some(told) = exhausted {
            self.ledger.limits.exhausted(admission.candidate, told.reason, told.wait, self.ledger.now());
        }
    }

    /// The answer is complete.
    pub fn complete(mut self) {
        if let Some(mut admission) = self.admission.take() {
            self.model.ended(Outcome::Ok);
            self.ledger.limits.succeeded(&mut admission);
        }
    }

    /// The attempt failed, before its first content or after.
    pub fn failed(mut self, failure: &Failure) {
        if let Some(admission) = self.admission.take() {
            self.model.ended(Outcome::Failed(failure.reason));
            self.ledger.limits.failed(&admission, failure, self.ledger.now());
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.model.ended(Outcome::Cancelled);
            self.ledger.limits.abandoned(&admission);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::middle::{Reason, Scope};
    use crate::quota::{Offer, Turn};
    use crate::providers::Directory;

    const REASONS: [Reason; 4] =
        [Reason::RateLimited, Reason::Timeout, Reason::BrokenStream, Reason::BadRequest];

    proptest! {
        /// Whatever becomes of attempts, and in whatever order: each has one outcome.
        #[test]
        fn every_attempt_has_one_outcome(
            ends in prop::collection::vec((0usize..6, any::<bool>(), any::<bool>()), 1..60),
        ) {
            let offers = Directory::built_in().iter().map(|provider| Offer { provider, keys: 2, models: 2 }).collect();
            let clock: Clock = Arc::new(|| Timestamp::UNIX_EPOCH);
            let ledger = Arc::new(Ledger::new(Limits::new(offers, fastrand::Rng::with_seed(7)), clock));
            let mut open = Vec::new();
            let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
            let mut attempts = 0;
            for (end, begins, ends_at_once) in ends {
                let pick = ledger.limits.pick(|_| true, Turn::Taken, Timestamp::UNIX_EPOCH);
                let Some(admission) = pick.admission else { break };
                let id = ["best", "second"][admission.candidate.model];
                let mut entry = Entry::open(ledger.clone(), admission, id);
                attempts += 1;
                if begins {
                    entry.has_begun(None, Some(Duration::from_millis(1)));
                }
                open.push((entry, end));
                if ends_at_once {
                    end_all(&mut open, &mut expected);
                }
            }
            end_all(&mut open, &mut expected);
            let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
            let mut counts = (0, 0);
            for provider in Directory::built_in() {
                let its = ledger.stats.counts(provider);
                counts = (counts.0 + its.attempts, counts.1 + its.failures);
                for id in ["best", "second"] {
                    for (outcome, count) in ledger.stats.model(provider, id).outcomes() {
                        *outcomes.entry(outcome.as_str()).or_default() += count;
                    }
                }
            }
            let failures = outcomes.iter().filter(|(word, _)| !["ok", "cancelled"].contains(word));
            prop_assert_eq!(counts, (attempts, failures.map(|(_, count)| count).sum()));
            prop_assert_eq!(outcomes.values().sum::<u64>(), attempts);
            prop_assert_eq!(outcomes, expected);
        }
    }

    fn end_all(open: &mut Vec<(Entry, usize)>, expected: &mut BTreeMap<&str, u64>) {
        for (entry, end) in open.drain(..) {
            let word = match REASONS.get(end) {
                Some(reason) => {
                    entry.failed(&Failure::without_answer(*reason, Scope::Request));
                    reason.as_str()
                }
                None if end == REASONS.len() => {
                    entry.complete();
                    "ok"
                }
                None => {
                    drop(entry);
                    "cancelled"
                }
            };
            *expected.entry(word).or_default() += 1;
        }
    }
}
