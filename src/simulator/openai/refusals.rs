//! How providers refuse: wrapped error bodies in Groq's words, flat ones in Cerebras's.

use std::time::Duration;

use serde_json::{Value, json};

use super::Headers;
use super::host::{Host, Manner, Style};
use crate::middle::Measure;
use crate::simulator::behaviour::{Fault, Trouble};
use crate::simulator::limiter::{Allowance, Cost, Refusal, Span};
use crate::simulator::wire::Response;

/// An error answer.
pub(super) struct Refused {
    status: u16,
    headers: Headers,
    message: String,
    kind: &'static str,
    code: &'static str,
    /// Further fields of the error, or replacements for its own values.
    fields: Vec<(&'static str, Value)>,
}

impl Refused {
    pub(super) fn new(
        status: u16,
        kind: &'static str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { status, headers: Vec::new(), message: message.into(), kind, code, fields: Vec::new() }
    }

    /// A request that breaks the schema, with the code and type that each provider uses for that.
    pub(super) fn invalid(style: Style, message: impl Into<String>) -> Self {
        let code = if style == Style::Wrapped { "" } else { "wrong_api_format" };
        Self::new(400, "invalid_request_error", code, message)
    }

    pub(super) fn with(mut self, field: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((field, value.into()));
        self
    }

    fn with_header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    fn with_headers(mut self, headers: Headers) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Says that a limit is used up until `wait` is over: in the row's headers for it, or else in `retry-after`.
    fn with_reset(self, host: &Host, measure: Measure, wait: Duration) -> Self {
        match host.quirks.limit_headers.iter().find(|names| names.measure == measure) {
            Some(names) if names.reset.is_empty() => {
                self.with_header(names.remaining, 0).with_header("retry-after", wait.as_secs_f64().ceil())
            }
            Some(names) => self.with_header(names.remaining, 0).with_header(names.reset, wait.as_secs_f64()),
            None => self.with_header("retry-after", wait.as_secs_f64().ceil()),
        }
    }

    /// Groq wraps its errors and leaves out a field without a value; Cerebras does neither.
    fn body(&self, style: Style) -> Value {
        let mut error = json!({"message": self.message, "type": self.kind});
        if style == Style::Flat {
            error["param"] = param(self.code);
            error["code"] = Value::Null;
        }
        if !self.code.is_empty() {
            error["code"] = json!(self.code);
        }
        for (field, value) in &self.fields {
            error[*field] = value.clone();
        }
        if style == Style::Wrapped { json!({ "error": error }) } else { error }
    }

    pub(super) fn response(self, style: Style) -> Response {
        let body = self.body(style);
        Response::json(self.status, self.headers, &body)
    }
}

fn param(code: &str) -> Value {
    match code {
        "wrong_api_format" => json!("validation_error"),
        "request_quota_exceeded" | "token_quota_exceeded" => json!("quota"),
        "wrong_api_key" => json!("api_key"),
        _ => Value::Null,
    }
}

/// The provider's own words for `trouble`.
pub(super) fn refused_for(host: &Host, trouble: Trouble, model: &str) -> Refused {
    if host.manner == Manner::LlamaCpp
        && let Some(refused) = llama_cpp_refusal(trouble)
    {
        return refused;
    }
    let is_wrapped = host.style() == Style::Wrapped;
    match trouble {
        Trouble::RateLimited(seconds) => {
            let wait = Duration::from_secs_f64(seconds);
            refused_for_quota(host, &Refusal::of_requests(Span::Minute, 30, wait), model)
        }
        Trouble::QuotaExhausted(seconds) => {
            let wait = Duration::from_secs_f64(seconds);
            refused_for_quota(host, &Refusal::of_requests(Span::Day, 1_000, wait), model)
        }
        Trouble::BadKey if is_wrapped => {
            Refused::new(401, "invalid_request_error", "invalid_api_key", "Invalid API Key")
        }
        Trouble::BadKey => Refused::new(401, "invalid_request_error", "wrong_api_key", "Wrong API Key"),
        Trouble::NoCredit => {
            Refused::new(402, "payment_required", "", "Payment required to access this resource.")
        }
        Trouble::ModelGone if is_wrapped => {
            let message = format!("The model `{model}` does not exist or you do not have access to it.");
            Refused::new(404, "invalid_request_error", "model_not_found", message)
        }
        Trouble::ModelGone => {
            let message = format!("Model {model} does not exist or you do not have access to it.");
            Refused::new(404, "not_found_error", "model_not_found", message)
        }
        Trouble::TooLarge if is_wrapped => refused_for_quota(host, &Refusal::too_large(8_000, 32_979), model),
        Trouble::TooLarge => Refused::new(413, "invalid_request_error", "", "Request entity too large"),
        Trouble::ContextTooLong => {
            let mut message = "Please reduce the length of the messages or completion.".to_owned();
            if !is_wrapped {
                message.push_str(" Current length is 23592 while limit is 8192");
            }
            let refused = Refused::new(400, "invalid_request_error", "context_length_exceeded", message);
            if is_wrapped { refused.with("param", "messages") } else { refused }
        }
        Trouble::BadRequest if is_wrapped => {
            Refused::new(400, "invalid_request_error", "", "property 'verbosity' is unsupported")
        }
        Trouble::BadRequest => {
            let message = "verbosity: property 'verbosity' is unsupported";
            Refused::new(400, "invalid_request_error", "wrong_api_format", message)
        }
        Trouble::ToolUseFailed => {
            let message = "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more \
                           details.";
            let refused = Refused::new(400, "invalid_request_error", "tool_use_failed", message);
            refused.with("failed_generation", "<function=simulated{\"a\": </function>")
        }
        Trouble::Overloaded => Refused::new(
            503,
            "internal_server_error",
            "",
            "Service is over capacity. Please try again later.",
        ),
        Trouble::ServerError => Refused::new(500, "internal_server_error", "", "Internal Server Error"),
    }
}

/// What llama.cpp's server says, as far as it has such trouble. Its codes are the statuses.
fn llama_cpp_refusal(trouble: Trouble) -> Option<Refused> {
    let refused = |status, kind, message: &str| Refused::new(status, kind, "", message).with("code", status);
    Some(match trouble {
        Trouble::BadKey => refused(401, "authentication_error", "Invalid API Key"),
        Trouble::ContextTooLong => {
            let message =
                "request (23592 tokens) exceeds the available context size (8192 tokens), try increasing it";
            let refused = refused(400, "exceed_context_size_error", message);
            refused.with("n_prompt_tokens", 23_592).with("n_ctx", 8_192)
        }
        Trouble::BadRequest => refused(
            400,
            "invalid_request_error",
            "Field 'n': Value must be between 1 <= value <= 1, but got 2",
        ),
        Trouble::Overloaded => refused(503, "unavailable_error", "Loading model"),
        Trouble::ServerError => refused(500, "server_error", "failed to get logits"),
        _ => return None,
    })
}

/// The answer to a call for which a limit has no room.
pub(in crate::simulator) fn quota_refusal(host: &Host, refusal: &Refusal, model: &str) -> Response {
    refused_for_quota(host, refusal, model).response(host.style())
}

pub(super) fn refused_for_quota(host: &Host, refusal: &Refusal, model: &str) -> Refused {
    match host.style() {
        Style::Wrapped => groq_refusal(host, refusal, model),
        Style::Flat => cerebras_refusal(host, refusal),
    }
}

/// What a limit counts, as the type of an error and in a sentence: `tokens per minute (TPM)`.
fn groq_measure(refusal: &Refusal) -> (&'static str, String) {
    let (kind, letter) = match refusal.cost {
        Cost::Requests => ("requests", 'R'),
        Cost::Prompt | Cost::Longest | Cost::LongestThenUsed => ("tokens", 'T'),
    };
    let (span, last) = match refusal.span {
        Span::Second => ("second", 'S'),
        Span::Minute => ("minute", 'M'),
        Span::Hour => ("hour", 'H'),
        Span::Day => ("day", 'D'),
        Span::Month => ("month", 'N'),
        Span::AtOnce => return ("requests", "concurrent requests".to_owned()),
    };
    (kind, format!("{kind} per {span} ({letter}P{last})"))
}

fn groq_refusal(host: &Host, refusal: &Refusal, model: &str) -> Refused {
    let (kind, what) = groq_measure(refusal);
    let Refusal { limit, used, requested, wait, left, .. } = refusal;
    let whom = format!("model `{model}` in organization `org_sim` service tier `on_demand` on {what}");
    let Some(wait) = wait else {
        let message = format!(
            "Request too large for {whom}: Limit {limit}, Requested {requested}, please reduce your message size and \
             try again."
        );
        return Refused::new(413, kind, "rate_limit_exceeded", message)
            .with_headers(limit_headers(host, left));
    };
    let message = format!(
        "Rate limit reached for {whom}: Limit {limit}, Used {used}, Requested {requested}. Please try again in {}. \
         Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing",
        go_duration(*wait)
    );
    let refused = Refused::new(429, kind, "rate_limit_exceeded", message)
        .with_header("retry-after", wait.as_secs_f64().ceil());
    match host.quirks.limit_headers.iter().find(|names| names.measure == Measure::REQUESTS_A_DAY) {
        Some(names) if left.is_empty() => refused.with_header(names.limit, 1_000),
        _ => refused.with_headers(limit_headers(host, left)),
    }
}

/// Only its minute of requests, which no header tells of, comes with a `retry-after`.
fn cerebras_refusal(host: &Host, refusal: &Refusal) -> Refused {
    let Some(wait) = refusal.wait else {
        return Refused::new(413, "invalid_request_error", "", "Request entity too large");
    };
    let refused = cerebras_words(refusal);
    let measure = match (refusal.cost, refusal.span) {
        (Cost::Requests, Span::Day) => Some(Measure::REQUESTS_A_DAY),
        (Cost::Prompt | Cost::Longest | Cost::LongestThenUsed, Span::Minute) => {
            Some(Measure::TOKENS_A_MINUTE)
        }
        _ => None,
    };
    match measure {
        Some(measure) if refusal.left.is_empty() => refused.with_reset(host, measure, wait),
        Some(_) => refused.with_headers(limit_headers(host, &refusal.left)),
        None => refused
            .with_header("retry-after", wait.as_secs_f64().ceil())
            .with_headers(limit_headers(host, &refusal.left)),
    }
}

fn cerebras_words(refusal: &Refusal) -> Refused {
    let (code, unit, done) = match refusal.cost {
        Cost::Requests => ("request_quota_exceeded", "Requests", "requests sent"),
        _ => ("token_quota_exceeded", "Tokens", "tokens processed"),
    };
    let span = match refusal.span {
        Span::Second => "second",
        Span::Minute | Span::AtOnce => "minute",
        Span::Hour => "hour",
        Span::Day => "day",
        Span::Month => "month",
    };
    let message = format!("{unit} per {span} limit exceeded - too many {done}.");
    Refused::new(429, "too_many_requests_error", code, message)
}

/// The headers that the row reads, with what is left of the limits that it knows.
pub(in crate::simulator) fn limit_headers(host: &Host, left: &[Allowance]) -> Headers {
    let mut headers = Headers::new();
    for names in host.quirks.limit_headers {
        let is_told = |it: &&Allowance| match names.measure {
            Measure::REQUESTS_A_DAY => it.cost == Cost::Requests && it.span == Span::Day,
            Measure::TOKENS_A_MINUTE => it.cost != Cost::Requests && it.span == Span::Minute,
            // The simulated plans tell of no other limits.
            _ => false,
        };
        let Some(told) = left.iter().find(is_told) else { continue };
        let resets_in = match host.style() {
            Style::Wrapped => go_duration(told.whole_in),
            Style::Flat => told.whole_in.as_secs_f64().to_string(),
        };
        let values = [
            (names.limit, told.limit.to_string()),
            (names.remaining, told.left.to_string()),
            (names.reset, resets_in),
        ];
        let told = values.into_iter().filter(|(name, _)| !name.is_empty());
        headers.extend(told.map(|(name, value)| (name.to_owned(), value)));
    }
    headers
}

/// An error inside a stream.
pub(super) fn error_event(host: &Host, fault: &Fault) -> Vec<u8> {
    let style = host.style();
    let (Fault::ErrorEvent(_, trouble) | Fault::BareError(_, trouble)) = fault else {
        return Vec::new();
    };
    let refused = refused_for(host, *trouble, "simulated");
    let mut event = match style {
        Style::Wrapped => refused.body(style),
        Style::Flat => json!({"error": refused.body(style), "status_code": refused.status}),
    };
    match style {
        Style::Wrapped => event["error"]["status_code"] = json!(refused.status),
        Style::Flat => event["error"]["id"] = json!("chatcmpl-sim-error"),
    }
    match (fault, style) {
        (Fault::BareError(..), _) => format!("{event:#}\n").into_bytes(),
        (_, Style::Wrapped) => format!("event: error\ndata: {event}\n\n").into_bytes(),
        (_, Style::Flat) => format!("data: {event}\n\n").into_bytes(),
    }
}

/// A span in Go's form, rounded up to a microsecond so that it is never too short: `420ms`, `7.66s`, `2m59.56s`,
/// `1h2m3s`.
fn go_duration(span: Duration) -> String {
    const SECOND: u128 = 1_000_000;
    let us = span.as_nanos().div_ceil(1_000);
    if us < SECOND {
        return format!("{}ms", us as f64 / 1_000.0);
    }
    let (hours, minutes) = (us / (3_600 * SECOND), us / (60 * SECOND) % 60);
    let seconds = (us % (60 * SECOND)) as f64 / SECOND as f64;
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}
