//! `POST /chat` when all goes well: the three forms of an answer, their bytes and their headers.

use std::time::Duration;

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Framing, Reply};
use serde_json::json;

use crate::support::{TestProxy, ask, call_headers, chat, key_header, openai_providers, question};

#[tokio::test]
async fn a_streamed_answer_has_the_promised_bytes() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["Hola", ", ¿cómo"]));
    for (provider, model) in
        [("Groq", "openai/gpt-oss-20b"), ("Cerebras", "gpt-oss-120b"), ("Gemini", "gemini-3.5-flash-lite")]
    {
        let reply = chat(&proxy, &question()).await?;
        let text = reply.text();
        let (pieces, end) = text.split_at(67);
        assert_eq!(pieces, "data: {\"content\":\"Hola\"}\n\ndata: {\"content\":\", ¿cómo\"}\n\ndata: {\"co");
        let usage = reply.answer().finish.expect("a finish")["usage"].clone();
        let usage = format!(
            "{{\"prompt_tokens\":{},\"completion_tokens\":2,\"total_tokens\":{}}}",
            usage["prompt_tokens"], usage["total_tokens"]
        );
        assert_eq!(
            end,
            format!(
                "ntent\":\"\",\"finish_reason\":\"stop\",\"provider\":\"{provider}\",\"model\":\"{model}\",\
                 \"usage\":{usage}}}\n\ndata: [DONE]\n\n"
            )
        );
    }
    Ok(())
}

#[tokio::test]
async fn every_form_of_answer_has_the_promised_headers() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let whole = json!({"messages": [{"role": "user", "content": "Hola"}], "stream": false});
    let cases = [
        (question(), "*/*", "text/event-stream; charset=utf-8"),
        (question(), "text/plain", "text/plain; charset=utf-8"),
        (whole.clone(), "*/*", "application/json; charset=utf-8"),
        (whole, "text/plain, */*", "text/plain; charset=utf-8"),
    ];
    for (body, accept, content_type) in cases {
        let reply = ask(
            &proxy,
            &body,
            &[("accept", accept), ("x-request-id", "my-id.1"), ("accept-encoding", "gzip, br")],
        )
        .await?;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some(content_type));
        assert_eq!(reply.header("x-request-id"), Some("my-id.1"));
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
        assert_eq!(reply.header("x-accel-buffering"), Some("no"));
        assert_eq!(reply.header("content-encoding"), None, "never compressed");
        let provider = reply.header("x-provider").expect("a provider");
        assert_eq!(reply.header("x-attempts"), Some(format!("{provider}:ok").as_str()));
        assert!(reply.header("x-model").is_some());
    }
    Ok(())
}

#[tokio::test]
async fn request_ids_are_made_up_unless_the_client_sends_a_sane_one() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let long = "x".repeat(129);
    for insane in ["", "two words", "semi;colon", "«»", long.as_str()] {
        let reply = ask(&proxy, &question(), &[("x-request-id", insane)]).await?;
        let id = reply.header("x-request-id").expect("an id");
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{insane:?} became {id:?}"
        );
    }
    let (first, second) = (chat(&proxy, &question()).await?, chat(&proxy, &question()).await?);
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    Ok(())
}

#[tokio::test]
async fn accept_decides_between_json_and_text() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["Hola"]));
    let cases = [
        ("text/plain", true),
        ("Text/Plain; charset=utf-8", true),
        ("text/plain, application/json", true),
        ("application/json;q=0.5, text/plain", true),
        ("application/json, text/plain, */*", false),
        ("text/plain;q=0.5, text/event-stream", false),
        ("text/plain;q=0", false),
        ("text/event-stream", false),
        ("*/*", false),
        ("nonsense;;;q=x", false),
    ];
    for (accept, is_text) in cases {
        let reply = ask(&proxy, &question(), &[("accept", accept)]).await?;
        assert_eq!(reply.text() == "Hola", is_text, "{accept}");
    }
    Ok(())
}

#[tokio::test]
async fn a_whole_answer_is_one_json_object() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["Ho", "la"]).thinking(["hm"]));
    for provider in Directory::core() {
        let body = json!({"messages": [{"role": "user", "content": "Hola"}], "stream": false});
        let mut answer = chat(&proxy, &body).await?.json();
        let usage = answer["usage"].take();
        assert_eq!(usage["completion_tokens"], 3, "two pieces and a thought");
        assert_eq!(
            answer,
            json!({"content": "Hola", "finish_reason": "stop", "provider": provider.name(),
                "model": provider.default_models().next(), "usage": null})
        );
    }
    Ok(())
}

#[tokio::test]
async fn thoughts_are_never_part_of_the_content() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["Hola"]).thinking(["I ", "think."]));
    for _ in Directory::core() {
        let answer = chat(&proxy, &question()).await?.answer();
        assert_eq!((answer.text.as_str(), answer.events), ("Hola", 2));
    }
    Ok(())
}

#[tokio::test]
async fn finish_reasons_are_translated() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    for reason in ["stop", "length", "content_filter"] {
        proxy.all(&Behaviour::answer(["Hola"]).finishing(reason));
        for provider in Directory::core() {
            let answer = chat(&proxy, &question()).await?.answer();
            assert_eq!(answer.finish.expect("a finish")["finish_reason"], reason, "{provider:?}");
            assert!(answer.is_done);
        }
    }
    Ok(())
}

/// The provider's filter has decided: asking somebody else would be asking until somebody says yes.
#[tokio::test]
async fn a_blocked_prompt_is_an_answer_and_nobody_else_is_asked() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::new(Reply::Blocked));
    for (count, provider) in Directory::core().into_iter().enumerate() {
        let reply = chat(&proxy, &question()).await?;
        assert_eq!(reply.header("x-attempts"), Some(format!("{}:ok", provider.name()).as_str()));
        let answer = reply.answer();
        assert_eq!((answer.text.as_str(), answer.is_done), ("", true));
        assert_eq!(answer.finish.expect("a finish")["finish_reason"], "content_filter");
        assert_eq!(proxy.upstream_calls(), count as u64 + 1);
        assert_eq!(proxy.counts(provider).await?, (1, 0), "no failure");
    }
    Ok(())
}

/// However a provider delimits and ends its answer, as long as it says that it is complete.
#[tokio::test]
async fn complete_is_what_has_a_finish_reason_or_an_end_mark() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let text = || Behaviour::answer(["One, ", "two."]);
    let all: Vec<Provider> = Directory::core().into_iter().collect();
    let with_end_mark: Vec<Provider> = openai_providers().collect();
    let behaviours = [
        ("chunked", text(), &all),
        ("with a length", text().framed(Framing::Length), &all),
        ("delimited by close", text().framed(Framing::Close), &all),
        ("without an end mark", text().with(Fault::NoEndMark), &all),
        ("never ending", text().with(Fault::NeverEnds), &all),
        ("with an end mark only", text().with(Fault::NoFinish), &with_end_mark),
        ("with a comment", text().with(Fault::Inject(After::Text(1), b": ping\n\n".to_vec())), &all),
        (
            "with an unreadable event",
            text().with(Fault::Inject(After::Text(1), b"data: {oops\n\n".to_vec())),
            &all,
        ),
        (
            "with a ping event",
            text().with(Fault::Inject(After::Text(1), b"data: : keepalive\n\n".to_vec())),
            &all,
        ),
        (
            "with an unknown event",
            text().with(Fault::Inject(After::Head, b"data: {\"type\":\"ping\"}\n\n".to_vec())),
            &all,
        ),
    ];
    for (case, behaviour, providers) in behaviours {
        proxy.all(&behaviour);
        for provider in providers {
            let body =
                json!({"messages": [{"role": "user", "content": "Hola"}], "provider": provider.name()});
            let answer = chat(&proxy, &body).await?.answer();
            assert_eq!((answer.text.as_str(), answer.is_done), ("One, two.", true), "{provider:?} {case}");
            assert_eq!(answer.finish.expect("a finish")["finish_reason"], "stop");
            assert_eq!(proxy.counts(*provider).await?.1, 0, "{provider:?} {case}: no failure");
        }
    }
    Ok(())
}

/// Some relays ignore `stream` and send one JSON document.
#[tokio::test]
async fn a_json_answer_counts_as_one_event() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let openai = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hola"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}});
    let gemini = json!({"candidates": [{"content": {"parts": [{"text": "Hola"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}});
    for (provider, document) in [
        (Provider::GROQ, openai.clone()),
        (Provider::CEREBRAS, openai),
        (Provider::GEMINI, gemini.clone()),
        (Provider::GEMINI, json!([gemini])),
    ] {
        proxy.provider(provider).always(Behaviour::new(Reply::Raw {
            status: 200,
            headers: vec![("content-type".into(), "application/json; charset=UTF-8".into())],
            body: vec![document.to_string().into_bytes()],
        }));
        let body = json!({"messages": [{"role": "user", "content": "Hola"}], "provider": provider.name()});
        let answer = chat(&proxy, &body).await?.answer();
        assert_eq!(answer.text, "Hola", "{provider:?}");
        assert_eq!(answer.finish.expect("a finish")["usage"]["total_tokens"], 3);
    }
    Ok(())
}

#[tokio::test]
async fn usage_is_absent_when_the_provider_gives_none() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.provider(Provider::GROQ).always(Behaviour::new(Reply::Raw {
        status: 200,
        headers: vec![("content-type".into(), "text/event-stream".into())],
        body: vec![
            b"data: {\"choices\":[{\"delta\":{\"content\":\"Hola\"},\"finish_reason\":\"stop\"}]}\n\n"
                .to_vec(),
        ],
    }));
    let answer = chat(&proxy, &question()).await?.answer();
    assert_eq!(answer.finish.expect("a finish").get("usage"), None);
    Ok(())
}

#[tokio::test]
async fn a_pinned_request_goes_there_and_takes_no_turn() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let pinned = |field: &str, value: &str| json!({"messages": [{"role": "user", "content": "Hola"}], "stream": false, field: value});
    for (body, provider, model) in [
        (pinned("provider", "gEmInI"), "Gemini", "gemini-3.5-flash-lite"),
        (pinned("model", "qwen-3.8-27b"), "Cerebras", "qwen-3.8-27b"),
        (pinned("model", "openai/gpt-oss-120b"), "Groq", "openai/gpt-oss-120b"),
        // The names that `/v1` teaches.
        (pinned("model", "groq"), "Groq", "openai/gpt-oss-20b"),
        (pinned("model", "groq/openai/gpt-oss-120b"), "Groq", "openai/gpt-oss-120b"),
        (pinned("model", "Cerebras/qwen-3.8-27b"), "Cerebras", "qwen-3.8-27b"),
        (pinned("provider", "Google"), "Gemini", "gemini-3.5-flash-lite"),
    ] {
        let reply = chat(&proxy, &body).await?;
        assert_eq!((reply.header("x-provider"), reply.header("x-model")), (Some(provider), Some(model)));
    }
    for (provider, model, expected) in [
        ("groq", "qwen/qwen3.8-27b", "qwen/qwen3.8-27b"),
        ("groq", "groq/qwen/qwen3.8-27b", "qwen/qwen3.8-27b"),
        ("groq", "Groq", "openai/gpt-oss-20b"),
        ("groq", "auto", "openai/gpt-oss-20b"),
        ("google", "gemini/gemini-3.8-flash", "gemini-3.8-flash"),
    ] {
        let both =
            json!({"messages": [{"role": "user", "content": "Hola"}], "provider": provider, "model": model});
        assert_eq!(chat(&proxy, &both).await?.header("x-model"), Some(expected), "{provider} {model}");
    }
    for (provider, model) in [("groq", "cerebras/gpt-oss-120b"), ("cerebras", "groq"), ("google", "google")] {
        let both =
            json!({"messages": [{"role": "user", "content": "Hola"}], "provider": provider, "model": model});
        assert_eq!(chat(&proxy, &both).await?.status, 400, "{provider} {model}");
    }
    for provider in ["Groq", "Cerebras", "Gemini", "Groq"] {
        assert_eq!(
            chat(&proxy, &question()).await?.header("x-provider"),
            Some(provider),
            "as if nobody had been pinned"
        );
    }
    for provider in ["Cerebras", "Gemini", "Groq"] {
        let reply = chat(&proxy, &pinned("model", "auto")).await?;
        assert_eq!(reply.header("x-provider"), Some(provider), "anybody's turn");
    }
    Ok(())
}

#[tokio::test]
async fn unknown_fields_and_nulls_are_ignored_and_nothing_of_them_goes_upstream() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let body = json!({
        "messages": [{"role": "user", "content": "Hola", "name": "x", "cache_control": {}}],
        "stream": null, "temperature": null, "max_tokens": null, "provider": null, "model": null,
        "api_base": "http://evil.test", "base_url": "http://evil.test", "headers": {"x": "y"}, "n": 5,
    });
    for _ in Directory::core() {
        assert_eq!(chat(&proxy, &body).await?.status, 200);
    }
    for provider in proxy.simulator.providers() {
        let sent = provider.chats()[0].json().to_string();
        assert!(
            !["evil", "cache_control", "api_base", "null"].iter().any(|word| sent.contains(word)),
            "{sent}"
        );
    }
    Ok(())
}

/// What a client sends to us stays with us, and what a provider sends to us stays there.
#[tokio::test]
async fn headers_pass_in_neither_direction() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let headers = [
        ("authorization", "Bearer client-secret"),
        ("cookie", "a=b"),
        ("x-api-key", "client-secret"),
        ("x-forwarded-host", "evil.test"),
        ("x-stainless-lang", "js"),
    ];
    proxy.all(&Behaviour::new(Reply::Raw {
        status: 200,
        headers: vec![
            ("content-type".into(), "text/event-stream".into()),
            ("set-cookie".into(), "a=b".into()),
            ("x-goog-api-key".into(), "leaked".into()),
            ("server".into(), "cloudflare".into()),
            ("alt-svc".into(), "h3".into()),
        ],
        body: vec![
            b"data: {\"choices\":[{\"delta\":{\"content\":\"Hola\"},\"finish_reason\":\"stop\"}]}\n\n".to_vec(),
            b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hola\"}]},\"finishReason\":\"STOP\"}]}\n\n".to_vec(),
        ],
    }));
    for provider in Directory::core() {
        let reply = ask(&proxy, &question(), &headers).await?;
        let mut names: Vec<_> = reply.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "access-control-allow-origin",
                "access-control-expose-headers",
                "cache-control",
                "content-type",
                "date",
                "transfer-encoding",
                "vary",
                "x-accel-buffering",
                "x-attempts",
                "x-model",
                "x-provider",
                "x-request-id",
            ]
        );
        let sent = &proxy.provider(provider).chats()[0];
        let mut names: Vec<_> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, call_headers(provider));
        let key = key_header(provider);
        assert_eq!(sent.header("accept-encoding"), Some("identity"));
        assert!(
            sent.header(key).is_some_and(|value| value.ends_with(&format!("key-of-{}", provider.name())))
        );
    }
    Ok(())
}

#[tokio::test]
async fn connections_to_providers_are_used_again() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    for _ in 0..3 * Directory::core().iter().len() {
        chat(&proxy, &question()).await?;
    }
    for provider in proxy.simulator.providers() {
        let connections: Vec<u64> = provider.chats().iter().map(|request| request.connection).collect();
        assert_eq!(connections, [0, 0, 0], "{:?}", provider.provider());
    }
    Ok(())
}

/// The client of a whole answer gets nothing before its end, so it does not wait for a provider that has said all and
/// does not hang up.
#[tokio::test]
async fn a_whole_answer_does_not_wait_for_a_provider_that_does_not_hang_up() -> anyhow::Result<()> {
    let mut body = question();
    body["stream"] = json!(false);
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        let proxy = TestProxy::builder().only([Provider::GROQ]).start().await?;
        proxy.all(&Behaviour::answer(["One, ", "two."]).with(Fault::NeverEnds));
        let begun = std::time::Instant::now();
        assert_eq!(chat(&proxy, &body).await?.json()["content"], "One, two.");
        shortest = shortest.min(begun.elapsed());
    }
    assert!(shortest < Duration::from_secs(1), "each took at least {shortest:?}");
    Ok(())
}
