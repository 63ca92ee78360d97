//! A request body, checked field by field. What is opaque (schemas, arguments) keeps its bytes.
//!
//! Clients bring new kinds of items, parts and tools with every release, so what is unknown is skipped and told. Refused is
//! only what would change the meaning of the answer.

mod content;
mod format;
mod items;
mod tool_choice;
mod tools;

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use self::content::content;
use self::format::parse_format;
use self::items::{Items, Known};
use self::tool_choice::parse_tool_choice;
use super::responses_ask::ResponsesAsk;
use super::store::{MAX_ITEM_BYTES, Stored};
use crate::middle::{ChatRequest, Message, Part};
use crate::surfaces::conversation::Conversation;
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, body_object, each, fields, kind, not_json, read, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::names::AUTO;
use crate::surfaces::schema_bytes::SchemaBytes;
use crate::surfaces::values::{count, effort, number};
use crate::wire::json;

fields!(struct Body {
    input, instructions, model, stream, store, previous_response_id, metadata,
    max_output_tokens, temperature, top_p, user, reasoning, text,
    tools, tool_choice, parallel_tool_calls,
    include, top_logprobs, background, conversation, prompt,
});

/// As much of a request is repeated, all together. It is kept as long as the answer is under way, and written three times.
const MAX_ECHO_BYTES: usize = 64 * 1024;

/// What is known of earlier answers.
pub(super) struct Earlier<'a> {
    /// The answers that this request goes on from, the first of them first.
    pub(super) chain: &'a [Arc<Stored>],
    /// The items that others of the request stand for, by their ids.
    pub(super) items: Known<'a>,
}

/// Parses and checks a request body. Without what is known of earlier answers it only finds out what is wanted of them.
///
/// # Errors
/// [`ApiError`] naming the field, what is wrong with it, and what is accepted.
pub(super) fn parse(body: &[u8], earlier: Option<&Earlier<'_>>) -> Result<ResponsesAsk, ApiError> {
    let mut body: Body<'_> = read(body_object(body)?).map_err(|error| not_json(&error))?;
    refuse_unavailable(&body)?;
    let mut ignored = Ignored(std::mem::take(&mut body.unknown));
    let mut schema_bytes = SchemaBytes::default();
    let previous: Option<String> =
        body.previous_response_id.optional("", "the id of a response, a string")?;
    let mut items = Items::new(&mut ignored, &mut schema_bytes, earlier.map(|earlier| earlier.items));
    if let Some(instructions) = body.instructions.present() {
        instruct(&mut items.conversation, instructions, items.ignored)?;
    }
    for stored in earlier.map_or(&[][..], |earlier| earlier.chain) {
        items.recall(stored)?;
    }
    let store: Option<bool> = body.store.optional("", "true or false")?;
    let size = body.input.present().map_or(0, |raw| raw.get().len());
    // With room for what makes a text an item.
    items.sent = store.unwrap_or(true).then(|| String::with_capacity(size + 64));
    read_input(body.input, &mut items)?;
    let Items { conversation, mut offer, references, sent, largest_item, .. } = items;
    let needs_memory = earlier.is_none() && (!references.is_empty() || previous.is_some());
    let messages = conversation.into_messages();
    // What is said comes when the earlier answers are known.
    let messages = if messages.is_empty() && needs_memory { vec![Message::user("")] } else { messages };
    let mut request = ChatRequest::new(messages)
        .ok_or_else(|| wrong("input", "says nothing: send at least one message"))?;
    parse_settings(&body, &mut request, &mut ignored)?;
    if let Some(tools) = body.tools.present() {
        offer.read("tools", tools, &mut ignored, &mut schema_bytes)?;
    }
    offer.refuse_if_useless()?;
    parse_tool_choice(body.tool_choice, &mut offer, &mut request, &mut ignored)?;
    request.tools = offer.tools;
    parse_text(&body, &mut request, &mut ignored, &mut schema_bytes)?;

    let model: Option<String> = body.model.optional("", "the id of a model, a string")?;
    let stream: Option<bool> = body.stream.optional("", "true or false")?;
    let echo = echo(&body, &mut ignored)?;
    Ok(ResponsesAsk {
        request: Arc::new(request),
        model: model.filter(|model| !model.is_empty()).unwrap_or_else(|| AUTO.to_owned()),
        stream: stream.unwrap_or(false),
        ignored: ignored.0,
        origins: Arc::new(offer.origins),
        echo: echo.into(),
        input: sent.filter(|_| largest_item <= MAX_ITEM_BYTES).map(as_array),
        previous,
        draft: None,
        references,
        place: None,
    })
}

fn instruct(
    conversation: &mut Conversation,
    instructions: &RawValue,
    ignored: &mut Ignored,
) -> Result<(), ApiError> {
    for part in content("instructions", instructions, ignored)? {
        match part {
            Part::Text(text) => conversation.instruct(text),
            shown @ (Part::Image(_) | Part::File(_)) => conversation.user(vec![shown]),
        }
    }
    Ok(())
}

fn read_input(field: Field<'_>, items: &mut Items<'_>) -> Result<(), ApiError> {
    const ACCEPTED: &str = "must be a string or an array of items";
    match field.present() {
        Some(text) if text.get().starts_with('"') => {
            items.conversation.user(content("input", text, items.ignored)?);
            items.note(&format!(r#"{{"type":"message","role":"user","content":{}}}"#, text.get()));
            items.largest_item = items.largest_item.max(text.get().len());
            Ok(())
        }
        Some(list) if list.get().starts_with('[') => {
            each("input", list, |index, item| items.read(&format!("input[{index}]"), item))
        }
        Some(other) => Err(wrong("input", format!("{ACCEPTED}, not {}", kind(other)))),
        // The chain may say all.
        None => Ok(()),
    }
}

/// The array that `items` begins.
fn as_array(mut items: String) -> String {
    items.push_str(if items.is_empty() { "[]" } else { "]" });
    items
}

/// Refuses the fields that change what is answered and that no provider here has, unless they ask for nothing.
fn refuse_unavailable(body: &Body<'_>) -> Result<(), ApiError> {
    // Each with the values that ask for nothing.
    let unavailable: [(Field<'_>, &[&str], &str); 4] = [
        (body.background, &["false"], "is not available here: wait for the answer, or stream it"),
        (
            body.conversation,
            &[],
            "is not available here: use 'previous_response_id', or send the whole input",
        ),
        (body.prompt, &[], "is not available here: send the text itself in 'input' and 'instructions'"),
        (body.top_logprobs, &["0"], "is not available here"),
    ];
    for (field, idle, advice) in unavailable {
        if field.present().is_some_and(|raw| !idle.contains(&raw.get())) {
            return Err(wrong(field.name(), advice));
        }
    }
    if body.include.present().is_some_and(|raw| raw.get().contains("logprobs")) {
        return Err(wrong("include", "asks for 'logprobs', which are not available here"));
    }
    Ok(())
}

/// How the model is to answer: sampling, length, thinking; and for which user.
fn parse_settings(body: &Body<'_>, request: &mut ChatRequest, ignored: &mut Ignored) -> Result<(), ApiError> {
    request.max_tokens = count(body.max_output_tokens, "")?;
    request.temperature = number(body.temperature, "", 0.0, 2.0)?;
    request.top_p = number(body.top_p, "", 0.0, 1.0)?;
    request.user = body.user.optional("", "a string")?;
    request.parallel_tool_calls = body.parallel_tool_calls.optional("", "true or false")?;
    if body.include.present().is_some_and(|raw| raw.get().contains('"')) {
        ignored.add("", vec!["include".to_owned()]);
    }
    let Some(raw) = body.reasoning.present() else { return Ok(()) };
    let at = body.reasoning.name();
    let reasoning = fields!(raw => effort, summary, generate_summary)
        .map_err(|_| wrong(at, format!("must be an object, not {}", kind(raw))))?;
    ignored.add("reasoning.", reasoning.unknown);
    match effort(reasoning.effort, at) {
        Ok(wanted) => request.effort = wanted,
        // A word that is newer than this program.
        Err(_) => ignored.add("reasoning.", vec!["effort".to_owned()]),
    }
    let older: Option<String> = reasoning.generate_summary.optional(at, "a string")?;
    let summary: Option<String> = reasoning.summary.optional(at, "a string")?;
    request.wants_thoughts = summary.or(older).is_some_and(|word| word != "none");
    Ok(())
}

fn parse_text(
    body: &Body<'_>,
    request: &mut ChatRequest,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<(), ApiError> {
    let Some(raw) = body.text.present() else { return Ok(()) };
    let at = body.text.name();
    let text =
        fields!(raw => format).map_err(|_| wrong(at, format!("must be an object, not {}", kind(raw))))?;
    ignored.add("text.", text.unknown);
    request.response_format = parse_format(text.format, at, ignored, schema_bytes)?;
    Ok(())
}

/// What a response repeats of its request, as far as it is short: the inside of a JSON object, in one line.
fn echo(body: &Body<'_>, ignored: &mut Ignored) -> Result<Vec<u8>, ApiError> {
    #[derive(Serialize)]
    struct Echo {
        background: bool,
        metadata: Option<Box<RawValue>>,
        max_output_tokens: Option<Box<RawValue>>,
        parallel_tool_calls: bool,
        reasoning: Option<Box<RawValue>>,
        temperature: Option<Box<RawValue>>,
        tool_choice: Option<Box<RawValue>>,
        top_p: Option<Box<RawValue>>,
        truncation: &'static str,
        user: Option<Box<RawValue>>,
        text: Option<Box<RawValue>>,
        instructions: Option<Box<RawValue>>,
        tools: Option<Box<RawValue>>,
    }
    if let Some(raw) = body.metadata.present().filter(|raw| !raw.get().starts_with('{')) {
        return Err(wrong("metadata", format!("must be an object, not {}", kind(raw))));
    }
    if body.metadata.present().is_some_and(|raw| raw.get().len() > MAX_ECHO_BYTES) {
        ignored.add("", vec!["metadata".to_owned()]);
    }
    let mut room = MAX_ECHO_BYTES;
    let mut repeated = |field: Field<'_>, default: Option<&'static str>| -> Option<Box<RawValue>> {
        let text = field.present().map(RawValue::get).filter(|text| text.len() <= room);
        room -= text.map_or(0, str::len);
        RawValue::from_string(text.or(default)?.to_owned()).ok()
    };
    let parallel: Option<bool> = body.parallel_tool_calls.optional("", "true or false")?;
    // What clients keep for themselves goes first, what is large of itself last.
    let mut echo = json::to_vec(&Echo {
        background: false,
        metadata: repeated(body.metadata, Some("{}")),
        max_output_tokens: repeated(body.max_output_tokens, None),
        parallel_tool_calls: parallel.unwrap_or(true),
        reasoning: repeated(body.reasoning, Some(r#"{"effort":null,"summary":null}"#)),
        temperature: repeated(body.temperature, None),
        tool_choice: repeated(body.tool_choice, Some(r#""auto""#)),
        top_p: repeated(body.top_p, None),
        truncation: "disabled",
        user: repeated(body.user, None),
        text: repeated(body.text, Some(r#"{"format":{"type":"text"}}"#)),
        instructions: repeated(body.instructions, None),
        tools: repeated(body.tools, Some("[]")),
    });
    // JSON has no line ends but between its words, and an event is one line.
    echo.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    echo.pop();
    echo.remove(0);
    Ok(echo)
}
