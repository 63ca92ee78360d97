//! The words for limits: what is counted, over which window, and what a provider reports about it.

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
    /// The word used in `/providers`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

/// The window of a limit.
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
    /// The word used in `/providers`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The reason for a failure when a limit of this window is used up.
    pub const fn exhausted(self) -> Reason {
        match self {
            Self::Minute | Self::Hour => Reason::RateLimited,
            Self::Day => Reason::QuotaExhausted,
        }
    }

    /// The length of the window.
    pub const fn length(self) -> Duration {
        match self {
            Self::Minute => Duration::from_secs(60),
            Self::Hour => Duration::from_secs(3_600),
            Self::Day => Duration::from_secs(86_400),
        }
    }
}

/// What a limit counts and over which window, such as requests a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Measure {
    /// The unit that is counted.
    pub unit: Unit,
    /// The window.
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

/// How a limit is known; the least certain source first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The provider's documents, or figures that others have reported: see the provider's file.
    Default,
    /// The provider's message when it refused a request.
    ErrorBody,
    /// The headers of an answer.
    Header,
}

impl Source {
    /// The word used in `/providers`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::ErrorBody => "error_body",
            Self::Header => "header",
        }
    }
}

/// What a provider reports about one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitReading {
    /// The measure that this limit counts.
    pub measure: Measure,
    /// The limit.
    pub limit: Option<u64>,
    /// How much is left.
    pub remaining: Option<u64>,
    /// In a header: when the whole quota is available again. In an error: when there is room again.
    pub reset: Option<Wait>,
    /// Where the provider reported it.
    pub source: Source,
}

/// The documented limits of a model on the free plan.
pub(crate) type FreePlan = &'static [(Measure, u64)];

/// What a response head says about limits, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The limits that it names; the one with the longest window first.
    pub limits: Vec<LimitReading>,
    /// The wait that the provider asks for.
    pub retry_after: Option<Wait>,
}

impl Reading {
    /// The limit that is used up although the answer may have succeeded, and when it comes back. Of several, the one
    /// with the longest window.
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
