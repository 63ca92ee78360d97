//! The result of the search for an answer, in terms that every surface can report.

use std::fmt;

use crate::middle::{CleanText, Reason, Window, in_groups};
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
pub struct Incapable {
    pub(super) unable: Vec<(Provider, Lack)>,
    /// The figures, if a shorter prompt could be answered.
    pub too_long: Option<TooLong>,
}

/// A prompt is too long for everybody who may answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// About how many tokens it has; more than `most`.
    pub tokens: u64,
    /// The most that any of them takes.
    pub most: u64,
    /// Who takes that many.
    pub provider: Provider,
    /// The time in which its plan allows no more; `None` if its model reads no more.
    pub window: Option<Window>,
}

impl TooLong {
    /// `tokens` are estimated, and what is known of the limit may be wrong; that the prompt is too long is certain. If the two
    /// contradict each other, a plan is believed where the answer's tokens may explain it, else the estimate.
    pub(super) fn new(tokens: u64, most: u64, provider: Provider, window: Option<Window>) -> Self {
        const SHORTEST_ANSWER: u64 = 256;
        let with_answer = tokens.saturating_add(tokens / 4).saturating_add(SHORTEST_ANSWER);
        if most < tokens {
            Self { tokens, most, provider, window }
        } else if window.is_some() && most <= with_answer {
            Self { tokens: most.saturating_add(1), most, provider, window }
        } else {
            Self { tokens, most: tokens.saturating_sub(1), provider, window: None }
        }
    }
}

/// `This request has about 10,900 tokens. The most that a model here takes is 8,000 in one minute (Groq's plan)`.
impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tokens, most, name) = (in_groups(self.tokens), in_groups(self.most), self.provider.name());
        write!(f, "This request has about {tokens} tokens. The most that a model here takes is {most}")?;
        match self.window {
            Some(window) => write!(f, " in one {} ({name}'s plan)", window.as_str()),
            None => write!(f, " ({name})"),
        }
    }
}

impl Incapable {
    /// What all of them lack, if all lack the same.
    pub fn common_lack(&self) -> Option<Lack> {
        let (first, others) = self.unable.split_first()?;
        others.iter().all(|(_, lack)| *lack == first.1).then_some(first.1)
    }
}

impl fmt::Display for Incapable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("No model that may answer can do what this request asks")?;
        for (index, (provider, lack)) in self.unable.iter().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            write!(f, "{separator}{} cannot {}", provider.name(), lack.explanation())?;
        }
        if let Some(too_long) = self.too_long {
            write!(f, ". {too_long}")?;
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
    /// The figures, if the prompt is too long for all of them and for everybody else who may answer.
    pub too_long: Option<TooLong>,
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
