//! JSON Schema as Google takes it: fewer keywords, and an unknown one is a 400.
//!
//! Works on JSON text and rewrites only what it must: numbers, enums and descriptions keep their bytes, and a schema with
//! nothing to mend stays as it is.
//!
//! Source, checked 2026-11: `parametersJsonSchema` and `responseJsonSchema` in the types of google-genai 3.4.0.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::chat::Json;
use crate::json;

/// Deeper than any sensible schema; what lies below stays as it is.
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

/// `schema` with what Google does not know rewritten where there is a way (`const`, `allOf`, `definitions`, tuples) and
/// left out where there is none.
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

type Entries<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

impl Cleaner {
    fn schema(&mut self, schema: &RawValue, depth: usize) {
        let Some(entries) = entries(schema).filter(|_| depth < MAX_DEPTH) else {
            // `true` and `false` are schemas too, but not here.
            let is_boolean = matches!(schema.get(), "true" | "false");
            self.has_changed |= is_boolean;
            self.out.push_str(if is_boolean { "{}" } else { schema.get() });
            return;
        };
        let entries = self.rewrite(entries);
        self.out.push('{');
        let mut is_first = true;
        for (name, value) in &entries {
            let Some(keyword) = keyword(name) else {
                self.has_changed = true;
                continue;
            };
            self.name(name, &mut is_first);
            match keyword {
                Keyword::Plain => self.out.push_str(value.get()),
                // May also be said with a boolean.
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

    /// The entries in words that Google knows, where there are such words.
    fn rewrite<'a>(&mut self, entries: Entries<'a>) -> Vec<(Cow<'a, str>, Cow<'a, RawValue>)> {
        let is_reference = entries.iter().any(|(name, _)| name == "$ref");
        let has_enum = entries.iter().any(|(name, _)| name == "enum");
        let mut rewritten: Vec<(Cow<'a, str>, Cow<'a, RawValue>)> = Vec::new();
        let mut merged: Vec<&'a RawValue> = Vec::new();
        for (name, value) in entries {
            let text = value.get();
            match &*name {
                // A reference stands alone.
                _ if is_reference && !name.starts_with('$') && name != "definitions" => {
                    self.has_changed = true
                }
                "$ref" if text.contains("#/definitions/") => {
                    self.put(&mut rewritten, name, &text.replace("#/definitions/", "#/$defs/"));
                }
                "definitions" => self.put(&mut rewritten, "$defs".into(), text),
                "const" if !has_enum => self.put(&mut rewritten, "enum".into(), &format!("[{text}]")),
                "items" if text.starts_with('[') => self.put(&mut rewritten, "prefixItems".into(), text),
                "allOf" => {
                    self.has_changed = true;
                    merged = serde_json::from_str(text).unwrap_or_default();
                }
                _ => rewritten.push((name, Cow::Borrowed(value))),
            }
        }
        merge(&mut rewritten, merged);
        rewritten
    }

    fn put<'a>(
        &mut self,
        entries: &mut Vec<(Cow<'a, str>, Cow<'a, RawValue>)>,
        name: Cow<'a, str>,
        text: &str,
    ) {
        self.has_changed = true;
        entries.extend(RawValue::from_string(text.to_owned()).ok().map(|value| (name, Cow::Owned(value))));
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
        let Some(entries) = entries(object) else {
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

/// Adds what stands in all of `schemas`: properties and requirements together, of the rest the first.
fn merge<'a>(into: &mut Vec<(Cow<'a, str>, Cow<'a, RawValue>)>, schemas: Vec<&'a RawValue>) {
    let mut joined = [("properties", Vec::new()), ("required", Vec::new()), ("$defs", Vec::new())];
    for (name, value) in schemas.into_iter().filter_map(entries).flatten() {
        let is_known = into.iter().any(|(known, _)| *known == name);
        match joined.iter_mut().find(|(joinable, _)| *joinable == name) {
            Some((_, more)) if is_known => more.push(value.get()),
            None if is_known => {}
            _ => into.push((name, Cow::Borrowed(value))),
        }
    }
    for (name, more) in joined.into_iter().filter(|(_, more)| !more.is_empty()) {
        if let Some((_, known)) = into.iter_mut().find(|(known, _)| known == name)
            && let Some(whole) = join(known.get(), &more)
        {
            *known = Cow::Owned(whole);
        }
    }
}

/// JSON objects, or arrays, as one.
fn join(first: &str, more: &[&str]) -> Option<Box<RawValue>> {
    let (open, close) = (first.get(..1)?, first.get(first.len().checked_sub(1)?..)?);
    let inner = |text: &&str| text.get(1..text.len().checked_sub(1)?).map(|it| it.trim().to_owned());
    let all: Vec<String> =
        std::iter::once(&first).chain(more).filter_map(inner).filter(|it| !it.is_empty()).collect();
    RawValue::from_string(format!("{open}{}{close}", all.join(","))).ok()
}

/// The entries of an object; none if it is anything else.
fn entries(value: &RawValue) -> Option<Entries<'_>> {
    struct Collector;

    impl<'de> Visitor<'de> for Collector {
        type Value = Entries<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    serde_json::Deserializer::from_str(value.get()).deserialize_map(Collector).ok()
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
