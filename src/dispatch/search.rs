//! The search for an answer to one request: who has been tried, who was passed over, what is left to say.

use super::outcome::{AllFailed, Answered, FailedProvider, Step, Trail, Unanswered};
use super::{Dispatcher, Target};
use crate::failure::{Failure, Reason, Scope};
use crate::limits::{Admission, Candidate, Place, Turn};
use crate::providers::Provider;

pub(super) struct Search<'d> {
    dispatcher: &'d Dispatcher,
    target: &'d Target,
    /// What this request will not try (again).
    ruled_out: Vec<Place>,
    trail: Trail,
    failures: Vec<(Provider, Failure)>,
    /// An answer without text, cut off at the token limit: passed on if nobody does better.
    last_resort: Option<Answered>,
}

impl<'d> Search<'d> {
    pub(super) fn new(dispatcher: &'d Dispatcher, target: &'d Target) -> Self {
        Self {
            dispatcher,
            target,
            ruled_out: Vec::new(),
            trail: Trail::default(),
            failures: Vec::new(),
            last_resort: None,
        }
    }

    /// Whom to try next; none if nobody is left that can serve now.
    pub(super) fn next(&mut self) -> Option<Admission> {
        let turn = if self.target.is_pinned() { Turn::Untouched } else { Turn::Taken };
        let ledger = &self.dispatcher.ledger;
        let pick = ledger.limits.pick(|candidate| self.may_try(candidate), turn, ledger.now());
        for passed_over in pick.passed_over {
            // Of a provider that was tried, more is known than that the rest of it rests.
            if !self.trail.0.iter().any(|(known, _)| *known == passed_over.provider) {
                self.trail.0.push((passed_over.provider, Step::PassedOver(passed_over.reason)));
            }
        }
        pick.admission
    }

    /// How many attempts have been made.
    pub(super) fn attempts(&self) -> usize {
        self.failures.len()
    }

    /// Accepts an answer, unless it has no text and somebody else may do better: then it is put by.
    pub(super) fn accept(&mut self, candidate: Candidate, answered: Answered) -> Option<Answered> {
        if !answered.answer.is_cut_before_text() {
            return Some(self.finish(answered));
        }
        self.fail(candidate, cut_before_text(&answered));
        if let Some(worse) = self.last_resort.replace(answered) {
            let failure = cut_before_text(&worse);
            worse.entry.failed(&failure);
        }
        None
    }

    /// Remembers a failure and what it rules out.
    pub(super) fn fail(&mut self, candidate: Candidate, failure: Failure) {
        let provider = candidate.provider;
        self.ruled_out.push(candidate.place(failure.scope).unwrap_or(Place::Provider(provider)));
        self.trail.0.push((provider, Step::Failed(failure.reason)));
        self.failures.push((provider, failure));
    }

    /// Nobody is left, or no time.
    pub(super) fn give_up(mut self) -> Result<Answered, Unanswered> {
        if let Some(answered) = self.last_resort.take() {
            let is_all_there_was = self.failures.iter().all(|(_, failure)| is_cut(failure));
            if is_all_there_was {
                let is_it = |(provider, _): &(Provider, Step)| *provider == answered.provider;
                if let Some(position) = self.trail.0.iter().rposition(is_it) {
                    self.trail.0.remove(position);
                }
                return Ok(self.finish(answered));
            }
            let failure = cut_before_text(&answered);
            answered.entry.failed(&failure);
        }
        Err(Unanswered::AllFailed(self.all_failed()))
    }

    fn may_try(&self, candidate: Candidate) -> bool {
        let is_ruled_out = candidate.places().iter().any(|place| self.ruled_out.contains(place));
        !is_ruled_out && self.dispatcher.allows(self.target, candidate)
    }

    fn finish(&mut self, mut answered: Answered) -> Answered {
        answered.entry.has_content(answered.answer.exhausted());
        self.trail.0.push((answered.provider, Step::Answered));
        answered.trail = std::mem::take(&mut self.trail);
        answered
    }

    fn all_failed(self) -> AllFailed {
        // A provider that refuses the request can serve at once, but not this request.
        let may_serve_later = |candidate: Candidate| {
            let refuses = |(provider, failure): &(Provider, Failure)| {
                *provider == candidate.provider && failure.reason.blames_request()
            };
            self.dispatcher.allows(self.target, candidate) && !self.failures.iter().any(refuses)
        };
        let mut attempts: Vec<FailedProvider> = Vec::new();
        for (provider, step) in &self.trail.0 {
            if attempts.iter().any(|known| known.provider == *provider) {
                continue;
            }
            let failure =
                self.failures.iter().rev().find(|(failed, _)| failed == provider).map(|(_, failure)| failure);
            let reason = match (failure, step) {
                (Some(failure), _) => failure.reason,
                (None, Step::PassedOver(reason) | Step::Failed(reason)) => *reason,
                (None, Step::Answered) => continue,
            };
            attempts.push(FailedProvider {
                provider: *provider,
                reason,
                status: failure.and_then(|failure| failure.status),
                retry_after_seconds: self
                    .seconds_until(|it| it.provider == *provider && may_serve_later(it))
                    .filter(|seconds| *seconds > 0),
                message: failure
                    .filter(|_| reason.blames_request())
                    .and_then(|failure| failure.message.clone()),
            });
        }
        // Never 0: «at once» is what the client has just tried.
        let retry_after_seconds = self.seconds_until(may_serve_later).map(|seconds| seconds.max(1));
        AllFailed { attempts, retry_after_seconds, trail: self.trail }
    }

    /// Whole seconds until one of the `eligible` candidates can serve, rounded up.
    fn seconds_until(&self, eligible: impl Fn(Candidate) -> bool) -> Option<u64> {
        let ledger = &self.dispatcher.ledger;
        let now = ledger.now();
        let wait_ms =
            ledger.limits.soonest(eligible, now)?.as_millisecond().saturating_sub(now.as_millisecond());
        u64::try_from(wait_ms).ok().map(|ms| ms.div_ceil(1_000))
    }
}

/// What an answer without text counts as when it is not passed on.
fn cut_before_text(answered: &Answered) -> Failure {
    let status = Some(answered.answer.status());
    Failure { status, ..Failure::without_answer(Reason::EmptyAnswer, Scope::Request) }
}

/// Whether `failure` is one of [`cut_before_text`]: a provider's own emptiness is its own fault.
fn is_cut(failure: &Failure) -> bool {
    failure.reason == Reason::EmptyAnswer && failure.scope == Scope::Request
}
