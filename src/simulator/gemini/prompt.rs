//! What the small model needs from a request in Gemini's dialect.

use serde_json::Value;

use super::fields::{field, items};
use crate::simulator::echo::{Choice, Form, Prompt, Tool};

/// Reads a request that has passed the rules.
pub(super) fn read(body: &Value) -> Prompt {
    let last = items(body, "contents").last().unwrap_or(&Value::Null);
    let parts = items(last, "parts");
    let config = field(body, "generationConfig");
    let image = |part: &Value| field(field(part, "inlineData"), "mimeType").as_str().map(str::to_owned);
    let result = |part: &&Value| !field(part, "functionResponse").is_null();
    let response = |part: &Value| field(field(part, "functionResponse"), "response").to_string();
    Prompt {
        question: parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        images: parts.iter().filter_map(image).collect(),
        results: parts.iter().filter(result).map(response).collect(),
        tools: declarations(body).map(tool).collect(),
        choice: choice(field(field(body, "toolConfig"), "functionCallingConfig")),
        form: form(config),
        stops: items(config, "stopSequences")
            .iter()
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect(),
        thinks: *field(field(config, "thinkingConfig"), "includeThoughts") == true,
    }
}

/// The functions of all tools.
pub(super) fn declarations(body: &Value) -> impl Iterator<Item = &Value> {
    items(body, "tools").iter().flat_map(|tool| items(tool, "functionDeclarations"))
}

fn tool(declaration: &Value) -> Tool {
    let schemas = ["parametersJsonSchema", "parameters"].map(|name| field(declaration, name));
    let parameters = schemas.into_iter().find(|schema| !schema.is_null()).cloned().unwrap_or_default();
    Tool { name: declaration["name"].as_str().unwrap_or_default().to_owned(), parameters }
}

fn choice(config: &Value) -> Choice {
    let allowed = items(config, "allowedFunctionNames").iter().filter_map(Value::as_str);
    match config["mode"].as_str() {
        Some("NONE") => Choice::Never,
        Some("ANY") => Choice::Always(allowed.map(str::to_owned).collect()),
        _ => Choice::Auto,
    }
}

fn form(config: &Value) -> Form {
    if *field(config, "responseMimeType") != "application/json" {
        return Form::Words;
    }
    let schemas = ["responseJsonSchema", "responseSchema"].map(|name| field(config, name));
    match schemas.into_iter().find(|schema| !schema.is_null()) {
        Some(schema) => Form::JsonSchema(schema.clone()),
        None => Form::JsonObject,
    }
}
