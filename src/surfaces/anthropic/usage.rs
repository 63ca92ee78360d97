//! Who answers, why an answer ended and what it took, in Anthropic's words.

use serde::Serialize;

use crate::middle::{FinishReason, Usage};
use crate::surfaces::author::Author;

/// The tokens of an answer. Clients fail without the field.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct WireUsage {
    /// Those of the prompt that were not in a cache.
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
}

impl WireUsage {
    /// Before the provider has counted.
    pub(super) fn estimated(input_tokens: u64) -> Self {
        Self { input_tokens, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 0 }
    }
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        let cached = usage.cached_tokens.unwrap_or(0).min(usage.prompt_tokens);
        Self {
            input_tokens: usage.prompt_tokens - cached,
            cache_creation_input_tokens: 0,
            cache_read_input_tokens: cached,
            output_tokens: usage.completion_tokens,
        }
    }
}

/// `stop_reason`. No provider says which of the client's stop sequences it was, so that one reads as an ordinary end.
pub(super) const fn stop_reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop => "end_turn",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::Length => "max_tokens",
        FinishReason::ContentFilter => "refusal",
    }
}

/// The id of the answer. Claude Code takes answers of one id for one answer.
pub(super) fn id(author: &Author) -> String {
    let plain: String = author.answer_id.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("msg_{plain:0>24}")
}
