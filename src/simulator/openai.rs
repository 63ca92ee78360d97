//! Simulated providers that speak OpenAI's chat completions, each according to its row. Groq and Cerebras are as strict
//! as the real ones.
//!
//! Sources, checked 2026-11: request and response types of the SDKs groq 1.7.0 and cerebras-cloud-sdk 1.91.0;
//! recorded streams in vercel/ai's fixtures (Groq February 2026, Cerebras May 2026); error bodies from
//! <https://console.groq.com/docs/errors> and field reports quoted in ARCHITECTURE.md.

#![expect(clippy::indexing_slicing, reason = "indexing a JSON value by a missing key gives null")]

mod completion;
mod host;
mod message_rules;
mod prompt;
mod refusals;
mod rules;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use self::completion::Completion;
pub(super) use self::host::Host;
use self::host::Manner;
use self::refusals::{Refused, error_event, refused_for, refused_for_quota};
pub(super) use self::refusals::{limit_headers, quota_refusal};
use super::behaviour::{After, Behaviour, Fault, Reply, Trouble};
use super::echo;
use super::limiter::{Size, Used};
use super::models::facts;
use super::wire::{Response, Step};
use super::{ReceivedRequest, Shared};
use crate::providers::{KeyNeed, ListForm, Provider};

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
    let path = host.path_of(request.path.split('?').next().unwrap_or_default());
    if host.manner == Manner::Cerebras && path == "/v1/tcp_warming" {
        return Ok(Response::json(200, Vec::new(), &json!({})));
    }
    let key = authenticate(host, request)?;
    if request.method == "GET"
        && let Some(id) = path.strip_prefix(without_query(host.quirks.models_path))
        && host.quirks.list != ListForm::None
    {
        return answer_about_models(host, &shared.models_for(&key), id, &behaviour.reply);
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
    let size = Size { prompt: prompt_tokens, longest_answer: longest_answer(host, &body) };
    let admitted = shared.admit(&key, &model, size);
    let admitted = admitted.map_err(|refusal| refused_for_quota(host, &refusal, &model))?;
    let said =
        echo::said(shared.provider.name(), shared.settings.voice, behaviour, &prompt::read(host, &body));
    let completion_tokens = said.tokens() + said.thoughts.len() as u64;
    let used = Used { prompt: prompt_tokens, answer: completion_tokens };
    shared.takes(request.connection, admitted.call, used);
    let number = shared.state().request_count;
    let is_usage_asked = body["stream_options"]["include_usage"] == true;
    let completion = Completion {
        manner: host.manner,
        streams_usage: is_usage_asked || !host.quirks.asks_for_usage,
        id: format!("chatcmpl-sim-{number}"),
        number,
        created: (shared.settings.clock)().wall.as_second(),
        model,
        prompt_tokens,
        completion_tokens,
        reasoning_tokens: said.thoughts.len() as u64,
    };
    let is_stream = body["stream"].as_bool() == Some(true);
    if let (false, Some(Fault::ErrorEvent(_, trouble) | Fault::BareError(_, trouble))) =
        (is_stream, &behaviour.fault)
    {
        return Err(refused_for(host, *trouble, &completion.model));
    }
    let headers = limit_headers(host, &admitted.left);
    Ok(if is_stream {
        completion.stream(&said, behaviour.fault.as_ref(), headers)
    } else {
        completion.whole(&said, headers)
    })
}

fn answer_about_models(host: &Host, its: &[String], id: &str, reply: &Reply) -> Result<Response, Refused> {
    match reply {
        Reply::Trouble(trouble) => Err(refused_for(host, *trouble, "")),
        reply => Response::scripted(reply).map_or_else(|| models(its, host, id.trim_start_matches('/')), Ok),
    }
}

/// The most tokens that the request allows; 0 if it says nothing.
fn longest_answer(host: &Host, body: &Value) -> u64 {
    let names = [host.quirks.max_tokens_name, "max_completion_tokens", "max_tokens"];
    names.iter().find_map(|name| body[*name].as_u64()).unwrap_or(0)
}

fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

fn authenticate(host: &Host, request: &ReceivedRequest) -> Result<String, Refused> {
    let (name, prefix) = host.key_header();
    let shown = request.header(name);
    // Whoever needs no key is not to be shown one.
    match (host.profile.key, shown) {
        (KeyNeed::Never | KeyNeed::Optional, None) => return Ok(String::new()),
        (KeyNeed::Never, Some(_)) => return Err(refused_for(host, Trouble::BadKey, "")),
        _ => {}
    }
    let key = shown.and_then(|value| value.strip_prefix(prefix)).unwrap_or_default();
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
        Manner::LlamaCpp => {
            json!({"id": id, "aliases": [id], "tags": [], "object": "model", "created": 0, "owned_by": "llamacpp",
            "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
            "meta": {"n_ctx": 8_192, "n_ctx_train": 8_192}})
        }
    };
    if id.is_empty() {
        return Ok(Response::json(200, Vec::new(), &list(models, host, entry)));
    }
    let id = id.replace("%2F", "/");
    match models.iter().find(|model| **model == id) {
        Some(model) => Ok(Response::json(200, Vec::new(), &entry(model))),
        None => Err(refused_for(host, Trouble::ModelGone, &id)),
    }
}

/// The list in the form of the row. With prices, whatever is not marked as free has one.
fn list(models: &[String], host: &Host, entry: impl Fn(&String) -> Value) -> Value {
    match host.quirks.list {
        ListForm::OpenAi | ListForm::None => {
            let data: Vec<Value> = models.iter().map(entry).collect();
            let mut list = json!({"object": "list", "data": data});
            if host.manner == Manner::LlamaCpp {
                // In Ollama's form, too.
                list["models"] = models.iter().map(|id| json!({"name": id, "model": id})).collect();
            }
            list
        }
        ListForm::Priced => {
            let priced = |id: &String| {
                let is_free = Provider::of(host.profile).is_free(id);
                let price = if is_free { "0" } else { "0.00000015" };
                json!({"id": id, "name": id, "context_length": 131_072, "isFree": is_free,
                    "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
                    "pricing": {"prompt": price, "completion": price, "request": "0"},
                    "supported_parameters": ["tools", "tool_choice", "response_format"]})
            };
            json!({"data": models.iter().map(priced).collect::<Vec<Value>>()})
        }
        ListForm::Search => {
            let found = |id: &String| {
                json!({"id": "00000000-0000-4000-8000-000000000000", "name": id,
                    "task": {"name": "Text Generation"},
                    "properties": [{"property_id": "context_window", "value": "131072"}]})
            };
            let result: Vec<Value> = models.iter().map(found).collect();
            json!({"success": true, "errors": [], "messages": [], "result": result})
        }
    }
}

fn model_of(body: &Value) -> String {
    body["model"].as_str().unwrap_or_default().to_owned()
}
