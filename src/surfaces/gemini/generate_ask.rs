//! A request for an answer, as parsed.

use std::sync::Arc;

use crate::middle::ChatRequest;

/// A valid request as its client meant it.
#[derive(Debug, PartialEq)]
pub struct GenerateAsk {
    /// The request in the words of the middle.
    pub request: Arc<ChatRequest>,
    /// `auto`, a provider, `provider/model`, or a model.
    pub model: String,
    /// How the answer is to be written.
    pub form: Form,
    /// Names of the fields that are ignored.
    pub ignored: Vec<String>,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In one piece.
    Whole,
    /// As events, for clients that ask with `alt=sse`.
    Events,
    /// As the elements of one JSON array, for all others.
    Array,
}

impl Form {
    /// Whether it is streamed.
    pub(super) fn is_stream(self) -> bool {
        self != Self::Whole
    }
}
