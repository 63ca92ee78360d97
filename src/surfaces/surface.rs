//! Which dialect a client speaks.

use super::error::ApiError;
use super::error_response::Response;
use super::{chat, openai};

/// A client's dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    /// `/chat`, and every path that belongs to no other surface.
    Chat,
    /// OpenAI's, under `/v1` and `/openai/v1`.
    OpenAi,
}

impl Surface {
    /// Its name in the log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::OpenAi => "openai",
        }
    }

    /// `error` as clients of this dialect expect it.
    pub(crate) fn error_response(self, error: &ApiError) -> Response {
        match self {
            Self::Chat => chat::error_response(error),
            Self::OpenAi => openai::error_response(error),
        }
    }
}
