//! `GET /providers` tells what is known of every provider and model, and nothing else.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Reply, Trouble};
use serde_json::{Value, json};

use crate::support::{
    RawClient, TestProxy, chat, http_client, question, with_one_model_each, within_patience,
};

/// One model each, so that a failure is seen at once.
fn asking(provider: Provider) -> Value {
    json!({"messages": [{"role": "user", "content": "Hola"}], "provider": provider.name()})
}

/// A refusal as it stands in a fixture.
fn refusal(provider: Provider, fixture: &str, headers: &[(&str, &str)]) -> Behaviour {
    let folder = provider.name().to_ascii_lowercase();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder).join(fixture);
    let body = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Behaviour::new(Reply::Raw { status: 429, headers: lines("application/json", headers), body: vec![body] })
}

/// A good answer with these headers, in the dialect of Groq and Cerebras.
fn answer_with(headers: &[(&str, &str)]) -> Behaviour {
    let event = b"data: {\"choices\":[{\"delta\":{\"content\":\"Hola\"},\"finish_reason\":\"stop\"}]}\n\n";
    let headers = lines("text/event-stream", headers);
    Behaviour::new(Reply::Raw { status: 200, headers, body: vec![event.to_vec()] })
}

fn lines(content_type: &str, headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let all = [("content-type", content_type)].into_iter().chain(headers.iter().copied());
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What the clock of a test says before it is moved.
const START: &str = "2026-11-23T20:00:00.000Z";

/// The limit of the provider's first model that is about this unit and window.
async fn limit(proxy: &TestProxy, provider: Provider, unit: &str, window: &str) -> anyhow::Result<Value> {
    let report = proxy.report(provider).await?;
    let limits = report["models"][0]["limits"].as_array().expect("a list").clone();
    let mut its = limits.into_iter().filter(|it| it["unit"] == unit && it["window"] == window);
    let found = its.next().unwrap_or_default();
    assert!(its.next().is_none(), "one line for each: {report}");
    Ok(found)
}

/// State, reason and end of what the provider's first model is in.
async fn standing(proxy: &TestProxy, provider: Provider) -> anyhow::Result<(String, Value, Value)> {
    let model = proxy.report(provider).await?["models"][0].clone();
    Ok((model["state"].as_str().expect("a word").to_owned(), model["reason"].clone(), model["until"].clone()))
}

#[tokio::test]
async fn the_report_has_exactly_the_promised_shape() -> anyhow::Result<()> {
    let proxy = with_one_model_each().only([Provider::GROQ, Provider::GEMINI]).start().await?;
    proxy.provider(Provider::GROQ).then(answer_with(&[
        ("x-ratelimit-limit-requests", "1000"),
        ("x-ratelimit-remaining-requests", "970"),
        ("x-ratelimit-reset-requests", "2m59.56s"),
    ]));
    proxy.provider(Provider::GROQ).then(refusal(Provider::GROQ, "error_rpm.json", &[]));
    for _ in 0..2 {
        chat(&proxy, &asking(Provider::GROQ)).await?;
    }
    let text = http_client()?.get(proxy.url("/providers")).send().await?.text().await?;
    let report: Value = serde_json::from_str(&text)?;
    let first_token = &report["providers"][0]["models"][0]["time_to_first_token_ms"];
    let (p50, p99) = (first_token["p50"].as_u64().expect("ms"), first_token["p99"].as_u64().expect("ms"));
    // What the answer was reserved is not given back: it did not say what it has used.
    let limits = &report["providers"][0]["models"][0]["limits"];
    let used = limits[2]["used"].as_u64().expect("tokens");
    assert!((4_000..4_100).contains(&used), "{limits}");
    let expected = format!(
        concat!(
            r#"{{"waiting":0,"providers":["#,
            r#"{{"name":"Groq","configured":true,"keys":1,"models":[{{"id":"openai/gpt-oss-20b","#,
            r#""state":"cooling_down","reason":"rate_limited","until":"2026-11-23T20:00:02.000Z","limits":["#,
            r#"{{"unit":"requests","window":"minute","limit":30,"used":30,"remaining":0,"#,
            r#""resets_at":"2026-11-23T20:00:02.000Z","source":"error_body","as_of":"2026-11-23T20:00:00.000Z"}},"#,
            r#"{{"unit":"requests","window":"day","limit":1000,"used":30,"remaining":970,"#,
            r#""resets_at":"2026-11-23T20:02:59.560Z","source":"header","as_of":"2026-11-23T20:00:00.000Z"}},"#,
            r#"{{"unit":"tokens","window":"minute","limit":8000,"used":{used},"remaining":{left},"#,
            r#""resets_at":"{refilled}","source":"default"}},"#,
            r#"{{"unit":"tokens","window":"day","limit":200000,"used":{used},"remaining":{left_today},"#,
            r#""resets_at":"{refilled_day}","source":"default"}}],"#,
            r#""outcomes":{{"ok":1,"rate_limited":1}},"time_to_first_token_ms":{{"p50":{p50},"p99":{p99}}}}}]}},"#,
            r#"{{"name":"Cerebras","configured":false,"keys":0,"models":[{{"id":"gpt-oss-120b","#,
            r#""state":"disabled","limits":["#,
            r#"{{"unit":"requests","window":"minute","limit":5,"source":"default"}},"#,
            r#"{{"unit":"tokens","window":"minute","limit":30000,"source":"default"}},"#,
            r#"{{"unit":"tokens","window":"hour","limit":1000000,"source":"default"}},"#,
            r#"{{"unit":"tokens","window":"day","limit":1000000,"source":"default"}}],"#,
            r#""outcomes":{{}}}}]}},"#,
            r#"{{"name":"Gemini","configured":true,"keys":1,"models":[{{"id":"gemini-3.5-flash-lite","#,
            r#""state":"ready","limits":["#,
            r#"{{"unit":"requests","window":"minute","limit":15,"used":0,"remaining":15,"source":"default"}},"#,
            r#"{{"unit":"requests","window":"day","limit":500,"used":0,"remaining":500,"#,
            r#""resets_at":"2026-11-24T08:00:00.000Z","source":"default"}},"#,
            r#"{{"unit":"tokens","window":"minute","limit":250000,"used":0,"remaining":250000,"#,
            r#""source":"default"}}],"#,
            r#""outcomes":{{}}}}]}}]}}"#
        ),
        p50 = p50,
        p99 = p99,
        used = used,
        left = 8_000 - used,
        left_today = 200_000 - used,
        refilled = limits[2]["resets_at"].as_str().expect("a time"),
        refilled_day = limits[3]["resets_at"].as_str().expect("a time"),
    );
    assert_eq!(text, expected);
    Ok(())
}

#[tokio::test]
async fn models_stand_in_their_order_of_preference() -> anyhow::Result<()> {
    let proxy =
        TestProxy::builder().with("GROQ_MODEL", "some-new-model, openai/gpt-oss-120b").start().await?;
    let report = proxy.report(Provider::GROQ).await?;
    let models = report["models"].as_array().expect("a list");
    let ids: Vec<_> = models.iter().map(|model| model["id"].as_str().expect("an id")).collect();
    assert_eq!(ids, ["some-new-model", "openai/gpt-oss-120b"]);
    assert_eq!(models[0]["limits"], json!([]), "of a model in no table nothing is known");
    Ok(())
}

#[tokio::test]
async fn a_state_says_why_and_until_when_and_heals_with_time() -> anyhow::Result<()> {
    let cases = [
        (Trouble::RateLimited(77.0), "cooling_down", "rate_limited", "2026-11-23T20:01:17.000Z"),
        (Trouble::Overloaded, "cooling_down", "overloaded", "2026-11-23T20:00:05.000Z"),
        (Trouble::QuotaExhausted(600.0), "exhausted", "quota_exhausted", "2026-11-23T20:10:00.000Z"),
        (Trouble::BadKey, "disabled", "bad_key", "2026-11-23T20:10:00.000Z"),
        (Trouble::NoCredit, "disabled", "no_credit", "2026-11-23T20:10:00.000Z"),
    ];
    for (trouble, state, reason, until) in cases {
        for provider in [Provider::GROQ, Provider::CEREBRAS] {
            let proxy = with_one_model_each().start().await?;
            proxy.provider(provider).then(Behaviour::trouble(trouble));
            assert_eq!(standing(&proxy, provider).await?, ("ready".to_owned(), Value::Null, Value::Null));
            chat(&proxy, &asking(provider)).await?;
            let (its_state, its_reason, its_until) = standing(&proxy, provider).await?;
            assert_eq!((its_state.as_str(), its_reason), (state, json!(reason)), "{provider:?}");
            // Where the provider has stated no time, chance adds less than a second.
            let its_until = its_until.as_str().expect("a time");
            assert_eq!(its_until[..19], until[..19], "{provider:?} {reason}");
            proxy.clock.advance(Duration::from_secs(601));
            assert_eq!(standing(&proxy, provider).await?.0, "ready", "{provider:?} {reason}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_dead_model_is_disabled_for_good_and_its_siblings_are_ready() -> anyhow::Result<()> {
    let proxy =
        TestProxy::builder().with("GROQ_MODEL", "mixtral-8x7b-32768,openai/gpt-oss-20b").start().await?;
    chat(&proxy, &asking(Provider::GROQ)).await?;
    proxy.clock.advance(Duration::from_secs(100_000_000));
    let report = proxy.report(Provider::GROQ).await?;
    let [dead, alive] = &report["models"].as_array().expect("a list")[..] else { panic!("{report}") };
    assert_eq!((&dead["state"], &dead["reason"]), (&json!("disabled"), &json!("model_gone")));
    assert_eq!(dead.get("until"), None, "it never ends");
    assert_eq!((&dead["outcomes"], &alive["outcomes"]), (&json!({"model_gone": 1}), &json!({"ok": 1})));
    assert_eq!(alive["state"], "ready");
    Ok(())
}

#[tokio::test]
async fn headers_tell_what_is_left() -> anyhow::Result<()> {
    let groq = [
        ("x-ratelimit-limit-requests", "1000"),
        ("x-ratelimit-remaining-requests", "970"),
        ("x-ratelimit-reset-requests", "43m12s"),
        ("x-ratelimit-limit-tokens", "8000"),
        ("x-ratelimit-remaining-tokens", "7400"),
        ("x-ratelimit-reset-tokens", "4.5s"),
    ];
    let cerebras = [
        ("x-ratelimit-limit-requests-day", "1000"),
        ("x-ratelimit-remaining-requests-day", "970"),
        ("x-ratelimit-reset-requests-day", "2592.0"),
        ("x-ratelimit-limit-tokens-minute", "8000"),
        ("x-ratelimit-remaining-tokens-minute", "7400"),
        ("x-ratelimit-reset-tokens-minute", "4.5"),
    ];
    for (provider, headers) in [(Provider::GROQ, &groq), (Provider::CEREBRAS, &cerebras)] {
        let proxy = with_one_model_each().start().await?;
        proxy.provider(provider).then(answer_with(headers));
        chat(&proxy, &asking(provider)).await?;
        let day = json!({"unit": "requests", "window": "day", "limit": 1000, "used": 30, "remaining": 970,
            "resets_at": "2026-11-23T20:43:12.000Z", "source": "header", "as_of": START});
        let minute = json!({"unit": "tokens", "window": "minute", "limit": 8000, "used": 600,
            "remaining": 7400, "resets_at": "2026-11-23T20:00:04.500Z", "source": "header", "as_of": START});
        assert_eq!(limit(&proxy, provider, "requests", "day").await?, day, "{provider:?}");
        assert_eq!(limit(&proxy, provider, "tokens", "minute").await?, minute, "{provider:?}");

        proxy.clock.advance(Duration::from_millis(4_499));
        let nearly = limit(&proxy, provider, "tokens", "minute").await?;
        assert_eq!(nearly["remaining"], 7_999, "{provider:?}: they come back little by little");
        proxy.clock.advance(Duration::from_millis(1));
        let whole = json!({"unit": "tokens", "window": "minute", "limit": 8000, "used": 0, "remaining": 8000,
            "source": "header", "as_of": START});
        assert_eq!(
            limit(&proxy, provider, "tokens", "minute").await?,
            whole,
            "{provider:?}: it is whole again"
        );
        assert_eq!(limit(&proxy, provider, "requests", "day").await?, day, "{provider:?}");
    }
    Ok(())
}

/// A day of 1,000 that comes back continuously has one again after 86.4 s. A guess that is used up refuses nobody.
#[tokio::test]
async fn a_model_without_room_says_so_and_until_when() -> anyhow::Result<()> {
    let proxy = with_one_model_each().start().await?;
    proxy.provider(Provider::GROQ).then(answer_with(&[
        ("x-ratelimit-limit-requests", "1000"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "24h0m0s"),
    ]));
    chat(&proxy, &asking(Provider::GROQ)).await?;
    let used_up = ("exhausted".to_owned(), json!("quota_exhausted"), json!("2026-11-23T20:01:26.400Z"));
    assert_eq!(standing(&proxy, Provider::GROQ).await?, used_up);
    proxy.clock.advance(Duration::from_millis(86_400));
    assert_eq!(standing(&proxy, Provider::GROQ).await?.0, "ready");

    for _ in 0..5 {
        chat(&proxy, &asking(Provider::CEREBRAS)).await?;
    }
    let minute = limit(&proxy, Provider::CEREBRAS, "requests", "minute").await?;
    assert_eq!((&minute["remaining"], &minute["source"]), (&json!(0), &json!("default")));
    assert_eq!(standing(&proxy, Provider::CEREBRAS).await?.0, "ready");
    Ok(())
}

/// Whatever becomes of the answer, its head has told.
#[tokio::test]
async fn a_failed_answer_tells_what_is_left_as_well() -> anyhow::Result<()> {
    let headers = [("x-ratelimit-limit-requests", "1000"), ("x-ratelimit-remaining-requests", "7")];
    let head_alone = Behaviour::new(Reply::Raw {
        status: 200,
        headers: lines("text/event-stream", &headers),
        body: vec![b": nothing yet\n\n".to_vec()],
    });
    let broken = [
        head_alone.clone().with(Fault::Cut(After::Head)),
        head_alone.with(Fault::Stall(After::Head)),
        refusal(Provider::GROQ, "error_tpm.json", &headers),
    ];
    for behaviour in broken {
        let proxy = with_one_model_each().with("REQUEST_TIMEOUT_MS", 300).start().await?;
        proxy.provider(Provider::GROQ).then(behaviour.clone());
        assert_ne!(chat(&proxy, &asking(Provider::GROQ)).await?.status, 200);
        let day = limit(&proxy, Provider::GROQ, "requests", "day").await?;
        assert_eq!((&day["remaining"], &day["source"]), (&json!(7), &json!("header")), "{behaviour:?}");
    }
    Ok(())
}

#[tokio::test]
async fn refusals_tell_the_limit_that_was_hit() -> anyhow::Result<()> {
    let told = |limit: u64, remaining: Option<u64>, resets_at: Option<&str>| {
        let mut told = json!({"limit": limit, "source": "error_body", "as_of": START});
        if let Some(remaining) = remaining {
            told["remaining"] = json!(remaining);
            told["used"] = json!(limit - remaining);
        }
        if let Some(resets_at) = resets_at {
            told["resets_at"] = json!(resets_at);
        }
        told
    };
    const GEMINI: Provider = Provider::GEMINI;
    const GROQ: Provider = Provider::GROQ;
    let midnight = Some("2026-11-24T08:00:00.000Z");
    let cases = [
        (GROQ, "error_rpm.json", "requests", "minute", told(30, Some(0), Some("2026-11-23T20:00:02.000Z"))),
        (GROQ, "error_rpd.json", "requests", "day", told(1_000, Some(0), Some("2026-11-23T20:01:26.400Z"))),
        (GROQ, "error_tpm.json", "tokens", "minute", told(8_000, Some(95), Some("2026-11-23T20:00:07.660Z"))),
        (
            GROQ,
            "error_tpd.json",
            "tokens",
            "day",
            told(200_000, Some(2_950), Some("2026-11-23T20:09:38.016Z")),
        ),
        (GROQ, "error_too_large.json", "tokens", "minute", told(8_000, Some(8_000), None)),
        (GEMINI, "error_per_day.json", "requests", "day", told(20, Some(0), midnight)),
        (
            GEMINI,
            "error_per_minute.json",
            "requests",
            "minute",
            told(5, Some(0), Some("2026-11-23T20:00:34.400Z")),
        ),
    ];
    for (provider, fixture, unit, window, mut expected) in cases {
        let proxy = with_one_model_each().start().await?;
        proxy.provider(provider).then(refusal(provider, fixture, &[]));
        chat(&proxy, &asking(provider)).await?;
        (expected["unit"], expected["window"]) = (json!(unit), json!(window));
        assert_eq!(limit(&proxy, provider, unit, window).await?, expected, "{fixture}");
    }
    Ok(())
}

/// What a refusal said is believed until its time has come; then its limit stays, and Google's day is counted here.
#[tokio::test]
async fn googles_day_begins_anew_at_midnight_in_california() -> anyhow::Result<()> {
    let proxy = with_one_model_each().start().await?;
    let day = async || limit(&proxy, Provider::GEMINI, "requests", "day").await;
    for _ in 0..3 {
        chat(&proxy, &asking(Provider::GEMINI)).await?;
    }
    let counted = day().await?;
    assert_eq!((&counted["used"], &counted["remaining"]), (&json!(3), &json!(497)));
    assert_eq!((&counted["source"], &counted["limit"]), (&json!("default"), &json!(500)));
    proxy.provider(Provider::GEMINI).then(refusal(Provider::GEMINI, "error_per_day.json", &[]));
    chat(&proxy, &asking(Provider::GEMINI)).await?;
    assert_eq!(day().await?["used"], 20, "Google knows better");
    proxy.clock.advance(Duration::from_secs(12 * 3_600));
    let anew = day().await?;
    assert_eq!((&anew["used"], &anew["remaining"]), (&json!(0), &json!(20)));
    assert_eq!(anew["source"], "error_body", "the limit is as it was told");
    assert_eq!(anew["as_of"], START, "and when it was told");
    assert_eq!(anew["resets_at"], "2026-11-25T08:00:00.000Z");
    chat(&proxy, &asking(Provider::GEMINI)).await?;
    assert_eq!(day().await?["used"], 1);
    Ok(())
}

#[tokio::test]
async fn a_model_is_ready_while_one_of_its_keys_is_and_accounts_add_up() -> anyhow::Result<()> {
    let proxy = with_one_model_each().with("GROQ_API_KEY", "one,two").start().await?;
    let groq = proxy.provider(Provider::GROQ);
    let headers = |remaining| {
        [
            ("x-ratelimit-limit-requests", "1000"),
            ("x-ratelimit-remaining-requests", remaining),
            ("x-ratelimit-reset-requests", "90s"),
        ]
    };
    assert_eq!(proxy.report(Provider::GROQ).await?["keys"], 2);
    let day = async || limit(&proxy, Provider::GROQ, "requests", "day").await;
    assert_eq!(day().await?["limit"], 2_000);

    groq.then(answer_with(&headers("900")));
    chat(&proxy, &asking(Provider::GROQ)).await?;
    let half_known = day().await?;
    assert_eq!((&half_known["limit"], &half_known["remaining"]), (&json!(2_000), &json!(1_900)));
    assert_eq!(half_known["source"], "default", "of the other key nothing is known but that it was not used");
    groq.then(answer_with(&headers("50")));
    chat(&proxy, &asking(Provider::GROQ)).await?;
    let known = day().await?;
    assert_eq!((&known["used"], &known["remaining"]), (&json!(1_050), &json!(950)));
    assert_eq!((&known["source"], &known["limit"]), (&json!("header"), &json!(2_000)));

    groq.then(Behaviour::trouble(Trouble::RateLimited(50.0)));
    groq.then(Behaviour::trouble(Trouble::RateLimited(20.0)));
    // Both keys are tried within one request.
    assert_eq!(chat(&proxy, &asking(Provider::GROQ)).await?.status, 429);
    let soonest = json!("2026-11-23T20:00:20.000Z");
    assert_eq!(standing(&proxy, Provider::GROQ).await?.2, soonest, "the key that can serve first");
    proxy.clock.advance(Duration::from_secs(20));
    assert_eq!(standing(&proxy, Provider::GROQ).await?.0, "ready");
    Ok(())
}

#[tokio::test]
async fn a_refused_key_is_no_account_and_disables_nothing_while_another_serves() -> anyhow::Result<()> {
    let proxy = with_one_model_each().with("GROQ_API_KEY", "an-invalid-key, good-key").start().await?;
    let reply = chat(&proxy, &asking(Provider::GROQ)).await?;
    assert_eq!(reply.header("x-attempts"), Some("Groq:bad_key, Groq:ok"));
    assert_eq!(standing(&proxy, Provider::GROQ).await?.0, "ready");
    assert_eq!(limit(&proxy, Provider::GROQ, "tokens", "day").await?["limit"], 200_000, "of one account");
    proxy.provider(Provider::GROQ).then(Behaviour::trouble(Trouble::RateLimited(900.0)));
    chat(&proxy, &asking(Provider::GROQ)).await?;
    let (state, reason, _) = standing(&proxy, Provider::GROQ).await?;
    assert_eq!((state.as_str(), reason), ("cooling_down", json!("rate_limited")), "one is merely limited");
    Ok(())
}

/// Whatever happens, in whatever order: the words add up to the calls that the provider has received.
#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_ends_in_exactly_one_word() -> anyhow::Result<()> {
    let answer = || Behaviour::answer(["One, ", "two."]);
    let cases = [
        (answer(), "ok"),
        (Behaviour::new(Reply::Blocked), "ok"),
        (Behaviour::trouble(Trouble::RateLimited(1.0)), "rate_limited"),
        (Behaviour::trouble(Trouble::QuotaExhausted(1.0)), "quota_exhausted"),
        (Behaviour::trouble(Trouble::BadKey), "bad_key"),
        (Behaviour::trouble(Trouble::NoCredit), "no_credit"),
        (Behaviour::trouble(Trouble::TooLarge), "too_large"),
        (Behaviour::trouble(Trouble::ContextTooLong), "context_too_long"),
        (Behaviour::trouble(Trouble::BadRequest), "bad_request"),
        (Behaviour::trouble(Trouble::Overloaded), "overloaded"),
        (Behaviour::trouble(Trouble::ServerError), "upstream_error"),
        (Behaviour::new(Reply::Html(200)), "upstream_error"),
        (Behaviour::named("empty").expect("known"), "ok"),
        (Behaviour::new(Reply::Raw { status: 200, headers: Vec::new(), body: Vec::new() }), "empty_answer"),
        (answer().with(Fault::Stall(After::Head)), "timeout"),
        (answer().with(Fault::Cut(After::Text(1))), "broken_stream"),
        (answer().with(Fault::ErrorEvent(After::Text(1), Trouble::Overloaded)), "overloaded"),
    ];
    for provider in Directory::core() {
        let proxy = with_one_model_each().with("REQUEST_TIMEOUT_MS", 500).start().await?;
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for stream in [true, false] {
            for (behaviour, word) in &cases {
                let mut body = asking(provider);
                body["stream"] = json!(stream);
                proxy.provider(provider).then(behaviour.clone());
                chat(&proxy, &body).await?;
                *expected.entry((*word).to_owned()).or_default() += 1;
                assert_eq!(proxy.outcomes(provider).await?, expected, "{provider:?} {word} {stream}");
                // Beyond every rest.
                proxy.clock.advance(Duration::from_secs(3 * 86_400));
            }
        }
        for fault in [Fault::Stall(After::Nothing), Fault::Stall(After::Text(1))] {
            let calls = proxy.provider(provider).chats().len();
            proxy.provider(provider).then(answer().with(fault));
            let client = RawClient::post(proxy.address, &asking(provider)).await?;
            within_patience("the call", proxy.provider(provider).until(|it| it.chats().len() > calls)).await;
            drop(client);
            *expected.entry("cancelled".to_owned()).or_default() += 1;
            let written = async {
                while proxy.outcomes(provider).await? != expected {
                    tokio::task::yield_now().await;
                }
                anyhow::Ok(())
            };
            within_patience("the outcome", written).await?;
        }
        let sum: u64 = expected.values().sum();
        let failures = sum - expected["ok"] - expected["cancelled"];
        assert_eq!(proxy.provider(provider).chats().len() as u64, sum, "{provider:?}");
        assert_eq!(proxy.counts(provider).await?, (sum, failures), "{provider:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_time_to_the_first_token_is_told_once_there_was_one() -> anyhow::Result<()> {
    for provider in Directory::core() {
        let proxy = with_one_model_each().start().await?;
        let times =
            async || anyhow::Ok(proxy.report(provider).await?["models"][0]["time_to_first_token_ms"].clone());
        for behaviour in [Behaviour::trouble(Trouble::Overloaded), Behaviour::new(Reply::Blocked)] {
            proxy.provider(provider).then(behaviour);
            chat(&proxy, &asking(provider)).await?;
            assert_eq!(times().await?, Value::Null, "{provider:?}: there was none");
            proxy.clock.advance(Duration::from_secs(60));
        }
        let slow = Behaviour::answer(["Hola"]).thinking(["hm"]).thinking_for(Duration::from_millis(150));
        proxy.provider(provider).then(slow);
        chat(&proxy, &asking(provider)).await?;
        let first = times().await?;
        assert!(first["p50"].as_u64().expect("whole ms") >= 150, "{provider:?}: {first}");
        assert_eq!(first["p50"], first["p99"], "{provider:?}: there is one");
    }
    Ok(())
}

/// What comes after the first thought adds nothing.
#[tokio::test]
async fn a_thought_is_a_token() -> anyhow::Result<()> {
    let proxy = with_one_model_each().start().await?;
    let event = |delta: &str| format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n").into_bytes();
    let thought = event(r#"{"reasoning":"hm"}"#);
    let text = event(r#"{"content":"Hola"},"finish_reason":"stop""#);
    let pause = Duration::from_secs(3);
    let headers = lines("text/event-stream", &[]);
    let answer = Behaviour::new(Reply::Raw { status: 200, headers, body: vec![thought, text] });
    proxy.provider(Provider::GROQ).then(answer.paced(pause));
    let begun = Instant::now();
    assert_eq!(chat(&proxy, &asking(Provider::GROQ)).await?.answer().text, "Hola");
    assert!(begun.elapsed() >= pause, "the text comes late");
    let model = proxy.report(Provider::GROQ).await?["models"][0].clone();
    let p50 = model["time_to_first_token_ms"]["p50"].as_u64().expect("whole ms");
    assert!(u128::from(p50) < pause.as_millis(), "{model}");
    Ok(())
}

#[tokio::test]
async fn the_report_calls_nobody_and_answers_when_no_request_would_be_taken() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("MAX_CONCURRENT_REQUESTS", 1).start().await?;
    proxy.all(&Behaviour::answer(["One, ", "two."]).with(Fault::Stall(After::Text(1))));
    let mut client = RawClient::post(proxy.address, &question()).await?;
    client.read_until("One, ").await?;
    assert_eq!(chat(&proxy, &question()).await?.status, 503);
    for provider in Directory::core() {
        assert_eq!(proxy.report(provider).await?["configured"], true);
        assert_eq!(proxy.outcomes(provider).await?, BTreeMap::new(), "under way is not over");
    }
    let head = http_client()?.head(proxy.url("/providers")).send().await?;
    let headers = head.headers();
    assert_eq!(
        (head.status().as_u16(), &headers["content-type"].to_str()?),
        (200, &"application/json; charset=utf-8")
    );
    assert_eq!(head.text().await?, "");
    assert_eq!(proxy.upstream_calls(), 1);
    Ok(())
}

#[tokio::test]
async fn the_report_is_for_those_who_may_ask() -> anyhow::Result<()> {
    let proxy = TestProxy::builder()
        .with("PROXY_API_KEY", "client-key")
        .with("CORS_ORIGINS", "https://app.example")
        .start()
        .await?;
    let get = async |headers: &[(&str, &str)]| {
        let mut request = http_client()?.get(proxy.url("/providers"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        anyhow::Ok(request.send().await?)
    };
    let key = ("authorization", "Bearer client-key");
    assert_eq!(get(&[]).await?.status(), 401);
    assert_eq!(get(&[key, ("origin", "https://evil.example")]).await?.status(), 403);
    let allowed = get(&[key, ("origin", "https://app.example")]).await?;
    assert_eq!(allowed.status(), 200);
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://app.example");
    let text = allowed.text().await?;
    assert!(text.contains("Groq") && !text.contains("client-key") && !text.contains("key-of-"), "{text}");
    Ok(())
}
