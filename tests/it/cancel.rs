//! What a client that leaves must not do to others: rows 74 to 77 of the fault table show that its call ends.

use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Outcome, SimulatedProvider};
use serde_json::json;

use crate::support::{RawClient, TestProxy, chat, question, within_patience};

fn is_abandoned(provider: &SimulatedProvider) -> bool {
    matches!(provider.chats().last().map(|request| request.outcome), Some(Outcome::Abandoned(_)))
}

/// Whoever waits for the second provider and leaves must not set a third one to work.
#[tokio::test]
async fn leaving_during_a_fallback_ends_the_search() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.provider(Provider::GROQ).always(Behaviour::named("server_error").expect("known"));
    let second = proxy.provider(Provider::CEREBRAS);
    second.always(Behaviour::echo().with(Fault::Stall(After::Nothing)));
    let client = RawClient::post(proxy.address, &question()).await?;
    within_patience("the second call", second.until(|it| !it.chats().is_empty())).await;
    drop(client);
    within_patience("its end", second.until(is_abandoned)).await;
    assert_eq!(proxy.provider(Provider::GEMINI).chats().len(), 0);
    let reply = chat(&proxy, &question()).await?;
    assert_eq!(reply.header("x-attempts"), Some("Gemini:ok"), "it was not anybody's fault");
    Ok(())
}

/// A probe that nobody waits for any more must not leave the provider in quarantine.
#[tokio::test]
async fn leaving_a_probe_lets_the_next_request_probe() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let groq = proxy.provider(Provider::GROQ);
    let mut pinned = question();
    pinned["provider"] = json!("Groq");
    groq.then(Behaviour::named("bad_key").expect("known"));
    assert_eq!(chat(&proxy, &pinned).await?.status, 502);
    proxy.clock.advance(Duration::from_secs(602));

    groq.then(Behaviour::echo().with(Fault::Stall(After::Nothing)));
    let probe = RawClient::post(proxy.address, &pinned).await?;
    within_patience("the probe", groq.until(|it| it.chats().len() == 2)).await;
    let meanwhile = chat(&proxy, &pinned).await?;
    assert_eq!((meanwhile.status, meanwhile.header("retry-after")), (502, Some("1")), "one probe at a time");
    drop(probe);
    within_patience("its end", groq.until(is_abandoned)).await;
    assert_eq!(chat(&proxy, &pinned).await?.status, 200);
    Ok(())
}
