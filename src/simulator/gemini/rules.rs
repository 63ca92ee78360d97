//! What Gemini accepts: fields, their forms, and what each model can do.
//!
//! Sources, checked 2026-11, in addition to the types of google-genai 3.4.0: thinking levels, forced calls in JSON mode
//! and the two thinking fields from recorded errors in vercel/ai (July to October 2026); Gemma's thinking
//! aduermael/herm#23, its instructions 0xPlaygrounds/rig#788; names, turns and signatures from the messages that many
//! reports quote in the same words.

use serde_json::Value;

use super::fields::{check_known, field, items};
use super::prompt::declarations;
use super::refusals::{Refused, at_fault, invalid_value, violation};
use super::schema_rules::{check_json_schema, check_openapi_schema};
use super::tool_rules::check_tools;
use super::turns::{check_signatures, check_turns, is_model};
use crate::simulator::base64;
use crate::simulator::models::Facts;

pub(super) type Checked = Result<(), Refused>;

const REQUEST_FIELDS: &[&str] = &[
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "serviceTier",
    "store",
    "continuationToken",
];

const GENERATION_FIELDS: &[&str] = &[
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

/// The data fields of a part, which has exactly one of them.
const PART_DATA: &[&str] = &[
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

const PART_EXTRAS: &[&str] =
    &["thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"];

const LEVELS: &[&str] = &["minimal", "low", "medium", "high"];
const MIME_TYPES: &[&str] =
    &["text/plain", "application/json", "application/xml", "application/yaml", "text/x.enum"];

/// What it reads beside PDFs.
const MEDIA: [&str; 4] = ["image/", "audio/", "video/", "text/"];

const MAX_STOPS: usize = 5;

/// How Google writes the types of its enums.
pub(super) const ENUM_PREFIX: &str = "type.googleapis.com/google.ai.generativelanguage.v1beta";

/// Checks everything that does not depend on the model.
pub(super) fn check(body: &Value) -> Checked {
    if !body.is_object() {
        return Err(Refused::invalid("Invalid JSON payload received. Root element must be a message."));
    }
    check_known(body, REQUEST_FIELDS, "")?;
    check_config(field(body, "generationConfig"))?;
    check_tools(body)?;
    check_instruction(field(body, "systemInstruction"))?;
    let contents = items(body, "contents");
    if contents.is_empty() {
        return Err(Refused::invalid("* GenerateContentRequest.contents: contents is not specified\n"));
    }
    for (index, content) in contents.iter().enumerate() {
        check_content(contents, index, content)?;
    }
    check_turns(contents)
}

/// Checks what only some models can do, and the signatures. `is_ours` recognises those issued here.
pub(super) fn check_for_model(
    body: &Value,
    model: &str,
    facts: &Facts,
    is_ours: impl Fn(&str) -> bool,
) -> Checked {
    if !facts.has_system_instruction && !field(body, "systemInstruction").is_null() {
        return Err(Refused::invalid(format!("Developer instruction is not enabled for models/{model}")));
    }
    let config = field(body, "generationConfig");
    let thinking = field(config, "thinkingConfig");
    let level = field(thinking, "thinkingLevel").as_str().map(str::to_ascii_lowercase);
    if !facts.has_thinking_config && !field(thinking, "thinkingBudget").is_null() {
        return Err(Refused::invalid("Thinking budget is not supported for this model."));
    }
    if let Some(level) = level {
        check_level(&level, facts.efforts)?;
    }
    if !facts.has_thinking_config && !thinking.is_null() {
        return Err(Refused::invalid(format!("Thinking is not enabled for models/{model}")));
    }
    check_json_with_tools(body, facts.is_gemini_3)?;
    if facts.is_gemini_3 { check_signatures(items(body, "contents"), is_ours) } else { Ok(()) }
}

fn check_level(level: &str, known: &[&str]) -> Checked {
    if known.contains(&level) {
        return Ok(());
    }
    Err(Refused::invalid(match known {
        [] => "Thinking level is not supported for this model.".to_owned(),
        _ => format!(
            "Thinking level {} is not supported for this model. Please retry with other thinking level.",
            level.to_ascii_uppercase()
        ),
    }))
}

fn check_json_with_tools(body: &Value, is_gemini_3: bool) -> Checked {
    let mime_type = field(field(body, "generationConfig"), "responseMimeType");
    if *mime_type != "application/json" || declarations(body).next().is_none() {
        return Ok(());
    }
    let mode = field(field(body, "toolConfig"), "functionCallingConfig")["mode"].as_str().unwrap_or("AUTO");
    let what = match mode {
        "AUTO" | "MODE_UNSPECIFIED" if is_gemini_3 => return Ok(()),
        _ if is_gemini_3 => format!("Forced function calling ({mode} mode)"),
        _ => "Function calling".to_owned(),
    };
    Err(Refused::invalid(format!("{what} with a response mime type: 'application/json' is unsupported")))
}

fn check_config(config: &Value) -> Checked {
    let path = "generation_config";
    check_known(config, GENERATION_FIELDS, path)?;
    if items(config, "stopSequences").len() > MAX_STOPS {
        let what = format!("the number of stop sequences must be at most {MAX_STOPS}");
        return Err(at_fault("generation_config.stop_sequences", &what));
    }
    check_integers(config)?;
    check_mime_type(config)?;
    check_json_schema(field(config, "responseJsonSchema"), "generation_config.response_json_schema")?;
    check_openapi_schema(field(config, "responseSchema"), "generation_config.response_schema")?;
    check_thinking(field(config, "thinkingConfig"))
}

fn check_integers(config: &Value) -> Checked {
    // The SDKs write some integers as floats.
    let int32 = f64::from(i32::MIN)..=f64::from(i32::MAX);
    let is_int = |value: &Value| value.as_f64().is_some_and(|it| it.fract() == 0.0 && int32.contains(&it));
    for (name, path) in [("seed", "generation_config.seed"), ("topK", "generation_config.top_k")] {
        let value = field(config, name);
        if !value.is_null() && !is_int(value) {
            return Err(invalid_value(path, "TYPE_INT32", value));
        }
    }
    if field(config, "topK").as_f64().is_some_and(|it| it < 1.0) {
        return Err(at_fault("generation_config.top_k", "top_k must be positive."));
    }
    Ok(())
}

fn check_mime_type(config: &Value) -> Checked {
    let mime_type = field(config, "responseMimeType");
    if !mime_type.is_null() && !MIME_TYPES.iter().any(|known| mime_type == known) {
        let what = "allowed mimetypes are `text/plain`, `application/json`, `application/xml`, `application/yaml` and \
                    `text/x.enum`.";
        return Err(at_fault("generation_config.response_mime_type", what));
    }
    let has_schema =
        !field(config, "responseSchema").is_null() || !field(config, "responseJsonSchema").is_null();
    if has_schema && (mime_type.is_null() || mime_type == "text/plain") {
        let what = "only allowed when response_mime_type is `application/json` or `text/x.enum`.";
        return Err(at_fault("generation_config.response_schema", what));
    }
    Ok(())
}

fn check_thinking(thinking: &Value) -> Checked {
    let path = "generation_config.thinking_config";
    check_known(thinking, &["includeThoughts", "thinkingBudget", "thinkingLevel"], path)?;
    let (budget, level) = (field(thinking, "thinkingBudget"), field(thinking, "thinkingLevel"));
    if !budget.is_null() && !level.is_null() {
        return Err(Refused::invalid("You can only set only one of thinking budget and thinking level."));
    }
    let name = level.as_str().unwrap_or_default().to_ascii_lowercase();
    if !level.is_null() && !LEVELS.contains(&name.as_str()) {
        let kind = format!("{ENUM_PREFIX}.ThinkingConfig.ThinkingLevel");
        return Err(invalid_value(&format!("{path}.thinking_level"), &kind, level));
    }
    Ok(())
}

fn check_instruction(instruction: &Value) -> Checked {
    check_known(instruction, &["parts", "role"], "system_instruction")?;
    for (position, part) in items(instruction, "parts").iter().enumerate() {
        check_part(part, &format!("system_instruction.parts[{position}]"), false)?;
    }
    Ok(())
}

fn check_content(contents: &[Value], index: usize, content: &Value) -> Checked {
    let path = format!("contents[{index}]");
    check_known(content, &["parts", "role"], &path)?;
    if !matches!(content["role"].as_str(), None | Some("user" | "model" | "function")) {
        return Err(Refused::invalid("Please use a valid role: user, model."));
    }
    let parts = items(content, "parts");
    if parts.is_empty() {
        return Err(at_fault("contents", "contents.parts must not be empty."));
    }
    // The SDKs send a streamed turn back chunk by chunk, including the empty text of the last one.
    let is_chunk = |other: Option<&Value>| other.is_some_and(is_model);
    let before = index.checked_sub(1).and_then(|before| contents.get(before));
    let has_company = parts.len() > 1 || is_chunk(before) || is_chunk(contents.get(index + 1));
    let may_be_empty = is_model(content) && has_company;
    for (position, part) in parts.iter().enumerate() {
        check_part(part, &format!("{path}.parts[{position}]"), may_be_empty)?;
    }
    Ok(())
}

fn check_part(part: &Value, path: &str, may_be_empty: bool) -> Checked {
    check_known(part, &[PART_DATA, PART_EXTRAS].concat(), path)?;
    let signature = field(part, "thoughtSignature");
    check_bytes(signature, &format!("{path}.thought_signature"))?;
    let may_be_empty = may_be_empty || !signature.is_null();
    let is_data = |name: &&&str| {
        let value = field(part, name);
        !value.is_null() && (value != "" || may_be_empty)
    };
    let mut data = PART_DATA.iter().filter(is_data);
    let Some(name) = data.next() else {
        let what = "required oneof field 'data' must have one initialized field";
        return Err(at_fault(&format!("{path}.data"), what));
    };
    if let Some(second) = data.next() {
        let message = format!(
            "Invalid value at '{path}' (oneof), oneof field 'data' is already set. Cannot set '{second}'"
        );
        return Err(violation(path, message));
    }
    let value = field(part, name);
    match *name {
        "text" if !value.is_string() => Err(invalid_value(&format!("{path}.text"), "TYPE_STRING", value)),
        "inlineData" => check_blob(value, &format!("{path}.inline_data")),
        "fileData" => check_known(value, &["mimeType", "fileUri"], &format!("{path}.file_data")),
        "functionCall" => {
            check_function_part(value, &["id", "name", "args"], &format!("{path}.function_call"))
        }
        "functionResponse" => {
            let known = ["id", "name", "response", "willContinue", "scheduling", "parts"];
            check_function_part(value, &known, &format!("{path}.function_response"))
        }
        _ => Ok(()),
    }
}

fn check_blob(blob: &Value, path: &str) -> Checked {
    check_known(blob, &["mimeType", "data"], path)?;
    let Some(kind) = field(blob, "mimeType").as_str().filter(|kind| kind.contains('/')) else {
        return Err(at_fault(&format!("{path}.mime_type"), "mime_type is not specified"));
    };
    if kind != "application/pdf" && !MEDIA.iter().any(|prefix| kind.starts_with(prefix)) {
        return Err(Refused::invalid(format!("Unsupported MIME type: {kind}")));
    }
    if blob["data"].as_str().is_none_or(str::is_empty) {
        return Err(at_fault(&format!("{path}.data"), "data is not specified"));
    }
    check_bytes(&blob["data"], &format!("{path}.data"))
}

fn check_bytes(value: &Value, path: &str) -> Checked {
    match value {
        Value::Null => Ok(()),
        Value::String(text) if base64::is_valid(text) => Ok(()),
        _ => {
            let message =
                format!("Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for {value}");
            Err(violation(path, message))
        }
    }
}

/// Checks a call or a response: both have a name and an object.
fn check_function_part(part: &Value, known: &[&str], path: &str) -> Checked {
    check_known(part, known, path)?;
    if part["name"].as_str().is_none_or(str::is_empty) {
        return Err(at_fault(&format!("{path}.name"), "Name cannot be empty."));
    }
    let object = if known.contains(&"args") { "args" } else { "response" };
    let value = &part[object];
    let may_be_absent = object == "args";
    if value.is_object() || (value.is_null() && may_be_absent) {
        return Ok(());
    }
    let kind = "type.googleapis.com/google.protobuf.Struct";
    Err(invalid_value(&format!("{path}.{object}"), kind, value))
}
