//! Models, keys, counting, and errors whose words steer the clients.

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Behaviour, Trouble};
use serde_json::{Value, json};

use super::{generate, ignored, question, stream, with};
use crate::support::{TestProxy, ask_at, http_client, log};

#[tokio::test]
async fn n41_a_model_of_googles_that_is_used_up_is_replaced_by_another() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for _ in 0..3 {
        let reply = generate(&proxy, "gemini-3.8-flash", &question()).await?;
        assert_eq!(reply.header("x-model"), Some("gemini-3.8-flash"), "it is preferred");
    }
    proxy.provider(Provider::GEMINI).then(Behaviour::trouble(Trouble::QuotaExhausted(40_000.0)));
    for _ in 0..2 {
        let reply = generate(&proxy, "gemini-3.8-flash", &question()).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_ne!(reply.header("x-model"), Some("gemini-3.8-flash"));
    }
    Ok(())
}

#[tokio::test]
async fn names_mean_what_they_say_and_foreign_ones_anybody() -> anyhow::Result<()> {
    let aliases = "gemini-pro=cerebras";
    let proxy = TestProxy::builder().core().with("MODEL_ALIASES", aliases).start().await?;
    let cases = [
        ("groq%2Fopenai%2Fgpt-oss-120b", Some("Groq"), false),
        ("models%2Fgroq", Some("Groq"), false),
        ("groq/openai/gpt-oss-120b", Some("Groq"), false),
        ("gemini-pro", Some("Cerebras"), false),
        ("gemini-9-ultra", None, true),
        ("auto", None, false),
    ];
    for (name, provider, is_ignored) in cases {
        for reply in [generate(&proxy, name, &question()).await?, stream(&proxy, name, &question()).await?] {
            assert_eq!(reply.status, 200, "{name}: {}", reply.text());
            assert!(provider.is_none_or(|it| reply.header("x-provider") == Some(it)), "{name}");
            assert_eq!(ignored(&reply).contains(&"model"), is_ignored, "{name}");
        }
    }
    let reply = generate(&proxy, "nobody-9", &question()).await?;
    assert_eq!((reply.status, &reply.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
    Ok(())
}

#[tokio::test]
async fn a_key_may_stand_where_googles_clients_put_it_and_reaches_no_log() -> anyhow::Result<()> {
    let secret = "client-key-of-this-test";
    let proxy = TestProxy::builder().core().with("PROXY_API_KEY", secret).start().await?;
    let path = "/v1beta/models/auto:generateContent";
    let in_query = format!("{path}?key={secret}");
    let header = [("x-goog-api-key", secret)];
    let cases = [
        (path, &header[..], 200),
        (&in_query, &[], 200),
        ("/v1beta/models/auto:generateContent?alt=json&key=client%2Dkey-of-this-test", &[], 200),
        ("/v1beta/models/auto:generateContent?key=wrong", &[], 401),
        (path, &[], 401),
    ];
    for (path, headers, status) in cases {
        let reply = ask_at(&proxy, path, &question(), headers).await?;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        assert!(status == 200 || reply.json()["error"]["status"] == "UNAUTHENTICATED");
    }
    // Elsewhere nobody looks for a key in the path.
    let reply = ask_at(&proxy, &format!("/chat?key={secret}"), &crate::support::question(), &[]).await?;
    assert_eq!(reply.status, 401);
    log::assert_clean();
    Ok(())
}

#[tokio::test]
async fn models_are_listed_and_shown_as_google_does() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let client = http_client()?;
    let list: Value = client.get(proxy.url("/v1beta/models")).send().await?.json().await?;
    let models = list["models"].as_array().expect("models");
    assert!(models.iter().any(|it| it["name"] == "models/auto"), "{list}");
    for model in models {
        let name = model["name"].as_str().expect("a name");
        let shown: Value = client.get(proxy.url(&format!("/v1beta/{name}"))).send().await?.json().await?;
        assert_eq!(&shown, model);
        assert!(model["inputTokenLimit"].as_u64() > Some(1_000), "{model}");
    }
    let status = client.get(proxy.url("/v1beta/models/nobody-9")).send().await?.status();
    assert_eq!(status, 404);
    Ok(())
}

#[tokio::test]
async fn tokens_are_counted_without_a_call() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let count = async |body: &Value| -> anyhow::Result<u64> {
        let reply = ask_at(&proxy, "/v1beta/models/auto:countTokens", body, &[]).await?;
        reply.json()["totalTokens"].as_u64().ok_or_else(|| anyhow::anyhow!("{}", reply.text()))
    };
    let alone = count(&question()).await?;
    let nested = json!({"generateContentRequest": with(question(), json!({"model": "models/auto"}))});
    assert_eq!(count(&nested).await?, alone);
    let long = "Explain the sea. ".repeat(100);
    let more = with(question(), json!({"systemInstruction": {"parts": [{"text": long}]}}));
    assert!(count(&more).await? > alone + 300, "instructions count");
    assert_eq!(proxy.upstream_calls(), 0);
    Ok(())
}

#[tokio::test]
async fn a_limit_says_how_long_to_wait_and_a_days_limit_that_it_is_one() -> anyhow::Result<()> {
    for (wait, is_day) in [(20.0, false), (40_000.0, true)] {
        // Google itself would be asked again after the short delay beside its day.
        let proxy = TestProxy::builder().only([Provider::GROQ]).with("MAX_WAIT_MS", 0).start().await?;
        let trouble = if is_day { Trouble::QuotaExhausted(wait) } else { Trouble::RateLimited(wait) };
        proxy.all(&Behaviour::trouble(trouble));
        let reply = generate(&proxy, "auto", &question()).await?;
        assert_eq!(reply.status, 429, "{}", reply.text());
        let error = reply.json()["error"].clone();
        assert_eq!((&error["code"], &error["status"]), (&json!(429), &json!("RESOURCE_EXHAUSTED")));
        let details = error["details"].as_array().expect("details");
        let kinds: Vec<&str> = details.iter().filter_map(|it| it["@type"].as_str()).collect();
        assert_eq!(kinds.iter().any(|kind| kind.ends_with("QuotaFailure")), is_day, "{error}");
        let retry = details.iter().find_map(|it| it["retryDelay"].as_str());
        assert!(is_day || retry.is_some_and(|delay| delay.ends_with('s')), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn what_there_is_not_is_not_found_in_googles_form() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for path in ["/v1beta/models/x:embedContent", "/v1beta/cachedContents", "/v1beta/files"] {
        let reply = ask_at(&proxy, path, &json!({}), &[]).await?;
        let error = reply.json()["error"].clone();
        let status = if path.contains("models") { 405 } else { 404 };
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(error["code"], status, "{path}: {error}");
    }
    log::assert_clean();
    Ok(())
}
