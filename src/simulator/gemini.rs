//! Simulated Google Gemini: its native API, under `/v1beta` and `/v1`.
//!
//! Sources, checked 2026-11: the types of google-genai 3.4.0; <https://ai.google.dev/api/generate-content>; error
//! bodies from field reports quoted in ARCHITECTURE.md. Events end in CRLF, there is no end mark, 429s have no
//! headers and name the quota in their body, a wrong key is a 400.

#![expect(clippy::indexing_slicing, reason = "indexing a JSON value by a missing key gives null")]

mod fields;
mod prompt;
mod refusals;
mod rules;
mod schema_rules;
mod tool_rules;
mod turns;

use serde_json::{Value, json};

use self::refusals::{Refused, refused_for, refused_for_quota};
use super::behaviour::{Behaviour, Fault, Reply, SimulatedCall, Trouble};
use super::echo::{self, Said};
use super::limiter::{Refusal, Size, Used};
use super::models::facts;
use super::wire::{Response, Step};
use super::{ReceivedRequest, Shared};

/// What a path asks for.
enum Asked<'p> {
    Models,
    Model(&'p str),
    Whole(&'p str),
    Stream { model: &'p str, is_sse: bool },
}

/// The steps that answer `request`.
pub(super) fn respond(shared: &Shared, request: &ReceivedRequest) -> Vec<Step> {
    let mut behaviour = shared.behaviour_for(request);
    let asked = parse_path(request);
    let response = answer(shared, asked.as_ref(), request, &behaviour).unwrap_or_else(|refused| {
        // A refusal is sent even if the answer would have had a fault.
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
    let models = shared.models_for(&key);
    let scripted = || match &behaviour.reply {
        Reply::Trouble(trouble) => Err(refused_for(*trouble, "", version)),
        reply => Ok(Response::scripted(reply)),
    };
    let (model, is_stream, is_sse) = match asked {
        Some(Asked::Models) => return Ok(scripted()?.unwrap_or_else(|| model_list(&models))),
        Some(Asked::Model(id)) => {
            let known = models.iter().find(|model| model.as_str() == *id);
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
    rules::check(&body)?;
    if !models.iter().any(|known| known == model) {
        return Err(refused_for(Trouble::ModelGone, model, version));
    }
    rules::check_for_model(&body, model, &facts(shared.provider.profile(), model), |signature| {
        shared.has_signed(signature)
    })?;
    let prompt_tokens =
        (body["systemInstruction"].to_string().len() + body["contents"].to_string().len()).div_ceil(4) as u64;
    let longest_answer = body["generationConfig"]["maxOutputTokens"].as_u64().unwrap_or(0);
    let admitted = shared.admit(&key, model, Size { prompt: prompt_tokens, longest_answer });
    let call = admitted.map_err(|refusal| refused_for_quota(&refusal, model))?.call;
    let said = echo::said(shared.provider.name(), shared.settings.voice, behaviour, &prompt::read(&body));
    let used = Used { prompt: prompt_tokens, answer: said.tokens() + said.thoughts.len() as u64 };
    shared.takes(request.connection, call, used);
    if let (false, Some(Fault::ErrorEvent(_, trouble) | Fault::BareError(_, trouble))) =
        (is_stream, &behaviour.fault)
    {
        return Err(refused_for(*trouble, model, version));
    }
    let needs_signature = !said.calls.is_empty() && facts(shared.provider.profile(), model).is_gemini_3;
    let signature = needs_signature.then(|| shared.sign(model));
    let id = format!("sim{}", shared.state().request_count);
    let answer = Answer { model, id, prompt_tokens, said: &said, behaviour, signature };
    Ok(match (is_stream, is_sse) {
        (true, true) => answer.stream(),
        (true, false) => Response::whole(Vec::new(), format!("[{}]", answer.whole())),
        (false, _) => Response::whole(Vec::new(), answer.whole()),
    })
}

/// The answer to a call for which a limit has no room.
pub(super) fn quota_refusal(refusal: &Refusal, model: &str) -> Response {
    let refused = refused_for_quota(refusal, model);
    Response::json(refused.code, Vec::new(), &refused.body())
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

/// An answer to write. Its JSON is built as text, because arguments are sent unchanged.
struct Answer<'a> {
    model: &'a str,
    id: String,
    prompt_tokens: u64,
    said: &'a Said,
    behaviour: &'a Behaviour,
    /// Sent with the first call.
    signature: Option<String>,
}

impl Answer<'_> {
    fn stream(&self) -> Response {
        let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
        if let Some(event) = self.without_content() {
            return Response { status: 200, headers, prelude: vec![sse(&event)], ..Response::default() };
        }
        let said = self.said;
        let thought_tokens = said.thoughts.len() as u64;
        let thoughts = said.thoughts.iter().zip(1..);
        let prelude = thoughts.map(|(piece, count)| sse(&self.event(&thought(piece), "", 0, count)));
        let parts = said.text.iter().map(|piece| text(piece)).chain(self.calls()).zip(1..);
        let events = parts.map(|(part, count)| sse(&self.event(&part, "", count, thought_tokens)));
        let last = match said.calls.as_slice() {
            [] => json!({"text": "", "thoughtSignature": "c2ltdWxhdGVk"}).to_string(),
            _ => text(""),
        };
        let finish = format!(r#""finishReason":"{}","#, finish_reason(said.finish));
        let ending = vec![sse(&self.event(&last, &finish, said.tokens(), thought_tokens))];
        let ending = if self.behaviour.fault == Some(Fault::NoFinish) { Vec::new() } else { ending };
        Response { status: 200, headers, prelude: prelude.collect(), text: events.collect(), ending }
    }

    fn whole(&self) -> String {
        if let Some(event) = self.without_content() {
            return event;
        }
        let said = self.said;
        let mut parts = Vec::new();
        if !said.thoughts.is_empty() {
            parts.push(thought(&said.thoughts.concat()));
        }
        if said.calls.is_empty() || !said.text.is_empty() {
            parts.push(text(&said.text.concat()));
        }
        parts.extend(self.calls());
        let message = match said.calls.as_slice() {
            [] => "",
            _ => r#""finishMessage":"Model generated function call(s).","#,
        };
        let finish = format!(r#""finishReason":"{}",{message}"#, finish_reason(said.finish));
        self.event(&parts.join(","), &finish, said.tokens(), said.thoughts.len() as u64)
    }

    /// The calls as parts. Empty arguments are left out.
    fn calls(&self) -> impl Iterator<Item = String> {
        self.said.calls.iter().enumerate().map(|(index, call)| {
            let SimulatedCall { name, arguments } = call;
            let name = json!(name);
            let args = if arguments.is_empty() { String::new() } else { format!(r#","args":{arguments}"#) };
            let id = match self.behaviour.has_call_ids {
                true => format!(r#""id":"{}-{index}","#, self.id),
                false => String::new(),
            };
            let signature = match &self.signature {
                Some(signature) if index == 0 => format!(r#","thoughtSignature":"{signature}""#),
                _ => String::new(),
            };
            format!(r#"{{"functionCall":{{{id}"name":{name}{args}}}{signature}}}"#)
        })
    }

    /// One event of a stream, or the whole answer. `parts` and the fields in `finish` are JSON text.
    fn event(&self, parts: &str, finish: &str, text_tokens: u64, thought_tokens: u64) -> String {
        let content = format!(r#"{{"parts":[{parts}],"role":"model"}}"#);
        self.candidate(&content, finish, text_tokens, thought_tokens)
    }

    fn candidate(&self, content: &str, finish: &str, text_tokens: u64, thought_tokens: u64) -> String {
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
        let Self { model, id, .. } = self;
        format!(
            r#"{{"candidates":[{{"content":{content},{finish}"index":0}}],"usageMetadata":{usage},"modelVersion":"{model}","responseId":"{id}"}}"#
        )
    }

    /// The answer if there is no content: the prompt is blocked, or a call is garbled.
    fn without_content(&self) -> Option<String> {
        match self.behaviour.reply {
            Reply::Blocked => Some(self.blocked().to_string()),
            Reply::GarbledCall => {
                let finish = r#""finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"Malformed function call: simulated(a=","#;
                Some(self.candidate("{}", finish, 0, 0))
            }
            _ => None,
        }
    }

    fn blocked(&self) -> Value {
        json!({
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": {"promptTokenCount": self.prompt_tokens, "totalTokenCount": self.prompt_tokens},
            "modelVersion": self.model, "responseId": self.id,
        })
    }
}

fn text(text: &str) -> String {
    json!({ "text": text }).to_string()
}

fn thought(text: &str) -> String {
    json!({"text": text, "thought": true}).to_string()
}

fn sse(event: &str) -> Vec<u8> {
    format!("data: {event}\r\n\r\n").into_bytes()
}

fn finish_reason(openai: &str) -> &'static str {
    match openai {
        "length" => "MAX_TOKENS",
        "content_filter" => "SAFETY",
        _ => "STOP",
    }
}

fn model_list(models: &[String]) -> Response {
    let models: Vec<Value> = models.iter().map(|id| model_entry(id)).collect();
    Response::json(200, Vec::new(), &json!({ "models": models }))
}

fn model_entry(id: &str) -> Value {
    let methods = if id.contains("embedding") {
        ["embedContent", "countTokens"]
    } else {
        ["generateContent", "countTokens"]
    };
    json!({
        "name": format!("models/{id}"), "version": "sim", "displayName": format!("Simulated {id}"),
        "description": "Simulated", "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
        "supportedGenerationMethods": methods, "temperature": 1, "maxTemperature": 2,
        "topP": 0.95, "topK": 64, "thinking": true,
    })
}

/// An error inside a stream: as an event, or bare.
fn error_event(fault: &Fault) -> Vec<u8> {
    match fault {
        Fault::ErrorEvent(_, trouble) => {
            sse(&refused_for(*trouble, "simulated", "v1beta").body().to_string())
        }
        Fault::BareError(_, trouble) => {
            format!("{:#}\n", refused_for(*trouble, "simulated", "v1beta").body()).into_bytes()
        }
        _ => Vec::new(),
    }
}
