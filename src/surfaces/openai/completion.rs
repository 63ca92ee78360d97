//! A request for a completion, as parsed.

use crate::middle::ChatRequest;

/// A valid request as its client meant it.
#[derive(Debug, PartialEq)]
pub struct Completion {
    /// What is asked.
    pub request: ChatRequest,
    /// `auto`, a provider, `provider/model`, or a model.
    pub model: String,
    /// Whether the answer is to come piece by piece.
    pub stream: bool,
    /// Whether a stream ends with what it has cost.
    pub include_usage: bool,
    /// Names of fields that nobody here takes any notice of.
    pub ignored: Vec<String>,
}
