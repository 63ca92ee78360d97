//! A client's request as parsed, whatever its dialect.

use std::sync::Arc;

use http::request::Parts;
use jiff::Timestamp;

use super::author::Author;
use super::encode::Encode;
use super::error::ApiError;
use super::memory::Memory;
use super::names::{Choice, Names};
use crate::middle::{ChatRequest, Event, Feature};

/// A valid request as its client meant it, and how its answer is to be written.
pub trait Ask: Sized + Send + 'static {
    /// Writes a streamed answer.
    type Encoder: Encode;

    /// Reads a request.
    ///
    /// # Errors
    /// What the client did wrong, where, and what is accepted.
    fn parse(head: &Parts, body: &[u8]) -> Result<Self, ApiError>;

    /// The ids of stored answers that the request refers to and that are not here, but may be with other instances.
    fn absent(&self, _memory: &Memory<'_>) -> Vec<String> {
        Vec::new()
    }

    /// How many bytes the request refers to and does not have with it, at most: memory that [`recall`](Self::recall) needs.
    fn referred_bytes(&self, _memory: &Memory<'_>) -> usize {
        0
    }

    /// Fills in what the request, which was parsed from `body`, refers to and does not have with it, such as an earlier
    /// answer. It runs once, before anything else is asked.
    ///
    /// # Errors
    /// It refers to what is not there.
    fn recall(&mut self, _body: &[u8], _memory: &Memory<'_>) -> Result<(), ApiError> {
        Ok(())
    }

    /// The request in the words of the middle.
    fn request(&mut self) -> &mut Arc<ChatRequest>;

    /// Whether the answer is to be streamed.
    fn is_stream(&self) -> bool;

    /// Who may answer.
    ///
    /// # Errors
    /// The provider or model does not exist; the error lists those that do.
    fn choice(&self, names: Names<'_>) -> Result<Choice, ApiError>;

    /// The answer to a request for which no model is needed, with its content type; `clock` tells the time.
    fn at_once(&self, _clock: &dyn Fn() -> Timestamp) -> Option<(&'static str, Vec<u8>)> {
        None
    }

    /// Names of the fields that are ignored.
    fn ignored(&self) -> &[String];

    /// What this dialect calls a feature; `None` if it cannot ask for it.
    fn field(feature: Feature) -> Option<&'static str>;

    /// The writer of a streamed answer of `author`.
    fn encoder(&self, author: Author) -> Self::Encoder;

    /// An answer that is not streamed, with its content type.
    fn encode_whole(&self, events: Vec<Event>, author: &Author) -> (&'static str, Vec<u8>);
}
