//! OpenAI's chat completions, for every client that speaks them: `POST /v1/chat/completions`, `GET /v1/models`.
//!
//! Every answer has one shape, whichever provider gave it: the union of what the clients insist on. In a stream the
//! role comes first; then text, thoughts (`reasoning_content`) and tool calls; a finish reason with an empty delta;
//! usage in a chunk without choices if the client asked for it; `[DONE]` only after a complete answer.
//!
//! Sources, checked 2026-11: the types of openai 3.54.0 (Python) and 7.57.0 (Node), and what these, groq 1.7.0,
//! cerebras-cloud-sdk 1.91.0 and the AI SDK's parsers accept.

mod completion;
mod encode;
mod errors;
mod features;
mod models;
mod parse;

use std::sync::Arc;

use http::request::Parts;

pub use self::completion::Completion;
use self::encode::Encoder;
pub(crate) use self::errors::error_response;
pub(super) use self::errors::kind_and_code;
pub(crate) use self::models::{list_models, show_model};
use super::ask::Ask;
use super::author::Author;
use super::error::ApiError;
use super::media_type;
use super::names::{Choice, Names, refused};
use crate::middle::{ChatRequest, Event, Feature};

impl Ask for Completion {
    type Encoder = Encoder;

    fn parse(_: &Parts, body: &[u8]) -> Result<Self, ApiError> {
        parse::parse(body)
    }

    fn request(&mut self) -> &mut Arc<ChatRequest> {
        &mut self.request
    }

    fn is_stream(&self) -> bool {
        self.stream
    }

    fn choice(&self, names: Names<'_>) -> Result<Choice, ApiError> {
        let target = names.pinned(&self.model).map(Choice::from);
        target.map_err(|error| refused(names.offered, &error))
    }

    fn ignored(&self) -> &[String] {
        &self.ignored
    }

    fn field(feature: Feature) -> Option<&'static str> {
        Some(features::field(feature))
    }

    fn encoder(&self, author: Author) -> Encoder {
        Encoder::new(author, self.include_usage)
    }

    fn encode_whole(&self, events: Vec<Event>, author: &Author) -> (&'static str, Vec<u8>) {
        (media_type::JSON, encode::whole(events, author))
    }
}
