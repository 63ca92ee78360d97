//! An answer as a sequence of [`Event`]s, the same for every provider and every surface.

/// A piece of an answer, as any provider gives it and any surface shows it.
///
/// An answer is any number of `Text`, `Reasoning` and `ToolCall`, then at most one `Usage`, then exactly one `Finish`.
/// An answer without a `Finish` is not complete, whatever it looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A piece of the answer itself; never empty.
    Text(String),
    /// A piece of what the model thinks before it answers; never empty, never part of the answer.
    Reasoning(String),
    /// A piece of a tool call.
    ToolCall(ToolCallPiece),
    /// The tokens that the answer took.
    Usage(Usage),
    /// The answer is complete.
    Finish(FinishReason),
}

impl Event {
    /// Its text, thought or arguments; empty if it has none.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Reasoning(text) => text,
            Self::ToolCall(piece) => &piece.arguments,
            Self::Usage(_) | Self::Finish(_) => "",
        }
    }

    /// Whether it is part of what was asked for.
    pub const fn is_content(&self) -> bool {
        matches!(self, Self::Text(_) | Self::ToolCall(_))
    }
}

/// A piece of a tool call. The first piece of a call opens it; the arguments of all its pieces together are JSON
/// text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCallPiece {
    /// The number of the call in the answer, from 0. Calls follow each other and do not mix.
    pub index: usize,
    /// Id and name; only in the first piece of a call.
    pub opening: Option<ToolCallOpening>,
    /// A piece of the arguments.
    pub arguments: String,
}

/// The id and the name of a tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCallOpening {
    /// Its id; never empty, and unique in the answer.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What the provider wants back with the call, if anything.
    pub signature: Option<String>,
}

/// Why a complete answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model had nothing more to say.
    Stop,
    /// The limit of tokens was reached.
    Length,
    /// The model waits for the results of its tools.
    ToolCalls,
    /// The provider's safety filter blocked the prompt or the answer.
    ContentFilter,
}

impl FinishReason {
    /// The name in OpenAI's dialect: `stop`, `length`, `tool_calls` or `content_filter`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// Tokens as the provider counted them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the conversation sent.
    pub prompt_tokens: u64,
    /// Tokens of the answer, thinking included.
    pub completion_tokens: u64,
    /// Both together, or what the provider calls the total.
    pub total_tokens: u64,
    /// Tokens of the conversation that the provider had cached, if it says so.
    pub cached_tokens: Option<u64>,
    /// Tokens of the answer that were thinking, if it says so.
    pub reasoning_tokens: Option<u64>,
}
