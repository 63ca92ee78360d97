//! `POST /chat`: the smallest dialect that does the job.
//!
//! A stream is SSE whose every event but an error is one line of JSON with a `content` string, so that
//! `text += JSON.parse(data).content` is always right:
//!
//! ```text
//! data: {"content":"Hola"}
//!
//! data: {"content":"","finish_reason":"stop","provider":"Groq","model":"openai/gpt-oss-20b","usage":{…}}
//!
//! data: [DONE]
//! ```

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue};
use serde::de::{DeserializeOwned, Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chat::{ChatRequest, Event, FinishReason, Message, Role, Usage};
use crate::error::ApiError;
use crate::json;
use crate::relay::{AfterFailure, Encode, Interrupted};

/// A valid request as its client meant it.
#[derive(Debug, PartialEq)]
pub struct ChatCall {
    /// The conversation.
    pub request: ChatRequest,
    /// Whether the answer is to come piece by piece.
    pub stream: bool,
    /// The provider it is pinned to.
    pub provider: Option<String>,
    /// The model it is pinned to.
    pub model: Option<String>,
}

/// Parses and checks a request body.
///
/// What is not asked for is skipped and never built: a hostile body costs no more memory than its bytes.
///
/// # Errors
/// [`ApiError::BadRequest`] naming what is wrong, where, and what is accepted.
pub fn parse(body: &[u8]) -> Result<ChatCall, ApiError> {
    let invalid = |error: &dyn std::fmt::Display| bad(format!("Request body is not valid JSON: {error}"));
    let text = std::str::from_utf8(body).map_err(|error| invalid(&error))?;
    let body: &RawValue = serde_json::from_str(text).map_err(|error| invalid(&error))?;
    if !body.get().starts_with('{') {
        return Err(bad(format!("Request body must be a JSON object, not {}", kind(body))));
    }
    let names = ["messages", "stream", "temperature", "max_tokens", "provider", "model"];
    let fields = object_fields(body, names).map_err(|error| invalid(&error))?;
    let [messages, stream, temperature, max_tokens, provider, model] = fields;

    let messages = messages.filter(|messages| messages.get().starts_with('['));
    let messages = messages.ok_or_else(|| bad("Request must include 'messages' array"))?;
    let mut request = ChatRequest::new(parse_messages(messages)?)
        .ok_or_else(|| bad("'messages' is empty: send at least one {\"role\",\"content\"}"))?;
    let Temperature(temperature) =
        optional("temperature", temperature, "a number from 0 to 2")?.unwrap_or_default();
    request.temperature = temperature;
    let max_tokens: Option<NonZeroU64> = optional("max_tokens", max_tokens, "a whole number of at least 1")?;
    request.max_tokens = max_tokens.map(|number| u32::try_from(number.get()).unwrap_or(u32::MAX));
    let stream: Option<bool> = optional("stream", stream, "true or false")?;
    Ok(ChatCall {
        request,
        stream: stream.unwrap_or(true),
        provider: optional("provider", provider, "the name of a provider, a string")?,
        model: optional("model", model, "the id of a model, a string")?,
    })
}

/// A number from 0 to 2.
#[derive(Default, Deserialize)]
#[serde(try_from = "f64")]
struct Temperature(Option<f64>);

impl TryFrom<f64> for Temperature {
    type Error = &'static str;

    fn try_from(number: f64) -> Result<Self, Self::Error> {
        if (0.0..=2.0).contains(&number) { Ok(Self(Some(number))) } else { Err("out of range") }
    }
}

/// The messages of the array `raw`, one after the other, up to the first that is wrong.
fn parse_messages(raw: &RawValue) -> Result<Vec<Message>, ApiError> {
    let mut collector = MessageCollector { messages: Vec::new(), mistake: None };
    let outcome = serde_json::Deserializer::from_str(raw.get()).deserialize_seq(&mut collector);
    match (outcome, collector.mistake) {
        (_, Some(mistake)) => Err(mistake),
        (Err(error), None) => Err(bad(format!("'messages' cannot be read: {error}"))),
        (Ok(()), None) => Ok(collector.messages),
    }
}

struct MessageCollector {
    messages: Vec<Message>,
    mistake: Option<ApiError>,
}

impl<'de> Visitor<'de> for &mut MessageCollector {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            match parse_message(self.messages.len(), item) {
                Ok(message) => self.messages.push(message),
                Err(mistake) => {
                    self.mistake = Some(mistake);
                    return Err(A::Error::custom("see the mistake"));
                }
            }
        }
        Ok(())
    }
}

fn parse_message(index: usize, item: &RawValue) -> Result<Message, ApiError> {
    if !item.get().starts_with('{') {
        let kind = kind(item);
        return Err(bad(format!(
            "messages[{index}] must be an object with 'role' and 'content', not {kind}"
        )));
    }
    let [role, content] = object_fields(item, ["role", "content"])
        .map_err(|error| bad(format!("messages[{index}] cannot be read: {error}")))?;
    let roles = || Role::ALL.map(|role| format!("'{}'", role.as_str())).join(", ");
    let name: Option<String> = role.and_then(|role| serde_json::from_str(role.get()).ok());
    let name = name.ok_or_else(|| bad(format!("messages[{index}] needs a 'role': one of {}", roles())))?;
    let role = Role::from_name(&name)
        .ok_or_else(|| bad(format!("messages[{index}].role is not one of {}", roles())))?;
    let content = content.filter(|content| content.get() != "null");
    let content =
        content.ok_or_else(|| bad(format!("messages[{index}] needs a 'content': a non-empty string")))?;
    if !content.get().starts_with('"') {
        let kind = kind(content);
        return Err(bad(format!("messages[{index}].content must be a non-empty string, not {kind}")));
    }
    let content: String = serde_json::from_str(content.get())
        .map_err(|error| bad(format!("messages[{index}].content cannot be read: {error}")))?;
    if content.is_empty() {
        return Err(bad(format!("messages[{index}].content is empty: send a non-empty string")));
    }
    Ok(Message { role, content })
}

/// An optional field; `null` counts as absent.
fn optional<T: DeserializeOwned>(
    name: &str,
    raw: Option<&RawValue>,
    accepted: &str,
) -> Result<Option<T>, ApiError> {
    raw.map_or(Ok(None), |raw| serde_json::from_str(raw.get()))
        .map_err(|_| bad(format!("'{name}' must be {accepted}")))
}

/// The fields of `object` that have these names; of one that stands twice the last, as in JavaScript.
fn object_fields<'a, const N: usize>(
    object: &'a RawValue,
    names: [&'static str; N],
) -> serde_json::Result<[Option<&'a RawValue>; N]> {
    serde_json::Deserializer::from_str(object.get()).deserialize_map(FieldPicker(names))
}

struct FieldPicker<const N: usize>([&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for FieldPicker<N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut fields = [None; N];
        while let Some(name) = entries.next_key::<Cow<'de, str>>()? {
            let position = self.0.iter().position(|known| **known == *name);
            match position.and_then(|position| fields.get_mut(position)) {
                Some(field) => *field = Some(entries.next_value()?),
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        Some(b'"') => "a string",
        Some(b'[') => "an array",
        Some(b'{') => "an object",
        _ => "a number",
    }
}

fn bad(message: impl Into<String>) -> ApiError {
    ApiError::BadRequest(message.into())
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

/// Who answers, as the end of an answer says it.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The provider's name.
    pub provider: &'static str,
    /// The model's id at that provider.
    pub model: String,
}

#[derive(Serialize)]
struct Piece<'a> {
    content: &'a str,
}

/// The last event of a stream, and the whole of an answer that is not streamed.
#[derive(Serialize)]
struct Whole<'a> {
    content: &'a str,
    finish_reason: &'static str,
    provider: &'static str,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct LateError<'a> {
    error: &'a str,
    provider: &'static str,
}

/// Encodes a streamed answer as SSE.
#[derive(Debug)]
pub struct SseEncoder {
    signature: Signature,
    usage: Option<Usage>,
}

impl SseEncoder {
    /// An encoder for an answer of `signature`.
    pub fn new(signature: Signature) -> Self {
        Self { signature, usage: None }
    }
}

impl Encode for SseEncoder {
    const CONTENT_TYPE: &'static str = "text/event-stream";
    const KEEP_ALIVE: Option<&'static [u8]> = Some(b": keep-alive\n");

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Text(text) => write_sse(out, &Piece { content: &text }),
            Event::Reasoning(_) => {}
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Finish(reason) => {
                write_sse(out, &whole("", reason, &self.signature, self.usage));
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
        }
    }

    fn interrupted(&mut self, interrupted: &Interrupted, out: &mut Vec<u8>) -> AfterFailure {
        let error = interrupted.to_string();
        write_sse(out, &LateError { error: &error, provider: self.signature.provider });
        AfterFailure::EndNormally
    }
}

/// Encodes a streamed answer as bare text.
#[derive(Debug)]
pub struct TextEncoder;

impl Encode for TextEncoder {
    const CONTENT_TYPE: &'static str = "text/plain; charset=utf-8";
    const KEEP_ALIVE: Option<&'static [u8]> = None;

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        if let Event::Text(text) = event {
            out.extend_from_slice(text.as_bytes());
        }
    }

    fn interrupted(&mut self, _: &Interrupted, _: &mut Vec<u8>) -> AfterFailure {
        // Bare text has no place for an error: only a connection that breaks can say it.
        AfterFailure::AbortConnection
    }
}

/// An answer that is not streamed, with its content type.
pub fn encode_whole(events: Vec<Event>, signature: &Signature, format: Format) -> (&'static str, Vec<u8>) {
    let mut text = String::new();
    let mut usage = None;
    let mut finish = FinishReason::Stop;
    for event in events {
        match event {
            Event::Text(piece) => text.push_str(&piece),
            Event::Reasoning(_) => {}
            Event::Usage(counts) => usage = Some(counts),
            Event::Finish(reason) => finish = reason,
        }
    }
    match format {
        Format::Text => (TextEncoder::CONTENT_TYPE, text.into_bytes()),
        Format::Json => {
            let mut body = Vec::with_capacity(text.len() + 256);
            json::write(&mut body, &whole(&text, finish, signature, usage));
            ("application/json", body)
        }
    }
}

fn whole<'a>(
    content: &'a str,
    finish: FinishReason,
    signature: &'a Signature,
    usage: Option<Usage>,
) -> Whole<'a> {
    Whole {
        content,
        finish_reason: finish.as_str(),
        provider: signature.provider,
        model: &signature.model,
        usage,
    }
}

fn write_sse(out: &mut Vec<u8>, value: &impl Serialize) {
    out.extend_from_slice(b"data: ");
    json::write(out, value);
    out.extend_from_slice(b"\n\n");
}

/// The body of an error.
#[derive(Serialize)]
struct ErrorBody {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptBody>>,
}

#[derive(Serialize)]
struct AttemptBody {
    provider: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

/// `error` as this surface says it: `{"error":"<sentence>"}`, for failed providers also `attempts`.
pub fn error_response(error: &ApiError) -> Response {
    let attempts = match error {
        ApiError::AllFailed(failed) => Some(failed.attempts.iter().map(|attempt| AttemptBody {
            provider: attempt.provider.name(),
            reason: attempt.reason.as_str(),
            status: attempt.status,
            retry_after_seconds: attempt.retry_after_seconds,
        })),
        _ => None,
    };
    let mut body = Vec::new();
    json::write(&mut body, &ErrorBody { error: error.message(), attempts: attempts.map(Iterator::collect) });
    let mut response = (error.status(), Body::from(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = error.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if matches!(error, ApiError::Unauthorized) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
