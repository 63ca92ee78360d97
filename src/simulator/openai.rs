//! Simulated providers that speak OpenAI's chat completions, each according to its row. Groq and Cerebras are as strict
//! as the real ones.
//!
//! Sources, checked 2026-11: request and response types of the SDKs groq 1.7.0 and cerebras-cloud-sdk 1.91.0;
//! recorded streams in vercel/ai's fixtures (Groq February 2026, Cerebras May 2026); error bodies from
//! <https://console.groq.com/docs/errors> and field reports quoted in ARCHITECTURE.md.

#![expect(clippy::indexing_slicing, reason = "indexing a JSON value by a missing key gives null")]

mod host;
mod message_rules;
mod prompt;
mod refusals;
mod rules;

use std::time::Duration;

use serde_json::{Value, json};

pub(super) use self::host::Host;
use self::host::{Manner, Style};
use self::refusals::{Refused, error_event, go_duration, refused_for, refused_for_quota};
use super::behaviour::{After, Behaviour, Fault, Reply, SimulatedCall, Trouble};
use super::echo::{self, Said};
use super::models::facts;
use super::quota::Allowance;
use super::wire::{Response, Step};
use super::{ReceivedRequest, Shared};
use crate::middle::Measure;

type Headers = Vec<(String, String)>;

/// The steps that answer `request`.
pub(super) fn respond(shared: &Shared, host: &Host, request: &ReceivedRequest) -> Vec<Step> {
    let mut behaviour = shared.behaviour_for(request);
    if matches!(behaviour.reply, Reply::GarbledCall) {
        behaviour.fault = Some(Fault::ErrorEvent(After::Head, Trouble::ToolUseFailed));
    }
    let response = answer(shared, host, request, &behaviour).unwrap_or_else(|refused| {
        // A refusal is sent even if the answer would have had a fault.
        behaviour.fault = None;
        refused.response(host.style())
    });
    let pace = behaviour.pace.unwrap_or(shared.settings.pace);
    response.steps(&behaviour, pace, |fault| error_event(host, fault))
}

fn answer(
    shared: &Shared,
    host: &Host,
    request: &ReceivedRequest,
    behaviour: &Behaviour,
) -> Result<Response, Refused> {
    let path = request.path.split('?').next().unwrap_or_default();
    if host.manner == Manner::Cerebras && path == "/v1/tcp_warming" {
        return Ok(Response::json(200, Vec::new(), &json!({})));
    }
    let key = authenticate(host, request)?;
    if request.method == "GET"
        && let Some(id) = path.strip_prefix(host.quirks.models_path)
    {
        return match &behaviour.reply {
            Reply::Trouble(trouble) => Err(refused_for(host, *trouble, "")),
            reply => Response::scripted(reply)
                .map_or_else(|| models(&shared.models_for(&key), host, id.trim_start_matches('/')), Ok),
        };
    }
    if request.method != "POST" || path != host.quirks.chat_path {
        let message =
            format!("Unknown request URL: {} {path}. Please check the URL for typos.", request.method);
        return Err(Refused::new(404, "invalid_request_error", "unknown_url", message));
    }
    if let Reply::Trouble(trouble) = &behaviour.reply {
        return Err(refused_for(host, *trouble, &model_of(&request.json())));
    }
    if let Some(response) = Response::scripted(&behaviour.reply) {
        return Ok(response);
    }
    let body = request.json();
    rules::check(host, &body)?;
    let model = model_of(&body);
    if !shared.models_for(&key).contains(&model) {
        return Err(refused_for(host, Trouble::ModelGone, &model));
    }
    rules::check_for_model(host, &body, &model)?;
    let prompt_tokens = (body["messages"].to_string().len() as u64).div_ceil(4);
    let most = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64()).unwrap_or(0);
    let charged = shared.state().quotas.charge(&key, &model, prompt_tokens + most, (shared.settings.clock)());
    let allowance = charged.map_err(|refusal| refused_for_quota(host, refusal, &model))?;
    let said = echo::said(shared.provider.name(), behaviour, &prompt::read(host, &body));
    let number = shared.state().request_count;
    let is_usage_asked = body["stream_options"]["include_usage"] == true;
    let completion = Completion {
        manner: host.manner,
        streams_usage: is_usage_asked || !host.quirks.asks_for_usage,
        id: format!("chatcmpl-sim-{number}"),
        number,
        created: (shared.settings.clock)().as_second(),
        model,
        prompt_tokens,
        completion_tokens: said.tokens() + said.thoughts.len() as u64,
        reasoning_tokens: said.thoughts.len() as u64,
    };
    let is_stream = body["stream"].as_bool() == Some(true);
    if let (false, Some(Fault::ErrorEvent(_, trouble) | Fault::BareError(_, trouble))) =
        (is_stream, &behaviour.fault)
    {
        return Err(refused_for(host, *trouble, &completion.model));
    }
    let headers = limit_headers(host, &allowance);
    Ok(if is_stream {
        completion.stream(&said, behaviour.fault.as_ref(), headers)
    } else {
        completion.whole(&said, headers)
    })
}

fn authenticate(host: &Host, request: &ReceivedRequest) -> Result<String, Refused> {
    let (name, prefix) = host.key_header();
    let key = request.header(name).and_then(|value| value.strip_prefix(prefix)).unwrap_or_default();
    if key.is_empty() || key.contains("invalid") {
        return Err(refused_for(host, Trouble::BadKey, ""));
    }
    Ok(key.to_owned())
}

fn models(models: &[String], host: &Host, id: &str) -> Result<Response, Refused> {
    let entry = |id: &String| match host.manner {
        Manner::Groq => {
            json!({"id": id, "object": "model", "created": 1_760_000_000, "owned_by": "Simulated",
            "active": true, "context_window": 131_072, "public_apps": null, "max_completion_tokens": facts(host.profile, id).max_completion_tokens.min(65_536)})
        }
        Manner::Cerebras | Manner::Plain => {
            json!({"id": id, "object": "model", "created": 0, "owned_by": "Simulated"})
        }
    };
    if id.is_empty() {
        let data: Vec<Value> = models.iter().map(entry).collect();
        return Ok(Response::json(200, Vec::new(), &json!({"object": "list", "data": data})));
    }
    let id = id.replace("%2F", "/");
    match models.iter().find(|model| **model == id) {
        Some(model) => Ok(Response::json(200, Vec::new(), &entry(model))),
        None => Err(refused_for(host, Trouble::ModelGone, &id)),
    }
}

/// What an answer consists of in addition to its text.
struct Completion {
    manner: Manner,
    streams_usage: bool,
    id: String,
    /// The number of the request, from which its calls get their ids.
    number: u64,
    created: i64,
    model: String,
    prompt_tokens: u64,
    completion_tokens: u64,
    reasoning_tokens: u64,
}

impl Completion {
    fn stream(&self, said: &Said, fault: Option<&Fault>, headers: Headers) -> Response {
        let mut all = vec![("content-type".to_owned(), "text/event-stream; charset=utf-8".to_owned())];
        all.extend(headers);
        let first = match self.manner {
            Manner::Groq | Manner::Plain if said.text.is_empty() && !said.calls.is_empty() => {
                json!({"role": "assistant", "content": null})
            }
            Manner::Groq | Manner::Plain => json!({"role": "assistant", "content": ""}),
            Manner::Cerebras => json!({"role": "assistant"}),
        };
        let mut prelude = vec![self.chunk(&first, None, true)];
        let thoughts = said.thoughts.iter();
        prelude.extend(thoughts.map(|piece| self.chunk(&json!({self.thoughts_name(): piece}), None, false)));
        let text = said.text.iter().map(|piece| self.chunk(&json!({"content": piece}), None, false));
        let calls = said.calls.iter().enumerate();
        let calls = calls.map(|(index, call)| {
            let call = self.call(call, index, true);
            self.chunk(&json!({"tool_calls": [call]}), None, false)
        });
        let mut ending = Vec::new();
        if fault != Some(&Fault::NoFinish) {
            ending.push(self.chunk(&json!({}), Some(said.finish), false));
            if self.manner == Manner::Plain && self.streams_usage {
                ending.push(self.usage_chunk());
            }
        }
        if fault != Some(&Fault::NoEndMark) {
            ending.push(b"data: [DONE]\n\n".to_vec());
        }
        Response { status: 200, headers: all, prelude, text: text.chain(calls).collect(), ending }
    }

    fn chunk(&self, delta: &Value, finish: Option<&str>, is_first: bool) -> Vec<u8> {
        let Self { id, created, model, .. } = self;
        let chunk = match self.manner {
            Manner::Plain => {
                format!(
                    r#"{{"id":"{id}","object":"chat.completion.chunk","created":{created},"model":"{model}","choices":[{{"index":0,"delta":{delta},"finish_reason":{}}}]}}"#,
                    json!(finish)
                )
            }
            Manner::Groq => {
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
            Manner::Cerebras => {
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

    /// The chunk that OpenAI sends between the finish and the end mark.
    fn usage_chunk(&self) -> Vec<u8> {
        let chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": [], "usage": self.usage(),
        });
        format!("data: {chunk}\n\n").into_bytes()
    }

    /// The name of the field with the reasoning.
    fn thoughts_name(&self) -> &'static str {
        match self.manner {
            Manner::Groq | Manner::Cerebras => "reasoning",
            Manner::Plain => "reasoning_content",
        }
    }

    /// A call, with its place among the calls in a stream. Its id has nine letters and digits.
    fn call(&self, call: &SimulatedCall, index: usize, is_stream: bool) -> Value {
        let id = format!("sim{:04x}{:02x}", self.number % 0x1_0000, index % 0x100);
        let function = json!({"name": call.name, "arguments": call.arguments});
        let mut call = json!({"id": id, "type": "function", "function": function});
        if is_stream {
            call["index"] = json!(index);
        }
        call
    }

    fn whole(&self, said: &Said, headers: Headers) -> Response {
        let mut message = json!({"role": "assistant"});
        if said.calls.is_empty() || !said.text.is_empty() {
            message["content"] = json!(said.text.concat());
        }
        if !said.calls.is_empty() {
            let calls = said.calls.iter().enumerate();
            message["tool_calls"] = calls.map(|(index, call)| self.call(call, index, false)).collect();
        }
        if !said.thoughts.is_empty() {
            message[self.thoughts_name()] = json!(said.thoughts.concat());
        }
        let mut body = json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": said.finish}],
            "usage": self.usage(), "system_fingerprint": "fp_sim",
        });
        match self.manner {
            Manner::Plain => {}
            Manner::Groq => {
                body["choices"][0]["logprobs"] = Value::Null;
                body["usage_breakdown"] = Value::Null;
                body["x_groq"] = json!({"id": format!("req_{}", self.id), "seed": 7});
                body["service_tier"] = json!("on_demand");
            }
            Manner::Cerebras => body["time_info"] = self.time_info(),
        }
        Response::whole(headers, body.to_string())
    }

    fn usage(&self) -> Value {
        let Self { prompt_tokens, completion_tokens, .. } = self;
        let total_tokens = prompt_tokens + completion_tokens;
        let mut usage = match self.manner {
            Manner::Plain => json!({
                "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total_tokens,
            }),
            Manner::Groq => json!({
                "queue_time": 0.01, "prompt_tokens": prompt_tokens, "prompt_time": 0.001,
                "completion_tokens": completion_tokens, "completion_time": 0.01,
                "total_tokens": total_tokens, "total_time": 0.011,
            }),
            Manner::Cerebras => json!({
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

/// The headers that the row reads, with what is left.
fn limit_headers(host: &Host, allowance: &Allowance) -> Headers {
    let reset = |span: Duration| match host.style() {
        Style::Wrapped => go_duration(span),
        Style::Flat => span.as_secs_f64().to_string(),
    };
    let mut headers = Headers::new();
    for names in host.quirks.limit_headers {
        let (limit, left, resets_in) = match names.measure {
            Measure::REQUESTS_A_DAY => {
                (allowance.requests_per_day, allowance.requests_left_today, allowance.day_resets_in)
            }
            Measure::TOKENS_A_MINUTE => {
                (allowance.tokens_per_minute, allowance.tokens_left, allowance.tokens_reset_in)
            }
            // The simulated plan has no other limits.
            _ => continue,
        };
        let values = [
            (names.limit, limit.to_string()),
            (names.remaining, left.to_string()),
            (names.reset, reset(resets_in)),
        ];
        headers.extend(values.map(|(name, value)| (name.to_owned(), value)));
    }
    headers
}

fn model_of(body: &Value) -> String {
    body["model"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use crate::middle::{
        AssistantPart, ChatRequest, Event, ExpectedCalls, Feature, Message, Part, Tool, ToolCall, ToolChoice,
    };
    use crate::providers::{AnswerDecoder, Auth, Dialect, ErrorForm, Profile, Provider, Quirks};
    use crate::simulator::{Framing, Outcome};

    /// A provider that the simulator has never heard of and that differs from OpenAI in every column.
    fn odd() -> Provider {
        let quirks = Quirks {
            chat_path: "/odd/chat",
            max_tokens_name: "most",
            unasked_max_tokens: Some(64),
            seed_name: "random_seed",
            required_word: "any",
            takes_null_content: false,
            takes: &[Feature::Seed],
            errors: ErrorForm::Flat,
            ..Quirks::NONE
        };
        let (auth, dialect) = (Auth::Header("x-odd-key"), Dialect::OpenAi(quirks));
        let like = Provider::CEREBRAS.profile();
        Provider::of(Box::leak(Box::new(Profile { name: "Odd", models: &[], auth, dialect, ..*like })))
    }

    /// A request that touches every column.
    fn request() -> ChatRequest {
        let call = ToolCall { id: "1".into(), name: "f".into(), arguments: "{}".into(), signature: None };
        let result = Message::Tool { call_id: "1".into(), parts: vec![Part::Text("2".into())] };
        let messages = vec![Message::user("Hi"), Message::Assistant(vec![AssistantPart::Call(call)]), result];
        let mut request =
            ChatRequest::new([messages, vec![Message::user("And?")]].concat()).expect("messages");
        request.seed = Some(7);
        request.top_p = Some(0.5);
        request.tools =
            vec![Tool { name: "f".into(), description: None, parameters: None, strict: Some(true) }];
        request.tool_choice = Some(ToolChoice::Required);
        request
    }

    /// What the simulation of `provider` answers, head and body.
    fn answer_of(provider: Provider, path: &str, body: &Value) -> (String, Vec<u8>) {
        let settings = Settings::new(provider, std::sync::Arc::new(|| jiff::Timestamp::UNIX_EPOCH));
        let shared = Shared::new(provider, Settings { models: vec!["odd-1".to_owned()], ..settings });
        shared.state().usual = Behaviour { framing: Framing::Close, ..Behaviour::echo() };
        let received = ReceivedRequest {
            number: 0,
            connection: 0,
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: vec![("x-odd-key".to_owned(), "a-key".to_owned())],
            body: body.to_string().into_bytes(),
            received: tokio::time::Instant::now(),
            outcome: Outcome::Open,
        };
        let host = Host::of(provider.profile()).expect("OpenAI's dialect");
        let mut sent = respond(&shared, &host, &received).into_iter().filter_map(|step| match step {
            Step::Send(bytes) => Some(bytes),
            Step::Pause(_) | Step::Hang | Step::Reset | Step::Close => None,
        });
        let head = String::from_utf8(sent.next().unwrap_or_default()).expect("a head");
        (head, sent.flatten().collect())
    }

    /// Needs no word here about the provider: both sides read its row.
    #[test]
    fn a_new_row_is_simulated_as_it_says() {
        let provider = odd();
        let wire = provider.encode(&request(), "odd-1");
        let body: Value = serde_json::from_slice(&wire.body).expect("JSON");
        let (head, answer) = answer_of(provider, &wire.path, &body);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}{}", String::from_utf8_lossy(&answer));
        assert!(!String::from_utf8_lossy(&answer).contains("x_groq"), "only Groq has its own part");
        let expected = ExpectedCalls { renamed: Vec::new(), random: fastrand::Rng::with_seed(1) };
        let mut decoder = AnswerDecoder::new(provider, false, Some(expected));
        let mut events = Vec::new();
        decoder.push(&answer, &mut events).expect("an answer");
        decoder.end(&mut events).expect("a whole answer");
        assert!(events.iter().any(|event| matches!(event, Event::ToolCall(_))), "{events:?}");
        assert!(events.iter().any(|event| matches!(event, Event::Usage(_))), "{events:?}");
    }

    /// The simulator would notice if a column were not heeded.
    #[test]
    fn what_a_new_row_does_not_take_is_refused() {
        let provider = odd();
        let wire = provider.encode(&request(), "odd-1");
        let body: Value = serde_json::from_slice(&wire.body).expect("JSON");
        for (place, value) in [
            ("/top_p", json!(0.5)),
            ("/seed", json!(7)),
            ("/max_tokens", json!(64)),
            ("/tool_choice", json!("required")),
            ("/messages/1/content", Value::Null),
            ("/tools/0/function/strict", json!(true)),
        ] {
            let mut wrong = body.clone();
            let (object, field) = place.rsplit_once('/').expect("a place");
            wrong.pointer_mut(object).expect("an object")[field] = value;
            let (head, answer) = answer_of(provider, &wire.path, &wrong);
            let error: Value = serde_json::from_slice(&answer).expect("JSON");
            assert!(head.starts_with("HTTP/1.1 400 ") && error["message"].is_string(), "{place}: {error}");
        }
        let mut unasked = body;
        unasked["stream_options"] = Value::Null;
        let (_, answer) = answer_of(provider, &wire.path, &unasked);
        assert!(!String::from_utf8_lossy(&answer).contains("usage"), "nobody has asked for it");
        assert!(answer_of(provider, "/v1/chat/completions", &unasked).0.starts_with("HTTP/1.1 404 "));
    }
}
