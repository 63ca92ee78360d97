//! Providers without a key, servers of the user's own, and who is asked only when nobody else can serve.

use std::time::Duration;

use ai_proxy_free::internals::config::Config;
use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{Behaviour, Settings, Simulator, Trouble};
use serde_json::{Value, json};

use super::{alone, asked_for, raw, row};
use crate::support::{Binary, TestProxy, chat, complete, http_client, question};

/// A server of the user's own, which offers these.
async fn own_server(name: &str, models: &[&str]) -> anyhow::Result<(Provider, TestProxy)> {
    let provider = row(name);
    let proxy = alone(provider).start().await?;
    proxy.provider(provider).offer(models.iter().map(|model| (*model).to_owned()));
    proxy.read_models().await;
    Ok((provider, proxy))
}

#[tokio::test]
async fn nobody_is_asked_without_a_key_unless_named() -> anyhow::Result<()> {
    for name in ["Kilo", "OVHcloud"] {
        let provider = row(name);
        let proxy = alone(provider).with("KEYLESS_PROVIDERS", "").start().await?;
        assert_eq!(chat(&proxy, &question()).await?.status, 503, "{name}");
        assert_eq!(proxy.upstream_calls(), 0, "{name}");

        let proxy = alone(provider).with("KEYLESS_PROVIDERS", name.to_ascii_uppercase()).start().await?;
        assert_eq!(chat(&proxy, &question()).await?.header("x-provider"), Some(name));
        let call = proxy.provider(provider).chats().pop().expect("a call");
        assert_eq!(call.header("authorization"), None, "{name}: a wrong key would be an error");
        let report: Value = http_client()?.get(proxy.url("/providers")).send().await?.json().await?;
        let its = report["providers"].as_array().expect("a list").iter().find(|it| it["name"] == name);
        assert_eq!(its.expect("it is listed")["may_log_prompts"], true, "{name}");
    }
    let proxy = TestProxy::start().await?;
    let report = http_client()?.get(proxy.url("/providers")).send().await?.text().await?;
    assert!(!report.contains("may_log_prompts"), "{report}");
    Ok(())
}

/// OVHcloud bills whoever shows a key.
#[tokio::test]
async fn a_key_that_would_bill_is_never_sent() -> anyhow::Result<()> {
    let ovh = row("OVHcloud");
    let proxy = alone(ovh).with("OVHCLOUD_API_KEY", "bills").with("OVH_AI_ENDPOINTS_ACCESS_TOKEN", "bills");
    let proxy = proxy.start().await?;
    assert_eq!(chat(&proxy, &question()).await?.status, 200);
    let calls = proxy.provider(ovh).chats();
    assert!(calls.iter().all(|call| call.headers.iter().all(|(_, value)| !value.contains("bills"))));
    Ok(())
}

#[tokio::test]
async fn the_start_says_who_may_log_prompts_and_what_can_be_had_without_a_key() -> anyhow::Result<()> {
    let clock = crate::support::TestClock::default();
    let kilo = row("Kilo");
    let simulator =
        Simulator::start(Directory::from_iter([kilo]), |it| Settings::new(it, clock.reliable_clock()))
            .await?;
    let (binary, _) = Binary::over(&simulator, &[]).await?;
    binary.signal("TERM").await?;
    let (_, output) = binary.end().await?;
    assert!(output.contains("Kilo is ready"), "{output}");
    assert!(output.contains("Kilo: whoever runs its hosts may log prompts"), "{output}");
    let (binary, _) = Binary::over(&simulator, &[("KEYLESS_PROVIDERS", "")]).await?;
    binary.signal("TERM").await?;
    let (_, output) = binary.end().await?;
    for word in
        ["No provider has a key", "KEYLESS_PROVIDERS=kilo,ovhcloud", "may log prompts", "OLLAMA_BASE_URL"]
    {
        assert!(output.contains(word), "{word}: {output}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_of_ones_own_answers_with_what_it_lists() -> anyhow::Result<()> {
    for name in ["Ollama", "LMStudio", "LlamaCpp", "vLLM"] {
        let (provider, proxy) = own_server(name, &["nomic-embed-text", "llama3.2:3b"]).await?;
        let reply = chat(&proxy, &question()).await?;
        assert_eq!((reply.status, reply.header("x-model")), (200, Some("llama3.2:3b")), "{name}");
        let mut whole = question();
        whole["stream"] = false.into();
        assert_eq!(chat(&proxy, &whole).await?.status, 200, "{name}");
        let tool = json!({"type": "function", "function": {"name": "now"}});
        let body = json!({"model": name.to_ascii_lowercase(), "tools": [tool], "tool_choice": "required",
            "messages": [{"role": "user", "content": "Hola"}]});
        let reply = complete(&proxy, &body).await?;
        assert_eq!(reply.json()["choices"][0]["finish_reason"], "tool_calls", "{name}: {}", reply.text());
        let call = proxy.provider(provider).chats().pop().expect("a call");
        assert_eq!((call.path.as_str(), call.header("authorization")), ("/v1/chat/completions", None));
    }
    Ok(())
}

/// They run on Ollama's machines and are billed.
#[tokio::test]
async fn ollamas_cloud_models_are_not_used() -> anyhow::Result<()> {
    let (ollama, proxy) = own_server("Ollama", &["gpt-oss:120b-cloud", "llama3.2:3b"]).await?;
    assert_eq!(chat(&proxy, &question()).await?.header("x-model"), Some("llama3.2:3b"));
    for model in ["ollama/gpt-oss:120b-cloud", "gpt-oss:120b-cloud"] {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "Hola"}]});
        assert_eq!(complete(&proxy, &body).await?.status, 404, "{model}");
    }
    let listed = http_client()?.get(proxy.url("/v1/models")).send().await?.text().await?;
    assert!(!listed.contains("cloud"), "{listed}");
    proxy.provider(ollama).offer(["gpt-oss:120b-cloud"]);
    proxy.read_models().await;
    chat(&proxy, &question()).await?;
    assert!(asked_for(&proxy, ollama).iter().all(|model| !model.contains("cloud")));
    Ok(())
}

/// The first tier alone while it can serve, the second while it cannot.
#[tokio::test]
async fn a_server_of_ones_own_is_asked_when_nobody_else_can_serve() -> anyhow::Result<()> {
    let ollama = row("Ollama");
    let both = || TestProxy::builder().over([ollama, Provider::GROQ]).with("OLLAMA_MODEL", "llama3.2:3b");
    let proxy = both().start().await?;
    proxy.provider(ollama).offer(["llama3.2:3b"]);
    for _ in 0..4 {
        assert_eq!(chat(&proxy, &question()).await?.header("x-provider"), Some("Groq"));
    }
    proxy.provider(Provider::GROQ).always(Behaviour::trouble(Trouble::RateLimited(20.0)));
    let reply = chat(&proxy, &question()).await?;
    assert_eq!(reply.header("x-provider"), Some("Ollama"));
    proxy.provider(Provider::GROQ).always(Behaviour::echo());
    proxy.clock.advance(Duration::from_secs(21));
    assert_eq!(chat(&proxy, &question()).await?.header("x-provider"), Some("Groq"));

    // The user may want it the other way round, or in one row.
    let proxy = both().with("TIER_2", "groq").start().await?;
    proxy.provider(ollama).offer(["llama3.2:3b"]);
    for _ in 0..3 {
        assert_eq!(chat(&proxy, &question()).await?.header("x-provider"), Some("Ollama"));
    }
    proxy.provider(ollama).always(Behaviour::trouble(Trouble::ServerError));
    assert_eq!(chat(&proxy, &question()).await?.header("x-provider"), Some("Groq"));
    Ok(())
}

/// While it reads its model from the disk it is asked again and again, and the pause does not grow. That is one attempt,
/// and takes as long as the request may take.
#[tokio::test]
async fn a_server_that_loads_its_model_is_waited_for() -> anyhow::Result<()> {
    let llama = row("LlamaCpp");
    let proxy = alone(llama)
        .with("LLAMACPP_MODEL", "m")
        .with("MAX_WAIT_MS", "1000")
        .with("MAX_ATTEMPTS", "2")
        .start()
        .await?;
    proxy.provider(llama).offer(["m"]);
    let loading = br#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#;
    for _ in 0..3 {
        proxy.provider(llama).then(raw(503, &[], loading.to_vec()));
    }
    let time_passes = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            proxy.clock.advance(Duration::from_millis(100));
        }
    };
    let body = question();
    let reply = tokio::select! {
        reply = chat(&proxy, &body) => reply?,
        () = time_passes => unreachable!("time does not end"),
    };
    let trail = "LlamaCpp:overloaded, LlamaCpp:ok";
    assert_eq!((reply.status, reply.header("x-attempts")), (200, Some(trail)), "{}", reply.text());
    assert_eq!(asked_for(&proxy, llama).len(), 4);
    // Whoever has nobody wait is told at once.
    let proxy = alone(llama).with("LLAMACPP_MODEL", "m").with("MAX_WAIT_MS", "0").start().await?;
    proxy.provider(llama).always(raw(503, &[], loading.to_vec()));
    assert_eq!(chat(&proxy, &question()).await?.status, 502);
    assert_eq!(asked_for(&proxy, llama).len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_server_that_does_not_run_is_passed_over_without_a_warning() -> anyhow::Result<()> {
    let clock = crate::support::TestClock::default();
    let only_groq = Directory::from_iter([Provider::GROQ]);
    let simulator = Simulator::start(only_groq, |it| Settings::new(it, clock.reliable_clock())).await?;
    let own = [("OLLAMA_BASE_URL", "127.0.0.1:1"), ("OLLAMA_MODEL", "m"), ("TIER_2", "groq")];
    let (binary, address) = Binary::over(&simulator, &own).await?;
    for _ in 0..3 {
        let request = http_client()?.post(format!("http://{address}/chat")).json(&question());
        assert_eq!(request.send().await?.headers()["x-provider"], "Groq");
    }
    binary.signal("TERM").await?;
    let (_, output) = binary.end().await?;
    assert!(!output.contains("WARN: Ollama"), "{output}");
    Ok(())
}

/// As people write them.
#[tokio::test]
async fn the_address_of_a_server_of_ones_own_may_have_its_path() -> anyhow::Result<()> {
    let ollama = row("Ollama");
    let simulator = Simulator::start(Directory::from_iter([ollama]), |it| Settings {
        models: vec!["m".to_owned()],
        ..Settings::new(it, std::sync::Arc::new(ai_proxy_free::internals::time::Moment::now))
    });
    let simulator = simulator.await?;
    let base = simulator.provider(ollama).base_url();
    let bare = base.trim_start_matches("http://");
    for address in
        [base.clone(), format!("{base}/v1"), format!("{base}/v1/"), bare.to_owned(), format!("{bare}/v1")]
    {
        let own = [("OLLAMA_BASE_URL", address.as_str()), ("OLLAMA_MODEL", "m")];
        let (_binary, at) = Binary::over(&simulator, &own).await?;
        let request = http_client()?.post(format!("http://{at}/chat")).json(&question());
        assert_eq!(request.send().await?.status(), 200, "{address}");
    }
    Ok(())
}

#[tokio::test]
async fn a_provider_of_ones_own_is_asked_in_turn() -> anyhow::Result<()> {
    let foo = Provider::custom("foo-2");
    let proxy = TestProxy::builder()
        .over([Provider::GROQ, foo])
        .with("CUSTOM_PROVIDERS", "foo-2")
        .with("FOO_2_MODEL", "m");
    let proxy = proxy.start().await?;
    let simulated = proxy.simulator.providers().find(|it| it.provider() == foo).expect("it is simulated");
    simulated.offer(["m"]);
    for expected in ["Groq", "foo-2", "Groq", "foo-2"] {
        assert_eq!(chat(&proxy, &question()).await?.header("x-provider"), Some(expected));
    }
    for (path, version) in [("/v1/models", "x"), ("/v1/models", "anthropic-version"), ("/v1beta/models", "x")]
    {
        let listed =
            http_client()?.get(proxy.url(path)).header(version, "2023-06-01").send().await?.text().await?;
        assert!(listed.contains("foo-2") && !listed.contains("4294967295"), "nobody told how much: {listed}");
    }
    let calls = simulated.chats();
    assert!(calls.iter().all(|it| it.header("authorization") == Some("Bearer key-of-foo-2")), "{calls:?}");
    let body = json!({"model": "foo-2/m", "messages": [{"role": "user", "content": "Hola"}]});
    assert_eq!(complete(&proxy, &body).await?.json()["model"], "foo-2/m");
    Ok(())
}

#[test]
fn names_that_would_take_somebody_elses_key_are_refused() {
    let report = |names: &str, more: &[(&str, &str)]| {
        let config = Config::from_lookup(|name| {
            let own = (name == "CUSTOM_PROVIDERS").then(|| names.to_owned());
            own.or_else(|| {
                more.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        });
        config.map(|_| ()).map_err(|error| error.to_string())
    };
    let url = [("FOO_BASE_URL", "https://api.example.org/v1")];
    assert_eq!(report("foo", &url), Ok(()));
    // `PROXY_API_KEY` is the clients', `GOOGLE_API_KEY` is Gemini's.
    for names in ["groq", "proxy", "google", "Ollama", "foo bar", "7foo", "foo/bar", "foo,FOO", "foo-a,foo_a"]
    {
        let told = report(names, &url).expect_err(names);
        assert!(told.contains("CUSTOM_PROVIDERS="), "{names}: {told}");
    }
    assert!(report("foo", &[]).expect_err("no address").contains("FOO_BASE_URL is not set"));
    let unknown = Config::from_lookup(|name| {
        ["TIER_2", "KEYLESS_PROVIDERS"].contains(&name).then(|| "nobody,groq".to_owned())
    });
    let told = unknown.expect_err("there is no such provider").to_string();
    assert!(told.contains("TIER_2=") && told.contains("KEYLESS_PROVIDERS="), "{told}");
}
