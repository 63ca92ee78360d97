//! The parts that a turn consists of, and what tools have returned.

use serde_json::value::RawValue;

use super::lists::{items, says_something};
use crate::middle::{Image, Part, ToolCall};
use crate::surfaces::conversation::ToolResult;
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, fields, kind, read_in_any_case, string, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::media::{base64_text, inline_part, is_remote};
use crate::wire::json;

/// Where parts stand, for the names of what is ignored.
const PLACE: &str = "contents.parts.";

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

fields!(struct Response { id, name, response, parts });

fn fields_of<'a>(at: &str, item: &'a RawValue) -> Result<PartFields<'a>, ApiError> {
    let unreadable = |_| wrong(at, format!("must be an object such as {{\"text\":…}}, not {}", kind(item)));
    read_in_any_case(item).map_err(unreadable)
}

/// What a part says; nothing if that is nothing to the models here.
pub(super) fn read_part(at: &str, item: &RawValue, ignored: &mut Ignored) -> Result<Option<Said>, ApiError> {
    let mut part = fields_of(at, item)?;
    ignored.add(PLACE, std::mem::take(&mut part.unknown));
    // Before thoughts: a call that is marked as one has a result all the same.
    if let Some(raw) = part.call.present() {
        return read_call(&part.call.below(at), raw, part.signature).map(Some);
    }
    if part.thought.present().is_some_and(says_something) {
        ignored.add(PLACE, vec![part.thought.name().to_owned()]);
        return Ok(None);
    }
    if let Some(raw) = part.response.present() {
        return result(&part.response.below(at), raw, ignored).map(Said::Result).map(Some);
    }
    shown(at, &part).map(|part| part.map(Said::Part))
}

/// What a part shows that neither calls nor answers a call.
fn shown(at: &str, part: &PartFields<'_>) -> Result<Option<Part>, ApiError> {
    if let Some(raw) = part.inline.present() {
        return blob(&part.inline.below(at), raw).map(Some);
    }
    if let Some(raw) = part.file.present() {
        return file(&part.file.below(at), raw).map(Some);
    }
    for code in [part.code, part.code_result] {
        // What was run elsewhere, as the model would tell it.
        if let Some(raw) = code.present() {
            return Ok(Some(Part::Text(raw.get().to_owned())));
        }
    }
    let Some(raw) = part.text.present() else { return Ok(None) };
    let text = string(raw).map_err(|error| wrong(part.text.below(at), error))?;
    Ok(Some(text).filter(|text| !text.is_empty()).map(Part::Text))
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
    let data = if data.contains(['-', '_']) { data.replace('-', "+").replace('_', "/") } else { data };
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
    const HOSTS: [&str; 4] =
        ["generativelanguage.googleapis.com", "www.youtube.com", "youtube.com", "youtu.be"];
    let host = uri.split_once("://").map_or("", |(_, rest)| rest).split(['/', '?', '#']).next();
    host.is_some_and(|host| HOSTS.iter().any(|it| it.eq_ignore_ascii_case(host)))
}

/// Reads a `functionResponse`.
fn result(at: &str, raw: &RawValue, ignored: &mut Ignored) -> Result<ToolResult, ApiError> {
    let unreadable =
        |_| wrong(at, format!("must be an object with 'name' and 'response', not {}", kind(raw)));
    let fields: Response<'_> = read_in_any_case(raw).map_err(unreadable)?;
    let (is_error, text) = fields.response.present().map(said).unwrap_or_default();
    let mut parts: Vec<Part> =
        Some(text).filter(|text| !text.is_empty()).map(Part::Text).into_iter().collect();
    for (place, item) in items(fields.parts)? {
        let at = format!("{at}.{place}");
        let mut part = fields_of(&at, item)?;
        ignored.add(PLACE, std::mem::take(&mut part.unknown));
        // A result holds neither calls nor results: reading those would go as deep as a client likes.
        for field in [part.call, part.response] {
            if field.present().is_some() {
                ignored.add(PLACE, vec![field.name().to_owned()]);
            }
        }
        parts.extend(shown(&at, &part)?);
    }
    let id: Option<String> = fields.id.optional(at, "a string")?;
    Ok(ToolResult {
        call_id: id.filter(|id| !id.is_empty()),
        name: fields.name.optional(at, "a string")?,
        parts,
        is_error,
    })
}

/// What an object says: the text of its only entry if that is an error or an output, else the object.
fn said(response: &RawValue) -> (bool, String) {
    let entries = json::entries(response).unwrap_or_default();
    let whole = || response.get().to_owned();
    let [(name, value)] = entries.as_slice() else { return (false, whole()) };
    let text = || serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned());
    match &**name {
        // What has gone well may say so by an error that is none.
        "error" if value.get() == "null" || !says_something(value) => (false, whole()),
        "error" => (true, text()),
        "output" | "result" => (false, text()),
        _ => (false, whole()),
    }
}
