//! Models come and go: whoever is asked for one that is gone answers with another, and `check` says so beforehand.

use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{
    After, Behaviour, Fault, Reply, Settings, SimulatedProvider, Simulator, Trouble,
};
use serde_json::{Value, json};

use crate::support::{
    Binary, ProxyBuilder, RawClient, RawUpstream, Step, TestProxy, chat, complete, http_client, question,
    within_patience,
};

/// What was set up long ago, and what is there instead.
const LONG_AGO: [(Provider, &str, &str); 3] = [
    (Provider::GROQ, "mixtral-8x7b-32768", "openai/gpt-oss-20b"),
    (Provider::CEREBRAS, "llama3-70b-8192", "gpt-oss-120b"),
    (Provider::GEMINI, "gemini-1.5-flash", "gemini-3.5-flash-lite"),
];

fn from_long_ago() -> ProxyBuilder {
    LONG_AGO.into_iter().fold(TestProxy::builder(), |builder, (provider, model, _)| {
        builder.with(provider.profile().models_variable, model)
    })
}

async fn simulator() -> anyhow::Result<Simulator> {
    let clock = std::sync::Arc::new(ai_proxy_free::internals::time::Moment::now);
    Ok(Simulator::start(Directory::core(), |provider| Settings::new(provider, clock.clone())).await?)
}

fn pinned(provider: Provider) -> Value {
    json!({"messages": [{"role": "user", "content": "Hola"}], "provider": provider.name()})
}

/// The models that a provider was asked to chat with, in order.
fn asked_for(provider: &SimulatedProvider) -> Vec<String> {
    let model = |request: &ai_proxy_free::internals::simulator::ReceivedRequest| match &request.json()["model"]
    {
        Value::String(model) => model.clone(),
        _ => {
            let path = request.path.split(':').next().expect("a path");
            path.trim_start_matches("/v1beta/models/").to_owned()
        }
    };
    provider.chats().iter().map(model).collect()
}

/// The ids in `/v1/models`.
async fn listed(proxy: &TestProxy) -> anyhow::Result<Vec<String>> {
    let list: Value = http_client()?.get(proxy.url("/v1/models")).send().await?.json().await?;
    let ids = list["data"].as_array().expect("a list").iter();
    Ok(ids.map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect())
}

#[tokio::test]
async fn settings_from_long_ago_are_served_by_the_models_of_today() -> anyhow::Result<()> {
    for reads_lists in [false, true] {
        let builder = from_long_ago();
        let proxy = if reads_lists { builder.reading_models() } else { builder }.start().await?;
        for _ in 0..12 {
            proxy.clock.advance(Duration::from_secs(50_000));
            assert_eq!(chat(&proxy, &question()).await?.status, 200, "with lists: {reads_lists}");
        }
        proxy.read_models().await;
        for (provider, dead, alive) in LONG_AGO {
            assert_eq!(chat(&proxy, &pinned(provider)).await?.header("x-model"), Some(alive));
            let asked = asked_for(proxy.provider(provider));
            let wasted = asked.iter().filter(|model| *model == dead).count();
            assert_eq!(wasted, usize::from(!reads_lists), "{asked:?}");
            assert!(asked.iter().all(|model| model == dead || model == alive), "{asked:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_log_says_what_is_used_instead_of_what() -> anyhow::Result<()> {
    for reads_lists in [true, false] {
        let simulator = simulator().await?;
        if !reads_lists {
            for provider in simulator.providers() {
                provider.list_always(Behaviour::new(Reply::Html(503)));
            }
        }
        let variables = LONG_AGO.map(|(provider, dead, _)| (provider.profile().models_variable, dead));
        let (mut binary, address) = Binary::over(&simulator, &variables).await?;
        if !reads_lists {
            let response =
                http_client()?.post(format!("http://{address}/chat")).json(&question()).send().await?;
            assert_eq!(response.status(), 200);
        }
        for (provider, dead, alive) in LONG_AGO {
            let sentence =
                format!("{} does not offer {dead} any more: using {alive} instead", provider.name());
            while !binary.output.contains(&sentence) {
                binary.line_with("any more: using ").await?;
            }
        }
        binary.signal("TERM").await?;
        let (_, output) = binary.end().await?;
        assert_eq!(output.matches("any more: using").count(), 3, "once each: {output}");
        let missing = if reads_lists { 0 } else { 3 };
        assert_eq!(output.matches("gives no list of models").count(), missing, "{output}");
        assert!(!output.contains("refuses key"), "{output}");
    }
    Ok(())
}

#[tokio::test]
async fn what_vanishes_is_skipped_without_a_call_and_serves_again_when_it_is_back() -> anyhow::Result<()> {
    for provider in Directory::core() {
        let proxy = TestProxy::builder().reading_models().start().await?;
        let [first, second] = [0, 1].map(|index| provider.profile().models[index].id);
        let answers = async || {
            let reply = chat(&proxy, &pinned(provider)).await?;
            anyhow::Ok((
                reply.header("x-model").map(str::to_owned),
                reply.header("x-attempts").map(str::to_owned),
            ))
        };
        let ok = Some(format!("{}:ok", provider.name()));
        assert_eq!(answers().await?, (Some(first.to_owned()), ok.clone()));

        proxy.provider(provider).offer([second, "whisper-large-v3"]);
        proxy.read_models().await;
        assert_eq!(answers().await?, (Some(second.to_owned()), ok.clone()));
        let name = provider.name().to_ascii_lowercase();
        let ids = listed(&proxy).await?;
        assert!(
            ids.contains(&format!("{name}/{second}")) && !ids.contains(&format!("{name}/{first}")),
            "{ids:?}"
        );

        proxy.provider(provider).offer([second, first]);
        proxy.read_models().await;
        assert_eq!(answers().await?, (Some(first.to_owned()), ok));
        assert_eq!(asked_for(proxy.provider(provider)), [first, second, first]);
        assert!(listed(&proxy).await?.contains(&format!("{name}/{first}")));
    }
    Ok(())
}

/// A list may have what its provider refuses; only when it has come and gone is that taken for news.
#[tokio::test]
async fn what_an_answer_has_retired_comes_back_with_the_list_it_was_missing_from() -> anyhow::Result<()> {
    let proxy =
        TestProxy::builder().with("GROQ_MODEL", "openai/gpt-oss-20b,qwen/qwen3.8-27b").reading_models();
    let proxy = proxy.start().await?;
    let groq = proxy.provider(Provider::GROQ);
    groq.then(Behaviour::trouble(Trouble::ModelGone));
    let model = async || {
        Ok::<_, anyhow::Error>(
            chat(&proxy, &pinned(Provider::GROQ)).await?.header("x-model").map(str::to_owned),
        )
    };
    assert_eq!(model().await?.as_deref(), Some("qwen/qwen3.8-27b"));
    proxy.read_models().await;
    assert_eq!(model().await?.as_deref(), Some("qwen/qwen3.8-27b"));
    groq.offer(["qwen/qwen3.8-27b"]);
    proxy.read_models().await;
    groq.offer(["qwen/qwen3.8-27b", "openai/gpt-oss-20b"]);
    proxy.read_models().await;
    assert_eq!(model().await?.as_deref(), Some("openai/gpt-oss-20b"));
    assert_eq!(groq.chats().len(), 4);
    Ok(())
}

/// A provider whose answers call everything gone, and whose list does not, has had an accident.
#[tokio::test]
async fn an_accident_does_not_retire_a_provider() -> anyhow::Result<()> {
    for is_read_again in [true, false] {
        let proxy = TestProxy::builder().start().await?;
        proxy.read_models().await;
        let groq = proxy.provider(Provider::GROQ);
        groq.always(Behaviour::trouble(Trouble::ModelGone));
        assert_eq!(chat(&proxy, &pinned(Provider::GROQ)).await?.status, 502);
        groq.always(Behaviour::echo());
        let calls = groq.chat_count();
        assert_eq!(chat(&proxy, &pinned(Provider::GROQ)).await?.status, 502);
        assert_eq!(groq.chat_count(), calls, "it is in cooldown");
        if is_read_again {
            proxy.read_models().await;
        } else {
            proxy.clock.advance(Duration::from_secs(3_602));
        }
        assert_eq!(chat(&proxy, &pinned(Provider::GROQ)).await?.status, 200, "{is_read_again}");
    }
    Ok(())
}

#[tokio::test]
async fn whoever_is_under_way_with_a_model_keeps_it() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().reading_models().start().await?;
    let groq = proxy.provider(Provider::GROQ);
    groq.then(Behaviour::answer(["One, ", "two."]).paced(Duration::from_millis(500)));
    let mut client = RawClient::post(proxy.address, &pinned(Provider::GROQ)).await?;
    client.read_until("One, ").await?;
    groq.offer(["qwen/qwen3.8-27b"]);
    proxy.read_models().await;
    assert_eq!(chat(&proxy, &pinned(Provider::GROQ)).await?.header("x-model"), Some("qwen/qwen3.8-27b"));
    client.read_until("two.").await?;
    client.read_until("data: [DONE]").await?;
    assert_eq!(asked_for(groq), ["openai/gpt-oss-20b", "qwen/qwen3.8-27b"]);
    Ok(())
}

#[tokio::test]
async fn with_nothing_known_left_the_best_of_the_list_serves() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.provider(Provider::GROQ).offer([
        "whisper-large-v3",
        "openai/gpt-oss-safeguard-20b",
        "qwen/qwen5-9b",
    ]);
    proxy.provider(Provider::CEREBRAS).offer(["glm-9-preview", "glm-8"]);
    // Google's list is long.
    let embeddings = (0..500).map(|number| format!("gemini-embedding-{number}"));
    let geminis = ["gemini-9-pro", "gemini-9-flash-preview", "gemini-9-flash"].map(str::to_owned);
    proxy.provider(Provider::GEMINI).offer(embeddings.chain(geminis));
    proxy.read_models().await;
    for (provider, model) in [
        (Provider::GROQ, "qwen/qwen5-9b"),
        (Provider::CEREBRAS, "glm-8"),
        (Provider::GEMINI, "gemini-9-flash"),
    ] {
        let reply = chat(&proxy, &pinned(provider)).await?;
        assert_eq!((reply.status, reply.header("x-model")), (200, Some(model)));
        assert_eq!(asked_for(proxy.provider(provider)), [model]);
    }
    let body = json!({"model": "groq/qwen/qwen5-9b", "messages": [{"role": "user", "content": "Hola"}]});
    assert_eq!(complete(&proxy, &body).await?.status, 200, "it can be asked for by name");
    Ok(())
}

#[tokio::test]
async fn a_model_that_is_asked_for_by_name_is_gone_or_unknown_or_there() -> anyhow::Result<()> {
    let proxy = from_long_ago().reading_models().start().await?;
    let by_name = |model: &str| json!({"messages": [{"role": "user", "content": "Hola"}], "model": model});

    let gone = chat(&proxy, &by_name("mixtral-8x7b-32768")).await?;
    assert_eq!((gone.status, &gone.json()["attempts"][0]["reason"]), (502, &json!("model_gone")));
    let gone = complete(&proxy, &by_name("groq/mixtral-8x7b-32768")).await?;
    assert_eq!(gone.status, 502);
    assert!(gone.text().contains("does not offer the model (any more)"), "{}", gone.text());
    let url = proxy.url("/v1/models/groq/mixtral-8x7b-32768");
    assert_eq!(http_client()?.get(url).send().await?.status(), 404);
    assert_eq!(proxy.provider(Provider::GROQ).chats().len(), 0, "nobody is called in vain");

    let unknown = chat(&proxy, &by_name("gpt-9")).await?;
    assert_eq!(unknown.status, 400);
    for (_, dead, alive) in LONG_AGO {
        let sentence = unknown.error();
        assert!(sentence.contains(alive) && !sentence.contains(dead), "{sentence}");
        assert_eq!(chat(&proxy, &by_name(alive)).await?.header("x-model"), Some(alive));
    }
    let spare = TestProxy::builder().with("GROQ_MODEL", "openai/gpt-oss-120b").start().await?;
    assert_eq!(chat(&spare, &by_name("openai/gpt-oss-20b")).await?.status, 400, "a spare that is not needed");
    Ok(())
}

#[tokio::test]
async fn a_key_is_not_used_with_models_that_its_own_list_lacks() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("GROQ_API_KEY", "poor,rich").start().await?;
    let groq = proxy.provider(Provider::GROQ);
    groq.offer_to("poor", ["qwen/qwen3.8-27b"]);
    proxy.read_models().await;
    for _ in 0..3 {
        let reply = chat(&proxy, &pinned(Provider::GROQ)).await?;
        let answered = (reply.header("x-model"), reply.header("x-attempts"));
        assert_eq!(answered, (Some("openai/gpt-oss-20b"), Some("Groq:ok")));
    }
    assert!(groq.chats().iter().all(|it| it.header("authorization") == Some("Bearer rich")));
    groq.then(Behaviour::trouble(Trouble::BadKey));
    let reply = chat(&proxy, &pinned(Provider::GROQ)).await?;
    assert_eq!(reply.header("x-attempts"), Some("Groq:bad_key, Groq:ok"));
    assert_eq!(reply.header("x-model"), Some("qwen/qwen3.8-27b"), "the poor one does what it can");
    Ok(())
}

/// It is warned of, and costs one call.
#[tokio::test]
async fn a_key_that_gets_no_list_leaves_the_others_alone() -> anyhow::Result<()> {
    for provider in Directory::core() {
        let variable = provider.profile().key_variables[0];
        let proxy =
            TestProxy::builder().with(variable, "an-invalid-key, good-key").reading_models().start().await?;
        assert_eq!(proxy.provider(provider).requests().len(), 2, "one list for each key");
        for _ in 0..4 {
            assert_eq!(chat(&proxy, &pinned(provider)).await?.status, 200);
        }
        assert_eq!(proxy.counts(provider).await?, (5, 1));
    }
    Ok(())
}

#[tokio::test]
async fn the_start_warns_of_a_refused_key_by_its_number() -> anyhow::Result<()> {
    let simulator = simulator().await?;
    let keys = [("GROQ_API_KEY", "good-SECRET,invalid-SECRET"), ("GOOGLE_API_KEY", "invalid-SECRET")];
    let (mut binary, _) = Binary::over(&simulator, &keys).await?;
    binary.line_with("refuses key").await?;
    binary.line_with("refuses key").await?;
    binary.signal("TERM").await?;
    let (_, output) = binary.end().await?;
    assert!(output.contains("WARN: Groq refuses key 2 of 2"), "{output}");
    assert!(output.contains("WARN: Gemini refuses key 1 of 1"), "{output}");
    assert!(output.matches("refuses key").count() == 2 && !output.contains("SECRET"), "{output}");
    Ok(())
}

#[tokio::test]
async fn a_list_that_cannot_be_had_changes_nothing() -> anyhow::Result<()> {
    let json = |body: String| {
        let headers = vec![("content-type".into(), "application/json".into())];
        Behaviour::new(Reply::Raw { status: 200, headers, body: vec![body.into_bytes()] })
    };
    let redirect = vec![("location".into(), "http://127.0.0.1:1/".into())];
    let other = json!({"data": [{"id": "other"}],
        "models": [{"name": "models/other", "supportedGenerationMethods": ["generateContent"]}]});
    let mut endless = other.clone();
    endless["padding"] = json!("x".repeat(6 << 20));
    let mut page = other;
    page["data"] = json!([{"id": "whisper-1"}]);
    page["nextPageToken"] = json!("more");
    let cases = [
        ("a web page", Behaviour::new(Reply::Html(200))),
        ("a firewall", Behaviour::new(Reply::Html(403))),
        ("a limit", Behaviour::trouble(Trouble::RateLimited(60.0))),
        ("an error of theirs", Behaviour::trouble(Trouble::ServerError)),
        ("no such place", Behaviour::trouble(Trouble::ModelGone)),
        ("no credit", Behaviour::trouble(Trouble::NoCredit)),
        ("a redirect", Behaviour::new(Reply::Raw { status: 307, headers: redirect, body: Vec::new() })),
        ("no JSON", json("{\"data\": [".into())),
        ("another JSON", json("[1]".into())),
        ("an empty list", json(r#"{"data":[],"models":[]}"#.into())),
        (
            "odd entries",
            json(
                r#"{"data":[1,{"id":7},{"id":"../x"},{}],"models":[1,{"name":7},{"name":"models/x"}]}"#
                    .into(),
            ),
        ),
        ("more than anybody has", json(endless.to_string())),
        ("the first of many pages", json(page.to_string())),
        ("a list that breaks off", Behaviour::echo().with(Fault::Cut(After::Head))),
        ("a reset", Behaviour::echo().with(Fault::Reset(After::Nothing))),
    ];
    for (case, behaviour) in cases {
        let proxy = TestProxy::start().await?;
        for provider in proxy.simulator.providers() {
            provider.list_always(behaviour.clone());
        }
        proxy.read_models().await;
        for provider in Directory::core() {
            assert_eq!(proxy.counts(provider).await?, (0, 0), "{case}");
            let reply = chat(&proxy, &pinned(provider)).await?;
            assert_eq!(reply.header("x-model"), provider.default_models().next(), "{case}");
            assert_eq!(
                reply.header("x-attempts"),
                Some(format!("{}:ok", provider.name()).as_str()),
                "{case}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn lists_are_asked_for_where_the_sdks_ask_and_never_cost_a_chat() -> anyhow::Result<()> {
    let proxy =
        TestProxy::builder().with("GROQ_API_KEY", "key-of-a,key-of-b").reading_models().start().await?;
    let paths = [
        (Provider::GROQ, vec!["/openai/v1/models"; 2]),
        (Provider::CEREBRAS, vec!["/v1/models"]),
        (Provider::GEMINI, vec!["/v1beta/models?pageSize=1000"]),
    ];
    for (provider, paths) in paths {
        let requests = proxy.provider(provider).requests();
        assert_eq!(requests.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(), paths);
        assert!(requests.iter().all(|it| it.method == "GET" && it.body.is_empty()), "{requests:?}");
        assert_eq!(proxy.counts(provider).await?, (0, 0), "a list is no attempt");
    }
    chat(&proxy, &pinned(Provider::GEMINI)).await?;
    let connections: Vec<u64> =
        proxy.provider(Provider::GEMINI).requests().iter().map(|it| it.connection).collect();
    assert_eq!(connections, [0, 0], "the connection is there already");
    Ok(())
}

#[tokio::test]
async fn a_start_without_a_network_serves_at_once() -> anyhow::Result<()> {
    let black_hole = RawUpstream::always(vec![Step::Stall]).await?;
    let nobody = "http://127.0.0.1:1";
    let url = black_hole.base_url();
    let variables = [
        ("GROQ_API_KEY", "a"),
        ("CEREBRAS_API_KEY", "b"),
        ("GOOGLE_API_KEY", "c"),
        ("GROQ_BASE_URL", nobody),
        ("CEREBRAS_BASE_URL", url.as_str()),
        ("GOOGLE_GEMINI_BASE_URL", nobody),
        ("FIRST_TOKEN_TIMEOUT_MS", "100"),
        // The last one left has the rest of it.
        ("REQUEST_TIMEOUT_MS", "1000"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (binary, address) = Binary::start(&[], variables.into()).await?;
    let client = http_client()?;
    let health: Value = client.get(format!("http://{address}/health")).send().await?.json().await?;
    assert_eq!(health["stats"]["services"]["Cerebras"], json!({"count": 0, "failures": 0}));
    let refused = client.post(format!("http://{address}/chat")).json(&question()).send().await?;
    assert_eq!(refused.status(), 502);
    // The list that hangs hinders nobody from leaving either.
    binary.signal("TERM").await?;
    assert_eq!(binary.end().await?.0, Some(0));
    Ok(())
}

/// Runs `check` over `simulator`.
async fn check(simulator: &Simulator, own: &[(&str, &str)]) -> anyhow::Result<(Option<i32>, String, String)> {
    let urls: Vec<(&str, String)> =
        simulator.providers().map(|it| (it.provider().profile().base_url_variable, it.base_url())).collect();
    let urls = urls.iter().map(|(name, url)| (*name, url.as_str()));
    let variables: Vec<(&str, &str)> = urls.chain(own.iter().copied()).collect();
    Binary::run(&["check"], &variables, None).await
}

#[tokio::test]
async fn check_says_of_every_key_what_it_is_good_for() -> anyhow::Result<()> {
    let simulator = simulator().await?;
    let variables = [
        ("GROQ_API_KEY", "good-SECRET, invalid-SECRET"),
        ("GEMINI_API_KEY", "good-SECRET"),
        ("GEMINI_MODEL", "gemini-1.5-flash"),
        ("RUST_LOG", "trace"),
    ];
    let (code, out, err) = check(&simulator, &variables).await?;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        [
            "Groq, key 1 of 2: accepted, uses openai/gpt-oss-20b; documented limits of the free plan: 30 requests a \
             minute, 1,000 requests a day, 8,000 tokens a minute, 200,000 tokens a day",
            "Groq, key 2 of 2: refused (status 401: Invalid API Key)",
            "Cerebras: CEREBRAS_API_KEY is not set",
            "Gemini, key 1 of 1: accepted, uses gemini-3.5-flash-lite (gemini-1.5-flash is not offered); documented \
             limits of the free plan: 15 requests a minute, 500 requests a day, 250,000 tokens a minute",
        ]
    );
    for provider in simulator.providers() {
        assert!(provider.chats().is_empty(), "no quota is spent");
    }
    assert_eq!(simulator.provider(Provider::GROQ).requests().len(), 2);
    assert_eq!(simulator.provider(Provider::CEREBRAS).requests().len(), 0);
    Ok(())
}

#[tokio::test]
async fn check_fails_when_nobody_is_usable_and_says_why() -> anyhow::Result<()> {
    let simulator = simulator().await?;
    let (code, out, err) = check(&simulator, &[]).await?;
    assert_eq!((code, err.as_str()), (Some(1), ""));
    assert_eq!(
        out,
        "Groq: GROQ_API_KEY is not set\nCerebras: CEREBRAS_API_KEY is not set\n\
         Gemini: GOOGLE_API_KEY or GEMINI_API_KEY is not set\n"
    );

    simulator.provider(Provider::CEREBRAS).list_always(Behaviour::new(Reply::Html(200)));
    let variables = [
        ("GROQ_API_KEY", "x"),
        ("CEREBRAS_API_KEY", "x"),
        ("GOOGLE_API_KEY", "invalid-SECRET"),
        ("GROQ_BASE_URL", "http://127.0.0.1:1"),
    ];
    let (code, out, err) = check(&simulator, &variables).await?;
    assert_eq!((code, err.as_str()), (Some(1), ""));
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        [
            "Groq, key 1 of 1: not known, Groq could not be reached",
            "Cerebras, key 1 of 1: not known, Cerebras sends no list of models (status 200)",
            "Gemini, key 1 of 1: refused (status 400: API key not valid. Please pass a valid API key.)",
        ]
    );

    simulator.provider(Provider::CEREBRAS).list_always(Behaviour::trouble(Trouble::ModelGone));
    let (_, out, _) = check(&simulator, &[("CEREBRAS_API_KEY", "x")]).await?;
    assert!(out.contains("Cerebras has no list of models there: is CEREBRAS_BASE_URL right?"), "{out}");

    let (code, out, err) = check(&simulator, &[("PORT", "many"), ("GROQ_API_KEY", "x")]).await?;
    assert!(code == Some(2) && out.is_empty() && err.contains("PORT=many"), "{out}{err}");
    Ok(())
}

#[tokio::test]
async fn check_waits_for_nobody_for_ever_and_for_all_at_once() -> anyhow::Result<()> {
    let silent = RawUpstream::always(vec![Step::Stall]).await?;
    let url = silent.base_url();
    let variables = [
        ("GROQ_API_KEY", "a,b,c"),
        ("CEREBRAS_API_KEY", "d,e,f"),
        ("CONNECT_TIMEOUT_MS", "100"),
        ("GROQ_BASE_URL", url.as_str()),
        ("CEREBRAS_BASE_URL", url.as_str()),
    ];
    let begun = Instant::now();
    let (code, out, _) = within_patience("check", Binary::run(&["check"], &variables, None)).await?;
    assert_eq!(code, Some(1));
    assert_eq!(out.matches("did not answer in time").count(), 6, "{out}");
    // One after the other they would have taken half a minute.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    Ok(())
}
