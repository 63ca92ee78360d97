//! `GET /metrics` counts what happens, each thing once, in Prometheus's format, and tells the same as the other reports.

mod exposition;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Trouble};
use serde_json::{Value, json};

use self::exposition::Exposition;
use crate::support::{
    ProxyBuilder, RawClient, TestProxy, chat, complete, http_client, question, with_one_model_each,
    within_patience,
};

const REQUESTS: &str = "ai_proxy_requests_total";
const ATTEMPTS: &str = "ai_proxy_attempts_total";
const FIRST_TOKEN: &str = "gen_ai_server_time_to_first_token_seconds";
const DURATION: &str = "gen_ai_server_request_duration_seconds";
const TOKENS: &str = "gen_ai_client_token_usage";

/// What `/metrics` says now.
async fn metrics(proxy: &TestProxy) -> anyhow::Result<Exposition> {
    let response = http_client()?.get(proxy.url("/metrics")).send().await?;
    let content_type = response.headers()["content-type"].to_str()?.to_owned();
    assert_eq!(
        (response.status().as_u16(), content_type.as_str()),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    Ok(Exposition::read(&response.text().await?))
}

/// Asks until it is as expected.
async fn until(
    proxy: &TestProxy,
    what: &str,
    is: impl Fn(&Exposition) -> bool,
) -> anyhow::Result<Exposition> {
    let search = async {
        loop {
            let metrics = metrics(proxy).await?;
            if is(&metrics) {
                return Ok(metrics);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within_patience(what, search).await
}

/// How many requests of a surface had this status.
fn requests(metrics: &Exposition, surface: &str, status: u16) -> Option<f64> {
    metrics.get(REQUESTS, &[("surface", surface), ("status", &status.to_string())])
}

fn model_of(provider: Provider) -> &'static str {
    provider.profile().models[0].id
}

/// How many attempts of the provider's only model ended like this.
fn attempts(metrics: &Exposition, provider: Provider, outcome: &str) -> Option<f64> {
    let labels = [("provider", provider.name()), ("model", model_of(provider)), ("outcome", outcome)];
    metrics.get(ATTEMPTS, &labels)
}

/// A value of one of OpenTelemetry's names for the provider's only model.
fn gen_ai(metrics: &Exposition, name: &str, provider: Provider, more: &[(&str, &str)]) -> Option<f64> {
    let labels = [("gen_ai_provider_name", provider.name()), ("gen_ai_request_model", model_of(provider))];
    metrics.get(name, &[&labels, more].concat())
}

fn durations(metrics: &Exposition, provider: Provider, error: &str) -> Option<f64> {
    gen_ai(metrics, &format!("{DURATION}_count"), provider, &[("error_type", error)])
}

fn groq() -> ProxyBuilder {
    with_one_model_each().only([Provider::GROQ])
}

/// Whatever has happened, the reports agree.
async fn check_against_other_reports(proxy: &TestProxy, metrics: &Exposition) -> anyhow::Result<()> {
    for provider in Directory::core() {
        let name = [("provider", provider.name())];
        let (count, failures) = proxy.counts(provider).await?;
        assert_eq!(metrics.sum(ATTEMPTS, &name), count as f64, "{provider:?}: all have ended");
        let not_failed =
            ["ok", "cancelled"].map(|outcome| metrics.sum(ATTEMPTS, &[name[0], ("outcome", outcome)]));
        let failed = count as f64 - not_failed.iter().sum::<f64>();
        assert_eq!(failed, failures as f64, "{provider:?}");
        let durations =
            metrics.sum(&format!("{DURATION}_count"), &[("gen_ai_provider_name", provider.name())]);
        assert_eq!(durations, count as f64, "{provider:?}");
        for (outcome, count) in proxy.outcomes(provider).await? {
            assert_eq!(metrics.sum(ATTEMPTS, &[name[0], ("outcome", &outcome)]), count as f64, "{outcome}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn before_the_first_request_everything_is_there_and_zero() -> anyhow::Result<()> {
    let proxy = with_one_model_each().core().start().await?;
    let metrics = metrics(&proxy).await?;
    let names = [
        "ai_proxy_attempts_total",
        "ai_proxy_limit",
        "ai_proxy_limit_remaining",
        "ai_proxy_open_streams",
        "ai_proxy_requests_total",
        "ai_proxy_resting",
        "ai_proxy_waiting_requests",
        TOKENS,
        DURATION,
        FIRST_TOKEN,
    ];
    assert_eq!(metrics.families().into_iter().collect::<Vec<_>>(), names);
    // What a rate is taken of begins at zero, else the first of each would not be seen.
    for surface in ["chat", "openai", "other"] {
        for status in [200, 400, 401, 429, 499, 502, 503, 504] {
            assert_eq!(requests(&metrics, surface, status), Some(0.0), "{surface} {status}");
        }
    }
    for provider in Directory::core() {
        for outcome in ["ok", "cancelled", "rate_limited", "bad_key", "upstream_error"] {
            assert_eq!(attempts(&metrics, provider, outcome), Some(0.0), "{provider:?} {outcome}");
        }
        for name in [format!("{FIRST_TOKEN}_count"), format!("{FIRST_TOKEN}_sum")] {
            assert_eq!(gen_ai(&metrics, &name, provider, &[]), Some(0.0), "{provider:?}");
        }
    }
    assert_eq!(metrics.get("ai_proxy_open_streams", &[]), Some(0.0));
    assert_eq!(metrics.get("ai_proxy_waiting_requests", &[]), Some(0.0));
    assert_eq!(proxy.upstream_calls(), 0);
    Ok(())
}

#[tokio::test]
async fn a_good_answer_counts_once_everywhere() -> anyhow::Result<()> {
    let proxy = groq().start().await?;
    let finish = chat(&proxy, &question()).await?.answer().finish.expect("it is complete");
    let mut whole = question();
    whole["stream"] = json!(false);
    let usage = chat(&proxy, &whole).await?.json()["usage"].clone();
    let mut openai = question();
    openai["model"] = json!("auto");
    assert_eq!(complete(&proxy, &openai).await?.status, 200);
    let metrics = metrics(&proxy).await?;
    assert_eq!((requests(&metrics, "chat", 200), requests(&metrics, "openai", 200)), (Some(2.0), Some(1.0)));
    assert_eq!(attempts(&metrics, Provider::GROQ, "ok"), Some(3.0));
    assert_eq!(durations(&metrics, Provider::GROQ, ""), Some(3.0));
    assert_eq!(gen_ai(&metrics, &format!("{FIRST_TOKEN}_count"), Provider::GROQ, &[]), Some(3.0));
    for (kind, field) in [("input", "prompt_tokens"), ("output", "completion_tokens")] {
        let used = [&finish["usage"], &usage, &usage].map(|usage| usage[field].as_f64().expect("a number"));
        let its = [("gen_ai_token_type", kind)];
        assert_eq!(gen_ai(&metrics, &format!("{TOKENS}_count"), Provider::GROQ, &its), Some(3.0), "{kind}");
        assert_eq!(
            gen_ai(&metrics, &format!("{TOKENS}_sum"), Provider::GROQ, &its),
            Some(used.iter().sum()),
            "{kind}"
        );
    }
    check_against_other_reports(&proxy, &metrics).await
}

#[tokio::test]
async fn times_lie_in_their_buckets() -> anyhow::Result<()> {
    let proxy = groq().start().await?;
    // The whole takes at least that; the first word comes earlier, unless the machine is busy.
    let pause = Duration::from_millis(300);
    proxy.provider(Provider::GROQ).then(Behaviour::answer(["One, ", "two."]).paced(pause));
    chat(&proxy, &question()).await?;
    let metrics = metrics(&proxy).await?;
    let bucket = |name: &str, le: &str, more: &[(&str, &str)]| {
        gen_ai(&metrics, &format!("{name}_bucket"), Provider::GROQ, &[more, &[("le", le)]].concat())
    };
    assert_eq!(bucket(DURATION, "0.25", &[("error_type", "")]), Some(0.0), "it took {pause:?} at least");
    assert_eq!(bucket(DURATION, "600", &[("error_type", "")]), Some(1.0));
    assert_eq!(bucket(FIRST_TOKEN, "60", &[]), Some(1.0));
    let sum = |name: &str, more: &[(&str, &str)]| {
        gen_ai(&metrics, &format!("{name}_sum"), Provider::GROQ, more).expect("a sum")
    };
    let (first_token, whole) = (sum(FIRST_TOKEN, &[]), sum(DURATION, &[("error_type", "")]));
    assert!(whole >= pause.as_secs_f64() && first_token <= whole, "{first_token} s of {whole} s");
    Ok(())
}

#[tokio::test]
async fn a_fallback_is_one_request_and_two_attempts() -> anyhow::Result<()> {
    let proxy = with_one_model_each().core().start().await?;
    proxy.provider(Provider::GROQ).then(Behaviour::named("server_error").expect("known"));
    assert_eq!(chat(&proxy, &question()).await?.header("x-provider"), Some("Cerebras"));
    let metrics = metrics(&proxy).await?;
    assert_eq!(metrics.sum(REQUESTS, &[]), 1.0);
    assert_eq!(requests(&metrics, "chat", 200), Some(1.0));
    assert_eq!(attempts(&metrics, Provider::GROQ, "upstream_error"), Some(1.0));
    assert_eq!(attempts(&metrics, Provider::GROQ, "ok"), Some(0.0));
    assert_eq!(attempts(&metrics, Provider::CEREBRAS, "ok"), Some(1.0));
    assert_eq!(durations(&metrics, Provider::GROQ, "upstream_error"), Some(1.0));
    assert_eq!(
        gen_ai(&metrics, &format!("{FIRST_TOKEN}_count"), Provider::GROQ, &[]),
        Some(0.0),
        "it said nothing"
    );
    check_against_other_reports(&proxy, &metrics).await
}

#[tokio::test]
async fn when_everybody_fails_the_request_fails_and_each_attempt_has_its_reason() -> anyhow::Result<()> {
    let proxy = with_one_model_each().core().start().await?;
    proxy.provider(Provider::GROQ).always(Behaviour::trouble(Trouble::RateLimited(60.0)));
    proxy.provider(Provider::CEREBRAS).always(Behaviour::trouble(Trouble::Overloaded));
    proxy.provider(Provider::GEMINI).always(Behaviour::trouble(Trouble::BadKey));
    assert_eq!(chat(&proxy, &question()).await?.status, 502);
    let metrics = metrics(&proxy).await?;
    assert_eq!((requests(&metrics, "chat", 502), requests(&metrics, "chat", 200)), (Some(1.0), Some(0.0)));
    let cases =
        [(Provider::GROQ, "rate_limited"), (Provider::CEREBRAS, "overloaded"), (Provider::GEMINI, "bad_key")];
    for (provider, reason) in cases {
        assert_eq!(attempts(&metrics, provider, reason), Some(1.0), "{provider:?}");
        assert_eq!(durations(&metrics, provider, reason), Some(1.0), "{provider:?}");
        assert_eq!(durations(&metrics, provider, ""), None, "{provider:?} has answered nothing");
    }
    assert_eq!(metrics.sum(&format!("{TOKENS}_count"), &[]), 0.0);
    check_against_other_reports(&proxy, &metrics).await
}

/// The status had left already.
#[tokio::test]
async fn a_stream_that_breaks_keeps_its_status_and_is_a_failed_attempt() -> anyhow::Result<()> {
    let proxy = groq().start().await?;
    proxy
        .provider(Provider::GROQ)
        .then(Behaviour::answer(["One, ", "two."]).with(Fault::Cut(After::Text(1))));
    assert!(chat(&proxy, &question()).await?.answer().error.is_some());
    let metrics = metrics(&proxy).await?;
    assert_eq!(requests(&metrics, "chat", 200), Some(1.0));
    assert_eq!(attempts(&metrics, Provider::GROQ, "broken_stream"), Some(1.0));
    assert_eq!(durations(&metrics, Provider::GROQ, "broken_stream"), Some(1.0));
    assert_eq!(gen_ai(&metrics, &format!("{FIRST_TOKEN}_count"), Provider::GROQ, &[]), Some(1.0), "it began");
    assert_eq!(metrics.get("ai_proxy_open_streams", &[]), Some(0.0));
    check_against_other_reports(&proxy, &metrics).await
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_is_cancelled() -> anyhow::Result<()> {
    let proxy = groq().start().await?;
    proxy.all(&Behaviour::answer(["One, ", "two."]).with(Fault::Stall(After::Text(1))));
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = RawClient::post(proxy.address, &question()).await?;
        client.read_until("One, ").await?;
        clients.push(client);
    }
    let open = metrics(&proxy).await?;
    assert_eq!(open.get("ai_proxy_open_streams", &[]), Some(2.0));
    assert_eq!(requests(&open, "chat", 200), Some(2.0), "the status has left");
    assert_eq!(durations(&open, Provider::GROQ, "cancelled"), None);
    clients.pop();
    until(&proxy, "one of two", |it| it.get("ai_proxy_open_streams", &[]) == Some(1.0)).await?;
    clients.pop();
    let closed = until(&proxy, "none", |it| it.get("ai_proxy_open_streams", &[]) == Some(0.0)).await?;
    assert_eq!(attempts(&closed, Provider::GROQ, "cancelled"), Some(2.0));
    assert_eq!(durations(&closed, Provider::GROQ, "cancelled"), Some(2.0));
    assert_eq!(requests(&closed, "chat", 200), Some(2.0));
    check_against_other_reports(&proxy, &closed).await
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_counts_as_499() -> anyhow::Result<()> {
    let proxy = groq().start().await?;
    proxy.all(&Behaviour::echo().with(Fault::Stall(After::Nothing)));
    let client = RawClient::post(proxy.address, &question()).await?;
    within_patience("the call", proxy.provider(Provider::GROQ).until(|it| !it.chats().is_empty())).await;
    drop(client);
    let left = until(&proxy, "499", |it| requests(it, "chat", 499) == Some(1.0)).await?;
    assert_eq!(attempts(&left, Provider::GROQ, "cancelled"), Some(1.0));
    assert_eq!(left.sum(REQUESTS, &[]), 1.0);
    check_against_other_reports(&proxy, &left).await
}

#[tokio::test]
async fn who_waits_in_line_is_seen() -> anyhow::Result<()> {
    let proxy = groq().with("MAX_WAIT_MS", 20_000).start().await?;
    proxy.provider(Provider::GROQ).then(Behaviour::trouble(Trouble::RateLimited(15.0)));
    let is = |waiting: f64| move |it: &Exposition| it.get("ai_proxy_waiting_requests", &[]) == Some(waiting);
    let first = RawClient::post(proxy.address, &question()).await?;
    until(&proxy, "one in line", is(1.0)).await?;
    let second = RawClient::post(proxy.address, &question()).await?;
    let waiting = until(&proxy, "two in line", is(2.0)).await?;
    assert_eq!(requests(&waiting, "chat", 200), Some(0.0));
    drop((first, second));
    let left = until(&proxy, "an empty line", is(0.0)).await?;
    assert_eq!(requests(&left, "chat", 499), Some(2.0));
    Ok(())
}

type Headers<'h> = &'h [(&'h str, &'h str)];

#[tokio::test]
async fn refusals_count_with_their_surface() -> anyhow::Result<()> {
    let proxy = groq()
        .with("PROXY_API_KEY", "client-key")
        .with("MAX_BODY_BYTES", 1_000)
        .with("CORS_ORIGINS", "https://app.example")
        .start()
        .await?;
    let client = http_client()?;
    let send = async |method: reqwest::Method, path: &str, headers: &[(&str, &str)], body: &str| {
        let mut request = client.request(method, proxy.url(path)).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        anyhow::Ok(request.send().await?.status().as_u16())
    };
    let (get, post) = (reqwest::Method::GET, reqwest::Method::POST);
    let key = ("authorization", "Bearer client-key");
    let json = ("content-type", "application/json");
    let evil = ("origin", "https://evil.example");
    let large = "x".repeat(2_000);
    let cases: [(&str, u16, &reqwest::Method, &str, Headers, &str); 10] = [
        ("chat", 401, &post, "/chat", &[json], "{}"),
        ("chat", 400, &post, "/chat", &[key, json], "{}"),
        ("chat", 413, &post, "/chat", &[key, json], &large),
        ("chat", 415, &post, "/chat", &[key], "{}"),
        ("chat", 405, &get, "/chat", &[key], ""),
        ("chat", 403, &post, "/chat", &[key, json, evil], "{}"),
        ("openai", 401, &post, "/v1/chat/completions", &[json], "{}"),
        ("openai", 404, &get, "/v1/nothing", &[key], ""),
        ("other", 404, &get, "/nothing", &[key], ""),
        ("other", 401, &get, "/providers", &[], ""),
    ];
    for (surface, status, method, path, headers, body) in cases {
        assert_eq!(send(method.clone(), path, headers, body).await?, status, "{method} {path}");
        let response = client.get(proxy.url("/metrics")).header("x-api-key", "client-key").send().await?;
        let metrics = Exposition::read(&response.text().await?);
        assert_eq!(requests(&metrics, surface, status), Some(1.0), "{method} {path}");
    }
    let response = client.get(proxy.url("/metrics")).header("x-api-key", "client-key").send().await?;
    assert_eq!(Exposition::read(&response.text().await?).sum(REQUESTS, &[]), cases.len() as f64);
    assert_eq!(proxy.upstream_calls(), 0);
    Ok(())
}

#[tokio::test]
async fn reports_and_preflights_do_not_hide_the_answers() -> anyhow::Result<()> {
    let proxy = groq().start().await?;
    let client = http_client()?;
    for _ in 0..20 {
        for path in ["/health", "/providers", "/metrics"] {
            assert_eq!(client.get(proxy.url(path)).send().await?.status(), 200);
        }
        let preflight = client.request(reqwest::Method::OPTIONS, proxy.url("/chat"));
        let preflight =
            preflight.header("origin", "https://app.example").header("access-control-request-method", "POST");
        assert_eq!(preflight.send().await?.status(), 200);
    }
    assert_eq!(metrics(&proxy).await?.sum(REQUESTS, &[]), 0.0);
    Ok(())
}

#[tokio::test]
async fn metrics_are_for_those_who_may_ask_and_told_when_no_request_would_be_taken() -> anyhow::Result<()> {
    let proxy = groq().with("PROXY_API_KEY", "client-key").with("MAX_CONCURRENT_REQUESTS", 1).start().await?;
    proxy.all(&Behaviour::answer(["One, ", "two."]).with(Fault::Stall(After::Text(1))));
    let mut client = RawClient::connect(proxy.address).await?;
    client.send("1.1", "authorization: Bearer client-key\r\n", &question()).await?;
    client.read_until("One, ").await?;
    let get = http_client()?;
    assert_eq!(get.get(proxy.url("/metrics")).send().await?.status(), 401);
    let told = get.get(proxy.url("/metrics")).bearer_auth("client-key").send().await?;
    assert_eq!(told.status(), 200);
    let text = told.text().await?;
    assert!(!text.contains("client-key") && !text.contains("key-of-"), "{text}");
    assert_eq!(Exposition::read(&text).get("ai_proxy_open_streams", &[]), Some(1.0));
    let head = get.head(proxy.url("/metrics")).bearer_auth("client-key").send().await?;
    assert_eq!((head.status().as_u16(), head.text().await?.as_str()), (200, ""));
    assert_eq!(get.post(proxy.url("/metrics")).bearer_auth("client-key").send().await?.status(), 405);
    Ok(())
}

/// Every limit with its number in `/providers`, as unit, window, limit and what is left.
async fn limits_in_report(
    proxy: &TestProxy,
    provider: Provider,
) -> anyhow::Result<Vec<(String, String, Value, Value)>> {
    let report = proxy.report(provider).await?;
    let limits = report["models"][0]["limits"].as_array().expect("a list").clone();
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    Ok(limits
        .iter()
        .map(|it| (word(&it["unit"]), word(&it["window"]), it["limit"].clone(), it["remaining"].clone()))
        .collect())
}

#[tokio::test]
async fn limits_are_those_of_the_other_report_and_those_of_all_keys_together() -> anyhow::Result<()> {
    let proxy = with_one_model_each().core().with("GROQ_API_KEY", "one,two,three").limited().start().await?;
    for _ in 0..4 {
        chat(&proxy, &question()).await?;
    }
    let now = metrics(&proxy).await?;
    for provider in Directory::core() {
        let limits = limits_in_report(&proxy, provider).await?;
        assert!(limits.len() >= 3, "{limits:?}");
        for (unit, window, limit, remaining) in limits {
            let labels = [
                ("provider", provider.name()),
                ("model", model_of(provider)),
                ("unit", &unit),
                ("window", &window),
            ];
            assert_eq!(now.get("ai_proxy_limit", &labels), limit.as_f64(), "{labels:?}");
            assert_eq!(now.get("ai_proxy_limit_remaining", &labels), remaining.as_f64(), "{labels:?}");
        }
    }
    let a_day =
        [("provider", "Groq"), ("model", model_of(Provider::GROQ)), ("unit", "requests"), ("window", "day")];
    assert_eq!(now.get("ai_proxy_limit", &a_day), Some(3_000.0), "a thousand for each key");
    assert_eq!(now.get("ai_proxy_limit_remaining", &a_day), Some(2_998.0), "of four, two were Groq's");
    Ok(())
}

#[tokio::test]
async fn what_rests_is_told_by_key_and_reason_until_it_is_over() -> anyhow::Result<()> {
    let proxy = groq().with("GROQ_API_KEY", "one,two").start().await?;
    let rests = |metrics: &Exposition, reason: &str| {
        let labels = [("provider", "Groq"), ("model", model_of(Provider::GROQ)), ("reason", reason)];
        metrics.get("ai_proxy_resting", &labels)
    };
    assert_eq!(metrics(&proxy).await?.sum("ai_proxy_resting", &[]), 0.0);
    let groq = proxy.provider(Provider::GROQ);
    groq.then(Behaviour::trouble(Trouble::RateLimited(60.0)));
    groq.then(Behaviour::trouble(Trouble::RateLimited(90.0)));
    assert_eq!(chat(&proxy, &question()).await?.status, 429);
    assert_eq!(rests(&metrics(&proxy).await?, "rate_limited"), Some(2.0));
    proxy.clock.advance(Duration::from_secs(61));
    assert_eq!(rests(&metrics(&proxy).await?, "rate_limited"), Some(1.0));
    proxy.clock.advance(Duration::from_secs(30));
    assert_eq!(rests(&metrics(&proxy).await?, "rate_limited"), None);
    Ok(())
}

/// A key that is refused hides behind a good one in `/providers`; here it does not.
#[tokio::test]
async fn a_refused_key_is_seen_beside_a_good_one() -> anyhow::Result<()> {
    let proxy = groq().with("GROQ_API_KEY", "one,two").limited().start().await?;
    proxy.provider(Provider::GROQ).then(Behaviour::trouble(Trouble::BadKey));
    assert_eq!(chat(&proxy, &question()).await?.status, 200);
    assert_eq!(proxy.report(Provider::GROQ).await?["models"][0]["state"], "ready");
    let labels = [("provider", "Groq"), ("model", model_of(Provider::GROQ)), ("reason", "bad_key")];
    let now = metrics(&proxy).await?;
    assert_eq!(now.get("ai_proxy_resting", &labels), Some(1.0));
    // What the refused key allows is no room for anybody.
    let a_day =
        [("provider", "Groq"), ("model", model_of(Provider::GROQ)), ("unit", "requests"), ("window", "day")];
    assert_eq!(now.get("ai_proxy_limit", &a_day), Some(1_000.0));
    Ok(())
}

#[tokio::test]
async fn clients_make_no_series() -> anyhow::Result<()> {
    let proxy = groq().start().await?;
    let ask = async |number: usize| {
        let mut body = question();
        body["model"] = json!(format!("made-up-{number}"));
        let path = format!("/made-up/{number}");
        anyhow::ensure!(complete(&proxy, &body).await?.status == 404, "unknown");
        anyhow::ensure!(chat(&proxy, &body).await?.status == 400, "unknown");
        let status =
            http_client()?.get(proxy.url(&path)).header("x-provider", path.as_str()).send().await?.status();
        anyhow::ensure!(status == 404, "unknown");
        Ok(())
    };
    ask(0).await?;
    let before = metrics(&proxy).await?;
    for number in 1..1_000 {
        ask(number).await?;
    }
    let after = metrics(&proxy).await?;
    assert_eq!(after.len(), before.len());
    assert_eq!(requests(&after, "openai", 404), Some(1_000.0));
    assert_eq!(requests(&after, "chat", 400), Some(1_000.0));
    assert_eq!(requests(&after, "other", 404), Some(1_000.0));
    Ok(())
}

/// Providers with the longest lists have some 300 models.
#[tokio::test]
async fn a_long_list_of_models_makes_few_series() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().only([Provider::GROQ]).start().await?;
    let before = metrics(&proxy).await?;
    let ids: Vec<String> = (0..500).map(|number| format!("some/model-{number}")).collect();
    proxy.provider(Provider::GROQ).offer(ids.iter().map(String::as_str));
    proxy.read_models().await;
    let after = metrics(&proxy).await?;
    let models = after.values(ATTEMPTS, "model");
    assert!(models.iter().any(|model| model.starts_with("some/")), "some of them are in use: {models:?}");
    assert!(models.len() <= 16, "{models:?}");
    assert!(after.len() <= 3 * before.len(), "{} series, {} before", after.len(), before.len());
    Ok(())
}

/// However often a provider renames its models: what has been counted stays, and names end somewhere.
#[tokio::test]
async fn models_that_come_and_go_end_up_as_other() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().only([Provider::GROQ]).start().await?;
    let mut answers = 0.0;
    for number in 0..80 {
        proxy.provider(Provider::GROQ).offer([format!("some/model-{number}").as_str()]);
        proxy.read_models().await;
        if chat(&proxy, &question()).await?.status == 200 {
            answers += 1.0;
        }
    }
    let now = metrics(&proxy).await?;
    assert_eq!(now.sum(ATTEMPTS, &[("outcome", "ok")]), answers);
    let models = now.values(ATTEMPTS, "model");
    assert!(models.contains("other") && models.contains("some/model-0"), "{models:?}");
    assert!(models.len() <= 65, "{}", models.len());
    assert!(!now.values("ai_proxy_limit", "model").contains("other"), "no sum of limits");
    check_against_health(&proxy, &now).await
}

/// Models that are not in use any more have no line in `/providers`.
async fn check_against_health(proxy: &TestProxy, metrics: &Exposition) -> anyhow::Result<()> {
    let (count, _) = proxy.counts(Provider::GROQ).await?;
    assert_eq!(metrics.sum(ATTEMPTS, &[]), count as f64);
    assert_eq!(metrics.sum(&format!("{DURATION}_count"), &[]), count as f64);
    Ok(())
}

#[tokio::test]
async fn providers_without_a_key_have_no_series() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().only([Provider::GROQ]).start().await?;
    let now = metrics(&proxy).await?;
    for name in [ATTEMPTS, "ai_proxy_limit"] {
        assert_eq!(now.values(name, "provider").into_iter().collect::<Vec<_>>(), ["Groq"], "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn the_pages_and_the_dashboard_name_what_there_is() -> anyhow::Result<()> {
    // What tells of other instances is there only if there may be some.
    let proxy = groq().with("STATE_URL", "redis://127.0.0.1:1").start().await?;
    let now = metrics(&proxy).await?;
    let families = now.families();
    let read =
        |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name));
    for name in ["metrics.md", "metrics.es.md", "grafana-dashboard.json"] {
        let text = read(name)?;
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: BTreeSet<&str> =
            words.filter(|word| word.starts_with("ai_proxy_") || is_gen_ai_metric(word)).collect();
        for word in &names {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix));
            assert!(families.contains(family.unwrap_or(word)), "{name}: there is no {word}");
        }
        if name.ends_with(".md") {
            let missing: Vec<_> = families.iter().filter(|family| !names.contains(**family)).collect();
            assert!(missing.is_empty(), "{name} lacks {missing:?}");
        }
    }
    Ok(())
}

/// Their labels begin like them.
fn is_gen_ai_metric(word: &str) -> bool {
    word.starts_with("gen_ai_server_") || word.starts_with("gen_ai_client_")
}
