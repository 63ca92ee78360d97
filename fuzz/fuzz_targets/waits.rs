//! Any error answer of any provider is understood as something: status and headers a line each, an empty line, the body.
#![no_main]

use ai_proxy_free::internals::middle::{Cause, Diagnosis, Reason, Redactor, Wait};
use ai_proxy_free::internals::providers::Directory;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;

const KEY: &str = "our-own-secret-key";

fuzz_target!(|input: &[u8]| {
    let empty_line = input.windows(2).position(|two| two == b"\n\n");
    let (head, body) = empty_line.map_or((&b""[..], input), |at| (&input[..at], &input[at + 2..]));
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.parse().ok());
    let headers: HeaderMap = lines.filter_map(header).collect();
    for provider in Directory::built_in() {
        let head = provider.read_head(&headers);
        if let Some(spent) = head.spent() {
            assert!(spent.window.exhausted().is_limit(), "{spent:?}");
        }
        let error = provider.read_error(status.unwrap_or(429), &head, body);
        check(&error.diagnosis);
    }
});

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
}

fn check(diagnosis: &Diagnosis) {
    let now = "2026-11-23T07:00:00Z".parse().expect("a time");
    if let Some(wait) = diagnosis.wait {
        let deadline = wait.deadline(now);
        // A point in time may be over; a span cannot.
        assert!(matches!(wait, Wait::Until(_)) || deadline >= now, "{diagnosis:?}");
    }
    if diagnosis.wait == Some(Wait::PacificMidnight) {
        assert_eq!(diagnosis.cause, Cause::QuotaExhausted);
    }
    if diagnosis.cause.reason() == Reason::ModelGone {
        assert_eq!(diagnosis.wait, None, "{diagnosis:?}");
    }
    let words = diagnosis.message.as_ref().map(|words| words.0.as_str()).unwrap_or_default();
    let clean = Redactor::new([SecretString::from(KEY)]).clean(words).to_string();
    // 300 and the mark of the cut.
    assert!(clean.chars().count() <= 301, "{clean}");
    assert!(!clean.contains(KEY) && !clean.contains("://") && !clean.contains(char::is_control), "{clean}");
}
