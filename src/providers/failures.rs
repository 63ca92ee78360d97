//! What an error answer means, as far as all providers agree. What only one says stands in its dialect.

use http::HeaderMap;

use super::error_body::ErrorBody;
use super::waits;
use crate::failure::{Diagnosis, Reason, Scope, Wait};

/// Reads status, headers and body by the rules that all share.
///
/// `is_daily` says whether a refusal for its limit is one of a whole day.
pub(super) fn diagnose(status: u16, headers: &HeaderMap, error: &ErrorBody, is_daily: bool) -> Diagnosis {
    let (reason, scope) = classify(status, error, is_daily);
    let message = (!error.message.is_empty()).then(|| error.message.clone());
    Diagnosis { reason, scope, wait: stated_wait(headers, error), message }
}

/// The time the provider asks for, wherever it says so.
pub(super) fn stated_wait(headers: &HeaderMap, error: &ErrorBody) -> Option<Wait> {
    waits::from_retry_headers(headers).or_else(|| waits::from_sentence(&error.message))
}

fn classify(status: u16, error: &ErrorBody, is_daily: bool) -> (Reason, Scope) {
    let text = error.message.to_ascii_lowercase();
    match error.code.as_str() {
        "invalid_api_key" | "wrong_api_key" => return (Reason::BadKey, Scope::Key),
        "model_not_found" | "model_decommissioned" => return (Reason::ModelGone, Scope::Model),
        "context_length_exceeded" => return (Reason::ContextTooLong, Scope::Request),
        "queue_exceeded" | "capacity_exceeded" => return (Reason::Overloaded, Scope::Provider),
        // The model wrote something that its own provider cannot parse: another try may do better.
        "tool_use_failed" | "json_validate_failed" => return (Reason::UpstreamError, Scope::Request),
        _ => {}
    }
    let is_too_long = ["reduce the length of the messages", "maximum context length", "input token count"];
    match status {
        400 | 413 | 422 if is_too_long.iter().any(|sign| text.contains(sign)) => {
            (Reason::ContextTooLong, Scope::Request)
        }
        400 | 422 => (Reason::BadRequest, Scope::Request),
        401 => (Reason::BadKey, Scope::Key),
        402 => (Reason::NoCredit, Scope::Key),
        // A web page is a firewall speaking, not the API.
        403 if !error.is_html => (Reason::BadKey, Scope::Key),
        404 | 410 if !error.is_html => (Reason::ModelGone, Scope::Model),
        413 => (Reason::TooLarge, Scope::Request),
        429 if is_daily => (Reason::QuotaExhausted, Scope::KeyModel),
        429 => (Reason::RateLimited, Scope::KeyModel),
        498 | 503 | 529 => (Reason::Overloaded, Scope::Provider),
        _ => (Reason::UpstreamError, Scope::Provider),
    }
}
