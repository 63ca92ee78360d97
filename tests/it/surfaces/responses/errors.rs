//! Errors, whose statuses and codes steer the clients.

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Behaviour, Trouble};
use serde_json::{Value, json};

use super::{question, request, respond, with};
use crate::support::{Reply, TestProxy, ask_at, http_client, with_one_model_each, within_patience};

/// Status, type and code of an error in OpenAI's form.
fn error(reply: &Reply) -> (u16, String, Value) {
    let body = reply.json();
    let error = &body["error"];
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    (reply.status, error["type"].as_str().expect("a type").to_owned(), error["code"].clone())
}

fn is(reply: &Reply, status: u16, kind: &str, code: &Value) {
    assert_eq!(error(reply), (status, kind.to_owned(), code.clone()), "{}", reply.text());
}

/// Posts as Codex does.
async fn codex(proxy: &TestProxy, body: &Value) -> anyhow::Result<Reply> {
    let body = with(body.clone(), json!({"stream": true, "store": false}));
    ask_at(proxy, "/v1/responses", &body, &[("originator", "codex_cli_rs")]).await
}

#[tokio::test]
async fn errors_have_openais_form_and_code() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let request_error = "invalid_request_error";
    is(&respond(&proxy, &json!([])).await?, 400, request_error, &json!(null));
    is(&respond(&proxy, &question("nobody-9")).await?, 404, request_error, &json!("model_not_found"));
    is(
        &ask_at(&proxy, "/v1/responses/compact", &json!({}), &[]).await?,
        404,
        request_error,
        &json!("unknown_url"),
    );
    let locked = TestProxy::builder().with("PROXY_API_KEY", "secret").start().await?;
    is(&respond(&locked, &question("auto")).await?, 401, "authentication_error", &json!("invalid_api_key"));
    let keyless = TestProxy::builder().only([]).start().await?;
    let reply = respond(&keyless, &question("auto")).await?;
    is(&reply, 503, "server_error", &json!(null));
    assert_eq!(reply.header("x-should-retry"), Some("false"), "only a person can help");
    Ok(())
}

#[tokio::test]
async fn what_every_provider_says_has_its_status_for_the_sdks() -> anyhow::Result<()> {
    let cases = [
        (Trouble::RateLimited(7.0), 429, "rate_limit_error", None),
        (Trouble::ServerError, 502, "server_error", Some("false")),
        (Trouble::BadRequest, 400, "invalid_request_error", Some("false")),
    ];
    for (trouble, status, kind, should_retry) in cases {
        let proxy = TestProxy::core().await?;
        proxy.all(&Behaviour::trouble(trouble));
        for stream in [true, false] {
            let reply = respond(&proxy, &with(question("auto"), json!({"stream": stream}))).await?;
            assert_eq!((reply.status, error(&reply).1.as_str()), (status, kind), "{}", reply.text());
            assert_eq!(reply.header("x-should-retry"), should_retry, "{trouble:?}");
            assert!(reply.json()["error"]["attempts"].is_array(), "{}", reply.text());
        }
    }
    Ok(())
}

/// It repeats a 502 thirty times, and this five times.
#[tokio::test]
async fn n37_codex_is_told_a_failure_of_everybody_in_the_way_that_it_repeats_least() -> anyhow::Result<()> {
    // Who has failed by itself is asked again when nobody else is left; whose key is refused is not.
    for (trouble, are_asked_again) in [(Trouble::ServerError, true), (Trouble::BadKey, false)] {
        let proxy = with_one_model_each().core().start().await?;
        proxy.all(&Behaviour::trouble(trouble));
        let reply = codex(&proxy, &question("auto")).await?;
        is(&reply, 503, "server_error", &json!("server_is_overloaded"));
        assert_eq!(reply.header("retry-after"), None, "with it Codex repeats thirty times");
        let calls = proxy.upstream_calls();
        for _ in 0..4 {
            is(&codex(&proxy, &question("auto")).await?, 503, "server_error", &json!("server_is_overloaded"));
        }
        assert_eq!(proxy.upstream_calls() > calls, are_asked_again, "{trouble:?}");
    }
    Ok(())
}

#[tokio::test]
async fn n37_codex_is_told_a_spent_quota_in_the_way_that_it_does_not_repeat() -> anyhow::Result<()> {
    let proxy = with_one_model_each().only([Provider::GROQ, Provider::CEREBRAS]).start().await?;
    proxy.all(&Behaviour::trouble(Trouble::QuotaExhausted(40_000.0)));
    let reply = codex(&proxy, &question("gpt-6.2-sol")).await?;
    is(&reply, 429, "usage_limit_reached", &json!("usage_limit_reached"));
    assert_eq!(reply.header("retry-after"), None, "Codex would sleep so long");
    let resets_at = reply.json()["error"]["resets_at"].as_i64().expect("a time");
    let now = (proxy.clock.reliable_clock())().wall.as_second();
    assert!((now + 61..=now + 86_400).contains(&resets_at), "{now} {resets_at}");
    assert_eq!(proxy.upstream_calls(), 2, "each was asked once");

    let sdk = respond(&proxy, &question("auto")).await?;
    is(&sdk, 429, "rate_limit_error", &json!("rate_limit_exceeded"));
    assert_eq!(sdk.header("x-should-retry"), Some("false"));
    assert_eq!(proxy.upstream_calls(), 2, "who is spent is not asked again");
    Ok(())
}

#[tokio::test]
async fn codex_is_told_to_wait_if_that_is_short() -> anyhow::Result<()> {
    let proxy = with_one_model_each().core().start().await?;
    proxy.all(&Behaviour::trouble(Trouble::RateLimited(7.0)));
    let reply = codex(&proxy, &question("auto")).await?;
    is(&reply, 429, "rate_limit_error", &json!("rate_limit_exceeded"));
    let seconds = reply.header("retry-after").and_then(|it| it.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds <= 60), "{seconds:?}");
    Ok(())
}

#[tokio::test]
async fn n36_what_is_too_long_for_everybody_is_called_so() -> anyhow::Result<()> {
    let long =
        |times: usize| request("auto", json!("The quick brown fox jumps over the lazy dog. ".repeat(times)));
    let too_long = json!("context_length_exceeded");

    let proxy = TestProxy::builder().only([Provider::GROQ]).start().await?;
    is(&codex(&proxy, &long(130_000)).await?, 400, "invalid_request_error", &too_long);
    assert_eq!(proxy.upstream_calls(), 0, "no window takes it");

    let builder = TestProxy::builder().only([Provider::GROQ]).with("GROQ_MODEL", "openai/gpt-oss-20b");
    let proxy = builder.with("GROQ_LIMITS", "tpm=1000").start().await?;
    for _ in 0..2 {
        is(&codex(&proxy, &long(300)).await?, 400, "invalid_request_error", &too_long);
    }
    assert_eq!(proxy.upstream_calls(), 0, "no minute takes it");

    for trouble in [Trouble::ContextTooLong, Trouble::TooLarge] {
        let proxy = TestProxy::core().await?;
        proxy.all(&Behaviour::trouble(trouble));
        is(&respond(&proxy, &question("auto")).await?, 400, "invalid_request_error", &too_long);
    }
    Ok(())
}

/// Codex tries a WebSocket first, and goes on over HTTP at once only after this status.
#[tokio::test]
async fn n35_a_web_socket_is_told_to_use_http() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let asked = http_client()?
        .get(proxy.url("/v1/responses"))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let response = within_patience("an answer", asked.send()).await?;
    assert_eq!(response.status().as_u16(), 426);
    assert_eq!(proxy.upstream_calls(), 0);
    let plain = within_patience("an answer", http_client()?.get(proxy.url("/v1/responses")).send()).await?;
    assert_eq!(plain.status().as_u16(), 405);
    Ok(())
}
