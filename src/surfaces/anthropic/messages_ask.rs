//! A request for a message, as parsed.

use std::sync::Arc;

use crate::middle::ChatRequest;

/// A valid request as its client meant it.
#[derive(Debug, PartialEq)]
pub struct MessagesAsk {
    /// The request in the words of the middle.
    pub request: Arc<ChatRequest>,
    /// The name by which the client asks for a model; `auto` if it gives none.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Names of the fields, and of the kinds of blocks and tools, that are ignored.
    pub ignored: Vec<String>,
}
