//! OpenAI's chat completions as Groq and Cerebras speak them; what differs between them is data ([`Quirks`]).
//!
//! Sources, checked 2026-11: the request and response types of the SDKs groq 1.7.0 and cerebras-cloud-sdk 1.91.0;
//! recorded streams of both in vercel/ai's fixtures (February and May 2026).
//! Fixtures: `tests/fixtures/groq/`, `tests/fixtures/cerebras/`.

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error_body::ErrorBody;
use super::{Decoded, WireRequest, classify, lenient, waits};
use crate::chat::{ChatRequest, Event, FinishReason, Usage};
use crate::failure::{Diagnosis, Reason, Scope};
use crate::json;

/// What differs between providers that speak this dialect.
#[derive(Debug)]
pub struct Quirks {
    /// Where completions are asked for.
    pub chat_path: &'static str,
    /// The allowances that the answers' headers tell about.
    pub allowances: &'static [Allowance],
    /// What stands in the sentence of a 429 when the limit is one of a day.
    pub day_markers: &'static [&'static str],
}

/// A pair of headers about one allowance.
#[derive(Debug)]
pub struct Allowance {
    /// The header with what is left of it.
    pub remaining: &'static str,
    /// The header with the time until it is whole again.
    pub reset: &'static str,
    /// What using it up amounts to.
    pub reason: Reason,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    // Both call it so; the older `max_tokens` is deprecated at both.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    // No `stream_options`: usage comes without it, and Groq once refused it.
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

/// A chunk of a stream; also a whole answer, which has `message` where a chunk has `delta`.
#[derive(Deserialize)]
struct Chunk<'a> {
    choices: Option<Vec<Choice>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    /// Stands at the top level of a flat error, and nowhere else.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    message: Option<Delta>,
    #[serde(default, deserialize_with = "lenient::text")]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default, deserialize_with = "lenient::text")]
    content: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    reasoning: Option<String>,
}

/// Groq's own part, in the first chunk and the last.
#[derive(Default, Deserialize)]
struct XGroq<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: Option<u64>,
}

/// `request` as JSON, with nothing in it that one of them would refuse: unknown fields are a 400 at both.
pub(super) fn encode(quirks: &Quirks, request: &ChatRequest, model: &str) -> WireRequest {
    let body = Request {
        model,
        messages: request
            .messages()
            .iter()
            .map(|message| Message { role: message.role.as_str(), content: &message.content })
            .collect(),
        stream: true,
        max_completion_tokens: request.max_tokens,
        temperature: request.temperature,
    };
    WireRequest { path: quirks.chat_path.to_owned(), body: json::to_vec(&body) }
}

/// Reads one event; see [`Provider::decode`](super::Provider::decode).
pub(super) fn decode(
    quirks: &Quirks,
    name: &str,
    data: &[u8],
    events: &mut Vec<Event>,
) -> Result<Decoded, Diagnosis> {
    if name == "error" {
        return Err(diagnose_in_stream(quirks, data));
    }
    if data.trim_ascii() == b"[DONE]" {
        return Ok(Decoded::Done);
    }
    let repaired;
    let chunk: Chunk<'_> = match serde_json::from_slice(data) {
        Ok(chunk) => chunk,
        Err(_) => {
            repaired = super::repair(data);
            let Ok(chunk) = serde_json::from_slice(&repaired) else {
                return Ok(Decoded::Unreadable);
            };
            chunk
        }
    };
    let is_flat_error = chunk.choices.is_none() && chunk.message.is_some();
    let x_groq: XGroq<'_> =
        chunk.x_groq.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    if is_flat_error || chunk.error.is_some_and(|error| error.get() != "null") {
        return Err(diagnose_in_stream(quirks, data));
    }
    if let Some(error) = x_groq.error.filter(|error| error.get() != "null") {
        let wrapped = format!("{{\"error\":{}}}", error.get());
        return Err(diagnose_in_stream(quirks, wrapped.as_bytes()));
    }
    // Only one choice is ever asked for.
    if let Some(choice) = chunk.choices.unwrap_or_default().into_iter().next() {
        if let Some(delta) = choice.delta.or(choice.message) {
            events.extend(delta.reasoning.filter(|text| !text.is_empty()).map(Event::Reasoning));
            events.extend(delta.content.filter(|text| !text.is_empty()).map(Event::Text));
        }
        // Some send an empty one with every chunk.
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            events.push(Event::Finish(finish_reason(&reason)?));
        }
    }
    events.extend(chunk.usage.and_then(usage).or_else(|| x_groq.usage.and_then(usage)).map(Event::Usage));
    Ok(Decoded::Understood)
}

fn finish_reason(word: &str) -> Result<FinishReason, Diagnosis> {
    match word {
        "length" => Ok(FinishReason::Length),
        "content_filter" => Ok(FinishReason::ContentFilter),
        "error" => Err(Diagnosis::provider(Reason::UpstreamError)),
        _ => Ok(FinishReason::Stop),
    }
}

/// The usage, if it is of the known form; an odd one is not worth losing an answer for.
fn usage(raw: &RawValue) -> Option<Usage> {
    let WireUsage { prompt_tokens, completion_tokens, total_tokens } =
        serde_json::from_str(raw.get()).ok()?;
    let total_tokens = total_tokens.unwrap_or_else(|| prompt_tokens.saturating_add(completion_tokens));
    Some(Usage { prompt_tokens, completion_tokens, total_tokens })
}

fn diagnose_in_stream(quirks: &Quirks, data: &[u8]) -> Diagnosis {
    let error = ErrorBody::parse(data);
    diagnose(quirks, error.status_in_stream(), &HeaderMap::new(), &error)
}

/// What an error answer means; see [`Provider::diagnose`](super::Provider::diagnose).
pub(super) fn diagnose(quirks: &Quirks, status: u16, headers: &HeaderMap, error: &ErrorBody) -> Diagnosis {
    let spent = exhausted_allowance(quirks, headers);
    let says_day = quirks.day_markers.iter().any(|marker| error.message.contains(marker));
    let is_daily = says_day || spent.as_ref().is_some_and(|spent| spent.reason == Reason::QuotaExhausted);
    let mut diagnosis = classify::diagnose(status, headers, error, is_daily);
    if diagnosis.reason.is_limit() && diagnosis.wait.is_none() {
        diagnosis.wait = spent.and_then(|spent| spent.wait);
    }
    diagnosis
}

/// The allowance with nothing left of which the headers tell; the one of the longest window if there are several.
pub(super) fn exhausted_allowance(quirks: &Quirks, headers: &HeaderMap) -> Option<Diagnosis> {
    let is_spent = |allowance: &&Allowance| {
        let remaining = headers.get(allowance.remaining).and_then(|value| value.to_str().ok());
        remaining.and_then(|text| text.trim().parse::<f64>().ok()).is_some_and(|left| left <= 0.0)
    };
    let allowance = quirks.allowances.iter().find(is_spent)?;
    let wait = waits::from_reset_header(headers, allowance.reset)?;
    Some(Diagnosis { wait: Some(wait), ..Diagnosis::new(allowance.reason, Scope::KeyModel) })
}
