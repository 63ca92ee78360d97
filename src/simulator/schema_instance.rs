//! A small value that fits a JSON Schema: what a simulated model fills into arguments and JSON answers.

use serde_json::{Map, Value, json};

/// How deep a value may nest. An endless schema is cut off there.
const MAX_DEPTH: usize = 8;

/// The smallest value worth showing that fits `schema`, or an object if the schema says nothing.
///
/// Understands JSON Schema and Google's OpenAPI subset, whose types may be in upper case.
pub(super) fn instance(schema: &Value) -> Value {
    Generator { root: schema }.value(schema, 0)
}

struct Generator<'s> {
    /// Where references point to.
    root: &'s Value,
}

impl Generator<'_> {
    fn value(&self, schema: &Value, depth: usize) -> Value {
        if let Some(target) = self.referenced(schema) {
            return if depth < MAX_DEPTH { self.value(target, depth + 1) } else { Value::Null };
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(first) = first_of(schema, "enum") {
            return first.clone();
        }
        if let Some(variant) =
            ["anyOf", "any_of", "oneOf", "allOf"].iter().find_map(|key| first_of(schema, key))
        {
            return self.value(variant, depth + 1);
        }
        match type_of(schema).as_str() {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" | "number" => number(schema),
            "boolean" => Value::Bool(true),
            "null" => Value::Null,
            _ => json!("text"),
        }
    }

    fn referenced(&self, schema: &Value) -> Option<&Value> {
        let reference = schema.get("$ref").or_else(|| schema.get("ref"))?.as_str()?;
        self.root.pointer(reference.strip_prefix('#')?)
    }

    /// The required properties, or all if none are required.
    fn object(&self, schema: &Value, depth: usize) -> Value {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required: Vec<&str> = strings(schema, "required");
        let wanted = |name: &str| required.is_empty() || required.contains(&name);
        if depth >= MAX_DEPTH {
            return json!({});
        }
        let chosen = properties.iter().filter(|(name, _)| wanted(name));
        chosen
            .map(|(name, property)| (name.clone(), self.value(property, depth + 1)))
            .collect::<Map<_, _>>()
            .into()
    }

    fn array(&self, schema: &Value, depth: usize) -> Value {
        if depth >= MAX_DEPTH {
            return json!([]);
        }
        let bound = |names: [&str; 2]| names.iter().find_map(|name| schema.get(*name)).and_then(count);
        let least = bound(["minItems", "min_items"]).unwrap_or(1).max(1);
        let most = bound(["maxItems", "max_items"]).unwrap_or(u64::MAX);
        let fixed =
            schema.get("prefixItems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let others = schema.get("items").unwrap_or(&Value::Null);
        // More items are not needed to show that a list is a list.
        let length = least.max(fixed.len() as u64).min(most).min(100) as usize;
        (0..length).map(|index| self.value(fixed.get(index).unwrap_or(others), depth + 1)).collect()
    }
}

/// 1, or the nearest number within the bounds.
fn number(schema: &Value) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|it| it.floor() + 1.0));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|it| it.ceil() - 1.0));
    let nearest = 1_f64.max(least.unwrap_or(f64::MIN)).min(most.unwrap_or(f64::MAX));
    match type_of(schema).as_str() {
        "integer" => json!(nearest.ceil() as i64),
        _ if nearest.fract() == 0.0 => json!(nearest as i64),
        _ => json!(nearest),
    }
}

/// The type in lower case. If there are several, the first that is not null.
fn type_of(schema: &Value) -> String {
    let stated = match schema.get("type") {
        Some(Value::String(name)) => Some(name.as_str()),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        _ => None,
    };
    let has = |name: &str| schema.get(name).is_some();
    let says_nothing = schema.as_object().is_none_or(Map::is_empty);
    match stated {
        Some(name) => name.to_ascii_lowercase(),
        None if has("items") || has("prefixItems") => "array".to_owned(),
        None if has("properties") || says_nothing => "object".to_owned(),
        None => "string".to_owned(),
    }
}

fn first_of<'v>(schema: &'v Value, key: &str) -> Option<&'v Value> {
    schema.get(key)?.as_array()?.first()
}

fn strings<'v>(schema: &'v Value, key: &str) -> Vec<&'v str> {
    let list = schema.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).collect()
}

/// Google's types write counts as strings.
fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_schema_gets_its_smallest_instance() {
        let recursive = json!({"type": "object", "properties": {"child": {"$ref": "#"}}});
        let cases = [
            (json!({"type": "string"}), json!("text")),
            (json!({"type": "STRING"}), json!("text")),
            (json!({"type": "string", "enum": ["a", "b"]}), json!("a")),
            (json!({"const": 7}), json!(7)),
            (json!({"type": "integer"}), json!(1)),
            (json!({"type": "integer", "minimum": 5}), json!(5)),
            (json!({"type": "integer", "exclusiveMinimum": 5}), json!(6)),
            (json!({"type": "integer", "minimum": 1.5}), json!(2)),
            (json!({"type": "number", "minimum": 1.5}), json!(1.5)),
            (json!({"type": "number", "maximum": -2}), json!(-2)),
            (json!({"type": "boolean"}), json!(true)),
            (json!({"type": "null"}), json!(null)),
            (json!({"type": ["null", "integer"]}), json!(1)),
            (json!({"type": "array", "items": {"type": "string"}}), json!(["text"])),
            (json!({"type": "array", "items": {"type": "string"}, "minItems": 2}), json!(["text", "text"])),
            (json!({"type": "ARRAY", "items": {"type": "STRING"}, "minItems": "2"}), json!(["text", "text"])),
            (json!({"type": "array", "items": {"type": "string"}, "maxItems": 0}), json!([])),
            (json!({"prefixItems": [{"type": "integer"}, {"type": "boolean"}]}), json!([1, true])),
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}),
                json!({"a": "text"}),
            ),
            (
                json!({"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}),
                json!({"a": "text", "b": 1}),
            ),
            (json!({"anyOf": [{"type": "boolean"}, {"type": "null"}]}), json!(true)),
            (json!({"oneOf": [{"type": "integer"}]}), json!(1)),
            (
                json!({"$ref": "#/$defs/city", "$defs": {"city": {"type": "string", "enum": ["Lima"]}}}),
                json!("Lima"),
            ),
            (json!({"$ref": "#/definitions/n", "definitions": {"n": {"type": "integer"}}}), json!(1)),
            (json!({}), json!({})),
            (Value::Null, json!({})),
        ];
        let wrong = cases.into_iter().filter(|(schema, expected)| instance(schema) != *expected);
        let wrong: Vec<_> = wrong.map(|(schema, _)| (instance(&schema), schema)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let text = instance(&recursive).to_string();
        assert!(text.starts_with(r#"{"child":{"child":"#) && text.len() < 200, "{text}");
        let itself = json!({"$ref": "#"});
        assert_eq!(instance(&itself), Value::Null, "a reference to itself has no value");
    }
}
