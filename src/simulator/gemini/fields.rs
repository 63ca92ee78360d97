//! Fields of Google's JSON: each has two spellings, `camelCase` and `snake_case`, and null counts as absent.

use serde_json::Value;

use super::refusals::{Refused, invalid_value, unknown_name};

/// The value of a field whose name is given in `camelCase`, or null if there is none.
pub(super) fn field<'v>(object: &'v Value, name: &str) -> &'v Value {
    let Some(fields) = object.as_object() else {
        return &Value::Null;
    };
    let in_snake_case = || fields.iter().find(|(key, _)| is_snake(key, name)).map(|(_, value)| value);
    fields.get(name).or_else(in_snake_case).unwrap_or(&Value::Null)
}

/// The items of a repeated field.
pub(super) fn items<'v>(object: &'v Value, name: &str) -> &'v [Value] {
    field(object, name).as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Checks that `object`, at `path`, is an object that has only `known` fields.
pub(super) fn check_known(object: &Value, known: &[&str], path: &str) -> Result<(), Refused> {
    let fields = match object {
        Value::Null => return Ok(()),
        Value::Object(fields) => fields,
        _ => return Err(invalid_value(path, "message", object)),
    };
    let is_known = |name: &str| known.iter().any(|known| name == *known || is_snake(name, known));
    match fields.keys().find(|name| !is_known(name)) {
        Some(name) => Err(unknown_name(name, path)),
        None => Ok(()),
    }
}

/// Whether `key` is `camel` in the other spelling: `function_call` for `functionCall`.
fn is_snake(key: &str, camel: &str) -> bool {
    let mut key = key.bytes();
    let follows = |byte: u8| {
        let begins_word = byte.is_ascii_uppercase();
        (!begins_word || key.next() == Some(b'_')) && key.next() == Some(byte.to_ascii_lowercase())
    };
    camel.bytes().all(follows) && key.next().is_none()
}
