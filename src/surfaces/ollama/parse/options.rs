//! How the model is to answer: sampling, length, thinking, and the form of the answer's text.

use serde_json::value::RawValue;

use crate::middle::{ChatRequest, Effort, JsonSchema, ResponseFormat};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, fields, kind, read, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::schema_bytes::SchemaBytes;
use crate::surfaces::values::{effort, number, whole};

/// Where the fields stand.
const AT: &str = "options";

/// Most providers want a name for a schema, and this dialect has none.
const NAME: &str = "answer";

fields!(struct Options {
    temperature, top_p, top_k, most: "num_predict", stop, seed, presence_penalty, frequency_penalty,
});

/// Reads `options`. Those that are for a model on the server's own machine are skipped and told.
pub(super) fn parse_options(
    field: Field<'_>,
    request: &mut ChatRequest,
    ignored: &mut Ignored,
) -> Result<(), ApiError> {
    let Some(raw) = field.present() else { return Ok(()) };
    let mut options: Options<'_> =
        read(raw).map_err(|_| wrong(AT, format!("must be an object, not {}", kind(raw))))?;
    ignored.add("options.", std::mem::take(&mut options.unknown));
    request.temperature = number(options.temperature, AT, 0.0, 2.0)?;
    request.top_p = number(options.top_p, AT, 0.0, 1.0)?;
    request.top_k = positive(options.top_k)?;
    // -1 and -2 mean as many as there is room for.
    request.max_tokens = positive(options.most)?;
    request.seed = whole(options.seed, AT)?;
    request.presence_penalty = number(options.presence_penalty, AT, -2.0, 2.0)?;
    request.frequency_penalty = number(options.frequency_penalty, AT, -2.0, 2.0)?;
    request.stop = stops(options.stop)?;
    Ok(())
}

/// A number of tokens; none if it is 0 or less.
fn positive(field: Field<'_>) -> Result<Option<u32>, ApiError> {
    let number = whole(field, AT)?.filter(|number| *number > 0);
    Ok(number.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
}

fn stops(field: Field<'_>) -> Result<Vec<String>, ApiError> {
    const ACCEPTED: &str = "a string or an array of strings";
    let stops: Vec<String> = match field.array() {
        Some(_) => field.optional(AT, ACCEPTED)?.unwrap_or_default(),
        None => field.optional::<String>(AT, ACCEPTED)?.into_iter().collect(),
    };
    Ok(stops.into_iter().filter(|text| !text.is_empty()).collect())
}

/// Reads `think`: whether the model is to think and its thoughts are shown, or how much.
pub(super) fn parse_think(field: Field<'_>, request: &mut ChatRequest) -> Result<(), ApiError> {
    match field.present().map(RawValue::get) {
        None | Some("\"\"") => return Ok(()),
        Some("false") => request.effort = Some(Effort::None),
        // How much is left to the model.
        Some("true") => {}
        Some(_) => request.effort = effort(field, "")?,
    }
    request.wants_thoughts = request.effort != Some(Effort::None);
    Ok(())
}

/// Reads `format`: `"json"`, or a schema.
pub(super) fn parse_format(
    field: Field<'_>,
    schema_bytes: &mut SchemaBytes,
) -> Result<Option<ResponseFormat>, ApiError> {
    match field.present().map(|raw| (raw, raw.get())) {
        None | Some((_, "\"\"")) => Ok(None),
        Some((_, "\"json\"")) => Ok(Some(ResponseFormat::JsonObject)),
        Some((raw, text)) if text.starts_with('{') => {
            let schema = Some(schema_bytes.add(field.name(), raw)?);
            let name = Some(NAME.to_owned());
            let format = JsonSchema { name, description: None, schema, strict: None };
            Ok(Some(ResponseFormat::JsonSchema(format)))
        }
        Some(_) => Err(wrong(field.name(), "must be 'json' or a JSON Schema, an object")),
    }
}
