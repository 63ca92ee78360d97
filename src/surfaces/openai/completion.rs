//! A request for a completion, as parsed.

use std::sync::Arc;

use crate::middle::ChatRequest;

/// A valid request as its client meant it.
#[derive(Debug, PartialEq)]
pub struct Completion {
    /// The request in the words of the middle.
    pub request: Arc<ChatRequest>,
    /// `auto`, a provider, `provider/model`, or a model.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether a stream ends with its usage.
    pub include_usage: bool,
    /// Names of the fields that are ignored.
    pub ignored: Vec<String>,
}
