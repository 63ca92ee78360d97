//! What a message says or a tool returns: a text, or parts.

use serde_json::value::RawValue;

use super::tools::plain;
use crate::middle::Part;
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, each, fields, kind, read, string, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::media::{data_url, image_at_url, inline_part};

/// There is no store of files.
const NO_FILES: &str = "is a file that was uploaded before, and none is kept here: send its bytes";

fields!(struct Fields {
    kind: "type", text, refusal, encrypted_content, image_url, file_id, file_data, file_url, filename, detail,
});

/// The parts of `raw`, a string or an array of parts; empty texts are left out, and parts that are not known.
pub(super) fn content(at: &str, raw: &RawValue, ignored: &mut Ignored) -> Result<Vec<Part>, ApiError> {
    match raw.get().as_bytes().first() {
        Some(b'"') => text(at, raw),
        Some(b'[') => {
            let mut parts = Vec::new();
            each(at, raw, |index, item| {
                parts.extend(part(&format!("{at}[{index}]"), item, ignored)?);
                Ok(())
            })?;
            Ok(parts)
        }
        _ => Err(wrong(at, format!("must be a string or an array of parts, not {}", kind(raw)))),
    }
}

fn part(at: &str, item: &RawValue, ignored: &mut Ignored) -> Result<Vec<Part>, ApiError> {
    if item.get().starts_with('"') {
        return text(at, item);
    }
    let mut fields: Fields<'_> =
        read(item).map_err(|_| wrong(at, format!("must be an object with 'type', not {}", kind(item))))?;
    let kind_of_part: Option<String> = fields.kind.optional(at, "a string")?;
    let kind_of_part = kind_of_part
        .ok_or_else(|| wrong(fields.kind.below(at), "is missing: 'input_text', 'input_image', …"))?;
    let unknown = std::mem::take(&mut fields.unknown);
    let parts = match kind_of_part.as_str() {
        "input_text" | "output_text" | "text" | "summary_text" => text_of(at, fields.text)?,
        "refusal" => text_of(at, fields.refusal)?,
        // Between agents of one client it is plain text.
        "encrypted_content" => text_of(at, fields.encrypted_content)?,
        "input_image" | "output_image" => image(at, &fields)?,
        "input_file" => file(at, &fields)?,
        other => {
            ignored.add("input.content.", vec![plain(other)]);
            return Ok(Vec::new());
        }
    };
    // Where a text has its sources and its tokens' probabilities is our own form, sent back.
    let unknown = unknown.into_iter().filter(|name| name != "annotations" && name != "logprobs");
    ignored.add("input.content.", unknown.collect());
    Ok(parts)
}

fn image(at: &str, fields: &Fields<'_>) -> Result<Vec<Part>, ApiError> {
    let Some(raw) = fields.image_url.present() else {
        return Err(match fields.file_id.present() {
            Some(_) => wrong(fields.file_id.below(at), NO_FILES),
            None => wrong(fields.image_url.below(at), "is missing"),
        });
    };
    // Some clients send it as chat completions have it.
    let url = if raw.get().starts_with('{') {
        fields!(raw => url).map_err(|_| wrong(fields.image_url.below(at), "must be a string"))?.url
    } else {
        Field::new("image_url", raw)
    };
    image_at_url(&url.below(at), url.required(at, "a string")?).map(|image| vec![Part::Image(image)])
}

fn file(at: &str, fields: &Fields<'_>) -> Result<Vec<Part>, ApiError> {
    const UNTOLD: &str = "is base64 of nobody knows what: send a data URL with the media type, or a 'filename' that ends in .pdf, .txt, .md, .csv, .png or .jpg";
    const URLS: &str = "is a URL, and files are not fetched here: send its bytes in 'file_data'";
    if fields.file_id.present().is_some() {
        return Err(wrong(fields.file_id.below(at), NO_FILES));
    }
    if fields.file_url.present().is_some() {
        return Err(wrong(fields.file_url.below(at), URLS));
    }
    let data: String = fields.file_data.required(at, "a string")?;
    let name: Option<String> = fields.filename.optional(at, "a string")?;
    let (media_type, base64) = match data_url(&data) {
        Some(told) => told,
        None => (
            type_of(name.as_deref(), &data).ok_or_else(|| wrong(fields.file_data.below(at), UNTOLD))?,
            &*data,
        ),
    };
    let part = inline_part(media_type, base64, name.clone());
    let part =
        part.ok_or_else(|| wrong(fields.file_data.below(at), "must be base64, or a data URL with it"))?;
    Ok(vec![part])
}

/// The media type of a file of this name, or with these bytes in base64.
fn type_of(name: Option<&str>, data: &str) -> Option<&'static str> {
    /// How `%PDF-` begins in base64.
    const PDF: &str = "JVBERi";
    let end = name.and_then(|name| name.rsplit_once('.')).map(|(_, end)| end.to_ascii_lowercase());
    match end.as_deref() {
        Some("txt" | "md" | "csv") => Some("text/plain"),
        Some("png") => Some("image/png"),
        Some("jpg" | "jpeg") => Some("image/jpeg"),
        Some("pdf") => Some("application/pdf"),
        _ => data.trim_start().starts_with(PDF).then_some("application/pdf"),
    }
}

fn text_of(at: &str, field: Field<'_>) -> Result<Vec<Part>, ApiError> {
    let at = field.below(at);
    let raw = field.present().ok_or_else(|| wrong(at.as_str(), "is missing"))?;
    text(&at, raw)
}

/// A text; nothing if it is empty.
fn text(at: &str, raw: &RawValue) -> Result<Vec<Part>, ApiError> {
    let text = string(raw).map_err(|error| wrong(at, error))?;
    Ok(Some(text).filter(|text| !text.is_empty()).map(Part::Text).into_iter().collect())
}
