//! The dialects of clients. Each parses requests into the middle and writes events and errors; none knows a provider.

pub mod chat;
mod encode;
mod error;
mod error_response;
mod fields;
pub mod openai;

use axum::response::Response;
use http::{HeaderMap, Version};

use crate::dispatch::{Offered, Target};
use crate::middle::{ChatRequest, Event};
use crate::providers::Provider;

pub use self::encode::{AfterFailure, Encode, Interrupted};
pub use self::error::ApiError;

/// A client's dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// `/chat`, and whatever belongs to no other.
    Chat,
    /// OpenAI's, under `/v1` and `/openai/v1`.
    OpenAi,
}

impl Surface {
    /// `error` as clients of this dialect expect it.
    pub fn error_response(self, error: &ApiError) -> Response {
        match self {
            Self::Chat => chat::error_response(error),
            Self::OpenAi => openai::error_response(error),
        }
    }
}

/// A valid request as its client meant it, and how its answer is to be written.
pub trait Call: Sized + Send + 'static {
    /// Writes a streamed answer.
    type Encoder: Encode;

    /// Reads a request.
    ///
    /// # Errors
    /// Whatever the client did wrong, with its place and what is accepted.
    fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiError>;

    /// What is asked.
    fn request(&mut self) -> &mut ChatRequest;

    /// Whether the answer is to come piece by piece, over this version of HTTP.
    fn is_stream(&self, version: Version) -> bool;

    /// Who may answer.
    ///
    /// # Errors
    /// There is no such provider or model; what there is.
    fn target(&self, offered: Offered<'_>) -> Result<Target, ApiError>;

    /// Names of fields that nobody here takes any notice of.
    fn ignored(&self) -> &[String];

    /// The writer of a streamed answer of `author`.
    fn encoder(&self, author: Author) -> Self::Encoder;

    /// An answer that is not streamed, with its content type.
    fn encode_whole(&self, events: Vec<Event>, author: &Author) -> (&'static str, Vec<u8>);
}

/// Who answers, and what with.
#[derive(Clone, Debug)]
pub struct Author {
    /// The provider.
    pub provider: Provider,
    /// The model's id at that provider.
    pub model: String,
    /// The id of the request.
    pub request_id: String,
    /// When the answer began, in seconds since 1970.
    pub created: i64,
}
