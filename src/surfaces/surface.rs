//! Which dialect a client speaks.

use http::HeaderMap;

use super::error::ApiError;
use super::error_response::{Occasion, Response};
use super::{anthropic, chat, gemini, ollama, openai, responses};

/// A client's dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    /// `/chat`, and every path that belongs to no other surface.
    Chat,
    /// OpenAI's chat completions, under `/v1` and `/openai/v1`.
    OpenAi,
    /// Anthropic's messages, under `/v1/messages`.
    Anthropic,
    /// OpenAI's responses, under `/v1/responses`.
    Responses,
    /// The same for Codex, which repeats a failed request up to thirty times unless the error is one of its own.
    Codex,
    /// Google's, under `/v1beta`.
    Gemini,
    /// Ollama's, under `/api`.
    Ollama,
}

impl Surface {
    /// Its name in the log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Responses | Self::Codex => "responses",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// The same dialect as the client that sends these headers needs it.
    pub(crate) fn for_client(self, headers: &HeaderMap) -> Self {
        let is_codex = || {
            let originator = headers.get("originator").map(http::HeaderValue::as_bytes);
            originator.is_some_and(|name| name.to_ascii_lowercase().starts_with(b"codex"))
        };
        match self {
            Self::Responses if is_codex() => Self::Codex,
            // Both families of clients ask for the list at the same path.
            Self::OpenAi if headers.contains_key("anthropic-version") => Self::Anthropic,
            _ => self,
        }
    }

    /// `error` as clients of this dialect expect it.
    pub(crate) fn error_response(self, error: &ApiError, occasion: Occasion<'_>) -> Response {
        match self {
            Self::Chat => chat::error_response(error),
            Self::OpenAi => openai::error_response(error),
            Self::Anthropic => anthropic::error_response(error, occasion),
            Self::Responses => responses::error_response(error),
            Self::Codex => responses::error_response_for_codex(error, occasion),
            Self::Gemini => gemini::error_response(error, occasion),
            Self::Ollama => ollama::error_response(error),
        }
    }
}
