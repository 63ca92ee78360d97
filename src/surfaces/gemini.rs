//! Google's dialect, for every client that speaks it: `POST /v1beta/models/{model}:generateContent`,
//! `:streamGenerateContent` and `:countTokens`, and `GET /v1beta/models`.
//!
//! Its clients take a chunk without parts for the end of the answer and forget the whole turn, so every chunk has a part,
//! the last one too. There is nothing in the dialect that could keep a silent connection alive.
//!
//! Sources, checked 2026-11: the types of google-genai 3.6.1 (Python) and 3.3.0 (Node), and what Gemini CLI 0.61 sends and
//! reads.

mod answer;
mod encode;
mod errors;
mod features;
mod generate_ask;
mod models;
mod parse;

use std::sync::Arc;

use http::request::Parts;
use serde::Serialize;

use self::encode::Encoder;
pub(crate) use self::errors::error_response;
pub use self::generate_ask::GenerateAsk;
pub(crate) use self::models::{list_models, show_model};
use super::ask::Ask;
use super::author::Author;
use super::error::ApiError;
use super::media_type;
use super::names::{Choice, Names, refused};
use crate::dispatch::estimated_tokens;
use crate::middle::{ChatRequest, Event, Feature};
use crate::wire::json;

impl Ask for GenerateAsk {
    type Encoder = Encoder;

    fn parse(head: &Parts, body: &[u8]) -> Result<Self, ApiError> {
        parse::parse(&head.uri, body)
    }

    fn request(&mut self) -> &mut Arc<ChatRequest> {
        &mut self.request
    }

    fn is_stream(&self) -> bool {
        self.form.is_stream()
    }

    fn choice(&self, names: Names<'_>) -> Result<Choice, ApiError> {
        names.chosen(&self.model).map_err(|error| refused(names.offered, &error))
    }

    fn ignored(&self) -> &[String] {
        &self.ignored
    }

    fn field(feature: Feature) -> Option<&'static str> {
        features::field(feature)
    }

    fn encoder(&self, author: Author) -> Encoder {
        Encoder::new(author, self.form, self.request.wants_thoughts)
    }

    fn encode_whole(&self, events: Vec<Event>, author: &Author) -> (&'static str, Vec<u8>) {
        (media_type::JSON, answer::whole(events, author, self.request.wants_thoughts))
    }
}

/// The body of `POST /v1beta/models/{model}:countTokens`: an estimate, for no provider is asked.
///
/// # Errors
/// What is wrong with the request, as if it was to be answered.
pub(crate) fn count_tokens(head: &Parts, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Count {
        total_tokens: u64,
    }
    let ask = parse::parse_count(&head.uri, body)?;
    Ok(json::to_vec(&Count { total_tokens: estimated_tokens(&ask.request) }))
}
