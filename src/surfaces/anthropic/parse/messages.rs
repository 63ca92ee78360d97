//! The conversation: instructions, what the user and the model have said, calls and their results.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::blocks::{Block, Blocks};
use crate::middle::{AssistantPart, Part};
use crate::surfaces::conversation::Conversation;
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, each, fields, kind, wrong};
use crate::surfaces::ignored::Ignored;

/// The roles that a message may have.
const ROLES: &str = "'user', 'assistant', 'system'";

/// What a conversation says.
pub(super) struct Said {
    pub(super) conversation: Conversation,
    /// The tools that searches in it have found.
    pub(super) referenced: HashSet<String>,
}

/// Reads `system` and `messages`.
pub(super) fn parse_messages(
    system: Field<'_>,
    messages: &RawValue,
    ignored: &mut Ignored,
) -> Result<Said, ApiError> {
    let mut blocks = Blocks::new(ignored);
    let mut conversation = Conversation::default();
    if let Some(system) = system.present() {
        instruct("system", system, &mut blocks, &mut conversation)?;
    }
    each("messages", messages, |index, item| {
        parse_message(&format!("messages[{index}]"), item, &mut blocks, &mut conversation)
    })?;
    Ok(Said { conversation, referenced: blocks.referenced })
}

fn parse_message(
    at: &str,
    item: &RawValue,
    blocks: &mut Blocks<'_>,
    conversation: &mut Conversation,
) -> Result<(), ApiError> {
    let unreadable =
        |_| wrong(at, format!("must be an object with 'role' and 'content', not {}", kind(item)));
    let fields = fields!(item => role, content).map_err(unreadable)?;
    blocks.ignored.add("messages.", fields.unknown);
    let role: Option<String> = fields.role.optional(at, &format!("one of {ROLES}"))?;
    let at_content = fields.content.below(at);
    let content = fields.content.present();
    let content = content
        .ok_or_else(|| wrong(at_content.as_str(), "is missing: send a string or an array of blocks"))?;
    match role.as_deref() {
        Some("user") => ask(&at_content, content, blocks, conversation),
        Some("assistant") => answer(&at_content, content, blocks, conversation),
        // Clients put instructions between the turns, and behind the last one.
        Some("system" | "developer") => instruct(&at_content, content, blocks, conversation),
        _ => Err(wrong(fields.role.below(at), format!("must be one of {ROLES}"))),
    }
}

/// Instructions. Claude Code puts a block before its own that is meant for Anthropic's bills and differs from request to
/// request, so that no provider would find the prompt in its cache.
fn instruct(
    at: &str,
    content: &RawValue,
    blocks: &mut Blocks<'_>,
    conversation: &mut Conversation,
) -> Result<(), ApiError> {
    const FOR_ANTHROPIC: &str = "x-anthropic-";
    let is_list = content.get().starts_with('[');
    blocks.read_parts(at, content, |part| match part {
        Part::Text(text) if is_list && text.starts_with(FOR_ANTHROPIC) => {}
        Part::Text(text) => conversation.instruct(text),
        // No model takes them as instructions.
        shown @ (Part::Image(_) | Part::File(_)) => conversation.user(vec![shown]),
    })
}

/// What the user says, and what tools have returned.
fn ask(
    at: &str,
    content: &RawValue,
    blocks: &mut Blocks<'_>,
    conversation: &mut Conversation,
) -> Result<(), ApiError> {
    let mut said = Vec::new();
    let mut misplaced = false;
    blocks.read(at, content, |block| match block {
        Block::Parts(parts) => said.extend(parts),
        Block::Result(result) => {
            conversation.user(std::mem::take(&mut said));
            conversation.result(result);
        }
        Block::Call(_) => misplaced = true,
    })?;
    conversation.user(said);
    blocks.skip_if(misplaced, "tool_use");
    Ok(())
}

/// What the model has said and called.
fn answer(
    at: &str,
    content: &RawValue,
    blocks: &mut Blocks<'_>,
    conversation: &mut Conversation,
) -> Result<(), ApiError> {
    let mut said = Vec::new();
    let (mut misplaced, mut images, mut files) = (false, false, false);
    blocks.read(at, content, |block| match block {
        Block::Parts(parts) => {
            for part in parts {
                match part {
                    Part::Text(text) => said.push(AssistantPart::Text(text)),
                    Part::Image(_) => images = true,
                    Part::File(_) => files = true,
                }
            }
        }
        Block::Call(call) => said.push(AssistantPart::Call(call)),
        Block::Result(_) => misplaced = true,
    })?;
    conversation.assistant(said);
    blocks.skip_if(misplaced, "tool_result");
    blocks.skip_if(images, "image");
    blocks.skip_if(files, "document");
    Ok(())
}
