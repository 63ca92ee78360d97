//! A request body, checked field by field. What is opaque (schemas, arguments) keeps its bytes.
//!
//! What is unknown is skipped and told; refused is only what would change the meaning of the answer.

mod messages;
mod options;
mod tools;

use std::sync::Arc;

use tokio::time::Instant;

use self::messages::{add_messages, add_prompt};
use self::options::{parse_format, parse_options, parse_think};
use self::tools::parse_tools;
use super::ollama_ask::{Form, OllamaAsk};
use crate::middle::{ChatRequest, Message};
use crate::surfaces::conversation::Conversation;
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, body_object, fields, not_json, read, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::names::AUTO;
use crate::surfaces::schema_bytes::SchemaBytes;

fields!(struct Body {
    model, name, stream, options, format, think,
    messages, tools,
    prompt, system, images, suffix, context,
});

/// Parses and checks the body of a request to `path`.
///
/// # Errors
/// [`ApiError`] naming the field, what is wrong with it, and what is accepted.
pub(super) fn parse(path: &str, body: &[u8]) -> Result<OllamaAsk, ApiError> {
    let mut body: Body<'_> = read(body_object(body)?).map_err(|error| not_json(&error))?;
    let form = if path.ends_with("/generate") { Form::Response } else { Form::Message };
    let mut ignored = Ignored(std::mem::take(&mut body.unknown));
    let of_the_other_form = match form {
        Form::Message => vec![body.prompt, body.system, body.images],
        Form::Response => vec![body.messages, body.tools],
    };
    let sent = of_the_other_form.iter().filter(|field| field.present().is_some());
    ignored.0.extend(sent.map(|field| field.name().into()));
    let mut conversation = Conversation::default();
    let is_load = match form {
        Form::Message => add_messages(body.messages, &mut conversation, &mut ignored)? == 0,
        Form::Response => {
            refuse_unavailable(&body)?;
            !add_prompt((body.system, body.prompt, body.images), &mut conversation)?
        }
    };
    let messages = if is_load { vec![Message::user("")] } else { conversation.into_messages() };
    let mut request = ChatRequest::new(messages).ok_or_else(|| wrong(body.messages.name(), "say nothing"))?;
    request.needs_object_arguments = true;
    parse_options(body.options, &mut request, &mut ignored)?;
    parse_think(body.think, &mut request)?;
    let mut schema_bytes = SchemaBytes::default();
    request.response_format = parse_format(body.format, &mut schema_bytes)?;
    if form == Form::Message {
        parse_tools(body.tools, &mut request, &mut ignored, &mut schema_bytes)?;
    }
    let stream: Option<bool> = body.stream.optional("", "true or false")?;
    let (request, model) = (Arc::new(request), model_of(&body)?);
    Ok(OllamaAsk {
        request,
        model,
        stream: stream.unwrap_or(true),
        form,
        is_load,
        received: Instant::now(),
        ignored: ignored.0,
    })
}

/// Which model `body` asks to be shown.
///
/// # Errors
/// It is not an object, or its model is no string.
pub(crate) fn model_in(body: &[u8]) -> Result<String, ApiError> {
    model_of(&read(body_object(body)?).map_err(|error| not_json(&error))?)
}

fn model_of(body: &Body<'_>) -> Result<String, ApiError> {
    // The second name is the older one.
    let named = |field: Field<'_>| field.optional::<String>("", "the name of a model, a string");
    let model = named(body.model)?.or(named(body.name)?).unwrap_or_default();
    Ok(Some(model.trim()).filter(|name| !name.is_empty()).unwrap_or(AUTO).to_owned())
}

/// Refuses what the answer would miss.
fn refuse_unavailable(body: &Body<'_>) -> Result<(), ApiError> {
    for (field, advice) in [
        (body.suffix, "is not available here: no provider fills in between two texts"),
        (body.context, "is not available here: send the whole conversation to /api/chat"),
    ] {
        if field.present().is_some_and(|raw| !matches!(raw.get(), "\"\"" | "[]")) {
            return Err(wrong(field.name(), advice));
        }
    }
    Ok(())
}
