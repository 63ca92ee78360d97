//! The dialects of clients. Each parses requests into the middle and writes events and errors; none knows a provider.

mod ask;
pub mod chat;
mod encode;
mod error;
mod error_response;
mod fields;
pub mod openai;

use axum::response::Response;

pub use self::ask::{Ask, Author};
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
