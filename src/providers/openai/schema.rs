//! Schemas of tools without the keywords that a provider refuses.

use std::borrow::Cow;

use serde_json::Value;

use crate::middle::Json;

/// `schema` without these keywords at any depth. A property that is called like one of them stays. The client's own bytes
/// are kept where nothing need be taken out.
pub(super) fn without<'s>(schema: &'s Json, keywords: &[&str]) -> Cow<'s, Json> {
    let mentions = |keyword: &&str| schema.get().contains(&format!("\"{keyword}\""));
    if !keywords.iter().any(mentions) {
        return Cow::Borrowed(schema);
    }
    let cleaned = serde_json::from_str(schema.get()).ok().and_then(|mut value: Value| {
        clean(&mut value, keywords, Position::Schema);
        Json::parse(value.to_string()).ok()
    });
    cleaned.map_or(Cow::Borrowed(schema), Cow::Owned)
}

/// What a value is within a schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// A schema, whose names are keywords.
    Schema,
    /// Schemas by the names of somebody else's choice.
    Named,
    /// Data, such as a default.
    Data,
}

fn clean(value: &mut Value, keywords: &[&str], position: Position) {
    if position == Position::Data {
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, keywords, position)),
        Value::Object(entries) => {
            if position == Position::Schema {
                entries.retain(|name, _| !keywords.contains(&name.as_str()));
            }
            for (name, entry) in entries {
                clean(entry, keywords, position.below(name));
            }
        }
        _ => {}
    }
}

impl Position {
    /// What stands under `name`.
    fn below(self, name: &str) -> Self {
        match (self, name) {
            (Self::Named, _) => Self::Schema,
            (_, "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas") => {
                Self::Named
            }
            (_, "default" | "const" | "enum" | "examples" | "required") => Self::Data,
            (position, _) => position,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_go_and_properties_of_the_same_name_stay() {
        let keywords = ["additionalProperties", "$schema"];
        let cases = [
            (r#"{"type":"object"}"#, r#"{"type":"object"}"#),
            (r#"{"$schema":"x","type":"object","additionalProperties":false}"#, r#"{"type":"object"}"#),
            (
                r#"{"properties":{"additionalProperties":{"additionalProperties":false,"type":"object"}}}"#,
                r#"{"properties":{"additionalProperties":{"type":"object"}}}"#,
            ),
            (
                r#"{"anyOf":[{"items":{"additionalProperties":true}}],"default":{"$schema":1}}"#,
                r#"{"anyOf":[{"items":{}}],"default":{"$schema":1}}"#,
            ),
            (r#"{"maximum":9007199254740993}"#, r#"{"maximum":9007199254740993}"#),
            (r#""additionalProperties""#, r#""additionalProperties""#),
        ];
        for (schema, expected) in cases {
            let schema = Json::parse(schema).unwrap();
            let cleaned: Value = serde_json::from_str(without(&schema, &keywords).get()).unwrap();
            assert_eq!(cleaned, serde_json::from_str::<Value>(expected).unwrap(), "{}", schema.get());
        }
    }
}
