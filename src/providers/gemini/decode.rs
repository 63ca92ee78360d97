//! Answers in Google's form: events of a stream, whole answers, lists of models.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::errors::diagnose_in_stream;
use crate::middle::{Cause, Diagnosis, FinishReason, Sink, Usage, WireCall};
use crate::providers::wire::Decoded;
use crate::providers::words::lenient::First;
use crate::providers::words::{lenient, repair};

/// A whole answer and an event of a stream have the same form; every field may be missing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    #[serde(borrow)]
    candidates: Option<First<Candidate<'a>>>,
    #[serde(borrow)]
    prompt_feedback: Option<PromptFeedback<'a>>,
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
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct CandidateContent<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    text: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "lenient::flag")]
    thought: bool,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    thought_signature: Option<Cow<'a, str>>,
}

/// A call is never split. Its id and arguments may be missing.
#[derive(Deserialize)]
struct FunctionCall<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    block_reason: Option<Cow<'a, str>>,
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

/// The path of the model list: all on one page, since there are fewer than a hundred models.
pub(in crate::providers) const MODELS_PATH: &str = "/v1beta/models?pageSize=1000";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModelList<'a> {
    models: Vec<Value>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    next_page_token: Option<Cow<'a, str>>,
}

/// Reads a list of models; see [`Provider::parse_models`](crate::providers::Provider::parse_models).
///
/// Part of a list does not count as one, because what is missing from it is unknown.
pub(in crate::providers) fn parse_models(body: &[u8]) -> Option<Vec<String>> {
    let list: ModelList<'_> = serde_json::from_slice(body).ok()?;
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

/// Reads one event or a whole answer; see [`Provider::decode`](crate::providers::Provider::decode).
///
/// Without `alt=sse` Google sends one array of such events, which is read as well.
pub(in crate::providers) fn decode(
    name: &str,
    data: &[u8],
    sink: &mut Sink<'_>,
) -> Result<Decoded, Diagnosis> {
    if name == "error" {
        return Err(diagnose_in_stream(data));
    }
    if data.trim_ascii_start().starts_with(b"[") {
        return decode_array(data, sink);
    }
    let mut repaired = Vec::new();
    let Some(response) = repair::parse::<Response<'_>>(data, &mut repaired) else {
        return Ok(Decoded::Unreadable);
    };
    if response.error.is_some_and(|error| error.get() != "null") {
        return Err(diagnose_in_stream(data));
    }
    // Only one candidate is ever asked for.
    let candidate = response.candidates.and_then(|First(candidate)| candidate);
    let is_blocked =
        candidate.is_none() && response.prompt_feedback.is_some_and(|it| it.block_reason.is_some());
    if let Some(candidate) = candidate {
        let parts = candidate.content.and_then(|content| content.parts).unwrap_or_default();
        for part in parts {
            take_part(part, sink);
        }
        if let Some(word) = candidate.finish_reason {
            finish(&word, sink)?;
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
        let own = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let (id, name, signature) = (own(id), own(name), own(part.thought_signature));
        sink.call(WireCall { number: None, id, name, arguments, signature });
    }
}

fn decode_array(data: &[u8], sink: &mut Sink<'_>) -> Result<Decoded, Diagnosis> {
    let text = String::from_utf8_lossy(data);
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(&text) else {
        return Ok(Decoded::Unreadable);
    };
    for item in items {
        // Google sends no array inside the array, so one is not followed.
        if !item.get().starts_with('[') {
            decode("", item.get().as_bytes(), sink)?;
        }
    }
    Ok(Decoded::Understood)
}

/// Takes a finish reason.
fn finish(word: &str, sink: &mut Sink<'_>) -> Result<(), Diagnosis> {
    match word {
        "" | "FINISH_REASON_UNSPECIFIED" => {}
        // Seen in front of the rest of an answer.
        "STOP" => sink.stop_for_now(),
        "MAX_TOKENS" | "CONTINUATION" => sink.finish(FinishReason::Length),
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR" => sink.finish(FinishReason::ContentFilter),
        // The model wrote something that its own provider cannot read: another attempt may do better.
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MALFORMED_RESPONSE"
        | "MISSING_THOUGHT_SIGNATURE" => {
            return Err(Cause::GenerationUnreadable.into());
        }
        // OTHER, ESCALATION, LANGUAGE, IMAGE_OTHER, NO_IMAGE and words to come.
        _ => sink.stop_without_reason(),
    }
    Ok(())
}

/// The usage, if it has the known form. An odd one must not cost the answer.
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
