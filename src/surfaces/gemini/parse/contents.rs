//! The conversation: turns, and the parts that they consist of.

use serde_json::value::RawValue;

use super::responses::result;
use super::{items, says_something};
use crate::middle::{AssistantPart, File, Image, Part, ToolCall};
use crate::surfaces::conversation::{Conversation, ToolResult};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, fields, kind, read_in_any_case, string, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::media::{base64_text, inline_part, is_remote};

/// Where parts stand, for the names of what is ignored.
const PLACE: &str = "contents.parts.";

fields!(struct Content { role, parts });

fields!(struct PartFields {
    text, thought, signature: "thoughtSignature", inline: "inlineData", file: "fileData",
    call: "functionCall", response: "functionResponse",
    code: "executableCode", code_result: "codeExecutionResult",
});

fields!(struct Blob { media_type: "mimeType", data, uri: "fileUri", name: "displayName" });

fields!(struct Call { id, name, args });

/// What a part says.
pub(super) enum Said {
    Part(Part),
    Call(ToolCall),
    Result(ToolResult),
}

/// Reads `systemInstruction`: a string, or a turn of any role.
pub(super) fn add_instruction(
    field: Field<'_>,
    conversation: &mut Conversation,
    ignored: &mut Ignored,
) -> Result<(), ApiError> {
    for (at, item) in items(field)? {
        let parts = match item.get().as_bytes().first() {
            Some(b'"') => vec![string(item).map_err(|error| wrong(at, error))?],
            _ => texts(&at, item, ignored)?,
        };
        parts.into_iter().for_each(|text| conversation.instruct(text));
    }
    Ok(())
}

/// Reads `contents`: turns, or one.
pub(super) fn add_contents(
    field: Field<'_>,
    conversation: &mut Conversation,
    ignored: &mut Ignored,
) -> Result<(), ApiError> {
    if field.present().is_none() {
        return Err(wrong(field.name(), "is missing: an array of turns with 'role' and 'parts'"));
    }
    for (turn, (at, item)) in items(field)?.into_iter().enumerate() {
        if item.get().starts_with('"') {
            let text = string(item).map_err(|error| wrong(at, error))?;
            conversation.user(vec![Part::Text(text)]);
            continue;
        }
        let content: Content<'_> = read_content(&at, item)?;
        let role: Option<String> = content.role.optional(&at, "'user' or 'model'")?;
        match role.as_deref() {
            Some("model") => add_model_turn(&at, turn, &content, conversation, ignored)?,
            Some("system") => {
                texts(&at, item, ignored)?.into_iter().for_each(|text| conversation.instruct(text));
            }
            None | Some("user" | "function" | "tool" | "") => {
                add_user_turn(&at, turn, &content, conversation, ignored)?;
            }
            Some(_) => return Err(wrong(content.role.below(&at), "must be 'user' or 'model'")),
        }
    }
    Ok(())
}

fn add_model_turn(
    at: &str,
    turn: usize,
    content: &Content<'_>,
    conversation: &mut Conversation,
    ignored: &mut Ignored,
) -> Result<(), ApiError> {
    let mut parts = Vec::new();
    let mut results = Vec::new();
    read_parts(at, turn, content, ignored, |said| match said {
        Said::Part(Part::Text(text)) => parts.push(AssistantPart::Text(text)),
        // What a model has drawn, no model here reads as its own.
        Said::Part(Part::Image(_) | Part::File(_)) => {}
        Said::Call(call) => parts.push(AssistantPart::Call(call)),
        Said::Result(result) => results.push(result),
    })?;
    conversation.assistant(parts);
    results.into_iter().for_each(|result| conversation.result(result));
    Ok(())
}

fn add_user_turn(
    at: &str,
    turn: usize,
    content: &Content<'_>,
    conversation: &mut Conversation,
    ignored: &mut Ignored,
) -> Result<(), ApiError> {
    let mut parts = Vec::new();
    read_parts(at, turn, content, ignored, |said| match said {
        Said::Part(part) => parts.push(part),
        // A user does not call.
        Said::Call(_) => {}
        Said::Result(result) => conversation.result(result),
    })?;
    conversation.user(parts);
    Ok(())
}

fn read_content<'a>(at: &str, item: &'a RawValue) -> Result<Content<'a>, ApiError> {
    let unreadable = |_| wrong(at, format!("must be an object with 'role' and 'parts', not {}", kind(item)));
    read_in_any_case(item).map_err(unreadable)
}

/// The texts of a turn.
fn texts(at: &str, item: &RawValue, ignored: &mut Ignored) -> Result<Vec<String>, ApiError> {
    let content = read_content(at, item)?;
    let mut texts = Vec::new();
    read_parts(at, 0, &content, ignored, |said| {
        if let Said::Part(Part::Text(text)) = said {
            texts.push(text);
        }
    })?;
    Ok(texts)
}

fn read_parts(
    at: &str,
    turn: usize,
    content: &Content<'_>,
    ignored: &mut Ignored,
    mut take: impl FnMut(Said),
) -> Result<(), ApiError> {
    let mut calls = 0;
    for (place, item) in items(content.parts)? {
        let at = format!("{at}.{place}");
        if item.get().starts_with('"') {
            let text = string(item).map_err(|error| wrong(at, error))?;
            take(Said::Part(Part::Text(text)));
        } else if let Some(said) = read_part(&at, item, ignored)? {
            take(with_id(said, turn, &mut calls));
        }
    }
    Ok(())
}

/// A call without an id gets one that no other call of the conversation has.
fn with_id(said: Said, turn: usize, calls: &mut usize) -> Said {
    let Said::Call(call) = said else { return said };
    *calls += 1;
    let id = if call.id.is_empty() { format!("call_{turn}_{calls}") } else { call.id };
    Said::Call(ToolCall { id, ..call })
}

pub(super) fn read_part(at: &str, item: &RawValue, ignored: &mut Ignored) -> Result<Option<Said>, ApiError> {
    let mut part: PartFields<'_> = read_in_any_case(item)
        .map_err(|_| wrong(at, format!("must be an object such as {{\"text\":…}}, not {}", kind(item))))?;
    ignored.add(PLACE, std::mem::take(&mut part.unknown));
    if part.thought.present().is_some_and(says_something) {
        ignored.add(PLACE, vec![part.thought.name().to_owned()]);
        return Ok(None);
    }
    if let Some(raw) = part.call.present() {
        return read_call(&part.call.below(at), raw, part.signature).map(Some);
    }
    if let Some(raw) = part.response.present() {
        return result(&part.response.below(at), raw, ignored).map(Said::Result).map(Some);
    }
    if let Some(raw) = part.inline.present() {
        return blob(&part.inline.below(at), raw).map(Said::Part).map(Some);
    }
    if let Some(raw) = part.file.present() {
        return file(&part.file.below(at), raw).map(Said::Part).map(Some);
    }
    for code in [part.code, part.code_result] {
        // What was run elsewhere, as the model would tell it.
        if let Some(raw) = code.present() {
            return Ok(Some(Said::Part(Part::Text(raw.get().to_owned()))));
        }
    }
    let Some(raw) = part.text.present() else { return Ok(None) };
    let text = string(raw).map_err(|error| wrong(part.text.below(at), error))?;
    Ok(Some(text).filter(|text| !text.is_empty()).map(|text| Said::Part(Part::Text(text))))
}

/// A call; its arguments keep their bytes.
fn read_call(at: &str, raw: &RawValue, signature: Field<'_>) -> Result<Said, ApiError> {
    let call: Call<'_> = read_in_any_case(raw).map_err(|_| wrong(at, "must be an object with 'name'"))?;
    let id: Option<String> = call.id.optional(at, "a string")?;
    let signature: Option<String> = signature.optional(at, "a string")?;
    Ok(Said::Call(ToolCall {
        id: id.unwrap_or_default(),
        name: call.name.required(at, "a string")?,
        arguments: call.args.present().map_or("{}", RawValue::get).to_owned(),
        signature: signature.filter(|text| !text.is_empty()),
    }))
}

fn blob(at: &str, raw: &RawValue) -> Result<Part, ApiError> {
    const ACCEPTED: &str = "must be an object with 'mimeType' and 'data' in base64";
    let blob: Blob<'_> = read_in_any_case(raw).map_err(|_| wrong(at, ACCEPTED))?;
    let media_type: String = blob.media_type.required(at, "a string")?;
    let data: String = blob.data.required(at, "a string")?;
    if media_type.starts_with("text/") {
        return base64_text(&data).map(Part::Text).ok_or_else(|| wrong(at, ACCEPTED));
    }
    // Google's clients write bytes in the alphabet of URLs.
    let data = data.replace('-', "+").replace('_', "/");
    inline_part(&media_type, &data, blob.name.optional(at, "a string")?).ok_or_else(|| wrong(at, ACCEPTED))
}

fn file(at: &str, raw: &RawValue) -> Result<Part, ApiError> {
    let blob: Blob<'_> = read_in_any_case(raw).map_err(|_| wrong(at, "must be an object with 'fileUri'"))?;
    let uri: String = blob.uri.required(at, "a string")?;
    let media_type: Option<String> = blob.media_type.optional(at, "a string")?;
    let is_image = media_type.is_none_or(|it| it.starts_with("image/"));
    if is_remote(&uri) && is_image && !is_stored(&uri) {
        return Ok(Part::Image(Image::Remote(uri)));
    }
    let advice = "leads to a file that cannot be had here: send its bytes as 'inlineData'";
    Err(wrong(blob.uri.below(at), advice))
}

/// Whether it leads to a file that was uploaded to Google, or to a video.
fn is_stored(uri: &str) -> bool {
    ["generativelanguage.googleapis.com", "youtube.com", "youtu.be"].iter().any(|host| uri.contains(host))
}

impl Said {
    /// What may stand in a result, if it is that.
    pub(super) fn into_part(self) -> Option<Part> {
        match self {
            Self::Part(part @ (Part::Text(_) | Part::Image(_) | Part::File(File { .. }))) => Some(part),
            Self::Call(_) | Self::Result(_) => None,
        }
    }
}
