//! What each row's own error bodies mean, one by one: who is left alone, for how long, and who answers instead.

use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Behaviour, Trouble};
use serde_json::json;

use super::{alone, asked_for, fixture, name, raw, row, rows};
use crate::support::{TestProxy, chat, complete, question};

/// Who is affected by a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The model: another one of the provider answers.
    Model,
    /// The account: none of its models is called for this many seconds, or for as long as it takes a person.
    Account(u64),
    /// The request alone.
    Request,
    /// A field that the request can do without: the same model answers without it.
    Field,
    /// Nobody: a safety filter has spoken, which is an answer.
    Nobody,
}

use Reach::{Account, Field, Model, Nobody, Request};

type Headers = &'static [(&'static str, &'static str)];
type Case = (&'static str, u16, Headers, &'static str, Reach);

const NONE: Headers = &[];
const TEN_MINUTES: u64 = 600;
/// The clock of the tests begins at eight in the evening of 23 November, in coordinated universal time.
const TO_MIDNIGHT: u64 = 4 * 3_600;
const TO_DECEMBER: u64 = TO_MIDNIGHT + 7 * 86_400;

const OPENROUTER: &[Case] = &[
    (
        "error_per_day",
        429,
        &[("x-ratelimit-reset", "1795478400000")],
        "quota_exhausted",
        Account(TO_MIDNIGHT),
    ),
    ("error_per_day", 429, NONE, "quota_exhausted", Account(TO_MIDNIGHT)),
    ("error_per_minute", 429, &[("x-ratelimit-reset", "1795464030000")], "rate_limited", Account(30)),
    ("error_per_minute", 429, NONE, "rate_limited", Account(60)),
    ("error_upstream", 429, NONE, "rate_limited", Model),
    ("error_capacity", 429, NONE, "overloaded", Model),
    ("error_in_flight", 402, &[("retry-after", "3")], "rate_limited", Account(3)),
    ("error_credits", 402, NONE, "no_credit", Account(TEN_MINUTES)),
    ("error_no_endpoints", 404, NONE, "model_gone", Model),
    ("error_free_ended", 404, NONE, "not_in_plan", Model),
    ("error_privacy", 404, NONE, "not_in_plan", Model),
    ("error_constraint", 404, NONE, "bad_request", Field),
    ("error_invalid_model", 400, NONE, "model_gone", Model),
    ("error_context", 400, NONE, "context_too_long", Model),
    ("error_moderation", 403, NONE, "content_filter", Nobody),
    ("error_region", 403, NONE, "not_in_plan", Model),
    ("error_key", 401, NONE, "bad_key", Account(TEN_MINUTES)),
    ("error_unavailable", 503, NONE, "overloaded", Model),
];
const NVIDIA: &[Case] = &[
    ("error_key", 403, NONE, "bad_key", Account(TEN_MINUTES)),
    ("error_function", 404, NONE, "model_gone", Model),
    ("error_end_of_life", 410, NONE, "model_gone", Model),
    ("error_degraded", 400, NONE, "overloaded", Model),
    ("error_too_many", 429, NONE, "rate_limited", Model),
];
const CLOUDFLARE: &[Case] = &[
    ("error_day", 429, NONE, "quota_exhausted", Account(TO_MIDNIGHT)),
    ("error_capacity", 429, NONE, "overloaded", Model),
    ("error_paid", 403, NONE, "not_in_plan", Model),
    ("error_model", 400, NONE, "model_gone", Model),
    ("error_blocked", 403, NONE, "bad_key", Account(TEN_MINUTES)),
    ("error_key", 401, NONE, "bad_key", Account(TEN_MINUTES)),
];
const MISTRAL: &[Case] = &[
    ("error_limit", 429, &[("x-ratelimit-limit-req-minute", "30")], "rate_limited", Model),
    // Nothing is granted, which no waiting changes.
    ("error_limit", 429, &[("x-ratelimit-limit-req-minute", "0")], "not_in_plan", Model),
    ("error_capacity", 429, NONE, "overloaded", Model),
    ("error_budget", 429, NONE, "quota_exhausted", Account(TO_DECEMBER)),
    ("error_budget", 402, NONE, "quota_exhausted", Account(TO_DECEMBER)),
    ("error_tier", 403, NONE, "not_in_plan", Model),
    ("error_model", 400, NONE, "model_gone", Model),
    ("error_key", 401, NONE, "bad_key", Account(TEN_MINUTES)),
    ("error_field", 422, NONE, "bad_request", Request),
];
const ZAI: &[Case] = &[
    ("error_key", 401, NONE, "bad_key", Account(TEN_MINUTES)),
    ("error_locked", 429, NONE, "bad_key", Account(TEN_MINUTES)),
    ("error_balance", 429, NONE, "not_in_plan", Model),
    ("error_model", 400, NONE, "model_gone", Model),
    ("error_concurrency", 429, NONE, "rate_limited", Model),
    ("error_busy", 429, NONE, "rate_limited", Model),
    ("error_day", 429, NONE, "quota_exhausted", Model),
    ("error_context", 400, NONE, "context_too_long", Model),
    ("error_content", 400, NONE, "content_filter", Nobody),
    ("error_server", 500, NONE, "upstream_error", Model),
];
const COHERE: &[Case] = &[
    ("error_month", 429, NONE, "quota_exhausted", Account(TO_DECEMBER)),
    ("error_minute", 429, NONE, "rate_limited", Model),
    ("error_model", 404, NONE, "model_gone", Model),
    ("error_key", 401, NONE, "bad_key", Account(TEN_MINUTES)),
    ("error_field", 422, NONE, "bad_request", Request),
];

const KILO: &[Case] = &[
    ("error_hour", 429, NONE, "rate_limited", Account(300)),
    ("error_paid", 401, NONE, "not_in_plan", Model),
    ("error_promotion", 401, &[("retry-after", "7200")], "quota_exhausted", Account(7_200)),
    ("error_key", 401, NONE, "bad_key", Account(TEN_MINUTES)),
    ("error_none", 503, NONE, "overloaded", Model),
];
const OVHCLOUD: &[Case] = &[("error_limit", 429, NONE, "rate_limited", Model)];

const TABLE: [(&str, &[Case]); 8] = [
    ("OpenRouter", OPENROUTER),
    ("NVIDIA", NVIDIA),
    ("Cloudflare", CLOUDFLARE),
    ("Mistral", MISTRAL),
    ("Z.ai", ZAI),
    ("Cohere", COHERE),
    ("Kilo", KILO),
    ("OVHcloud", OVHCLOUD),
];

/// One failing call, and what comes of it.
async fn shows(provider: Provider, &(file, status, headers, reason, reach): &Case) -> anyhow::Result<()> {
    let case = format!("{provider:?} {file} {status} {headers:?}");
    let proxy = alone(provider).start().await?;
    proxy.provider(provider).then(raw(status, headers, fixture(provider, file)));
    if reach == Nobody {
        return is_an_answer(&proxy, provider, &raw(status, headers, fixture(provider, file)), &case).await;
    }
    let reply = chat(&proxy, &question()).await?;
    let calls = asked_for(&proxy, provider);
    // A conversation that is too long goes to a larger window, if there is one.
    let is_too_long = reason == "context_too_long" && reply.status == 400;
    if (reach == Model && !is_too_long) || reach == Field {
        let trail = format!("{}:{reason}, {}:ok", provider.name(), provider.name());
        assert_eq!(reply.header("x-attempts"), Some(&*trail), "{case}: {}", reply.text());
        assert!(calls.len() == 2 && (calls[0] == calls[1]) == (reach == Field), "{case}: {calls:?}");
        return Ok(());
    }
    assert_eq!(reply.json()["attempts"][0]["reason"], reason, "{case}: {}", reply.text());
    assert_eq!(calls.len(), 1, "{case}");
    match reach {
        Account(seconds) => comes_back(&proxy, provider, reason, seconds, &case).await,
        _ => {
            assert_eq!(chat(&proxy, &question()).await?.status, 200, "{case}: nobody rests");
            Ok(())
        }
    }
}

/// What a safety filter has refused is an answer in every way of asking, though there are other models, and nobody rests.
async fn is_an_answer(
    proxy: &TestProxy,
    provider: Provider,
    refusal: &Behaviour,
    case: &str,
) -> anyhow::Result<()> {
    let calls = |proxy: &TestProxy| asked_for(proxy, provider).len();
    for (number, stream) in [true, false].into_iter().enumerate() {
        if number > 0 {
            proxy.provider(provider).then(refusal.clone());
        }
        let mut body = question();
        body["stream"] = stream.into();
        let reply = chat(proxy, &body).await?;
        let trail = format!("{}:ok", provider.name());
        assert_eq!(
            (reply.status, reply.header("x-attempts")),
            (200, Some(&*trail)),
            "{case}: {}",
            reply.text()
        );
        assert!(reply.text().contains(r#""finish_reason":"content_filter""#), "{case}: {}", reply.text());
        assert_eq!(reply.text().contains("[DONE]"), stream, "{case}: {}", reply.text());

        proxy.provider(provider).then(refusal.clone());
        body["model"] = name(provider).into();
        let reply = complete(proxy, &body).await?;
        assert_eq!(reply.status, 200, "{case}: {}", reply.text());
        assert!(reply.text().contains(r#""finish_reason":"content_filter""#), "{case}: {}", reply.text());
        assert_eq!(calls(proxy), 2 * (number + 1), "{case}: nobody else is asked");
    }
    let report = proxy.report(provider).await?;
    assert_eq!(report["models"][0]["outcomes"]["ok"], 4, "{case}: {report}");
    assert_eq!(chat(proxy, &question()).await?.status, 200, "{case}: nobody rests");
    Ok(())
}

/// Nothing is called until the time is over, and then it serves at once.
async fn comes_back(
    proxy: &TestProxy,
    provider: Provider,
    reason: &str,
    seconds: u64,
    case: &str,
) -> anyhow::Result<()> {
    let calls = asked_for(proxy, provider).len();
    proxy.clock.advance(Duration::from_secs(seconds) - Duration::from_millis(1_500));
    let reply = chat(proxy, &question()).await?;
    assert_ne!(reply.status, 200, "{case}");
    if ["rate_limited", "quota_exhausted"].contains(&reason) {
        assert_eq!((reply.status, reply.header("retry-after")), (429, Some("2")), "{case}: {}", reply.text());
    }
    assert_eq!(asked_for(proxy, provider).len(), calls, "{case}: no call is wasted");
    // What was not stated has a few seconds of chance.
    proxy.clock.advance(Duration::from_secs(12));
    assert_eq!(chat(proxy, &question()).await?.status, 200, "{case}");
    Ok(())
}

#[tokio::test]
async fn every_error_of_a_row_means_what_its_documents_say() -> anyhow::Result<()> {
    assert_eq!(rows().map(Provider::name).collect::<Vec<_>>(), TABLE.map(|(name, _)| name));
    for (its_name, cases) in TABLE {
        let provider = row(its_name);
        let folder = format!("{}/tests/fixtures/{}", env!("CARGO_MANIFEST_DIR"), name(provider));
        for file in std::fs::read_dir(folder)? {
            let file = file?.file_name().to_string_lossy().replace(".json", "");
            assert!(cases.iter().any(|case| case.0 == file), "no case reads {its_name}'s {file}");
        }
        for case in cases {
            shows(provider, case).await?;
        }
    }
    Ok(())
}

/// Told inside of a stream, or as the body of a 200, a failure is the same failure.
#[tokio::test]
async fn an_error_inside_of_a_200_is_read_by_the_same_table() -> anyhow::Result<()> {
    for (its_name, file, reason) in [
        ("OpenRouter", "error_unavailable", "overloaded"),
        ("OpenRouter", "error_per_day", "quota_exhausted"),
        ("Z.ai", "error_balance", "not_in_plan"),
        ("Z.ai", "error_content", "content_filter"),
        ("OpenRouter", "error_moderation", "content_filter"),
    ] {
        let provider = row(its_name);
        for is_stream in [true, false] {
            let proxy = alone(provider).start().await?;
            let body = fixture(provider, file);
            let text = String::from_utf8(body.clone())?;
            let event = format!("data: {}\n\n", text.trim()).into_bytes();
            let broken = if is_stream {
                Behaviour::new(ai_proxy_free::internals::simulator::Reply::Raw {
                    status: 200,
                    headers: vec![("content-type".into(), "text/event-stream".into())],
                    body: vec![b": OPENROUTER PROCESSING\n\n".to_vec(), event],
                })
            } else {
                raw(200, &[], body)
            };
            proxy.all(&broken);
            let reply = chat(&proxy, &question()).await?;
            let told = match reply.status {
                // A filter has spoken, which is an answer.
                200 => reply.text().contains("content_filter").then(|| json!("content_filter")),
                _ => reply.json()["attempts"].get(0).map(|it| it["reason"].clone()),
            };
            assert_eq!(told, Some(json!(reason)), "{its_name} {file}, stream {is_stream}: {}", reply.text());
        }
    }
    Ok(())
}

/// A hidden limit is tried again later and later, and an answer makes it forgotten.
#[tokio::test]
async fn a_hidden_limit_grows_while_it_repeats() -> anyhow::Result<()> {
    let provider = row("NVIDIA");
    let model = provider.profile().models[0].id;
    let proxy = alone(provider).start().await?;
    let pinned =
        json!({"model": format!("nvidia/{model}"), "messages": [{"role": "user", "content": "Hola"}]});
    for (seconds, case) in [(60, "first"), (120, "second"), (240, "third")] {
        proxy.provider(provider).then(raw(429, &[], fixture(provider, "error_too_many")));
        assert_eq!(complete(&proxy, &pinned).await?.status, 429, "{case}");
        proxy.clock.advance(Duration::from_secs(seconds - 1));
        let before = asked_for(&proxy, provider).len();
        assert_eq!(complete(&proxy, &pinned).await?.status, 429, "{case}");
        assert_eq!(asked_for(&proxy, provider).len(), before, "{case}: not asked before its time");
        proxy.clock.advance(Duration::from_secs(1 + seconds / 5));
    }
    assert_eq!(complete(&proxy, &pinned).await?.status, 200);
    Ok(())
}

/// Failed attempts cost OpenRouter's day, too.
#[tokio::test]
async fn a_row_that_counts_failures_is_tried_twice_at_most() -> anyhow::Result<()> {
    for provider in rows() {
        let proxy = alone(provider).start().await?;
        proxy.all(&Behaviour::trouble(Trouble::Overloaded));
        assert_eq!(chat(&proxy, &question()).await?.status, 502);
        let models = provider.profile().models.len();
        let expected = if provider.name() == "OpenRouter" { 2 } else { models };
        assert_eq!(asked_for(&proxy, provider).len(), expected, "{provider:?}");
    }
    Ok(())
}

/// A model that is gone is not called again, and its provider goes on with the others.
#[tokio::test]
async fn a_dead_model_costs_one_call() -> anyhow::Result<()> {
    for provider in rows() {
        let proxy = alone(provider).start().await?;
        let models: Vec<&str> = provider.default_models().collect();
        proxy.provider(provider).offer(models[1..].iter().map(|model| (*model).to_owned()));
        for _ in 0..3 {
            assert_eq!(chat(&proxy, &question()).await?.status, 200, "{provider:?}");
        }
        let calls = asked_for(&proxy, provider);
        assert_eq!(calls.iter().filter(|model| *model == models[0]).count(), 1, "{provider:?}: {calls:?}");
    }
    Ok(())
}
