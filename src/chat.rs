//! The two types in the middle: what may be asked ([`ChatRequest`]) and what comes back ([`Event`]).
//!
//! Every surface translates its clients' dialect into these, every provider translates these into its own.
//! So N surfaces and M providers cost N + M translations, and none of them knows any other.

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions for the model.
    System,
    /// The person asking.
    User,
    /// An earlier answer of the model.
    Assistant,
}

impl Role {
    /// Every role, in the order in which errors list them.
    pub const ALL: [Self; 3] = [Self::System, Self::User, Self::Assistant];

    /// The name of the role in OpenAI's dialect: `system`, `user` or `assistant`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }

    /// The role of that name; `None` for any other.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said; never empty when it comes from a surface.
    pub content: String,
}

/// A conversation to be continued; it has at least one message.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    messages: Vec<Message>,
    /// Sampling temperature, 0 to 2; the provider's default when absent.
    pub temperature: Option<f64>,
    /// The most tokens the answer may have, thinking included; the provider's default when absent.
    pub max_tokens: Option<u32>,
}

impl ChatRequest {
    /// A request with the providers' defaults; `None` if there is no message.
    pub fn new(messages: Vec<Message>) -> Option<Self> {
        (!messages.is_empty()).then_some(Self { messages, temperature: None, max_tokens: None })
    }

    /// The conversation, oldest message first; never empty.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }
}

/// A piece of an answer, as any provider gives it and any surface shows it.
///
/// An answer is any number of `Text` and `Reasoning`, then at most one `Usage`, then exactly one `Finish`.
/// An answer without a `Finish` is not complete, whatever it looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A piece of the answer itself; never empty.
    Text(String),
    /// A piece of what the model thinks before it answers; never empty, never part of the answer.
    Reasoning(String),
    /// What the answer cost.
    Usage(Usage),
    /// The answer is complete.
    Finish(FinishReason),
}

impl Event {
    /// Its text or thought; empty if it has neither.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Reasoning(text) => text,
            Self::Usage(_) | Self::Finish(_) => "",
        }
    }
}

/// Why a complete answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model had nothing more to say.
    Stop,
    /// The limit of tokens was reached.
    Length,
    /// The provider's safety filter blocked the prompt or the answer.
    ContentFilter,
}

impl FinishReason {
    /// The name in OpenAI's dialect: `stop`, `length` or `content_filter`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// Tokens as the provider counted them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Tokens of the conversation sent.
    pub prompt_tokens: u64,
    /// Tokens of the answer, thinking included.
    pub completion_tokens: u64,
    /// Both together, or what the provider calls the total.
    pub total_tokens: u64,
}
