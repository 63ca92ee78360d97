//! The words for limits: what is counted, over which window, and what a provider reports about it.

use std::time::Duration;

use super::failure::{Cause, Diagnosis, Wait};

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

    /// The cause of a failure when a limit of this window is used up.
    pub const fn exhausted(self) -> Cause {
        match self {
            Self::Minute | Self::Hour => Cause::RateLimited,
            Self::Day => Cause::QuotaExhausted,
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
    /// Whether it comes back little by little until then, and not all at once.
    pub refills: bool,
    /// Where the provider reported it.
    pub source: Source,
}

/// A limit of which nothing is left, although the answer may be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// What it means for the next call.
    pub cause: Cause,
    /// The window of the limit.
    pub window: Window,
    /// When it comes back.
    pub wait: Wait,
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
    /// The limit of which nothing is left, and when it comes back. Of several, the one with the longest window.
    pub fn spent(&self) -> Option<Spent> {
        self.limits.iter().filter(|limit| limit.remaining == Some(0)).find_map(LimitReading::spent)
    }
}

impl LimitReading {
    /// When there is room again, given that nothing is left; `None` if that is not known.
    fn spent(&self) -> Option<Spent> {
        let Measure { unit, window } = self.measure;
        let whole = self.reset?;
        let (cause, wait) = match (self.refills, unit, whole) {
            // A limit of requests that takes this long to be whole has room for one after its share of the time.
            (true, Unit::Requests, Wait::For(whole)) => {
                let limit = u32::try_from(self.limit?).unwrap_or(u32::MAX).max(1);
                (window.exhausted(), Wait::For(whole / limit))
            }
            // How many tokens the next request takes is its own affair; it comes last until all are back.
            (true, Unit::Tokens, _) => (Cause::Drained, whole),
            _ => (window.exhausted(), whole),
        };
        Some(Spent { cause, window, wait })
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
