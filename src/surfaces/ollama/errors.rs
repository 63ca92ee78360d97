//! Errors in Ollama's form: `{"error":"…"}`, with a status before the answer, as a line within it.

use serde::Serialize;

use crate::surfaces::encode::Interrupted;
use crate::surfaces::error::ApiError;
use crate::surfaces::error_response::{AttemptBody, Response, attempts, response};
use crate::wire::json;

/// Why nothing makes vectors of texts here.
pub(crate) const NO_EMBEDDINGS: &str = "There are no embeddings here: no provider is asked for any. /api/chat and /api/generate answer \
                                        questions";

/// Why nothing is done to models here.
pub(crate) const NO_MANAGEMENT: &str = "Models cannot be pulled, made, copied or deleted here: they are their providers'. GET /api/tags \
                                        lists those that there are, and each is ready";

#[derive(Serialize)]
pub(super) struct ErrorBody {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptBody>>,
}

/// The error of an answer that breaks off.
pub(super) fn late(interrupted: &Interrupted) -> ErrorBody {
    ErrorBody { error: interrupted.to_string(), attempts: None }
}

/// `error` as this surface says it; for failed providers also `attempts`, as `/chat` has them.
pub(crate) fn error_response(error: &ApiError) -> Response {
    let message = match error {
        ApiError::NotFound { asked, there_are } => {
            format!("Not Found: there is no {asked}. There are: {}", there_are.join(", "))
        }
        _ => error.message(),
    };
    response(error, json::to_vec(&ErrorBody { error: message, attempts: attempts(error) }))
}
