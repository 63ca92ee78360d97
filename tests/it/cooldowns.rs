//! Who has failed is left alone for a while, and no longer; on a clock that can be turned.

use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Reply, Trouble};
use serde_json::json;

use crate::support::{RawClient, TestProxy, chat, question, within_patience};

fn pinned() -> serde_json::Value {
    json!({"messages": [{"role": "user", "content": "Hola"}], "provider": "Groq"})
}

/// What a provider has said is believed: nobody is called, and the client is told when to come back.
#[tokio::test]
async fn what_a_provider_has_said_lasts_as_long_as_promised() -> anyhow::Result<()> {
    let cases = [
        ("a limit, as long as stated", Trouble::RateLimited(77.0), 77),
        ("a wrong key", Trouble::BadKey, 600),
        ("no credit", Trouble::NoCredit, 600),
    ];
    for (case, trouble, seconds) in cases {
        let proxy = TestProxy::builder().with("GROQ_MODEL", "openai/gpt-oss-20b").start().await?;
        let groq = proxy.provider(Provider::GROQ);
        groq.then(Behaviour::trouble(trouble));
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

/// What has merely happened costs a place in the line for some seconds, and never an answer.
#[tokio::test]
async fn row_128_who_has_failed_comes_last_for_a_while_and_is_called_when_nobody_else_is_left()
-> anyhow::Result<()> {
    let answer = || Behaviour::answer(["One, ", "two."]);
    let cases = [
        ("overload", Behaviour::trouble(Trouble::Overloaded)),
        ("an error of theirs", Behaviour::trouble(Trouble::ServerError)),
        ("an answer that breaks off after its beginning", answer().with(Fault::EndEarly(After::Text(1)))),
        ("a reset", answer().with(Fault::Reset(After::Nothing))),
        ("a web page", Behaviour::new(Reply::Html(200))),
    ];
    for (case, behaviour) in cases {
        let proxy = TestProxy::builder().core().with("GROQ_MODEL", "openai/gpt-oss-20b").start().await?;
        proxy.provider(Provider::GROQ).then(behaviour);
        chat(&proxy, &question()).await?;
        let mut answered = Vec::new();
        for seconds in [1, 1, 1, 1, 2] {
            let reply = chat(&proxy, &question()).await?;
            answered.push(reply.header("x-provider").unwrap_or_default().to_owned());
            proxy.clock.advance(Duration::from_secs(seconds));
        }
        assert!(!answered.contains(&"Groq".to_owned()), "{case}: {answered:?}");
        let again = chat(&proxy, &question()).await?;
        assert_eq!(again.header("x-attempts"), Some("Groq:ok"), "{case}: after some seconds it has its turn");

        let proxy = TestProxy::builder().with("GROQ_MODEL", "openai/gpt-oss-20b").start().await?;
        proxy.provider(Provider::GROQ).then(Behaviour::trouble(Trouble::ServerError));
        assert_eq!(chat(&proxy, &pinned()).await?.status, 502, "{case}");
        assert_eq!(chat(&proxy, &pinned()).await?.status, 200, "{case}: there is nobody else");
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

/// A day's limit ends at midnight in California. The half minute that Google states is tried once.
#[tokio::test]
async fn googles_delay_is_tried_once_and_then_googles_day_is_believed() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("GEMINI_MODEL", "gemini-3.5-flash-lite").start().await?;
    let gemini = proxy.provider(Provider::GEMINI);
    gemini.then(Behaviour::trouble(Trouble::QuotaExhausted(34.4)));
    gemini.then(Behaviour::trouble(Trouble::QuotaExhausted(34.4)));
    let mut pinned = pinned();
    pinned["provider"] = json!("Gemini");
    for (times, expected) in [(1, 35), (2, 12 * 3_600 - 35)] {
        let refused = chat(&proxy, &pinned).await?;
        assert_eq!(
            (refused.status, &refused.json()["attempts"][0]["reason"]),
            (429, &json!("quota_exhausted"))
        );
        assert_eq!(gemini.chats().len(), times);
        let seconds: u64 = refused.header("retry-after").expect("a time").parse()?;
        assert_eq!(seconds, expected);
        proxy.clock.advance(Duration::from_secs(seconds - 2));
        assert_eq!(chat(&proxy, &pinned).await?.status, 429);
        assert_eq!(gemini.chats().len(), times, "nobody is called before");
        proxy.clock.advance(Duration::from_secs(2));
    }
    assert_eq!(chat(&proxy, &pinned).await?.status, 200);
    Ok(())
}

/// Groq's `remaining: 0` comes with the time until the whole quota is back. The next request has room after its share of
/// it. Cerebras's windows end all at once.
#[tokio::test]
async fn a_successful_answer_can_say_that_it_was_the_last() -> anyhow::Result<()> {
    let answer = |name: &str, remaining: &str, reset: &str| {
        let header =
            |what: &str, value: &str| (format!("x-ratelimit-{what}-requests{name}"), value.to_owned());
        Behaviour::new(Reply::Raw {
            status: 200,
            headers: vec![
                ("content-type".into(), "text/event-stream".into()),
                header("limit", "1000"),
                header("remaining", remaining),
                header("reset", reset),
            ],
            body: vec![
                b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n"
                    .to_vec(),
            ],
        })
    };
    let cases = [
        (Provider::GROQ, "openai/gpt-oss-20b", "", "24h0m0s", 87),
        (Provider::CEREBRAS, "gpt-oss-120b", "-day", "33011.382867", 33_012),
    ];
    for (provider, model, name, reset, expected) in cases {
        let proxy = TestProxy::builder().with(provider.profile().models_variable, model).start().await?;
        let simulated = proxy.provider(provider);
        simulated.then(answer(name, "1", reset));
        simulated.then(answer(name, "0", reset));
        let mut pinned = pinned();
        pinned["provider"] = json!(provider.name());
        assert_eq!(chat(&proxy, &pinned).await?.status, 200);
        assert_eq!(chat(&proxy, &pinned).await?.status, 200);
        let refused = chat(&proxy, &pinned).await?;
        let retry_after: u64 = refused.header("retry-after").expect("a time").parse()?;
        assert_eq!((refused.status, retry_after), (429, expected), "{provider:?}");
        assert_eq!(simulated.chats().len(), 2, "no call is wasted on a refusal");
        assert_eq!(proxy.counts(provider).await?, (2, 0));
        proxy.clock.advance(Duration::from_secs(expected));
        assert_eq!(chat(&proxy, &pinned).await?.status, 200);
    }
    Ok(())
}

/// A limit that is over is over for everybody at once.
#[tokio::test]
async fn a_crowd_that_obeys_retry_after_is_served() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("GROQ_MODEL", "openai/gpt-oss-20b").start().await?;
    let groq = proxy.provider(Provider::GROQ);
    groq.then(Behaviour::trouble(Trouble::RateLimited(9.0)));
    assert_eq!(chat(&proxy, &pinned()).await?.status, 429);
    proxy.clock.advance(Duration::from_secs(9));
    let slow = || Behaviour::answer(["One, ", "two."]).with(Fault::Stall(After::Text(1)));
    groq.then(slow());
    let first = RawClient::post(proxy.address, &pinned()).await?;
    for _ in 0..3 {
        assert_eq!(chat(&proxy, &pinned()).await?.status, 200, "whether the first one is answered or not");
    }
    drop(first);
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

/// With everybody failing, what was announced costs nothing, and what happens costs a request its six calls and no more.
#[tokio::test]
async fn row_120_a_dead_world_is_called_no_more_than_it_must_be() -> anyhow::Result<()> {
    for behaviour in ["bad_key", "rate_limited", "overloaded", "server_error", "empty", "html_200"] {
        let most = if ["bad_key", "rate_limited"].contains(&behaviour) { 0 } else { 6 };
        let proxy = TestProxy::start().await?;
        proxy.all(&Behaviour::named(behaviour).expect("known"));
        chat(&proxy, &question()).await?;
        // What is announced is found out for each model once.
        while most == 0 && proxy.upstream_calls() < 100 {
            let before = proxy.upstream_calls();
            chat(&proxy, &question()).await?;
            if proxy.upstream_calls() == before {
                break;
            }
        }
        for request in 0..30 {
            let before = proxy.upstream_calls();
            chat(&proxy, &question()).await?;
            let calls = proxy.upstream_calls() - before;
            assert!(calls <= most, "{behaviour}: {calls} calls for request {request}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_request_costs_no_more_calls_than_is_set() -> anyhow::Result<()> {
    for most in [1, 2, 4, 6] {
        let keys = (0..5).map(|number| format!("key-{number}")).collect::<Vec<_>>().join(",");
        let proxy =
            TestProxy::builder().with("GROQ_API_KEY", keys).with("MAX_ATTEMPTS", most).start().await?;
        proxy.all(&Behaviour::trouble(Trouble::ServerError));
        let refused = chat(&proxy, &question()).await?;
        assert_eq!((refused.status, proxy.upstream_calls()), (502, most));
        let limited = TestProxy::builder().with("MAX_ATTEMPTS", most).start().await?;
        limited.all(&Behaviour::trouble(Trouble::RateLimited(60.0)));
        chat(&limited, &question()).await?;
        assert!(limited.upstream_calls() <= most);
    }
    Ok(())
}

/// A refused key is good again with the head of a good answer, a failing model with the first thought, however long the
/// answer takes and however it is to be sent.
#[tokio::test]
async fn who_is_well_again_is_known_as_soon_as_an_answer_begins() -> anyhow::Result<()> {
    let cases = [
        (Trouble::BadKey, 602, Behaviour::answer(["One"]).with(Fault::Stall(After::Head))),
        (Trouble::Overloaded, 6, Behaviour::answer(["One"]).thinking(["hm"]).with(Fault::Stall(After::Head))),
    ];
    for (trouble, seconds, slow) in cases {
        for stream in [true, false] {
            let proxy = TestProxy::builder().with("GROQ_MODEL", "openai/gpt-oss-20b").start().await?;
            let groq = proxy.provider(Provider::GROQ);
            groq.then(Behaviour::trouble(trouble));
            assert_eq!(chat(&proxy, &pinned()).await?.status, 502);
            let state =
                async || anyhow::Ok(proxy.report(Provider::GROQ).await?["models"][0]["state"].clone());
            assert_ne!(state().await?, "ready");
            proxy.clock.advance(Duration::from_secs(seconds));
            groq.then(slow.clone());
            let mut body = pinned();
            body["stream"] = json!(stream);
            let probe = RawClient::post(proxy.address, &body).await?;
            groq.until(|groq| groq.chats().len() == 2).await;
            let ready = async {
                while state().await? != "ready" {
                    tokio::task::yield_now().await;
                }
                anyhow::Ok(())
            };
            within_patience("the way to be open", ready).await?;
            drop(probe);
        }
    }
    Ok(())
}

/// Of many requests that come when the wait is over, one tries the failing provider; the others are answered by others.
#[tokio::test]
async fn row_121_a_crowd_probes_once() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().core().with("GROQ_MODEL", "openai/gpt-oss-20b").start().await?;
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
