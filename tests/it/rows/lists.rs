//! What a provider's list says of its models beside their names: it counts more than the row.

use ai_proxy_free::internals::providers::Provider;
use serde_json::{Value, json};

use super::{alone, asked_for, raw, row};
use crate::support::{TestProxy, complete, http_client};

const SMALL: &str = "google/gemma-4-31b-it:free";
const LARGE: &str = "google/gemma-4-26b-a4b-it:free";
const UNKNOWN: &str = "someone/new-1:free";

/// OpenRouter, whose list says that the first model can little, and the second much.
async fn with_list() -> anyhow::Result<(Provider, TestProxy)> {
    let openrouter = row("OpenRouter");
    let models = format!("{SMALL},{LARGE},{UNKNOWN}");
    let proxy = alone(openrouter).with("OPENROUTER_MODEL", models).start().await?;
    let entry = |id: &str, window: u64, inputs: &[&str], takes: &[&str]| {
        json!({"id": id, "pricing": {"prompt": "0", "completion": "0"}, "context_length": window,
            "architecture": {"input_modalities": inputs, "output_modalities": ["text"]},
            "top_provider": {"max_completion_tokens": 1_000}, "supported_parameters": takes})
    };
    let all = ["tools", "tool_choice", "response_format", "structured_outputs", "reasoning"];
    let list = json!({"data": [
        entry(SMALL, 2_000, &["text"], &["temperature"]),
        entry(LARGE, 50_000, &["text", "image"], &all),
    ]});
    proxy.provider(openrouter).list_always(raw(200, &[], list.to_string().into_bytes()));
    Ok((openrouter, proxy))
}

/// A question with more in it.
fn asking(more: &Value) -> Value {
    let mut body = json!({"model": "openrouter", "messages": [{"role": "user", "content": "Hola"}]});
    for (name, value) in more.as_object().expect("fields") {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn a_list_says_what_a_model_can_and_no_call_finds_out() -> anyhow::Result<()> {
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]);
    let tool = json!([{"type": "function", "function": {"name": "now"}}]);
    let schema = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}});
    for (case, more) in [
        ("tools", json!({ "tools": tool })),
        ("images", json!({"messages": [{"role": "user", "content": image}]})),
        ("json", json!({"response_format": {"type": "json_object"}})),
        ("schema", json!({ "response_format": schema })),
        ("window", json!({"messages": [{"role": "user", "content": "word ".repeat(5_000)}]})),
    ] {
        let (openrouter, proxy) = with_list().await?;
        // By the row the first model can most of this.
        assert_eq!(complete(&proxy, &asking(&json!({}))).await?.header("x-model"), Some(SMALL), "{case}");
        proxy.read_models().await;
        let reply = complete(&proxy, &asking(&more)).await?;
        assert_eq!((reply.status, reply.header("x-model")), (200, Some(LARGE)), "{case}: {}", reply.text());
        assert_eq!(asked_for(&proxy, openrouter), [SMALL, LARGE], "{case}");
    }
    Ok(())
}

/// It is told to clients, too, and no longer answer is asked for than the list allows.
#[tokio::test]
async fn what_a_list_says_is_told_and_kept_to() -> anyhow::Result<()> {
    let (openrouter, proxy) = with_list().await?;
    proxy.read_models().await;
    let shown: Value =
        http_client()?.get(proxy.url(&format!("/v1/models/openrouter/{SMALL}"))).send().await?.json().await?;
    assert_eq!(shown["context_window"], 2_000, "{shown}");
    assert_eq!(
        (&shown["capabilities"]["tools"], &shown["capabilities"]["images"]),
        (&json!(false), &json!(false))
    );
    let reply = complete(&proxy, &asking(&json!({"max_tokens": 20_000}))).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let call = proxy.provider(openrouter).chats().pop().expect("a call").json();
    assert!(call["max_tokens"].as_u64().is_some_and(|most| most <= 1_000), "{call}");
    Ok(())
}

/// Of a model with a price clients are told just that, even without its provider's name.
#[tokio::test]
async fn a_bare_name_that_only_a_price_list_has_is_said_to_cost_money() -> anyhow::Result<()> {
    let openrouter = row("OpenRouter");
    let proxy = alone(openrouter).start().await?;
    let entry = |id: &str, price: &str| json!({"id": id, "pricing": {"prompt": price, "completion": price}});
    let list = json!({"data": [entry(SMALL, "0"), entry("gpt-5-mini", "0.0000001")]});
    proxy.provider(openrouter).list_always(raw(200, &[], list.to_string().into_bytes()));
    proxy.read_models().await;
    for (model, words) in [("gpt-5-mini", "costs money"), ("gpt-5-midi", "does not exist")] {
        let body = asking(&json!({ "model": model }));
        let reply = complete(&proxy, &body).await?;
        assert_eq!(
            (reply.status, &reply.json()["error"]["code"]),
            (404, &json!("model_not_found")),
            "{model}"
        );
        assert!(reply.text().contains(words), "{model}: {}", reply.text());
    }
    assert_eq!(proxy.provider(openrouter).chats().len(), 0);
    Ok(())
}
