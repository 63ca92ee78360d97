//! `POST /chat`: the smallest dialect that does the job.
//!
//! A stream is SSE. Every event except an error is one line of JSON with a `content` string, so that
//! `text += JSON.parse(data).content` is always right:
//!
//! ```text
//! data: {"content":"Hola"}
//!
//! data: {"content":"","finish_reason":"stop","provider":"Groq","model":"openai/gpt-oss-20b","usage":{…}}
//!
//! data: [DONE]
//! ```

use std::num::NonZeroU64;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Version};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ask::Ask;
use super::author::Author;
use super::encode::{AfterFailure, Encode, Interrupted};
use super::error::ApiError;
use super::error_response::{AttemptBody, Response, attempts, response};
use super::fields::{bad, body_object, each, fields, kind, not_json, string, wrong};
use super::media_type;
use super::names::{AUTO, Choice, Names, ids, target_of};
use crate::dispatch::UnknownTarget;
use crate::middle::{ChatRequest, Event, Feature, FinishReason, Message, Usage};
use crate::wire::json;

/// The roles that a message may have.
const ROLES: &str = "'system', 'user', 'assistant'";

/// A valid request as its client meant it.
#[derive(Debug, PartialEq)]
pub struct ChatAsk {
    /// The conversation.
    pub request: Arc<ChatRequest>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The provider that the client pins.
    pub provider: Option<String>,
    /// The model that the client pins: `auto`, a provider, `provider/model`, or a model.
    pub model: Option<String>,
    /// How the answer is to be written.
    pub format: Format,
}

impl Ask for ChatAsk {
    type Encoder = Encoder;

    fn parse(head: &Parts, body: &[u8]) -> Result<Self, ApiError> {
        let format = Format::from_accept(&head.headers);
        // In HTTP/1.0 the end of the connection ends the body, so a cut text would look like a complete one.
        let can_break_visibly = format == Format::Json || head.version > Version::HTTP_10;
        let ask = parse(format, body)?;
        Ok(Self { stream: ask.stream && can_break_visibly, ..ask })
    }

    fn request(&mut self) -> &mut Arc<ChatRequest> {
        &mut self.request
    }

    fn is_stream(&self) -> bool {
        self.stream
    }

    fn choice(&self, names: Names<'_>) -> Result<Choice, ApiError> {
        let offered = names.offered;
        let model = self.model.as_deref();
        let target = match self.provider.as_deref() {
            Some(provider) => target_of(offered, provider, model).map_err(|error| error.to_string()),
            None => names.pinned(model.unwrap_or(AUTO)).map_err(|error| match error {
                UnknownTarget::Paid { .. } => error.to_string(),
                _ => {
                    let known = ids(offered).join(", ");
                    format!("Unknown model '{}'. There are: {known}", error.name())
                }
            }),
        };
        target.map(Choice::from).map_err(ApiError::BadRequest)
    }

    fn ignored(&self) -> &[String] {
        // This dialect promises to ignore unknown fields without a word.
        &[]
    }

    fn field(_: Feature) -> Option<&'static str> {
        // This dialect has only fields that every provider takes.
        None
    }

    fn encoder(&self, author: Author) -> Encoder {
        Encoder { format: self.format, author, usage: None }
    }

    fn encode_whole(&self, events: Vec<Event>, author: &Author) -> (&'static str, Vec<u8>) {
        encode_whole(events, author, self.format)
    }
}

/// Parses and checks a request body.
///
/// Unknown fields are skipped and never built, so a hostile body costs no more memory than its bytes.
///
/// # Errors
/// [`ApiError::BadRequest`] naming what is wrong, where, and what is accepted.
fn parse(format: Format, body: &[u8]) -> Result<ChatAsk, ApiError> {
    let fields = fields!(body_object(body)? => messages, stream, temperature, max_tokens, provider, model)
        .map_err(|error| not_json(&error))?;
    let messages = fields.messages.array();
    let messages = messages.ok_or_else(|| bad("Request must include 'messages' array"))?;
    let mut parsed = Vec::new();
    each("messages", messages, |index, item| {
        parsed.push(parse_message(index, item)?);
        Ok(())
    })?;
    if !parsed.is_empty() && parsed.iter().all(is_empty) {
        return Err(bad("'messages' have no content: send at least one with a non-empty 'content'"));
    }
    let mut request = ChatRequest::new(parsed)
        .ok_or_else(|| bad("'messages' is empty: send at least one {\"role\",\"content\"}"))?;
    let temperature: Option<Temperature> = fields.temperature.optional("", "a number from 0 to 2")?;
    request.temperature = temperature.map(|Temperature(number)| number);
    let max_tokens: Option<NonZeroU64> = fields.max_tokens.optional("", "a whole number of at least 1")?;
    request.max_tokens = max_tokens.map(|number| u32::try_from(number.get()).unwrap_or(u32::MAX));
    let stream: Option<bool> = fields.stream.optional("", "true or false")?;
    Ok(ChatAsk {
        request: Arc::new(request),
        stream: stream.unwrap_or(true),
        provider: fields.provider.optional("", "the name of a provider, a string")?,
        model: fields.model.optional("", "the id of a model, a string")?,
        format,
    })
}

/// Whether it is an empty answer of ours that has come back.
fn is_empty(message: &Message) -> bool {
    matches!(message, Message::Assistant(parts) if parts.is_empty())
}

/// A number from 0 to 2.
#[derive(Deserialize)]
#[serde(try_from = "f64")]
struct Temperature(f64);

impl TryFrom<f64> for Temperature {
    type Error = &'static str;

    fn try_from(number: f64) -> Result<Self, Self::Error> {
        if (0.0..=2.0).contains(&number) { Ok(Self(number)) } else { Err("out of range") }
    }
}

fn parse_message(index: usize, item: &RawValue) -> Result<Message, ApiError> {
    let at = || format!("messages[{index}]");
    if !item.get().starts_with('{') {
        return Err(wrong(at(), format!("must be an object with 'role' and 'content', not {}", kind(item))));
    }
    let fields =
        fields!(item => role, content).map_err(|error| wrong(at(), format!("cannot be read: {error}")))?;
    let role: Option<String> = fields.role.present().and_then(|role| serde_json::from_str(role.get()).ok());
    let role = role.ok_or_else(|| wrong(at(), format!("needs a 'role': one of {ROLES}")))?;
    let message = match role.as_str() {
        "system" => Message::system,
        "user" => Message::user,
        "assistant" => Message::assistant,
        _ => return Err(wrong(format!("{}.role", at()), format!("is not one of {ROLES}"))),
    };
    let content = fields.content.present();
    let content = content.ok_or_else(|| wrong(at(), "needs a 'content': a non-empty string"))?;
    let at = || format!("{}.content", at());
    if !content.get().starts_with('"') {
        return Err(wrong(at(), format!("must be a non-empty string, not {}", kind(content))));
    }
    let content = string(content).map_err(|error| wrong(at(), error))?;
    if content.is_empty() && role == "assistant" {
        return Ok(Message::Assistant(Vec::new()));
    }
    if content.is_empty() {
        return Err(wrong(at(), "is empty: send a non-empty string"));
    }
    Ok(message(content))
}

/// How the client wants the answer written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON, as SSE when streamed.
    Json,
    /// Nothing but the text.
    Text,
}

impl Format {
    /// The media type, if JSON is written as `json`.
    fn content_type(self, json: &'static str) -> &'static str {
        match self {
            Self::Json => json,
            Self::Text => media_type::TEXT,
        }
    }

    /// Reads `Accept`: bare text only if `text/plain` is the client's first choice.
    pub fn from_accept(headers: &HeaderMap) -> Self {
        let values = headers.get_all(http::header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges = values.flat_map(|value| value.split(','));
        let mut first: Option<(&str, f32)> = None;
        for range in ranges {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let quality = quality.and_then(|text| text.parse().ok()).unwrap_or(1.0);
            if quality > 0.0 && first.is_none_or(|(_, best)| quality > best) {
                first = Some((name, quality));
            }
        }
        match first {
            Some((name, _)) if name.eq_ignore_ascii_case("text/plain") => Self::Text,
            _ => Self::Json,
        }
    }
}

/// What stands before the text in an event of a stream, and behind it.
const TO_TEXT: &[u8] = br#"data: {"content":"#;
const FROM_TEXT: &[u8] = b"}\n\n";

/// The last event of a stream, and the whole of an answer that is not streamed.
#[derive(Serialize)]
struct Whole<'a> {
    content: &'a str,
    finish_reason: &'static str,
    provider: &'static str,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WireUsage>,
}

#[derive(Serialize)]
struct WireUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

#[derive(Serialize)]
struct LateError<'a> {
    error: &'a str,
    provider: &'static str,
}

/// Encodes a streamed answer.
#[derive(Debug)]
pub struct Encoder {
    format: Format,
    author: Author,
    usage: Option<Usage>,
}

impl Encode for Encoder {
    fn content_type(&self) -> &'static str {
        self.format.content_type(media_type::EVENT_STREAM)
    }

    fn keep_alive(&mut self, out: &mut Vec<u8>) {
        match self.format {
            Format::Json => write_piece(out, ""),
            // Every byte of bare text is text.
            Format::Text => {}
        }
    }

    fn framing(&self) -> usize {
        match self.format {
            Format::Json => TO_TEXT.len() + 2 + FROM_TEXT.len(),
            Format::Text => 0,
        }
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match (event, self.format) {
            (Event::Text(text), Format::Json) => write_piece(out, &text),
            (Event::Text(text), Format::Text) => out.extend_from_slice(text.as_bytes()),
            // This dialect has no tools, so no client expects a tool call.
            (Event::Reasoning(_) | Event::ToolCall(_), _) => {}
            (Event::Usage(usage), _) => self.usage = Some(usage),
            (Event::Finish(reason), Format::Json) => {
                write_sse(out, &whole("", reason, &self.author, self.usage));
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
            (Event::Finish(_), Format::Text) => {}
        }
    }

    fn taken_over(&mut self, author: Author) {
        self.author = author;
    }

    fn interrupted(&mut self, interrupted: &Interrupted, out: &mut Vec<u8>) -> AfterFailure {
        match self.format {
            Format::Json => {
                let error = interrupted.to_string();
                write_sse(out, &LateError { error: &error, provider: self.author.provider.name() });
                AfterFailure::EndNormally
            }
            // Bare text has no place for an error: only a connection that breaks can say it.
            Format::Text => AfterFailure::AbortConnection,
        }
    }
}

/// An answer that is not streamed, with its content type.
fn encode_whole(events: Vec<Event>, author: &Author, format: Format) -> (&'static str, Vec<u8>) {
    let mut text = String::new();
    let mut usage = None;
    let mut finish = FinishReason::Stop;
    for event in events {
        match event {
            Event::Text(piece) => text.push_str(&piece),
            Event::Reasoning(_) | Event::ToolCall(_) => {}
            Event::Usage(counts) => usage = Some(counts),
            Event::Finish(reason) => finish = reason,
        }
    }
    let body = match format {
        Format::Text => text.into_bytes(),
        Format::Json => {
            let mut body = Vec::with_capacity(text.len() + 256);
            json::write(&mut body, &whole(&text, finish, author, usage));
            body
        }
    };
    (format.content_type(media_type::JSON), body)
}

fn whole<'a>(content: &'a str, finish: FinishReason, author: &'a Author, usage: Option<Usage>) -> Whole<'a> {
    let wire = |Usage { prompt_tokens, completion_tokens, total_tokens, .. }| WireUsage {
        prompt_tokens,
        completion_tokens,
        total_tokens,
    };
    Whole {
        content,
        finish_reason: finish.as_str(),
        provider: author.provider.name(),
        model: &author.model,
        usage: usage.map(wire),
    }
}

fn write_piece(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(TO_TEXT);
    json::write_string(out, text);
    out.extend_from_slice(FROM_TEXT);
}

fn write_sse(out: &mut Vec<u8>, value: &impl Serialize) {
    out.extend_from_slice(b"data: ");
    json::write(out, value);
    out.extend_from_slice(b"\n\n");
}

/// The body of an error.
#[derive(Serialize)]
struct ErrorBody<'e> {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paths: Option<&'e [String]>,
}

/// `error` as this surface says it: `{"error":"<sentence>"}`, for failed providers also `attempts`, for an unknown path
/// also the `paths` that there are.
pub(super) fn error_response(error: &ApiError) -> Response {
    response(error, error_body(error))
}

/// The body of [`error_response`].
pub(crate) fn error_body(error: &ApiError) -> Vec<u8> {
    let paths = match error {
        ApiError::NotFound { there_are, .. } => Some(there_are.as_slice()),
        _ => None,
    };
    json::to_vec(&ErrorBody { error: error.message(), attempts: attempts(error), paths })
}
