//! A request body, checked field by field. What is opaque (schemas, inputs of tools) keeps its bytes.
//!
//! Clients bring new fields and kinds of blocks with every release, so what is unknown is skipped and told. Refused is only
//! what would change the meaning of the answer.

mod blocks;
mod documents;
mod messages;
mod output;
mod thinking;
mod tool_choice;
mod tools;
mod user;

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::value::RawValue;

use self::messages::{Said, parse_messages};
use self::output::parse_format;
use self::thinking::parse_thinking;
use self::tool_choice::parse_tool_choice;
use self::tools::{Offer, parse_tools};
use self::user::parse_user;
use super::messages_ask::MessagesAsk;
use crate::middle::{ChatRequest, Effort, Message};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, body_object, each, fields, kind, not_json, read, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::names::AUTO;
use crate::surfaces::schema_bytes::SchemaBytes;
use crate::surfaces::values::{count, effort, number, whole};

fields!(struct Body {
    messages, system, model, max_tokens, stream,
    temperature, top_p, top_k, stop_sequences, metadata,
    thinking, output_config, output_format, tools, tool_choice,
    container, mcp_servers, thread,
});

/// Parses and checks a request body.
///
/// # Errors
/// [`ApiError`] naming the field, what is wrong with it, and what is accepted.
pub(super) fn parse(body: &[u8]) -> Result<MessagesAsk, ApiError> {
    let mut body: Body<'_> = read(body_object(body)?).map_err(|error| not_json(&error))?;
    refuse_unavailable(&body)?;
    let mut ignored = Ignored(std::mem::take(&mut body.unknown));
    let messages = body.messages.array();
    let messages = messages.ok_or_else(|| wrong("messages", "must be an array of messages"))?;
    let Said { conversation, referenced } = parse_messages(body.system, messages, &mut ignored)?;
    let mut request = ChatRequest::new(conversation.into_messages())
        .ok_or_else(|| wrong("messages", "say nothing: send at least one with content"))?;
    if matches!(request.messages().last(), Some(Message::Assistant(_))) {
        // Not every model goes on from there.
        ignored.add("", vec!["prefill".to_owned()]);
    }
    parse_settings(&body, &mut request, &mut ignored)?;
    let mut schema_bytes = SchemaBytes::default();
    let offer = parse_tools(body.tools, &mut ignored, &mut schema_bytes)?;
    parse_thinking(body.thinking, &mut request, &mut ignored)?;
    parse_output(&body, &mut request, &mut ignored, &mut schema_bytes)?;
    offer_tools(&body, offer, &referenced, &mut request, &mut ignored)?;

    let model: Option<String> = body.model.optional("", "the id of a model, a string")?;
    let stream: Option<bool> = body.stream.optional("", "true or false")?;
    Ok(MessagesAsk {
        request: Arc::new(request),
        model: model.filter(|model| !model.is_empty()).unwrap_or_else(|| AUTO.to_owned()),
        stream: stream.unwrap_or(false),
        ignored: ignored.0,
    })
}

/// Refuses the fields without which the answer would lack what is asked for, unless they ask for nothing.
fn refuse_unavailable(body: &Body<'_>) -> Result<(), ApiError> {
    let unavailable = [
        (body.container, "is not available here: no code is run"),
        (body.mcp_servers, "is not available here: let your program connect to them, and send their tools"),
        (body.thread, "is not available here: send the whole conversation"),
    ];
    for (field, advice) in unavailable {
        let says = |raw: &RawValue| {
            !raw.get().trim_matches(|c: char| c.is_whitespace() || "[]{}".contains(c)).is_empty()
        };
        if field.present().is_some_and(says) {
            return Err(wrong(field.name(), advice));
        }
    }
    Ok(())
}

/// How the model is to answer: sampling, length, stop words; and for which user.
fn parse_settings(body: &Body<'_>, request: &mut ChatRequest, ignored: &mut Ignored) -> Result<(), ApiError> {
    request.needs_object_arguments = true;
    request.max_tokens = count(body.max_tokens, "")?;
    request.temperature = number(body.temperature, "", 0.0, 2.0)?;
    request.top_p = number(body.top_p, "", 0.0, 1.0)?;
    let top_k = whole(body.top_k, "")?.filter(|number| *number > 0);
    request.top_k = top_k.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    request.stop = parse_stops(body.stop_sequences)?;
    request.user = parse_user(body.metadata, ignored)?;
    Ok(())
}

fn parse_stops(field: Field<'_>) -> Result<Vec<String>, ApiError> {
    const ACCEPTED: &str = "must be an array of strings";
    let Some(raw) = field.present() else { return Ok(Vec::new()) };
    if !raw.get().starts_with('[') {
        return Err(wrong(field.name(), format!("{ACCEPTED}, not {}", kind(raw))));
    }
    let mut stops = Vec::new();
    each(field.name(), raw, |_, item| {
        let text: String = serde_json::from_str(item.get()).map_err(|_| wrong(field.name(), ACCEPTED))?;
        stops.extend(Some(text).filter(|text| !text.is_empty()));
        Ok(())
    })?;
    Ok(stops)
}

/// The effort, which counts more than a number of tokens for thinking; and the form of the answer's text.
fn parse_output(
    body: &Body<'_>,
    request: &mut ChatRequest,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<(), ApiError> {
    let at = body.output_config.name();
    let mut format = (body.output_format, "");
    if let Some(raw) = body.output_config.present() {
        let output = fields!(raw => effort, format)
            .map_err(|_| wrong(at, format!("must be an object, not {}", kind(raw))))?;
        ignored.add("output_config.", output.unknown);
        match effort(output.effort, at) {
            // Who wants no thinking wants none.
            Ok(wanted) if request.effort != Some(Effort::None) => request.effort = wanted.or(request.effort),
            Ok(_) => {}
            Err(_) => ignored.add("output_config.", vec![output.effort.name().to_owned()]),
        }
        if output.format.present().is_some() {
            format = (output.format, at);
        }
    }
    request.response_format = parse_format(format.0, format.1, ignored, schema_bytes)?;
    Ok(())
}

/// Offers the tools that the model may know of, and says whether it must call one.
fn offer_tools(
    body: &Body<'_>,
    offer: Offer,
    referenced: &HashSet<String>,
    request: &mut ChatRequest,
    ignored: &mut Ignored,
) -> Result<(), ApiError> {
    let choice = parse_tool_choice(body.tool_choice, &offer, ignored)?;
    request.parallel_tool_calls = choice.parallel;
    request.tools = offer.known(referenced, choice.choice.as_ref());
    request.tool_choice = choice.choice.filter(|_| !request.tools.is_empty());
    Ok(())
}
