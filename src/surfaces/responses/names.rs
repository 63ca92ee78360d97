//! Tools that providers do not know as such, and the names under which they are offered as functions.
//!
//! A tool in a namespace has the name of both; a tool that takes a text instead of JSON is a function with one string. In
//! the answer each is called as its client knows it.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use crate::wire::json;

/// A tool as its client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    /// Whether it takes a text.
    pub(super) is_custom: bool,
}

/// The tools of a request by the names under which they are offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origins(HashMap<String, Origin>);

impl Origins {
    pub(super) fn add(&mut self, flat: String, origin: Origin) {
        self.0.insert(flat, origin);
    }

    /// The tool that the model means by `called`: the name under which it was offered, or without its namespace, if only one
    /// tool is called so.
    pub(super) fn of(&self, called: &str) -> Origin {
        let alone = || {
            let mut others = self.0.values().filter(|origin| origin.name == called);
            others.next().filter(|_| others.next().is_none())
        };
        let known = self.0.get(called).or_else(alone);
        known.cloned().unwrap_or_else(|| Origin {
            namespace: None,
            name: called.to_owned(),
            is_custom: false,
        })
    }

    /// The name under which the tool of this name is offered, if there is one.
    pub(super) fn offered(&self, namespace: Option<&str>, name: &str) -> Option<String> {
        let flat = flat(namespace, name);
        if self.0.contains_key(&flat) {
            return Some(flat);
        }
        let mut others = self.0.iter().filter(|(_, origin)| namespace.is_none() && origin.name == name);
        let (flat, _) = others.next()?;
        others.next().is_none().then(|| flat.clone())
    }
}

/// The name under which a tool is offered.
pub(super) fn flat(namespace: Option<&str>, name: &str) -> String {
    match namespace.filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{namespace}__{name}"),
        None => name.to_owned(),
    }
}

/// The JSON Schema of a tool that takes a text.
pub(super) const TEXT_SCHEMA: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

#[derive(Serialize)]
struct Input<'a> {
    input: &'a str,
}

/// A text as the arguments of a function.
pub(super) fn arguments_of(text: &str) -> String {
    String::from_utf8(json::to_vec(&Input { input: text })).unwrap_or_default()
}

/// The text in the arguments of a function. Some models write the bare text, or give the one argument another name; others
/// add arguments that the tool does not have, and nobody could be given those.
pub(super) fn text_in(arguments: &str) -> String {
    let said = match serde_json::from_str(arguments) {
        Ok(Value::String(text)) => Some(text),
        Ok(Value::Object(mut said)) => {
            let only =
                Some(&said).filter(|said| said.len() == 1).and_then(|said| said.keys().next().cloned());
            let text = said.remove("input").or_else(|| said.remove(&only?));
            text.and_then(|text| if let Value::String(text) = text { Some(text) } else { None })
        }
        _ => None,
    };
    said.unwrap_or_else(|| arguments.to_owned())
}
