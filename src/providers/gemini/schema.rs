//! JSON Schema as Google accepts it: with fewer keywords, and a 400 for an unknown one.
//!
//! Works on JSON text and rewrites only what it must. Numbers, enums and descriptions keep their bytes, and a schema
//! without problems stays unchanged.
//!
//! Source, checked 2026-11: `parametersJsonSchema` and `responseJsonSchema` in the types of google-genai 3.4.0.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use crate::middle::Json;
use crate::wire::json::{self, Entries};

/// Deeper than any sensible schema; anything below stays unchanged.
const MAX_DEPTH: usize = 64;

/// What to do with a keyword.
enum Keyword {
    /// Its value stays.
    Plain,
    /// Its value is a schema.
    Schema,
    /// Its value is a list of schemas.
    Schemas,
    /// Its value is an object of schemas.
    NamedSchemas,
}

fn keyword(name: &str) -> Option<Keyword> {
    match name {
        "$id" | "$ref" | "$anchor" | "type" | "format" | "title" | "description" | "enum" | "minItems"
        | "maxItems" | "minimum" | "maximum" | "required" | "propertyOrdering" => Some(Keyword::Plain),
        "items" | "additionalProperties" => Some(Keyword::Schema),
        "prefixItems" | "anyOf" | "oneOf" => Some(Keyword::Schemas),
        "properties" | "$defs" => Some(Keyword::NamedSchemas),
        _ => None,
    }
}

/// `schema` without the keywords that Google does not know. Keywords that can be expressed otherwise (`const`, `allOf`,
/// `definitions`, tuples) are rewritten; the others are left out.
pub(super) fn clean(schema: &Json) -> Json {
    let mut cleaner = Cleaner { out: String::new(), has_changed: false };
    cleaner.schema(schema.raw(), 0);
    let cleaned = cleaner.has_changed.then(|| Json::parse(cleaner.out).ok()).flatten();
    cleaned.unwrap_or_else(|| schema.clone())
}

struct Cleaner {
    out: String,
    has_changed: bool,
}

impl Cleaner {
    fn schema(&mut self, schema: &RawValue, depth: usize) {
        let Some(entries) = json::entries(schema).filter(|_| depth < MAX_DEPTH) else {
            // JSON Schema has the schemas `true` and `false`; Google does not.
            let is_boolean = matches!(schema.get(), "true" | "false");
            self.has_changed |= is_boolean;
            self.out.push_str(if is_boolean { "{}" } else { schema.get() });
            return;
        };
        let entries = self.rewrite(entries);
        // Google accepts no other keyword together with a reference.
        let is_reference = entries.iter().any(|(name, _)| name == "$ref");
        self.out.push('{');
        let mut is_first = true;
        for (name, value) in &entries {
            let Some(keyword) = keyword(name).filter(|_| !is_reference || name.starts_with('$')) else {
                self.has_changed = true;
                continue;
            };
            self.name(name, &mut is_first);
            match keyword {
                Keyword::Plain => self.out.push_str(value.get()),
                // This keyword may also be a boolean.
                Keyword::Schema if name == "additionalProperties" && !value.get().starts_with('{') => {
                    self.out.push_str(value.get());
                }
                Keyword::Schema => self.schema(value, depth + 1),
                Keyword::Schemas => self.schemas(value, depth + 1),
                Keyword::NamedSchemas => self.named_schemas(value, depth + 1),
            }
        }
        self.out.push('}');
    }

    /// The entries, merged with those of all schemas in `allOf`, in keywords that Google knows if there are any.
    /// Properties, definitions and requirements are joined; of every other keyword the first one counts.
    fn rewrite<'a>(&mut self, entries: Entries<'a>) -> Vec<(Cow<'a, str>, Cow<'a, RawValue>)> {
        let mut flat = Vec::new();
        flatten(entries, 0, &mut flat);
        let mut rewritten: Vec<(Cow<'a, str>, Cow<'a, RawValue>)> = Vec::new();
        let mut positions: HashMap<Cow<'a, str>, usize> = HashMap::new();
        let mut more: HashMap<usize, Vec<&'a str>> = HashMap::new();
        let has_enum = flat.iter().any(|(name, _)| name == "enum");
        for (name, value) in flat {
            let text = value.get();
            let (name, value) = match &*name {
                "allOf" => {
                    self.has_changed = true;
                    continue;
                }
                "$ref" => (name, self.reference(value)),
                "definitions" => (self.renamed("$defs"), Cow::Borrowed(value)),
                "const" if !has_enum => (self.renamed("enum"), owned(format!("[{text}]"), value)),
                // A slightly looser bound is better than none.
                "exclusiveMinimum" if is_number(text) => (self.renamed("minimum"), Cow::Borrowed(value)),
                "exclusiveMaximum" if is_number(text) => (self.renamed("maximum"), Cow::Borrowed(value)),
                "items" if text.starts_with('[') => (self.renamed("prefixItems"), Cow::Borrowed(value)),
                _ => (name, Cow::Borrowed(value)),
            };
            match positions.get(&name) {
                None => {
                    positions.insert(name.clone(), rewritten.len());
                    rewritten.push((name, value));
                }
                Some(&position) => {
                    self.has_changed = true;
                    if matches!(&*name, "properties" | "required" | "$defs") {
                        more.entry(position).or_default().push(text);
                    }
                }
            }
        }
        for (position, more) in more {
            if let Some((_, known)) = rewritten.get_mut(position)
                && let Some(whole) = join(known.get(), &more)
            {
                *known = Cow::Owned(whole);
            }
        }
        rewritten
    }

    fn renamed<'a>(&mut self, name: &'static str) -> Cow<'a, str> {
        self.has_changed = true;
        Cow::Borrowed(name)
    }

    fn reference<'a>(&mut self, value: &'a RawValue) -> Cow<'a, RawValue> {
        let target: String = serde_json::from_str(value.get()).unwrap_or_default();
        if !target.contains("#/definitions/") {
            return Cow::Borrowed(value);
        }
        self.has_changed = true;
        let target = target.replace("#/definitions/", "#/$defs/");
        owned(String::from_utf8_lossy(&json::to_vec(&target)).into_owned(), value)
    }

    fn schemas(&mut self, list: &RawValue, depth: usize) {
        let Ok(schemas) = serde_json::from_str::<Vec<&RawValue>>(list.get()) else {
            self.out.push_str(list.get());
            return;
        };
        self.out.push('[');
        for (index, schema) in schemas.into_iter().enumerate() {
            self.out.push_str(if index == 0 { "" } else { "," });
            self.schema(schema, depth);
        }
        self.out.push(']');
    }

    fn named_schemas(&mut self, object: &RawValue, depth: usize) {
        let Some(entries) = json::entries(object) else {
            self.out.push_str(object.get());
            return;
        };
        self.out.push('{');
        let mut is_first = true;
        for (name, schema) in entries {
            self.name(&name, &mut is_first);
            self.schema(schema, depth);
        }
        self.out.push('}');
    }

    fn name(&mut self, name: &str, is_first: &mut bool) {
        self.out.push_str(if std::mem::take(is_first) { "" } else { "," });
        self.out.push_str(&String::from_utf8_lossy(&json::to_vec(&name)));
        self.out.push(':');
    }
}

/// The entries of a schema and of all schemas in its `allOf`, its own first.
fn flatten<'a>(entries: Entries<'a>, depth: usize, flat: &mut Entries<'a>) {
    let mut parts = Vec::new();
    for (name, value) in entries {
        if name == "allOf" && depth < MAX_DEPTH {
            parts.extend(serde_json::from_str::<Vec<&'a RawValue>>(value.get()).unwrap_or_default());
        }
        flat.push((name, value));
    }
    for part in parts.into_iter().filter_map(json::entries) {
        flatten(part, depth + 1, flat);
    }
}

/// Whether a bound is a number: in older schemas an exclusive bound is a boolean.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
}

/// `text` as JSON, or `instead` if it is not JSON.
fn owned(text: String, instead: &RawValue) -> Cow<'_, RawValue> {
    RawValue::from_string(text).map_or(Cow::Borrowed(instead), Cow::Owned)
}

/// Joins JSON objects, or arrays without their duplicates, into one.
fn join(first: &str, more: &[&str]) -> Option<Box<RawValue>> {
    let all = std::iter::once(&first).chain(more);
    if first.starts_with('[') {
        let mut seen = HashSet::new();
        let items = all.filter_map(|text| serde_json::from_str::<Vec<&RawValue>>(text).ok()).flatten();
        let items: Vec<&str> = items.map(RawValue::get).filter(|item| seen.insert(*item)).collect();
        return RawValue::from_string(format!("[{}]", items.join(","))).ok();
    }
    let inner = |text: &&'_ str| {
        let text = text.get(1..text.len().checked_sub(1)?)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let fields: Vec<String> = all.filter_map(inner).collect();
    RawValue::from_string(format!("{{{}}}", fields.join(","))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(schema: &str) -> String {
        clean(&Json::parse(schema).expect("JSON")).get().to_owned()
    }

    #[test]
    fn what_google_knows_stays_byte_for_byte() {
        let schemas = [
            r#"{ "type" : "object", "properties": {"n": {"type":["integer","null"],"minimum":9007199254740993}},
               "required":["n"], "additionalProperties": false }"#,
            r##"{"$ref":"#/$defs/A","$defs":{"A":{"enum":[1.0,"é\u00e9"]}}}"##,
            r#"{"anyOf":[{"type":"string"},{"type":"array","items":{},"prefixItems":[{"title":"t"}]}]}"#,
            r#"{"properties":{"const":{"type":"string"},"allOf":{"type":"number"}}}"#,
            "{}",
            "7",
        ];
        for schema in schemas {
            assert_eq!(cleaned(schema), schema);
        }
    }

    #[test]
    fn what_google_does_not_know_is_rewritten_or_left_out() {
        let cases = [
            (
                r#"{"$schema":"x","type":"string","pattern":"^a","minLength":1,"default":""}"#,
                r#"{"type":"string"}"#,
            ),
            (r#"{"const":12345678901234567890}"#, r#"{"enum":[12345678901234567890]}"#),
            (r#"{"const":"a","enum":["a"]}"#, r#"{"enum":["a"]}"#),
            (
                r##"{"properties":{"a":{"$ref":"#/definitions/A","description":"d"}},"definitions":{"A":{"const":1}}}"##,
                r##"{"properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"enum":[1]}}}"##,
            ),
            (r#"{"items":[{"type":"string"},true]}"#, r#"{"prefixItems":[{"type":"string"},{}]}"#),
            (
                r#"{"type":"object","properties":{"a":{}},"allOf":[{"properties":{"b":{"not":{}}},"required":["b"]},{"required":[ "c" ]}]}"#,
                r#"{"type":"object","properties":{"a":{},"b":{}},"required":["b","c"]}"#,
            ),
            (
                r##"{"properties":{"c":{"allOf":[{"$ref":"#/$defs/C"}],"description":"d"}},"$defs":{"C":{}}}"##,
                r##"{"properties":{"c":{"$ref":"#/$defs/C"}},"$defs":{"C":{}}}"##,
            ),
            (r##"{"allOf":[{"$ref":"#\/definitions\/C"}]}"##, r##"{"$ref":"#/$defs/C"}"##),
            (
                r#"{"allOf":[{"allOf":[{"properties":{"a":{}},"required":["a"]}]},{"const":5,"required":["a"]}]}"#,
                r#"{"properties":{"a":{}},"required":["a"],"enum":[5]}"#,
            ),
            (r#"{"definitions":{"A":{}},"$defs":{"B":{}}}"#, r#"{"$defs":{"A":{},"B":{}}}"#),
            (
                r#"{"exclusiveMinimum":1.50,"exclusiveMaximum":true,"maximum":9}"#,
                r#"{"minimum":1.50,"maximum":9}"#,
            ),
            (r#"{"items":true}"#, r#"{"items":{}}"#),
            (r#"{"additionalProperties":{"minLength":1}}"#, r#"{"additionalProperties":{}}"#),
            (r#"{"anyOf":[{"not":{}}]}"#, r#"{"anyOf":[{}]}"#),
        ];
        for (schema, expected) in cases {
            assert_eq!(cleaned(schema), expected);
        }
    }

    #[test]
    fn a_bottomless_schema_is_survived() {
        let schema = format!("{}{}", "{\"items\":".repeat(50_000), "0".to_owned() + &"}".repeat(50_000));
        assert_eq!(cleaned(&schema), schema);
    }
}
