//! What is written down about attempts: one outcome each, whatever happens.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::failure::{Diagnosis, Failure};
use crate::limits::{Admission, Limits};
use crate::stats::Stats;

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
    /// Taken when the outcome is written.
    admission: Option<Admission>,
}

impl Entry {
    /// A call is about to be sent.
    pub fn open(ledger: Arc<Ledger>, admission: Admission) -> Self {
        ledger.stats.attempted(admission.candidate.provider);
        Self { ledger, admission: Some(admission) }
    }

    /// The answer has begun: what rested is well again. How it ends is written later.
    pub fn has_begun(&mut self, exhausted: Option<&Diagnosis>) {
        let Some(admission) = &mut self.admission else {
            return;
        };
        self.ledger.limits.succeeded(admission);
        if let Some(told) = exhausted {
            self.ledger.limits.exhausted(admission.candidate, told.reason, told.wait, self.ledger.now());
        }
    }

    /// The answer is complete.
    pub fn complete(mut self) {
        if let Some(mut admission) = self.admission.take() {
            self.ledger.limits.succeeded(&mut admission);
        }
    }

    /// The attempt failed, before its first content or after.
    pub fn failed(mut self, failure: &Failure) {
        if let Some(admission) = self.admission.take() {
            self.ledger.stats.failed(admission.candidate.provider);
            self.ledger.limits.failed(&admission, failure, self.ledger.now());
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.ledger.limits.abandoned(&admission);
        }
    }
}
