//! Fields of Google's JSON: each has two spellings, `camelCase` and `snake_case`, and null is the same as none.

use serde_json::Value;

use super::refusals::{Refused, invalid_value, unknown_name};

/// The value of a field, given in `camelCase`; null if there is none.
pub(super) fn field<'v>(object: &'v Value, name: &str) -> &'v Value {
    object.get(name).or_else(|| object.get(snake(name))).unwrap_or(&Value::Null)
}

/// The items of a repeated field.
pub(super) fn items<'v>(object: &'v Value, name: &str) -> &'v [Value] {
    field(object, name).as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Checks that `object`, at `path`, is an object and has none but `known` fields.
pub(super) fn check_known(object: &Value, known: &[&str], path: &str) -> Result<(), Refused> {
    let fields = match object {
        Value::Null => return Ok(()),
        Value::Object(fields) => fields,
        _ => return Err(invalid_value(path, "message", object)),
    };
    let is_known = |name: &str| known.iter().any(|known| name == *known || name == snake(known));
    match fields.keys().find(|name| !is_known(name)) {
        Some(name) => Err(unknown_name(name, path)),
        None => Ok(()),
    }
}

/// `functionCall` as `function_call`.
pub(super) fn snake(camel: &str) -> String {
    let mut snake = String::new();
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
