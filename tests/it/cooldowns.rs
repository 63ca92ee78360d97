//! Who has failed is left alone for a while, and no longer; on a clock that can be turned.

use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Reply, Trouble};
use serde_json::json;

use crate::support::{RawClient, TestProxy, chat, question, within_patience};

fn pinned() -> serde_json::Value {
    json!({"messages": [{"role": "user", "content": "Hola"}], "provider": "Groq"})
}

#[tokio::test]
async fn each_cooldown_lasts_as_long_as_promised() -> anyhow::Result<()> {
    let cut = Behaviour::answer(["One, ", "two."]).with(Fault::EndEarly(After::Text(1)));
    let cases = [
        ("a limit, as long as stated", Behaviour::trouble(Trouble::RateLimited(77.0)), 77),
        ("a wrong key", Behaviour::trouble(Trouble::BadKey), 600),
        ("no credit", Behaviour::trouble(Trouble::NoCredit), 600),
        ("overload", Behaviour::trouble(Trouble::Overloaded), 5),
        ("an error of theirs", Behaviour::trouble(Trouble::ServerError), 5),
        ("an empty answer", Behaviour::named("empty").expect("known"), 5),
        ("an answer that breaks off after its beginning", cut, 5),
    ];
    for (case, behaviour, seconds) in cases {
        let proxy = TestProxy::builder().with("GROQ_MODEL", "openai/gpt-oss-20b").start().await?;
        let groq = proxy.provider(Provider::GROQ);
        groq.then(behaviour);
        chat(&proxy, &pinned()).await?;
        proxy.clock.advance(Duration::from_secs(seconds - 2));
        let refused = chat(&proxy, &pinned()).await?;
        assert!(refused.status != 200 && groq.chats().len() == 1, "{case}: called during its cooldown");
        let left: u64 = refused.header("retry-after").expect("a time").parse()?;
        // Where nobody has stated it, the time is a little longer by chance.
        assert!((1..=3).contains(&left), "{case}: {left}");
        assert_eq!(refused.json()["attempts"][0].get("status"), None, "{case}: nobody was asked");
        proxy.clock.advance(Duration::from_secs(left));
        assert_eq!(
            chat(&proxy, &pinned()).await?.status,
            200,
            "{case}: a client that obeys Retry-After is served"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_dead_model_costs_one_call_for_the_life_of_the_process() -> anyhow::Result<()> {
    let proxy =
        TestProxy::builder().with("GROQ_MODEL", "mixtral-8x7b-32768,openai/gpt-oss-20b").start().await?;
    let reply = chat(&proxy, &pinned()).await?;
    assert_eq!(reply.header("x-attempts"), Some("Groq:model_gone, Groq:ok"));
    for _ in 0..3 {
        proxy.clock.advance(Duration::from_secs(100_000));
        assert_eq!(chat(&proxy, &pinned()).await?.header("x-attempts"), Some("Groq:ok"));
    }
    Ok(())
}

/// A day's limit ends at midnight in California, not after the half minute that Google states.
#[tokio::test]
async fn googles_day_is_believed_over_googles_delay() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("GEMINI_MODEL", "gemini-3.5-flash-lite").start().await?;
    let gemini = proxy.provider(Provider::GEMINI);
    gemini.then(Behaviour::trouble(Trouble::QuotaExhausted(34.4)));
    let mut pinned = pinned();
    pinned["provider"] = json!("Gemini");
    let refused = chat(&proxy, &pinned).await?;
    assert_eq!((refused.status, &refused.json()["attempts"][0]["reason"]), (429, &json!("quota_exhausted")));
    let seconds: u64 = refused.header("retry-after").expect("a time").parse()?;
    proxy.clock.advance(Duration::from_secs(seconds) - Duration::from_secs(2));
    assert_eq!(chat(&proxy, &pinned).await?.status, 429);
    proxy.clock.advance(Duration::from_secs(3));
    assert_eq!(chat(&proxy, &pinned).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_successful_answer_can_say_that_it_was_the_last() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("GROQ_MODEL", "openai/gpt-oss-20b").start().await?;
    let groq = proxy.provider(Provider::GROQ);
    let answer = |remaining: &str| {
        Behaviour::new(Reply::Raw {
            status: 200,
            headers: vec![
                ("content-type".into(), "text/event-stream".into()),
                ("x-ratelimit-remaining-requests".into(), remaining.into()),
                ("x-ratelimit-reset-requests".into(), "2m59.56s".into()),
            ],
            body: vec![
                b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n"
                    .to_vec(),
            ],
        })
    };
    groq.then(answer("1"));
    groq.then(answer("0"));
    assert_eq!(chat(&proxy, &pinned()).await?.status, 200);
    assert_eq!(chat(&proxy, &pinned()).await?.status, 200);
    let refused = chat(&proxy, &pinned()).await?;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("180")));
    assert_eq!(groq.chats().len(), 2, "no call is wasted on a refusal");
    assert_eq!(proxy.counts(Provider::GROQ).await?, (2, 0));
    proxy.clock.advance(Duration::from_secs(180));
    assert_eq!(chat(&proxy, &pinned()).await?.status, 200);
    Ok(())
}

/// While every provider is in cooldown none is called, and the client knows when to come back.
#[tokio::test]
async fn with_all_in_cooldown_the_refusal_is_immediate_and_exact() -> anyhow::Result<()> {
    let proxy = TestProxy::builder()
        .core()
        .with("GROQ_MODEL", "openai/gpt-oss-20b")
        .with("CEREBRAS_MODEL", "gpt-oss-120b")
        .with("GEMINI_MODEL", "gemini-3.5-flash-lite")
        .start()
        .await?;
    for (provider, seconds) in [(Provider::GROQ, 50.0), (Provider::CEREBRAS, 20.0), (Provider::GEMINI, 90.0)]
    {
        proxy.provider(provider).then(Behaviour::trouble(Trouble::RateLimited(seconds)));
    }
    let first = chat(&proxy, &question()).await?;
    assert_eq!((first.status, first.header("retry-after")), (429, Some("20")));
    for _ in 0..5 {
        let again = chat(&proxy, &question()).await?;
        assert_eq!(again.status, 429);
        let reasons = again.json()["attempts"].clone();
        for attempt in reasons.as_array().expect("attempts") {
            assert_eq!(attempt["reason"], "rate_limited", "the reason of its cooldown");
        }
        assert_eq!(reasons.as_array().map(Vec::len), Some(3));
    }
    assert_eq!(proxy.upstream_calls(), 3);
    proxy.clock.advance(Duration::from_secs(20));
    let served = chat(&proxy, &question()).await?;
    assert_eq!(served.header("x-attempts"), Some("Groq:cooling_down, Cerebras:ok"));
    Ok(())
}

#[tokio::test]
async fn a_bad_key_leaves_the_other_keys_alone() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("GROQ_API_KEY", "an-invalid-key, good-key").start().await?;
    assert_eq!(chat(&proxy, &pinned()).await?.header("x-attempts"), Some("Groq:bad_key, Groq:ok"));
    for _ in 0..3 {
        assert_eq!(chat(&proxy, &pinned()).await?.header("x-attempts"), Some("Groq:ok"));
    }
    let keys: Vec<_> = proxy
        .provider(Provider::GROQ)
        .chats()
        .iter()
        .filter_map(|it| it.header("authorization").map(str::to_owned))
        .collect();
    assert_eq!(keys[0], "Bearer an-invalid-key");
    assert!(keys[1..].iter().all(|key| key == "Bearer good-key"), "{keys:?}");
    Ok(())
}

/// With everybody failing, requests must not multiply into calls.
#[tokio::test]
async fn row_120_a_dead_world_is_called_no_more_than_it_must_be() -> anyhow::Result<()> {
    for behaviour in ["overloaded", "server_error", "empty", "html_200", "bad_key", "rate_limited"] {
        let proxy = TestProxy::start().await?;
        proxy.all(&Behaviour::named(behaviour).expect("known"));
        chat(&proxy, &question()).await?;
        let first_round = proxy.upstream_calls();
        for _ in 0..100 {
            chat(&proxy, &question()).await?;
        }
        let calls = proxy.upstream_calls() - first_round;
        assert!(calls <= 20, "{behaviour}: {calls} calls for 100 requests");
    }
    Ok(())
}

/// A probe is over with the first content, however long the answer takes and however it is to be sent.
#[tokio::test]
async fn a_probe_opens_the_way_as_soon_as_it_has_content() -> anyhow::Result<()> {
    for stream in [true, false] {
        let proxy = TestProxy::start().await?;
        let groq = proxy.provider(Provider::GROQ);
        groq.then(Behaviour::trouble(Trouble::Overloaded));
        assert_eq!(chat(&proxy, &pinned()).await?.status, 502);
        proxy.clock.advance(Duration::from_secs(6));

        groq.then(Behaviour::answer(["One, ", "two."]).with(Fault::Stall(After::Text(1))));
        let mut body = pinned();
        body["stream"] = json!(stream);
        let probe = RawClient::post(proxy.address, &body).await?;
        let served = async {
            while chat(&proxy, &pinned()).await?.status != 200 {
                tokio::task::yield_now().await;
            }
            anyhow::Ok(())
        };
        within_patience("the way to be open", served).await?;
        drop(probe);
    }
    Ok(())
}

/// Of many requests that come when a cooldown is over, one probes it; the others are answered by other providers.
#[tokio::test]
async fn row_121_a_crowd_probes_once() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let groq = proxy.provider(Provider::GROQ);
    groq.always(Behaviour::trouble(Trouble::ServerError));
    assert_eq!(chat(&proxy, &question()).await?.header("x-provider"), Some("Cerebras"));
    proxy.clock.advance(Duration::from_secs(6));
    let client = crate::support::http_client()?;
    let crowd = (0..30).map(|_| client.post(proxy.url("/chat")).json(&question()).send());
    for response in futures::future::try_join_all(crowd).await? {
        assert_eq!(response.status(), 200);
    }
    assert_eq!(groq.chats().len(), 2, "the first failure and one probe");
    Ok(())
}
