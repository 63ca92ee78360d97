//! Simulated Google Gemini: its native API, under `/v1beta` and `/v1`.
//!
//! Sources, checked 2026-11: the types of google-genai 3.4.0; <https://ai.google.dev/api/generate-content>; error
//! bodies from field reports quoted in ARCHITECTURE.md. Events end in CRLF, there is no end mark, 429s have no
//! headers and name the quota in their body, a wrong key is a 400.

#![expect(clippy::indexing_slicing, reason = "indexing a JSON value by a missing key gives null")]

use std::time::Duration;

use serde_json::{Value, json};

use super::behaviour::{Behaviour, Fault, Reply, Trouble};
use super::quota::Refusal;
use super::wire::{Response, Step};
use super::{ReceivedRequest, Shared};

/// The fields of a request; any other is refused. Each has its second spelling with underscores.
const FIELDS: [&str; 9] = [
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "serviceTier",
    "store",
];

const GENERATION_FIELDS: [&str; 22] = [
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "thinkingConfig",
    "speechConfig",
    "mediaResolution",
    "enableEnhancedCivicAnswers",
    "imageConfig",
    "routingConfig",
    "audioTimestamp",
];

/// The fields of a part, of which it has exactly one.
const PART_DATA: [&str; 7] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
];

struct Refused {
    code: u16,
    status: &'static str,
    message: String,
    details: Vec<Value>,
}

impl Refused {
    fn new(code: u16, status: &'static str, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), details: Vec::new() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    fn body(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message, "status": self.status});
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        json!({ "error": error })
    }
}

/// What a path asks for.
enum Asked<'p> {
    Models,
    Model(&'p str),
    Whole(&'p str),
    Stream { model: &'p str, is_sse: bool },
}

/// What is done about `request`.
pub(super) fn respond(shared: &Shared, request: &ReceivedRequest) -> Vec<Step> {
    let mut behaviour = shared.behaviour_for(request);
    let asked = parse_path(request);
    let response = answer(shared, asked.as_ref(), request, &behaviour).unwrap_or_else(|refused| {
        // A refusal arrives, whatever would have happened to the answer.
        behaviour.fault = None;
        // Streaming calls get their errors in an array unless they asked for SSE.
        match asked {
            Some(Asked::Stream { is_sse: false, .. }) => {
                Response::json(refused.code, Vec::new(), &json!([refused.body()]))
            }
            _ => Response::json(refused.code, Vec::new(), &refused.body()),
        }
    });
    let pace = behaviour.pace.unwrap_or(shared.settings.pace);
    response.steps(&behaviour, pace, error_event)
}

fn parse_path(request: &ReceivedRequest) -> Option<Asked<'_>> {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let rest = path.strip_prefix("/v1beta").or_else(|| path.strip_prefix("/v1"))?.strip_prefix("/models")?;
    if request.method == "GET" {
        return Some(if rest.is_empty() { Asked::Models } else { Asked::Model(rest.strip_prefix('/')?) });
    }
    let (model, method) = rest.strip_prefix('/')?.rsplit_once(':')?;
    match method {
        "generateContent" => Some(Asked::Whole(model)),
        "streamGenerateContent" => {
            Some(Asked::Stream { model, is_sse: query.split('&').any(|pair| pair == "alt=sse") })
        }
        _ => None,
    }
}

fn answer(
    shared: &Shared,
    asked: Option<&Asked<'_>>,
    request: &ReceivedRequest,
    behaviour: &Behaviour,
) -> Result<Response, Refused> {
    let key = authenticate(request)?;
    let version = if request.path.starts_with("/v1beta/") { "v1beta" } else { "v1" };
    let (model, is_stream, is_sse) = match asked {
        Some(Asked::Models) => return Ok(models(shared)),
        Some(Asked::Model(id)) => {
            let known = shared.settings.models.iter().find(|model| model.as_str() == *id);
            let model = known.ok_or_else(|| refused_for(Trouble::ModelGone, id, version))?;
            return Ok(Response::json(200, Vec::new(), &model_entry(model)));
        }
        Some(Asked::Whole(model)) => (*model, false, false),
        Some(Asked::Stream { model, is_sse }) => (*model, true, *is_sse),
        None => return Err(Refused::new(404, "NOT_FOUND", "Requested entity was not found.")),
    };
    if let Reply::Trouble(trouble) = &behaviour.reply {
        return Err(refused_for(*trouble, model, version));
    }
    if let Some(response) = Response::scripted(&behaviour.reply) {
        return Ok(response);
    }
    let body = request.json();
    check_fields(&body)?;
    if !shared.settings.models.iter().any(|known| known == model) {
        return Err(refused_for(Trouble::ModelGone, model, version));
    }
    let prompt_tokens =
        (body["systemInstruction"].to_string().len() + body["contents"].to_string().len()).div_ceil(4) as u64;
    let charged = shared.state().quotas.charge(&key, model, prompt_tokens, (shared.settings.clock)());
    charged.map_err(|refusal| refused_for_quota(refusal, model))?;
    if let (false, Some(Fault::ErrorEvent(_, trouble) | Fault::BareError(_, trouble))) =
        (is_stream, &behaviour.fault)
    {
        return Err(refused_for(*trouble, model, version));
    }
    let said = super::said(shared, behaviour, &last_text(&body));
    let id = format!("sim{}", shared.state().request_count);
    let events = Events { model, id, prompt_tokens };
    Ok(match (is_stream, is_sse) {
        (true, true) => events.stream(&said, behaviour),
        (true, false) => Response::whole(Vec::new(), &json!([events.whole(&said, behaviour)])),
        (false, _) => Response::whole(Vec::new(), &events.whole(&said, behaviour)),
    })
}

fn authenticate(request: &ReceivedRequest) -> Result<String, Refused> {
    let in_query = || request.path.split(['?', '&']).find_map(|pair| pair.strip_prefix("key="));
    let Some(key) = request.header("x-goog-api-key").or_else(in_query).filter(|key| !key.is_empty()) else {
        let message = "Method doesn't allow unregistered callers (callers without established identity). Please use \
                       API Key or other form of API consumer identity to call this API.";
        return Err(Refused::new(403, "PERMISSION_DENIED", message));
    };
    if key.contains("invalid") {
        return Err(refused_for(Trouble::BadKey, "", ""));
    }
    Ok(key.to_owned())
}

fn check_fields(body: &Value) -> Result<(), Refused> {
    let Some(object) = body.as_object() else {
        return Err(Refused::invalid("Invalid JSON payload received. Root element must be a message."));
    };
    let unknown = |object: &serde_json::Map<String, Value>, known: &[&str]| {
        object.keys().find(|field| !known.iter().any(|known| is_spelling(field, known))).cloned()
    };
    if let Some(name) = unknown(object, &FIELDS) {
        return Err(unknown_name(&name, ""));
    }
    let config =
        object.get("generationConfig").or_else(|| object.get("generation_config")).and_then(Value::as_object);
    if let Some(name) = config.and_then(|config| unknown(config, &GENERATION_FIELDS)) {
        return Err(unknown_name(&name, " at 'generation_config'"));
    }
    let contents = object.get("contents").and_then(Value::as_array).filter(|contents| !contents.is_empty());
    let Some(contents) = contents else {
        return Err(Refused::invalid("* GenerateContentRequest.contents: contents is not specified"));
    };
    for (index, content) in contents.iter().enumerate() {
        if !matches!(content["role"].as_str(), None | Some("user" | "model" | "function")) {
            return Err(Refused::invalid("Please use a valid role: user, model."));
        }
        let Some(parts) = content["parts"].as_array().filter(|parts| !parts.is_empty()) else {
            return Err(Refused::invalid(
                "* GenerateContentRequest.contents: contents.parts must not be empty.",
            ));
        };
        for (position, part) in parts.iter().enumerate() {
            let has_data = PART_DATA.iter().any(|name| {
                let field =
                    part.as_object().and_then(|part| part.iter().find(|(field, _)| is_spelling(field, name)));
                field.is_some_and(|(_, value)| value != "")
            });
            if !has_data {
                return Err(Refused::invalid(format!(
                    "* GenerateContentRequest.contents[{index}].parts[{position}].data: required oneof field 'data' \
                     must have one initialized field"
                )));
            }
        }
    }
    Ok(())
}

/// Whether `field` is `name` or the same with underscores.
fn is_spelling(field: &str, name: &str) -> bool {
    field == name || field.replace('_', "").eq_ignore_ascii_case(name)
}

struct Events<'m> {
    model: &'m str,
    id: String,
    prompt_tokens: u64,
}

impl Events<'_> {
    fn stream(&self, said: &super::Said, behaviour: &Behaviour) -> Response {
        let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
        if matches!(behaviour.reply, Reply::Blocked) {
            return Response {
                status: 200,
                headers,
                prelude: vec![sse(&self.blocked())],
                ..Response::default()
            };
        }
        let thought_tokens = said.thoughts.len() as u64;
        let thoughts = said.thoughts.iter().enumerate();
        let prelude = thoughts.map(|(index, piece)| {
            sse(&self.event(&json!({"text": piece, "thought": true}), None, 0, index as u64 + 1))
        });
        let pieces = said.text.iter().enumerate();
        let text = pieces.map(|(index, piece)| {
            sse(&self.event(&json!({"text": piece}), None, index as u64 + 1, thought_tokens))
        });
        let last = json!({"text": "", "thoughtSignature": "c2ltdWxhdGVk"});
        let finish = finish_reason(said.finish);
        let ending = vec![sse(&self.event(&last, Some(finish), said.text.len() as u64, thought_tokens))];
        let ending = if behaviour.fault == Some(Fault::NoFinish) { Vec::new() } else { ending };
        Response { status: 200, headers, prelude: prelude.collect(), text: text.collect(), ending }
    }

    fn whole(&self, said: &super::Said, behaviour: &Behaviour) -> Value {
        if matches!(behaviour.reply, Reply::Blocked) {
            return self.blocked();
        }
        let finish = Some(finish_reason(said.finish));
        let (text_tokens, thought_tokens) = (said.text.len() as u64, said.thoughts.len() as u64);
        let mut event = self.event(&json!({"text": said.text.concat()}), finish, text_tokens, thought_tokens);
        if !said.thoughts.is_empty() {
            let parts =
                json!([{"text": said.thoughts.concat(), "thought": true}, {"text": said.text.concat()}]);
            event["candidates"][0]["content"]["parts"] = parts;
        }
        event
    }

    fn event(&self, part: &Value, finish: Option<&str>, text_tokens: u64, thought_tokens: u64) -> Value {
        let mut candidate = json!({"content": {"parts": [part], "role": "model"}, "index": 0});
        if let Some(finish) = finish {
            candidate["finishReason"] = json!(finish);
        }
        // Counts are absent, not 0, when they are zero.
        let mut usage = json!({
            "promptTokenCount": self.prompt_tokens,
            "totalTokenCount": self.prompt_tokens + text_tokens + thought_tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": self.prompt_tokens}],
        });
        for (name, count) in [("candidatesTokenCount", text_tokens), ("thoughtsTokenCount", thought_tokens)] {
            if count > 0 {
                usage[name] = json!(count);
            }
        }
        json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": self.model, "responseId": self.id})
    }

    fn blocked(&self) -> Value {
        json!({
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": {"promptTokenCount": self.prompt_tokens, "totalTokenCount": self.prompt_tokens},
            "modelVersion": self.model, "responseId": self.id,
        })
    }
}

fn sse(event: &Value) -> Vec<u8> {
    format!("data: {event}\r\n\r\n").into_bytes()
}

fn finish_reason(openai: &str) -> &'static str {
    match openai {
        "length" => "MAX_TOKENS",
        "content_filter" => "SAFETY",
        _ => "STOP",
    }
}

fn models(shared: &Shared) -> Response {
    let models: Vec<Value> = shared.settings.models.iter().map(|id| model_entry(id)).collect();
    Response::json(200, Vec::new(), &json!({ "models": models }))
}

fn model_entry(id: &str) -> Value {
    json!({
        "name": format!("models/{id}"), "version": "sim", "displayName": format!("Simulated {id}"),
        "description": "Simulated", "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"], "temperature": 1, "maxTemperature": 2,
        "topP": 0.95, "topK": 64, "thinking": true,
    })
}

fn unknown_name(name: &str, at: &str) -> Refused {
    let message = format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field.");
    let mut refused = Refused::invalid(message);
    refused.details.push(json!({"@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"description": refused.message}]}));
    refused
}

/// Google's own words for `trouble`.
fn refused_for(trouble: Trouble, model: &str, version: &str) -> Refused {
    match trouble {
        Trouble::RateLimited(seconds) => {
            refused_for_quota(Refusal::PerMinute { limit: 15, wait: Duration::from_secs_f64(seconds) }, model)
        }
        Trouble::QuotaExhausted(seconds) => {
            refused_for_quota(Refusal::PerDay { limit: 20, wait: Duration::from_secs_f64(seconds) }, model)
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
        Trouble::ServerError => Refused::new(
            500,
            "INTERNAL",
            "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
        ),
    }
}

fn refused_for_quota(refusal: Refusal, model: &str) -> Refused {
    const REQUESTS: &str = "generativelanguage.googleapis.com/generate_content_free_tier_requests";
    const TOKENS: &str = "generativelanguage.googleapis.com/generate_content_free_tier_input_token_count";
    let (metric, quota_id, limit, wait) = match refusal {
        Refusal::PerMinute { limit, wait } => {
            (REQUESTS, "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", limit, wait)
        }
        // The stated delay is short although the day is over: so it is at the real one.
        Refusal::PerDay { limit, wait } => (
            REQUESTS,
            "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
            limit,
            wait.min(Duration::from_millis(34_400)),
        ),
        Refusal::Tokens { limit, wait, .. } => {
            (TOKENS, "GenerateContentInputTokensPerModelPerMinute-FreeTier", limit, wait)
        }
        Refusal::TooLarge { limit, .. } => {
            (TOKENS, "GenerateContentInputTokensPerModelPerMinute-FreeTier", limit, Duration::from_secs(60))
        }
    };
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

/// An error inside a stream: as an event, or bare.
fn error_event(fault: &Fault) -> Vec<u8> {
    match fault {
        Fault::ErrorEvent(_, trouble) => sse(&refused_for(*trouble, "simulated", "v1beta").body()),
        Fault::BareError(_, trouble) => {
            format!("{:#}\n", refused_for(*trouble, "simulated", "v1beta").body()).into_bytes()
        }
        _ => Vec::new(),
    }
}

/// The text of the last turn.
fn last_text(body: &Value) -> String {
    let contents = body["contents"].as_array().map(Vec::as_slice).unwrap_or_default();
    let parts = contents
        .last()
        .and_then(|content| content["parts"].as_array())
        .map(Vec::as_slice)
        .unwrap_or_default();
    parts.iter().filter_map(|part| part["text"].as_str()).collect()
}
