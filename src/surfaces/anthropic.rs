//! Anthropic's messages, for every client that speaks them: `POST /v1/messages`, `POST /v1/messages/count_tokens`,
//! `GET /v1/models`.
//!
//! A stream is a sequence of blocks, one after the other and numbered without gaps: thoughts if the client wants to see
//! them, text, and calls of tools. A block begins with the first of what it holds, so no block is empty.
//!
//! Sources, checked 2026-11: the types and stream helpers of anthropic 2.14.0 (Python) and 1.14.0 (Node), and what Claude
//! Code 2.1 sends and reads.

mod encode;
mod errors;
mod features;
mod messages_ask;
mod models;
mod parse;
mod usage;
mod whole;

use std::sync::Arc;

use http::request::Parts;
use serde::Serialize;

use self::encode::Encoder;
pub(crate) use self::errors::error_response;
pub use self::messages_ask::MessagesAsk;
pub(crate) use self::models::{list_models, show_model};
use super::ask::Ask;
use super::author::Author;
use super::error::ApiError;
use super::media_type;
use super::names::{Choice, Names, refused};
use crate::dispatch::estimated_tokens;
use crate::middle::{ChatRequest, Event, Feature};
use crate::wire::json;

impl Ask for MessagesAsk {
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
        names.chosen(&self.model).map_err(|error| refused(names.offered, &error))
    }

    fn ignored(&self) -> &[String] {
        &self.ignored
    }

    fn field(feature: Feature) -> Option<&'static str> {
        features::field(feature)
    }

    fn encoder(&self, author: Author) -> Encoder {
        Encoder::new(&author, estimated_tokens(&self.request), self.request.wants_thoughts)
    }

    fn encode_whole(&self, events: Vec<Event>, author: &Author) -> (&'static str, Vec<u8>) {
        let body =
            whole::whole(events, author, self.request.wants_thoughts, || estimated_tokens(&self.request));
        (media_type::JSON, body)
    }
}

/// The body of `POST /v1/messages/count_tokens`: an estimate, for no provider is asked.
///
/// # Errors
/// What is wrong with the request, as if it was to be answered.
pub(crate) fn count_tokens(_: &Parts, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    #[derive(Serialize)]
    struct Count {
        input_tokens: u64,
    }
    let ask = parse::parse(body)?;
    Ok(json::to_vec(&Count { input_tokens: estimated_tokens(&ask.request) }))
}
