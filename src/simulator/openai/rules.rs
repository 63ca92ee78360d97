//! What a provider accepts: fields, their forms, and what each model can do; Groq and Cerebras in full.
//!
//! Sources, checked 2026-11, in addition to the request types of the SDKs: the words for unknown fields and for
//! messages from the reports quoted in ARCHITECTURE.md; `tool_call_id` hackclub/ai#22, contents
//! CherryHQ/cherry-studio#3307; token caps Alishahryar1/free-claude-code#1354; images sam3gp8/jarvis-aio#17; JSON with
//! tools vercel/ai#10023. Groq says `'<path>' : <what is wrong>` for everything, so the other rules are worded like
//! that.

use serde_json::{Map, Value};

use super::host::{Host, Manner, Style};
use super::message_rules::check_message;
use super::refusals::Refused;
use crate::middle::Feature;
use crate::providers::{Provider, Quirks};
use crate::simulator::models::{Facts, facts};

pub(super) type Checked = Result<(), Refused>;

const GROQ_FIELDS: &[&str] = &[
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
];

const CEREBRAS_FIELDS: &[&str] = &[
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
    "disable_reasoning",
    "clear_thinking",
    "model_parameters",
    "prediction",
    "prompt_cache_key",
    "service_tier",
    "user",
];

const MAX_TOOLS: usize = 128;

/// Checks everything that does not depend on the model.
pub(super) fn check(host: &Host, body: &Value) -> Checked {
    let style = host.style();
    let Some(object) = body.as_object() else {
        let message = "request body is not a JSON object";
        return Err(Refused::new(400, "invalid_request_error", "json_invalid", message));
    };
    let unknown = match host.manner {
        Manner::Groq => unknown(object, GROQ_FIELDS),
        Manner::Cerebras => unknown(object, CEREBRAS_FIELDS),
        Manner::LlamaCpp | Manner::Plain => {
            object.keys().map(String::as_str).find(|field| !host.row_takes(field))
        }
    };
    if let Some(field) = unknown {
        return Err(unsupported(style, "", field));
    }
    let messages = object.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
    let Some(messages) = messages else {
        return Err(at(style, "messages", "minimum number of items is 1"));
    };
    for (index, message) in messages.iter().enumerate() {
        check_message(host, index, message)?;
    }
    check_order(host, messages)?;
    check_fixed(host, body)?;
    check_unasked(host, body)?;
    check_tools(host, body)?;
    check_choice(host, body)?;
    check_format(host, body)?;
    check_numbers(host, body)?;
    check_reasoning(host, body)
}

/// Checks what only some models can do.
pub(super) fn check_for_model(host: &Host, body: &Value, model: &str) -> Checked {
    let style = host.style();
    let facts = facts(host.profile, model);
    check_cap(host, body, &facts)?;
    check_effort(style, body, &facts)?;
    check_images(style, body, model, &facts)?;
    let is_openai = model.contains("gpt-oss");
    let is_developer = |message: &Value| message["role"] == "developer";
    if host.manner == Manner::Cerebras && !is_openai && items(&body["messages"]).iter().any(is_developer) {
        return Err(Refused::invalid(style, format!("role developer is not supported by {model}")));
    }
    Ok(())
}

/// A refusal for something wrong at a place in the request.
pub(super) fn at(style: Style, path: &str, what: &str) -> Refused {
    Refused::invalid(
        style,
        match style {
            Style::Wrapped => format!("'{path}' : {what}"),
            Style::Flat => format!("{path}: {what}"),
        },
    )
}

/// A refusal for an unknown field at a place in the request; an empty path is the request itself.
pub(super) fn unsupported(style: Style, path: &str, field: &str) -> Refused {
    match style {
        Style::Wrapped if path.is_empty() => {
            Refused::invalid(style, format!("property '{field}' is unsupported"))
        }
        Style::Wrapped => at(style, path, &format!("property '{field}' is unsupported")),
        Style::Flat => {
            let path = if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
            at(style, &path, &format!("property '{path}' is unsupported"))
        }
    }
}

pub(super) fn unknown<'o>(object: &'o Map<String, Value>, known: &[&str]) -> Option<&'o str> {
    object.keys().map(String::as_str).find(|field| !known.contains(field))
}

pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Where the provider's own longest answer is too short to be of use, one must be asked for.
fn check_unasked(host: &Host, body: &Value) -> Checked {
    let is_missing = body[host.quirks.max_tokens_name].is_null();
    if is_missing && host.quirks.unasked_max_tokens.is_some() {
        return Err(at(host.style(), host.quirks.max_tokens_name, "the default is too short"));
    }
    Ok(())
}

/// "Unexpected role 'user' after role 'tool'": Mistral's error 3230.
fn check_order(host: &Host, messages: &[Value]) -> Checked {
    let is_refused = |(one, next): (&Value, &Value)| one["role"] == "tool" && next["role"] == "user";
    let has_one = messages.iter().zip(messages.iter().skip(1)).any(is_refused);
    if has_one && host.quirks.words_after_results.is_some() {
        return Err(at(host.style(), "messages", "Unexpected role 'user' after role 'tool'"));
    }
    Ok(())
}

/// What the row always sends must be there: without a highest price of nothing, a router bills. A model that is surely free
/// may refuse it.
fn check_fixed(host: &Host, body: &Value) -> Checked {
    let Quirks { fixed_fields, fixed_fields_with_tools, .. } = host.quirks;
    let with_tools = fixed_fields_with_tools.iter().filter(|_| !items(&body["tools"]).is_empty());
    let model = body["model"].as_str().unwrap_or_default();
    let is_guard = |field: &str| host.quirks.guards.iter().any(|guard| guard.field == field);
    let can_miss = |field: &str| {
        body[field].is_null() && is_guard(field) && Provider::of(host.profile).can_leave_out(field, model)
    };
    for (field, json) in fixed_fields.iter().chain(with_tools) {
        let is_there = serde_json::from_str::<Value>(json).ok().as_ref() == Some(&body[*field]);
        if !is_there && !can_miss(field) {
            return Err(at(host.style(), field, &format!("value must be {json}")));
        }
    }
    Ok(())
}

fn check_tools(host: &Host, body: &Value) -> Checked {
    let style = host.style();
    let Some(tools) = body["tools"].as_array() else {
        return Ok(());
    };
    if tools.is_empty() && style == Style::Wrapped {
        return Err(at(style, "tools", "minimum number of items is 1"));
    }
    if tools.len() > MAX_TOOLS {
        return Err(at(style, "tools", &format!("maximum number of items is {MAX_TOOLS}")));
    }
    tools.iter().enumerate().try_for_each(|(index, tool)| check_tool(host, index, tool))?;
    // A missing one counts as false: mpfaffenberger/code_puppy#368.
    let mut strictness = tools.iter().map(|tool| tool["function"]["strict"] == true);
    let first = strictness.next();
    if host.quirks.wants_equal_strictness && strictness.any(|strict| Some(strict) != first) {
        let message = "Tools with mixed values for 'strict' are not allowed. Please set all tools to 'strict: true' \
                       or 'strict: false'";
        return Err(Refused::invalid(style, message).with("param", "tools"));
    }
    Ok(())
}

fn check_tool(host: &Host, index: usize, tool: &Value) -> Checked {
    let style = host.style();
    let path = format!("tools.{index}");
    let function = &tool["function"];
    let (Some(outer), Some(inner)) = (tool.as_object(), function.as_object()) else {
        return Err(at(style, &path, "property 'function' is missing"));
    };
    if let Some(field) = unknown(outer, &["type", "function"]) {
        return Err(unsupported(style, &path, field));
    }
    let within = format!("{path}.function");
    let is_refused =
        |field: &&str| *field == "strict" && !host.quirks.takes.contains(&Feature::ToolStrictness);
    let known = ["name", "description", "parameters", "strict"];
    let refused = || inner.keys().map(String::as_str).find(is_refused);
    if let Some(field) = unknown(inner, &known).or_else(refused) {
        return Err(unsupported(style, &within, field));
    }
    if let Some(keyword) =
        host.quirks.schema_without.iter().find(|it| !function["parameters"][**it].is_null())
    {
        return Err(unsupported(style, &format!("{within}.parameters"), keyword));
    }
    if tool["type"] != "function" {
        return Err(at(style, &format!("{path}.type"), "value must be \"function\""));
    }
    if !function["name"].as_str().is_some_and(is_name) {
        return Err(at(style, &format!("{within}.name"), NAME_PATTERN));
    }
    if !function["parameters"].is_null() && !function["parameters"].is_object() {
        return Err(at(style, &format!("{within}.parameters"), "value must be an object"));
    }
    Ok(())
}

/// The refusal of a name that is none.
pub(super) const NAME_PATTERN: &str = "value does not match pattern ^[a-zA-Z0-9_-]{1,64}$";

pub(super) fn is_name(name: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(is_fit)
}

fn check_choice(host: &Host, body: &Value) -> Checked {
    let (style, required) = (host.style(), host.quirks.required_word);
    let choice = &body["tool_choice"];
    let tools = items(&body["tools"]);
    match choice {
        Value::Null => Ok(()),
        Value::String(word) if word == "none" || word == "auto" => Ok(()),
        _ if tools.is_empty() => Err(at(style, "tool_choice", "only allowed when 'tools' are specified")),
        Value::String(word) if word == required => Ok(()),
        Value::Object(_) if choice["type"] == "function" => {
            let name = &choice["function"]["name"];
            let is_offered = name.is_string() && tools.iter().any(|tool| tool["function"]["name"] == *name);
            let what = format!("function {name} is not among 'tools'");
            if is_offered { Ok(()) } else { Err(at(style, "tool_choice", &what)) }
        }
        _ => {
            let what = format!("value must be one of none, auto, {required} or a function");
            Err(at(style, "tool_choice", &what))
        }
    }
}

fn check_format(host: &Host, body: &Value) -> Checked {
    let style = host.style();
    let format = &body["response_format"];
    let is_schema = match format["type"].as_str() {
        None if format.is_null() => return Ok(()),
        Some("text") => return Ok(()),
        Some("json_object") => false,
        Some("json_schema") => true,
        _ => {
            return Err(at(style, "response_format.type", "discriminator property 'type' has invalid value"));
        }
    };
    let schema = &format["json_schema"];
    if is_schema && !schema["name"].is_string() {
        return Err(at(style, "response_format.json_schema", "property 'name' is missing"));
    }
    if is_schema && !schema["schema"].is_object() {
        return Err(at(style, "response_format.json_schema", "property 'schema' is missing"));
    }
    let empty = Map::new();
    let known = ["name", "description", "schema", "strict"];
    if let Some(field) = unknown(schema.as_object().unwrap_or(&empty), &known) {
        return Err(unsupported(style, "response_format.json_schema", field));
    }
    match host.manner {
        Manner::Groq => check_groq_format(body, is_schema),
        Manner::Cerebras if is_schema => check_cerebras_schema(&schema["schema"], schema["strict"] == true),
        Manner::Cerebras | Manner::LlamaCpp | Manner::Plain => Ok(()),
    }
}

fn check_groq_format(body: &Value, is_schema: bool) -> Checked {
    let refused = |message: &str| Refused::invalid(Style::Wrapped, message).with("param", "response_format");
    if !items(&body["tools"]).is_empty() {
        return Err(refused("json mode cannot be combined with tool/function calling"));
    }
    if is_schema && body["stream"] == true {
        return Err(refused("response_format `json_schema` does not support streaming"));
    }
    Ok(())
}

/// Cerebras does not know some keywords, and requires strict objects to be closed and complete.
fn check_cerebras_schema(schema: &Value, is_strict: bool) -> Checked {
    let refused = |message: String| Refused::invalid(Style::Flat, message).with("param", "response_format");
    if let Value::Array(schemas) = schema {
        return schemas.iter().try_for_each(|schema| check_cerebras_schema(schema, is_strict));
    }
    let Some(object) = schema.as_object() else {
        return Ok(());
    };
    if let Some(keyword) = ["minItems", "maxItems"].iter().find(|keyword| object.contains_key(**keyword)) {
        return Err(refused(format!("Invalid schema for response_format: '{keyword}' is not supported")));
    }
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    if is_strict && schema["type"] == "object" {
        if schema["additionalProperties"] != false {
            return Err(refused(
                "Invalid schema for response_format: 'additionalProperties' must be false".into(),
            ));
        }
        let required = items(&schema["required"]);
        if properties.keys().any(|name| !required.iter().any(|it| it == name.as_str())) {
            return Err(refused(
                "Invalid schema for response_format: 'required' must name all properties".into(),
            ));
        }
    }
    let named = [&schema["$defs"], &schema["definitions"]].into_iter().filter_map(Value::as_object);
    let below = named.chain([properties]).flat_map(Map::values);
    let below = below.chain(["items", "anyOf", "oneOf", "allOf"].iter().map(|key| &schema[*key]));
    below.into_iter().try_for_each(|schema| check_cerebras_schema(schema, is_strict))
}

fn check_numbers(host: &Host, body: &Value) -> Checked {
    let (style, most) = (host.style(), host.quirks.max_stops);
    if style == Style::Wrapped && body["n"].as_u64().is_some_and(|n| n > 1) {
        return Err(at(style, "n", "number must be at most 1"));
    }
    if items(&body["stop"]).len() > most {
        return Err(at(style, "stop", &format!("maximum number of items is {most}")));
    }
    Ok(())
}

fn check_reasoning(host: &Host, body: &Value) -> Checked {
    let (style, format) = (host.style(), &body["reasoning_format"]);
    let known: &[&str] = match host.manner {
        Manner::Groq => &["hidden", "raw", "parsed"],
        Manner::Cerebras => &["none", "parsed", "text_parsed", "raw", "hidden"],
        Manner::LlamaCpp | Manner::Plain => &["parsed"],
    };
    if !format.is_null() && !known.iter().any(|value| format == value) {
        return Err(at(style, "reasoning_format", &format!("value must be one of {}", known.join(", "))));
    }
    if format.is_null() || host.manner != Manner::Groq {
        return Ok(());
    }
    if !body["include_reasoning"].is_null() {
        let message = "cannot specify both `reasoning_format` and `include_reasoning`";
        return Err(Refused::invalid(style, message));
    }
    let is_json = ["json_object", "json_schema"].iter().any(|it| body["response_format"]["type"] == *it);
    if format == "raw" && (is_json || !items(&body["tools"]).is_empty()) {
        let message = "`reasoning_format` must be `parsed` or `hidden` with tools or JSON mode";
        return Err(Refused::invalid(style, message));
    }
    Ok(())
}

fn check_cap(host: &Host, body: &Value, facts: &Facts) -> Checked {
    let style = host.style();
    let cap = facts.max_completion_tokens;
    for field in ["max_completion_tokens", "max_tokens"] {
        let wanted = &body[field];
        let is_endless = host.manner == Manner::Cerebras && *wanted == -1;
        if wanted.is_null() || is_endless {
            continue;
        }
        let Some(wanted) = wanted.as_u64().filter(|wanted| *wanted > 0) else {
            return Err(at(style, field, "number must be at least 1"));
        };
        if wanted > cap {
            let message = format!(
                "`{field}` must be less than or equal to `{cap}`, the maximum value for `{field}` is less than the \
                 `context_window` for this model"
            );
            return Err(Refused::invalid(style, message).with("param", field));
        }
    }
    Ok(())
}

fn check_effort(style: Style, body: &Value, facts: &Facts) -> Checked {
    let effort = &body["reasoning_effort"];
    if effort.is_null() || facts.efforts.iter().any(|value| effort == value) {
        return Ok(());
    }
    let quoted: Vec<String> = facts.efforts.iter().map(|value| format!("`{value}`")).collect();
    Err(Refused::invalid(
        style,
        match quoted.as_slice() {
            [] => "`reasoning_effort` is not supported with this model".to_owned(),
            [first, last] => format!("`reasoning_effort` must be one of {first} or {last}"),
            [others @ .., last] => {
                format!("`reasoning_effort` must be one of {}, or {last}", others.join(", "))
            }
        },
    ))
}

fn check_images(style: Style, body: &Value, model: &str, facts: &Facts) -> Checked {
    let has_image =
        |message: &Value| items(&message["content"]).iter().any(|part| part["type"] == "image_url");
    let Some(index) = items(&body["messages"]).iter().position(has_image).filter(|_| !facts.has_vision)
    else {
        return Ok(());
    };
    Err(match style {
        Style::Wrapped => {
            let path = format!("messages[{index}].content");
            Refused::invalid(style, format!("{path} must be a string")).with("param", path)
        }
        Style::Flat => {
            Refused::invalid(style, format!("messages.{index}.user.content: {model} does not support images"))
        }
    })
}
