//! The search for an answer to one request: who was considered, what came of it, and what is left to say.

use super::outcome::{AllFailed, Answered, FailedProvider, Step, Trail, Unanswered};
use super::{Dispatcher, Target};
use crate::middle::Needs;
use crate::middle::{Failure, Reason, Scope};
use crate::quota::{Admission, Candidate, Place, Turn};
use crate::providers::Provider;

pub(super) struct Search<'d> {
    dispatcher: &'d Dispatcher,
    target: &'d Target,
    needs: Needs,
    /// Everybody who was considered, in order.
    considered: Vec<Considered>,
    /// An answer without text, cut off at the token limit: passed on if nobody does better.
    last_resort: Option<Answered>,
}

/// What came of considering somebody.
enum Considered {
    PassedOver(Provider, Reason),
    Failed(Candidate, Failure),
    /// It has become the last resort; the status it answered with.
    CutBeforeText(Candidate, u16),
}

impl Considered {
    fn provider(&self) -> Provider {
        match self {
            Self::PassedOver(provider, _) => *provider,
            Self::Failed(candidate, _) | Self::CutBeforeText(candidate, _) => candidate.provider,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::PassedOver(_, reason) => *reason,
            Self::Failed(_, failure) => failure.reason,
            Self::CutBeforeText(..) => Reason::EmptyAnswer,
        }
    }

    fn step(&self) -> Step {
        match self {
            Self::PassedOver(..) => Step::PassedOver,
            Self::Failed(..) | Self::CutBeforeText(..) => Step::Failed(self.reason()),
        }
    }

    /// What this request will not try again: what the failure reaches, or the whole provider if it is about the
    /// request.
    fn ruled_out(&self) -> Option<Place> {
        match self {
            Self::PassedOver(..) => None,
            Self::Failed(candidate, failure) => {
                Some(candidate.place(failure.scope).unwrap_or(Place::Provider(candidate.provider)))
            }
            Self::CutBeforeText(candidate, _) => Some(Place::Provider(candidate.provider)),
        }
    }
}

impl<'d> Search<'d> {
    pub(super) fn new(dispatcher: &'d Dispatcher, target: &'d Target, needs: Needs) -> Self {
        Self { dispatcher, target, needs, considered: Vec::new(), last_resort: None }
    }

    /// Whom to try next; none if nobody is left that can serve now.
    pub(super) fn next(&mut self) -> Option<Admission> {
        let turn = if self.target.is_pinned { Turn::Untouched } else { Turn::Taken };
        let ledger = &self.dispatcher.ledger;
        let pick = ledger.limits.pick(|candidate| self.may_try(candidate), turn, ledger.now());
        for passed_over in pick.passed_over {
            // Of a provider that was tried, more is known than that the rest of it rests.
            if !self.considered.iter().any(|it| it.provider() == passed_over.provider) {
                self.considered.push(Considered::PassedOver(passed_over.provider, passed_over.reason));
            }
        }
        // Whoever it was meant for has left the stock since the request came.
        if pick.admission.is_none() && self.considered.is_empty() {
            let missing = self.target.wanted.iter().map(|wanted| wanted.provider);
            let gone = missing.map(|provider| Considered::PassedOver(provider, Reason::ModelGone));
            self.considered.extend(gone);
        }
        pick.admission
    }

    /// How many attempts have been made.
    pub(super) fn attempts(&self) -> usize {
        self.considered.iter().filter(|it| !matches!(it, Considered::PassedOver(..))).count()
    }

    /// Accepts an answer, unless it has no text and somebody else may do better: then it is put by.
    pub(super) fn accept(&mut self, candidate: Candidate, answered: Answered) -> Option<Answered> {
        if !answered.answer.is_cut_before_content() {
            return Some(self.finish(answered));
        }
        self.considered.push(Considered::CutBeforeText(candidate, answered.answer.status()));
        if let Some(worse) = self.last_resort.replace(answered) {
            reject(worse);
        }
        None
    }

    /// Remembers a failure and what it rules out.
    pub(super) fn fail(&mut self, candidate: Candidate, failure: Failure) {
        self.considered.push(Considered::Failed(candidate, failure));
    }

    /// Nobody is left, or no time.
    pub(super) fn give_up(mut self) -> Result<Answered, Unanswered> {
        if let Some(answered) = self.last_resort.take() {
            if !self.considered.iter().any(|it| matches!(it, Considered::Failed(..))) {
                let is_it = |it: &Considered| matches!(it, Considered::CutBeforeText(..));
                if let Some(position) = self.considered.iter().rposition(is_it) {
                    self.considered.remove(position);
                }
                return Ok(self.finish(answered));
            }
            reject(answered);
        }
        Err(Unanswered::AllFailed(self.all_failed()))
    }

    fn may_try(&self, candidate: Candidate) -> bool {
        self.is_eligible(candidate) && !self.considered.iter().any(|it| self.rules_out(it, candidate))
    }

    /// Whether what came of considering somebody rules this candidate out: it is within reach of the failure, or at the
    /// provider that finds fault with the request. A conversation that is too long may fit a model with more room.
    fn rules_out(&self, considered: &Considered, candidate: Candidate) -> bool {
        match considered {
            Considered::Failed(failed, failure) if failure.reason == Reason::ContextTooLong => {
                let window = |candidate| self.dispatcher.window(candidate);
                failed.provider == candidate.provider && window(candidate) <= window(*failed)
            }
            considered => considered.ruled_out().is_some_and(|place| candidate.places().contains(&place)),
        }
    }

    /// Whether it may answer and can.
    fn is_eligible(&self, candidate: Candidate) -> bool {
        self.target.allows(candidate.provider, candidate.model) && self.dispatcher.can(candidate, &self.needs)
    }

    fn trail(&self) -> Vec<(Provider, Step)> {
        self.considered.iter().map(|it| (it.provider(), it.step())).collect()
    }

    fn finish(&self, mut answered: Answered) -> Answered {
        let mut trail = self.trail();
        trail.push((answered.provider, Step::Answered));
        answered.trail = Trail(trail);
        answered
    }

    fn all_failed(&self) -> AllFailed {
        // Who refuses the request can serve at once, but not this request.
        let refuses = |provider: Provider| {
            self.considered.iter().any(|it| it.provider() == provider && it.reason().blames_request())
        };
        let may_serve_later =
            |candidate: Candidate| self.is_eligible(candidate) && !refuses(candidate.provider);
        let mut attempts: Vec<FailedProvider> = Vec::new();
        for last_word in self.considered.iter().rev() {
            let provider = last_word.provider();
            if attempts.iter().any(|known| known.provider == provider) {
                continue;
            }
            let reason = last_word.reason();
            let (status, message) = match last_word {
                Considered::PassedOver(..) => (None, None),
                Considered::Failed(_, failure) => (failure.status, failure.message.clone()),
                Considered::CutBeforeText(_, status) => (Some(*status), None),
            };
            attempts.push(FailedProvider {
                provider,
                reason,
                status,
                retry_after_seconds: self
                    .seconds_until(|it| it.provider == provider && may_serve_later(it))
                    .filter(|seconds| *seconds > 0),
                message: message.filter(|_| reason.blames_request()),
            });
        }
        attempts.sort_by_key(|it| self.considered.iter().position(|first| first.provider() == it.provider));
        // Never 0: «at once» is what the client has just tried.
        let retry_after_seconds = self.seconds_until(may_serve_later).map(|seconds| seconds.max(1));
        AllFailed { attempts, retry_after_seconds, trail: Trail(self.trail()) }
    }

    /// Whole seconds until one of the `eligible` candidates can serve, rounded up.
    fn seconds_until(&self, eligible: impl Fn(Candidate) -> bool) -> Option<u64> {
        let ledger = &self.dispatcher.ledger;
        let now = ledger.now();
        let soonest = ledger.limits.soonest(eligible, now)?;
        let wait_ms = soonest.as_millisecond().saturating_sub(now.as_millisecond());
        u64::try_from(wait_ms).ok().map(|ms| ms.div_ceil(1_000))
    }
}

/// Writes down that an answer without text is not passed on. Nobody rests for it: it is the request that leaves no
/// room for an answer.
fn reject(answered: Answered) {
    answered.entry.failed(&Failure::without_answer(Reason::EmptyAnswer, Scope::Request));
}
