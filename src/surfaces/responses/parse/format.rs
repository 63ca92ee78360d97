//! The form that the answer's text is to have.

use crate::middle::{JsonSchema, ResponseFormat};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, fields, kind, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::schema_bytes::SchemaBytes;

/// Reads `text.format`, which stands in the object at `parent`.
pub(super) fn parse_format(
    field: Field<'_>,
    parent: &str,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<Option<ResponseFormat>, ApiError> {
    const ACCEPTED: &str = "must have the 'type' 'text', 'json_object' or 'json_schema'";
    let Some(raw) = field.present() else { return Ok(None) };
    let at = field.below(parent);
    let format = fields!(raw => kind: "type", name, description, schema, strict)
        .map_err(|_| wrong(at.as_str(), format!("{ACCEPTED}, not {}", kind(raw))))?;
    ignored.add("text.format.", format.unknown);
    let kind_of_format: Option<String> = format.kind.optional(&at, "a string")?;
    match kind_of_format.as_deref() {
        Some("text") => return Ok(None),
        Some("json_object") => return Ok(Some(ResponseFormat::JsonObject)),
        Some("json_schema") => {}
        _ => return Err(wrong(format.kind.below(&at), ACCEPTED)),
    }
    let at_schema = format.schema.below(&at);
    let schema = format.schema.present().ok_or_else(|| wrong(at_schema.as_str(), "is missing"))?;
    let name: Option<String> = format.name.optional(&at, "a string")?;
    Ok(Some(ResponseFormat::JsonSchema(JsonSchema {
        // Most providers want one.
        name: Some(name.filter(|name| !name.is_empty()).unwrap_or_else(|| "answer".to_owned())),
        description: format.description.optional(&at, "a string")?,
        schema: Some(schema_bytes.add(&at_schema, schema)?),
        strict: format.strict.optional(&at, "true or false")?,
    })))
}
