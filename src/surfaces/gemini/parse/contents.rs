//! The conversation: turns of the user and of the model.

use serde_json::value::RawValue;

use super::lists::items;
use super::parts::{Said, read_part};
use crate::middle::{AssistantPart, Part, ToolCall};
use crate::surfaces::conversation::Conversation;
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, fields, kind, read_in_any_case, string, wrong};
use crate::surfaces::ignored::Ignored;

fields!(struct Content { role, parts });

/// Reads `systemInstruction`: a string, or a turn of any role.
pub(super) fn add_instruction(
    field: Field<'_>,
    conversation: &mut Conversation,
    ignored: &mut Ignored,
) -> Result<(), ApiError> {
    for (at, item) in items(field)? {
        let parts = match item.get().as_bytes().first() {
            Some(b'"') => vec![string(item).map_err(|error| wrong(at, error))?],
            _ => texts(&at, item, ignored)?,
        };
        parts.into_iter().for_each(|text| conversation.instruct(text));
    }
    Ok(())
}

/// Reads `contents`: turns, or one.
pub(super) fn add_contents(
    field: Field<'_>,
    conversation: &mut Conversation,
    ignored: &mut Ignored,
) -> Result<(), ApiError> {
    if field.present().is_none() {
        return Err(wrong(field.name(), "is missing: an array of turns with 'role' and 'parts'"));
    }
    for (turn, (at, item)) in items(field)?.enumerate() {
        if item.get().starts_with('"') {
            let text = string(item).map_err(|error| wrong(at, error))?;
            conversation
                .user(Some(text).filter(|text| !text.is_empty()).map(Part::Text).into_iter().collect());
            continue;
        }
        let content: Content<'_> = read_content(&at, item)?;
        let role: Option<String> = content.role.optional(&at, "'user' or 'model'")?;
        match role.as_deref() {
            Some("model") => add_model_turn(&at, turn, &content, conversation, ignored)?,
            Some("system") => {
                texts(&at, item, ignored)?.into_iter().for_each(|text| conversation.instruct(text));
            }
            None | Some("user" | "function" | "tool" | "") => {
                add_user_turn(&at, turn, &content, conversation, ignored)?;
            }
            Some(_) => return Err(wrong(content.role.below(&at), "must be 'user' or 'model'")),
        }
    }
    Ok(())
}

fn add_model_turn(
    at: &str,
    turn: usize,
    content: &Content<'_>,
    conversation: &mut Conversation,
    ignored: &mut Ignored,
) -> Result<(), ApiError> {
    let mut parts = Vec::new();
    let mut results = Vec::new();
    read_parts(at, turn, content, ignored, |said| match said {
        Said::Part(Part::Text(text)) => parts.push(AssistantPart::Text(text)),
        // What a model has drawn, no model here reads as its own.
        Said::Part(Part::Image(_) | Part::File(_)) => {}
        Said::Call(call) => parts.push(AssistantPart::Call(call)),
        Said::Result(result) => results.push(result),
    })?;
    conversation.assistant(parts);
    results.into_iter().for_each(|result| conversation.result(result));
    Ok(())
}

fn add_user_turn(
    at: &str,
    turn: usize,
    content: &Content<'_>,
    conversation: &mut Conversation,
    ignored: &mut Ignored,
) -> Result<(), ApiError> {
    let mut parts = Vec::new();
    read_parts(at, turn, content, ignored, |said| match said {
        Said::Part(part) => parts.push(part),
        // A user does not call.
        Said::Call(_) => {}
        Said::Result(result) => conversation.result(result),
    })?;
    conversation.user(parts);
    Ok(())
}

fn read_content<'a>(at: &str, item: &'a RawValue) -> Result<Content<'a>, ApiError> {
    let unreadable = |_| wrong(at, format!("must be an object with 'role' and 'parts', not {}", kind(item)));
    read_in_any_case(item).map_err(unreadable)
}

/// The texts of a turn.
fn texts(at: &str, item: &RawValue, ignored: &mut Ignored) -> Result<Vec<String>, ApiError> {
    let content = read_content(at, item)?;
    let mut texts = Vec::new();
    read_parts(at, 0, &content, ignored, |said| {
        if let Said::Part(Part::Text(text)) = said {
            texts.push(text);
        }
    })?;
    Ok(texts)
}

fn read_parts(
    at: &str,
    turn: usize,
    content: &Content<'_>,
    ignored: &mut Ignored,
    mut take: impl FnMut(Said),
) -> Result<(), ApiError> {
    let mut calls = 0;
    for (place, item) in items(content.parts)? {
        let at = format!("{at}.{place}");
        if item.get().starts_with('"') {
            let text = string(item).map_err(|error| wrong(at, error))?;
            if !text.is_empty() {
                take(Said::Part(Part::Text(text)));
            }
        } else if let Some(said) = read_part(&at, item, ignored)? {
            take(with_id(said, turn, &mut calls));
        }
    }
    Ok(())
}

/// A call without an id gets one that no other call of the conversation has.
fn with_id(said: Said, turn: usize, calls: &mut usize) -> Said {
    let Said::Call(call) = said else { return said };
    *calls += 1;
    let id = if call.id.is_empty() { format!("call_{turn}_{calls}") } else { call.id };
    Said::Call(ToolCall { id, ..call })
}
