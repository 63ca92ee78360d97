//! Errors in Google's form: `{"error":{"code","message","status","details"}}`.
//!
//! The SDKs choose an exception by the code and show the message. Gemini CLI also reads two of Google's details: how long to
//! wait, and whether a day's quota is used up, after which it does not ask again.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::surfaces::encode::Interrupted;
use crate::surfaces::error::ApiError;
use crate::surfaces::error_response::{AttemptBody, Occasion, Response, attempts, response};
use crate::wire::json;

/// A longer wait is one for another day's quota.
const LONGEST_WAIT_SECONDS: u64 = 300;

#[derive(Serialize)]
pub(super) struct ErrorBody {
    error: Inner,
}

#[derive(Serialize)]
struct Inner {
    code: u16,
    message: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptBody>>,
}

/// The error of an answer that breaks off.
pub(super) fn late(interrupted: &Interrupted) -> ErrorBody {
    let code = StatusCode::SERVICE_UNAVAILABLE;
    let (message, status) = (interrupted.to_string(), status_word(code));
    ErrorBody { error: Inner { code: code.as_u16(), message, status, details: Vec::new(), attempts: None } }
}

/// `error` as this surface says it; for failed providers also `attempts`, as `/chat` has them.
pub(crate) fn error_response(error: &ApiError, _: Occasion<'_>) -> Response {
    let message = match error {
        ApiError::NotFound { asked, there_are } => {
            format!("Not Found: there is no {asked}. There are: {}", there_are.join(", "))
        }
        _ => error.message(),
    };
    let code = error.status();
    let details = if code == StatusCode::TOO_MANY_REQUESTS { waiting(error) } else { Vec::new() };
    let (code, status) = (code.as_u16(), status_word(code));
    response(
        error,
        json::to_vec(&ErrorBody {
            error: Inner { code, message, status, details, attempts: attempts(error) },
        }),
    )
}

/// How long to wait, and that it is a day's quota if that is long.
fn waiting(error: &ApiError) -> Vec<Value> {
    let seconds = error.retry_after_seconds();
    let retry = seconds.map(|seconds| {
        json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")})
    });
    let is_long = seconds.is_some_and(|seconds| seconds > LONGEST_WAIT_SECONDS);
    let quota = is_long.then(|| {
        json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": "FreeTierRequestsPerDay"}]})
    });
    quota.into_iter().chain(retry).collect()
}

fn status_word(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        StatusCode::FORBIDDEN => "PERMISSION_DENIED",
        StatusCode::NOT_FOUND => "NOT_FOUND",
        StatusCode::TOO_MANY_REQUESTS => "RESOURCE_EXHAUSTED",
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE",
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => "DEADLINE_EXCEEDED",
        StatusCode::METHOD_NOT_ALLOWED => "UNIMPLEMENTED",
        status if status.is_client_error() => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}
