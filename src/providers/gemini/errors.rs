//! Errors in Google's form, and what they say about limits.

use crate::middle::{Cause, Diagnosis, LimitReading, Measure, Reading, Source, Unit, Wait, Window};
use crate::providers::words::{ErrorBody, classify, waits};

pub(super) fn diagnose_in_stream(data: &[u8]) -> Diagnosis {
    let error = ErrorBody::parse(data);
    diagnose(error.status_in_stream(), &Reading::default(), &error)
}

/// What an error answer means; see [`Provider::read_error`](crate::providers::Provider::read_error).
pub(in crate::providers) fn diagnose(status: u16, head: &Reading, error: &ErrorBody) -> Diagnosis {
    let is_daily = quota_violations(error).any(|violation| violation.is_daily());
    let mut diagnosis = classify::diagnose(status, head, error, is_daily);
    match status {
        400 if says_key_is_bad(error) => diagnosis.cause = Cause::KeyRefused,
        // "User location is not supported": no other request will succeed.
        400 if error.status == "FAILED_PRECONDITION" && diagnosis.cause == Cause::RequestRefused => {
            diagnosis.cause = Cause::Intercepted;
        }
        // No free quota for this model in this project, today or tomorrow.
        429 if says_limit_is_zero(&error.message) => diagnosis.cause = Cause::NotInPlan,
        // The stated delay is often short even when the daily quota is gone: it is tried once.
        _ if diagnosis.cause == Cause::QuotaExhausted => {
            diagnosis.then = Some(Wait::PacificMidnight);
            diagnosis.wait = diagnosis.wait.or(diagnosis.then);
        }
        _ => {}
    }
    diagnosis
}

fn says_key_is_bad(error: &ErrorBody) -> bool {
    let has_reason =
        error.details.iter().any(|detail| detail.get("reason").is_some_and(|it| it == "API_KEY_INVALID"));
    has_reason
        || error.message.starts_with("API key not valid")
        || error.message.starts_with("API key expired")
}

/// Whether the message contains "limit: 0", and not "limit: 0.5" or "limit: 05".
fn says_limit_is_zero(message: &str) -> bool {
    let mut limits = message.split("limit: ").skip(1);
    limits.any(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        rest.get(..end).is_some_and(|number| number.trim_end_matches('.') == "0")
    })
}

/// A quota that a 429 reports as used up.
struct Violation<'e> {
    /// Such as `GenerateRequestsPerDayPerProjectPerModel-FreeTier`.
    quota_id: &'e str,
    limit: Option<u64>,
}

fn quota_violations(error: &ErrorBody) -> impl Iterator<Item = Violation<'_>> {
    let violations = error.details.iter().filter_map(|detail| detail.get("violations")?.as_array()).flatten();
    violations.filter_map(|violation| {
        let quota_id = violation.get("quotaId")?.as_str()?;
        // In the JSON form of Google's protocols, numbers of 64 bits are strings.
        let limit =
            violation.get("quotaValue").and_then(|it| it.as_u64().or_else(|| it.as_str()?.parse().ok()));
        Some(Violation { quota_id, limit })
    })
}

impl Violation<'_> {
    fn is_daily(&self) -> bool {
        self.quota_id.contains("PerDay")
    }

    fn measure(&self) -> Option<Measure> {
        let unit = match self.quota_id {
            id if id.contains("Token") => Unit::Tokens,
            id if id.contains("Requests") => Unit::Requests,
            _ => return None,
        };
        let window = match self.quota_id {
            _ if self.is_daily() => Window::Day,
            id if id.contains("PerMinute") => Window::Minute,
            _ => return None,
        };
        Some(Measure { unit, window })
    }
}

/// What an error answer says about limits; see [`Provider::read_error`](crate::providers::Provider::read_error).
pub(in crate::providers) fn limits_in_error(error: &ErrorBody) -> Vec<LimitReading> {
    let told = quota_violations(error).filter_map(|violation| {
        let measure = violation.measure()?;
        Some(LimitReading {
            measure,
            limit: violation.limit,
            // A used-up limit of requests has no room for another one; a limit of tokens may have room for a smaller
            // request.
            remaining: (measure.unit == Unit::Requests).then_some(0),
            reset: if violation.is_daily() {
                Some(Wait::PacificMidnight)
            } else {
                waits::from_details(&error.details)
            },
            refills: false,
            source: Source::ErrorBody,
        })
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(body: &[u8]) -> Vec<LimitReading> {
        limits_in_error(&ErrorBody::parse(body))
    }

    #[test]
    fn violations_tell_of_the_quota_that_they_name() {
        let told_of = |measure, limit, remaining, reset| {
            vec![LimitReading { measure, limit, remaining, reset, refills: false, source: Source::ErrorBody }]
        };
        let delay = Some(Wait::For(Duration::from_millis(34_400)));
        let midnight = Some(Wait::PacificMidnight);
        let (minute, day) = (Measure::REQUESTS_A_MINUTE, Measure::REQUESTS_A_DAY);
        let cases = [
            (
                "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                r#""20""#,
                told_of(day, Some(20), Some(0), midnight),
            ),
            (
                "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
                r#""5""#,
                told_of(minute, Some(5), Some(0), delay),
            ),
            (
                "GenerateContentInputTokensPerModelPerMinute-FreeTier",
                r#""250000""#,
                told_of(Measure::TOKENS_A_MINUTE, Some(250_000), None, delay),
            ),
            (
                "GenerateContentInputTokensPerModelPerDay-FreeTier",
                "1000000",
                told_of(Measure::TOKENS_A_DAY, Some(1_000_000), None, midnight),
            ),
            ("GenerateRequestsPerDay", "null", told_of(day, None, Some(0), midnight)),
            ("GenerateRequestsPerDay", "-1", told_of(day, None, Some(0), midnight)),
            ("GenerateRequestsPerWeek", "7", vec![]),
            ("ImagesPerDay", "7", vec![]),
        ];
        for (quota_id, value, expected) in cases {
            let body = format!(
                r#"{{"error":{{"code":429,"details":[
                    {{"violations":[{{"quotaId":"{quota_id}","quotaValue":{value}}},{{"quotaId":7}},null]}},
                    {{"retryDelay":"34.4s"}}]}}}}"#
            );
            assert_eq!(told(body.as_bytes()), expected, "{quota_id}: {value}");
        }
        assert_eq!(told(br#"{"error":{"code":429,"details":"x"}}"#), []);
    }
}
