//! Ollama's dialect, for programs that know a server of models only by that name: `POST /api/chat` and `/api/generate`,
//! `GET /api/tags`, `/api/version` and `/api/ps`, and `POST /api/show`.
//!
//! Answers are streamed unless the client says otherwise, one JSON object a line. A call stands whole in one line.
//!
//! Sources, checked 2026-11: the types of ollama 0.6.3 (Python), and what it sends and accepts.

mod answer;
mod encode;
mod errors;
mod features;
mod greeting;
mod models;
mod ollama_ask;
mod parse;

use std::sync::Arc;

use http::request::Parts;
use jiff::Timestamp;

use self::encode::Encoder;
pub(crate) use self::errors::{NO_EMBEDDINGS, NO_MANAGEMENT, error_response};
pub(crate) use self::greeting::{GREETING, wants_greeting};
pub(crate) use self::models::{list_models, running, show_model, version};
pub use self::ollama_ask::OllamaAsk;
pub(crate) use self::parse::model_in;
use super::ask::Ask;
use super::author::Author;
use super::error::ApiError;
use super::media_type;
use super::names::{Choice, Names, refused};
use crate::middle::{ChatRequest, Event, Feature};

impl Ask for OllamaAsk {
    type Encoder = Encoder;

    fn parse(head: &Parts, body: &[u8]) -> Result<Self, ApiError> {
        parse::parse(head.uri.path(), body)
    }

    fn request(&mut self) -> &mut Arc<ChatRequest> {
        &mut self.request
    }

    fn is_stream(&self) -> bool {
        self.stream
    }

    fn choice(&self, names: Names<'_>) -> Result<Choice, ApiError> {
        names.chosen(&self.model).map_err(|error| refused(names.offered, &error))
    }

    fn at_once(&self, clock: &dyn Fn() -> Timestamp) -> Option<(&'static str, Vec<u8>)> {
        self.is_load.then(|| (media_type::JSON, answer::loaded(self, clock())))
    }

    fn ignored(&self) -> &[String] {
        &self.ignored
    }

    fn field(feature: Feature) -> Option<&'static str> {
        features::field(feature)
    }

    fn encoder(&self, author: Author) -> Encoder {
        Encoder::new(self, &author)
    }

    fn encode_whole(&self, events: Vec<Event>, author: &Author) -> (&'static str, Vec<u8>) {
        (media_type::JSON, answer::whole(self, events, author))
    }
}
