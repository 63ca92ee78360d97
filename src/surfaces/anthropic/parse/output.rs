//! The form that the answer's text is to have.

use crate::middle::{JsonSchema, ResponseFormat};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, fields, kind, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::schema_bytes::SchemaBytes;

/// Most providers want a name, and this dialect has none.
const NAME: &str = "answer";

/// Reads a form, which stands in the object at `parent`.
pub(super) fn parse_format(
    field: Field<'_>,
    parent: &str,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<Option<ResponseFormat>, ApiError> {
    const ACCEPTED: &str = "must be {\"type\":\"json_schema\",\"schema\":…}";
    let Some(raw) = field.present() else { return Ok(None) };
    let at = field.below(parent);
    let format = fields!(raw => kind: "type", schema, name)
        .map_err(|_| wrong(at.as_str(), format!("{ACCEPTED}, not {}", kind(raw))))?;
    ignored.add(&format!("{at}."), format.unknown);
    let kind_of_format: Option<String> = format.kind.optional(&at, "'json_schema'")?;
    if kind_of_format.as_deref() != Some("json_schema") {
        return Err(wrong(format.kind.below(&at), ACCEPTED));
    }
    let schema = format.schema.present().ok_or_else(|| wrong(format.schema.below(&at), "is missing"))?;
    let schema = schema_bytes.add(&format.schema.below(&at), schema)?;
    let name: Option<String> = format.name.optional(&at, "a string")?;
    let name = Some(name.unwrap_or_else(|| NAME.to_owned()));
    let schema = JsonSchema { name, description: None, schema: Some(schema), strict: None };
    Ok(Some(ResponseFormat::JsonSchema(schema)))
}
