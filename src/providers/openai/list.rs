//! Lists of models, in every form that providers of OpenAI's dialect have.
//!
//! Sources, checked 2026-11: <https://openrouter.ai/docs/api-reference/models> (prices are decimal texts; the Kilo gateway
//! adds `isFree`); <https://developers.cloudflare.com/api/resources/ai/subresources/models/methods/list/> (names and
//! properties).

use serde_json::Value;

use super::decode;
use super::quirks::ListForm;

/// Reads a list of models; see [`Provider::parse_models`](crate::providers::Provider::parse_models).
pub(in crate::providers) fn parse_models(form: ListForm, body: &[u8]) -> Option<Vec<String>> {
    match form {
        ListForm::OpenAi => decode::parse_models(body),
        ListForm::Priced => named(body, "data", "id", is_free_chat),
        ListForm::Search => named(body, "result", "name", |_| true),
        ListForm::None => None,
    }
}

/// The names of the entries that are `wanted`.
fn named(body: &[u8], list: &str, name: &str, wanted: fn(&Value) -> bool) -> Option<Vec<String>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let entries = body.get(list)?.as_array()?.iter().filter(|entry| wanted(entry));
    Some(entries.filter_map(|entry| entry.get(name)?.as_str()).map(str::to_owned).collect())
}

/// Whether an entry costs nothing at all and writes text.
fn is_free_chat(entry: &Value) -> bool {
    let prices = entry.get("pricing").and_then(Value::as_object);
    let costs_nothing = prices.is_some_and(|prices| !prices.is_empty() && prices.values().all(is_zero));
    let is_called_free = entry.get("isFree").is_none_or(|it| it == &Value::Bool(true));
    let written = entry.pointer("/architecture/output_modalities").and_then(Value::as_array);
    costs_nothing && is_called_free && written.is_none_or(|forms| forms.iter().any(|form| form == "text"))
}

/// Whether a price is exactly nothing. Nested ones, such as those for long prompts, count too.
fn is_zero(price: &Value) -> bool {
    match price {
        Value::String(text) => text.trim().parse::<f64>().is_ok_and(|price| price == 0.0),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(prices) => prices.iter().all(is_zero),
        Value::Object(prices) => prices.values().all(is_zero),
        Value::Null => true,
        Value::Bool(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_costs_nothing_at_all_is_on_a_list_with_prices() {
        let cases = [
            (r#"{"pricing":{"prompt":"0","completion":"0"}}"#, true),
            (r#"{"pricing":{"prompt":"0","completion":"0.00","image":0,"overrides":[]}}"#, true),
            (r#"{"pricing":{"prompt":"0","completion":"0"},"isFree":true}"#, true),
            (r#"{"pricing":{"prompt":"0","completion":"0"},"isFree":false}"#, false),
            (r#"{"pricing":{"prompt":"0","completion":"0"},"isFree":"yes"}"#, false),
            (r#"{"pricing":{"prompt":"0","completion":"0.0000002"}}"#, false),
            (r#"{"pricing":{"prompt":"-1","completion":"-1"}}"#, false),
            (r#"{"pricing":{"prompt":"0","completion":"0","request":"0.01"}}"#, false),
            (r#"{"pricing":{"prompt":"0","completion":"0","overrides":[{"prompt":"1"}]}}"#, false),
            (r#"{"pricing":{"prompt":"free"}}"#, false),
            (r#"{"pricing":{}}"#, false),
            (r#"{"pricing":"0"}"#, false),
            ("{}", false),
            (r#"{"pricing":{"prompt":"0"},"architecture":{"output_modalities":["image","text"]}}"#, true),
            (r#"{"pricing":{"prompt":"0"},"architecture":{"output_modalities":["image"]}}"#, false),
        ];
        for (entry, is_free) in cases {
            let mut entry: Value = serde_json::from_str(entry).unwrap();
            entry["id"] = "m".into();
            let list = serde_json::json!({ "data": [entry] }).to_string();
            let expected = if is_free { vec!["m".to_owned()] } else { Vec::new() };
            assert_eq!(parse_models(ListForm::Priced, list.as_bytes()), Some(expected), "{list}");
        }
    }
}
