//! Google Gemini through its native API: `streamGenerateContent?alt=sse`.
//!
//! Not Google's OpenAI-compatible endpoint, which refuses ordinary fields and hides why a prompt was blocked.
//!
//! Sources, checked 2026-11: the types of google-genai 3.4.0; <https://ai.google.dev/api/generate-content>,
//! <https://ai.google.dev/gemini-api/docs/rate-limits>. Fixtures: `tests/fixtures/gemini/`.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error_body::ErrorBody;
use super::{Decoded, Dialect, Profile, WireRequest, classify, lenient, waits};
use crate::chat::{ChatRequest, Event, FinishReason, Role, Usage};
use crate::failure::{Diagnosis, Reason, Scope, Wait};
use crate::json;

/// Gemini's row of data.
pub static PROFILE: Profile = Profile {
    name: "Gemini",
    key_variables: &["GOOGLE_API_KEY", "GEMINI_API_KEY"],
    models_variable: "GEMINI_MODEL",
    base_url_variable: "GOOGLE_GEMINI_BASE_URL",
    base_url: "https://generativelanguage.googleapis.com",
    path_prefix: "/v1beta",
    // Free requests a day, read July to September 2026: flash-lite 500, flash 20, gemma 14,400.
    models: &["gemini-3.5-flash-lite", "gemini-3.1-flash-lite", "gemini-3.8-flash", "gemma-4-31b-it"],
    key_header: (HeaderName::from_static("x-goog-api-key"), ""),
    dialect: Dialect::Gemini,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "GenerationConfig::is_default")]
    generation_config: GenerationConfig,
}

#[derive(Serialize)]
struct Content<'a> {
    // Absent in a system instruction, which has no speaker.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<TextPart<'a>>,
}

#[derive(Serialize)]
struct TextPart<'a> {
    text: &'a str,
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    // The newest models ignore it or fail over it, so it goes out only when the client sent one.
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
}

impl GenerationConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A whole answer and an event of a stream have the same form; every field may be missing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<PromptFeedback>,
    #[serde(borrow)]
    usage_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<CandidateContent>,
    #[serde(default, deserialize_with = "lenient::text")]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct CandidateContent {
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default, deserialize_with = "lenient::text")]
    text: Option<String>,
    #[serde(default, deserialize_with = "lenient::flag")]
    thought: bool,
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
    total_token_count: Option<u64>,
}

/// `request` in Google's form.
///
/// System messages become the system instruction, neighbours of one role are merged into one turn, `assistant`
/// is called `model`. A conversation of system messages only becomes one user turn, since there must be one.
/// Gemma models refuse a system instruction, so theirs opens the first user turn.
pub(super) fn encode(request: &ChatRequest, model: &str) -> WireRequest {
    let mut system = Vec::new();
    let mut contents: Vec<Content<'_>> = Vec::new();
    for message in request.messages() {
        let part = TextPart { text: &message.content };
        let role = match message.role {
            Role::System => {
                system.push(part);
                continue;
            }
            Role::User => "user",
            Role::Assistant => "model",
        };
        match contents.last_mut() {
            Some(last) if last.role == Some(role) => last.parts.push(part),
            _ => contents.push(Content { role: Some(role), parts: vec![part] }),
        }
    }
    if !system.is_empty() && (contents.is_empty() || model.starts_with("gemma")) {
        fold_into_first_user_turn(&mut contents, std::mem::take(&mut system));
    }
    let body = Request {
        system_instruction: (!system.is_empty()).then_some(Content { role: None, parts: system }),
        contents,
        generation_config: GenerationConfig {
            max_output_tokens: request.max_tokens,
            temperature: request.temperature,
        },
    };
    WireRequest {
        path: format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        body: json::to_vec(&body),
    }
}

fn fold_into_first_user_turn<'a>(contents: &mut Vec<Content<'a>>, mut parts: Vec<TextPart<'a>>) {
    match contents.first_mut() {
        Some(first) if first.role == Some("user") => {
            parts.append(&mut first.parts);
            first.parts = parts;
        }
        _ => contents.insert(0, Content { role: Some("user"), parts }),
    }
}

/// Reads one event or a whole answer; see [`Provider::decode`](super::Provider::decode).
///
/// Without `alt=sse` Google sends one array of such events, which is read as well.
pub(super) fn decode(name: &str, data: &[u8], events: &mut Vec<Event>) -> Result<Decoded, Diagnosis> {
    if name == "error" {
        return Err(diagnose_in_stream(data));
    }
    if data.trim_ascii_start().starts_with(b"[") {
        return decode_array(data, events);
    }
    let repaired;
    let response: Response<'_> = match serde_json::from_slice(data) {
        Ok(response) => response,
        Err(_) => {
            repaired = super::repair(data);
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
            let Some(text) = part.text.filter(|text| !text.is_empty()) else {
                continue;
            };
            events.push(if part.thought { Event::Reasoning(text) } else { Event::Text(text) });
        }
        if let Some(reason) = candidate.finish_reason {
            events.extend(finish_reason(&reason)?.map(Event::Finish));
        }
    }
    if is_blocked {
        events.push(Event::Finish(FinishReason::ContentFilter));
    }
    events.extend(response.usage_metadata.and_then(usage).map(Event::Usage));
    Ok(Decoded::Understood)
}

fn diagnose_in_stream(data: &[u8]) -> Diagnosis {
    let error = ErrorBody::parse(data);
    diagnose(error.status_in_stream(), &HeaderMap::new(), &error)
}

fn decode_array(data: &[u8], events: &mut Vec<Event>) -> Result<Decoded, Diagnosis> {
    let Ok(items) = serde_json::from_slice::<Vec<&RawValue>>(data) else {
        return Ok(Decoded::Unreadable);
    };
    for item in items {
        // An array inside the array is nothing Google sends, and not followed.
        if !item.get().starts_with('[') {
            decode("", item.get().as_bytes(), events)?;
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
    Some(Usage { prompt_tokens, completion_tokens, total_tokens })
}

/// What an error answer means; see [`Provider::diagnose`](super::Provider::diagnose).
pub(super) fn diagnose(status: u16, headers: &HeaderMap, error: &ErrorBody) -> Diagnosis {
    let violations = quota_violations(error);
    let is_daily = violations.iter().any(|violation| violation.contains("PerDay"));
    let mut diagnosis = classify::diagnose(status, headers, error, is_daily);
    if let Some(wait) = retry_delay(error) {
        diagnosis.wait = Some(wait);
    }
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
        429 if is_daily => diagnosis.wait = Some(Wait::PacificMidnight),
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

/// The ids of the quotas that a 429 says are used up, such as `GenerateRequestsPerDayPerProjectPerModel-FreeTier`.
fn quota_violations(error: &ErrorBody) -> Vec<&str> {
    let violations = error.details.iter().filter_map(|detail| detail.get("violations")?.as_array()).flatten();
    violations.filter_map(|violation| violation.get("quotaId")?.as_str()).collect()
}

/// `RetryInfo.retryDelay`: seconds with an `s`.
fn retry_delay(error: &ErrorBody) -> Option<Wait> {
    let delay = error.details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    waits::duration(delay).map(Wait::For)
}
