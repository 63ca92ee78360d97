//! Lists of models, in every form that providers of OpenAI's dialect have.
//!
//! Sources, checked 2026-11: <https://openrouter.ai/docs/api-reference/models> (prices are decimal texts; the Kilo gateway
//! adds `isFree`); <https://developers.cloudflare.com/api/resources/ai/subresources/models/methods/list/> (names and
//! properties).

use serde_json::Value;

use super::decode;
use super::quirks::ListForm;
use crate::providers::listed::{Listed, ModelList, Said};

/// Reads a list of models; see [`Provider::read_list`](crate::providers::Provider::read_list).
pub(in crate::providers) fn read_list(form: ListForm, body: &[u8]) -> Option<ModelList> {
    match form {
        ListForm::OpenAi => Some(ModelList::of_ids(decode::parse_models(body)?)),
        ListForm::Priced => priced(body),
        ListForm::Search => Some(ModelList::of_ids(named(body, "result", "name")?)),
        ListForm::None => None,
    }
}

/// The names of the entries.
fn named(body: &[u8], list: &str, name: &str) -> Option<Vec<String>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let entries = body.get(list)?.as_array()?.iter();
    Some(entries.filter_map(|entry| entry.get(name)?.as_str()).map(str::to_owned).collect())
}

/// A list with prices, and with what each model can do.
fn priced(body: &[u8]) -> Option<ModelList> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let mut list = ModelList::default();
    for entry in body.get("data")?.as_array()? {
        let Some(id) = entry.get("id").and_then(Value::as_str) else { continue };
        if !writes_text(entry) {
            continue;
        }
        if is_free(entry) {
            list.free.push(Listed { id: id.to_owned(), says: said(entry) });
        } else {
            list.paid.push(id.to_owned());
        }
    }
    Some(list)
}

/// What an entry says that its model can do.
fn said(entry: &Value) -> Said {
    let number = |path: &str| entry.pointer(path).and_then(Value::as_u64).filter(|number| *number > 0);
    let has = |path: &str, word: &str| {
        let words = entry.pointer(path).and_then(Value::as_array)?;
        Some(words.iter().any(|it| it == word))
    };
    let takes = |word| has("/supported_parameters", word);
    Said {
        window: number("/context_length"),
        max_output: number("/top_provider/max_completion_tokens").and_then(|most| most.try_into().ok()),
        images: has("/architecture/input_modalities", "image"),
        tools: takes("tools"),
        forced_calls: takes("tool_choice"),
        json: takes("response_format"),
        schema: takes("structured_outputs"),
        efforts: takes("reasoning"),
    }
}

/// Whether an entry costs nothing at all.
fn is_free(entry: &Value) -> bool {
    let prices = entry.get("pricing").and_then(Value::as_object);
    let costs_nothing = prices.is_some_and(|prices| !prices.is_empty() && prices.values().all(is_zero));
    costs_nothing && entry.get("isFree").is_none_or(|it| it == &Value::Bool(true))
}

fn writes_text(entry: &Value) -> bool {
    let written = entry.pointer("/architecture/output_modalities").and_then(Value::as_array);
    written.is_none_or(|forms| forms.iter().any(|form| form == "text"))
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
            let read = read_list(ListForm::Priced, list.as_bytes()).expect("a list");
            assert_eq!(read.free.len(), usize::from(is_free), "{list}");
        }
    }

    #[test]
    fn what_a_list_says_is_read_and_what_it_does_not_say_is_not_made_up() {
        let entry = serde_json::json!({"id": "m:free", "pricing": {"prompt": "0"}, "context_length": 4096,
            "architecture": {"input_modalities": ["text", "image"]}, "top_provider": {"max_completion_tokens": null},
            "supported_parameters": ["tools", "response_format"]});
        let expected = Said {
            window: Some(4_096),
            max_output: None,
            images: Some(true),
            tools: Some(true),
            forced_calls: Some(false),
            json: Some(true),
            schema: Some(false),
            efforts: Some(false),
        };
        assert_eq!(said(&entry), expected);
        let odd = serde_json::json!({"context_length": "4096", "architecture": 7, "top_provider": [],
            "supported_parameters": {"tools": true}});
        assert_eq!(said(&odd), Said::default());
        let absurd =
            serde_json::json!({"context_length": 0, "top_provider": {"max_completion_tokens": u64::MAX}});
        assert_eq!(said(&absurd), Said::default());
    }
}
