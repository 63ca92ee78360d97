//! OpenAI's chat completions as Groq and Cerebras speak them; what differs between them is data ([`Quirks`]).
//!
//! Sources, checked 2026-11: the request and response types of the SDKs groq 1.7.0 and cerebras-cloud-sdk 1.91.0;
//! recorded streams of both in vercel/ai's fixtures (February and May 2026).
//! Fixtures: `tests/fixtures/groq/`, `tests/fixtures/cerebras/`.

mod encode;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub(super) use self::encode::encode;
use super::directory::Decoded;
use super::words::limits::{self, AllowanceHeaders};
use super::words::{ErrorBody, classify, lenient, repair::repair};
use crate::middle::{Diagnosis, Reason};
use crate::middle::{FinishReason, Usage};
use crate::middle::{LimitReading, Measure, Reading};
use crate::middle::{Sink, WireCall};

/// What differs between providers that speak this dialect.
#[derive(Debug)]
pub struct Quirks {
    /// Where completions are asked for.
    pub chat_path: &'static str,
    /// Where the list of models is.
    pub models_path: &'static str,
    /// What it calls the limit of an answer's tokens.
    pub max_tokens_name: &'static str,
    /// Which optional fields it takes; any other would be a 400 or without effect.
    pub takes: &'static [Field],
    /// Whether an answer after a schema can be streamed.
    pub streams_schema: bool,
    /// The models, by the beginnings of their ids, that mix their thoughts into the text unless told not to.
    pub parses_reasoning_of: &'static [&'static str],
    /// The allowances that the answers' headers tell about, the one of the longest window first.
    pub allowances: &'static [AllowanceHeaders],
    /// What names the allowance in the sentence of a refusal that tells its figures.
    pub limit_markers: &'static [(&'static str, Measure)],
    /// What stands in the sentence of a 429 when the limit is one of a day.
    pub day_markers: &'static [&'static str],
    /// How it wraps its errors. All forms are read from everybody; the simulator writes this one.
    pub errors: ErrorForm,
}

/// Where the message of an error body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"error":{"message":…}}`.
    Wrapped,
    /// `{"message":…}`.
    Flat,
}

/// A field of the request that not every provider takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `top_p`.
    TopP,
    /// `seed`.
    Seed,
    /// `stop`.
    Stop,
    /// `user`.
    User,
    /// `frequency_penalty`.
    FrequencyPenalty,
    /// `presence_penalty`.
    PresencePenalty,
    /// `parallel_tool_calls`.
    ParallelToolCalls,
    /// `strict` of a tool.
    ToolStrictness,
}

/// A chunk of a stream; also a whole answer, which has `message` where a chunk has `delta`.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
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
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    message: Option<Delta<'a>>,
    #[serde(default, deserialize_with = "lenient::text")]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(default, deserialize_with = "lenient::text")]
    content: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    reasoning: Option<String>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

/// Never split by these two, and read as if it could be.
#[derive(Deserialize)]
struct DeltaCall<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient::text")]
    id: Option<String>,
    #[serde(borrow)]
    function: Option<DeltaFunction<'a>>,
}

#[derive(Deserialize)]
struct DeltaFunction<'a> {
    #[serde(default, deserialize_with = "lenient::text")]
    name: Option<String>,
    /// JSON text in a string; some send the JSON itself.
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
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
struct WireUsage<'a> {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: Option<u64>,
    #[serde(borrow)]
    prompt_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens_details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct UsageDetails {
    cached_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct ModelList {
    data: Vec<Value>,
}

/// Reads a list of models; see [`Provider::parse_models`](super::Provider::parse_models).
pub(super) fn parse_models(body: &[u8]) -> Option<Vec<String>> {
    let list: ModelList = serde_json::from_slice(body).ok()?;
    // Only Groq says it, and not in its SDK's types.
    let is_active = |model: &&Value| model.get("active").and_then(Value::as_bool) != Some(false);
    let ids = list.data.iter().filter(is_active).filter_map(|model| model.get("id")?.as_str());
    Some(ids.map(str::to_owned).collect())
}

/// Reads one event; see [`Provider::decode`](super::Provider::decode).
pub(super) fn decode(
    quirks: &Quirks,
    name: &str,
    data: &[u8],
    sink: &mut Sink<'_>,
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
            repaired = repair(data);
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
            sink.reasoning(delta.reasoning.unwrap_or_default());
            sink.text(delta.content.unwrap_or_default());
            delta.tool_calls.map(calls).unwrap_or_default().into_iter().for_each(|call| sink.call(call));
        }
        // Some send an empty one with every chunk.
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            sink.finish(finish_reason(&reason)?);
        }
    }
    if let Some(usage) = chunk.usage.and_then(usage).or_else(|| x_groq.usage.and_then(usage)) {
        sink.usage(usage);
    }
    Ok(Decoded::Understood)
}

/// The calls of a chunk; what is not of the known form is none.
fn calls(raw: &RawValue) -> Vec<WireCall> {
    let calls: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    calls.into_iter().filter_map(call).collect()
}

fn call(raw: &RawValue) -> Option<WireCall> {
    let DeltaCall { index, id, function } = serde_json::from_str(raw.get()).ok()?;
    let (name, arguments) = function.map(|function| (function.name, function.arguments)).unwrap_or_default();
    let arguments = arguments.map(RawValue::get).filter(|arguments| *arguments != "null").unwrap_or_default();
    let is_text = arguments.starts_with('"');
    let text = is_text.then(|| serde_json::from_str(arguments).ok()).flatten();
    Some(WireCall {
        number: index.and_then(|index| serde_json::from_str(index.get()).ok()),
        id,
        name,
        arguments: text.unwrap_or_else(|| arguments.to_owned()),
        signature: None,
    })
}

fn finish_reason(word: &str) -> Result<FinishReason, Diagnosis> {
    match word {
        "length" => Ok(FinishReason::Length),
        "content_filter" => Ok(FinishReason::ContentFilter),
        "tool_calls" | "function_call" => Ok(FinishReason::ToolCalls),
        "error" => Err(Diagnosis::provider(Reason::UpstreamError)),
        _ => Ok(FinishReason::Stop),
    }
}

/// The usage, if it is of the known form; an odd one is not worth losing an answer for.
fn usage(raw: &RawValue) -> Option<Usage> {
    let wire: WireUsage<'_> = serde_json::from_str(raw.get()).ok()?;
    let WireUsage { prompt_tokens, completion_tokens, total_tokens, .. } = wire;
    let details = |raw: Option<&RawValue>| serde_json::from_str::<UsageDetails>(raw?.get()).ok();
    Some(Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: total_tokens.unwrap_or_else(|| prompt_tokens.saturating_add(completion_tokens)),
        cached_tokens: details(wire.prompt_tokens_details).and_then(|it| it.cached_tokens),
        reasoning_tokens: details(wire.completion_tokens_details).and_then(|it| it.reasoning_tokens),
    })
}

fn diagnose_in_stream(quirks: &Quirks, data: &[u8]) -> Diagnosis {
    let error = ErrorBody::parse(data);
    diagnose(quirks, error.status_in_stream(), &Reading::default(), &error)
}

/// What an error answer means; see [`Provider::read_error`](super::Provider::read_error).
pub(super) fn diagnose(quirks: &Quirks, status: u16, head: &Reading, error: &ErrorBody) -> Diagnosis {
    let spent = head.spent();
    let says_day = quirks.day_markers.iter().any(|marker| error.message.contains(marker));
    let is_daily = says_day || spent.is_some_and(|(reason, _)| reason == Reason::QuotaExhausted);
    let mut diagnosis = classify::diagnose(status, head, error, is_daily);
    if diagnosis.reason.is_limit() && diagnosis.wait.is_none() {
        diagnosis.wait = spent.map(|(_, wait)| wait);
    }
    diagnosis
}

/// What an error answer says of limits; see [`Provider::read_error`](super::Provider::read_error).
pub(super) fn limits_in_error(quirks: &Quirks, error: &ErrorBody) -> Vec<LimitReading> {
    limits::from_sentence(quirks.limit_markers, &error.message).into_iter().collect()
}
