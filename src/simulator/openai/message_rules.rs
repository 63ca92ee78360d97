//! What is accepted as messages: the fields of each role, contents, images and calls.

use serde_json::{Map, Value};

use super::host::{Host, Manner, Style};
use super::refusals::Refused;
use super::rules::{Checked, NAME_PATTERN, at, is_name, items, unknown, unsupported};
use crate::middle::Feature;
use crate::providers::NullContent;
use crate::simulator::base64;

/// Reports what is wrong within one message.
struct InMessage<'m> {
    host: &'m Host,
    index: usize,
    role: &'m str,
}

impl InMessage<'_> {
    /// `field` may be a path within the message.
    fn wrong(&self, field: &str, what: &str) -> Refused {
        let Self { host, index, role } = self;
        let style = host.style();
        Refused::invalid(
            style,
            match style {
                Style::Wrapped => format!(
                    "'messages.{index}' : for 'role:{role}' the following must be satisfied[('messages.{index}.{field}' : \
                 {what})]"
                ),
                Style::Flat => format!("messages.{index}.{role}.{field}: {what}"),
            },
        )
    }

    fn unsupported(&self, field: &str) -> Refused {
        let Self { host, index, role } = self;
        let style = host.style();
        match style {
            Style::Wrapped => Refused::invalid(
                style,
                format!(
                    "'messages.{index}' : for 'role:{role}' the following must be satisfied[('messages.{index}' : \
                     property '{field}' is unsupported)]"
                ),
            ),
            Style::Flat => unsupported(style, &format!("messages.{index}.{role}"), field),
        }
    }

    fn missing(&self, field: &str) -> Refused {
        self.wrong(field, &format!("property '{field}' is missing"))
    }
}

/// The fields of a message of `role`, or `None` if there is no such role.
fn message_fields(style: Style, role: &str) -> Option<&'static [&'static str]> {
    Some(match (role, style) {
        ("system" | "developer" | "user", _) => &["role", "content", "name"],
        ("assistant", Style::Wrapped) => {
            &["role", "content", "name", "tool_calls", "function_call", "reasoning"]
        }
        ("assistant", Style::Flat) => &["role", "content", "name", "tool_calls", "reasoning"],
        ("tool", _) => &["role", "content", "tool_call_id", "name"],
        ("function", Style::Wrapped) => &["role", "content", "name"],
        _ => return None,
    })
}

/// Checks the message at `index`.
pub(super) fn check_message(host: &Host, index: usize, message: &Value) -> Checked {
    let style = host.style();
    let role = message["role"].as_str().unwrap_or_default();
    let Some(known) = message_fields(style, role) else {
        let path = format!("messages.{index}");
        return Err(at(style, &path, "discriminator property 'role' has invalid value"));
    };
    let place = InMessage { host, index, role };
    let Some(object) = message.as_object() else {
        return Err(place.missing("role"));
    };
    if let Some(field) = unknown(object, known) {
        return Err(place.unsupported(field));
    }
    if object.contains_key("name") && !host.quirks.takes.contains(&Feature::SpeakerName) {
        return Err(place.unsupported("name"));
    }
    let is_null = |field: &&str| *field != "content" && object.get(*field) == Some(&Value::Null);
    if style == Style::Wrapped
        && let Some(field) = known.iter().find(|field| is_null(field))
    {
        return Err(place.wrong(field, "value must not be null"));
    }
    if role == "tool" && !message["tool_call_id"].is_string() {
        return Err(place.missing("tool_call_id"));
    }
    if role == "tool" {
        check_id(&place, "tool_call_id", &message["tool_call_id"])?;
    }
    for (position, call) in items(&message["tool_calls"]).iter().enumerate() {
        check_call(&place, position, call)?;
    }
    check_content(&place, message)
}

fn check_content(place: &InMessage<'_>, message: &Value) -> Checked {
    let has_calls = !items(&message["tool_calls"]).is_empty();
    match &message["content"] {
        Value::String(text) => {
            // Mistral: "Assistant message must have either content or tool_calls, but not none".
            let is_refused = text.is_empty() && place.host.quirks.null_content == NullContent::Omitted;
            if is_refused && place.role == "assistant" {
                return Err(place.wrong("content", "value must not be empty"));
            }
            Ok(())
        }
        Value::Array(parts) => {
            let is_text = |part: &Value| part["type"] == "text";
            if place.host.quirks.joins_texts && parts.iter().all(is_text) {
                return Err(place.wrong("content", "value must be a string"));
            }
            parts.iter().enumerate().try_for_each(|(position, part)| check_part(place, position, part))
        }
        Value::Null if place.role == "assistant" && has_calls => match place.host.quirks.null_content {
            NullContent::Null => Ok(()),
            NullContent::Omitted if message.get("content").is_none() => Ok(()),
            NullContent::Omitted | NullContent::Empty => {
                Err(place.wrong("content", "value must be a string"))
            }
        },
        Value::Null if message.get("content").is_none() => Err(place.missing("content")),
        _ => Err(place.wrong("content", "value must be a string")),
    }
}

fn check_part(place: &InMessage<'_>, position: usize, part: &Value) -> Checked {
    let path = format!("content.{position}");
    match part["type"].as_str() {
        Some("text") if part["text"].is_string() => Ok(()),
        Some("image_url") if place.role == "user" => check_image(place, &path, &part["image_url"]),
        _ => Err(place.wrong(&path, "discriminator property 'type' has invalid value")),
    }
}

fn check_image(place: &InMessage<'_>, path: &str, image: &Value) -> Checked {
    let url = image["url"].as_str().unwrap_or_default();
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    if is_web && place.host.manner == Manner::Cerebras {
        return Err(place.wrong(path, "image_url must be a base64 data URI"));
    }
    let data = url.strip_prefix("data:image/").and_then(|rest| rest.split_once(";base64,"));
    let is_data = data.is_some_and(|(_, data)| !data.is_empty() && base64::is_valid(data));
    if is_web || is_data { Ok(()) } else { Err(place.wrong(path, "invalid image data")) }
}

/// "Tool call id was … but must be a-z, A-Z, 0-9, with a length of 9": Mistral's error 3280.
fn check_id(place: &InMessage<'_>, field: &str, id: &Value) -> Checked {
    let is_short =
        id.as_str().is_some_and(|id| id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if is_short || !place.host.quirks.short_call_ids {
        return Ok(());
    }
    Err(place.wrong(field, "must be a-z, A-Z, 0-9, with a length of 9"))
}

fn check_call(place: &InMessage<'_>, position: usize, call: &Value) -> Checked {
    let path = format!("tool_calls.{position}");
    let known: &[&str] = match place.host.style() {
        Style::Wrapped => &["id", "type", "function"],
        Style::Flat => &["id", "type", "function", "index"],
    };
    let empty = Map::new();
    let of = |value: &Value, known: &[&str]| {
        unknown(value.as_object().unwrap_or(&empty), known).map(str::to_owned)
    };
    if let Some(field) = of(call, known) {
        return Err(place.unsupported(&format!("{path}.{field}")));
    }
    if let Some(field) = of(&call["function"], &["name", "arguments"]) {
        return Err(place.unsupported(&format!("{path}.function.{field}")));
    }
    if call["type"] != "function" {
        return Err(place.wrong(&format!("{path}.type"), "value must be \"function\""));
    }
    check_id(place, &format!("{path}.id"), &call["id"])?;
    let strings = [("id", &call["id"]), ("function.name", &call["function"]["name"])];
    let strings = strings.into_iter().chain([("function.arguments", &call["function"]["arguments"])]);
    if let Some((field, _)) = strings.into_iter().find(|(_, value)| !value.is_string()) {
        return Err(place.wrong(&format!("{path}.{field}"), "value must be a string"));
    }
    if !call["function"]["name"].as_str().is_some_and(is_name) {
        return Err(place.wrong(&format!("{path}.function.name"), NAME_PATTERN));
    }
    Ok(())
}
