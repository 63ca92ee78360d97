//! What comes of looking for an answer, in words that any surface can say.

use std::fmt;

use super::attempt::Answer;
use crate::middle::{CleanText, Feature, Reason};
use crate::providers::{Lack, Provider};
use crate::quota::Reservation;

/// An answer and how it came about.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The answer; with [`Extent::Whole`](super::Extent::Whole) all of it is there.
    pub answer: Answer,
    /// Where the outcome is written when the answer has ended.
    pub reservation: Reservation,
    /// Who answers.
    pub provider: Provider,
    /// With which of its models: the provider's own id.
    pub model: String,
    /// What the client asked for and this model does not take.
    pub left_out: Vec<Feature>,
    /// Everybody who was considered, the one who answers last.
    pub trail: Trail,
}

/// Nobody answered.
#[derive(Debug)]
pub enum Unanswered {
    /// None of these providers, which are all that may answer, has a key.
    NoKeys(Vec<Provider>),
    /// Nobody who may answer can do what is asked; nobody was.
    Incapable(Incapable),
    /// Everybody who may answer failed or is in cooldown.
    AllFailed(AllFailed),
}

/// Who cannot do what is asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Incapable(pub(super) Vec<(Provider, Lack)>);

impl Incapable {
    /// What everybody lacks, if all lack the same.
    pub fn common_lack(&self) -> Option<Lack> {
        let (first, others) = self.0.split_first()?;
        others.iter().all(|(_, lack)| *lack == first.1).then_some(first.1)
    }
}

impl fmt::Display for Incapable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("No model that may answer can do what this request asks")?;
        for (index, (provider, lack)) in self.0.iter().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            write!(f, "{separator}{} cannot {}", provider.name(), lack.explanation())?;
        }
        Ok(())
    }
}

/// How everybody failed.
#[derive(Debug)]
pub struct AllFailed {
    /// One entry for each provider considered, in the order in which it first was: the last word about it.
    pub attempts: Vec<FailedProvider>,
    /// Everybody who was considered, every time.
    pub trail: Trail,
    /// Whole seconds until the first of them can serve, rounded up; none if that is not known.
    pub retry_after_seconds: Option<u64>,
}

/// The last word about a provider that did not answer.
#[derive(Debug)]
pub struct FailedProvider {
    /// Which.
    pub provider: Provider,
    /// Why; for one that was passed over, what put it into cooldown.
    pub reason: Reason,
    /// The status it answered with; none if it did not, or was not asked.
    pub status: Option<u16>,
    /// Whole seconds until it can serve, rounded up; none if it can, or if that is not known.
    pub retry_after_seconds: Option<u64>,
    /// Its own words, if they are about the request.
    pub message: Option<CleanText>,
}

/// What all failures together amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everybody is limited.
    Limited,
    /// Everybody was too slow.
    TimedOut,
    /// Everybody calls the request itself bad.
    RequestRefused,
    /// Anything else, mixed cases too.
    Failed,
}

impl AllFailed {
    /// Why everybody failed, if all did for the same reason.
    pub fn common_reason(&self) -> Option<Reason> {
        let (first, others) = self.attempts.split_first()?;
        others.iter().all(|other| other.reason == first.reason).then_some(first.reason)
    }
    /// What the failures together amount to.
    pub fn verdict(&self) -> Verdict {
        let all =
            |predicate: fn(Reason) -> bool| self.attempts.iter().all(|attempt| predicate(attempt.reason));
        if all(Reason::is_limit) {
            Verdict::Limited
        } else if all(|reason| reason == Reason::Timeout) {
            Verdict::TimedOut
        } else if all(Reason::blames_request) {
            Verdict::RequestRefused
        } else {
            Verdict::Failed
        }
    }
}

/// Who was considered for a request, in order, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail(pub(super) Vec<(Provider, Step)>);

/// What came of considering a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    PassedOver,
    Failed(Reason),
    Answered,
}

/// `Groq:rate_limited, Cerebras:ok`: the form of the `x-attempts` header.
impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (provider, step)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            let word = match step {
                Step::PassedOver => "cooling_down",
                Step::Failed(reason) => reason.as_str(),
                Step::Answered => "ok",
            };
            write!(f, "{separator}{}:{word}", provider.name())?;
        }
        Ok(())
    }
}
