//! The conversation: messages, or a prompt.

use serde_json::value::RawValue;

use crate::middle::{AssistantPart, Image, MAX_CALLS, Part, ToolCall};
use crate::surfaces::conversation::{Conversation, ToolResult};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, each, fields, kind, read, string, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::media::{image_at_url, inline_image};

fields!(struct Message { role, content, images, tool_calls, tool_name, tool_call_id, name, thinking });

/// How the base64 of an image begins, and what image it is then: the dialect does not say it.
const BEGINNINGS: [(&str, &str); 4] =
    [("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];

/// Reads `messages`, and says how many there are.
pub(super) fn add_messages(
    field: Field<'_>,
    conversation: &mut Conversation,
    ignored: &mut Ignored,
) -> Result<usize, ApiError> {
    let Some(raw) = field.present() else { return Ok(0) };
    let list = field
        .array()
        .ok_or_else(|| wrong(field.name(), format!("must be an array of messages, not {}", kind(raw))))?;
    let mut count = 0;
    each(field.name(), list, |index, item| {
        count += 1;
        let at = format!("{}[{index}]", field.name());
        let mut message: Message<'_> = read(item).map_err(|_| {
            wrong(at.as_str(), format!("must be an object with 'role' and 'content', not {}", kind(item)))
        })?;
        ignored.add("messages.", std::mem::take(&mut message.unknown));
        if message.thinking.present().is_some() {
            ignored.add("messages.", vec![message.thinking.name().to_owned()]);
        }
        add_message((&at, index), &message, conversation)
    })?;
    Ok(count)
}

fn add_message(
    (at, turn): (&str, usize),
    message: &Message<'_>,
    conversation: &mut Conversation,
) -> Result<(), ApiError> {
    let role: String = message.role.required(at, "'system', 'user', 'assistant' or 'tool'")?;
    match role.as_str() {
        "system" | "developer" => conversation.instruct(text(message.content, at)?),
        "user" => conversation.user(parts(message.content, message.images, at)?),
        "assistant" => {
            let said = Some(text(message.content, at)?).filter(|text| !text.is_empty());
            let mut parts: Vec<AssistantPart> = said.map(AssistantPart::Text).into_iter().collect();
            add_calls(message.tool_calls, (at, turn), &mut parts)?;
            conversation.assistant(parts);
        }
        "tool" => {
            let call_id: Option<String> = message.tool_call_id.optional(at, "a string")?;
            let tool: Option<String> = message.tool_name.optional(at, "a string")?;
            let name = tool.or(message.name.optional(at, "a string")?).filter(|name| !name.is_empty());
            let call_id = call_id.filter(|id| !id.is_empty());
            let parts = parts(message.content, message.images, at)?;
            conversation.result(ToolResult { call_id, name, parts, is_error: false });
        }
        _ => {
            let accepted = "must be 'system', 'user', 'assistant' or 'tool'";
            return Err(wrong(message.role.below(at), accepted));
        }
    }
    Ok(())
}

/// Reads the fields of a request that has no messages: instructions, the prompt, and images. Says whether anything is asked.
pub(super) fn add_prompt(
    (system, prompt, images): (Field<'_>, Field<'_>, Field<'_>),
    conversation: &mut Conversation,
) -> Result<bool, ApiError> {
    let asked = parts(prompt, images, "")?;
    let asks = !asked.is_empty();
    conversation.instruct(text(system, "")?);
    conversation.user(asked);
    Ok(asks)
}

fn text(field: Field<'_>, parent: &str) -> Result<String, ApiError> {
    let Some(raw) = field.present() else { return Ok(String::new()) };
    string(raw).map_err(|error| wrong(field.below(parent), error))
}

fn parts(content: Field<'_>, images: Field<'_>, at: &str) -> Result<Vec<Part>, ApiError> {
    let said = Some(text(content, at)?).filter(|text| !text.is_empty());
    let mut parts: Vec<Part> = said.map(Part::Text).into_iter().collect();
    let Some(list) = images.present() else { return Ok(parts) };
    let place = images.below(at);
    each(&place, list, |index, item| {
        let at = format!("{place}[{index}]");
        let data = string(item).map_err(|error| wrong(at.as_str(), error))?;
        parts.push(Part::Image(image(&at, data)?));
        Ok(())
    })?;
    Ok(parts)
}

/// An image in bare base64; some clients send URLs.
fn image(at: &str, data: String) -> Result<Image, ApiError> {
    if data.contains(':') {
        return image_at_url(at, data);
    }
    let known = BEGINNINGS.iter().find(|(beginning, _)| data.trim_start().starts_with(beginning));
    let image = known.and_then(|(_, media_type)| inline_image(media_type, &data));
    image.ok_or_else(|| wrong(at, "must be a PNG, JPEG, GIF or WebP image in base64"))
}

fn add_calls(
    field: Field<'_>,
    (at, turn): (&str, usize),
    parts: &mut Vec<AssistantPart>,
) -> Result<(), ApiError> {
    let Some(list) = field.present() else { return Ok(()) };
    let place = field.below(at);
    each(&place, list, |index, item| {
        if index >= MAX_CALLS {
            return Err(wrong(place.as_str(), format!("has more than {MAX_CALLS} calls")));
        }
        let at = format!("{place}[{index}]");
        let call = fields!(item => id, function).map_err(|_| {
            wrong(at.as_str(), format!("must be an object with 'function', not {}", kind(item)))
        })?;
        let id: Option<String> = call.id.optional(&at, "a string")?;
        let at = call.function.below(&at);
        let raw = call.function.present().ok_or_else(|| wrong(at.as_str(), "is missing"))?;
        let function = fields!(raw => name, arguments)
            .map_err(|_| wrong(at.as_str(), format!("must be an object, not {}", kind(raw))))?;
        parts.push(AssistantPart::Call(ToolCall {
            // The dialect had no ids for long, and no two calls of a conversation may have the same.
            id: id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{turn}_{index}")),
            name: function.name.required(&at, "a string")?,
            arguments: arguments(function.arguments.present()),
            signature: None,
        }));
        Ok(())
    })
}

/// The arguments as JSON text; some clients send them as a string, as OpenAI's do.
fn arguments(raw: Option<&RawValue>) -> String {
    let Some(raw) = raw else { return "{}".to_owned() };
    string(raw).ok().filter(|text| !text.is_empty()).unwrap_or_else(|| match raw.get() {
        "\"\"" => "{}".to_owned(),
        text => text.to_owned(),
    })
}
