//! What clients ask besides answers: counts of tokens, and the models.

use ai_proxy_free::internals::providers::Provider;
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::{HEADERS, ignored, message, question, request, sent, with};
use crate::support::{Reply, TestProxy, ask_at, http_client, within_patience};

async fn count(proxy: &TestProxy, body: &Value) -> anyhow::Result<u64> {
    let reply = ask_at(proxy, "/v1/messages/count_tokens?beta=true", body, &HEADERS).await?;
    anyhow::ensure!(reply.status == 200, "{}", reply.text());
    Ok(reply.json()["input_tokens"].as_u64().expect("a number"))
}

#[tokio::test]
async fn n38_tokens_are_counted_with_instructions_and_tools_and_without_a_call() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(100);
    let plain = json!({"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": "Hola"}]});
    let least = count(&proxy, &plain).await?;
    assert!((1..20).contains(&least), "{least}");
    let system = count(&proxy, &with(plain.clone(), json!({"system": long}))).await?;
    assert!((900..1_400).contains(&(system - least)), "{system}");
    let tool = json!({"name": "look", "description": long, "input_schema": {"type": "object"}});
    let tools = count(&proxy, &with(plain.clone(), json!({"tools": [tool]}))).await?;
    assert!((900..1_400).contains(&(tools - least)), "{tools}");

    let at_once = try_join_all((0..40).map(|_| count(&proxy, &plain))).await?;
    assert!(at_once.iter().all(|tokens| *tokens == least));
    assert_eq!(proxy.upstream_calls(), 0);

    let reply = ask_at(&proxy, "/v1/messages/count_tokens", &json!({"model": "auto"}), &HEADERS).await?;
    assert_eq!((reply.status, reply.json()["error"]["type"].as_str()), (400, Some("invalid_request_error")));
    Ok(())
}

async fn get(proxy: &TestProxy, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<(u16, Value)> {
    let mut request = http_client()?.get(proxy.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = within_patience("a list", request.send()).await?;
    let status = response.status().as_u16();
    Ok((status, serde_json::from_slice(&response.bytes().await?)?))
}

#[tokio::test]
async fn n39_models_are_listed_by_names_that_anthropics_clients_show_and_may_send() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let (status, list) = get(&proxy, "/v1/models?limit=1000", &HEADERS).await?;
    assert_eq!((status, &list["has_more"]), (200, &json!(false)));
    let models = list["data"].as_array().expect("models");
    let ids: Vec<&str> = models.iter().map(|model| model["id"].as_str().expect("an id")).collect();
    assert_eq!(
        (list["first_id"].as_str(), list["last_id"].as_str()),
        (ids.first().copied(), ids.last().copied())
    );
    assert!(ids.iter().all(|id| id.starts_with("anthropic/")), "{ids:?}");
    assert!(
        ids.contains(&"anthropic/auto") && ids.contains(&"anthropic/groq/openai/gpt-oss-120b"),
        "{ids:?}"
    );
    for (model, id) in models.iter().zip(&ids) {
        assert_eq!((&model["type"], &model["lifecycle"]), (&json!("model"), &json!("active")));
        assert!(
            model["max_input_tokens"].as_u64() > Some(1_000) && model["created_at"].is_string(),
            "{model}"
        );
        let (status, shown) = get(&proxy, &format!("/v1/models/{id}"), &HEADERS).await?;
        assert_eq!((status, &shown), (200, model));
        assert_eq!(message(&proxy, &question(id)).await?.status, 200, "{id} may be sent");
    }
    let (_, plain) = get(&proxy, "/v1/models", &[]).await?;
    assert_eq!(
        (&plain["object"], &plain["data"][0]["id"]),
        (&json!("list"), &json!("auto")),
        "OpenAI's clients see theirs"
    );
    let (status, unknown) = get(&proxy, "/v1/models/nothing", &HEADERS).await?;
    assert_eq!((status, &unknown["error"]["type"]), (404, &json!("not_found_error")));
    Ok(())
}

fn answered(reply: &Reply) -> (u16, &str) {
    (reply.status, reply.header("x-provider").unwrap_or_default())
}

#[tokio::test]
async fn names_of_anthropics_models_mean_everybody_and_ours_mean_what_they_say() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().core().with("MODEL_ALIASES", "claude-*haiku*=cerebras").start().await?;
    for name in ["claude-opus-5-5", "claude-sonnet-5-5[1m]", "anthropic/claude-fable-5"] {
        let reply = message(&proxy, &question(name)).await?;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        assert!(ignored(&reply).contains(&"model"), "{name}: {:?}", ignored(&reply));
    }
    for name in ["gemini", "anthropic/gemini", "claude-gemini"] {
        let reply = message(&proxy, &question(name)).await?;
        assert_eq!(answered(&reply), (200, "Gemini"), "{name}");
        assert_eq!(reply.header("x-ignored-fields"), None);
    }
    assert_eq!(answered(&message(&proxy, &question("claude-haiku-5-5")).await?), (200, "Cerebras"));
    let reply = message(&proxy, &question("llama-99")).await?;
    assert_eq!((reply.status, reply.json()["error"]["type"].as_str()), (404, Some("not_found_error")));
    Ok(())
}

/// A bare id of ours is what the client would like, not what it must have.
#[tokio::test]
async fn n41_a_model_that_cannot_serve_is_replaced_by_another() -> anyhow::Result<()> {
    use ai_proxy_free::internals::simulator::{Behaviour, Trouble};
    let proxy = TestProxy::core().await?;
    let reply = message(&proxy, &question("gemini-3.8-flash")).await?;
    assert_eq!((answered(&reply), reply.header("x-model")), ((200, "Gemini"), Some("gemini-3.8-flash")));
    assert!(sent(&proxy, Provider::GEMINI)["contents"].is_array());
    proxy.provider(Provider::GEMINI).always(Behaviour::trouble(Trouble::QuotaExhausted(40_000.0)));
    let reply = message(&proxy, &question("gemini-3.8-flash")).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_ne!(reply.header("x-provider"), Some("Gemini"));
    Ok(())
}

/// Every answer says its id in the header that the SDKs read.
#[tokio::test]
async fn the_id_of_a_request_stands_where_anthropics_sdks_look_for_it() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let good = message(&proxy, &question("auto")).await?;
    let bad = message(&proxy, &request("auto", json!([]))).await?;
    for reply in [&good, &bad] {
        assert_eq!(reply.header("request-id"), reply.header("x-request-id"));
        assert!(reply.header("request-id").is_some());
    }
    assert_eq!(bad.json()["request_id"].as_str(), bad.header("request-id"));
    Ok(())
}
