//! What clients ask besides questions: the version, the models, whether anybody is there; keys, names and errors.

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Behaviour, Trouble};
use http::Method;
use serde_json::{Value, json};

use super::{chat, ignored, question, with};
use crate::support::{TestProxy, ask_at, http_client, log};

async fn get(proxy: &TestProxy, path: &str) -> anyhow::Result<Value> {
    Ok(http_client()?.get(proxy.url(path)).send().await?.error_for_status()?.json().await?)
}

#[tokio::test]
async fn n34_the_version_is_one_that_clients_take() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let version = get(&proxy, "/api/version").await?;
    let numbers: Vec<u32> = version["version"]
        .as_str()
        .expect("a version")
        .split('.')
        .map(|it| it.parse().expect("a number"))
        .collect();
    assert!(numbers.len() == 3 && numbers >= vec![0, 6, 4], "{version}");
    assert_eq!(get(&proxy, "/api/ps").await?, json!({"models": []}));
    Ok(())
}

#[tokio::test]
async fn each_model_of_the_list_is_shown_and_answers() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let list = get(&proxy, "/api/tags").await?;
    let models = list["models"].as_array().expect("models");
    assert!(models.iter().any(|it| it["name"] == "auto:latest"), "{list}");
    for model in models {
        let name = model["name"].as_str().expect("a name");
        // Open WebUI looks for a name with a version.
        assert!(name.contains(':') && model["model"] == name && model["details"].is_object(), "{model}");
        let reply = ask_at(&proxy, "/api/show", &json!({"model": name}), &[]).await?;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        let shown = reply.json();
        // Without these VS Code shows no model.
        let can = shown["capabilities"].as_array().expect("capabilities");
        assert!(can.contains(&json!("completion")), "{shown}");
        let architecture = shown["model_info"]["general.architecture"].as_str().expect("an architecture");
        let window = shown["model_info"][format!("{architecture}.context_length")].as_u64();
        assert!(window > Some(1_000), "{shown}");
        assert_eq!(chat(&proxy, &question(name)).await?.status, 200, "{name}");
        // VS Code asks in OpenAI's dialect, and others in Anthropic's, by the names of this list.
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let asked = with(question(name), json!({"max_tokens": 99}));
            assert_eq!(ask_at(&proxy, path, &asked, &[]).await?.status, 200, "{path} {name}");
        }
    }
    let auto = ask_at(&proxy, "/api/show", &json!({"name": "auto"}), &[]).await?.json();
    assert_eq!(auto["capabilities"], json!(["completion", "tools", "vision", "thinking"]));
    let unknown = ask_at(&proxy, "/api/show", &json!({"model": "nobody-9"}), &[]).await?;
    assert_eq!(unknown.status, 404);
    assert!(unknown.error().contains("'nobody-9' does not exist"), "{}", unknown.error());
    Ok(())
}

#[tokio::test]
async fn names_mean_what_they_say_with_and_without_an_ending() -> anyhow::Result<()> {
    let aliases = "llama*=cerebras";
    let proxy = TestProxy::builder().core().with("MODEL_ALIASES", aliases).start().await?;
    let cases = [
        ("groq/openai/gpt-oss-120b", Some("Groq"), false),
        ("groq/openai/gpt-oss-120b:latest", Some("Groq"), false),
        ("groq:latest", Some("Groq"), false),
        ("llama3.2:latest", Some("Cerebras"), false),
        ("llama3.2", Some("Cerebras"), false),
        ("gpt-oss:20b", None, true),
        ("claude-sonnet-5:latest", None, true),
        ("auto:latest", None, false),
        ("", None, false),
    ];
    for (name, provider, is_ignored) in cases {
        let reply = chat(&proxy, &question(name)).await?;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        assert!(provider.is_none_or(|it| reply.header("x-provider") == Some(it)), "{name}");
        assert_eq!(ignored(&reply).contains(&"model"), is_ignored, "{name}");
        let shown = ask_at(&proxy, "/api/show", &json!({"model": name}), &[]).await?;
        assert_eq!(shown.status, 200, "{name}: {}", shown.text());
    }
    for name in ["nobody-9", "nobody-9:latest"] {
        let reply = chat(&proxy, &question(name)).await?;
        assert_eq!(reply.status, 404, "{name}");
        assert!(reply.error().contains("'nobody-9' does not exist"), "{}", reply.error());
    }
    Ok(())
}

#[tokio::test]
async fn the_root_greets_ollamas_clients_and_shows_people_the_page() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().core().with("PROXY_API_KEY", "k").start().await?;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let cases = [
        ("application/json", true),
        ("application/x-ndjson", true),
        (browser, false),
        ("*/*", false),
        ("text/html", false),
    ];
    for (accept, is_greeted) in cases {
        for method in [Method::GET, Method::HEAD] {
            let request = http_client()?.request(method.clone(), proxy.url("/")).header("accept", accept);
            let reply = request.send().await?;
            assert_eq!(reply.status(), 200, "{method} {accept}");
            let kind = if is_greeted { "text/plain; charset=utf-8" } else { "text/html; charset=utf-8" };
            assert_eq!(reply.headers()["content-type"], kind, "{method} {accept}");
            let text = reply.text().await?;
            assert_eq!(
                text == "Ollama is running",
                is_greeted && method == Method::GET,
                "{method} {accept}: {text}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_there_is_not_is_told_in_a_sentence_and_costs_nothing() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let cases = [
        (Method::POST, "/api/pull", 501, "Models cannot be pulled"),
        (Method::POST, "/api/push", 501, "Models cannot be pulled"),
        (Method::POST, "/api/create", 501, "Models cannot be pulled"),
        (Method::POST, "/api/copy", 501, "Models cannot be pulled"),
        (Method::DELETE, "/api/delete", 501, "Models cannot be pulled"),
        (Method::HEAD, "/api/blobs/sha256:00", 501, ""),
        (Method::POST, "/api/embed", 501, "There are no embeddings here"),
        (Method::POST, "/api/embeddings", 501, "There are no embeddings here"),
        (Method::GET, "/api/chat", 405, "Method Not Allowed"),
        (Method::POST, "/api/nothing", 404, "Not Found: there is no POST /api/nothing"),
    ];
    for (method, path, status, expected) in cases {
        let request = http_client()?.request(method.clone(), proxy.url(path));
        let reply = request.json(&json!({"model": "auto"})).send().await?;
        assert_eq!(reply.status(), status, "{method} {path}");
        assert_eq!(reply.headers()["x-should-retry"], "false", "{method} {path}");
        if method != Method::HEAD {
            let error: Value = reply.json().await?;
            assert!(error["error"].as_str().is_some_and(|it| it.starts_with(expected)), "{path}: {error}");
        }
    }
    assert_eq!(proxy.upstream_calls(), 0);
    log::assert_clean();
    Ok(())
}

#[tokio::test]
async fn errors_are_a_sentence_with_the_status_of_the_case() -> anyhow::Result<()> {
    let secret = "client-key-of-this-test";
    let proxy = TestProxy::builder()
        .only([Provider::GROQ])
        .with("PROXY_API_KEY", secret)
        .with("MAX_WAIT_MS", 0)
        .start()
        .await?;
    let reply = chat(&proxy, &question("auto")).await?;
    assert_eq!(reply.status, 401);
    assert!(reply.error().contains("API key"), "{}", reply.error());
    let bearer = format!("Bearer {secret}");
    let key = [("authorization", bearer.as_str())];
    let reply = ask_at(&proxy, "/api/chat", &question("auto"), &key).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    proxy.all(&Behaviour::trouble(Trouble::RateLimited(20.0)));
    let reply = ask_at(&proxy, "/api/chat", &question("auto"), &key).await?;
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert!(reply.header("retry-after").is_some() && reply.error().contains("limit"), "{}", reply.text());
    log::assert_clean();
    Ok(())
}

/// One such name ended the process.
#[tokio::test]
async fn a_name_with_any_number_of_endings_is_unknown_on_every_surface() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let name = format!("x{}", ":latest".repeat(200_000));
    let asked = json!({"model": name, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "input": "Hi"});
    for path in ["/chat", "/v1/chat/completions", "/v1/messages", "/v1/responses", "/api/chat", "/api/show"] {
        let reply = ask_at(&proxy, path, &asked, &[]).await?;
        let expected = if path == "/chat" { 400 } else { 404 };
        assert_eq!(reply.status, expected, "{path}: {}", reply.text());
    }
    Ok(())
}

/// The ending neither hides who has a model nor what the user calls so.
#[tokio::test]
async fn an_ending_changes_neither_a_preference_nor_an_alias() -> anyhow::Result<()> {
    let aliases = "claude-sonnet-5=gemini/gemini-3.5-flash-lite";
    let proxy = TestProxy::builder().core().with("MODEL_ALIASES", aliases).start().await?;
    for (name, provider) in [("gpt-oss-120b", "Cerebras"), ("claude-sonnet-5", "Gemini")] {
        for name in [name.to_owned(), format!("{name}:latest")] {
            for _ in 0..3 {
                let reply = chat(&proxy, &question(&name)).await?;
                assert_eq!(reply.header("x-provider"), Some(provider), "{name}");
                assert_eq!(reply.header("x-ignored-fields"), None, "{name}");
            }
        }
    }
    let reply = chat(&proxy, &question("claude-haiku-5:latest")).await?;
    assert_eq!((reply.status, ignored(&reply)), (200, vec!["model"]), "a foreign name with an ending");
    Ok(())
}
