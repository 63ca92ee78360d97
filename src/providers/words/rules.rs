//! What a provider's own error codes and words mean, as rows of data: looked up before what all providers share, because
//! a status alone misleads. One provider's 403 is a bad key, another's a model that the plan lacks.

use std::time::Duration;

use super::error_body::ErrorBody;
pub(in crate::providers) use super::error_body::FLAGGED;
use crate::middle::{Cause, Diagnosis, RawWords, Reading, Wait};

/// One line of a provider's failure table.
#[derive(Clone, Copy, Debug)]
pub struct FailureRule {
    /// The status; 0 for any.
    status: u16,
    sign: Sign,
    cause: Cause,
    /// How long to wait if nothing is stated.
    wait: Option<Pause>,
}

/// How a line is recognised.
#[derive(Clone, Copy, Debug)]
enum Sign {
    /// One of these codes, wherever the body has codes.
    Codes(&'static [&'static str]),
    /// One of these words in a sentence, in lower case.
    Words(&'static [&'static str]),
    /// Nothing more than the status.
    Always,
}

/// How long to wait if nothing is stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::providers) enum Pause {
    /// So many seconds.
    Seconds(u64),
    /// Until the day ends, in coordinated universal time.
    Day,
    /// The same for the month.
    Month,
}

impl FailureRule {
    /// An answer with this `status`, or any if it is 0, that has one of these codes anywhere.
    pub(in crate::providers) const fn codes(
        status: u16,
        codes: &'static [&'static str],
        cause: Cause,
    ) -> Self {
        Self { status, sign: Sign::Codes(codes), cause, wait: None }
    }

    /// The same for words in its sentence, written here in lower case.
    pub(in crate::providers) const fn words(
        status: u16,
        words: &'static [&'static str],
        cause: Cause,
    ) -> Self {
        Self { status, sign: Sign::Words(words), cause, wait: None }
    }

    /// Every other answer with this `status`.
    pub(in crate::providers) const fn status(status: u16, cause: Cause) -> Self {
        Self { status, sign: Sign::Always, cause, wait: None }
    }

    /// The same, after which to wait this long if nothing is stated.
    pub(in crate::providers) const fn waiting(self, pause: Pause) -> Self {
        Self { wait: Some(pause), ..self }
    }

    fn fits(&self, status: u16, error: &ErrorBody, sentence: &str) -> bool {
        let is_it = match self.sign {
            Sign::Codes(codes) => error.codes.iter().any(|code| codes.contains(&code.as_str())),
            Sign::Words(words) => words.iter().any(|word| sentence.contains(word)),
            Sign::Always => !error.is_foreign,
        };
        is_it && (self.status == 0 || self.status == status)
    }
}

impl Pause {
    fn wait(self) -> Wait {
        match self {
            Self::Seconds(seconds) => Wait::For(Duration::from_secs(seconds)),
            Self::Day => Wait::UtcMidnight,
            Self::Month => Wait::UtcMonth,
        }
    }
}

/// What the first line that fits says; `None` if none does. `stated` is the wait that the answer states.
pub(in crate::providers) fn look_up(
    rules: &[FailureRule],
    status: u16,
    head: &Reading,
    error: &ErrorBody,
    stated: Option<Wait>,
) -> Option<Diagnosis> {
    // Whose limit is nothing has been granted nothing, and waiting does not help.
    let is_granted_nothing = status == 429 && head.limits.iter().any(|it| it.limit == Some(0));
    let sentence = format!("{}\n{}", error.message, error.raw).to_ascii_lowercase();
    let rule = rules.iter().find(|rule| rule.fits(status, error, &sentence));
    let cause = if is_granted_nothing { Cause::NotInPlan } else { rule?.cause };
    let message = (!error.message.is_empty()).then(|| RawWords(error.message.clone()));
    let wait = stated.or_else(|| Some(rule?.wait?.wait())).filter(|_| cause.reason().is_limit());
    Some(Diagnosis { wait, message, ..cause.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middle::{LimitReading, Measure, Source};

    const RULES: &[FailureRule] = &[
        FailureRule::codes(0, &["5035"], Cause::NotInPlan),
        FailureRule::words(429, &["per-day"], Cause::AccountExhausted).waiting(Pause::Day),
        FailureRule::status(429, Cause::RateLimited).waiting(Pause::Seconds(30)),
    ];

    fn found(status: u16, head: &Reading, body: &str) -> Option<(Cause, Option<Wait>)> {
        let error = ErrorBody::parse(body.as_bytes());
        look_up(RULES, status, head, &error, head.retry_after).map(|it| (it.cause, it.wait))
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        let none = Reading::default();
        let seconds = |seconds| Some(Wait::For(Duration::from_secs(seconds)));
        let day = Some(Wait::UtcMidnight);
        let cases = [
            (403, r#"{"errors":[{"code":5035,"message":"x"}]}"#, Some((Cause::NotInPlan, None))),
            (429, r#"{"errors":[{"code":5035}]}"#, Some((Cause::NotInPlan, None))),
            (429, r#"{"error":{"message":"x-Per-Day"}}"#, Some((Cause::AccountExhausted, day))),
            (429, r#"{"error":{"metadata":{"raw":"per-day"}}}"#, Some((Cause::AccountExhausted, day))),
            (500, r#"{"error":{"message":"x-per-day"}}"#, None),
            (429, "{}", Some((Cause::RateLimited, seconds(30)))),
            (429, "<html>", None),
        ];
        for (status, body, expected) in cases {
            assert_eq!(found(status, &none, body), expected, "{status} {body}");
        }
        let stated = Reading { retry_after: seconds(7), ..Reading::default() };
        assert_eq!(
            found(429, &stated, "{}"),
            Some((Cause::RateLimited, seconds(7))),
            "what is stated counts more"
        );
    }

    #[test]
    fn a_limit_of_nothing_is_no_grant() {
        let measure = Measure::REQUESTS_A_MINUTE;
        let reading = |limit| Reading {
            limits: vec![LimitReading {
                measure,
                limit: Some(limit),
                remaining: Some(0),
                reset: None,
                refills: false,
                source: Source::Header,
            }],
            retry_after: None,
        };
        assert_eq!(found(429, &reading(0), "{}"), Some((Cause::NotInPlan, None)));
        assert_eq!(found(429, &reading(30), "{}").map(|it| it.0), Some(Cause::RateLimited));
        assert_eq!(found(500, &reading(0), "{}"), None, "a fault is no refusal");
    }
}
