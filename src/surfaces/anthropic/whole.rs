//! An answer that is not streamed, in Anthropic's form.

use serde::Serialize;
use serde_json::value::RawValue;

use super::usage::{WireUsage, id, stop_reason};
use crate::middle::{Event, ToolCall};
use crate::surfaces::author::Author;
use crate::surfaces::gathered::Gathered;
use crate::wire::json;

#[derive(Serialize)]
struct Whole<'a> {
    id: &'a str,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block<'a>>,
    stop_reason: &'static str,
    stop_sequence: Option<()>,
    usage: WireUsage,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    // Nobody here signs thoughts, and clients look for the field.
    Thinking { thinking: &'a str, signature: &'static str },
    Text { text: &'a str },
    ToolUse { id: &'a str, name: &'a str, input: &'a RawValue },
}

/// A call, unless its arguments are no object: the request says that others are a failure, and to call a tool with others
/// than the model meant could do harm.
fn tool_use(ToolCall { id, name, arguments, .. }: &ToolCall) -> Option<Block<'_>> {
    let input: &RawValue = serde_json::from_str(arguments).ok()?;
    input.get().starts_with('{').then_some(Block::ToolUse { id, name, input })
}

/// An answer that is not streamed. The prompt's tokens are estimated if the provider has not counted them.
pub(super) fn whole(
    events: Vec<Event>,
    author: &Author,
    shows_thoughts: bool,
    estimated_tokens: impl FnOnce() -> u64,
) -> Vec<u8> {
    let Gathered { text, thoughts, calls, usage, finish } = Gathered::of(events);
    let thinking = Some(thoughts.as_str()).filter(|thoughts| shows_thoughts && !thoughts.is_empty());
    let thinking = thinking.map(|thinking| Block::Thinking { thinking, signature: "" });
    let text = Some(text.as_str()).filter(|text| !text.is_empty()).map(|text| Block::Text { text });
    json::to_vec(&Whole {
        id: &id(author),
        r#type: "message",
        role: "assistant",
        model: &author.name(),
        content: thinking.into_iter().chain(text).chain(calls.iter().filter_map(tool_use)).collect(),
        stop_reason: stop_reason(finish),
        stop_sequence: None,
        usage: usage.map_or_else(|| WireUsage::estimated(estimated_tokens()), WireUsage::from),
    })
}
