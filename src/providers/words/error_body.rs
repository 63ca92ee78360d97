//! The bodies providers send with errors: wrapped, flat, in an array, or not JSON at all.
//!
//! Sources, checked 2026-11: NVIDIA `{status,title,detail}`; Cloudflare `{"errors":[{code,message}]}`; OpenRouter and Kilo
//! `{"error":{code,message,metadata}}` with numbers as codes, and `error_type` beside it; Mistral flat, sometimes with an
//! object as message; Z.ai with digits in a text as code. Groq `{"error":{message,type,code}}`; Cerebras flat `{message,type,param,code}`;
//! Google `{"error":{code,message,status,details}}`, in an array from streaming calls.

use serde_json::Value;

/// The content of an error body; everything is optional.
#[derive(Debug, Default, PartialEq)]
pub(in crate::providers) struct ErrorBody {
    /// A word such as `model_not_found`; empty if there is none or it is a number.
    pub(in crate::providers) code: String,
    /// Every code, word or number, that the body has for what happened, wherever it stands.
    pub(in crate::providers) codes: Vec<String>,
    /// The sentence of the host behind a router.
    pub(in crate::providers) raw: String,
    /// A word such as `tokens` or `invalid_request_error`.
    pub(in crate::providers) kind: String,
    /// Google's word such as `RESOURCE_EXHAUSTED`.
    pub(in crate::providers) status: String,
    /// The message.
    pub(in crate::providers) message: String,
    /// The HTTP status in the body, if it has one.
    pub(in crate::providers) http_status: Option<u16>,
    /// Google's `details`.
    pub(in crate::providers) details: Vec<Value>,
    /// It quotes what the model wrote and the provider could not read.
    pub(in crate::providers) has_failed_generation: bool,
    /// The body is a web page.
    pub(in crate::providers) is_html: bool,
    /// Not an API speaks, but something before it: a web page, a line of text, Cloudflare's JSON.
    pub(in crate::providers) is_foreign: bool,
}

impl ErrorBody {
    /// Reads a whole error body.
    pub(in crate::providers) fn parse(body: &[u8]) -> Self {
        if body.trim_ascii_start().starts_with(b"<") {
            return Self { is_html: true, is_foreign: true, ..Self::default() };
        }
        // A broken character in the sentence must not cost the code next to it.
        let text = String::from_utf8_lossy(body);
        let is_foreign = !text.trim().is_empty();
        let no_json = |_| Self { is_foreign, ..Self::default() };
        serde_json::from_str(&text).map_or_else(no_json, Self::from_value)
    }

    /// Reads an error from `value`, with any wrapping.
    pub(in crate::providers) fn from_value(value: Value) -> Self {
        let mut outer = match value {
            Value::Array(items) => items.into_iter().next().unwrap_or_default(),
            value => value,
        };
        let outer_status = number(&outer, "status_code");
        let is_foreign = outer.get("cloudflare_error").is_some();
        let mut codes = codes(&outer);
        let inner = match outer.get_mut("error").map(Value::take) {
            // Kilo has a sentence beside it.
            Some(Value::String(message)) if sentence(&outer).is_empty() => {
                Value::from_iter([("message", message)])
            }
            Some(error @ Value::Object(_)) => error,
            _ => match outer.pointer_mut("/errors/0").map(Value::take) {
                Some(error @ Value::Object(_)) => error,
                _ => outer,
            },
        };
        codes.extend(self::codes(&inner));
        Self {
            code: string(&inner, "code"),
            kind: string(&inner, "type"),
            status: string(&inner, "status"),
            message: sentence(&inner),
            codes,
            raw: inner.get("metadata").map(|it| string(it, "raw")).unwrap_or_default(),
            http_status: number(&inner, "status_code").or(outer_status).or_else(|| number(&inner, "code")),
            details: inner.get("details").and_then(Value::as_array).cloned().unwrap_or_default(),
            has_failed_generation: inner.get("failed_generation").is_some_and(|it| !it.is_null()),
            is_html: false,
            is_foreign,
        }
    }

    /// The HTTP status that an error inside a stream means; 500 if it names none.
    pub(in crate::providers) fn status_in_stream(&self) -> u16 {
        let by_word = || match (self.status.as_str(), self.kind.as_str()) {
            ("INVALID_ARGUMENT" | "FAILED_PRECONDITION", _) => Some(400),
            ("UNAUTHENTICATED", _) => Some(401),
            ("PERMISSION_DENIED", _) => Some(403),
            ("NOT_FOUND", _) => Some(404),
            ("RESOURCE_EXHAUSTED", _) => Some(429),
            ("UNAVAILABLE", _) => Some(503),
            ("DEADLINE_EXCEEDED", _) => Some(504),
            (_, "invalid_request_error") => Some(400),
            (_, "rate_limit_error" | "too_many_requests_error" | "tokens" | "requests") => Some(429),
            (_, "overloaded_error") => Some(503),
            _ => None,
        };
        self.http_status.filter(|status| (400..600).contains(status)).or_else(by_word).unwrap_or(500)
    }
}

/// What happened, in words: `message`, or else `title` and `detail`. Whatever is no text is told as JSON.
fn sentence(object: &Value) -> String {
    let words = |key: &str| match object.get(key) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let titled = || {
        let parts: Vec<String> = ["title", "detail"].into_iter().filter_map(words).collect();
        parts.join(": ")
    };
    words("message").unwrap_or_else(titled)
}

/// Every code of an object and of what describes it further.
fn codes(object: &Value) -> Vec<String> {
    const NAMES: [&str; 7] =
        ["code", "type", "error_type", "limit_source", "provider_code", "reason", "error_code"];
    let mut codes = Vec::new();
    let within = ["metadata", "availability"].into_iter().filter_map(|name| object.get(name));
    for part in std::iter::once(object).chain(within) {
        codes.extend(NAMES.into_iter().filter_map(|name| word(part.get(name)?)));
    }
    // A prompt that a safety filter has blocked is described by this alone.
    let is_flagged = object.pointer("/metadata/reasons").or(object.pointer("/metadata/flagged_input"));
    codes.extend(is_flagged.map(|_| FLAGGED.to_owned()));
    codes
}

/// The code of a prompt that OpenRouter's moderation has blocked.
pub(in crate::providers) const FLAGGED: &str = "flagged_input";

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn string(object: &Value, key: &str) -> String {
    object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(object: &Value, key: &str) -> Option<u16> {
    let value = object.get(key)?;
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    u16::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrapping_is_read() {
        let cases = [
            ("wrapped", r#"{"error":{"message":"m","type":"t","code":"c"}}"#),
            ("flat", r#"{"message":"m","type":"t","param":"p","code":"c"}"#),
            ("array", r#"[{"error":{"message":"m","type":"t","code":"c"}}]"#),
        ];
        for (case, body) in cases {
            let error = ErrorBody::parse(body.as_bytes());
            assert_eq!(
                (error.message.as_str(), error.kind.as_str(), error.code.as_str()),
                ("m", "t", "c"),
                "{case}"
            );
        }
        assert_eq!(ErrorBody::parse(br#"{"error":"just words"}"#).message, "just words");
        assert_eq!(ErrorBody::parse(b"{\"error\":{\"message\":\"\xff\",\"code\":\"c\"}}").code, "c");
        assert!(ErrorBody::parse(b"\n <!DOCTYPE html><html>").is_html);
        let cases = [
            (
                r#"{"status":403,"title":"Forbidden","detail":"Authorization failed"}"#,
                "Forbidden: Authorization failed",
                "",
            ),
            (r#"{"success":false,"errors":[{"code":5007,"message":"m"}],"result":null}"#, "m", "5007"),
            (r#"{"error":{"code":429,"message":"m","metadata":{"limit_source":"daily"}}}"#, "m", "daily"),
            (r#"{"error":{"code":"1113","message":"m"}}"#, "m", "1113"),
            (r#"{"error":"x","error_type":"t","message":"m"}"#, "m", "t"),
            (r#"{"object":"error","message":{"detail":[1]},"code":1910}"#, r#"{"detail":[1]}"#, "1910"),
            (r#"{"detail":"m"}"#, "m", ""),
            (r#"{"error":{"message":"m","metadata":{"reasons":[]}}}"#, "m", FLAGGED),
        ];
        for (body, message, code) in cases {
            let error = ErrorBody::parse(body.as_bytes());
            assert_eq!(error.message, message, "{body}");
            assert!(code.is_empty() || error.codes.iter().any(|it| it == code), "{body}: {:?}", error.codes);
        }
        for nothing in ["", " \n", "null", "[]", "7", r#"{"error":null}"#, r#"{"error":[]}"#] {
            assert_eq!(ErrorBody::parse(nothing.as_bytes()), ErrorBody::default(), "{nothing:?}");
        }
        let foreign = ErrorBody { is_foreign: true, ..ErrorBody::default() };
        for text in ["{", "\u{0}", "error code: 1010", "Forbidden"] {
            assert_eq!(ErrorBody::parse(text.as_bytes()), foreign, "{text:?}");
        }
        let cloudflare = br#"{"title":"Error 1010: Access denied","status":403,"cloudflare_error":true}"#;
        assert!(ErrorBody::parse(cloudflare).is_foreign);
    }

    #[test]
    fn errors_inside_a_stream_have_a_status() {
        let cases = [
            (r#"{"error":{"code":503,"status":"UNAVAILABLE"}}"#, 503),
            (r#"{"error":{"status":"RESOURCE_EXHAUSTED"}}"#, 429),
            (r#"{"error":{"message":"x","code":"tool_use_failed","status_code":400}}"#, 400),
            (r#"{"error":{"code":"queue_exceeded"},"status_code":429}"#, 429),
            (r#"{"error":{"code":"529"}}"#, 529),
            (r#"{"error":{"type":"invalid_request_error"}}"#, 400),
            (r#"{"error":{"code":200}}"#, 500),
            (r#"{"error":{"code":99999999}}"#, 500),
            (r#"{"error":"x"}"#, 500),
        ];
        for (body, expected) in cases {
            assert_eq!(ErrorBody::parse(body.as_bytes()).status_in_stream(), expected, "{body}");
        }
    }
}
