//! The form that the answer's text is to have.

use serde_json::value::RawValue;

use crate::middle::{JsonSchema, ResponseFormat};
use crate::surfaces::empty_objects::mend;
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, fields, kind, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::schema_bytes::SchemaBytes;

pub(super) fn parse_format(
    field: Field<'_>,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<Option<ResponseFormat>, ApiError> {
    const ACCEPTED: &str =
        "must be {\"type\":\"text\"}, {\"type\":\"json_object\"} or {\"type\":\"json_schema\",…}";
    let Some(raw) = field.present() else { return Ok(None) };
    let at = field.name();
    let format = fields!(raw => kind: "type", json_schema)
        .map_err(|_| wrong(at, format!("{ACCEPTED}, not {}", kind(raw))))?;
    ignored.add("response_format.", format.unknown);
    let kind_of_format: Option<String> = format.kind.optional(at, "a string")?;
    match kind_of_format.as_deref() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(ResponseFormat::JsonObject)),
        Some("json_schema") => {
            let at = format.json_schema.below(at);
            let schema = format.json_schema.present().ok_or_else(|| wrong(at.as_str(), "is missing"))?;
            parse_schema(&at, schema, ignored, schema_bytes).map(ResponseFormat::JsonSchema).map(Some)
        }
        _ => Err(wrong(format.kind.below(at), ACCEPTED)),
    }
}

fn parse_schema(
    at: &str,
    raw: &RawValue,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<JsonSchema, ApiError> {
    let unreadable = |_| wrong(at, format!("must be an object, not {}", kind(raw)));
    let fields = fields!(raw => name, description, schema, strict).map_err(unreadable)?;
    ignored.add("response_format.json_schema.", fields.unknown);
    schema_bytes.count(at, raw)?;
    Ok(JsonSchema {
        name: fields.name.optional(at, "a string")?,
        description: fields.description.optional(at, "a string")?,
        schema: fields.schema.present().map(mend),
        strict: fields.strict.optional(at, "true or false")?,
    })
}
