//! A request, checked field by field: the body, and what the path says. What is opaque (arguments) keeps its bytes.
//!
//! Names are taken in camel case and in snake case, because Google takes both. What is unknown is skipped and told;
//! refused is only what would change the meaning of the answer.

mod contents;
mod generation;
mod lists;
mod parts;
mod schema;
mod tools;

use std::sync::Arc;

use http::Uri;
use percent_encoding::percent_decode_str;

use self::contents::{add_contents, add_instruction};
use self::generation::parse_generation;
use self::lists::says_something;
use self::tools::{parse_tool_config, parse_tools};
use super::generate_ask::{Form, GenerateAsk};
use crate::middle::ChatRequest;
use crate::surfaces::conversation::Conversation;
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{body_object, fields, not_json, read_in_any_case, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::names::AUTO;
use crate::surfaces::schema_bytes::SchemaBytes;

fields!(struct Body {
    contents, instruction: "systemInstruction", tools, tool_config: "toolConfig",
    generation: "generationConfig", cached: "cachedContent", continuation: "continuationToken",
    nested: "generateContentRequest",
});

/// Parses and checks a request for an answer.
///
/// # Errors
/// [`ApiError`] naming the field, what is wrong with it, and what is accepted.
pub(super) fn parse(uri: &Uri, body: &[u8]) -> Result<GenerateAsk, ApiError> {
    let body = read_in_any_case(body_object(body)?).map_err(|error| not_json(&error))?;
    parse_body(uri, body)
}

/// The same for a request whose tokens are to be counted, which may hold the request for an answer.
pub(super) fn parse_count(uri: &Uri, body: &[u8]) -> Result<GenerateAsk, ApiError> {
    let body: Body<'_> = read_in_any_case(body_object(body)?).map_err(|error| not_json(&error))?;
    let nested = body.nested.present().map(read_in_any_case).transpose();
    let nested = nested.map_err(|_| wrong(body.nested.name(), "must be an object"))?;
    parse_body(uri, nested.unwrap_or(body))
}

fn parse_body(uri: &Uri, mut body: Body<'_>) -> Result<GenerateAsk, ApiError> {
    for (field, advice) in [
        (body.cached, "is not available here: send the whole prompt"),
        (body.continuation, "is not available here: send the whole conversation"),
    ] {
        if field.present().is_some_and(says_something) {
            return Err(wrong(field.name(), advice));
        }
    }
    let mut ignored = Ignored(std::mem::take(&mut body.unknown));
    let mut conversation = Conversation::default();
    add_instruction(body.instruction, &mut conversation, &mut ignored)?;
    add_contents(body.contents, &mut conversation, &mut ignored)?;
    let mut request = ChatRequest::new(conversation.into_messages())
        .ok_or_else(|| wrong(body.contents.name(), "say nothing: send at least one with a part"))?;
    request.needs_object_arguments = true;
    let mut schema_bytes = SchemaBytes::default();
    parse_generation(body.generation, &mut request, &mut ignored, &mut schema_bytes)?;
    parse_tools(body.tools, &mut request, &mut ignored, &mut schema_bytes)?;
    parse_tool_config(body.tool_config, &mut request)?;
    let (model, form) = asked_in(uri);
    Ok(GenerateAsk { request: Arc::new(request), model, form, ignored: ignored.0 })
}

/// The model and the form that the path asks for: `/v1beta/models/{model}:{word}`. An id may have colons.
fn asked_in(uri: &Uri) -> (String, Form) {
    let (before, word) = uri.path().rsplit_once(':').unwrap_or_default();
    let model = before.split_once("/models/").map_or(before, |(_, model)| model);
    let model = percent_decode_str(model).decode_utf8().unwrap_or_default();
    let model = Some(model.trim()).filter(|model| !model.is_empty()).unwrap_or(AUTO).to_owned();
    let mut parameters = uri.query().unwrap_or_default().split('&');
    let form = match word {
        "streamGenerateContent" if parameters.any(|it| it == "alt=sse" || it == "$alt=sse") => Form::Events,
        "streamGenerateContent" => Form::Array,
        _ => Form::Whole,
    };
    (model, form)
}
