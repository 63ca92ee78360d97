//! The words for limits: what is counted, over which time, and what a provider has said of it.

use std::time::Duration;

use super::failure::{Diagnosis, Reason, Wait};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// Calls.
    Requests,
    /// Tokens, of prompts or of prompts and answers: each provider counts in its own way.
    Tokens,
}

impl Unit {
    /// The word in `/providers`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

/// The span of time that a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Window {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours, or a calendar day.
    Day,
}

impl Window {
    /// The word in `/providers`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// What it means that a limit of this window is used up.
    pub const fn exhausted(self) -> Reason {
        match self {
            Self::Minute | Self::Hour => Reason::RateLimited,
            Self::Day => Reason::QuotaExhausted,
        }
    }

    /// How long it is.
    pub const fn length(self) -> Duration {
        match self {
            Self::Minute => Duration::from_secs(60),
            Self::Hour => Duration::from_secs(3_600),
            Self::Day => Duration::from_secs(86_400),
        }
    }
}

/// What a limit is about, such as requests a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Measure {
    /// What is counted.
    pub unit: Unit,
    /// Over which time.
    pub window: Window,
}

impl Measure {
    /// RPM.
    pub const REQUESTS_A_MINUTE: Self = Self { unit: Unit::Requests, window: Window::Minute };
    /// RPD.
    pub const REQUESTS_A_DAY: Self = Self { unit: Unit::Requests, window: Window::Day };
    /// TPM.
    pub const TOKENS_A_MINUTE: Self = Self { unit: Unit::Tokens, window: Window::Minute };
    /// TPH.
    pub const TOKENS_AN_HOUR: Self = Self { unit: Unit::Tokens, window: Window::Hour };
    /// TPD.
    pub const TOKENS_A_DAY: Self = Self { unit: Unit::Tokens, window: Window::Day };
}

/// How a limit is known, the least certain way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The provider's documents, or readings of them: see the provider's file.
    Default,
    /// The provider's words when it refused a request.
    ErrorBody,
    /// The headers of an answer.
    Header,
}

impl Source {
    /// The word in `/providers`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::ErrorBody => "error_body",
            Self::Header => "header",
        }
    }
}

/// What a provider has said of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitReading {
    /// Of which.
    pub measure: Measure,
    /// How much there is in all.
    pub limit: Option<u64>,
    /// How much of it is left.
    pub remaining: Option<u64>,
    /// In a header: when it is whole again. In an error: when there is room again.
    pub reset: Option<Wait>,
    /// Where it stood.
    pub source: Source,
}

/// The limits that a provider's documents name for a model on the free plan.
pub(crate) type FreePlan = &'static [(Measure, u64)];

/// What the head of an answer says of limits, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The limits that it names, the one of the longest window first.
    pub limits: Vec<LimitReading>,
    /// How long the provider wants to be left alone.
    pub retry_after: Option<Wait>,
}

impl Reading {
    /// What has nothing left although the answer may have succeeded, and when it comes back: of several limits the one of
    /// the longest window.
    pub fn spent(&self) -> Option<(Reason, Wait)> {
        let spent = self.limits.iter().find(|limit| limit.remaining == Some(0))?;
        Some((spent.measure.window.exhausted(), spent.reset?))
    }
}

/// What an answer with an error status says, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReading {
    /// What it means.
    pub diagnosis: Diagnosis,
    /// The limits that its body names.
    pub limits: Vec<LimitReading>,
}
