//! A request body, checked field by field. What is opaque (schemas, arguments) keeps its bytes.

mod format;
mod messages;
mod tools;

use std::sync::Arc;

use self::format::parse_format;
use self::messages::parse_messages;
use self::tools::{parse_tool_choice, parse_tools};
use super::completion::Completion;
use crate::middle::{ChatRequest, Effort};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, body_object, each, fields, kind, not_json, read, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::names::AUTO;
use crate::surfaces::schema_bytes::SchemaBytes;
use crate::surfaces::values::{count, effort, number, whole};

/// As OpenAI allows.
const MAX_STOPS: usize = 4;

fields!(struct Body {
    messages, model, stream, stream_options,
    temperature, top_p, max_tokens, max_completion_tokens, stop, seed, frequency_penalty, presence_penalty, user,
    reasoning_effort, tools, tool_choice, parallel_tool_calls, response_format,
    n, logprobs, top_logprobs, logit_bias, modalities, audio, functions, function_call, web_search_options,
});

/// Parses and checks a request body.
///
/// # Errors
/// [`ApiError`] naming the field, what is wrong with it, and what is accepted.
pub(super) fn parse(body: &[u8]) -> Result<Completion, ApiError> {
    let mut body: Body<'_> = read(body_object(body)?).map_err(|error| not_json(&error))?;
    refuse_unavailable(&body)?;
    let mut ignored = Ignored(std::mem::take(&mut body.unknown));
    let messages = body.messages.array();
    let messages = messages.ok_or_else(|| wrong("messages", "must be an array of messages"))?;
    let (messages, speakers) = parse_messages(messages, &mut ignored)?;
    let mut request =
        ChatRequest::new(messages).ok_or_else(|| wrong("messages", "is empty: send at least one message"))?;
    request.speakers = speakers;
    parse_settings(&body, &mut request)?;
    let mut schema_bytes = SchemaBytes::default();
    parse_tools(body.tools, &mut request, &mut ignored, &mut schema_bytes)?;
    parse_tool_choice(body.tool_choice, &mut request)?;
    request.parallel_tool_calls = body.parallel_tool_calls.optional("", "true or false")?;
    request.response_format = parse_format(body.response_format, &mut ignored, &mut schema_bytes)?;

    let model: Option<String> = body.model.optional("", "the id of a model, a string")?;
    let stream: Option<bool> = body.stream.optional("", "true or false")?;
    Ok(Completion {
        request: Arc::new(request),
        model: model.filter(|model| !model.is_empty()).unwrap_or_else(|| AUTO.to_owned()),
        stream: stream.unwrap_or(false),
        include_usage: parse_stream_options(body.stream_options)?,
        ignored: ignored.0,
    })
}

/// How the model is to answer: sampling, length, stop words, effort; and for which user.
fn parse_settings(body: &Body<'_>, request: &mut ChatRequest) -> Result<(), ApiError> {
    request.temperature = number(body.temperature, "", 0.0, 2.0)?;
    request.top_p = number(body.top_p, "", 0.0, 1.0)?;
    request.frequency_penalty = number(body.frequency_penalty, "", -2.0, 2.0)?;
    request.presence_penalty = number(body.presence_penalty, "", -2.0, 2.0)?;
    // The newer name counts.
    let newer = count(body.max_completion_tokens, "")?;
    request.max_tokens = newer.or(count(body.max_tokens, "")?);
    request.stop = parse_stop(body.stop)?;
    request.seed = whole(body.seed, "")?;
    request.user = body.user.optional("", "a string")?;
    request.effort = effort(body.reasoning_effort, "")?;
    request.wants_thoughts = request.effort.is_some_and(|effort| effort != Effort::None);
    Ok(())
}

/// Refuses the fields that change what is answered and that no provider here has, unless they ask for nothing.
fn refuse_unavailable(body: &Body<'_>) -> Result<(), ApiError> {
    const ADVICE: &str = "is not available here";
    // Each with the values that ask for nothing.
    let unavailable: [(Field<'_>, &[&str], &str); 9] = [
        (body.n, &["1", "1.0"], "must be 1: ask several times for several answers"),
        (body.logprobs, &["false"], ADVICE),
        (body.top_logprobs, &["0"], ADVICE),
        (body.logit_bias, &["{}"], ADVICE),
        (body.modalities, &["[\"text\"]", "[]"], "must be [\"text\"]: there is no audio here"),
        (body.audio, &[], ADVICE),
        (body.functions, &["[]"], "is not available here: use 'tools'"),
        (body.function_call, &["\"auto\"", "\"none\""], "is not available here: use 'tool_choice'"),
        (body.web_search_options, &[], ADVICE),
    ];
    for (field, idle, advice) in unavailable {
        let Some(raw) = field.present() else { continue };
        let text = raw.get().chars().filter(|c| !c.is_whitespace());
        if !idle.iter().any(|idle| text.clone().eq(idle.chars())) {
            return Err(wrong(field.name(), advice));
        }
    }
    Ok(())
}

fn parse_stop(field: Field<'_>) -> Result<Vec<String>, ApiError> {
    const ACCEPTED: &str = "must be a string or an array of at most 4 strings";
    let Some(raw) = field.present() else { return Ok(Vec::new()) };
    if raw.get().starts_with('"') {
        let stop: Option<String> = field.optional("", "a string")?;
        return Ok(stop.into_iter().filter(|text| !text.is_empty()).collect());
    }
    if !raw.get().starts_with('[') {
        return Err(wrong(field.name(), format!("{ACCEPTED}, not {}", kind(raw))));
    }
    let mut stops = Vec::new();
    each(field.name(), raw, |index, item| {
        let text: String = serde_json::from_str(item.get()).map_err(|_| wrong(field.name(), ACCEPTED))?;
        if index >= MAX_STOPS {
            return Err(wrong(field.name(), ACCEPTED));
        }
        stops.extend(Some(text).filter(|text| !text.is_empty()));
        Ok(())
    })?;
    Ok(stops)
}

fn parse_stream_options(field: Field<'_>) -> Result<bool, ApiError> {
    let Some(raw) = field.present() else { return Ok(false) };
    let at = field.name();
    let options = fields!(raw => include_usage)
        .map_err(|_| wrong(at, format!("must be an object, not {}", kind(raw))))?;
    let include_usage: Option<bool> = options.include_usage.optional(at, "true or false")?;
    Ok(include_usage.unwrap_or(false))
}
