//! What can go wrong with a provider: the enumeration on which every other decision is based.
//!
//! A provider's dialect turns an answer into a [`Diagnosis`]; the attempt adds what it knows and makes a [`Failure`] of
//! it. Both name a [`Cause`]: what happened, as exactly as the proxy can tell. What follows from a cause stands in
//! [`Policy`](super::Policy); clients are told its [`Reason`].

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::redaction::{CleanText, Redactor};

/// Why an attempt did not give an answer. Exhaustive: the word is part of the outside contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A limit that ends within minutes.
    RateLimited,
    /// A daily limit.
    QuotaExhausted,
    /// The provider refuses the key.
    BadKey,
    /// The account has no credit.
    NoCredit,
    /// The account's plan does not include this model.
    NotInPlan,
    /// The model does not exist, no longer exists, or is not available to this account.
    ModelGone,
    /// The request is larger than the most this account may send at once.
    TooLarge,
    /// The conversation does not fit into the model's context window.
    ContextTooLong,
    /// The provider rejects the request itself.
    BadRequest,
    /// The provider or the model is overloaded.
    Overloaded,
    /// One of our timeouts ended.
    Timeout,
    /// No connection: DNS, TCP or TLS.
    ConnectFailed,
    /// The answer broke off before it was complete.
    BrokenStream,
    /// The answer was complete and had no text.
    EmptyAnswer,
    /// Any other fault of the provider.
    UpstreamError,
}

impl Reason {
    /// The word used in errors, headers, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::BadKey => "bad_key",
            Self::NoCredit => "no_credit",
            Self::NotInPlan => "not_in_plan",
            Self::ModelGone => "model_gone",
            Self::TooLarge => "too_large",
            Self::ContextTooLong => "context_too_long",
            Self::BadRequest => "bad_request",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::ConnectFailed => "connect_failed",
            Self::BrokenStream => "broken_stream",
            Self::EmptyAnswer => "empty_answer",
            Self::UpstreamError => "upstream_error",
        }
    }

    /// The reason in words for people: completes the sentence "Groq …".
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::RateLimited => "is rate limited",
            Self::QuotaExhausted => "has no quota left for today",
            Self::BadKey => "refuses the API key",
            Self::NoCredit => "says the account has no credit",
            Self::NotInPlan => "does not include the model in this account's plan",
            Self::ModelGone => "does not offer the model (any more)",
            Self::TooLarge => "finds the request too large for this account",
            Self::ContextTooLong => "finds the conversation too long for the model",
            Self::BadRequest => "refuses the request",
            Self::Overloaded => "is overloaded",
            Self::Timeout => "did not answer in time",
            Self::ConnectFailed => "could not be reached",
            Self::BrokenStream => "broke off in the middle of its answer",
            Self::EmptyAnswer => "gave an empty answer",
            Self::UpstreamError => "failed",
        }
    }

    /// Whether it ends by itself, because the quota comes back.
    pub const fn is_limit(self) -> bool {
        matches!(self, Self::RateLimited | Self::QuotaExhausted)
    }

    /// Whether a person has to act: with a key, credit or another model.
    pub const fn needs_a_person(self) -> bool {
        matches!(self, Self::BadKey | Self::NoCredit | Self::NotInPlan | Self::ModelGone)
    }

    /// Whether the request is at fault rather than the provider.
    pub const fn blames_request(self) -> bool {
        matches!(self, Self::TooLarge | Self::ContextTooLong | Self::BadRequest)
    }
}

/// What happened, as exactly as the proxy can tell. Each cause is reported as one [`Reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A limit that ends within minutes.
    RateLimited,
    /// A daily limit.
    QuotaExhausted,
    /// A limit that ends within the hour and is shared by all models of the account.
    AccountLimited,
    /// A limit of a day or a month that is shared by all models of the account.
    AccountExhausted,
    /// A limit of the model that is published nowhere and comes with no time.
    HiddenLimit,
    /// The provider refuses the key, or the account is blocked.
    KeyRefused,
    /// The account has no credit.
    CreditSpent,
    /// The account's plan does not include the model.
    NotInPlan,
    /// The model does not exist, or no longer exists.
    ModelGone,
    /// The model does not exist for this account: "… or you do not have access to it".
    ModelNotForAccount,
    /// An answer calls the model gone, and the provider's list still has it.
    ModelGoneButListed,
    /// A 404 or 410 that does not mention models.
    NotFound,
    /// The request is larger than the most this account may send at once.
    TooLarge,
    /// The conversation does not fit into the model's context window.
    ContextTooLong,
    /// The provider rejects the request itself.
    RequestRefused,
    /// A safety filter of the provider refuses the prompt, or what was written of the answer. That is an answer, so nobody
    /// else is asked: falling back would mean asking until some provider says yes.
    Moderated,
    /// The provider or the model is overloaded.
    Overloaded,
    /// A server on the user's own machine is reading its model from the disk.
    Loading,
    /// Any other fault of the provider.
    ServerError,
    /// Connected, and then nothing for too long.
    Silent,
    /// The answer broke off before it was complete.
    BrokenStream,
    /// A good status, and then nothing at all.
    NoAnswer,
    /// A complete answer without content: the model had nothing to say to this request.
    EmptyAnswer,
    /// The model wrote something that its own provider cannot read.
    GenerationUnreadable,
    /// No connection: DNS, TCP or TLS.
    Unreachable,
    /// No connection in time.
    ConnectTimeout,
    /// Not the API answers but something before it, such as a firewall's web page; or it serves nobody from here.
    Intercepted,
    /// The request's own time ran out.
    OutOfTime,
    /// This machine cannot open another connection.
    OutOfDescriptors,
}

impl Cause {
    /// All of them, for tests.
    pub const ALL: [Self; 29] = [
        Self::RateLimited,
        Self::QuotaExhausted,
        Self::AccountLimited,
        Self::AccountExhausted,
        Self::HiddenLimit,
        Self::KeyRefused,
        Self::CreditSpent,
        Self::NotInPlan,
        Self::ModelGone,
        Self::ModelNotForAccount,
        Self::ModelGoneButListed,
        Self::NotFound,
        Self::TooLarge,
        Self::ContextTooLong,
        Self::RequestRefused,
        Self::Moderated,
        Self::Overloaded,
        Self::Loading,
        Self::ServerError,
        Self::Silent,
        Self::BrokenStream,
        Self::NoAnswer,
        Self::EmptyAnswer,
        Self::GenerationUnreadable,
        Self::Unreachable,
        Self::ConnectTimeout,
        Self::Intercepted,
        Self::OutOfTime,
        Self::OutOfDescriptors,
    ];

    /// How it is reported.
    pub const fn reason(self) -> Reason {
        match self {
            Self::RateLimited | Self::AccountLimited | Self::HiddenLimit => Reason::RateLimited,
            Self::QuotaExhausted | Self::AccountExhausted => Reason::QuotaExhausted,
            Self::KeyRefused => Reason::BadKey,
            Self::CreditSpent => Reason::NoCredit,
            Self::NotInPlan => Reason::NotInPlan,
            Self::ModelGone | Self::ModelNotForAccount | Self::ModelGoneButListed | Self::NotFound => {
                Reason::ModelGone
            }
            Self::TooLarge => Reason::TooLarge,
            Self::ContextTooLong => Reason::ContextTooLong,
            Self::RequestRefused | Self::Moderated => Reason::BadRequest,
            Self::Overloaded | Self::Loading => Reason::Overloaded,
            Self::Silent | Self::ConnectTimeout | Self::OutOfTime => Reason::Timeout,
            Self::Unreachable | Self::OutOfDescriptors => Reason::ConnectFailed,
            Self::BrokenStream => Reason::BrokenStream,
            Self::NoAnswer | Self::EmptyAnswer => Reason::EmptyAnswer,
            Self::ServerError | Self::GenerationUnreadable | Self::Intercepted => Reason::UpstreamError,
        }
    }
}

/// How far a failure reaches: everything within is affected, everything beyond is untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// This one request at this provider; nobody else is affected.
    Request,
    /// One model, with any account.
    Model,
    /// One model with one account.
    AccountModel,
    /// One account, with any model.
    Account,
    /// The provider as a whole.
    Provider,
}

/// How long to wait before calling again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A duration from now.
    For(Duration),
    /// A point in time.
    Until(Timestamp),
    /// The next midnight in California, daylight saving included: when Google's day ends.
    PacificMidnight,
    /// The next midnight in coordinated universal time.
    UtcMidnight,
    /// The end of the month, in the same time.
    UtcMonth,
}

impl Wait {
    /// How long the wait is, counted from `now`.
    pub fn length(self, now: Timestamp) -> Duration {
        match self {
            Self::For(span) => span,
            _ => self.deadline(now).duration_since(now).try_into().unwrap_or_default(),
        }
    }

    /// When the wait is over, counted from `now`.
    pub fn deadline(self, now: Timestamp) -> Timestamp {
        match self {
            Self::For(span) => now.saturating_add(span).unwrap_or(Timestamp::MAX),
            Self::Until(deadline) => deadline,
            Self::UtcMidnight => next_midnight(now, TimeZone::UTC),
            Self::UtcMonth => end_of_month(now, TimeZone::UTC),
            Self::PacificMidnight => next_midnight(now, jiff::tz::get!("America/Los_Angeles")),
        }
    }
}

/// The end of the day that contains `now`, or 24 hours after `now` if the calendar has no such time.
pub(super) fn next_midnight(now: Timestamp, zone: TimeZone) -> Timestamp {
    let next = now.to_zoned(zone).tomorrow().and_then(|tomorrow| tomorrow.start_of_day());
    next.map_or_else(
        |_| Wait::For(Duration::from_secs(86_400)).deadline(now),
        |midnight| midnight.timestamp(),
    )
}

/// The end of the month that contains `now`.
pub(super) fn end_of_month(now: Timestamp, zone: TimeZone) -> Timestamp {
    let last_day = now.to_zoned(zone.clone()).last_of_month().map_or(now, |last| last.timestamp());
    next_midnight(last_day, zone)
}

/// A provider's message as received: may hold keys, URLs or the prompt, so it does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct RawWords(pub String);

impl fmt::Debug for RawWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

/// What a provider's error means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What happened.
    pub cause: Cause,
    /// How long to wait, if the provider says so or its words imply it.
    pub wait: Option<Wait>,
    /// How long to wait if it is refused again right after `wait`: a daily limit may come with a delay that is too short.
    pub then: Option<Wait>,
    /// The provider's message.
    pub message: Option<RawWords>,
    /// The field of the request that it refuses, if the request can do without it.
    pub unwanted: Option<&'static str>,
}

impl From<Cause> for Diagnosis {
    fn from(cause: Cause) -> Self {
        Self { cause, wait: None, then: None, message: None, unwanted: None }
    }
}

impl Diagnosis {
    /// The failure of an attempt that was answered with `status`.
    pub fn into_failure(self, status: u16, redactor: &Redactor) -> Failure {
        let Self { cause, wait, then, message, unwanted } = self;
        let message = message.map(|words| redactor.clean(&words.0));
        Failure { cause, wait, then, status: Some(status), message, unwanted }
    }
}

/// An attempt that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What happened.
    pub cause: Cause,
    /// How long to wait, if the provider said so or its words imply it.
    pub wait: Option<Wait>,
    /// How long to wait if it is refused again right after `wait`.
    pub then: Option<Wait>,
    /// The HTTP status of the provider's answer; `None` without an answer.
    pub status: Option<u16>,
    /// The provider's message, cleaned.
    pub message: Option<CleanText>,
    /// The field of the request that it refuses, if the request can do without it.
    pub unwanted: Option<&'static str>,
}

impl Failure {
    /// A failure without an answer from the provider.
    pub const fn without_answer(cause: Cause) -> Self {
        Self { cause, wait: None, then: None, status: None, message: None, unwanted: None }
    }

    /// How it is reported.
    pub const fn reason(&self) -> Reason {
        self.cause.reason()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pacific_day_ends_at_midnight_in_every_season() {
        let cases = [
            ("winter", "2026-11-23T07:59:59Z", "2026-11-23T08:00:00Z"),
            ("the first second of a day", "2026-11-23T08:00:00Z", "2026-11-24T08:00:00Z"),
            ("summer", "2026-07-01T00:00:00Z", "2026-07-01T07:00:00Z"),
            ("a day of 23 hours", "2026-03-08T08:30:00Z", "2026-03-09T07:00:00Z"),
            ("a day of 25 hours", "2026-11-01T07:30:00Z", "2026-11-02T08:00:00Z"),
        ];
        for (case, now, expected) in cases {
            let deadline = Wait::PacificMidnight.deadline(now.parse().unwrap());
            assert_eq!(deadline, expected.parse().unwrap(), "{case}");
        }
    }

    #[test]
    fn absurd_spans_saturate() {
        let now = "2026-11-23T00:00:00Z".parse().unwrap();
        assert_eq!(Wait::For(Duration::MAX).deadline(now), Timestamp::MAX);
    }
}
