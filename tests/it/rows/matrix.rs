//! Faults, rows and ways of asking against each other. Each row meets each fault; and as the ways go round by one from row
//! to row and from fault to fault, each row also meets each way, and each fault each way. The three that are always listed
//! are tried with many more faults in every way (`tests/it/faults`).

use std::collections::HashSet;
use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::Behaviour;
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::rows;
use crate::support::{Reply, TestProxy, chat, complete, question};

/// The faults that come before the first content, and those that come behind it.
const BEFORE: [&str; 16] = [
    "html",
    "html_200",
    "empty",
    "error_event",
    "server_error",
    "overloaded",
    "bad_request",
    "too_large",
    "rate_limited",
    "quota_exhausted",
    "bad_key",
    "no_credit",
    "model_gone",
    "context_too_long",
    "tool_use_failed",
    "silence",
];
const BEHIND: [&str; 4] = ["truncated", "reset", "stall", "late_error_event"];

/// A way of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Way {
    is_chat: bool,
    is_stream: bool,
}

const WAYS: [Way; 4] = [
    Way { is_chat: true, is_stream: true },
    Way { is_chat: false, is_stream: true },
    Way { is_chat: true, is_stream: false },
    Way { is_chat: false, is_stream: false },
];

impl Way {
    async fn ask(self, proxy: &TestProxy) -> anyhow::Result<Reply> {
        let mut body: Value = question();
        body["stream"] = self.is_stream.into();
        if self.is_chat {
            return chat(proxy, &body).await;
        }
        body["model"] = json!("auto");
        complete(proxy, &body).await
    }
}

/// One row with all faults, each in one way. Returns which pairs were tried.
async fn meets_all(number: usize, provider: Provider) -> anyhow::Result<Vec<(&'static str, Way)>> {
    let clocks = [("FIRST_TOKEN_TIMEOUT_MS", 300), ("IDLE_TIMEOUT_MS", 300), ("REQUEST_TIMEOUT_MS", 20_000)];
    let mut proxy = TestProxy::builder().over([provider, Provider::GROQ]);
    for (name, milliseconds) in clocks {
        proxy = proxy.with(name, milliseconds);
    }
    let proxy = proxy.start().await?;
    let mut tried = Vec::new();
    for (at, fault) in BEFORE.into_iter().chain(BEHIND).enumerate() {
        let way = WAYS[(number + at) % WAYS.len()];
        let case = format!("{provider:?} {fault} {way:?}");
        proxy.provider(provider).always(Behaviour::named(fault).expect("a fault"));
        // The two take turns, so one of two requests finds the row; what rests after a fault is well a day later.
        proxy.clock.advance(Duration::from_secs(86_400));
        let calls = proxy.provider(provider).chat_count();
        for _ in 0..2 {
            let reply = way.ask(&proxy).await?;
            if BEHIND.contains(&fault) && way.is_stream && reply.header("x-provider") != Some("Groq") {
                assert_eq!(reply.status, 200, "{case}: {}", reply.text());
                assert!(!reply.text().contains("[DONE]"), "{case}: it looks finished: {}", reply.text());
                assert!(
                    reply.text().contains("error"),
                    "{case}: nothing says that it broke: {}",
                    reply.text()
                );
            } else {
                let told = (reply.status, reply.header("x-provider"));
                assert_eq!(told, (200, Some("Groq")), "{case}: {}", reply.text());
            }
        }
        assert!(proxy.provider(provider).chat_count() > calls, "{case}: the row was not asked");
        tried.push((fault, way));
    }
    proxy.provider(provider).always(Behaviour::echo());
    proxy.clock.advance(Duration::from_secs(366 * 86_400));
    proxy.read_models().await;
    let body = json!({"provider": provider.name(), "messages": [{"role": "user", "content": "Hola"}]});
    let reply = chat(&proxy, &body).await?;
    assert_eq!(reply.status, 200, "{provider:?} is well again: {}", reply.text());
    Ok(tried)
}

#[tokio::test]
async fn somebody_else_answers_whatever_a_row_does() -> anyhow::Result<()> {
    let begun = std::time::Instant::now();
    let tried =
        try_join_all(rows().enumerate().map(|(number, provider)| meets_all(number, provider))).await?;
    let pairs: HashSet<(&str, Way)> = tried.iter().flatten().copied().collect();
    assert_eq!(pairs.len(), (BEFORE.len() + BEHIND.len()) * WAYS.len(), "each fault met each way");
    let trials: usize = tried.iter().map(Vec::len).sum();
    println!("{trials} trials in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}
