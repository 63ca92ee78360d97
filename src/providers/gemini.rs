//! Google Gemini through its native API: `streamGenerateContent?alt=sse`.
//!
//! Not Google's OpenAI-compatible endpoint, which refuses ordinary fields and hides why a prompt was blocked.
//!
//! Sources, checked 2026-11: the types of google-genai 3.4.0; <https://ai.google.dev/api/generate-content>,
//! <https://ai.google.dev/gemini-api/docs/rate-limits>. Fixtures: `tests/fixtures/gemini/`.

mod encode;
mod schema;

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub(super) use self::encode::encode;
use super::directory::Decoded;
use super::words::{ErrorBody, classify, lenient, repair::repair, waits};
use crate::middle::{Diagnosis, Reason, Scope, Wait};
use crate::middle::{FinishReason, Usage};
use crate::middle::{LimitReading, Measure, Reading, Source, Unit, Window};
use crate::middle::{Sink, WireCall};

/// A whole answer and an event of a stream have the same form; every field may be missing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    prompt_feedback: Option<PromptFeedback>,
    #[serde(borrow)]
    usage_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow)]
    content: Option<CandidateContent<'a>>,
    #[serde(default, deserialize_with = "lenient::text")]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct CandidateContent<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(default, deserialize_with = "lenient::text")]
    text: Option<String>,
    #[serde(default, deserialize_with = "lenient::flag")]
    thought: bool,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient::text")]
    thought_signature: Option<String>,
}

/// Never split; id and arguments may be missing.
#[derive(Deserialize)]
struct FunctionCall<'a> {
    #[serde(default, deserialize_with = "lenient::text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    name: Option<String>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    #[serde(default, deserialize_with = "lenient::text")]
    block_reason: Option<String>,
}

/// Counts are absent when they are zero.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct UsageMetadata {
    prompt_token_count: u64,
    tool_use_prompt_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
    cached_content_token_count: Option<u64>,
    total_token_count: Option<u64>,
}

/// Where the list of models is: all on one page, since there are less than a hundred.
pub(super) const MODELS_PATH: &str = "/v1beta/models?pageSize=1000";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModelList {
    models: Vec<Value>,
    #[serde(default, deserialize_with = "lenient::text")]
    next_page_token: Option<String>,
}

/// Reads a list of models; see [`Provider::parse_models`](super::Provider::parse_models).
///
/// Part of a list is none: nobody could say what is missing from it.
pub(super) fn parse_models(body: &[u8]) -> Option<Vec<String>> {
    let list: ModelList = serde_json::from_slice(body).ok()?;
    if list.next_page_token.is_some_and(|token| !token.is_empty()) {
        return None;
    }
    let generates = |model: &Value| {
        let methods = model.get("supportedGenerationMethods").and_then(Value::as_array);
        methods.is_some_and(|methods| methods.iter().any(|method| method == "generateContent"))
    };
    let generating = list.models.iter().filter(|model| generates(model));
    let names = generating.filter_map(|model| model.get("name")?.as_str()?.strip_prefix("models/"));
    Some(names.map(str::to_owned).collect())
}

/// Reads one event or a whole answer; see [`Provider::decode`](super::Provider::decode).
///
/// Without `alt=sse` Google sends one array of such events, which is read as well.
pub(super) fn decode(name: &str, data: &[u8], sink: &mut Sink<'_>) -> Result<Decoded, Diagnosis> {
    if name == "error" {
        return Err(diagnose_in_stream(data));
    }
    if data.trim_ascii_start().starts_with(b"[") {
        return decode_array(data, sink);
    }
    let repaired;
    let response: Response<'_> = match serde_json::from_slice(data) {
        Ok(response) => response,
        Err(_) => {
            repaired = repair(data);
            let Ok(response) = serde_json::from_slice(&repaired) else {
                return Ok(Decoded::Unreadable);
            };
            response
        }
    };
    if response.error.is_some_and(|error| error.get() != "null") {
        return Err(diagnose_in_stream(data));
    }
    // Only one candidate is ever asked for.
    let candidate = response.candidates.unwrap_or_default().into_iter().next();
    let is_blocked =
        candidate.is_none() && response.prompt_feedback.is_some_and(|it| it.block_reason.is_some());
    if let Some(candidate) = candidate {
        let parts = candidate.content.and_then(|content| content.parts).unwrap_or_default();
        for part in parts {
            take_part(part, sink);
        }
        let reason = candidate.finish_reason.as_deref().map(finish_reason).transpose()?.flatten();
        if let Some(reason) = reason {
            sink.finish(reason);
        }
    }
    if is_blocked {
        sink.finish(FinishReason::ContentFilter);
    }
    if let Some(usage) = response.usage_metadata.and_then(usage) {
        sink.usage(usage);
    }
    Ok(Decoded::Understood)
}

fn take_part(part: Part<'_>, sink: &mut Sink<'_>) {
    let text = part.text.unwrap_or_default();
    if part.thought {
        sink.reasoning(text);
    } else {
        sink.text(text);
    }
    let call = part.function_call.and_then(|raw| serde_json::from_str::<FunctionCall<'_>>(raw.get()).ok());
    if let Some(FunctionCall { id, name, args }) = call {
        let arguments = args.filter(|args| args.get() != "null").map_or("{}", RawValue::get).to_owned();
        sink.call(WireCall { number: None, id, name, arguments, signature: part.thought_signature });
    }
}

fn diagnose_in_stream(data: &[u8]) -> Diagnosis {
    let error = ErrorBody::parse(data);
    diagnose(error.status_in_stream(), &Reading::default(), &error)
}

fn decode_array(data: &[u8], sink: &mut Sink<'_>) -> Result<Decoded, Diagnosis> {
    let text = String::from_utf8_lossy(data);
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(&text) else {
        return Ok(Decoded::Unreadable);
    };
    for item in items {
        // An array inside the array is nothing Google sends, and not followed.
        if !item.get().starts_with('[') {
            decode("", item.get().as_bytes(), sink)?;
        }
    }
    Ok(Decoded::Understood)
}

/// `None` for the word that means «not finished».
fn finish_reason(word: &str) -> Result<Option<FinishReason>, Diagnosis> {
    match word {
        "" | "FINISH_REASON_UNSPECIFIED" => Ok(None),
        "MAX_TOKENS" | "CONTINUATION" => Ok(Some(FinishReason::Length)),
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR" => Ok(Some(FinishReason::ContentFilter)),
        // The model wrote something its own provider cannot read: another try may do better.
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MALFORMED_RESPONSE"
        | "MISSING_THOUGHT_SIGNATURE" => Err(Diagnosis::new(Reason::UpstreamError, Scope::Request)),
        _ => Ok(Some(FinishReason::Stop)),
    }
}

/// The usage, if it is of the known form; an odd one is not worth losing an answer for.
fn usage(raw: &RawValue) -> Option<Usage> {
    let usage: UsageMetadata = serde_json::from_str(raw.get()).ok()?;
    let prompt_tokens = usage.prompt_token_count.saturating_add(usage.tool_use_prompt_token_count);
    let completion_tokens = usage.candidates_token_count.saturating_add(usage.thoughts_token_count);
    let total_tokens =
        usage.total_token_count.unwrap_or_else(|| prompt_tokens.saturating_add(completion_tokens));
    Some(Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens,
        cached_tokens: usage.cached_content_token_count,
        reasoning_tokens: Some(usage.thoughts_token_count),
    })
}

/// What an error answer means; see [`Provider::read_error`](super::Provider::read_error).
pub(super) fn diagnose(status: u16, head: &Reading, error: &ErrorBody) -> Diagnosis {
    let is_daily = quota_violations(error).any(|violation| violation.is_daily());
    let mut diagnosis = classify::diagnose(status, head, error, is_daily);
    match status {
        400 if says_key_is_bad(error) => {
            (diagnosis.reason, diagnosis.scope) = (Reason::BadKey, Scope::Key);
        }
        // «User location is not supported»: no request will do better.
        400 if error.status == "FAILED_PRECONDITION" => {
            (diagnosis.reason, diagnosis.scope) = (Reason::UpstreamError, Scope::Provider);
        }
        // No free quota for this model in this project: not now, not tomorrow.
        429 if says_limit_is_zero(&error.message) => {
            (diagnosis.reason, diagnosis.scope) = (Reason::NoCredit, Scope::KeyModel);
            diagnosis.wait = Some(Wait::For(Duration::from_secs(24 * 3_600)));
        }
        // The delay stated with it is short even when the day's quota is gone.
        _ if diagnosis.reason == Reason::QuotaExhausted => diagnosis.wait = Some(Wait::PacificMidnight),
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

/// Whether the sentence has a «limit: 0» in it, and not «limit: 0.5» or «limit: 05».
fn says_limit_is_zero(message: &str) -> bool {
    let mut limits = message.split("limit: ").skip(1);
    limits.any(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        rest.get(..end).is_some_and(|number| number.trim_end_matches('.') == "0")
    })
}

/// A quota that a 429 says is used up.
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

/// What an error answer says of limits; see [`Provider::read_error`](super::Provider::read_error).
pub(super) fn limits_in_error(error: &ErrorBody) -> Vec<LimitReading> {
    let told = quota_violations(error).filter_map(|violation| {
        let measure = violation.measure()?;
        Some(LimitReading {
            measure,
            limit: violation.limit,
            // Of requests the next one was too many, of tokens a smaller number may still do.
            remaining: (measure.unit == Unit::Requests).then_some(0),
            reset: if violation.is_daily() {
                Some(Wait::PacificMidnight)
            } else {
                waits::from_details(&error.details)
            },
            source: Source::ErrorBody,
        })
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &[u8]) -> Vec<LimitReading> {
        limits_in_error(&ErrorBody::parse(body))
    }

    #[test]
    fn violations_tell_of_the_quota_that_they_name() {
        let told_of = |measure, limit, remaining, reset| {
            vec![LimitReading { measure, limit, remaining, reset, source: Source::ErrorBody }]
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
