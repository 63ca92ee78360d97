//! How Gemini refuses: Google's error body and its own words.

use std::time::Duration;

use serde_json::{Value, json};

use crate::simulator::behaviour::Trouble;
use crate::simulator::limiter::{Cost, Refusal, Span};

/// An error answer.
pub(super) struct Refused {
    pub(super) code: u16,
    status: &'static str,
    message: String,
    details: Vec<Value>,
}

impl Refused {
    pub(super) fn new(code: u16, status: &'static str, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), details: Vec::new() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    pub(super) fn body(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message, "status": self.status});
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        json!({ "error": error })
    }
}

/// A field that does not exist, at a path such as `tools[0].function_declarations[1]`; empty for the request itself.
pub(super) fn unknown_name(name: &str, path: &str) -> Refused {
    let at = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
    violation(path, format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field."))
}

/// A value that its field cannot hold; `kind` is the field's type in Google's words.
pub(super) fn invalid_value(path: &str, kind: &str, value: &Value) -> Refused {
    violation(path, format!("Invalid value at '{path}' ({kind}), {value}"))
}

/// A refusal whose details name the field.
pub(super) fn violation(path: &str, message: String) -> Refused {
    let mut violation = json!({ "description": message });
    if !path.is_empty() {
        violation["field"] = json!(path);
    }
    let mut refused = Refused::invalid(message);
    refused
        .details
        .push(json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}));
    refused
}

/// What is missing or wrong in the request as a whole, as a list with one item.
pub(super) fn at_fault(path: &str, what: &str) -> Refused {
    Refused::invalid(format!("* GenerateContentRequest.{path}: {what}\n"))
}

/// Google's own words for `trouble`.
pub(super) fn refused_for(trouble: Trouble, model: &str, version: &str) -> Refused {
    match trouble {
        Trouble::RateLimited(seconds) => {
            let wait = Duration::from_secs_f64(seconds);
            refused_for_quota(&Refusal::of_requests(Span::Minute, 15, wait), model)
        }
        Trouble::QuotaExhausted(seconds) => {
            let wait = Duration::from_secs_f64(seconds);
            refused_for_quota(&Refusal::of_requests(Span::Day, 20, wait), model)
        }
        Trouble::BadKey => {
            let mut refused = Refused::invalid("API key not valid. Please pass a valid API key.");
            refused.details.push(json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID", "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"}}));
            refused
        }
        Trouble::NoCredit => Refused::new(402, "RESOURCE_EXHAUSTED", "Your prepaid credit is used up."),
        Trouble::ModelGone => {
            let message = format!(
                "models/{model} is not found for API version {version}, or is not supported for generateContent. Call \
                 ListModels to see the list of available models and their supported methods."
            );
            Refused::new(404, "NOT_FOUND", message)
        }
        Trouble::TooLarge => Refused::new(413, "INVALID_ARGUMENT", "Request payload size exceeds the limit."),
        Trouble::ContextTooLong => {
            let message =
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).";
            Refused::invalid(message)
        }
        Trouble::BadRequest => unknown_name("verbosity", ""),
        Trouble::Overloaded => {
            Refused::new(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
        }
        // Gemini has no such error: the answer ends with a finish reason of its own instead.
        Trouble::ToolUseFailed | Trouble::ServerError => Refused::new(
            500,
            "INTERNAL",
            "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
        ),
    }
}

/// The metric and the id of a quota, in Google's words.
fn named(refusal: &Refusal) -> (&'static str, &'static str) {
    const REQUESTS: &str = "generativelanguage.googleapis.com/generate_content_free_tier_requests";
    const TOKENS: &str = "generativelanguage.googleapis.com/generate_content_free_tier_input_token_count";
    let is_long = matches!(refusal.span, Span::Day | Span::Month);
    match (refusal.cost, is_long) {
        (Cost::Requests, false) => (REQUESTS, "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
        (Cost::Requests, true) => (REQUESTS, "GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
        (_, false) => (TOKENS, "GenerateContentInputTokensPerModelPerMinute-FreeTier"),
        (_, true) => (TOKENS, "GenerateContentInputTokensPerModelPerDay-FreeTier"),
    }
}

/// How soon to come back, as Google says it: of a day that is used up it says the same short time as of a minute.
fn retry_delay(refusal: &Refusal) -> Duration {
    const SHORT: Duration = Duration::from_millis(34_400);
    match refusal.span {
        Span::Day | Span::Month => refusal.wait.map_or(SHORT, |wait| wait.min(SHORT)),
        Span::Second | Span::Minute | Span::Hour | Span::AtOnce => {
            refusal.wait.unwrap_or(Duration::from_secs(60))
        }
    }
}

pub(super) fn refused_for_quota(refusal: &Refusal, model: &str) -> Refused {
    let (metric, quota_id) = named(refusal);
    let (limit, wait) = (refusal.limit, retry_delay(refusal));
    let seconds = wait.as_secs_f64();
    let message = format!(
        "You exceeded your current quota, please check your plan and billing details. For more information on this \
         error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.\n* Quota exceeded for metric: {metric}, \
         limit: {limit}, model: {model}\nPlease retry in {seconds}s."
    );
    let mut refused = Refused::new(429, "RESOURCE_EXHAUSTED", message);
    refused.details = vec![
        json!({"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": "Learn more about Gemini API quotas",
            "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}]}),
        json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaMetric": metric,
            "quotaId": quota_id, "quotaDimensions": {"location": "global", "model": model},
            "quotaValue": limit.to_string()}]}),
        json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")}),
    ];
    refused
}
