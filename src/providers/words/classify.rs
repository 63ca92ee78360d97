//! What an error answer means, as far as all providers agree. What only one provider says is in its dialect.

use super::error_body::ErrorBody;
use super::waits;
use crate::middle::{Cause, Diagnosis, RawWords, Reading, Reason, Wait};

/// Words in a refusal that mean that the account has run out of money, whatever the status. Groq tells a spent budget as
/// a 400 with the code `blocked_api_access`, Google as a 429 (<https://console.groq.com/docs/spend-limits>, checked
/// 2026-11).
const CREDIT_CODES: [&str; 6] = [
    "blocked_api_access",
    "insufficient_quota",
    "insufficient_balance",
    "billing_hard_limit_reached",
    "billing_not_active",
    "payment_required",
];
const CREDIT_WORDS: [&str; 8] = [
    "spending limit",
    "spend limit",
    "spending cap",
    "spend cap",
    "credits are depleted",
    "credits have been depleted",
    "out of credits",
    "insufficient balance",
];

/// The same for a key that is no longer good for anything.
const KEY_CODES: [&str; 6] = [
    "invalid_api_key",
    "wrong_api_key",
    // Groq reports a restricted organization as a 400.
    "organization_restricted",
    "account_deactivated",
    "account_suspended",
    "terms_required",
];
const KEY_WORDS: [&str; 5] = [
    "account has been blocked",
    "account has been suspended",
    "account has been deactivated",
    "organization has been restricted",
    "accept the terms of service",
];

/// Words in a 403 that the API itself never says: Cloudflare's error page in one line, and Groq's own firewall.
const FIREWALL_WORDS: [&str; 2] = ["error code: 10", "network settings"];

/// Reads status, head and body by the rules that all providers share.
///
/// `is_daily` says whether a refusal because of a limit is about a daily limit.
pub(in crate::providers) fn diagnose(
    status: u16,
    head: &Reading,
    error: &ErrorBody,
    is_daily: bool,
) -> Diagnosis {
    let cause = classify(status, error, is_daily);
    let message = (!error.message.is_empty()).then(|| RawWords(error.message.clone()));
    // What is stated beside a dead model is no time after which it lives.
    let wait = if cause.reason() == Reason::ModelGone { None } else { stated_wait(head, error) };
    Diagnosis { wait, message, ..cause.into() }
}

/// The wait that the provider asks for, wherever it states it.
pub(in crate::providers) fn stated_wait(head: &Reading, error: &ErrorBody) -> Option<Wait> {
    waits::from_details(&error.details).or(head.retry_after).or_else(|| waits::from_sentence(&error.message))
}

/// Whether the model itself was not found, rather than something on the way to it.
fn says_model(error: &ErrorBody) -> bool {
    error.code.starts_with("model_") || error.message.to_ascii_lowercase().contains("model")
}

/// "… or you do not have access to it": another account may.
fn gone(text: &str) -> Cause {
    let is_for_others = text.contains("access") || text.contains("available to");
    if is_for_others { Cause::ModelNotForAccount } else { Cause::ModelGone }
}

/// `text` without what stands in quotation marks or backticks.
fn unquoted(text: &str) -> String {
    let mut outside = String::new();
    let mut open = None;
    let mut is_in_word = false;
    for character in text.chars() {
        match (open, character) {
            (Some(quote), _) if quote == character => open = None,
            (Some(_), _) => {}
            (None, '"' | '`') => open = Some(character),
            // Within a word it is an apostrophe.
            (None, '\'') if !is_in_word => open = Some(character),
            (None, _) => outside.push(character),
        }
        is_in_word = character.is_alphanumeric();
    }
    outside
}

fn classify(status: u16, error: &ErrorBody, is_daily: bool) -> Cause {
    let text = error.message.to_ascii_lowercase();
    // What stands in quotation marks may be the client's.
    let own_words = unquoted(&text);
    let says = |words: &[&str]| words.iter().any(|word| own_words.contains(word));
    match error.code.as_str() {
        code if KEY_CODES.contains(&code) => return Cause::KeyRefused,
        code if CREDIT_CODES.contains(&code) => return Cause::CreditSpent,
        // Groq's 403 for a model that the organization or the project does not allow; the key is fine.
        code if code.starts_with("model_permission_blocked") => return Cause::ModelNotForAccount,
        "model_terms_required" => return Cause::NotInPlan,
        "model_decommissioned" => return Cause::ModelGone,
        "model_not_found" => return gone(&text),
        "context_length_exceeded" => return Cause::ContextTooLong,
        // As Azure and whoever stands before it says it.
        "content_filter" | "content_policy_violation" => return Cause::Moderated,
        "queue_exceeded" | "capacity_exceeded" => return Cause::Overloaded,
        "tool_use_failed" | "json_validate_failed" | "output_parse_failed" => {
            return Cause::GenerationUnreadable;
        }
        _ => {}
    }
    let is_too_long = ["reduce the length of the messages", "maximum context length", "input token count"];
    match status {
        // Another attempt may succeed, whatever the code.
        400 | 422 if error.has_failed_generation => Cause::GenerationUnreadable,
        400 | 413 | 422 if says(&is_too_long) => Cause::ContextTooLong,
        400 | 403 | 429 if says(&CREDIT_WORDS) => Cause::CreditSpent,
        400 | 403 | 429 if says(&KEY_WORDS) => Cause::KeyRefused,
        400 | 422 => Cause::RequestRefused,
        401 if error.is_html => Cause::Intercepted,
        401 => Cause::KeyRefused,
        402 => Cause::CreditSpent,
        403 if error.is_foreign || says(&FIREWALL_WORDS) => Cause::Intercepted,
        403 => Cause::KeyRefused,
        404 | 410 if error.is_html => Cause::Intercepted,
        404 | 410 if says_model(error) => gone(&text),
        404 | 410 => Cause::NotFound,
        413 => Cause::TooLarge,
        429 if is_daily => Cause::QuotaExhausted,
        429 => Cause::RateLimited,
        498 | 503 | 529 => Cause::Overloaded,
        _ => Cause::ServerError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_client_are_not_the_providers() {
        let cases = [
            ("your organization's spending limit is reached", true),
            ("invalid schema: `/properties/spending limit/type`", false),
            ("property 'spending limit' is unsupported", false),
            ("the tool \"spend cap\" is unknown", false),
            ("'x' is over: you are out of credits", true),
        ];
        for (message, is_credit) in cases {
            let error = ErrorBody { message: message.to_owned(), ..ErrorBody::default() };
            let expected = if is_credit { Cause::CreditSpent } else { Cause::RequestRefused };
            assert_eq!(classify(400, &error, false), expected, "{message}");
        }
    }
}
