//! Errors in Anthropic's form: `{"type":"error","error":{"type","message"},"request_id"}`.
//!
//! The SDKs choose an exception by the status and show the message. Claude Code reads more out of both: see
//! [`too_long`]. Never a 529: it is repeated whatever else is said.

use http::StatusCode;
use serde::Serialize;

use crate::dispatch::TooLong;
use crate::providers::Lack;
use crate::surfaces::encode::Interrupted;
use crate::surfaces::error::ApiError;
use crate::surfaces::error_response::{AttemptBody, Occasion, Response, attempts, response};
use crate::wire::json;

#[derive(Serialize)]
pub(super) struct ErrorBody<'a> {
    r#type: &'static str,
    error: Inner<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Inner<'a> {
    r#type: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptBody>>,
}

/// What the SDKs act upon.
#[derive(Serialize)]
struct Details {
    error_code: &'static str,
    unsupported: [&'static str; 1],
}

/// Told so, the SDKs' own loops over tools go on without a thread and send the whole conversation.
const NO_THREADS: Details = Details { error_code: "thread_unsupported_request", unsupported: [THREAD] };

/// The field that asks for one.
const THREAD: &str = "thread";

/// The error of an answer that breaks off, which says this `message`.
pub(super) fn late<'a>(interrupted: &Interrupted, message: &'a str) -> ErrorBody<'a> {
    let kind = match interrupted {
        Interrupted::Provider { .. } | Interrupted::Everybody(_) => "api_error",
        Interrupted::ShuttingDown => "overloaded_error",
    };
    let error = Inner { r#type: kind, message, details: None, attempts: None };
    ErrorBody { r#type: "error", error, request_id: None }
}

/// `error` as this surface says it; for failed providers also `attempts`, as `/chat` has them.
pub(crate) fn error_response(error: &ApiError, occasion: Occasion<'_>) -> Response {
    let message = message(error);
    let details =
        matches!(error, ApiError::InvalidField { param, .. } if param == THREAD).then_some(NO_THREADS);
    let inner = Inner { r#type: kind(error), message: &message, details, attempts: attempts(error) };
    let request_id = Some(occasion.request_id);
    response(error, json::to_vec(&ErrorBody { r#type: "error", error: inner, request_id }))
}

fn message(error: &ApiError) -> String {
    match error {
        ApiError::NotFound { asked, there_are } => {
            let advice = if asked.contains("/v1/v1") { TWICE } else { "" };
            format!("Not Found: there is no {asked}.{advice} There are: {}", there_are.join(", "))
        }
        ApiError::Incapable(incapable) => {
            let window = incapable.common_lack() == Some(Lack::Window);
            too_long(incapable.too_long.filter(|_| window)).unwrap_or_else(|| error.message())
        }
        ApiError::AllFailed(failed) => too_long(failed.too_long).unwrap_or_else(|| error.message()),
        _ => error.message(),
    }
}

/// The sentence by which Claude Code knows that the conversation must be shorter: it has it summed up and asks again. It
/// reads no other words.
fn too_long(figures: Option<TooLong>) -> Option<String> {
    let figures = figures?;
    let (TooLong { tokens, most, .. }, said) = (figures, figures.to_string());
    Some(format!("prompt is too long: {tokens} tokens > {most} maximum. {said}"))
}

/// Anthropic's clients add `/v1` by themselves, and OpenAI's do not.
const TWICE: &str = " The base URL ends in /v1, and the client adds /v1/messages to it: leave /v1 out of the base URL \
                     (ANTHROPIC_BASE_URL).";

fn kind(error: &ApiError) -> &'static str {
    match error {
        ApiError::NoKeys(_) | ApiError::Internal => "api_error",
        _ => match error.status() {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::NOT_FOUND => "not_found_error",
            StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => "timeout_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "api_error",
        },
    }
}
