//! What the small model needs from a request in OpenAI's dialect.

use serde_json::Value;

use super::host::Host;
use crate::simulator::echo::{Choice, Form, Prompt, Tool};

/// Reads a request that has passed the rules.
pub(super) fn read(host: &Host, body: &Value) -> Prompt {
    let messages = items(&body["messages"]);
    let last = messages.last().unwrap_or(&Value::Null);
    Prompt {
        question: text(&last["content"]),
        images: items(&last["content"]).iter().filter_map(image_type).collect(),
        results: results(messages),
        tools: items(&body["tools"]).iter().map(tool).collect(),
        choice: choice(host, &body["tool_choice"]),
        form: form(&body["response_format"]),
        thinks: thinks(body),
        stops: stops(&body["stop"]),
    }
}

/// One word or a list of them.
fn stops(value: &Value) -> Vec<String> {
    let words = value.as_str().into_iter().chain(items(value).iter().filter_map(Value::as_str));
    words.map(str::to_owned).collect()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The text of a content; from a list of parts, only the text parts.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        parts => items(parts).iter().filter_map(|part| part["text"].as_str()).collect(),
    }
}

/// The type of an image, such as `image/png`. It is not known if the image would have to be fetched.
fn image_type(part: &Value) -> Option<String> {
    let url = part["image_url"]["url"].as_str()?;
    let data_type = url.strip_prefix("data:").and_then(|rest| rest.split([';', ',']).next());
    Some(data_type.unwrap_or("image/*").to_owned())
}

/// The contents of the tool messages at the end.
fn results(messages: &[Value]) -> Vec<String> {
    let newest = messages.iter().rev().take_while(|message| message["role"] == "tool");
    let mut results: Vec<String> = newest.map(|message| text(&message["content"])).collect();
    results.reverse();
    results
}

fn tool(tool: &Value) -> Tool {
    let function = &tool["function"];
    let name = function["name"].as_str().unwrap_or_default().to_owned();
    Tool { name, parameters: function["parameters"].clone() }
}

fn choice(host: &Host, choice: &Value) -> Choice {
    match choice.as_str() {
        Some("none") => Choice::Never,
        Some(word) if word == host.quirks.required_word => Choice::Always(Vec::new()),
        Some(_) => Choice::Auto,
        None => match choice["function"]["name"].as_str() {
            Some(name) => Choice::Always(vec![name.to_owned()]),
            None => Choice::Auto,
        },
    }
}

fn form(format: &Value) -> Form {
    match format["type"].as_str() {
        Some("json_object") => Form::JsonObject,
        Some("json_schema") => Form::JsonSchema(format["json_schema"]["schema"].clone()),
        _ => Form::Words,
    }
}

/// Thoughts are shown to clients that set an effort and do not hide them.
fn thinks(body: &Value) -> bool {
    let is_asked = body["reasoning_effort"].as_str().is_some_and(|effort| effort != "none");
    is_asked && body["reasoning_format"] != "hidden" && body["include_reasoning"] != false
}
