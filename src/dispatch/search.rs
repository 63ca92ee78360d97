//! The search for an answer to one request: which providers were considered, with what result, and what to report.

use std::sync::Arc;

use super::outcome::{AllFailed, Answered, FailedProvider, Step, Trail, Unanswered};
use super::service::Service;
use crate::middle::{Failure, Needs, Reason, Scope};
use crate::providers::Provider;
use crate::quota::{Criteria, Place, Quota, Reservation, RuledOut, Target};

pub(super) struct Search<'d> {
    quota: &'d Arc<Quota>,
    services: &'d [Service],
    target: &'d Target,
    needs: &'d Needs,
    /// Every provider that was considered, in order.
    considered: Vec<Considered>,
    /// The candidates that are not tried again.
    ruled_out: Vec<RuledOut>,
    /// An answer without text, cut off at the token limit: relayed if no candidate does better.
    last_resort: Option<Answered>,
}

/// A provider that was considered, by its number, and the result.
struct Considered {
    provider: usize,
    verdict: Verdict,
}

enum Verdict {
    Skipped(Reason),
    Failed(Failure),
    /// It has become the last resort, with this HTTP status.
    CutBeforeText(u16),
}

impl Considered {
    fn reason(&self) -> Reason {
        match &self.verdict {
            Verdict::Skipped(reason) => *reason,
            Verdict::Failed(failure) => failure.reason,
            Verdict::CutBeforeText(_) => Reason::EmptyAnswer,
        }
    }

    fn is_attempt(&self) -> bool {
        !matches!(self.verdict, Verdict::Skipped(_))
    }

    fn step(&self) -> Step {
        if self.is_attempt() { Step::Failed(self.reason()) } else { Step::Skipped }
    }
}

impl<'d> Search<'d> {
    pub(super) fn new(
        quota: &'d Arc<Quota>,
        services: &'d [Service],
        target: &'d Target,
        needs: &'d Needs,
    ) -> Self {
        let (considered, ruled_out) = (Vec::new(), Vec::new());
        Self { quota, services, target, needs, considered, ruled_out, last_resort: None }
    }

    /// The candidate to try next; `None` if none is left that can serve now.
    pub(super) fn next(&mut self) -> Option<Reservation> {
        let pick = self.quota.pick(&self.criteria(&self.ruled_out));
        for skipped in pick.skipped {
            // The failure of an attempt says more than the cooldown of the provider's other models, so keep it.
            if !self.considered.iter().any(|it| it.provider == skipped.provider) {
                self.consider(skipped.provider, Verdict::Skipped(skipped.reason));
            }
        }
        // The model that the request asked for has been removed since the request came.
        if pick.reservation.is_none() && self.considered.is_empty() {
            for wanted in self.target.wanted() {
                self.consider(wanted.provider, Verdict::Skipped(Reason::ModelGone));
            }
        }
        pick.reservation
    }

    /// How many attempts have been made.
    pub(super) fn attempts(&self) -> usize {
        self.considered.iter().filter(|it| it.is_attempt()).count()
    }

    /// Accepts an answer. One without text is held back if another candidate may do better.
    pub(super) fn accept(&mut self, answered: Answered) -> Option<Answered> {
        if !answered.answer.is_cut_before_content() {
            return Some(self.finish(answered));
        }
        let provider = answered.reservation.candidate().provider;
        self.ruled_out.push(RuledOut::Place(Place::Provider(provider)));
        self.consider(provider, Verdict::CutBeforeText(answered.answer.status()));
        if let Some(worse) = self.last_resort.replace(answered) {
            reject(worse);
        }
        None
    }

    /// Records a failure and rules out what it affects, or the provider that rejects the request. A conversation that
    /// is too long may fit a model with a larger window.
    pub(super) fn fail(&mut self, reservation: Reservation, failure: Failure) {
        let candidate = reservation.candidate();
        let provider = candidate.provider;
        self.ruled_out.push(match failure.reason {
            Reason::ContextTooLong => RuledOut::WindowsUpTo(provider, reservation.can().window),
            _ => RuledOut::Place(candidate.place(failure.scope).unwrap_or(Place::Provider(provider))),
        });
        reservation.failed(&failure);
        self.consider(provider, Verdict::Failed(failure));
    }

    /// Ends the search: no candidate is left, or no time.
    pub(super) fn give_up(mut self) -> Result<Answered, Unanswered> {
        if let Some(answered) = self.last_resort.take() {
            if !self.considered.iter().any(|it| matches!(it.verdict, Verdict::Failed(_))) {
                let is_it = |it: &Considered| matches!(it.verdict, Verdict::CutBeforeText(_));
                if let Some(position) = self.considered.iter().rposition(is_it) {
                    self.considered.remove(position);
                }
                return Ok(self.finish(answered));
            }
            reject(answered);
        }
        Err(Unanswered::AllFailed(self.all_failed()))
    }

    fn consider(&mut self, provider: usize, verdict: Verdict) {
        self.considered.push(Considered { provider, verdict });
    }

    fn criteria<'s>(&'s self, ruled_out: &'s [RuledOut]) -> Criteria<'s> {
        Criteria { target: self.target, needs: self.needs, ruled_out }
    }

    fn provider(&self, number: usize) -> Option<Provider> {
        self.services.get(number).map(|service| service.provider)
    }

    fn trail(&self) -> Vec<(Provider, Step)> {
        self.considered.iter().filter_map(|it| Some((self.provider(it.provider)?, it.step()))).collect()
    }

    fn finish(&self, mut answered: Answered) -> Answered {
        let mut trail = self.trail();
        trail.push((answered.provider(), Step::Answered));
        answered.trail = Trail(trail);
        answered
    }

    fn all_failed(&self) -> AllFailed {
        // A provider that rejects the request can serve at once, but not this request.
        let refusing = self.considered.iter().filter(|it| it.reason().blames_request());
        let refusing: Vec<RuledOut> =
            refusing.map(|it| RuledOut::Place(Place::Provider(it.provider))).collect();
        let criteria = self.criteria(&refusing);
        // In the order in which they were first considered, each with its latest failure.
        let mut numbers: Vec<usize> = Vec::new();
        for number in self.considered.iter().map(|it| it.provider) {
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        let attempts = numbers.into_iter().filter_map(|number| self.last_word(number, &criteria)).collect();
        // Never 0, because the client has just tried.
        let retry_after_seconds = self.quota.seconds_until(&criteria, None).map(|seconds| seconds.max(1));
        AllFailed { attempts, retry_after_seconds, trail: Trail(self.trail()) }
    }

    /// The latest failure of a provider. `criteria` say which of its candidates may serve later.
    fn last_word(&self, number: usize, criteria: &Criteria<'_>) -> Option<FailedProvider> {
        let last_word = self.considered.iter().rfind(|it| it.provider == number)?;
        let reason = last_word.reason();
        let (status, message) = match &last_word.verdict {
            Verdict::Skipped(_) => (None, None),
            Verdict::Failed(failure) => (failure.status, failure.message.clone()),
            Verdict::CutBeforeText(status) => (Some(*status), None),
        };
        Some(FailedProvider {
            provider: self.provider(number)?,
            reason,
            status,
            retry_after_seconds: self
                .quota
                .seconds_until(criteria, Some(number))
                .filter(|seconds| *seconds > 0),
            message: message.filter(|_| reason.blames_request()),
        })
    }
}

/// Records that an answer without text is not relayed. It causes no cooldown: the request itself leaves no room for an
/// answer.
fn reject(answered: Answered) {
    answered.reservation.failed(&Failure::without_answer(Reason::EmptyAnswer, Scope::Request));
}
