//! What tools have returned.

use serde_json::value::RawValue;

use super::contents::read_part;
use super::items;
use crate::middle::Part;
use crate::surfaces::conversation::ToolResult;
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{fields, kind, read_in_any_case, wrong};
use crate::surfaces::ignored::Ignored;
use crate::wire::json;

fields!(struct Response { id, name, response, parts });

/// Reads a `functionResponse`.
pub(super) fn result(at: &str, raw: &RawValue, ignored: &mut Ignored) -> Result<ToolResult, ApiError> {
    let unreadable =
        |_| wrong(at, format!("must be an object with 'name' and 'response', not {}", kind(raw)));
    let fields: Response<'_> = read_in_any_case(raw).map_err(unreadable)?;
    let (is_error, text) = fields.response.present().map(said).unwrap_or_default();
    let mut parts: Vec<Part> =
        Some(text).filter(|text| !text.is_empty()).map(Part::Text).into_iter().collect();
    for (place, item) in items(fields.parts)? {
        let said = read_part(&format!("{at}.{place}"), item, ignored)?;
        parts.extend(said.and_then(super::contents::Said::into_part));
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
        "error" => (true, text()),
        "output" | "result" => (false, text()),
        _ => (false, whole()),
    }
}
