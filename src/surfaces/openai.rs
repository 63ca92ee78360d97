//! OpenAI's chat completions, for whoever has a client for them: `POST /v1/chat/completions`, `GET /v1/models`.
//!
//! Every answer has one shape, whoever gave it: the union of what the clients insist on. In a stream the role comes first;
//! then text, thoughts (`reasoning_content`) and calls of tools; a finish reason with an empty delta; usage in a chunk
//! without choices if it was asked for; `[DONE]` only after a complete answer.
//!
//! Sources, checked 2026-11: the types of openai 3.54.0 (Python) and 7.57.0 (Node), and what these, groq 1.7.0,
//! cerebras-cloud-sdk 1.91.0 and the AI SDK's parsers accept.

mod encode;
mod errors;
mod models;
mod parse;

use http::{HeaderMap, Version};

pub use self::encode::Encoder;
pub use self::errors::error_response;
pub use self::models::{list_models, show_model};
use super::{Author, Call};
use crate::dispatch::{Offered, Target, UnknownTarget};
use crate::middle::{ChatRequest, Event};
use crate::surfaces::ApiError;

/// The model that means whoever is next.
const AUTO: &str = "auto";

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

impl Call for Completion {
    type Encoder = Encoder;

    fn parse(_: &HeaderMap, body: &[u8]) -> Result<Self, ApiError> {
        parse::parse(body)
    }

    fn request(&mut self) -> &mut ChatRequest {
        &mut self.request
    }

    fn is_stream(&self, _: Version) -> bool {
        self.stream
    }

    fn target(&self, offered: Offered<'_>) -> Result<Target, ApiError> {
        target(offered, &self.model)
    }

    fn ignored(&self) -> &[String] {
        &self.ignored
    }

    fn encoder(&self, author: Author) -> Encoder {
        Encoder::new(author, self.include_usage)
    }

    fn encode_whole(&self, events: Vec<Event>, author: &Author) -> (&'static str, Vec<u8>) {
        ("application/json", encode::whole(events, author))
    }
}

/// Who may answer for `model`: everybody for `auto`, one provider by its name in any case, one of its models after its
/// name and a slash, or whoever has a model of that id.
fn target(offered: Offered<'_>, model: &str) -> Result<Target, ApiError> {
    let attempt = |provider, model| offered.target(provider, model);
    let found = if model.eq_ignore_ascii_case(AUTO) {
        attempt(None, None)
    } else {
        let after_slash = |_: UnknownTarget| match model.split_once('/') {
            Some((provider, model)) => attempt(Some(provider), Some(model)),
            None => attempt(None, Some(model)),
        };
        // Some models have a slash in their own ids.
        attempt(Some(model), None).or_else(after_slash).or_else(|_| attempt(None, Some(model)))
    };
    found.map_err(|error| unknown(offered, error.name()))
}

/// There is no such `model`; cut to a readable length.
fn unknown(offered: Offered<'_>, model: &str) -> ApiError {
    let known = models::ids(offered);
    ApiError::UnknownModel(format!("The model '{model}' does not exist. There are: {}", known.join(", ")))
}
