//! The conversation: texts, images, tool calls and their results.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::value::RawValue;

use crate::middle::{AssistantPart, MAX_CALLS, Message, Part, ToolCall};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, bad, each, fields, kind, string, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::media::{image_at_url, is_base64};

/// The roles that a message may have.
const ROLES: &str = "'system', 'developer', 'user', 'assistant', 'tool'";

/// The longest name of a speaker, in bytes, as OpenAI allows.
const MAX_NAME_LEN: usize = 64;

/// The messages, and the names of those who speak by the positions of their messages.
pub(super) fn parse_messages(
    list: &RawValue,
    ignored: &mut Ignored,
) -> Result<(Vec<Message>, BTreeMap<usize, String>), ApiError> {
    let mut messages = Vec::new();
    let mut speakers = BTreeMap::new();
    let mut open = OpenCalls::default();
    each("messages", list, |index, item| {
        let at = format!("messages[{index}]");
        let (message, speaker) = parse_message(&at, item, ignored)?;
        open.follow(&at, &message)?;
        speakers.extend(speaker.map(|name| (index, name)));
        messages.push(message);
        Ok(())
    })?;
    open.must_be_none()?;
    if !messages.is_empty() && messages.iter().all(is_empty) {
        return Err(bad("messages have no content: send at least one with a non-empty 'content'"));
    }
    Ok((messages, speakers))
}

/// The tool calls without a result so far.
#[derive(Default)]
struct OpenCalls {
    /// Where they stand: they are all in one message.
    at: String,
    /// The number of each in that message, by its id.
    numbers: HashMap<String, usize>,
}

impl OpenCalls {
    /// Takes the next message into account. Every call must have its result before the next message of another role.
    fn follow(&mut self, at: &str, message: &Message) -> Result<(), ApiError> {
        match message {
            Message::Tool { call_id, .. } => match self.numbers.remove(call_id) {
                Some(_) => Ok(()),
                None => {
                    let place = format!("{at}.tool_call_id");
                    Err(wrong(place, "answers none of the calls in the 'assistant' message before it"))
                }
            },
            Message::Assistant(parts) => {
                self.must_be_none()?;
                self.at = format!("{at}.tool_calls");
                let calls = parts.iter().filter_map(AssistantPart::call);
                self.numbers.extend(calls.enumerate().map(|(number, call)| (call.id.clone(), number)));
                Ok(())
            }
            Message::System(_) | Message::User(_) => self.must_be_none(),
        }
    }

    fn must_be_none(&self) -> Result<(), ApiError> {
        let first = self.numbers.iter().min_by_key(|(_, number)| **number);
        let Some((id, _)) = first else { return Ok(()) };
        let id: String = id.chars().take(100).collect();
        let problem = format!("has a call ('{id}') that no 'tool' message after it answers");
        Err(wrong(self.at.as_str(), problem))
    }
}

fn is_empty(message: &Message) -> bool {
    match message {
        Message::System(texts) => texts.is_empty(),
        Message::User(parts) => parts.is_empty(),
        Message::Assistant(parts) => parts.is_empty(),
        Message::Tool { .. } => false,
    }
}

fn parse_message(
    at: &str,
    item: &RawValue,
    ignored: &mut Ignored,
) -> Result<(Message, Option<String>), ApiError> {
    let fields =
        fields!(item => role, content, name, tool_calls, tool_call_id, refusal, function_call, audio)
            .map_err(|_| {
                wrong(at, format!("must be an object with 'role' and 'content', not {}", kind(item)))
            })?;
    let role: Option<String> = fields.role.present().and_then(|role| serde_json::from_str(role.get()).ok());
    let role = role.ok_or_else(|| wrong(at, format!("needs a 'role': one of {ROLES}")))?;
    ignored.add("messages.", fields.unknown);
    if fields.function_call.present().is_some() {
        return Err(wrong(fields.function_call.below(at), "is not available here: use 'tool_calls'"));
    }
    if fields.audio.present().is_some() {
        return Err(wrong(fields.audio.below(at), "is not available here"));
    }
    let content = fields.content;
    let at_content = content.below(at);
    let is_result = role == "tool";
    let speaker = fields.name.present().and_then(speaker).filter(|_| !is_result);
    if fields.name.present().is_some() && speaker.is_none() {
        ignored.add("messages.", vec![fields.name.name().to_owned()]);
    }
    let message = match role.as_str() {
        "system" | "developer" => Ok(Message::System(texts(&at_content, required(at, content)?, ignored)?)),
        "user" => Ok(Message::User(parts(&at_content, required(at, content)?, ignored)?)),
        "assistant" => {
            let said = content.present().or(fields.refusal.present());
            let said = said.map(|it| texts(&at_content, it, ignored)).transpose()?.unwrap_or_default();
            let calls = fields.tool_calls.present().map(|calls| parse_calls(at, calls)).transpose()?;
            let calls = calls.into_iter().flatten().map(AssistantPart::Call);
            Ok(Message::Assistant(said.into_iter().map(AssistantPart::Text).chain(calls).collect()))
        }
        "tool" => {
            let call_id = fields.tool_call_id.required(at, "a string")?;
            let said = content.present().map(|it| texts(&at_content, it, ignored)).transpose()?;
            let parts = said.into_iter().flatten().map(Part::Text).collect();
            Ok(Message::Tool { call_id, parts, is_error: false })
        }
        _ => Err(wrong(fields.role.below(at), format!("is not one of {ROLES}"))),
    };
    Ok((message?, speaker))
}

/// The name of whoever speaks, if every provider that takes names takes this one.
fn speaker(name: &RawValue) -> Option<String> {
    let name: String = serde_json::from_str(name.get()).ok()?;
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    ((1..=MAX_NAME_LEN).contains(&name.len()) && name.bytes().all(is_fit)).then_some(name)
}

fn required<'a>(at: &str, content: Field<'a>) -> Result<&'a RawValue, ApiError> {
    let missing = || wrong(content.below(at), "is missing: send a string or an array of parts");
    content.present().ok_or_else(missing)
}

/// Content that may be text only; empty texts are left out.
fn texts(at: &str, content: &RawValue, ignored: &mut Ignored) -> Result<Vec<String>, ApiError> {
    let text = |part| match part {
        Part::Text(text) => Ok(text),
        Part::Image(_) | Part::File(_) => {
            Err(wrong(at, "may hold text only; pictures belong into a 'user' message"))
        }
    };
    parts(at, content, ignored)?.into_iter().map(text).collect()
}

/// Content as a string or in parts; empty texts are left out.
fn parts(at: &str, content: &RawValue, ignored: &mut Ignored) -> Result<Vec<Part>, ApiError> {
    match content.get().as_bytes().first() {
        Some(b'"') => {
            let text: String = string(content).map_err(|error| wrong(at, error))?;
            Ok(Some(text).filter(|text| !text.is_empty()).map(Part::Text).into_iter().collect())
        }
        Some(b'[') => {
            let mut parts = Vec::new();
            each(at, content, |index, item| {
                parts.extend(parse_part(&format!("{at}[{index}]"), item, ignored)?);
                Ok(())
            })?;
            Ok(parts)
        }
        _ => Err(wrong(at, format!("must be a string or an array of parts, not {}", kind(content)))),
    }
}

fn parse_part(at: &str, item: &RawValue, ignored: &mut Ignored) -> Result<Option<Part>, ApiError> {
    let fields = fields!(item => kind: "type", text, refusal, image_url)
        .map_err(|_| wrong(at, format!("must be an object with 'type', not {}", kind(item))))?;
    let kind_of_part: Option<String> = fields.kind.optional(at, "a string")?;
    if let Some(thoughts @ ("thinking" | "redacted_thinking" | "reasoning")) = kind_of_part.as_deref() {
        // The thoughts of one model are of no use to another.
        ignored.add("messages.content.", vec![thoughts.to_owned()]);
        return Ok(None);
    }
    ignored.add("messages.content.", fields.unknown);
    match kind_of_part.as_deref() {
        Some("text") => words(at, fields.text),
        Some("refusal") => words(at, fields.refusal),
        Some("image_url") => parse_image_part(at, fields.image_url, ignored).map(Some),
        _ => Err(wrong(fields.kind.below(at), "must be 'text' or 'image_url': nothing else is taken here")),
    }
}

/// The text of a part; `None` if it is empty.
fn words(at: &str, field: Field<'_>) -> Result<Option<Part>, ApiError> {
    let at = field.below(at);
    let raw = field.present().ok_or_else(|| wrong(at.as_str(), "is missing"))?;
    let text = string(raw).map_err(|error| wrong(at, error))?;
    Ok(Some(text).filter(|text| !text.is_empty()).map(Part::Text))
}

fn parse_image_part(at: &str, field: Field<'_>, ignored: &mut Ignored) -> Result<Part, ApiError> {
    let at = field.below(at);
    let raw = field.present().ok_or_else(|| wrong(at.as_str(), "is missing"))?;
    // Some clients send the URL without its object.
    let url = if raw.get().starts_with('"') {
        Field::new("url", raw)
    } else {
        let image = fields!(raw => url)
            .map_err(|_| wrong(at.as_str(), format!("must be an object with 'url', not {}", kind(raw))))?;
        ignored.add("messages.content.image_url.", image.unknown);
        image.url
    };
    image_at_url(&url.below(&at), url.required(&at, "a string")?).map(Part::Image)
}

fn parse_calls(at: &str, list: &RawValue) -> Result<Vec<ToolCall>, ApiError> {
    let at = format!("{at}.tool_calls");
    if !list.get().starts_with('[') {
        return Err(wrong(at, format!("must be an array of calls, not {}", kind(list))));
    }
    let mut calls: Vec<ToolCall> = Vec::new();
    let mut ids = HashSet::new();
    each(&at, list, |index, item| {
        if index >= MAX_CALLS {
            return Err(wrong(at.as_str(), format!("has more than {MAX_CALLS} calls")));
        }
        let call = parse_call(&format!("{at}[{index}]"), item)?;
        if !ids.insert(call.id.clone()) {
            return Err(wrong(format!("{at}[{index}].id"), "is the id of another call in this message"));
        }
        calls.push(call);
        Ok(())
    })?;
    Ok(calls)
}

fn parse_call(at: &str, item: &RawValue) -> Result<ToolCall, ApiError> {
    let unreadable = |_| wrong(at, format!("must be an object with 'id' and 'function', not {}", kind(item)));
    let call = fields!(item => id, function, extra_content).map_err(unreadable)?;
    let at_function = call.function.below(at);
    let function = call.function.present().ok_or_else(|| wrong(at_function.as_str(), "is missing"))?;
    let unreadable = |_| wrong(at_function.as_str(), format!("must be an object, not {}", kind(function)));
    let function = fields!(function => name, arguments).map_err(unreadable)?;
    Ok(ToolCall {
        id: call.id.required(at, "a string")?,
        name: function.name.required(&at_function, "a string")?,
        arguments: function.arguments.required(&at_function, "a string")?,
        signature: call.extra_content.present().and_then(signature),
    })
}

/// `extra_content.google.thought_signature`, where Google's own translation puts it.
fn signature(extra: &RawValue) -> Option<String> {
    let extra = fields!(extra => google).ok()?;
    let google = fields!(extra.google.present()? => thought_signature).ok()?;
    let signature = google.thought_signature.present()?;
    // A broken signature would be refused; a missing one is not.
    serde_json::from_str(signature.get()).ok().filter(|text: &String| is_base64(text))
}
