//! Google's dialect: `POST /v1beta/models/{model}:generateContent` and its relatives, `GET /v1beta/models`.

use std::sync::Arc;

use http::request::Parts;

use super::ask::Ask;
use super::author::Author;
use super::encode::{AfterFailure, Encode, Interrupted};
use super::error::ApiError;
use super::error_response::{Occasion, Response};
use super::fields::bad;
use super::media_type;
use super::names::{Choice, Names, refused};
use super::openai;
use crate::dispatch::Offered;
use crate::middle::{ChatRequest, Event, Feature};

/// A valid request as its client meant it.
#[derive(Debug)]
pub struct GenerateAsk {
    request: Arc<ChatRequest>,
}

impl Ask for GenerateAsk {
    type Encoder = Encoder;

    fn parse(_: &Parts, _: &[u8]) -> Result<Self, ApiError> {
        Err(bad("not yet"))
    }

    fn request(&mut self) -> &mut Arc<ChatRequest> {
        &mut self.request
    }

    fn is_stream(&self) -> bool {
        false
    }

    fn choice(&self, names: Names<'_>) -> Result<Choice, ApiError> {
        names.chosen("auto").map_err(|error| refused(names.offered, &error))
    }

    fn ignored(&self) -> &[String] {
        &[]
    }

    fn field(_: Feature) -> Option<&'static str> {
        None
    }

    fn encoder(&self, _: Author) -> Encoder {
        Encoder
    }

    fn encode_whole(&self, _: Vec<Event>, _: &Author) -> (&'static str, Vec<u8>) {
        (media_type::JSON, Vec::new())
    }
}

/// Writes a streamed answer.
#[derive(Debug)]
pub struct Encoder;

impl Encode for Encoder {
    fn content_type(&self) -> &'static str {
        media_type::EVENT_STREAM
    }

    fn keep_alive(&mut self, _: &mut Vec<u8>) {}

    fn framing(&self) -> usize {
        0
    }

    fn event(&mut self, _: Event, _: &mut Vec<u8>) {}

    fn taken_over(&mut self, _: Author) {}

    fn interrupted(&mut self, _: &Interrupted, _: &mut Vec<u8>) -> AfterFailure {
        AfterFailure::AbortConnection
    }
}

pub(crate) fn count_tokens(_: &Parts, _: &[u8], _: &super::memory::Memory<'_>) -> Result<Vec<u8>, ApiError> {
    Err(bad("not yet"))
}

pub(crate) fn list_models(offered: Offered<'_>) -> Vec<u8> {
    openai::list_models(offered)
}

pub(crate) fn show_model(offered: Offered<'_>, id: &str) -> Result<Vec<u8>, ApiError> {
    openai::show_model(offered, id)
}

pub(crate) fn error_response(error: &ApiError, _: Occasion<'_>) -> Response {
    openai::error_response(error)
}
