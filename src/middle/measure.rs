//! The words for limits: what is counted, over which window, and what a provider reports about it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::failure::{Diagnosis, Reason, Wait, end_of_month, next_midnight};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// Calls.
    Requests,
    /// Tokens, of prompts or of prompts and answers: each provider counts in its own way.
    Tokens,
    /// Cloudflare's unit of work: so many for a million tokens, by the model.
    Neurons,
}

impl Unit {
    /// The word used in `/providers`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Neurons => "neurons",
        }
    }
}

/// The window of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Window {
    /// No time at all: what is under way at once.
    AtOnce,
    /// A second.
    Second,
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours, or a calendar day.
    Day,
    /// 30 days, or a calendar month.
    Month,
}

impl Window {
    /// The word used in `/providers`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The reason why nobody is asked while a limit of this window is used up.
    pub const fn exhausted(self) -> Reason {
        match self {
            Self::AtOnce | Self::Second | Self::Minute | Self::Hour => Reason::RateLimited,
            Self::Day | Self::Month => Reason::QuotaExhausted,
        }
    }

    /// The length of the window.
    pub const fn length(self) -> Duration {
        match self {
            Self::AtOnce => Duration::ZERO,
            Self::Second => Duration::from_secs(1),
            Self::Minute => Duration::from_secs(60),
            Self::Hour => Duration::from_secs(3_600),
            Self::Day => Duration::from_secs(86_400),
            Self::Month => Duration::from_secs(30 * 86_400),
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

    /// This unit over this window.
    pub const fn new(unit: Unit, window: Window) -> Self {
        Self { unit, window }
    }
}

/// A documented limit of a free plan: which figure, who shares it, and how it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it counts and over which window.
    pub measure: Measure,
    /// The most within the window.
    pub most: u64,
    /// Who shares it.
    pub pool: Pool,
    /// How what was used comes back.
    pub renewal: Renewal,
}

impl Limit {
    /// A limit of each model with each account, over the last window at any time: what an undocumented window is taken
    /// for, because whoever keeps to it keeps to the others too.
    pub const fn new(measure: Measure, most: u64) -> Self {
        Self { measure, most, pool: Pool::AccountModel, renewal: Renewal::Sliding }
    }

    /// The same, renewed in this way.
    pub const fn renewed(self, renewal: Renewal) -> Self {
        Self { renewal, ..self }
    }

    /// The same, shared in this way.
    pub const fn shared(self, pool: Pool) -> Self {
        Self { pool, ..self }
    }
}

/// Who shares a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pool {
    /// Nobody: each model with each account has its own.
    AccountModel,
    /// The models of an account that name the same group.
    Group(&'static str),
    /// All models of an account.
    Account,
    /// Everything that comes from this address, with whatever key.
    Address,
}

/// How what was used of a limit comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Each use counts for the length of the window.
    Sliding,
    /// Continuously: the whole limit in one window.
    Refill,
    /// All at once, when the calendar's day or month ends.
    Calendar(Zone),
}

/// Whose calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// California's, with its daylight saving.
    Pacific,
    /// Coordinated universal time.
    Utc,
}

impl Zone {
    /// When the calendar's month ends that contains `now`, or its day for every other window.
    pub fn end(self, window: Window, now: Timestamp) -> Timestamp {
        let zone = match self {
            Self::Pacific => jiff::tz::get!("America/Los_Angeles"),
            Self::Utc => TimeZone::UTC,
        };
        match window {
            Window::Month => end_of_month(now, zone),
            _ => next_midnight(now, zone),
        }
    }
}

/// How a provider counts the tokens of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCharge {
    /// Before the call: the prompt and the longest answer that was asked for.
    Longest,
    /// The prompt alone.
    Prompt,
    /// After the call: what it really took.
    Used,
}

/// How a limit is known; the least certain source first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The provider's documents, or figures that others have reported: see the provider's file. A guess: it orders and
    /// paces, and refuses nobody.
    Default,
    /// What came of calls beyond a guess.
    Observed,
    /// The user's word.
    Config,
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
            Self::Observed => "observed",
            Self::Config => "config",
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

/// A limit of which a refusal says that nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The window of the limit.
    pub window: Window,
    /// When there is room again.
    pub wait: Wait,
}

/// A limit, or what one answer took, is counted up to here: more than any plan allows, and still a number for all who add
/// such figures up, whatever a provider has written.
pub(crate) const MOST_COUNTED: u64 = 1 << 40;

/// The documented limits of a model on the free plan.
pub(crate) type FreePlan = &'static [Limit];

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
        let wait = match (self.refills, unit, self.reset?) {
            // A limit of requests that takes this long to be whole has room for one after its share of the time.
            (true, Unit::Requests, Wait::For(whole)) => {
                Wait::For(whole / u32::try_from(self.limit?).unwrap_or(u32::MAX).max(1))
            }
            (_, _, whole) => whole,
        };
        Some(Spent { window, wait })
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

/// A number as people read it: `200,000`.
pub(crate) fn in_groups(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
