//! The error table of `/chat`: every way to be refused, its status and its words; and no provider is called.

use std::time::Duration;

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Trouble};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::{RawClient, Reply, TestProxy, chat, http_client, question, with_one_model_each};

async fn post_raw(
    proxy: &TestProxy,
    content_type: Option<&str>,
    body: impl Into<Vec<u8>>,
) -> anyhow::Result<Reply> {
    let mut request = http_client()?.post(proxy.url("/chat")).body(body.into());
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Reply { status, headers, body: response.bytes().await?.into(), is_broken: false })
}

const ROLES: &str = "'system', 'user', 'assistant'";

fn assert_is_json_error(reply: &Reply, status: u16, case: &str) {
    assert_eq!(reply.status, status, "{case}: {}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"), "{case}");
    assert!(reply.header("x-request-id").is_some(), "{case}");
    assert!(!reply.error().is_empty(), "{case}");
}

/// What a request body can do wrong, and the words that say so.
#[tokio::test]
async fn bad_bodies_are_told_what_is_wrong_and_where() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let with = |field: &str, value: Value| {
        let mut body = question();
        body[field] = value;
        body.to_string()
    };
    let messages = |messages: Value| json!({ "messages": messages }).to_string();
    let nested = format!("{{\"messages\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    let cases: Vec<(String, &[&str])> = vec![
        ("{".into(), &["not valid JSON", "line 1 column 1"]),
        ("{\"messages\":[}".into(), &["not valid JSON", "line 1 column 14"]),
        (nested, &["messages[0]", "not an array"]),
        (
            messages(json!(null)).replace("null", "[{\"role\":\"user\",\"content\":\"\\ud800\"}]"),
            &["messages[0].content"],
        ),
        (question().to_string().replace('}', "},\"x\":[}"), &["not valid JSON"]),
        (
            "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"temperature\":1e400}".into(),
            &["'temperature'"],
        ),
        ("[]".into(), &["must be a JSON object, not an array"]),
        ("null".into(), &["must be a JSON object, not null"]),
        ("\"x\"".into(), &["must be a JSON object, not a string"]),
        ("{}".into(), &["Request must include 'messages' array"]),
        (messages(json!(null)), &["Request must include 'messages' array"]),
        (messages(json!("hi")), &["Request must include 'messages' array"]),
        (messages(json!({})), &["Request must include 'messages' array"]),
        (messages(json!([])), &["'messages' is empty"]),
        (messages(json!(["hi"])), &["messages[0]", "'role' and 'content'", "not a string"]),
        (
            messages(json!([{"role": "user", "content": "x"}, {"content": "hi"}])),
            &["messages[1]", "'role'", ROLES],
        ),
        (messages(json!([{"role": 7, "content": "hi"}])), &["messages[0]", "'role'", ROLES]),
        (messages(json!([{"role": "tool", "content": "hi"}])), &["messages[0].role", ROLES]),
        (messages(json!([{"role": "User", "content": "hi"}])), &["messages[0].role", ROLES]),
        (messages(json!([{"role": "user"}])), &["messages[0]", "'content'"]),
        (messages(json!([{"role": "user", "content": null}])), &["messages[0]", "'content'"]),
        (messages(json!([{"role": "user", "content": ""}])), &["messages[0].content", "empty"]),
        (messages(json!([{"role": "user", "content": 5}])), &["messages[0].content", "string, not a number"]),
        (
            messages(json!([{"role": "user", "content": [{"text": "x"}]}])),
            &["messages[0].content", "not an array"],
        ),
        (with("stream", json!("yes")), &["'stream'", "true or false"]),
        (with("temperature", json!("hot")), &["'temperature'", "0 to 2"]),
        (with("temperature", json!(2.1)), &["'temperature'", "0 to 2"]),
        (with("temperature", json!(-1)), &["'temperature'", "0 to 2"]),
        (with("max_tokens", json!(0)), &["'max_tokens'", "at least 1"]),
        (with("max_tokens", json!(1.5)), &["'max_tokens'", "at least 1"]),
        (with("max_tokens", json!(-5)), &["'max_tokens'", "at least 1"]),
        (with("provider", json!(3)), &["'provider'", "a string"]),
        (with("provider", json!("OpenAI")), &["Unknown provider 'OpenAI'", "Groq, Cerebras, Gemini"]),
        (with("model", json!(["x"])), &["'model'", "a string"]),
        (
            with("model", json!("gpt-4")),
            &[
                "Unknown model 'gpt-4'",
                "There are: auto, groq, groq/openai/gpt-oss-20b",
                "gemini/gemini-3.8-flash",
            ],
        ),
    ];
    for (body, words) in cases {
        let reply = post_raw(&proxy, Some("application/json"), body.clone()).await?;
        assert_is_json_error(&reply, 400, &body);
        for word in words {
            assert!(reply.error().contains(word), "{body}\n{}\nlacks {word:?}", reply.error());
        }
    }
    let exact = post_raw(&proxy, Some("application/json"), "{}").await?;
    assert_eq!(exact.text(), r#"{"error":"Request must include 'messages' array"}"#);
    let reply = post_raw(&proxy, Some("application/json"), b"{\"messages\":\"\xff\"}".to_vec()).await?;
    assert_is_json_error(&reply, 400, "broken UTF-8");
    assert!(reply.error().contains("index 13"), "{}", reply.error());
    let twice = r#"{"messages":[],"messages":[{"role":"x","role":"user","content":"a","content":"b"}]}"#;
    assert_eq!(
        post_raw(&proxy, Some("application/json"), twice).await?.status,
        200,
        "of two keys the last counts"
    );
    assert_eq!(proxy.provider(Provider::GROQ).chats()[0].json()["messages"][0]["content"], "b");
    assert_eq!(proxy.upstream_calls(), 1);
    Ok(())
}

#[tokio::test]
async fn a_model_is_looked_for_at_the_pinned_provider() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let mut body = question();
    body["provider"] = json!("Cerebras");
    body["model"] = json!("openai/gpt-oss-20b");
    let reply = chat(&proxy, &body).await?;
    assert_is_json_error(&reply, 400, "another provider's model");
    assert!(reply.error().ends_with("There are: gpt-oss-120b, qwen-3.8-27b"), "{}", reply.error());
    Ok(())
}

/// What is refused for its head is refused by its head: the whole answer is there while the body is not.
#[tokio::test]
async fn a_refusal_does_not_wait_for_the_body() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("MAX_BODY_BYTES", 1_000).with("PROXY_API_KEY", "k").start().await?;
    let cases = [
        ("401", "/chat", "content-type: application/json\r\ncontent-length: 100"),
        ("413", "/chat", "x-api-key: k\r\ncontent-type: application/json\r\ncontent-length: 10000"),
        ("415", "/chat", "x-api-key: k\r\ncontent-type: text/plain\r\ncontent-length: 100"),
        ("404", "/nowhere", "x-api-key: k\r\ncontent-length: 100"),
        ("405", "/health", "content-length: 100"),
    ];
    for (status, path, headers) in cases {
        let mut client = RawClient::connect(proxy.address).await?;
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n");
        client.stream.write_all(head.as_bytes()).await?;
        client.read_until(if status == "404" { "]}" } else { "\"}" }).await?;
        let response = String::from_utf8_lossy(&client.received).into_owned();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        let (head, body) = response.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&format!("content-length: {}", body.len())), "it has not ended: {response}");
        assert!(
            head.contains("connection: close"),
            "nobody can say where the next request begins: {response}"
        );
        client.read_to_end().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_of_what_was_read_leaves_the_connection_open() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let mut client = RawClient::post(proxy.address, &json!({"messages": []})).await?;
    client.read_until("is empty").await?;
    client.stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    client.read_until("\"status\":\"ok\"").await
}

#[tokio::test]
async fn unknown_paths_are_not_found() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let client = http_client()?;
    let paths = json!([
        "GET /",
        "POST /chat",
        "GET /providers",
        "GET /metrics",
        "GET /health",
        "POST /v1/chat/completions",
        "GET /v1/models",
        "GET /v1/models/{id}",
        "POST /v1/messages",
        "POST /v1/messages/count_tokens",
        "POST /v1/responses",
        "GET /v1/responses/{id}",
        "DELETE /v1/responses/{id}",
        "GET /v1/responses/{id}/input_items",
        "POST /v1/responses/input_tokens",
        "GET /v1beta/models",
        "GET /v1beta/models/{id}",
        "POST /v1beta/models/{id}:generateContent",
        "POST /v1beta/models/{id}:streamGenerateContent",
        "POST /v1beta/models/{id}:countTokens",
        "POST /api/chat",
        "POST /api/generate",
        "POST /api/show",
        "GET /api/tags",
        "GET /api/version",
        "GET /api/ps",
    ]);
    for path in ["/page", "/Chat", "/health/x", "/v2/chat", "/chat/../x"] {
        let response = client.post(proxy.url(path)).body("{}").send().await?;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.json::<Value>().await?, json!({"error": "Not Found", "paths": paths}), "{path}");
    }
    let long = format!("/v1/{}", "x".repeat(200));
    let cut = &long[..100];
    for (path, told) in [
        ("/v1", "/v1"),
        ("/v1/", "/v1"),
        ("/v1/chat/completion", "/v1/chat/completion"),
        ("/v1/v1/nothing?secret", "/v1/v1/nothing"),
        ("/openai/v1/responses", "/openai/v1/responses"),
        (&long, cut),
    ] {
        let response = client.post(proxy.url(path)).body("{}").send().await?;
        assert_eq!(response.status(), 404, "{path}");
        let error = response.json::<Value>().await?["error"].clone();
        let there_are: Vec<&str> =
            paths.as_array().expect("paths").iter().filter_map(Value::as_str).collect();
        let sentence = format!("Not Found: there is no POST {told}. There are: {}", there_are.join(", "));
        assert_eq!((&error["message"], &error["code"]), (&json!(sentence), &json!("unknown_url")), "{path}");
    }
    for path in paths.as_array().expect("paths") {
        let (method, path) =
            path.as_str().and_then(|path| path.split_once(' ')).expect("a method and a path");
        let path = path.replace("{id}", "auto");
        let response = client.request(method.parse()?, proxy.url(&path)).send().await?;
        let (status, body) = (response.status(), response.text().await?);
        // A response that is not stored is no path that is not there.
        let is_there = status != 405 && (status != 404 || path.contains("/responses/auto"));
        assert!(is_there && !body.contains("unknown_url"), "{method} {path}: {status} {body}");
    }
    assert_eq!(client.request("OPTIONS".parse()?, proxy.url("/nowhere")).send().await?.status(), 404);
    for method in ["OPTIONS", "TRACE", "DELETE"] {
        let response = client.request(method.parse()?, proxy.url("/v1/nowhere")).send().await?;
        let error = response.json::<Value>().await?["error"]["message"].clone();
        let sentence = format!("Not Found: there is no {method} /v1/nowhere. ");
        assert!(error.as_str().is_some_and(|error| error.starts_with(&sentence)), "{error}");
    }
    assert_eq!(proxy.upstream_calls(), 0);
    Ok(())
}

/// A base URL that is slightly wrong says clearly what is meant.
#[tokio::test]
async fn slips_of_the_base_url_are_answered_all_the_same() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("PROXY_API_KEY", "k").start().await?;
    let key = [("authorization", "Bearer k")];
    let posts = [
        "/chat/completions",
        "/chat/completions/",
        "/v1/v1/chat/completions",
        "/v1/chat/completions/",
        "//v1/chat/completions",
        "/v1//chat//completions",
        "/openai/v1/v1/chat/completions",
        "/openai/v1/openai/v1/chat/completions",
        "/openai/chat/completions",
        "/v1/chat/completions/chat/completions?x=1",
    ];
    for path in posts {
        let reply = crate::support::ask_at(&proxy, path, &question(), &key).await?;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(reply.json()["object"], "chat.completion", "{path}");
        // Its errors are OpenAI's, whatever refuses.
        let refusals = [(json!({}), &key[..], 400), (question(), &[][..], 401)];
        for (body, headers, status) in refusals {
            let reply = crate::support::ask_at(&proxy, path, &body, headers).await?;
            assert_eq!(reply.status, status, "{path}: {}", reply.text());
            assert!(reply.json()["error"]["message"].is_string(), "{path}: {}", reply.text());
        }
        let other = http_client()?.get(proxy.url(path)).bearer_auth("k").send().await?;
        assert_eq!((other.status().as_u16(), &other.headers()["allow"].to_str()?), (405, &"POST"), "{path}");
    }
    for path in ["/chat/", "//chat", "/chat//"] {
        let reply = crate::support::ask_at(&proxy, path, &question(), &key).await?;
        assert!(reply.answer().is_done, "{path}");
    }
    let gets = [
        ("/models", "/data/0/id", "auto"),
        ("/v1/v1/models/", "/data/0/id", "auto"),
        ("/models/groq%2Fopenai%2Fgpt-oss-20b", "/id", "groq/openai/gpt-oss-20b"),
        ("/v1/v1/models/groq/openai/gpt-oss-20b/", "/id", "groq/openai/gpt-oss-20b"),
        ("/health/", "/status", "ok"),
        ("/providers/", "/providers/0/name", "Groq"),
    ];
    for (path, pointer, value) in gets {
        let response = http_client()?.get(proxy.url(path)).bearer_auth("k").send().await?;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.json::<Value>().await?.pointer(pointer), Some(&json!(value)), "{path}");
    }
    for path in ["//providers", "/providers/", "/models/", "/v1/v1/models"] {
        let status = http_client()?.get(proxy.url(path)).send().await?.status();
        assert_eq!(status, 401, "a slip is no way past the key: {path}");
    }
    Ok(())
}

#[tokio::test]
async fn without_keys_the_answer_says_which_variables_to_set() -> anyhow::Result<()> {
    let none = TestProxy::builder()
        .core()
        .with("GROQ_API_KEY", "")
        .with("CEREBRAS_API_KEY", "")
        .with("GOOGLE_API_KEY", "");
    let proxy = none.start().await?;
    let reply = chat(&proxy, &question()).await?;
    assert_is_json_error(&reply, 503, "no key");
    for variable in ["GROQ_API_KEY", "CEREBRAS_API_KEY", "GOOGLE_API_KEY or GEMINI_API_KEY"] {
        assert!(reply.error().contains(variable), "{}", reply.error());
    }

    let proxy = TestProxy::builder().core().with("CEREBRAS_API_KEY", "").start().await?;
    let mut pinned = question();
    pinned["provider"] = json!("Cerebras");
    let reply = chat(&proxy, &pinned).await?;
    assert_is_json_error(&reply, 503, "pinned to one without a key");
    assert!(
        reply.error().contains("CEREBRAS_API_KEY") && !reply.error().contains("GROQ"),
        "{}",
        reply.error()
    );
    let served: Vec<_> = [chat(&proxy, &question()).await?, chat(&proxy, &question()).await?]
        .map(|reply| {
            (reply.header("x-provider").map(str::to_owned), reply.header("x-attempts").map(str::to_owned))
        })
        .into();
    let ok = |name: &str| (Some(name.to_owned()), Some(format!("{name}:ok")));
    assert_eq!(served, [ok("Groq"), ok("Gemini")], "one without a key is passed over without a word");
    Ok(())
}

/// What the client is told when everybody fails alike.
#[tokio::test]
async fn when_all_fail_the_status_says_how() -> anyhow::Result<()> {
    let trouble = Behaviour::trouble;
    // Of what nobody has stated: 600 seconds and a fraction by chance. When failures end is not known.
    let cases = [
        (
            trouble(Trouble::RateLimited(12.0)),
            429,
            "rate_limited",
            Some(429),
            Some("12"),
            "Every provider is at its limit",
        ),
        (trouble(Trouble::BadKey), 502, "bad_key", Some(401), Some("601"), "All services failed"),
        (trouble(Trouble::NoCredit), 502, "no_credit", Some(402), Some("601"), "All services failed"),
        (trouble(Trouble::ModelGone), 502, "model_gone", Some(404), None, "All services failed"),
        (trouble(Trouble::Overloaded), 502, "overloaded", Some(503), None, "All services failed"),
        (trouble(Trouble::ServerError), 502, "upstream_error", Some(500), None, "All services failed"),
        (
            trouble(Trouble::BadRequest),
            400,
            "bad_request",
            Some(400),
            None,
            "Every provider refuses this request",
        ),
        (
            trouble(Trouble::ContextTooLong),
            400,
            "context_too_long",
            Some(400),
            None,
            "Every provider refuses this request",
        ),
        (
            trouble(Trouble::TooLarge),
            400,
            "too_large",
            Some(413),
            None,
            "Every provider refuses this request",
        ),
        (Behaviour::named("html").expect("known"), 502, "overloaded", Some(503), None, "All services failed"),
        (
            Behaviour::named("html_200").expect("known"),
            502,
            "upstream_error",
            Some(200),
            None,
            "All services failed",
        ),
        (
            Behaviour::answer(["x"]).thinking(["hm"]).with(Fault::EndEarly(After::Head)),
            502,
            "broken_stream",
            Some(200),
            None,
            "All services failed",
        ),
        (
            Behaviour::answer(["x"]).with(Fault::Cut(After::Nothing)),
            502,
            "upstream_error",
            None,
            None,
            "All services failed",
        ),
        (
            Behaviour::answer(["x"]).with(Fault::Stall(After::Nothing)),
            504,
            "timeout",
            None,
            None,
            "No provider answered in time",
        ),
        (
            Behaviour::answer(["x"]).with(Fault::Stall(After::Head)),
            504,
            "timeout",
            Some(200),
            None,
            "No provider answered in time",
        ),
    ];
    for (behaviour, status, reason, upstream_status, retry_after, words) in cases {
        for stream in [true, false] {
            let proxy = with_one_model_each()
                .with("FIRST_TOKEN_TIMEOUT_MS", 500)
                .with("REQUEST_TIMEOUT_MS", 2_000)
                .start()
                .await?;
            proxy.all(&behaviour);
            let mut body = question();
            body["stream"] = json!(stream);
            let reply = chat(&proxy, &body).await?;
            assert_is_json_error(&reply, status, reason);
            assert!(reply.error().starts_with(words), "{reason}: {}", reply.error());
            assert_eq!(reply.header("retry-after"), retry_after, "{reason}");
            let attempts = reply.json()["attempts"].clone();
            let attempt = |provider: &str| {
                let mut attempt = json!({"provider": provider, "reason": reason});
                if let Some(upstream_status) = upstream_status {
                    // Google says it in its own way.
                    let is_googles_key = (provider, reason) == ("Gemini", "bad_key");
                    attempt["status"] = json!(if is_googles_key { 400 } else { upstream_status });
                }
                if let Some(seconds) = retry_after {
                    attempt["retry_after_seconds"] = json!(seconds.parse::<u64>().expect("a number"));
                }
                attempt
            };
            assert_eq!(
                attempts,
                json!([attempt("Groq"), attempt("Cerebras"), attempt("Gemini")]),
                "{reason}"
            );
        }
    }
    Ok(())
}

/// The status says what all have in common; if they have nothing in common it is 502.
#[tokio::test]
async fn mixed_failures_are_a_502_with_all_reasons() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.provider(Provider::GROQ).always(Behaviour::trouble(Trouble::RateLimited(7.0)));
    proxy.provider(Provider::CEREBRAS).always(Behaviour::trouble(Trouble::BadKey));
    proxy.provider(Provider::GEMINI).always(Behaviour::trouble(Trouble::BadRequest));
    let reply = chat(&proxy, &question()).await?;
    assert_is_json_error(&reply, 502, "mixed");
    assert!(reply.error().starts_with("All services failed: Groq is rate limited; Cerebras refuses the API key; Gemini refuses the request"), "{}", reply.error());
    assert_eq!(reply.header("retry-after"), Some("7"), "the soonest");
    assert_eq!(
        reply.json()["attempts"],
        json!([
            {"provider": "Groq", "reason": "rate_limited", "status": 429, "retry_after_seconds": 7},
            {"provider": "Cerebras", "reason": "bad_key", "status": 401, "retry_after_seconds": 601},
            {"provider": "Gemini", "reason": "bad_request", "status": 400},
        ])
    );
    Ok(())
}

/// A limit of a day ends when the provider says; at Google when its day does, whatever delay it states.
#[tokio::test]
async fn daily_limits_are_no_blips() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::trouble(Trouble::QuotaExhausted(578.016)));
    let reply = chat(&proxy, &question()).await?;
    assert_is_json_error(&reply, 429, "all of a day");
    assert_eq!(reply.header("retry-after"), Some("35"), "Google's delay is tried once");
    let attempts = reply.json()["attempts"].clone();
    for attempt in attempts.as_array().expect("attempts") {
        assert_eq!(attempt["reason"], "quota_exhausted", "{attempt}");
    }
    assert_eq!(attempts[0]["retry_after_seconds"], 579);
    Ok(())
}

/// If all say nothing, the request is taken for the cause: the last answer is passed on, honestly empty, and nobody
/// rests for it.
#[tokio::test]
async fn an_empty_answer_is_passed_on_only_if_all_are() -> anyhow::Result<()> {
    let empty = || Behaviour::named("empty").expect("known");
    for stream in [true, false] {
        let mut body = question();
        body["stream"] = json!(stream);
        let proxy = TestProxy::core().await?;
        proxy.all(&empty());
        for _ in 0..3 {
            let reply = chat(&proxy, &body).await?;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.header("x-attempts").map(|it| it.matches("empty_answer").count()), Some(2));
            let finish = if stream { reply.answer().finish.expect("a finish") } else { reply.json() };
            assert_eq!((&finish["content"], &finish["finish_reason"]), (&json!(""), &json!("stop")));
            for provider in Directory::core() {
                let report = proxy.report(provider).await?;
                assert_eq!(report["models"][0]["state"], "ready", "{provider:?}: the request is the cause");
            }
        }
        let proxy = TestProxy::core().await?;
        proxy.provider(Provider::GROQ).always(empty());
        assert_eq!(chat(&proxy, &body).await?.header("x-attempts"), Some("Groq:empty_answer, Cerebras:ok"));
        chat(&proxy, &body).await?;
        let passed_over = Some("Groq:ok");
        proxy.provider(Provider::GROQ).always(Behaviour::answer(["x"]));
        assert_eq!(chat(&proxy, &body).await?.header("x-attempts"), passed_over, "its sibling serves");
        assert_eq!(proxy.counts(Provider::GROQ).await?, (2, 1));
    }
    Ok(())
}

/// Who asks for an answer of one token gets what there is: nothing, honestly marked.
#[tokio::test]
async fn an_answer_cut_before_its_text_is_passed_on_only_if_all_are() -> anyhow::Result<()> {
    let cut = || Behaviour::answer::<&str>([]).thinking(["hm"]).finishing("length");
    for stream in [true, false] {
        let mut body = question();
        body["stream"] = json!(stream);
        let proxy = TestProxy::core().await?;
        proxy.provider(Provider::GROQ).always(cut());
        let reply = chat(&proxy, &body).await?;
        assert_eq!(reply.header("x-attempts"), Some("Groq:empty_answer, Cerebras:ok"));

        let proxy = TestProxy::core().await?;
        proxy.all(&cut());
        let reply = chat(&proxy, &body).await?;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-attempts"), Some("Groq:empty_answer, Cerebras:empty_answer, Gemini:ok"));
        let finish = if stream { reply.answer().finish.expect("a finish") } else { reply.json() };
        assert_eq!((&finish["content"], &finish["finish_reason"]), (&json!(""), &json!("length")));
        assert_eq!(proxy.counts(Provider::CEREBRAS).await?, (1, 1));
        assert_eq!(proxy.counts(Provider::GEMINI).await?, (1, 0));
        assert_eq!(chat(&proxy, &body).await?.status, 200, "no provider is in cooldown for it");

        let proxy = TestProxy::core().await?;
        proxy.all(&cut());
        proxy.provider(Provider::GEMINI).always(Behaviour::trouble(Trouble::Overloaded));
        let reply = chat(&proxy, &body).await?;
        assert_is_json_error(&reply, 502, "somebody failed otherwise");
        assert_eq!(proxy.counts(Provider::CEREBRAS).await?, (1, 1));
    }
    Ok(())
}

/// Beside somebody who may serve at any time, a limit of an hour says nothing.
#[tokio::test]
async fn retry_after_is_told_only_if_nobody_can_serve_sooner() -> anyhow::Result<()> {
    let limited = |seconds| Behaviour::trouble(Trouble::RateLimited(seconds));
    let failing = || Behaviour::trouble(Trouble::ServerError);
    let cases = [
        (failing(), limited(3_000.0), 502, None, "who fails may be well again at once"),
        (failing(), limited(12.0), 502, Some("12"), "soon enough to be told"),
        (limited(900.0), limited(3_000.0), 429, Some("900"), "the first of all"),
        (Behaviour::trouble(Trouble::BadKey), limited(40.0), 502, Some("40"), "a key needs a person"),
    ];
    for (groq, others, status, retry_after, case) in cases {
        let proxy = with_one_model_each().core().start().await?;
        proxy.all(&others);
        proxy.provider(Provider::GROQ).always(groq);
        let refused = chat(&proxy, &question()).await?;
        assert_eq!((refused.status, refused.header("retry-after")), (status, retry_after), "{case}");
    }
    // One key fails and the other is limited: that is not merely a limit.
    let proxy = with_one_model_each().only([Provider::GROQ]).with("GROQ_API_KEY", "a,b").start().await?;
    proxy.provider(Provider::GROQ).then(failing());
    proxy.provider(Provider::GROQ).then(limited(3_000.0));
    let refused = chat(&proxy, &question()).await?;
    assert_eq!((refused.status, refused.header("retry-after")), (502, None), "{}", refused.text());
    Ok(())
}

#[tokio::test]
async fn all_attempts_together_have_a_limit() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("REQUEST_TIMEOUT_MS", 300).start().await?;
    // Thoughts are progress for the other clocks, but not for this one.
    let thinking = Behaviour::answer(["x"]).thinking(vec!["hm"; 1_000]).paced(Duration::from_millis(20));
    proxy.all(&thinking);
    let reply = chat(&proxy, &question()).await?;
    assert_is_json_error(&reply, 504, "thinks too long");
    assert_eq!(reply.json()["attempts"], json!([{"provider": "Groq", "reason": "timeout"}]));
    assert_eq!(reply.header("retry-after"), None, "it is nobody's fault");
    assert_eq!(proxy.upstream_calls(), 1, "no time is left for anybody else");
    Ok(())
}

/// SDKs ask again by themselves after 408, 409, 429 and 5xx, and wait for nothing on a 502 that the proxy knew at once.
#[tokio::test]
async fn every_error_says_whether_asking_again_soon_can_help() -> anyhow::Result<()> {
    for path in ["/chat", "/v1/chat/completions"] {
        let proxy = TestProxy::builder()
            .core()
            .with("MAX_BODY_BYTES", 1_000)
            .with("BODY_READ_TIMEOUT_MS", 300)
            .start()
            .await?;
        let head = |rest: &str| format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{rest}\r\n\r\n");
        let json = "content-type: application/json\r\n";
        let never = [
            (400, head(&format!("{json}content-length: 2")) + "{}"),
            (404, format!("GET {path}/nowhere HTTP/1.1\r\nhost: localhost\r\n\r\n")),
            (405, format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")),
            (413, head(&format!("{json}content-length: 1001"))),
            (415, head("content-type: text/plain\r\ncontent-length: 2")),
            (414, format!("GET {path}?{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(40_000))),
            (431, head(&format!("x: {}", "x".repeat(40_000)))),
            (400, "no HTTP at all\r\n\r\n".to_owned()),
        ];
        let perhaps = [(408, head(&format!("{json}content-length: 2")))];
        let cases = never.map(|case| (case, true)).into_iter().chain(perhaps.map(|case| (case, false)));
        for ((status, request), is_final) in cases {
            let mut client = RawClient::connect(proxy.address).await?;
            client.stream.write_all(request.as_bytes()).await?;
            client.read_until("\r\n\r\n").await?;
            let response = String::from_utf8_lossy(&client.received).into_owned();
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {status}: {response}");
            assert_eq!(response.contains("\r\nx-should-retry: false\r\n"), is_final, "{path}: {response}");
        }
        let crowded = TestProxy::builder().with("MAX_CONCURRENT_REQUESTS", 1).start().await?;
        crowded.all(&Behaviour::answer(["x"]).with(Fault::Stall(After::Nothing)));
        let _first = RawClient::post(crowded.address, &question()).await?;
        let groq = crowded.provider(Provider::GROQ);
        crate::support::within_patience("the first call", groq.until(|it| it.request_count() > 0)).await;
        let keyless = TestProxy::builder().only([]).start().await?;
        let closed = TestProxy::builder().with("PROXY_API_KEY", "k").start().await?;
        let replies = [
            (&closed, None, 401, None, Some("false")),
            (&keyless, None, 503, None, Some("false")),
            (&crowded, None, 503, Some("1"), None),
            (&proxy, Some(Trouble::BadKey), 502, Some("601"), Some("false")),
            (&proxy, Some(Trouble::BadRequest), 400, None, Some("false")),
        ];
        for (proxy, trouble, status, retry_after, should_retry) in replies {
            if let Some(trouble) = trouble {
                for provider in proxy.simulator.providers() {
                    provider.then(Behaviour::trouble(trouble));
                }
            }
            let reply = crate::support::ask_at(proxy, path, &question(), &[]).await?;
            assert_eq!(reply.status, status, "{path}: {}", reply.text());
            let told = (reply.header("retry-after"), reply.header("x-should-retry"));
            assert_eq!(told, (retry_after, should_retry), "{path} {status}: {}", reply.text());
            proxy.clock.advance(Duration::from_secs(700));
        }
        for (seconds, should_retry) in [(60.0, None), (61.0, Some("false"))] {
            let limited = TestProxy::core().await?;
            limited.all(&Behaviour::trouble(Trouble::RateLimited(seconds)));
            let reply = crate::support::ask_at(&limited, path, &question(), &[]).await?;
            assert_eq!((reply.status, reply.header("x-should-retry")), (429, should_retry), "{path}");
        }
    }
    Ok(())
}
