//! How the model is to answer: sampling, length, thinking, and the form of the answer's text.

use serde_json::value::RawValue;

use super::lists::says_something;
use super::schema::json_schema;
use crate::middle::{ChatRequest, Effort, JsonSchema, ResponseFormat};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, fields, kind, read_in_any_case, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::schema_bytes::SchemaBytes;
use crate::surfaces::values::{count, number, whole};

/// Where the fields stand.
const AT: &str = "generationConfig";

/// Most providers want a name, and this dialect has none.
const NAME: &str = "answer";

fields!(struct Generation {
    temperature, top_p: "topP", top_k: "topK", most: "maxOutputTokens", stops: "stopSequences", seed,
    presence: "presencePenalty", frequency: "frequencyPenalty",
    form: "responseFormat", media_type: "responseMimeType", schema: "responseSchema", json_schema: "responseJsonSchema",
    thinking: "thinkingConfig",
    candidates: "candidateCount", logprobs: "responseLogprobs", modalities: "responseModalities",
    speech: "speechConfig", image: "imageConfig",
});

fields!(struct Thinking { level: "thinkingLevel", budget: "thinkingBudget", shown: "includeThoughts" });

/// Reads `generationConfig`.
pub(super) fn parse_generation(
    field: Field<'_>,
    request: &mut ChatRequest,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<(), ApiError> {
    let Some(raw) = field.present() else { return Ok(()) };
    let mut fields: Generation<'_> =
        read_in_any_case(raw).map_err(|_| wrong(AT, format!("must be an object, not {}", kind(raw))))?;
    ignored.add("generationConfig.", std::mem::take(&mut fields.unknown));
    refuse_unavailable(&fields)?;
    request.temperature = number(fields.temperature, AT, 0.0, 2.0)?;
    request.top_p = number(fields.top_p, AT, 0.0, 1.0)?;
    let top_k = whole(fields.top_k, AT)?.filter(|number| *number > 0);
    request.top_k = top_k.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    request.max_tokens = count(fields.most, AT)?;
    request.seed = whole(fields.seed, AT)?;
    request.presence_penalty = number(fields.presence, AT, -2.0, 2.0)?;
    request.frequency_penalty = number(fields.frequency, AT, -2.0, 2.0)?;
    let stops: Option<Vec<String>> = fields.stops.optional(AT, "an array of strings")?;
    request.stop = stops.unwrap_or_default().into_iter().filter(|text| !text.is_empty()).collect();
    parse_thinking(fields.thinking, request)?;
    request.response_format = parse_format(&fields, schema_bytes)?;
    Ok(())
}

/// Refuses what changes what is answered and no provider here can do.
fn refuse_unavailable(fields: &Generation<'_>) -> Result<(), ApiError> {
    let is_one = |raw: &RawValue| matches!(raw.get(), "1" | "1.0");
    if fields.candidates.present().is_some_and(|raw| !is_one(raw) && says_something(raw)) {
        return Err(wrong(fields.candidates.below(AT), "must be 1: ask several times for several answers"));
    }
    let modalities: Option<Vec<String>> = fields.modalities.optional(AT, "an array of words")?;
    if modalities.is_some_and(|words| words.iter().any(|word| !word.eq_ignore_ascii_case("text"))) {
        return Err(wrong(fields.modalities.below(AT), "must be [\"TEXT\"]: there is nothing else here"));
    }
    for field in [fields.logprobs, fields.speech, fields.image] {
        if field.present().is_some_and(says_something) {
            return Err(wrong(field.below(AT), "is not available here"));
        }
    }
    Ok(())
}

fn parse_thinking(field: Field<'_>, request: &mut ChatRequest) -> Result<(), ApiError> {
    let at = field.below(AT);
    let Some(raw) = field.present() else { return Ok(()) };
    let fields: Thinking<'_> = read_in_any_case(raw)
        .map_err(|_| wrong(at.as_str(), format!("must be an object, not {}", kind(raw))))?;
    let level: Option<String> = fields.level.optional(&at, "a word such as 'LOW' or 'HIGH'")?;
    let by_level = level.and_then(|word| match word.to_ascii_lowercase().as_str() {
        "thinking_level_unspecified" => None,
        word => Effort::ALL.into_iter().find(|effort| effort.as_str() == word),
    });
    let by_budget = whole(fields.budget, &at)?.and_then(effort_of);
    request.effort = by_level.or(by_budget);
    let shown: Option<bool> = fields.shown.optional(&at, "true or false")?;
    request.wants_thoughts = shown.unwrap_or(false);
    Ok(())
}

/// The effort that a number of tokens for thinking means; -1 leaves it to the model.
fn effort_of(budget: i64) -> Option<Effort> {
    match budget {
        0 => Some(Effort::None),
        1..=2_048 => Some(Effort::Low),
        2_049..=8_192 => Some(Effort::Medium),
        8_193.. => Some(Effort::High),
        _ => None,
    }
}

fn parse_format(
    fields: &Generation<'_>,
    schema_bytes: &mut SchemaBytes,
) -> Result<Option<ResponseFormat>, ApiError> {
    if fields.form.present().is_some_and(says_something) {
        let advice = "is not read here: use 'responseMimeType' and 'responseJsonSchema'";
        return Err(wrong(fields.form.below(AT), advice));
    }
    let media_type: Option<String> = fields.media_type.optional(AT, "a media type, a string")?;
    let schema = if fields.json_schema.present().is_some() { fields.json_schema } else { fields.schema };
    match media_type.as_deref() {
        None | Some("" | "text/plain") if schema.present().is_some() => {
            Err(wrong(schema.below(AT), "needs 'responseMimeType' to be 'application/json'"))
        }
        None | Some("" | "text/plain") => Ok(None),
        Some("application/json") => match schema.present() {
            None => Ok(Some(ResponseFormat::JsonObject)),
            Some(raw) => {
                schema_bytes.count(&schema.below(AT), raw)?;
                let schema = Some(json_schema(raw));
                let name = Some(NAME.to_owned());
                let format = JsonSchema { name, description: None, schema, strict: None };
                Ok(Some(ResponseFormat::JsonSchema(format)))
            }
        },
        Some(_) => Err(wrong(fields.media_type.below(AT), "must be 'text/plain' or 'application/json'")),
    }
}
