//! The two kinds of schemas Gemini takes: JSON Schema with few keywords, and Google's subset of OpenAPI's.

use serde_json::{Map, Value};

use super::fields::{check_known, field, items};
use super::refusals::{Refused, invalid_value, unknown_name, violation};

/// The keywords that google-genai 3.4.0 documents for `parametersJsonSchema` and `responseJsonSchema`.
const JSON_SCHEMA_KEYWORDS: &[&str] = &[
    "$id",
    "$defs",
    "$ref",
    "$anchor",
    "type",
    "format",
    "title",
    "description",
    "enum",
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "anyOf",
    "oneOf",
    "properties",
    "additionalProperties",
    "required",
    "propertyOrdering",
];

/// The fields of a `Schema`, as in `parameters` and `responseSchema`.
const OPENAPI_FIELDS: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "items",
    "minItems",
    "maxItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "minimum",
    "maximum",
    "additionalProperties",
    "defs",
    "ref",
];

const TYPES: &[&str] =
    &["TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"];

/// Checks a JSON Schema and everything in it.
pub(super) fn check_json_schema(schema: &Value, path: &str) -> Result<(), Refused> {
    let object = match schema {
        Value::Object(object) => object,
        // A schema that allows everything or nothing, or no schema at all.
        Value::Bool(_) | Value::Null => return Ok(()),
        _ => return Err(invalid_value(path, "schema", schema)),
    };
    if let Some(name) = object.keys().find(|name| !JSON_SCHEMA_KEYWORDS.contains(&name.as_str())) {
        return Err(unknown_name(name, path));
    }
    if object.contains_key("$ref")
        && let Some(name) = object.keys().find(|name| !name.starts_with('$'))
    {
        return Err(violation(path, format!("Invalid value at '{path}': $ref cannot stand beside {name}")));
    }
    for map in ["properties", "$defs"] {
        for (name, schema) in object.get(map).and_then(Value::as_object).unwrap_or(&Map::new()) {
            check_json_schema(schema, &format!("{path}.{map}.{name}"))?;
        }
    }
    for list in ["anyOf", "oneOf", "prefixItems"] {
        for (index, schema) in items(schema, list).iter().enumerate() {
            check_json_schema(schema, &format!("{path}.{list}[{index}]"))?;
        }
    }
    for single in ["items", "additionalProperties"] {
        check_json_schema(&schema[single], &format!("{path}.{single}"))?;
    }
    Ok(())
}

/// Checks a `Schema` of Google's own and everything in it.
pub(super) fn check_openapi_schema(schema: &Value, path: &str) -> Result<(), Refused> {
    if schema.is_boolean() || schema.is_null() {
        return Ok(());
    }
    check_known(schema, OPENAPI_FIELDS, path)?;
    check_type(schema, path)?;
    for (index, value) in items(schema, "enum").iter().enumerate() {
        if !value.is_string() {
            return Err(invalid_value(&format!("{path}.enum[{index}]"), "TYPE_STRING", value));
        }
    }
    for map in ["properties", "defs"] {
        // To Google, a map is a list of pairs.
        for (index, schema) in schema[map].as_object().unwrap_or(&Map::new()).values().enumerate() {
            check_openapi_schema(schema, &format!("{path}.{map}[{index}].value"))?;
        }
    }
    for (index, schema) in items(schema, "anyOf").iter().enumerate() {
        check_openapi_schema(schema, &format!("{path}.any_of[{index}]"))?;
    }
    check_openapi_schema(&schema["items"], &format!("{path}.items"))?;
    check_openapi_schema(field(schema, "additionalProperties"), &format!("{path}.additional_properties"))
}

fn check_type(schema: &Value, path: &str) -> Result<(), Refused> {
    let is_known = |name: &str| TYPES.contains(&name.to_ascii_uppercase().as_str());
    match &schema["type"] {
        Value::Null => Ok(()),
        Value::String(name) if is_known(name) => Ok(()),
        Value::Array(_) => Err(violation(
            path,
            format!(
                "Invalid JSON payload received. Unknown name \"type\" at '{path}': Proto field is not repeating, \
                 cannot start list."
            ),
        )),
        other => {
            let kind = "type.googleapis.com/google.ai.generativelanguage.v1beta.Type";
            Err(invalid_value(&format!("{path}.type"), kind, other))
        }
    }
}
