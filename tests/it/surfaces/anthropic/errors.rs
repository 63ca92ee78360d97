//! Errors, whose words and statuses steer the clients.

use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Behaviour, Trouble};
use serde_json::{Value, json};

use super::{HEADERS, message, question, request, with};
use crate::support::{Reply, TestProxy, ask_at, with_one_model_each};

/// Status and type of an error in Anthropic's form.
fn error(reply: &Reply) -> (u16, String) {
    let body = reply.json();
    assert_eq!(body["type"], "error", "{body}");
    assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    assert_ne!(reply.status, 529, "Claude Code repeats it whatever else is said");
    (reply.status, body["error"]["type"].as_str().expect("a type").to_owned())
}

fn is(reply: &Reply, status: u16, kind: &str) {
    assert_eq!(error(reply), (status, kind.to_owned()), "{}", reply.text());
}

#[tokio::test]
async fn errors_have_anthropics_form_and_type() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    is(&message(&proxy, &json!([])).await?, 400, "invalid_request_error");
    is(&message(&proxy, &question("nobody-9")).await?, 404, "not_found_error");
    let locked = TestProxy::builder().with("PROXY_API_KEY", "secret").start().await?;
    is(&message(&locked, &question("auto")).await?, 401, "authentication_error");
    let keyless = TestProxy::builder().only([]).start().await?;
    let reply = message(&keyless, &question("auto")).await?;
    is(&reply, 503, "api_error");
    assert_eq!(reply.header("x-should-retry"), Some("false"), "only a person can help");
    let small = TestProxy::builder().with("MAX_BODY_BYTES", 1_000).start().await?;
    let body = request("auto", json!([{"role": "user", "content": "x".repeat(2_000)}]));
    is(&message(&small, &body).await?, 413, "request_too_large");
    for path in ["/v1/messages/batches", "/v1/files", "/v1/skills", "/v1/messages/nothing"] {
        let reply = ask_at(&proxy, path, &json!({}), &HEADERS).await?;
        is(&reply, 404, "not_found_error");
        assert!(
            reply.text().contains("/v1/messages/count_tokens"),
            "it says what there is: {}",
            reply.text()
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_every_provider_says_has_its_status_and_type() -> anyhow::Result<()> {
    let cases = [
        (Trouble::RateLimited(7.0), 429, "rate_limit_error", None),
        (Trouble::ServerError, 502, "api_error", Some("false")),
        (Trouble::BadKey, 502, "api_error", Some("false")),
        (Trouble::BadRequest, 400, "invalid_request_error", Some("false")),
    ];
    for (trouble, status, kind, should_retry) in cases {
        let proxy = TestProxy::builder().core().with("MAX_WAIT_MS", 0).start().await?;
        proxy.all(&Behaviour::trouble(trouble));
        for stream in [true, false] {
            let reply = message(&proxy, &with(question("auto"), json!({"stream": stream}))).await?;
            is(&reply, status, kind);
            assert_eq!(reply.header("x-should-retry"), should_retry, "{trouble:?}");
            assert!(reply.json()["error"]["attempts"].is_array(), "{}", reply.text());
        }
    }
    Ok(())
}

/// Claude Code asks once when it is told so, and eight times when it is not.
#[tokio::test]
async fn n37_a_quota_that_is_spent_until_tomorrow_forbids_to_ask_again() -> anyhow::Result<()> {
    let body = with(question("claude-opus-5-5"), json!({"stream": true}));
    let proxy = with_one_model_each().only([Provider::GROQ, Provider::CEREBRAS]).start().await?;
    proxy.all(&Behaviour::trouble(Trouble::QuotaExhausted(40_000.0)));
    assert_final(&message(&proxy, &body).await?);
    assert_eq!(proxy.upstream_calls(), 2, "each was asked once");
    assert_final(&message(&proxy, &body).await?);
    assert_eq!(proxy.upstream_calls(), 2, "who is spent is not asked again");

    // Google states a short delay for a day's limit, which may be true.
    let google = with_one_model_each().only([Provider::GEMINI]).with("MAX_WAIT_MS", 0).start().await?;
    google.all(&Behaviour::trouble(Trouble::QuotaExhausted(40_000.0)));
    let reply = message(&google, &body).await?;
    is(&reply, 429, "rate_limit_error");
    assert_eq!((reply.header("retry-after"), reply.header("x-should-retry")), (Some("35"), None));
    google.clock.advance(Duration::from_secs(36));
    assert_final(&message(&google, &body).await?);
    assert_final(&message(&google, &body).await?);
    assert_eq!(google.upstream_calls(), 2);
    Ok(())
}

fn assert_final(reply: &Reply) {
    is(reply, 429, "rate_limit_error");
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    let seconds = reply.header("retry-after").and_then(|it| it.parse::<u64>().ok());
    assert!(seconds > Some(60), "{seconds:?}");
}

/// The sentence by which Claude Code knows that it must shorten the conversation.
fn assert_too_long(reply: &Reply) {
    is(reply, 400, "invalid_request_error");
    let said = reply.json()["error"]["message"].as_str().expect("a message").to_owned();
    let rest = said.strip_prefix("prompt is too long: ").unwrap_or_else(|| panic!("{said}"));
    let (tokens, rest) = rest.split_once(" tokens > ").unwrap_or_else(|| panic!("{said}"));
    let (most, _) = rest.split_once(" maximum").unwrap_or_else(|| panic!("{said}"));
    let (tokens, most): (u64, u64) = (tokens.parse().expect("a number"), most.parse().expect("a number"));
    assert!(tokens > most && most > 0, "{said}");
    assert_eq!(reply.header("x-should-retry"), Some("false"));
}

fn long(times: usize) -> Value {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(times);
    request("auto", json!([{"role": "user", "content": text}]))
}

#[tokio::test]
async fn n36_what_no_window_takes_is_said_in_the_sentence_that_makes_claude_code_compact()
-> anyhow::Result<()> {
    let proxy = TestProxy::builder().only([Provider::GROQ]).start().await?;
    assert_too_long(&message(&proxy, &long(130_000)).await?);
    assert_eq!(proxy.upstream_calls(), 0);
    Ok(())
}

#[tokio::test]
async fn n36_what_no_minute_takes_is_said_so_too() -> anyhow::Result<()> {
    let builder = TestProxy::builder().only([Provider::GROQ]).with("GROQ_MODEL", "openai/gpt-oss-20b");
    let proxy = builder.with("GROQ_LIMITS", "tpm=1000").start().await?;
    assert_too_long(&message(&proxy, &with(long(300), json!({"stream": true}))).await?);
    assert_eq!(proxy.upstream_calls(), 0);
    Ok(())
}

#[tokio::test]
async fn n36_what_every_provider_calls_too_long_is_said_so_too() -> anyhow::Result<()> {
    for trouble in [Trouble::ContextTooLong, Trouble::TooLarge] {
        let proxy = TestProxy::core().await?;
        proxy.all(&Behaviour::trouble(trouble));
        let reply = message(&proxy, &question("auto")).await?;
        assert_too_long(&reply);
    }
    Ok(())
}

/// It would be compacted for nothing.
#[tokio::test]
async fn what_another_provider_could_take_later_is_not_called_too_long() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().core().with("MAX_WAIT_MS", 0).start().await?;
    proxy.all(&Behaviour::trouble(Trouble::RateLimited(30.0)));
    proxy.provider(Provider::GROQ).always(Behaviour::trouble(Trouble::ContextTooLong));
    let reply = message(&proxy, &question("auto")).await?;
    assert!(!reply.text().contains("prompt is too long"), "{}", reply.text());
    Ok(())
}

#[tokio::test]
async fn n42_a_base_url_that_ends_in_v1_is_told_so() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for path in ["/v1/v1/messages?beta=true", "/v1/v1/messages/count_tokens", "/v1//v1/messages/"] {
        let reply = ask_at(&proxy, path, &question("auto"), &HEADERS).await?;
        is(&reply, 404, "not_found_error");
        assert!(reply.text().contains("leave /v1 out of the base URL"), "{}", reply.text());
    }
    assert_eq!(proxy.upstream_calls(), 0);
    Ok(())
}

#[tokio::test]
async fn every_key_that_anthropics_clients_send_opens() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("PROXY_API_KEY", "secret").start().await?;
    for (name, value) in [("x-api-key", "secret"), ("authorization", "Bearer secret")] {
        let reply = ask_at(&proxy, "/v1/messages", &question("auto"), &[(name, value)]).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    Ok(())
}
