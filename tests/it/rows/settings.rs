//! The settings of the rows: account ids, aliases of keys, clocks, and what `check` says.

use std::collections::HashMap;

use ai_proxy_free::internals::config::Config;
use ai_proxy_free::internals::providers::Directory;
use ai_proxy_free::internals::simulator::{Behaviour, Settings, Simulator};
use serde_json::json;

use super::{alone, row, rows};
use crate::support::{Binary, TestProxy, chat, question};

#[tokio::test]
async fn an_account_id_is_wanted_whole_or_the_provider_is_off() -> anyhow::Result<()> {
    let good = "0123456789abcdef0123456789abcdef";
    for wrong in
        ["0123456789abcdef", "../../user/tokens/verify?x=0123456", "0123456789abcdef0123456789abcdeg"]
    {
        let variables = [("CLOUDFLARE_API_TOKEN", "k"), ("CLOUDFLARE_ACCOUNT_ID", wrong)];
        let (code, _, err) = Binary::run(&[], &variables, None).await?;
        assert_eq!(code, Some(2), "{wrong}");
        assert!(err.contains("CLOUDFLARE_ACCOUNT_ID=") && err.contains("32 hexadecimal digits"), "{err}");
    }
    let config = Config::from_lookup(|name| (name == "CLOUDFLARE_API_TOKEN").then(|| "k".to_owned()))?;
    let warned = config.warnings.iter().any(|it| it == "Cloudflare is off: CLOUDFLARE_ACCOUNT_ID is not set");
    assert!(warned, "{:?}", config.warnings);
    for key in ["CLOUDFLARE_API_KEY", "CLOUDFLARE_API_TOKEN"] {
        let cloudflare = row("Cloudflare");
        let proxy = alone(cloudflare)
            .with("CLOUDFLARE_API_KEY", "")
            .with("CLOUDFLARE_ACCOUNT_ID", good)
            .with(key, "first")
            .start()
            .await?;
        assert_eq!(chat(&proxy, &question()).await?.status, 200, "{key}");
        let chats = proxy.provider(cloudflare).chats();
        assert!(chats.iter().all(|it| it.header("authorization") == Some("Bearer first")), "{key}");
    }
    Ok(())
}

/// Each key has its id, and both have a day of their own.
#[tokio::test]
async fn several_accounts_have_an_id_each() -> anyhow::Result<()> {
    let cloudflare = row("Cloudflare");
    let ids = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];
    let proxy = alone(cloudflare)
        .with("CLOUDFLARE_API_KEY", "first, second")
        .with("CLOUDFLARE_ACCOUNT_ID", ids.join(", "))
        .start()
        .await?;
    for _ in 0..4 {
        assert_eq!(chat(&proxy, &question()).await?.status, 200);
    }
    let chats = proxy.provider(cloudflare).chats();
    let mut used: Vec<(&str, &str)> = Vec::new();
    for call in &chats {
        let key = call.header("authorization").expect("a key");
        used.push((key, ids.into_iter().find(|id| call.path.contains(*id)).expect("an id")));
    }
    let pairs = [("Bearer first", ids[0]), ("Bearer second", ids[1])];
    assert_eq!(used, [pairs, pairs].concat(), "each key goes with its own id, and both take turns");

    for (keys, given) in
        [("first,second", ids[0].to_owned()), ("first", ids.join(",")), ("a,b", [ids[0]; 2].join(","))]
    {
        let variables = [("CLOUDFLARE_API_TOKEN", keys), ("CLOUDFLARE_ACCOUNT_ID", &*given)];
        let (code, _, err) = Binary::run(&[], &variables, None).await?;
        assert_eq!(code, Some(2), "{keys} {given}");
        assert!(err.contains("CLOUDFLARE_ACCOUNT_ID has") && err.contains("an id for each key"), "{err}");
    }
    Ok(())
}

/// Cloudflare's day counts neurons over all models, each at its own price.
#[tokio::test]
async fn neurons_are_counted_over_all_models() -> anyhow::Result<()> {
    let cloudflare = row("Cloudflare");
    let proxy = alone(cloudflare).start().await?;
    let mut used = Vec::new();
    for model in ["@cf/openai/gpt-oss-20b", "@cf/openai/gpt-oss-120b"] {
        let body = json!({"provider": "Cloudflare", "model": model, "stream": false,
            "messages": [{"role": "user", "content": "word ".repeat(2_000)}]});
        assert_eq!(chat(&proxy, &body).await?.status, 200);
        let report = proxy.report(cloudflare).await?;
        for its in report["models"].as_array().expect("models").iter().take(1) {
            let limits = its["limits"].as_array().expect("limits");
            let neurons = limits.iter().find(|it| it["unit"] == "neurons").expect("a limit of neurons");
            assert_eq!((&neurons["window"], &neurons["limit"]), (&json!("day"), &json!(10_000)));
            used.push(neurons["used"].as_u64().expect("a number"));
        }
    }
    assert!(
        used[0] > 0 && used[1] > 2 * used[0],
        "the larger model costs more, out of the same day: {used:?}"
    );
    Ok(())
}

/// What is known of an account's day is one figure, whichever of its models was called.
#[tokio::test]
async fn a_day_over_all_models_is_one_day() -> anyhow::Result<()> {
    let openrouter = row("OpenRouter");
    let proxy = alone(openrouter).with("OPENROUTER_LIMITS", "rpd=2").start().await?;
    for model in openrouter.default_models().take(2) {
        let body = json!({"provider": "OpenRouter", "model": model, "messages": [{"role": "user", "content": "Hola"}]});
        assert_eq!(chat(&proxy, &body).await?.status, 200);
    }
    let refused = chat(&proxy, &question()).await?;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("14400")), "{}", refused.text());
    assert_eq!(refused.json()["attempts"][0]["reason"], "quota_exhausted");
    proxy.clock.advance(std::time::Duration::from_secs(14_400));
    assert_eq!(chat(&proxy, &question()).await?.status, 200, "a new day, in coordinated universal time");
    Ok(())
}

#[tokio::test]
async fn check_tells_what_it_could_not_try_and_what_to_know() -> anyhow::Result<()> {
    let clock = crate::support::TestClock::default();
    let all = Simulator::start(Directory::core().into_iter().chain(rows()).collect(), |it| {
        Settings::new(it, clock.reliable_clock())
    })
    .await?;
    let variables = Binary::variables_over(&all, HashMap::new());
    let pairs: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (code, out, err) = Binary::run(&["check"], &pairs, None).await?;
    assert_eq!(code, Some(0), "{out}{err}");
    let line =
        |name: &str| out.lines().find(|line| line.starts_with(&format!("{name}, "))).unwrap_or_default();
    for provider in rows() {
        let its = line(provider.name());
        assert!(its.contains(provider.profile().models[0].id), "{provider:?}: {out}");
        assert!(provider.profile().remark.is_none_or(|remark| its.contains(remark)), "{provider:?}: {its}");
    }
    for name in ["Kilo", "OVHcloud"] {
        assert!(line(name).contains("without a key"), "{name}: {out}");
    }
    for name in ["OpenRouter", "NVIDIA", "Z.ai", "Cohere"] {
        assert!(line(name).contains("key not tried"), "{name}: {out}");
    }
    for name in ["Groq", "Cloudflare", "Mistral"] {
        assert!(line(name).contains("accepted"), "{name}: {out}");
    }
    assert!(line("Mistral").contains("doubtful"), "{out}");
    Ok(())
}

/// A client's own clock beats the row's; a silent row costs that long.
#[tokio::test]
async fn the_users_clock_beats_the_rows() -> anyhow::Result<()> {
    let nvidia = row("NVIDIA");
    let others = [nvidia, ai_proxy_free::internals::providers::Provider::GROQ];
    let proxy = TestProxy::builder().over(others).with("FIRST_TOKEN_TIMEOUT_MS", "50").start().await?;
    proxy
        .provider(nvidia)
        .always(ai_proxy_free::internals::simulator::Behaviour::named("silence").expect("a fault"));
    for _ in 0..2 {
        assert_eq!(chat(&proxy, &question()).await?.header("x-provider"), Some("Groq"));
    }
    Ok(())
}

/// Lists are read beside serving: while no list has come, whoever is asked answers.
#[tokio::test]
async fn no_request_waits_for_a_list() -> anyhow::Result<()> {
    let all: Vec<_> = Directory::core().into_iter().chain(rows()).collect();
    let mut proxy = TestProxy::builder().over(all.iter().copied());
    for provider in &all {
        let profile = provider.profile();
        // Three accounts each, where there are keys.
        if let (Some(variable), None) = (profile.key_variables.first(), profile.account_id) {
            proxy = proxy.with(variable, "first,second,third");
        }
    }
    let proxy = proxy.start().await?;
    for provider in &all {
        proxy.provider(*provider).list_always(Behaviour::named("silence").expect("a fault"));
    }
    let answered = async {
        for provider in &all {
            let mut body = question();
            body["provider"] = provider.name().into();
            let reply = chat(&proxy, &body).await?;
            assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        }
        anyhow::Ok(())
    };
    tokio::select! {
        biased;
        answered = answered => answered,
        () = proxy.read_models() => panic!("the lists ended first"),
    }
}
