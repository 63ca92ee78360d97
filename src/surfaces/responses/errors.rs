//! Errors in OpenAI's form: `{"error":{"message","type","param","code"}}`, and those that Codex needs.
//!
//! Codex reads statuses and codes of its own. It repeats a 500 or a 502 thirty times whatever else is said, and waits as
//! long as `Retry-After` says.

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::features;
use crate::dispatch::Verdict;
use crate::surfaces::error::ApiError;
use crate::surfaces::error_response::{AttemptBody, Occasion, Response, attempts, response};
use crate::surfaces::openai;
use crate::wire::json;

/// Codex may wait as long by itself.
const LONGEST_WAIT_SECONDS: u64 = 60;

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptBody>>,
}

/// `error` as this surface says it.
pub(crate) fn error_response(error: &ApiError) -> Response {
    let (kind, code) = kind_and_code(error);
    response(error, body(error, kind, code, None))
}

fn body(error: &ApiError, kind: &'static str, code: Option<&'static str>, resets_at: Option<i64>) -> Vec<u8> {
    let message = match error {
        ApiError::NotFound { asked, there_are } => {
            format!("Not Found: there is no {asked}. There are: {}", there_are.join(", "))
        }
        _ => error.message(),
    };
    let param = match error {
        ApiError::InvalidField { param, .. } => Some(param.as_str()),
        ApiError::UnknownModel(_) => Some("model"),
        ApiError::UnknownPrevious(_) => Some("previous_response_id"),
        ApiError::Incapable(incapable) => incapable.common_lack().map(features::field_of_lack),
        _ => None,
    };
    let inner = Inner { message: &message, r#type: kind, param, code, resets_at, attempts: attempts(error) };
    json::to_vec(&ErrorBody { error: inner })
}

fn kind_and_code(error: &ApiError) -> (&'static str, Option<&'static str>) {
    const REQUEST: &str = "invalid_request_error";
    match error {
        ApiError::UnknownPrevious(_) => (REQUEST, Some("previous_response_not_found")),
        ApiError::AllFailed(failed)
            if failed.too_long.is_some() && error.status() == StatusCode::BAD_REQUEST =>
        {
            (REQUEST, Some("context_length_exceeded"))
        }
        _ => openai::kind_and_code(error),
    }
}

/// `error` as Codex needs it, lest it repeats in vain.
pub(crate) fn error_response_for_codex(error: &ApiError, occasion: Occasion<'_>) -> Response {
    if let Some(wait) = spent_quota(error) {
        let resets_at = wait.map(|seconds| {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            occasion.now().as_second().saturating_add(seconds)
        });
        let kind = "usage_limit_reached";
        return without_wait(response(error, body(error, kind, Some(kind), resets_at)));
    }
    if error.status().is_server_error() {
        let code = Some("server_is_overloaded");
        let mut response = without_wait(response(error, body(error, "server_error", code, None)));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    }
    error_response(error)
}

/// If every provider is at a limit for longer than Codex may wait: for how long, as far as that is known.
fn spent_quota(error: &ApiError) -> Option<Option<u64>> {
    let ApiError::AllFailed(failed) = error else { return None };
    let wait = failed.retry_after_seconds;
    let is_short = wait.is_some_and(|seconds| seconds <= LONGEST_WAIT_SECONDS);
    (failed.verdict() == Verdict::Limited && !is_short).then_some(wait)
}

/// Codex sleeps as long as it is told to, even for hours.
fn without_wait(mut response: Response) -> Response {
    response.headers_mut().remove(RETRY_AFTER);
    response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
    response
}
