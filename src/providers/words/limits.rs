//! What providers report about their limits: in response headers and in refusal messages.
//!
//! Sources, checked 2026-11: <https://console.groq.com/docs/rate-limits> (headers and 429s),
//! <https://inference-docs.cerebras.ai/support/rate-limits> (headers). Google's form is in its dialect's file.

use http::HeaderMap;

use super::waits;
use crate::middle::{LimitReading, Measure, Source};

/// The headers about one limit.
#[derive(Debug)]
pub struct LimitHeaders {
    /// Which limit.
    pub measure: Measure,
    /// The header with the limit.
    pub limit: &'static str,
    /// The header with what is left.
    pub remaining: &'static str,
    /// The header with the time until the whole quota is available again; empty if there is none.
    pub reset: &'static str,
    /// Whether it comes back little by little until then, and not all at once.
    pub refills: bool,
}

/// What headers say about these limits.
pub(in crate::providers) fn from_headers(limits: &[LimitHeaders], headers: &HeaderMap) -> Vec<LimitReading> {
    let readings = limits.iter().filter_map(|names| {
        let limit = figure(headers, names.limit);
        let remaining = figure(headers, names.remaining);
        let is_told = limit.is_some() || remaining.is_some();
        is_told.then(|| LimitReading {
            measure: names.measure,
            limit,
            remaining,
            reset: waits::from_reset_header(headers, names.reset),
            refills: names.refills,
            source: Source::Header,
        })
    });
    readings.collect()
}

/// What a message such as `… on tokens per day (TPD): Limit 200000, Used 197050, Requested 3619. Please try again in
/// 9m38.016s.` reports about the limit that its marker names; without figures, which limit it was.
pub(in crate::providers) fn from_sentence(
    markers: &[(&str, Measure)],
    sentence: &str,
) -> Option<LimitReading> {
    let found = markers.iter().find_map(|(marker, measure)| Some((sentence.split_once(marker)?.1, *measure)));
    let (rest, measure) = found?;
    let limit = number_after(rest, "Limit ");
    Some(LimitReading {
        measure,
        limit,
        remaining: limit.zip(number_after(rest, "Used ")).map(|(limit, used)| limit.saturating_sub(used)),
        reset: waits::from_sentence(rest),
        refills: false,
        source: Source::ErrorBody,
    })
}

/// A count in a header. A fraction is rounded up, so that 0 means that nothing is left.
fn figure(headers: &HeaderMap, name: &str) -> Option<u64> {
    let number: f64 = waits::value(headers, name)?.to_str().ok()?.trim().parse().ok()?;
    // The cast saturates.
    number.is_finite().then_some(number.ceil() as u64)
}

fn number_after(sentence: &str, lead: &str) -> Option<u64> {
    let (_, rest) = sentence.split_once(lead)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::middle::Wait;
    use crate::providers::{Dialect, Provider};

    fn seconds(seconds: f64) -> Option<Wait> {
        Some(Wait::For(Duration::from_secs_f64(seconds)))
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::try_from(*value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    fn told(
        measure: Measure,
        limit: Option<u64>,
        remaining: Option<u64>,
        reset: Option<Wait>,
        refills: bool,
    ) -> LimitReading {
        LimitReading { measure, limit, remaining, reset, refills, source: Source::Header }
    }

    /// The examples of both providers' pages on rate limits, read in November 2026.
    #[test]
    fn headers_tell_of_the_day_and_of_the_minute() {
        let groq = headers(&[
            ("x-ratelimit-limit-requests", "14400"),
            ("x-ratelimit-limit-tokens", "18000"),
            ("x-ratelimit-remaining-requests", "14370"),
            ("x-ratelimit-remaining-tokens", "17997"),
            ("x-ratelimit-reset-requests", "2m59.56s"),
            ("x-ratelimit-reset-tokens", "7.66s"),
        ]);
        assert_eq!(
            Provider::GROQ.read_head(&groq).limits,
            [
                told(Measure::REQUESTS_A_DAY, Some(14_400), Some(14_370), seconds(179.56), true),
                told(Measure::TOKENS_A_MINUTE, Some(18_000), Some(17_997), seconds(7.66), true),
            ]
        );
        let cerebras = headers(&[
            ("x-ratelimit-limit-requests-day", "1000000000"),
            ("x-ratelimit-limit-tokens-minute", "1000000000"),
            ("x-ratelimit-remaining-requests-day", "999997455"),
            ("x-ratelimit-remaining-tokens-minute", "999998298"),
            ("x-ratelimit-reset-requests-day", "33011.382867"),
            ("x-ratelimit-reset-tokens-minute", "11.382867"),
        ]);
        let limit = Some(1_000_000_000);
        assert_eq!(
            Provider::CEREBRAS.read_head(&cerebras).limits,
            [
                told(Measure::REQUESTS_A_DAY, limit, Some(999_997_455), seconds(33_011.382_867), false),
                told(Measure::TOKENS_A_MINUTE, limit, Some(999_998_298), seconds(11.382_867), false),
            ]
        );
        assert_eq!(Provider::GROQ.read_head(&cerebras).limits, [], "other names, other meanings");
        assert_eq!(Provider::GEMINI.read_head(&groq).limits, [], "it sends no such headers");
    }

    #[test]
    fn odd_headers_tell_what_can_be_read_in_them() {
        let cases: [(&[(&str, &str)], _); 9] = [
            (&[], None),
            (&[("x-ratelimit-limit-requests", "1000")], Some((Some(1_000), None, None))),
            (&[("x-ratelimit-remaining-requests", "0")], Some((None, Some(0), None))),
            (&[("x-ratelimit-remaining-requests", " 0.4 ")], Some((None, Some(1), None))),
            (&[("x-ratelimit-remaining-requests", "-3")], Some((None, Some(0), None))),
            (&[("x-ratelimit-remaining-requests", "1e30")], Some((None, Some(u64::MAX), None))),
            (&[("x-ratelimit-remaining-requests", "many")], None),
            (&[("x-ratelimit-remaining-requests", "nan"), ("x-ratelimit-limit-requests", "inf")], None),
            (&[("x-ratelimit-reset-requests", "12s")], None),
        ];
        for (lines, expected) in cases {
            let told: Vec<_> = Provider::GROQ
                .read_head(&headers(lines))
                .limits
                .iter()
                .map(|it| (it.limit, it.remaining, it.reset))
                .collect();
            assert_eq!(told, Vec::from_iter(expected), "{lines:?}");
        }
    }

    #[test]
    fn groqs_sentences_tell_of_the_limit_that_they_name() {
        let Dialect::OpenAi(quirks) = &Provider::GROQ.profile().dialect else { unreachable!() };
        let day = Measure::REQUESTS_A_DAY;
        let cases = [
            (
                "on requests per day (RPD): Limit 1000, Used 990, Requested 20. Please try again in 14m24s.",
                Some((day, Some(1_000), Some(10), seconds(864.0))),
            ),
            (
                "on tokens per day (TPD): Limit 200000, Used 197050, Requested 3619. Please try again in 9m38.016s.",
                Some((Measure::TOKENS_A_DAY, Some(200_000), Some(2_950), seconds(578.016))),
            ),
            (
                "on tokens per minute (TPM): Limit 8000, Used 7905, Requested 1200. Please try again in 7.66s.",
                Some((Measure::TOKENS_A_MINUTE, Some(8_000), Some(95), seconds(7.66))),
            ),
            (
                "on requests per minute (RPM): Limit 30, Used 31, Requested 1. Please try again in 2s.",
                Some((Measure::REQUESTS_A_MINUTE, Some(30), Some(0), seconds(2.0))),
            ),
            (
                "on tokens per minute (TPM): Limit 8000, Requested 32979, please reduce your message size",
                Some((Measure::TOKENS_A_MINUTE, Some(8_000), None, None)),
            ),
            ("on input tokens per minute (ITPM): Limit 8000, Used 1, Requested 1.", None),
            ("(RPD): Limit none, Used 1", Some((day, None, None, None))),
            ("(RPD): Limit 99999999999999999999999, Used 1", Some((day, None, None, None))),
            ("Limit 1000, Used 990 (RPD)", Some((day, None, None, None))),
            ("Rate limit reached", None),
            ("", None),
        ];
        for (sentence, expected) in cases {
            let told = from_sentence(quirks.limit_markers, sentence);
            assert!(told.is_none_or(|told| told.source == Source::ErrorBody));
            let told = told.map(|it| (it.measure, it.limit, it.remaining, it.reset));
            assert_eq!(told, expected, "{sentence}");
        }
    }
}
