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

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use serde_json::{Map, Value};

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
/// # Errors
/// [`ApiError::BadRequest`] naming what is wrong, where, and what is accepted.
pub fn parse(body: &[u8]) -> Result<ChatCall, ApiError> {
    let mut object = parse_object(body)?;
    let Some(Value::Array(items)) = object.remove("messages") else {
        return Err(bad("Request must include 'messages' array"));
    };
    let messages = items.into_iter().enumerate().map(|(index, item)| parse_message(index, item));
    let messages = messages.collect::<Result<_, _>>()?;
    let mut request = ChatRequest::new(messages)
        .ok_or_else(|| bad("'messages' is empty: send at least one {\"role\",\"content\"}"))?;
    request.temperature = field(&mut object, "temperature", "a number from 0 to 2", |value| {
        value.as_f64().filter(|number| (0.0..=2.0).contains(number))
    })?;
    request.max_tokens = field(&mut object, "max_tokens", "a whole number of at least 1", |value| {
        value.as_u64().filter(|number| *number > 0).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    })?;
    let stream = field(&mut object, "stream", "true or false", Value::as_bool)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(ChatCall {
        request,
        stream: stream.unwrap_or(true),
        provider: field(&mut object, "provider", "the name of a provider, a string", text)?,
        model: field(&mut object, "model", "the id of a model, a string", text)?,
    })
}

fn parse_object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let value = serde_json::from_slice(body)
        .map_err(|error| bad(format!("Request body is not valid JSON: {error}")))?;
    match value {
        Value::Object(object) => Ok(object),
        other => Err(bad(format!("Request body must be a JSON object, not {}", kind(&other)))),
    }
}

fn parse_message(index: usize, item: Value) -> Result<Message, ApiError> {
    let Value::Object(mut item) = item else {
        return Err(bad(format!(
            "messages[{index}] must be an object with 'role' and 'content', not {}",
            kind(&item)
        )));
    };
    let roles = || Role::ALL.map(|role| format!("'{}'", role.as_str())).join(", ");
    let role = match item.get("role") {
        Some(Value::String(name)) => Role::from_name(name),
        _ => {
            return Err(bad(format!("messages[{index}] needs a 'role': one of {}", roles())));
        }
    };
    let role = role.ok_or_else(|| bad(format!("messages[{index}].role is not one of {}", roles())))?;
    match item.remove("content") {
        Some(Value::String(content)) if !content.is_empty() => Ok(Message { role, content }),
        Some(Value::String(_)) => {
            Err(bad(format!("messages[{index}].content is empty: send a non-empty string")))
        }
        None | Some(Value::Null) => {
            Err(bad(format!("messages[{index}] needs a 'content': a non-empty string")))
        }
        Some(other) => {
            Err(bad(format!("messages[{index}].content must be a non-empty string, not {}", kind(&other))))
        }
    }
}

/// An optional field; `null` counts as absent.
fn field<T>(
    object: &mut Map<String, Value>,
    name: &str,
    accepted: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(&value).map(Some).ok_or_else(|| bad(format!("'{name}' must be {accepted}"))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
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
