//! What the providers say, byte by byte, as far as the faults need it.

use ai_proxy_free::internals::providers::{Dialect as Wire, ErrorForm, Provider};
use serde_json::{Value, json};

use crate::support::Step;

/// What one provider's events look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect(pub(super) Provider);

impl Dialect {
    fn chunk(self, delta: Value, finish: Option<&str>) -> Value {
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_764_000_000, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    }

    fn candidate(self, parts: Value, finish: Option<&str>) -> Value {
        let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
        if let Some(finish) = finish {
            candidate["finishReason"] = finish.into();
        }
        json!({"candidates": [candidate], "modelVersion": "m", "responseId": "r"})
    }

    /// A piece of text, as JSON.
    pub(super) fn text_json(self, text: &str) -> Value {
        match &self.0.profile().dialect {
            Wire::OpenAi(_) => self.chunk(json!({"content": text}), None),
            Wire::Gemini => self.candidate(json!([{"text": text}]), None),
        }
    }

    /// An event with a piece of text.
    pub(super) fn text(self, text: &str) -> Vec<u8> {
        event(&self.text_json(text))
    }

    /// The event with which an answer begins before it says anything.
    pub(super) fn opening(self) -> Vec<u8> {
        match &self.0.profile().dialect {
            Wire::OpenAi(_) => event(&self.chunk(json!({"role": "assistant", "content": ""}), None)),
            Wire::Gemini => self.text(""),
        }
    }

    /// The event that says that the answer is complete.
    pub(super) fn finish(self) -> Vec<u8> {
        self.finish_by(match &self.0.profile().dialect {
            Wire::OpenAi(_) => "stop",
            Wire::Gemini => "STOP",
        })
    }

    /// The event that says by this word that the answer has ended.
    pub(super) fn finish_by(self, word: &str) -> Vec<u8> {
        event(&match &self.0.profile().dialect {
            Wire::OpenAi(_) => self.chunk(json!({}), Some(word)),
            Wire::Gemini => self.candidate(json!([{"text": ""}]), Some(word)),
        })
    }

    /// The mark behind everything; nothing where there is none.
    pub(super) fn end_mark(self) -> Vec<u8> {
        match &self.0.profile().dialect {
            Wire::OpenAi(_) => b"data: [DONE]\n\n".to_vec(),
            Wire::Gemini => Vec::new(),
        }
    }

    /// An event that only counts tokens.
    pub(super) fn usage(self) -> Vec<u8> {
        event(&match &self.0.profile().dialect {
            Wire::OpenAi(_) => {
                json!({"id": "chatcmpl-1", "object": "chat.completion.chunk",
                "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}})
            }
            Wire::Gemini => json!({"usageMetadata":
                {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14}}),
        })
    }

    /// A whole stream of these pieces of text.
    pub(super) fn stream(self, pieces: &[&str]) -> Vec<u8> {
        let mut stream = self.opening();
        pieces.iter().for_each(|piece| stream.extend(self.text(piece)));
        [stream, self.finish(), self.end_mark()].concat()
    }

    /// An error with this HTTP status, in the provider's form; `code` is the word that explains it.
    pub(super) fn error(self, status: u16, code: &str, message: &str) -> Value {
        match &self.0.profile().dialect {
            Wire::OpenAi(quirks) => match quirks.errors {
                ErrorForm::Wrapped => {
                    json!({"error": {"message": message, "type": "api_error", "code": code}})
                }
                ErrorForm::Flat => {
                    json!({"message": message, "type": "api_error", "param": null, "code": code})
                }
            },
            Wire::Gemini => {
                let word = match status {
                    400 => "INVALID_ARGUMENT",
                    401 => "UNAUTHENTICATED",
                    403 => "PERMISSION_DENIED",
                    404 => "NOT_FOUND",
                    429 => "RESOURCE_EXHAUSTED",
                    503 => "UNAVAILABLE",
                    _ => "INTERNAL",
                };
                json!({"error": {"code": status, "message": message, "status": word}})
            }
        }
    }

    /// An error of too much to do, as it stands inside of a stream.
    pub(super) fn overloaded_in_stream(self) -> Value {
        match &self.0.profile().dialect {
            Wire::OpenAi(quirks) => match quirks.errors {
                ErrorForm::Wrapped => {
                    json!({"error": {"message": "Over capacity", "type": "internal_server_error", "status_code": 503}})
                }
                ErrorForm::Flat => {
                    json!({"error": {"message": "Over capacity", "type": "too_many_requests_error",
                    "code": "queue_exceeded"}, "status_code": 429})
                }
            },
            Wire::Gemini => self.error(503, "", "The model is overloaded."),
        }
    }
}

/// An event of `data`.
pub(super) fn event(data: &Value) -> Vec<u8> {
    format!("data: {data}\n\n").into_bytes()
}

/// The head of a stream of chunks.
pub(super) const CHUNKED_STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// `bytes` as a chunk.
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The chunk behind the last.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A stream's head and, in one chunk, its events; it has not ended.
pub(super) fn open_stream(events: &[u8]) -> Vec<u8> {
    [CHUNKED_STREAM.as_bytes(), &chunk(events)].concat()
}

/// A stream of chunks from head to end, in good order.
pub(super) fn whole_stream(events: &[u8]) -> Vec<Step> {
    vec![Step::Send([open_stream(events), LAST_CHUNK.to_vec()].concat())]
}

/// A response of known length; each of `headers` ends its line.
pub(super) fn response(status: u16, headers: &str, body: &[u8]) -> Vec<Step> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Whatever\r\n{headers}content-length: {length}\r\n\r\n");
    vec![Step::Send([head.as_bytes(), body].concat())]
}

/// A response of JSON.
pub(super) fn json_response(status: u16, headers: &str, body: &Value) -> Vec<Step> {
    response(status, &format!("content-type: application/json\r\n{headers}"), body.to_string().as_bytes())
}
