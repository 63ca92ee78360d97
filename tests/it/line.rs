//! Those who wait in line, and those who are refused and come back, over sockets and against true limiters.

use std::cell::Cell;
use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Cost, Limit, Plan, Window};
use futures::future::{join, join_all};
use serde_json::{Value, json};

use crate::support::{
    ProxyBuilder, RawClient, Reply, TestProxy, chat, http_client, question, within_patience,
};

/// Groq alone, with one model, these limits, and providers that keep to their own.
fn groq(limits: &str) -> ProxyBuilder {
    TestProxy::builder()
        .only([Provider::GROQ])
        .with("GROQ_MODEL", "openai/gpt-oss-20b")
        .with("GROQ_LIMITS", limits)
        .limited()
}

/// How many wait.
async fn waiting(proxy: &TestProxy) -> anyhow::Result<u64> {
    let report: Value = http_client()?.get(proxy.url("/providers")).send().await?.json().await?;
    Ok(report["waiting"].as_u64().expect("a number"))
}

async fn until_waiting(proxy: &TestProxy, number: u64) -> anyhow::Result<()> {
    let is_so = async {
        while waiting(proxy).await? != number {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    };
    within_patience("the line", is_so).await
}

/// The time of the proxy's clock.
fn now(proxy: &TestProxy) -> Duration {
    proxy.clock.reliable_clock()().steady
}

/// Clients who were refused come back when they were told, one after the other.
async fn come_back(proxy: &TestProxy, body: &Value, mut dues: Vec<Duration>) -> anyhow::Result<()> {
    dues.sort_unstable();
    for due in dues {
        proxy.clock.advance(due.saturating_sub(now(proxy)));
        let reply = chat(proxy, body).await?;
        assert_eq!((reply.status, reply.header("x-attempts")), (200, Some("Groq:ok")), "{}", reply.text());
    }
    Ok(())
}

fn told(reply: &Reply) -> Duration {
    assert_eq!(reply.status, 429, "{}", reply.text());
    let seconds = reply.header("retry-after").expect("a time").parse().expect("seconds");
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn who_leaves_leaves_the_line_at_once() -> anyhow::Result<()> {
    let proxy = groq("rpm=1").with("MAX_WAIT_MS", 100_000).start().await?;
    assert_eq!(chat(&proxy, &question()).await?.status, 200);
    let client = RawClient::post(proxy.address, &question()).await?;
    until_waiting(&proxy, 1).await?;
    drop(client);
    until_waiting(&proxy, 0).await?;
    assert_eq!(proxy.provider(Provider::GROQ).chats().len(), 1, "it was never sent");
    Ok(())
}

/// Groq's tokens come back little by little, so there is room for one after the other. The clock stands still meanwhile.
#[tokio::test]
async fn a_hundred_refused_at_once_find_room_when_they_were_told() -> anyhow::Result<()> {
    let proxy = groq("tpm=8000").start().await?;
    let body = json!({"messages": [{"role": "user", "content": "Hola"}], "max_tokens": 700});
    let replies = join_all((0..110).map(|_| chat(&proxy, &body))).await;
    let replies: Vec<Reply> = replies.into_iter().collect::<Result<_, _>>()?;
    let mut waits: Vec<Duration> = replies.iter().filter(|it| it.status != 200).map(told).collect();
    assert!((95..=102).contains(&waits.len()), "{} were refused", waits.len());
    assert_eq!(proxy.provider(Provider::GROQ).chats().len(), 110 - waits.len(), "no call is wasted");
    waits.sort_unstable();
    let at_once = waits.chunk_by(|one, other| one == other).map(<[_]>::len).max();
    assert!(at_once <= Some(2), "{at_once:?} are told the same second: {waits:?}");
    let begun = now(&proxy);
    come_back(&proxy, &body, waits.into_iter().map(|wait| begun + wait).collect()).await
}

/// 100 tokens come back a second, so 2,000 in a burst of three minutes' worth that waits for up to ten seconds.
#[tokio::test]
async fn of_a_burst_all_are_served_for_whom_there_is_room_in_time() -> anyhow::Result<()> {
    const BURST: usize = 90;
    const LONGEST: u64 = 200;
    let minute = Duration::from_secs(60);
    let limit = Limit::new(6_000, Cost::Longest, Window::Refilled(minute));
    let proxy = groq("rpm=1000,tpm=6000")
        .limited_to(&Plan::each_model([limit]))
        .with("MAX_WAIT_MS", 10_000)
        .start()
        .await?;
    let body =
        json!({"messages": [{"role": "user", "content": "Hola"}], "max_tokens": LONGEST, "stream": false});
    let ended = Cell::new(0);
    let clients = join_all((0..BURST).map(|_| async {
        let reply = chat(&proxy, &body).await;
        ended.set(ended.get() + 1);
        reply.map(|reply| (reply, now(&proxy)))
    }));
    let (replies, ()) = join(clients, time_passes_until(&proxy, || ended.get() == BURST)).await;
    let replies: Vec<(Reply, Duration)> = replies.into_iter().collect::<Result<_, _>>()?;
    let (served, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|(reply, _)| reply.status == 200);
    let prompt = served[0].0.json()["usage"]["prompt_tokens"].as_u64().expect("a number");
    let tokens = u64::try_from(served.len())? * (prompt + LONGEST);
    // The estimate of a prompt is a little too high, and the last one may not have fit.
    assert!(tokens >= 7_000 * 85 / 100, "{} were served, {tokens} tokens in all", served.len());
    // Whether what answers did not need comes back, nobody knows: one call finds out.
    let early = proxy.counts(Provider::GROQ).await?.1;
    assert!(early <= 1, "{early} were sent too early");
    let dues = refused.iter().map(|(reply, at)| *at + told(reply)).collect();
    come_back(&proxy, &body, dues).await
}

/// Lets the proxy's time pass as fast as real time.
async fn time_passes_until(proxy: &TestProxy, is_over: impl Fn() -> bool) {
    let mut last = Instant::now();
    while !is_over() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        proxy.clock.advance(Duration::from_millis(10).max(last.elapsed()));
        last = Instant::now();
    }
}
