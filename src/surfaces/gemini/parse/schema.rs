//! Google's schemas as JSON Schema: its types are written in capitals, and it has a word of its own for `null`.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::middle::Json;

/// Deeper than any sensible schema; anything below stays unchanged.
const MAX_DEPTH: usize = 64;

/// Words that say nothing to other providers; some refuse them.
const FOREIGN: [&str; 2] = ["propertyOrdering", "property_ordering"];

/// `schema` as JSON Schema. One that is JSON Schema already keeps its bytes.
pub(super) fn json_schema(schema: &RawValue) -> Json {
    let Ok(before) = serde_json::from_str::<Value>(schema.get()) else { return schema.into() };
    let mut after = before.clone();
    convert(&mut after, 0);
    if after == before {
        return schema.into();
    }
    Json::parse(after.to_string()).unwrap_or_else(|_| schema.into())
}

fn convert(schema: &mut Value, depth: usize) {
    let Some(schema) = schema.as_object_mut().filter(|_| depth < MAX_DEPTH) else { return };
    FOREIGN.iter().for_each(|word| drop(schema.remove(*word)));
    convert_type(schema);
    convert_counts(schema);
    for (keyword, value) in schema.iter_mut() {
        match keyword.as_str() {
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                let named = value.as_object_mut().into_iter().flat_map(Map::values_mut);
                named.for_each(|schema| convert(schema, depth + 1));
            }
            // In older drafts this is a list of schemas, too.
            "items" if value.is_array() => {
                let schemas = value.as_array_mut().into_iter().flatten();
                schemas.for_each(|schema| convert(schema, depth + 1));
            }
            "items"
            | "additionalProperties"
            | "not"
            | "contains"
            | "propertyNames"
            | "if"
            | "then"
            | "else" => {
                convert(value, depth + 1);
            }
            "anyOf" | "allOf" | "oneOf" | "prefixItems" => {
                let schemas = value.as_array_mut().into_iter().flatten();
                schemas.for_each(|schema| convert(schema, depth + 1));
            }
            _ => {}
        }
    }
}

/// Types in small letters; `nullable` as one more type.
fn convert_type(schema: &mut Map<String, Value>) {
    let is_nullable = schema.remove("nullable").is_some_and(|it| it == Value::Bool(true));
    match schema.get_mut("type") {
        Some(Value::String(name)) if name == "TYPE_UNSPECIFIED" => drop(schema.remove("type")),
        Some(Value::String(name)) => *name = name.to_ascii_lowercase(),
        Some(Value::Array(names)) => names.iter_mut().for_each(|name| {
            if let Value::String(name) = name {
                *name = name.to_ascii_lowercase();
            }
        }),
        _ => {}
    }
    if !is_nullable {
        return;
    }
    match schema.get_mut("type") {
        Some(Value::Array(names)) => names.push(json!("null")),
        Some(name @ Value::String(_)) => *name = json!([name.take(), "null"]),
        _ => match schema.get_mut("anyOf") {
            Some(Value::Array(schemas)) => schemas.push(json!({"type": "null"})),
            // Such as a reference: that, or nothing.
            _ => {
                let bare = Value::Object(std::mem::take(schema));
                schema.insert("anyOf".to_owned(), json!([bare, {"type": "null"}]));
            }
        },
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}

/// Google's JSON writes whole numbers as strings.
fn convert_counts(schema: &mut Map<String, Value>) {
    const COUNTS: [&str; 6] =
        ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];
    for count in COUNTS {
        if let Some(value) = schema.get_mut(count)
            && let Some(number) = value.as_str().and_then(|text| text.parse::<u64>().ok())
        {
            *value = json!(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(schema: &str) -> Value {
        serde_json::from_str(json_schema(serde_json::from_str(schema).unwrap()).get()).unwrap()
    }

    #[test]
    fn googles_words_become_those_of_json_schema() {
        let cases = [
            (
                json!({"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}}),
                json!({"type": "object", "properties": {"a": {"type": "integer"}}}),
            ),
            (
                json!({"type": "STRING", "nullable": true, "enum": ["a"]}),
                json!({"type": ["string", "null"], "enum": ["a", null]}),
            ),
            (
                json!({"type": "ARRAY", "items": {"type": "NUMBER"}, "minItems": "2"}),
                json!({"type": "array", "items": {"type": "number"}, "minItems": 2}),
            ),
            (
                json!({"anyOf": [{"type": "STRING"}], "nullable": true}),
                json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            ),
            (
                json!({"$ref": "#/$defs/a", "nullable": true}),
                json!({"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}),
            ),
            (json!({"type": "TYPE_UNSPECIFIED", "propertyOrdering": ["a"]}), json!({})),
            // A property may have any name, and a default any value.
            (
                json!({"properties": {"type": {"type": "STRING"}, "nullable": {"type": "BOOLEAN"}}, "default": {"type": "OBJECT"}}),
                json!({"properties": {"type": {"type": "string"}, "nullable": {"type": "boolean"}}, "default": {"type": "OBJECT"}}),
            ),
        ];
        for (google, expected) in cases {
            assert_eq!(converted(&google.to_string()), expected, "{google}");
        }
    }

    #[test]
    fn json_schema_keeps_its_bytes() {
        let schema = r#"{ "type":"object", "properties":{"b":{"type":"string"},"a":{"const":123456789012345678901234567890}} }"#;
        assert_eq!(json_schema(serde_json::from_str(schema).unwrap()).get(), schema);
    }

    #[test]
    fn a_bottomless_schema_is_survived() {
        let schema = format!("{}{}{}", r#"{"items":"#.repeat(100), r#"{"type":"STRING"}"#, "}".repeat(100));
        converted(&schema);
    }
}
