//! Limits of free plans: kept before they are hit, waited for, and remembered.

use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Behaviour, Trouble};
use serde_json::json;

use crate::support::{ProxyBuilder, Reply, TestProxy, chat, question, within_patience};

/// Groq alone, with one model and these limits.
fn groq(limits: &str) -> ProxyBuilder {
    TestProxy::builder()
        .only([Provider::GROQ])
        .with("GROQ_MODEL", "openai/gpt-oss-20b")
        .with("GROQ_LIMITS", limits)
}

/// Lets the proxy's time pass five times as fast as real time, until `future` is ready.
async fn while_time_passes<T>(proxy: &TestProxy, future: impl Future<Output = T>) -> T {
    let time_passes = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            proxy.clock.advance(Duration::from_millis(100));
        }
    };
    tokio::select! {
        ready = future => ready,
        () = time_passes => unreachable!("time does not end"),
    }
}

/// A prompt of some 3,000 tokens that asks for 32,768 more, where a minute has 8,000.
#[tokio::test]
async fn an_answer_is_cut_to_what_a_minute_can_take() -> anyhow::Result<()> {
    let proxy = groq("tpm=8000").start().await?;
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(300);
    let body = json!({"messages": [{"role": "user", "content": long}], "max_tokens": 32_768});
    let reply = chat(&proxy, &body).await?;
    assert_eq!(reply.status, 200);
    let told: u64 = reply.header("x-max-tokens").expect("it was cut").parse()?;
    assert!((3_500..5_000).contains(&told), "{told}");
    let sent = proxy.provider(Provider::GROQ).chats().pop().expect("a call").json();
    assert_eq!(sent["max_completion_tokens"], told);
    proxy.clock.advance(Duration::from_secs(60));
    let reply = chat(&proxy, &question()).await?;
    assert_eq!((reply.status, reply.header("x-max-tokens")), (200, None), "what fits is not cut");
    Ok(())
}

#[tokio::test]
async fn what_no_plan_can_ever_take_is_the_requests_own_fault() -> anyhow::Result<()> {
    let proxy = groq("tpm=1000").start().await?;
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(300);
    let reply = chat(&proxy, &json!({"messages": [{"role": "user", "content": long}]})).await?;
    assert_eq!((reply.status, reply.header("retry-after")), (400, None));
    assert_eq!(reply.json()["attempts"][0]["reason"], "too_large");
    let message = reply.json()["error"].as_str().expect("a sentence").to_owned();
    let figures = message.split("This request has about ").nth(1).unwrap_or_default();
    let (tokens, rest) = figures.split_once(' ').unwrap_or_default();
    let tokens: u64 = tokens.replace(',', "").parse()?;
    assert!((2_700..4_200).contains(&tokens), "{message}");
    assert_eq!(rest, "tokens. The most that a model here takes is 1,000 in one minute (Groq's plan)");
    assert_eq!(proxy.provider(Provider::GROQ).chats().len(), 0, "no call is wasted");
    Ok(())
}

/// Who is told that a prompt is too long makes it shorter; who is told that somebody rests comes back.
#[tokio::test]
async fn a_prompt_is_too_long_only_if_nobody_may_ever_take_it() -> anyhow::Result<()> {
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(300);
    let body = json!({"messages": [{"role": "user", "content": long}]});
    let says_figures = |reply: &Reply| reply.text().contains("This request has about");
    let (small, room) = ("tpm=1000", "tpm=100000");
    // Groq's limit, Cerebras's, what Cerebras answers if it is called, the status, and who takes most.
    let cases = [
        (small, room, Behaviour::trouble(Trouble::RateLimited(20.0)), 502, None),
        (small, room, Behaviour::trouble(Trouble::Overloaded), 502, None),
        (small, room, Behaviour::trouble(Trouble::BadRequest), 400, None),
        (small, "tpm=2000", Behaviour::echo(), 400, Some("2,000 in one minute (Cerebras's plan)")),
        (small, room, Behaviour::trouble(Trouble::ContextTooLong), 400, Some("(Cerebras)")),
        (small, room, Behaviour::echo(), 200, None),
    ];
    for (groq, cerebras, behaviour, status, most) in cases {
        let builder = TestProxy::builder().only([Provider::GROQ, Provider::CEREBRAS]);
        let builder = builder.with("GROQ_LIMITS", groq).with("CEREBRAS_LIMITS", cerebras);
        let proxy = builder.with("MAX_WAIT_MS", "0").start().await?;
        proxy.provider(Provider::CEREBRAS).always(behaviour.clone());
        let reply = chat(&proxy, &body).await?;
        assert_eq!(
            (reply.status, says_figures(&reply)),
            (status, most.is_some()),
            "{behaviour:?}: {}",
            reply.text()
        );
        assert!(reply.text().contains(most.unwrap_or_default()), "{}", reply.text());
    }
    Ok(())
}

/// The proxy's clock stands still, so there is no room before it is put forward.
#[tokio::test]
async fn a_limit_is_kept_before_it_is_hit() -> anyhow::Result<()> {
    let proxy = groq("rpm=2").start().await?;
    let statuses = [chat(&proxy, &question()).await?.status, chat(&proxy, &question()).await?.status];
    assert_eq!(statuses, [200, 200]);
    let refused = chat(&proxy, &question()).await?;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("60")));
    assert_eq!(refused.json()["attempts"][0]["reason"], "rate_limited");
    assert_eq!(proxy.provider(Provider::GROQ).chats().len(), 2, "no call is wasted");
    proxy.clock.advance(Duration::from_secs(60));
    assert_eq!(chat(&proxy, &question()).await?.status, 200);
    Ok(())
}

/// Two find room in the next minute, so the third that is refused is told the minute after.
#[tokio::test]
async fn who_is_refused_is_told_a_time_at_which_there_is_room() -> anyhow::Result<()> {
    let proxy = groq("rpm=2").start().await?;
    for _ in 0..2 {
        assert_eq!(chat(&proxy, &question()).await?.status, 200);
    }
    let mut told = Vec::new();
    for _ in 0..4 {
        let refused = chat(&proxy, &question()).await?;
        told.push(refused.header("retry-after").expect("a time").parse::<u64>()?);
    }
    assert_eq!(told, [60, 60, 120, 120]);
    Ok(())
}

/// The provider says that there is room in 0.3 s.
#[tokio::test]
async fn a_short_wait_beats_a_refusal() -> anyhow::Result<()> {
    for (max_wait, status, calls) in [("10000", 200, 2), ("0", 429, 1)] {
        let proxy = groq("").with("MAX_WAIT_MS", max_wait).start().await?;
        let groq = proxy.provider(Provider::GROQ);
        groq.then(Behaviour::trouble(Trouble::RateLimited(0.3)));
        let reply = while_time_passes(&proxy, chat(&proxy, &question())).await?;
        assert_eq!((reply.status, groq.chats().len()), (status, calls), "{max_wait}");
        if status == 200 {
            assert_eq!(reply.header("x-attempts"), Some("Groq:rate_limited, Groq:ok"));
        }
    }
    Ok(())
}

/// What was used is known to the next process, and nothing of keys is in the file.
#[tokio::test]
async fn a_restart_forgets_nothing() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("state");
    for (start, statuses) in [("first", [200, 200, 429]), ("second", [429, 429, 429])] {
        let proxy = groq("rpm=2").start().await?;
        proxy.keep_state(&file);
        for status in statuses {
            assert_eq!(chat(&proxy, &question()).await?.status, status, "{start}");
        }
        drop(proxy);
        // What is still under way there holds the file until it has ended.
        let is_free = async {
            while std::fs::File::open(&file).is_ok_and(|file| file.try_lock().is_err()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within_patience("the end of the proxy", is_free).await;
    }
    let bytes = std::fs::read(&file)?;
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("key-of-Groq") && !text.contains("gpt-oss"), "it names nobody");
    Ok(())
}

/// Hours of two requests a minute and more, over sockets and on a clock that is put forward: whoever is called has room,
/// but for what has to be found out once.
#[tokio::test]
async fn real_limiters_hardly_ever_refuse_a_call() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().limited().start().await?;
    let (mut answered, mut refused) = (0, 0);
    for number in 0..1_500_u64 {
        // From one to nine seconds.
        proxy.clock.advance(Duration::from_millis(1_000 + number * 7_919 % 8_000));
        let words = "One word and another. ".repeat(usize::try_from(number * 31 % 90)?);
        let body = json!({"messages": [{"role": "user", "content": words + "?"}], "max_tokens": 200});
        match chat(&proxy, &body).await?.status {
            200 => answered += 1,
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    let (mut calls, mut failures) = (0, 0);
    for provider in [Provider::GROQ, Provider::CEREBRAS, Provider::GEMINI] {
        let counts = proxy.counts(provider).await?;
        (calls, failures) = (calls + counts.0, failures + counts.1);
    }
    assert!(answered >= 1_490, "{answered} answered, {refused} refused");
    assert!(failures * 100 <= calls, "{failures} of {calls} calls were refused upstream");
    Ok(())
}

/// Everybody was at a limit for the same time: then it is the turn of who was asked first.
#[tokio::test]
async fn the_rotation_goes_on_after_a_limit_of_everybody() -> anyhow::Result<()> {
    let proxy = crate::support::with_one_model_each().start().await?;
    for provider in [Provider::GROQ, Provider::CEREBRAS, Provider::GEMINI] {
        proxy.provider(provider).then(Behaviour::named("rate_limited").expect("known"));
    }
    let refused = chat(&proxy, &question()).await?;
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused.header("retry-after").expect("a time").parse()?;
    proxy.clock.advance(Duration::from_secs(seconds));
    let reply = chat(&proxy, &question()).await?;
    assert_eq!(reply.header("x-attempts"), Some("Groq:ok"), "after {seconds} s: {}", refused.text());
    Ok(())
}

/// The same for a request that the proxy lets wait itself.
#[tokio::test]
async fn who_waits_for_everybody_is_served_in_the_rotation() -> anyhow::Result<()> {
    let proxy = crate::support::with_one_model_each().core().with("MAX_WAIT_MS", "10000").start().await?;
    for provider in [Provider::GROQ, Provider::CEREBRAS, Provider::GEMINI] {
        proxy.provider(provider).then(Behaviour::trouble(Trouble::RateLimited(0.3)));
    }
    let reply = while_time_passes(&proxy, chat(&proxy, &question())).await?;
    let trail = "Groq:rate_limited, Cerebras:rate_limited, Gemini:rate_limited, Groq:ok";
    assert_eq!(reply.header("x-attempts"), Some(trail));
    Ok(())
}
