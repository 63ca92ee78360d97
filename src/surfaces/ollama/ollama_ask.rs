//! A request for an answer, as parsed.

use std::sync::Arc;

use tokio::time::Instant;

use crate::middle::ChatRequest;

/// A valid request as its client meant it.
#[derive(Debug)]
pub struct OllamaAsk {
    /// The request in the words of the middle.
    pub request: Arc<ChatRequest>,
    /// `auto`, a provider, `provider/model`, or a model.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Where an answer has its text.
    pub form: Form,
    /// Whether it asks nothing: Ollama's clients have a model loaded so before they need it. The question in `request` is
    /// empty then, and nobody is asked it.
    pub is_load: bool,
    /// When it was read.
    pub received: Instant,
    /// Names of the fields that are ignored.
    pub ignored: Vec<String>,
}

/// Where an answer has its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In a message, as `/api/chat` has it.
    Message,
    /// In `response`, as `/api/generate` has it.
    Response,
}
