//! The result of the search for an answer, in terms that every surface can report.

use std::fmt;

use crate::middle::{CleanText, Reason};
use crate::providers::{Lack, Provider};

/// No provider answered.
#[derive(Debug)]
pub enum Unanswered {
    /// None of these providers, the only ones that may answer, has a key.
    NoKeys(Vec<Provider>),
    /// No allowed provider supports what the request needs. No provider was called.
    Incapable(Incapable),
    /// Every allowed provider failed or is in cooldown.
    AllFailed(AllFailed),
}

/// Which providers do not support what the request needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Incapable(pub(super) Vec<(Provider, Lack)>);

impl Incapable {
    /// What all of them lack, if all lack the same.
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

/// How every provider failed.
#[derive(Debug, Default)]
pub struct AllFailed {
    /// One entry for each provider considered, in the order in which it was first considered, with its latest failure.
    pub attempts: Vec<FailedProvider>,
    /// Every consideration of a provider, in order.
    pub trail: Trail,
    /// Whole seconds until the first of them can serve, rounded up; `None` if that is not known.
    pub retry_after_seconds: Option<u64>,
}

/// The latest failure of a provider that did not answer.
#[derive(Debug)]
pub struct FailedProvider {
    /// The provider.
    pub provider: Provider,
    /// Why it failed; for a provider that was skipped, the reason of its cooldown.
    pub reason: Reason,
    /// The status it answered with; `None` if it did not answer or was not called.
    pub status: Option<u16>,
    /// Whole seconds until the first of its candidates that rest can serve, rounded up; `None` if none does, or if that is
    /// not known.
    pub retry_after_seconds: Option<u64>,
    /// The provider's own words, if they are about the request.
    pub message: Option<CleanText>,
}

/// The common cause of all failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every provider is at a limit.
    Limited,
    /// Every provider was too slow.
    TimedOut,
    /// Every provider rejects the request itself.
    RequestRefused,
    /// Anything else, including mixed cases.
    Failed,
}

impl AllFailed {
    /// The reason, if all providers failed for the same one.
    pub fn common_reason(&self) -> Option<Reason> {
        let (first, others) = self.attempts.split_first()?;
        others.iter().all(|other| other.reason == first.reason).then_some(first.reason)
    }
    /// The common cause of the failures.
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

/// Which providers were considered for a request, in order, with the result of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail(pub(super) Vec<(Provider, Step)>);

/// The result of considering a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Skipped,
    Failed(Reason),
    Answered,
}

/// `Groq:rate_limited, Cerebras:ok`: the form of the `x-attempts` header.
impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (provider, step)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            let word = match step {
                Step::Skipped => "cooling_down",
                Step::Failed(reason) => reason.as_str(),
                Step::Answered => "ok",
            };
            write!(f, "{separator}{}:{word}", provider.name())?;
        }
        Ok(())
    }
}
