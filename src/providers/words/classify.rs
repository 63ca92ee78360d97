//! What an error answer means, as far as all providers agree. What only one provider says is in its dialect.

use std::time::Duration;

use super::error_body::ErrorBody;
use super::waits;
use crate::middle::{Diagnosis, RawWords, Reading, Reason, Scope, Wait};

/// The cooldown of a model after a 404 that does not mention models: the cause may be a proxy in front of the API or a
/// wrong base URL.
const UNEXPLAINED_404_COOLDOWN: Duration = Duration::from_secs(600);

/// Reads status, head and body by the rules that all providers share.
///
/// `is_daily` says whether a refusal because of a limit is about a daily limit.
pub(in crate::providers) fn diagnose(
    status: u16,
    head: &Reading,
    error: &ErrorBody,
    is_daily: bool,
) -> Diagnosis {
    let (reason, scope) = classify(status, error, is_daily);
    let message = (!error.message.is_empty()).then(|| RawWords(error.message.clone()));
    let wait = match reason {
        Reason::ModelGone => (!says_model(error)).then_some(Wait::For(UNEXPLAINED_404_COOLDOWN)),
        _ => stated_wait(head, error),
    };
    Diagnosis { reason, scope, wait, message }
}

/// The wait that the provider asks for, wherever it states it.
fn stated_wait(head: &Reading, error: &ErrorBody) -> Option<Wait> {
    waits::from_details(&error.details).or(head.retry_after).or_else(|| waits::from_sentence(&error.message))
}

/// Whether the model itself was not found, rather than something on the way to it.
fn says_model(error: &ErrorBody) -> bool {
    error.code.starts_with("model_") || error.message.to_ascii_lowercase().contains("model")
}

/// "… or you do not have access to it": another account may.
fn scope_of_404(text: &str) -> Scope {
    if text.contains("access") || text.contains("available to") { Scope::AccountModel } else { Scope::Model }
}

fn classify(status: u16, error: &ErrorBody, is_daily: bool) -> (Reason, Scope) {
    let text = error.message.to_ascii_lowercase();
    match error.code.as_str() {
        // Groq reports a restricted organization as a 400.
        "invalid_api_key" | "wrong_api_key" | "organization_restricted" => {
            return (Reason::BadKey, Scope::Account);
        }
        // Groq's 403 for a model that the organization or the project does not allow; the key is fine.
        code if code.starts_with("model_permission_blocked") => {
            return (Reason::ModelGone, Scope::AccountModel);
        }
        "model_decommissioned" => return (Reason::ModelGone, Scope::Model),
        "model_not_found" => return (Reason::ModelGone, scope_of_404(&text)),
        "context_length_exceeded" => return (Reason::ContextTooLong, Scope::Request),
        "queue_exceeded" | "capacity_exceeded" => return (Reason::Overloaded, Scope::Provider),
        // The model wrote something that its own provider cannot parse: another attempt may succeed.
        "tool_use_failed" | "json_validate_failed" => return (Reason::UpstreamError, Scope::Request),
        _ => {}
    }
    let is_too_long = ["reduce the length of the messages", "maximum context length", "input token count"];
    match status {
        400 | 413 | 422 if is_too_long.iter().any(|sign| text.contains(sign)) => {
            (Reason::ContextTooLong, Scope::Request)
        }
        400 | 422 => (Reason::BadRequest, Scope::Request),
        401 => (Reason::BadKey, Scope::Account),
        402 => (Reason::NoCredit, Scope::Account),
        // A web page comes from a firewall, not from the API.
        403 if !error.is_html => (Reason::BadKey, Scope::Account),
        404 | 410 if !error.is_html => (Reason::ModelGone, scope_of_404(&text)),
        413 => (Reason::TooLarge, Scope::Request),
        429 if is_daily => (Reason::QuotaExhausted, Scope::AccountModel),
        429 => (Reason::RateLimited, Scope::AccountModel),
        498 | 503 | 529 => (Reason::Overloaded, Scope::Provider),
        _ => (Reason::UpstreamError, Scope::Provider),
    }
}
