//! Answers in OpenAI's dialect: chunks of a stream, whole answers, lists of models, errors.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::quirks::Quirks;
use super::{parts, unwanted};
use crate::middle::{Cause, Diagnosis, FinishReason, LimitReading, Reading, Sink, Usage, Window, WireCall};
use crate::providers::wire::Decoded;
use crate::providers::words::lenient::First;
use crate::providers::words::{ErrorBody, classify, lenient, limits, repair, rules};

/// A chunk of a stream; also a whole answer, which has `message` where a chunk has `delta`.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Option<First<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    /// Only a flat error has this field at the top level.
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
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    content: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    reasoning: Option<Cow<'a, str>>,
    /// The same under the name that most other providers use.
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

/// Groq and Cerebras never split a call into pieces; others do, so it is read as if split.
#[derive(Deserialize)]
struct DeltaCall<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: Option<DeltaFunction<'a>>,
}

#[derive(Deserialize)]
struct DeltaFunction<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    name: Option<Cow<'a, str>>,
    /// JSON text in a string; some providers send the JSON itself.
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

/// Reads a list of models; see [`Provider::parse_models`](crate::providers::Provider::parse_models).
pub(in crate::providers) fn parse_models(body: &[u8]) -> Option<Vec<String>> {
    let list: ModelList = serde_json::from_slice(body).ok()?;
    // Only Groq sends this field, and its SDK's types lack it.
    let is_active = |model: &&Value| model.get("active").and_then(Value::as_bool) != Some(false);
    let ids = list.data.iter().filter(is_active).filter_map(|model| model.get("id")?.as_str());
    Some(ids.map(str::to_owned).collect())
}

/// Reads one event; see [`Provider::decode`](crate::providers::Provider::decode).
pub(in crate::providers) fn decode(
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
    let mut repaired = Vec::new();
    let Some(chunk) = repair::parse::<Chunk<'_>>(data, &mut repaired) else {
        return Ok(Decoded::Unreadable);
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
    if let Some(First(Some(choice))) = chunk.choices {
        if let Some(delta) = choice.delta.or(choice.message) {
            sink.reasoning(delta.reasoning.or(delta.reasoning_content).unwrap_or_default());
            match delta.content {
                None if quirks.answers_in_parts => parts::read(data, sink),
                content => sink.text(content.unwrap_or_default()),
            }
            delta.tool_calls.map(calls).unwrap_or_default().into_iter().for_each(|call| sink.call(call));
        }
        if let Some(word) = choice.finish_reason {
            finish(&word.to_ascii_lowercase(), sink)?;
        }
    }
    if let Some(usage) = chunk.usage.and_then(usage).or_else(|| x_groq.usage.and_then(usage)) {
        sink.usage(usage);
    }
    Ok(Decoded::Understood)
}

/// The calls of a chunk; anything without the known form does not count as one.
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
        id: id.map(Cow::into_owned),
        name: name.map(Cow::into_owned),
        arguments: text.unwrap_or_else(|| arguments.to_owned()),
        signature: None,
    })
}

/// Takes a finish reason, in lower case: OpenAI's words, and what others who speak its dialect have for the same.
fn finish(word: &str, sink: &mut Sink<'_>) -> Result<(), Diagnosis> {
    match word {
        // Some providers send an empty one with every chunk.
        "" | "null" => {}
        "stop" | "end_turn" | "stop_sequence" | "eos" | "eos_token" | "complete" => {
            sink.finish(FinishReason::Stop);
        }
        "length" | "max_tokens" | "model_length" | "model_context_window_exceeded" => {
            sink.finish(FinishReason::Length);
        }
        "content_filter" | "sensitive" | "safety" => sink.finish(FinishReason::ContentFilter),
        "tool_calls" | "function_call" | "tool_use" | "tool_call" => sink.finish(FinishReason::ToolCalls),
        "error" => return Err(Cause::ServerError.into()),
        // Such as `abort`, `network_error`, `insufficient_system_resource`.
        _ => sink.stop_without_reason(),
    }
    Ok(())
}

/// The usage, if it has the known form. An odd one must not cost the answer.
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

/// What an error answer means; see [`Provider::read_error`](crate::providers::Provider::read_error).
pub(in crate::providers) fn diagnose(
    quirks: &Quirks,
    status: u16,
    head: &Reading,
    error: &ErrorBody,
) -> Diagnosis {
    let diagnosis = cause_and_wait(quirks, status, head, error);
    let is_refused = diagnosis.cause == Cause::RequestRefused;
    Diagnosis { unwanted: unwanted::named_in(quirks, error, is_refused), ..diagnosis }
}

fn cause_and_wait(quirks: &Quirks, status: u16, head: &Reading, error: &ErrorBody) -> Diagnosis {
    let stated = classify::stated_wait(head, error);
    if let Some(diagnosis) = rules::look_up(quirks.failures, status, head, error, stated) {
        return diagnosis;
    }
    let spent = head.spent();
    let says_day = quirks.day_markers.iter().any(|marker| error.message.contains(marker));
    let is_daily = says_day || spent.is_some_and(|spent| spent.window == Window::Day);
    let mut diagnosis = classify::diagnose(status, head, error, is_daily);
    if diagnosis.cause.reason().is_limit() && diagnosis.wait.is_none() {
        diagnosis.wait = spent.map(|spent| spent.wait);
    }
    diagnosis
}

/// What an error answer says about limits; see [`Provider::read_error`](crate::providers::Provider::read_error).
pub(in crate::providers) fn limits_in_error(quirks: &Quirks, error: &ErrorBody) -> Vec<LimitReading> {
    limits::from_sentence(quirks.limit_markers, &error.message).into_iter().collect()
}
