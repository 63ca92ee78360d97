//! Empty objects that a client has written as `[]`, as PHP does: in a schema they are meant as `{}`.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::middle::Json;
use crate::wire::json;

/// Deeper than any sensible schema; anything below stays unchanged.
const MAX_DEPTH: usize = 64;

/// `schema`, with `{}` for every `[]` that stands where JSON Schema wants an object. Everything else keeps its bytes.
pub(super) fn mend(schema: &RawValue) -> Json {
    let may_have_any = schema.get().split('[').skip(1).any(|behind| behind.trim_start().starts_with(']'));
    let mended = Some(schema).filter(|_| may_have_any).and_then(|schema| mended_schema(schema, 0));
    mended.and_then(|text| Json::parse(text).ok()).unwrap_or_else(|| schema.into())
}

/// What stands behind a keyword.
enum Value {
    Schema,
    Schemas,
    NamedSchemas,
}

fn value_of(keyword: &str) -> Option<Value> {
    match keyword {
        "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
            Some(Value::NamedSchemas)
        }
        "items"
        | "additionalProperties"
        | "additionalItems"
        | "unevaluatedProperties"
        | "unevaluatedItems"
        | "not"
        | "if"
        | "then"
        | "else"
        | "contains"
        | "propertyNames" => Some(Value::Schema),
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Some(Value::Schemas),
        _ => None,
    }
}

/// `None` if nothing is to be mended.
fn mended_schema(schema: &RawValue, depth: usize) -> Option<String> {
    mended_object(schema, depth, |keyword, value| match value_of(keyword)? {
        // In older drafts this is a list of schemas, too.
        Value::Schema if value.get().starts_with('[') && !is_empty_list(value) => mended_list(value, depth),
        Value::Schema => mended_schema(value, depth + 1),
        Value::Schemas => mended_list(value, depth),
        Value::NamedSchemas => mended_object(value, depth + 1, |_, schema| mended_schema(schema, depth + 1)),
    })
}

fn mended_object(
    object: &RawValue,
    depth: usize,
    mended: impl Fn(&str, &RawValue) -> Option<String>,
) -> Option<String> {
    if is_empty_list(object) {
        return Some("{}".to_owned());
    }
    let entries = json::entries(object).filter(|_| depth < MAX_DEPTH)?;
    let changed: Vec<Option<String>> = entries.iter().map(|(name, value)| mended(name, value)).collect();
    if changed.iter().all(Option::is_none) {
        return None;
    }
    let entries = entries.iter().zip(changed).map(|((name, value), changed)| {
        let name = String::from_utf8_lossy(&json::to_vec(name)).into_owned();
        format!("{name}:{}", changed.map_or(Cow::Borrowed(value.get()), Cow::Owned))
    });
    Some(format!("{{{}}}", entries.collect::<Vec<_>>().join(",")))
}

fn mended_list(list: &RawValue, depth: usize) -> Option<String> {
    let schemas: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
    let changed: Vec<Option<String>> =
        schemas.iter().map(|schema| mended_schema(schema, depth + 1)).collect();
    if changed.iter().all(Option::is_none) {
        return None;
    }
    let schemas = schemas.iter().zip(changed);
    let schemas = schemas.map(|(schema, changed)| changed.unwrap_or_else(|| schema.get().to_owned()));
    Some(format!("[{}]", schemas.collect::<Vec<_>>().join(",")))
}

fn is_empty_list(value: &RawValue) -> bool {
    let inside = value.get().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inside.is_some_and(|inside| inside.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(schema: &str) -> String {
        mend(Json::parse(schema).expect("JSON").raw()).get().to_owned()
    }

    #[test]
    fn empty_lists_become_objects_where_objects_belong_and_nowhere_else() {
        let cases = [
            ("[]", "{}"),
            ("[ \n]", "{}"),
            (r#"{"type":"object","properties":[]}"#, r#"{"type":"object","properties":{}}"#),
            (
                r#"{"properties":{"a":{"type":"object","properties":[ ]},"b":[]},"$defs":[],"required":[]}"#,
                r#"{"properties":{"a":{"type":"object","properties":{}},"b":{}},"$defs":{},"required":[]}"#,
            ),
            (
                r#"{"anyOf":[{"properties":[]},[]],"definitions":[],"patternProperties":[],"dependentSchemas":[]}"#,
                r#"{"anyOf":[{"properties":{}},{}],"definitions":{},"patternProperties":{},"dependentSchemas":{}}"#,
            ),
            (r#"{"items":[],"additionalProperties":[]}"#, r#"{"items":{},"additionalProperties":{}}"#),
            (r#"{"items":[{"properties":[]}]}"#, r#"{"items":[{"properties":{}}]}"#),
        ];
        for (schema, expected) in cases {
            assert_eq!(mended(schema), expected);
        }
        let same = [
            r#"{ "default": {"properties": []}, "enum": [], "required" : [ ], "properties": {"properties":{"n":1.0}} }"#,
            r#"{"const":[],"examples":[[]],"anyOf":[]}"#,
            r#"{"description":"properties: []"}"#,
            "7",
        ];
        for schema in same {
            assert_eq!(mended(schema), schema);
        }
    }

    #[test]
    fn a_bottomless_schema_is_survived() {
        let schema = format!("{}[]{}", "{\"items\":".repeat(50_000), "}".repeat(50_000));
        assert_eq!(mended(&schema), schema);
    }
}
