//! Simulated Groq and Cerebras: two forms of OpenAI's chat completions.
//!
//! Sources, checked 2026-11: request and response types of the SDKs groq 1.7.0 and cerebras-cloud-sdk 1.91.0;
//! recorded streams in vercel/ai's fixtures (Groq February 2026, Cerebras May 2026); error bodies from
//! <https://console.groq.com/docs/errors> and field reports quoted in ARCHITECTURE.md.

#![expect(clippy::indexing_slicing, reason = "indexing a JSON value by a missing key gives null")]

use std::time::Duration;

use serde_json::{Value, json};

use super::behaviour::{Behaviour, Fault, Reply, Trouble};
use super::quota::{Allowance, Refusal};
use super::wire::{Response, Step};
use super::{ReceivedRequest, Shared};

type Headers = Vec<(String, String)>;

/// What differs between the two.
pub(super) struct Dialect {
    style: Style,
    chat_path: &'static str,
    models_path: &'static str,
    /// The fields a request may have: any other is refused.
    fields: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Groq,
    Cerebras,
}

pub(super) static GROQ: Dialect = Dialect {
    style: Style::Groq,
    chat_path: "/openai/v1/chat/completions",
    models_path: "/openai/v1/models",
    fields: &[
        "model",
        "messages",
        "max_completion_tokens",
        "max_tokens",
        "temperature",
        "top_p",
        "seed",
        "stop",
        "user",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
        "reasoning_format",
        "include_reasoning",
        "service_tier",
        "n",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "metadata",
        "store",
        "documents",
        "citation_options",
        "search_settings",
        "compound_custom",
        "disable_tool_validation",
        "functions",
        "function_call",
        "exclude_domains",
        "include_domains",
    ],
};

pub(super) static CEREBRAS: Dialect = Dialect {
    style: Style::Cerebras,
    chat_path: "/v1/chat/completions",
    models_path: "/v1/models",
    fields: &[
        "model",
        "messages",
        "max_completion_tokens",
        "max_tokens",
        "min_tokens",
        "min_completion_tokens",
        "temperature",
        "top_p",
        "seed",
        "stop",
        "n",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
        "reasoning_format",
        "clear_thinking",
        "prediction",
        "prompt_cache_key",
        "service_tier",
        "user",
    ],
};

/// The fields of a message; both refuse any other.
const MESSAGE_FIELDS: [&str; 7] =
    ["role", "content", "name", "tool_calls", "tool_call_id", "reasoning", "refusal"];

/// An error answer.
struct Refused {
    status: u16,
    headers: Headers,
    message: String,
    kind: &'static str,
    code: &'static str,
}

impl Refused {
    fn new(status: u16, kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), message: message.into(), kind, code }
    }

    fn with_header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Groq wraps its errors, Cerebras does not.
    fn body(&self, style: Style) -> Value {
        let Self { message, kind, code, .. } = self;
        match style {
            Style::Groq if code.is_empty() => json!({"error": {"message": message, "type": kind}}),
            Style::Groq if *code == "context_length_exceeded" => {
                json!({"error": {"message": message, "type": kind, "param": "messages", "code": code}})
            }
            Style::Groq => json!({"error": {"message": message, "type": kind, "code": code}}),
            Style::Cerebras => {
                json!({"message": message, "type": kind, "param": param(code), "code": code_value(code)})
            }
        }
    }

    fn response(self, style: Style) -> Response {
        let body = self.body(style);
        Response::json(self.status, self.headers, &body)
    }
}

/// A code that is not known is null.
fn code_value(code: &str) -> Value {
    if code.is_empty() { Value::Null } else { json!(code) }
}

fn param(code: &str) -> Value {
    match code {
        "wrong_api_format" => json!("validation_error"),
        "request_quota_exceeded" | "token_quota_exceeded" => json!("quota"),
        "wrong_api_key" => json!("api_key"),
        _ => Value::Null,
    }
}

/// What is done about `request`.
pub(super) fn respond(shared: &Shared, dialect: &Dialect, request: &ReceivedRequest) -> Vec<Step> {
    let mut behaviour = shared.behaviour_for(request);
    let response = answer(shared, dialect, request, &behaviour).unwrap_or_else(|refused| {
        // A refusal arrives, whatever would have happened to the answer.
        behaviour.fault = None;
        refused.response(dialect.style)
    });
    let pace = behaviour.pace.unwrap_or(shared.settings.pace);
    response.steps(&behaviour, pace, |fault| error_event(dialect.style, fault))
}

fn answer(
    shared: &Shared,
    dialect: &Dialect,
    request: &ReceivedRequest,
    behaviour: &Behaviour,
) -> Result<Response, Refused> {
    let style = dialect.style;
    let path = request.path.split('?').next().unwrap_or_default();
    if style == Style::Cerebras && path == "/v1/tcp_warming" {
        return Ok(Response::json(200, Vec::new(), &json!({})));
    }
    let key = authenticate(style, request)?;
    if request.method == "GET"
        && let Some(id) = path.strip_prefix(dialect.models_path)
    {
        return models(shared, style, id.trim_start_matches('/'));
    }
    if request.method != "POST" || path != dialect.chat_path {
        let message =
            format!("Unknown request URL: {} {path}. Please check the URL for typos.", request.method);
        return Err(Refused::new(404, "invalid_request_error", "unknown_url", message));
    }
    if let Reply::Trouble(trouble) = &behaviour.reply {
        return Err(refused_for(style, *trouble, &model_of(&request.json())));
    }
    if let Some(response) = Response::scripted(&behaviour.reply) {
        return Ok(response);
    }
    let body = request.json();
    check_fields(dialect, &body)?;
    let model = model_of(&body);
    if !shared.settings.models.contains(&model) {
        return Err(refused_for(style, Trouble::ModelGone, &model));
    }
    let prompt_tokens = (body["messages"].to_string().len() as u64).div_ceil(4);
    let most = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64()).unwrap_or(0);
    let charged = shared.state().quotas.charge(&key, &model, prompt_tokens + most, (shared.settings.clock)());
    let allowance = charged.map_err(|refusal| refused_for_quota(style, refusal, &model))?;
    let said = super::said(shared, behaviour, &last_text(&body));
    let completion = Completion {
        style,
        id: format!("chatcmpl-sim-{}", shared.state().request_count),
        created: (shared.settings.clock)().as_second(),
        model,
        prompt_tokens,
        completion_tokens: (said.text.len() + said.thoughts.len()) as u64,
        reasoning_tokens: said.thoughts.len() as u64,
    };
    let is_stream = body["stream"].as_bool() == Some(true);
    if let (false, Some(Fault::ErrorEvent(_, trouble) | Fault::BareError(_, trouble))) =
        (is_stream, &behaviour.fault)
    {
        return Err(refused_for(style, *trouble, &completion.model));
    }
    let headers = allowance_headers(style, &allowance);
    Ok(if is_stream {
        completion.stream(&said, behaviour.fault.as_ref(), headers)
    } else {
        completion.whole(&said, headers)
    })
}

fn authenticate(style: Style, request: &ReceivedRequest) -> Result<String, Refused> {
    let key =
        request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if key.is_empty() || key.contains("invalid") {
        return Err(refused_for(style, Trouble::BadKey, ""));
    }
    Ok(key.to_owned())
}

fn check_fields(dialect: &Dialect, body: &Value) -> Result<(), Refused> {
    let unsupported = |field: &str| match dialect.style {
        Style::Groq => {
            Refused::new(400, "invalid_request_error", "", format!("property '{field}' is unsupported"))
        }
        Style::Cerebras => Refused::new(
            400,
            "invalid_request_error",
            "wrong_api_format",
            format!("{field}: property '{field}' is unsupported"),
        ),
    };
    let Some(object) = body.as_object() else {
        return Err(Refused::new(
            400,
            "invalid_request_error",
            "json_invalid",
            "request body is not a JSON object",
        ));
    };
    if let Some(field) = object.keys().find(|field| !dialect.fields.contains(&field.as_str())) {
        return Err(unsupported(field));
    }
    let messages = object.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
    let Some(messages) = messages else {
        return Err(Refused::new(
            400,
            "invalid_request_error",
            "",
            "'messages' : minimum number of items is 1",
        ));
    };
    for (index, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if !["system", "user", "assistant", "tool", "developer"].contains(&role) {
            let text = format!("'messages.{index}' : discriminator property 'role' has invalid value");
            return Err(Refused::new(400, "invalid_request_error", "", text));
        }
        let mut fields = message.as_object().into_iter().flat_map(serde_json::Map::keys);
        if let Some(field) = fields.find(|field| !MESSAGE_FIELDS.contains(&field.as_str())) {
            return Err(match dialect.style {
                Style::Groq => {
                    let text = format!(
                        "'messages.{index}' : for 'role:{role}' the following must be satisfied\
                         [('messages.{index}' : property '{field}' is unsupported)]"
                    );
                    Refused::new(400, "invalid_request_error", "", text)
                }
                Style::Cerebras => unsupported(&format!("messages.{index}.{role}.{field}")),
            });
        }
    }
    Ok(())
}

fn models(shared: &Shared, style: Style, id: &str) -> Result<Response, Refused> {
    let entry = |id: &String| match style {
        Style::Groq => json!({"id": id, "object": "model", "created": 1_760_000_000, "owned_by": "Simulated",
            "active": true, "context_window": 131_072, "public_apps": null, "max_completion_tokens": 65_536}),
        Style::Cerebras => json!({"id": id, "object": "model", "created": 0, "owned_by": "Simulated"}),
    };
    let models = &shared.settings.models;
    if id.is_empty() {
        let data: Vec<Value> = models.iter().map(entry).collect();
        return Ok(Response::json(200, Vec::new(), &json!({"object": "list", "data": data})));
    }
    let id = id.replace("%2F", "/");
    match models.iter().find(|model| **model == id) {
        Some(model) => Ok(Response::json(200, Vec::new(), &entry(model))),
        None => Err(refused_for(style, Trouble::ModelGone, &id)),
    }
}

/// What an answer is made of besides its text.
struct Completion {
    style: Style,
    id: String,
    created: i64,
    model: String,
    prompt_tokens: u64,
    completion_tokens: u64,
    reasoning_tokens: u64,
}

impl Completion {
    fn stream(&self, said: &super::Said, fault: Option<&Fault>, headers: Headers) -> Response {
        let mut all = vec![("content-type".to_owned(), "text/event-stream; charset=utf-8".to_owned())];
        all.extend(headers);
        let first = match self.style {
            Style::Groq => json!({"role": "assistant", "content": ""}),
            Style::Cerebras => json!({"role": "assistant"}),
        };
        let mut prelude = vec![self.chunk(&first, None, true)];
        prelude
            .extend(said.thoughts.iter().map(|piece| self.chunk(&json!({"reasoning": piece}), None, false)));
        let text = said.text.iter().map(|piece| self.chunk(&json!({"content": piece}), None, false));
        let mut ending = Vec::new();
        if fault != Some(&Fault::NoFinish) {
            ending.push(self.chunk(&json!({}), Some(said.finish), false));
        }
        if fault != Some(&Fault::NoEndMark) {
            ending.push(b"data: [DONE]\n\n".to_vec());
        }
        Response { status: 200, headers: all, prelude, text: text.collect(), ending }
    }

    fn chunk(&self, delta: &Value, finish: Option<&str>, is_first: bool) -> Vec<u8> {
        let Self { id, created, model, .. } = self;
        let chunk = match self.style {
            Style::Groq => {
                let usage = finish.map(|_| self.usage());
                let x_groq = match &usage {
                    Some(usage) => {
                        format!(r#","x_groq":{{"id":"req_{id}","usage":{usage}}},"usage":{usage}"#)
                    }
                    None if is_first => format!(r#","x_groq":{{"id":"req_{id}","seed":7}}"#),
                    None => String::new(),
                };
                format!(
                    r#"{{"id":"{id}","object":"chat.completion.chunk","created":{created},"model":"{model}","system_fingerprint":"fp_sim","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{}}}]{x_groq}}}"#,
                    json!(finish)
                )
            }
            Style::Cerebras => {
                let finish_reason =
                    finish.map(|it| format!(r#""finish_reason":"{it}","#)).unwrap_or_default();
                let usage = match finish {
                    Some(_) => format!(r#","usage":{},"time_info":{}"#, self.usage(), self.time_info()),
                    None => String::new(),
                };
                format!(
                    r#"{{"id":"{id}","choices":[{{"delta":{delta},{finish_reason}"index":0}}],"created":{created},"model":"{model}","system_fingerprint":"fp_sim","object":"chat.completion.chunk"{usage}}}"#
                )
            }
        };
        format!("data: {chunk}\n\n").into_bytes()
    }

    fn whole(&self, said: &super::Said, headers: Headers) -> Response {
        let mut message = json!({"role": "assistant", "content": said.text.concat()});
        if !said.thoughts.is_empty() {
            message["reasoning"] = json!(said.thoughts.concat());
        }
        let mut body = json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": said.finish}],
            "usage": self.usage(), "system_fingerprint": "fp_sim",
        });
        match self.style {
            Style::Groq => {
                body["choices"][0]["logprobs"] = Value::Null;
                body["usage_breakdown"] = Value::Null;
                body["x_groq"] = json!({"id": format!("req_{}", self.id), "seed": 7});
                body["service_tier"] = json!("on_demand");
            }
            Style::Cerebras => body["time_info"] = self.time_info(),
        }
        Response::whole(headers, &body)
    }

    fn usage(&self) -> Value {
        let Self { prompt_tokens, completion_tokens, .. } = self;
        let total_tokens = prompt_tokens + completion_tokens;
        let mut usage = match self.style {
            Style::Groq => json!({
                "queue_time": 0.01, "prompt_tokens": prompt_tokens, "prompt_time": 0.001,
                "completion_tokens": completion_tokens, "completion_time": 0.01,
                "total_tokens": total_tokens, "total_time": 0.011,
            }),
            Style::Cerebras => json!({
                "total_tokens": total_tokens, "completion_tokens": completion_tokens,
                "completion_tokens_details": {"accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
                "prompt_tokens": prompt_tokens, "prompt_tokens_details": {"cached_tokens": 0},
            }),
        };
        if self.reasoning_tokens > 0 {
            usage["completion_tokens_details"]["reasoning_tokens"] = json!(self.reasoning_tokens);
        }
        usage
    }

    fn time_info(&self) -> Value {
        json!({"queue_time": 0.0001, "prompt_time": 0.0003, "completion_time": 0.0024, "total_time": 0.0042,
            "created": self.created})
    }
}

/// The provider's own words for `trouble`.
fn refused_for(style: Style, trouble: Trouble, model: &str) -> Refused {
    let groq = style == Style::Groq;
    match trouble {
        Trouble::RateLimited(seconds) => {
            let wait = Duration::from_secs_f64(seconds);
            refused_for_quota(style, Refusal::PerMinute { limit: 30, wait }, model)
        }
        Trouble::QuotaExhausted(seconds) => {
            let wait = Duration::from_secs_f64(seconds);
            refused_for_quota(style, Refusal::PerDay { limit: 1_000, wait }, model)
        }
        Trouble::BadKey if groq => {
            Refused::new(401, "invalid_request_error", "invalid_api_key", "Invalid API Key")
        }
        Trouble::BadKey => Refused::new(401, "invalid_request_error", "wrong_api_key", "Wrong API Key"),
        Trouble::NoCredit => {
            Refused::new(402, "payment_required", "", "Payment required to access this resource.")
        }
        Trouble::ModelGone if groq => {
            let message = format!("The model `{model}` does not exist or you do not have access to it.");
            Refused::new(404, "invalid_request_error", "model_not_found", message)
        }
        Trouble::ModelGone => {
            let message = format!("Model {model} does not exist or you do not have access to it.");
            Refused::new(404, "not_found_error", "model_not_found", message)
        }
        Trouble::TooLarge if groq => {
            refused_for_quota(style, Refusal::TooLarge { limit: 8_000, requested: 32_979 }, model)
        }
        Trouble::TooLarge => Refused::new(413, "invalid_request_error", "", "Request entity too large"),
        Trouble::ContextTooLong => {
            let mut message = "Please reduce the length of the messages or completion.".to_owned();
            if !groq {
                message.push_str(" Current length is 23592 while limit is 8192");
            }
            Refused::new(400, "invalid_request_error", "context_length_exceeded", message)
        }
        Trouble::BadRequest if groq => {
            Refused::new(400, "invalid_request_error", "", "property 'verbosity' is unsupported")
        }
        Trouble::BadRequest => {
            let message = "verbosity: property 'verbosity' is unsupported";
            Refused::new(400, "invalid_request_error", "wrong_api_format", message)
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

fn refused_for_quota(style: Style, refusal: Refusal, model: &str) -> Refused {
    match style {
        Style::Groq => groq_refusal(refusal, model),
        Style::Cerebras => cerebras_refusal(refusal),
    }
}

fn groq_refusal(refusal: Refusal, model: &str) -> Refused {
    let (kind, what, limit, used, requested, wait) = match refusal {
        Refusal::PerMinute { limit, wait } => {
            ("requests", "requests per minute (RPM)", limit, limit, 1, wait)
        }
        Refusal::PerDay { limit, wait } => ("requests", "requests per day (RPD)", limit, limit, 1, wait),
        Refusal::Tokens { limit, used, requested, wait } => {
            ("tokens", "tokens per minute (TPM)", limit, used, requested, wait)
        }
        Refusal::TooLarge { limit, requested } => {
            let message = format!(
                "Request too large for model `{model}` in organization `org_sim` service tier `on_demand` on tokens \
                 per minute (TPM): Limit {limit}, Requested {requested}, please reduce your message size and try again."
            );
            return Refused::new(413, "tokens", "rate_limit_exceeded", message);
        }
    };
    let message = format!(
        "Rate limit reached for model `{model}` in organization `org_sim` service tier `on_demand` on {what}: Limit \
         {limit}, Used {used}, Requested {requested}. Please try again in {}. Need more tokens? Upgrade to Dev Tier \
         today at https://console.groq.com/settings/billing",
        go_duration(wait)
    );
    Refused::new(429, kind, "rate_limit_exceeded", message)
        .with_header("retry-after", wait.as_secs_f64().ceil())
        .with_header("x-ratelimit-limit-requests", 1_000)
}

fn cerebras_refusal(refusal: Refusal) -> Refused {
    let too_many = |code, message: &str| Refused::new(429, "too_many_requests_error", code, message);
    match refusal {
        Refusal::PerMinute { wait, .. } => {
            too_many("request_quota_exceeded", "Requests per minute limit exceeded - too many requests sent.")
                .with_header("retry-after", wait.as_secs_f64().ceil())
        }
        Refusal::PerDay { wait, .. } => {
            too_many("request_quota_exceeded", "Requests per day limit exceeded - too many requests sent.")
                .with_header("x-ratelimit-remaining-requests-day", 0)
                .with_header("x-ratelimit-reset-requests-day", wait.as_secs_f64())
        }
        Refusal::Tokens { wait, .. } => {
            too_many("token_quota_exceeded", "Tokens per minute limit exceeded - too many tokens processed.")
                .with_header("x-ratelimit-remaining-tokens-minute", 0)
                .with_header("x-ratelimit-reset-tokens-minute", wait.as_secs_f64())
        }
        Refusal::TooLarge { .. } => {
            Refused::new(413, "invalid_request_error", "", "Request entity too large")
        }
    }
}

fn allowance_headers(style: Style, allowance: &Allowance) -> Headers {
    let names: [(&str, String); 6] = match style {
        Style::Groq => [
            ("x-ratelimit-limit-requests", allowance.requests_per_day.to_string()),
            ("x-ratelimit-remaining-requests", allowance.requests_left_today.to_string()),
            ("x-ratelimit-reset-requests", go_duration(allowance.day_resets_in)),
            ("x-ratelimit-limit-tokens", allowance.tokens_per_minute.to_string()),
            ("x-ratelimit-remaining-tokens", allowance.tokens_left.to_string()),
            ("x-ratelimit-reset-tokens", go_duration(allowance.tokens_reset_in)),
        ],
        Style::Cerebras => [
            ("x-ratelimit-limit-requests-day", allowance.requests_per_day.to_string()),
            ("x-ratelimit-remaining-requests-day", allowance.requests_left_today.to_string()),
            ("x-ratelimit-reset-requests-day", allowance.day_resets_in.as_secs_f64().to_string()),
            ("x-ratelimit-limit-tokens-minute", allowance.tokens_per_minute.to_string()),
            ("x-ratelimit-remaining-tokens-minute", allowance.tokens_left.to_string()),
            ("x-ratelimit-reset-tokens-minute", allowance.tokens_reset_in.as_secs_f64().to_string()),
        ],
    };
    names.map(|(name, value)| (name.to_owned(), value)).into()
}

/// An error inside a stream.
fn error_event(style: Style, fault: &Fault) -> Vec<u8> {
    let (Fault::ErrorEvent(_, trouble) | Fault::BareError(_, trouble)) = fault else {
        return Vec::new();
    };
    let refused = refused_for(style, *trouble, "simulated");
    let mut event = json!({"error": {"message": refused.message, "type": refused.kind, "code": code_value(refused.code)}});
    let status = json!(refused.status);
    match style {
        Style::Groq => event["error"]["status_code"] = status,
        Style::Cerebras => event["status_code"] = status,
    }
    match (fault, style) {
        (Fault::BareError(..), _) => format!("{event:#}\n").into_bytes(),
        (_, Style::Groq) => format!("event: error\ndata: {event}\n\n").into_bytes(),
        (_, Style::Cerebras) => format!("data: {event}\n\n").into_bytes(),
    }
}

fn model_of(body: &Value) -> String {
    body["model"].as_str().unwrap_or_default().to_owned()
}

/// The text of the last message; of a list of parts the text parts.
fn last_text(body: &Value) -> String {
    let content =
        &body["messages"].as_array().and_then(|messages| messages.last()).unwrap_or(&Value::Null)["content"];
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// A span in Go's form: `420ms`, `7.66s`, `2m59.56s`, `1h2m3s`.
fn go_duration(span: Duration) -> String {
    let ms = span.as_millis();
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let seconds = (ms % 60_000) as f64 / 1_000.0;
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}
