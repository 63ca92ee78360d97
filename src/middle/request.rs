//! What a client may ask: [`ChatRequest`], the same for every client's dialect and every provider's.
//!
//! JSON that the proxy need not understand (schemas, arguments of tool calls) keeps the client's bytes: parsing and
//! writing it again would spoil large numbers and the order of keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The most tool calls that one answer may have, from a provider and in a client's conversation alike: an answer that is
/// passed on must be taken back. OpenAI allows 128 tools; a model that makes a thousand calls has lost itself.
pub(crate) const MAX_CALLS: usize = 1_000;

/// The most tools that the surfaces of agents take: some compare each with each. Agents offer some hundreds.
pub(crate) const MAX_TOOLS: usize = 1_024;

/// JSON text as it came.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// `text` if it is JSON.
    ///
    /// # Errors
    /// `text` is not JSON.
    pub fn parse(text: impl Into<String>) -> serde_json::Result<Self> {
        RawValue::from_string(text.into()).map(Self)
    }

    /// The text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// The same as serde_json knows it.
    pub fn raw(&self) -> &RawValue {
        &self.0
    }
}

impl From<&RawValue> for Json {
    fn from(raw: &RawValue) -> Self {
        Self(raw.to_owned())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Instructions for the model, in one or more texts.
    System(Vec<String>),
    /// What the user says and shows.
    User(Vec<Part>),
    /// An earlier answer of the model, in the order in which the client gave it. Each call is answered by one of the
    /// [`Tool`](Self::Tool) messages that follow.
    Assistant(Vec<AssistantPart>),
    /// The result of a tool.
    Tool {
        /// The id of the call.
        call_id: String,
        /// Texts, images and files, in the order in which the client gave them.
        parts: Vec<Part>,
        /// Whether the tool has failed.
        is_error: bool,
    },
}

impl Message {
    /// A message of one text.
    pub fn user(text: impl Into<String>) -> Self {
        Self::User(vec![Part::Text(text.into())])
    }

    /// An instruction of one text.
    pub fn system(text: impl Into<String>) -> Self {
        Self::System(vec![text.into()])
    }

    /// An earlier answer of one text.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::Assistant(vec![AssistantPart::Text(text.into())])
    }

    fn text_bytes(&self) -> usize {
        match self {
            Self::System(texts) => texts.iter().map(String::len).sum(),
            Self::User(parts) | Self::Tool { parts, .. } => parts.iter().map(Part::text_bytes).sum(),
            Self::Assistant(parts) => parts.iter().map(AssistantPart::text_bytes).sum(),
        }
    }

    /// Texts and images of the user or of a tool.
    fn parts(&self) -> &[Part] {
        match self {
            Self::User(parts) | Self::Tool { parts, .. } => parts,
            Self::System(_) | Self::Assistant(_) => &[],
        }
    }
}

/// A piece of an earlier answer of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssistantPart {
    /// Text; may be empty.
    Text(String),
    /// A tool call.
    Call(ToolCall),
}

impl AssistantPart {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Call(_) => None,
        }
    }

    /// The call, if it is one.
    pub fn call(&self) -> Option<&ToolCall> {
        match self {
            Self::Call(call) => Some(call),
            Self::Text(_) => None,
        }
    }

    fn text_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Call(call) => call.name.len() + call.arguments.len(),
        }
    }
}

/// A piece of what the user says or a tool returns.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text; never empty.
    Text(String),
    /// An image.
    Image(Image),
    /// A file that is neither text nor an image, such as a PDF.
    File(File),
}

impl Part {
    fn text_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Image(_) | Self::File(_) => 0,
        }
    }
}

/// A file with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Such as `application/pdf`.
    pub media_type: String,
    /// In base64.
    pub base64: String,
    /// The client's name for it.
    pub name: Option<String>,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// Its bytes.
    Inline {
        /// Such as `image/png`.
        media_type: String,
        /// In base64.
        base64: String,
    },
    /// Where the provider may fetch it: an http or https URL.
    Remote(String),
}

/// A tool call that the model has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The result refers to it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON text, as the model wrote it.
    pub arguments: String,
    /// What the provider that made the call wants back with it, if anything.
    pub signature: Option<String>,
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// The name by which the model calls it.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// The JSON Schema of its arguments; `None` if it takes none.
    pub parameters: Option<Json>,
    /// Whether the arguments must match the schema exactly.
    pub strict: Option<bool>,
}

/// Whether the model is to call tools, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// Not at all.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// The form of the answer's text.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseFormat {
    /// Any JSON object.
    JsonObject,
    /// JSON that matches a schema.
    JsonSchema(JsonSchema),
}

/// The schema that the answer is to match.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonSchema {
    /// The client's name for the schema.
    pub name: Option<String>,
    /// What the answer is for.
    pub description: Option<String>,
    /// The JSON Schema, if the client sent one.
    pub schema: Option<Json>,
    /// Whether the answer must match the schema exactly.
    pub strict: Option<bool>,
}

/// What a client may ask for and not every provider takes. It is left out for a provider that does not take it, and the
/// client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Sampling from the likeliest tokens only, as many as have a share of the probability.
    TopP,
    /// The same, by their number.
    TopK,
    /// Repeatable answers.
    Seed,
    /// Texts before which the answer ends.
    Stop,
    /// The client's name for its own user.
    User,
    /// The names of those who speak in the conversation.
    SpeakerName,
    /// A penalty for words that were used often.
    FrequencyPenalty,
    /// A penalty for words that were used at all.
    PresencePenalty,
    /// Whether several tools may be called at once.
    ParallelToolCalls,
    /// Tool arguments that match their schema exactly.
    ToolStrictness,
    /// How much to think.
    Effort,
}

/// How much the model is to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Not at all.
    None,
    /// As little as possible.
    Minimal,
    /// A little.
    Low,
    /// As usual.
    Medium,
    /// More than usual.
    High,
}

impl Effort {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High];

    /// The word in OpenAI's dialect.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// The nearest effort in `offered`, which is in order: the least that is not below it, else the highest. A client
    /// that wants thinking never gets [`None`](Self::None).
    pub fn nearest(self, offered: &[Self]) -> Option<Self> {
        let most = offered.last().copied().filter(|most| *most != Self::None);
        offered.iter().copied().find(|it| *it >= self).or(most)
    }
}

/// A conversation that the model is to continue; it has at least one message.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    messages: Vec<Message>,
    /// The names of those who speak, by the position of their message: letters, digits, `_` and `-`, at most 64.
    pub speakers: BTreeMap<usize, String>,
    /// Sampling temperature, 0 to 2; the provider's default when absent.
    pub temperature: Option<f64>,
    /// Share of the likeliest tokens to sample from, 0 to 1.
    pub top_p: Option<f64>,
    /// How many of the likeliest tokens to sample from.
    pub top_k: Option<u32>,
    /// The most tokens the answer may have, thinking included; the provider's default when absent.
    pub max_tokens: Option<u32>,
    /// Texts before which the answer ends. A provider gets the first of them, as many as it takes.
    pub stop: Vec<String>,
    /// Makes answers repeatable, as far as the provider can.
    pub seed: Option<i64>,
    /// Penalty for words that were used often, -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// Penalty for words that were used at all, -2 to 2.
    pub presence_penalty: Option<f64>,
    /// The client's name for its own user.
    pub user: Option<String>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Whether it is to call tools; it decides itself when absent.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may make several calls at once.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer's text; free when absent.
    pub response_format: Option<ResponseFormat>,
    /// How much to think.
    pub effort: Option<Effort>,
    /// Whether the client is shown what the model thinks.
    pub wants_thoughts: bool,
    /// Whether the client can only be given arguments that are a JSON object. Others are then a failure of the provider.
    pub needs_object_arguments: bool,
}

/// What a model must be able to do for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// See images that are in the request.
    pub inline_images: bool,
    /// Fetch images and see them.
    pub remote_images: bool,
    /// Read files.
    pub files: bool,
    /// Call tools, or read earlier tool calls.
    pub tools: bool,
    /// Be offered tools.
    pub offered_tools: bool,
    /// Be made to call a tool.
    pub forced_call: bool,
    /// Write JSON.
    pub json: bool,
    /// Write JSON that matches a schema.
    pub schema: bool,
    /// Take at least this many tokens: a low estimate, so that no model is left out that could answer.
    pub window: u64,
}

impl ChatRequest {
    /// A request with the providers' defaults; `None` if there is no message.
    pub fn new(messages: Vec<Message>) -> Option<Self> {
        (!messages.is_empty()).then_some(Self {
            messages,
            speakers: BTreeMap::new(),
            temperature: None,
            top_p: None,
            top_k: None,
            max_tokens: None,
            stop: Vec::new(),
            seed: None,
            frequency_penalty: None,
            presence_penalty: None,
            user: None,
            tools: Vec::new(),
            tool_choice: None,
            parallel_tool_calls: None,
            response_format: None,
            effort: None,
            wants_thoughts: false,
            needs_object_arguments: false,
        })
    }

    /// The conversation, oldest message first; never empty.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Every call in the conversation.
    pub fn calls(&self) -> impl Iterator<Item = &ToolCall> {
        let answers = self.messages.iter().filter_map(|message| match message {
            Message::Assistant(parts) => Some(parts),
            Message::System(_) | Message::User(_) | Message::Tool { .. } => None,
        });
        answers.flatten().filter_map(AssistantPart::call)
    }

    /// The same, to be changed.
    pub fn calls_mut(&mut self) -> impl Iterator<Item = &mut ToolCall> {
        let answers = self.messages.iter_mut().filter_map(|message| match message {
            Message::Assistant(parts) => Some(parts),
            Message::System(_) | Message::User(_) | Message::Tool { .. } => None,
        });
        answers.flatten().filter_map(|part| match part {
            AssistantPart::Call(call) => Some(call),
            AssistantPart::Text(_) => None,
        })
    }

    /// Whether the answer may call tools.
    pub fn may_call(&self) -> bool {
        !self.tools.is_empty() && self.tool_choice != Some(ToolChoice::None)
    }

    /// The tools to offer. Tools that the model must not call help it to read the conversation, but no provider takes
    /// them together with a response format.
    pub fn offered_tools(&self) -> &[Tool] {
        let is_futile = self.tool_choice == Some(ToolChoice::None) && self.response_format.is_some();
        if is_futile { &[] } else { &self.tools }
    }

    /// What a model must be able to do for it.
    pub fn needs(&self) -> Needs {
        // No tokenizer makes fewer tokens of ordinary text.
        const MOST_BYTES_A_TOKEN: usize = 8;
        let mut needs = Needs {
            tools: !self.offered_tools().is_empty(),
            offered_tools: !self.offered_tools().is_empty(),
            forced_call: matches!(self.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))),
            json: self.response_format.is_some(),
            schema: matches!(self.response_format, Some(ResponseFormat::JsonSchema(_))),
            ..Needs::default()
        };
        let mut bytes = 0;
        for message in &self.messages {
            bytes += message.text_bytes();
            for part in message.parts() {
                needs.inline_images |= matches!(part, Part::Image(Image::Inline { .. }));
                needs.remote_images |= matches!(part, Part::Image(Image::Remote(_)));
                needs.files |= matches!(part, Part::File(_));
            }
            if let Message::Assistant(parts) = message {
                needs.tools |= parts.iter().any(|part| part.call().is_some());
            }
        }
        needs.window = (bytes / MOST_BYTES_A_TOKEN) as u64;
        needs
    }
}
