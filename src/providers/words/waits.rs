//! How long a provider asks the caller to wait: every form in which providers state it.
//!
//! Sources, checked 2026-11: RFC 9110 §10.2.3 (`Retry-After`: seconds or a date); Groq's
//! `Please try again in 2m59.56s` (Go durations) and reset headers of the same form; Cerebras's reset headers in
//! float seconds; Google's `retryDelay` (`34.4s`); `retry-after-ms` as the OpenAI SDKs read it.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use serde_json::Value;

use crate::middle::Wait;

/// What `Retry-After` or `retry-after-ms` says.
pub(in crate::providers) fn from_retry_headers(headers: &HeaderMap) -> Option<Wait> {
    if let Some(ms) = text(headers, "retry-after-ms").and_then(number) {
        return span(ms / 1_000.0).map(Wait::For);
    }
    let value = text(headers, RETRY_AFTER.as_str())?;
    duration(value).map(Wait::For).or_else(|| date(value).map(Wait::Until))
}

/// What a header such as `x-ratelimit-reset-tokens` says: a span, or a point in time as seconds or milliseconds since 1970
/// (OpenRouter's `X-RateLimit-Reset: 1795824000000`; <https://openrouter.ai/docs/api-reference/limits>, checked 2026-10).
pub(in crate::providers) fn from_reset_header(headers: &HeaderMap, name: &str) -> Option<Wait> {
    let text = text(headers, name)?;
    since_epoch(text).map(Wait::Until).or_else(|| duration(text).map(Wait::For))
}

/// A point in time: ten digits are seconds, thirteen milliseconds. No window lasts for as many seconds.
fn since_epoch(text: &str) -> Option<Timestamp> {
    let number: i64 = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()?;
    match text.len() {
        10 => Timestamp::from_second(number).ok(),
        13 => Timestamp::from_millisecond(number).ok(),
        _ => None,
    }
}

/// Google's `RetryInfo.retryDelay`: seconds with an `s`.
pub(in crate::providers) fn from_details(details: &[Value]) -> Option<Wait> {
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    duration(delay).map(Wait::For)
}

/// The time in a message such as `Please try again in 9m38.016s.`
pub(in crate::providers) fn from_sentence(sentence: &str) -> Option<Wait> {
    const LEADS: [&str; 2] = ["try again in ", "retry in "];
    let lower = sentence.to_ascii_lowercase();
    let rest = LEADS.iter().find_map(|lead| lower.split_once(lead).map(|(_, rest)| rest))?;
    let mut words =
        rest.split_whitespace().map(|word| word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()));
    let word = words.next()?;
    let Some(figure) = number(word) else { return duration(word).map(Wait::For) };
    let unit = words.next().unwrap_or_default();
    let units = [("ms", 1e-3), ("milli", 1e-3), ("min", 60.0), ("hour", 3_600.0), ("day", 86_400.0)];
    let unit_seconds =
        units.iter().find(|(name, _)| unit.starts_with(name)).map_or(1.0, |(_, seconds)| *seconds);
    span(figure * unit_seconds).map(Wait::For)
}

/// A span of time: `12`, `12.5`, `34.4s`, `420ms`, `2m59.56s`, `1h2m3s`, `2d`. A bare number is seconds.
pub(in crate::providers) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Some(seconds) = number(text) {
        return span(seconds);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let (figure, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len()));
        let unit_seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += number(figure)? * unit_seconds;
        rest = tail;
    }
    (!text.is_empty()).then(|| span(total)).flatten()
}

/// A number of digits and at most one point; the many other forms that Rust parses are not times.
fn number(text: &str) -> Option<f64> {
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Seconds as a duration; a longer one than the type can hold becomes its maximum.
fn span(seconds: f64) -> Option<Duration> {
    (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

fn date(text: &str) -> Option<Timestamp> {
    let since_epoch = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Timestamp::from_second(i64::try_from(since_epoch.as_secs()).ok()?).ok()
}

/// The first header with this name, which is in lower case. Heads of answers have a dozen headers, so comparing their names
/// costs less than making a key for the map: reading a head takes 5,000 instructions instead of 7,100 (2026-11).
pub(super) fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h HeaderValue> {
    headers.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| value)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    value(headers, name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    fn ms(ms: u64) -> Option<Wait> {
        Some(Wait::For(Duration::from_millis(ms)))
    }

    #[test]
    fn every_form_of_retry_header_is_understood() {
        let cases = [
            ("retry-after", "2", ms(2_000)),
            ("retry-after", " 2.5 ", ms(2_500)),
            ("retry-after", "0", ms(0)),
            ("retry-after", "7.66s", ms(7_660)),
            ("retry-after", "1h2m3s", ms(3_723_000)),
            ("retry-after", "99999999999999999999", Some(Wait::For(Duration::MAX))),
            (
                "retry-after",
                "Mon, 23 Nov 2026 08:00:00 GMT",
                Some(Wait::Until("2026-11-23T08:00:00Z".parse().unwrap())),
            ),
            ("retry-after-ms", "1500", ms(1_500)),
            ("retry-after-ms", "7200000", ms(7_200_000)),
            ("retry-after", "-1", None),
            ("retry-after", "soon", None),
            ("retry-after", "", None),
            ("retry-after", "nan", None),
            ("retry-after", "inf", None),
            ("retry-after", "1e999", None),
            ("retry-after", "...", None),
            ("retry-after", "5x", None),
        ];
        for (name, value, expected) in cases {
            assert_eq!(from_retry_headers(&headers(name, value)), expected, "{name}: {value}");
        }
        assert_eq!(from_retry_headers(&HeaderMap::new()), None);
    }

    #[test]
    fn a_reset_is_a_span_or_a_point_in_time() {
        let at = |text: &str| Some(Wait::Until(text.parse().unwrap()));
        let cases = [
            ("1795824000000", at("2026-11-28T00:00:00Z")),
            ("1795824000", at("2026-11-28T00:00:00Z")),
            ("86400", ms(86_400_000)),
            ("7.66s", ms(7_660)),
            ("-1795824000", None),
            ("soon", None),
        ];
        for (value, expected) in cases {
            let headers = headers("x-ratelimit-reset", value);
            assert_eq!(from_reset_header(&headers, "x-ratelimit-reset"), expected, "{value}");
        }
        assert_eq!(from_reset_header(&HeaderMap::new(), ""), None, "a row without such a header");
    }

    #[test]
    fn sentences_name_the_time() {
        let cases = [
            ("Please try again in 9m38.016s. Need more tokens?", ms(578_016)),
            ("Please try again in 420ms.", ms(420)),
            ("Please retry in 34.4s.", ms(34_400)),
            ("try again in 12 seconds", ms(12_000)),
            ("Please try again in 2 minutes.", ms(120_000)),
            ("retry in 1 hour, please", ms(3_600_000)),
            ("try again in 1.5 days", ms(129_600_000)),
            ("try again in 250 ms", ms(250)),
            ("Please try again in a moment", None),
            ("Please try again later.", None),
            ("", None),
        ];
        for (sentence, expected) in cases {
            assert_eq!(from_sentence(sentence), expected, "{sentence:?}");
        }
    }

    #[test]
    fn reset_headers_come_with_and_without_units() {
        let reset = |value| {
            from_reset_header(&headers("x-ratelimit-reset-tokens", value), "x-ratelimit-reset-tokens")
        };
        assert_eq!(reset("2m59.56s"), ms(179_560));
        assert_eq!(reset("33011.382867"), Some(Wait::For(Duration::from_secs_f64(33_011.382_867))));
        assert_eq!(reset("never"), None);
    }
}
