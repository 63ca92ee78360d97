//! Rows 100 to 106: bodies that are JSON and ask for what there is not.

use std::collections::BTreeMap;

use ai_proxy_free::internals::providers::Directory;
use ai_proxy_free::internals::simulator::{Settings, Simulator};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::ways::{Before, Way, nested};
use crate::support::{Binary, Reply, TestProxy, call_headers, http_client, key_header, within_patience};

/// Values that hardly any field wants.
fn absurd_values() -> Vec<String> {
    let mut values: Vec<String> = [
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "2",
        "7",
        "-0",
        "0.0",
        "1.0",
        "0.5",
        "-0.5",
        "1.5",
        "2.1",
        "1e1",
        "1e-400",
        "1e400",
        "-1e400",
        "1e22",
        "1000",
        "2147483648",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "\"\"",
        "\" \"",
        "\"x\"",
        "\"0\"",
        "\"true\"",
        "\"null\"",
        "\"NaN\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\ud83c\\udf88\"",
        "\"é🎈\"",
        "\"../../etc/passwd\"",
        "\"' OR 1=1 --\"",
        "\"${jndi:ldap://x}\"",
        "\"http://127.0.0.1/\"",
        "[]",
        "[null]",
        "[1]",
        "[\"x\"]",
        "[[]]",
        "[{}]",
        "{}",
        "{\"x\":1}",
        "{\"\":null}",
        "{\"type\":\"x\"}",
        "{\"role\":\"user\",\"content\":\"x\"}",
        "{\"__proto__\":{\"x\":1}}",
        "{\"$ref\":\"#\"}",
    ]
    .map(str::to_owned)
    .into();
    values.extend([
        format!("\"{}\"", "x".repeat(100_000)),
        format!("[{}0]", "0,".repeat(100_000)),
        format!("[{}\"x\"]", "\"x\",".repeat(1_000)),
        "9".repeat(300),
        nested("[", "", "]", 100),
        nested("{\"a\":", "1", "}", 100),
    ]);
    values
}

/// Whether a field takes a value: those that mean something, and of the others what its documentation says.
fn is_taken(way: Way, field: &str, value: &str) -> bool {
    let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
    let within = |least, most| number.is_some_and(|number| (least..=most).contains(&number));
    // Also those that are written as `7.0`, where the dialect allows it.
    let whole = value.parse::<i64>().ok().or_else(|| {
        let number = number.filter(|number| number.fract() == 0.0 && number.abs() < 9e18);
        number.filter(|_| value.contains(['.', 'e'])).map(|number| number as i64)
    });
    let text = || value.starts_with('"') && !value.contains("ud800");
    value == "null" && field != "messages"
        || match (way.is_openai(), field) {
            (_, "stream" | "parallel_tool_calls") => ["true", "false"].contains(&value),
            (_, "temperature") => within(0.0, 2.0),
            (_, "top_p") => within(0.0, 1.0),
            (_, "frequency_penalty" | "presence_penalty") => within(-2.0, 2.0),
            // Above what any model has it means "as many as there are", and so does -1 at OpenAI.
            (false, "max_tokens") => value.parse::<u64>().is_ok_and(|number| number >= 1),
            (true, "max_tokens" | "max_completion_tokens") => {
                whole.is_some_and(|number| number == -1 || number >= 1)
            }
            (_, "seed") => whole.is_some(),
            (true, "model") => value == "\"\"",
            (_, "user") => text(),
            (_, "stop") => text() || ["[]", "[\"x\"]"].contains(&value),
            (_, "stream_options") => value.starts_with('{'),
            (_, "tools" | "modalities" | "functions") => value == "[]",
            (_, "logit_bias") => value == "{}",
            (_, "n") => ["1", "1.0"].contains(&value),
            (_, "logprobs") => value == "false",
            (_, "top_logprobs") => value == "0",
            (_, "nobody_knows_this") => true,
            _ => false,
        }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_100_absurd_values_are_refused_or_taken_as_documented() -> anyhow::Result<()> {
    const CHAT: &[&str] =
        &["messages", "stream", "temperature", "max_tokens", "provider", "model", "nobody_knows_this"];
    const OPENAI: &[&str] = &[
        "messages",
        "model",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "user",
        "reasoning_effort",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "n",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "modalities",
        "audio",
        "functions",
        "function_call",
        "web_search_options",
        "nobody_knows_this",
    ];
    let proxy = TestProxy::start().await?;
    let client = http_client()?;
    let mut mistakes = Vec::new();
    for (way, fields) in [(Way::ChatStream, CHAT), (Way::OpenAiWhole, OPENAI)] {
        for field in fields {
            for value in absurd_values() {
                let short: String = value.chars().take(40).collect();
                let case = format!("'{field}' is {short}");
                let mut rest = way.body();
                rest.as_object_mut().expect("an object").remove(*field);
                let rest = rest.to_string();
                let comma = if rest == "{}" { "" } else { "," };
                let body = format!("{{\"{field}\":{value}{comma}{}", &rest[1..]);
                let calls = proxy.upstream_calls();
                let reply =
                    way.post_from(&client, &proxy, &[("content-type", "application/json")], body).await?;
                let calls = proxy.upstream_calls() - calls;
                if is_taken(way, field, &value) {
                    if (reply.status, calls) != (200, 1) {
                        mistakes.push(format!("{way:?} {case}: {} {calls} {}", reply.status, reply.text()));
                    }
                    continue;
                }
                // A string may be the name of a model that there is not.
                let is_name = way.is_openai()
                    && *field == "model"
                    && value.starts_with('"')
                    && !value.contains("ud800");
                if (reply.status, calls) != (if is_name { 404 } else { 400 }, 0) {
                    mistakes.push(format!("{way:?} {case}: {} {calls} {}", reply.status, reply.text()));
                    continue;
                }
                let sentence = way.refusal(&reply, reply.status, &case);
                assert!(sentence.contains(field) || field.contains("model"), "{way:?} {case}: {sentence}");
                assert!(sentence.len() < 1_000, "{way:?} {case}: {} bytes", sentence.len());
            }
        }
    }
    assert!(mistakes.is_empty(), "{mistakes:#?}");
    Before::case(&proxy).await?.assert_nobody_was_asked(&proxy, "after all that").await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_100_very_long_conversations_are_read_and_told_to_be_too_long() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    for way in Way::SURFACES {
        for (count, words, status) in [(10_000, "x", 200), (100_000, "word ", 400)] {
            let case = format!("{count} messages");
            let before = Before::case(&proxy).await?;
            let mut body = way.body();
            body["messages"] = vec![json!({"role": "user", "content": words.repeat(20)}); count].into();
            let reply = way.post_json(&proxy, body.to_string()).await?;
            if status == 200 {
                way.text(&reply, &case);
            } else {
                let sentence = way.refusal(&reply, status, &case);
                assert!(
                    sentence.contains("cannot take in a conversation of this length"),
                    "{way:?}: {sentence}"
                );
            }
            before.assert_asked(&proxy, u64::from(status == 200), &format!("{way:?} {case}")).await?;
        }
    }
    Ok(())
}

/// Any JSON whatever, often with the names that are looked for.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec![
            "user",
            "assistant",
            "tool",
            "system",
            "auto",
            "function",
            "json_schema",
            "x"
        ])
        .prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "messages",
        "role",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "tool_calls",
        "tool_call_id",
        "id",
        "function",
        "name",
        "arguments",
        "parameters",
        "tools",
        "tool_choice",
        "response_format",
        "json_schema",
        "schema",
        "stream",
        "model",
        "provider",
        "stop",
        "n",
        "allowed_tools",
        "mode",
        "extra_content",
        "properties",
        "$ref",
        "anyOf",
    ]);
    leaf.prop_recursive(6, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..8).prop_map(|entries| entries
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

#[test]
fn row_100_no_json_whatever_is_answered_with_a_failure_of_ours() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (proxy, client) =
        runtime.block_on(async { anyhow::Ok((TestProxy::start().await?, http_client()?)) })?;
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let strategy = (any_json(), any::<bool>(), prop::sample::select(Way::ALL.to_vec()));
    let outcome = TestRunner::new(config).run(&strategy, |(json, is_whole, way)| {
        let body = if is_whole {
            json
        } else {
            // A question in which something is wrong.
            let mut body = way.body();
            for (name, value) in json.as_object().into_iter().flatten().filter(|(name, _)| *name != "stream")
            {
                body[name] = value.clone();
            }
            body
        };
        let headers = [("content-type", "application/json")];
        let reply = runtime.block_on(way.post_from(&client, &proxy, &headers, body.to_string()));
        let reply = reply.map_err(|error| TestCaseError::fail(format!("{way:?} {body}: {error}")))?;
        if reply.status != 200 {
            prop_assert!(
                [400, 404].contains(&reply.status),
                "{way:?} {body}: {} {}",
                reply.status,
                reply.text()
            );
            way.refusal(&reply, reply.status, "any JSON");
        } else if !is_whole {
            way.text(&reply, "a question after all");
        }
        Ok(())
    });
    runtime.block_on(async {
        Before::case(&proxy).await?.assert_nobody_was_asked(&proxy, "after all that").await
    })?;
    outcome.map_err(|error| anyhow::anyhow!("{error}"))
}

/// Nothing that a client says leads the proxy elsewhere, or gets past it to a provider.
#[tokio::test]
async fn row_104_a_client_cannot_steer_the_connection() -> anyhow::Result<()> {
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", elsewhere.local_addr()?);
    let headers: Vec<(&str, &str)> = [
        "x-forwarded-host",
        "x-forwarded-for",
        "x-forwarded-proto",
        "forwarded",
        "x-original-url",
        "x-rewrite-url",
        "x-upstream-host",
        "x-host",
        "x-base-url",
        "x-api-base",
        "x-portkey-custom-host",
        "helicone-target-url",
        "proxy-authorization",
        "authorization",
        "x-api-key",
        "x-goog-api-key",
        "api-key",
        "cookie",
        "referer",
        "origin",
        "user-agent",
        "via",
        "x-stainless-lang",
        "openai-organization",
        "x-goog-user-project",
        "accept-encoding",
        "te",
        "upgrade",
        "traceparent",
    ]
    .map(|name| (name, url.as_str()))
    .into();
    let mut fields = BTreeMap::new();
    for name in [
        "api_base",
        "base_url",
        "baseURL",
        "api_url",
        "endpoint",
        "host",
        "url",
        "proxy",
        "api_key",
        "apiKey",
        "key",
        "authorization",
        "headers",
        "extra_headers",
        "extra_body",
        "extra_query",
        "default_headers",
        "custom_llm_provider",
        "api_type",
        "api_version",
        "organization",
        "project",
        "fallbacks",
        "webhook",
        "callback_url",
        "service_tier",
    ] {
        fields.insert(name, json!(url));
    }
    fields.insert("headers", json!({"authorization": url, "host": url}));
    fields.insert("extra_headers", json!({"x-secret": url}));
    fields.insert("extra_body", json!({"base_url": url, "model": url}));
    let proxy = TestProxy::start().await?;
    for way in Way::ALL {
        for provider in Directory::core() {
            let case = format!("{way:?} {provider:?}");
            let before = Before::case(&proxy).await?;
            let mut body = way.body_for(provider);
            for (name, value) in &fields {
                body[*name] = value.clone();
            }
            let calls = proxy.provider(provider).chats().len();
            let json = [("content-type", "application/json")];
            let all = [&headers[..], &json].concat();
            let client = http_client()?;
            let query = format!("{}?api_base={url}&key={url}&alt=media", way.path());
            let mut request = client.post(proxy.url(&query)).body(body.to_string());
            for (name, value) in all {
                request = request.header(name, value);
            }
            let response = within_patience("an answer", request.send()).await?;
            assert_eq!(response.status(), 200, "{case}");
            let answered = format!("{:?}", response.headers()) + &response.text().await?;
            assert!(!answered.contains(&url), "{case}: {answered}");
            let sent = proxy.provider(provider).chats()[calls].clone();
            let everything =
                format!("{} {:?} {}", sent.path, sent.headers, String::from_utf8_lossy(&sent.body));
            assert!(!everything.contains(&url) && !everything.contains("alt=media"), "{case}: {everything}");
            let mut names: Vec<_> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, call_headers(provider), "{case}");
            let key = key_header(provider);
            assert!(
                sent.header(key).is_some_and(|it| it.ends_with(&format!("key-of-{}", provider.name()))),
                "{case}"
            );
            before.assert_asked(&proxy, 1, &case).await?;
        }
        // Names of what may answer are looked up in a list, and never become part of an address.
        for name in [
            url.as_str(),
            "../../etc/passwd",
            "groq/../x",
            "x?key=y",
            "@evil.test",
            "groq@evil.test",
            "\r\nx: y",
        ] {
            for field in if way.is_openai() { &["model"][..] } else { &["model", "provider"] } {
                let case = format!("{field} is {name:?}");
                let before = Before::case(&proxy).await?;
                let mut body = way.body();
                body[*field] = json!(name);
                let reply = way.post_json(&proxy, body.to_string()).await?;
                way.refusal(&reply, if way.is_openai() { 404 } else { 400 }, &case);
                before.assert_nobody_was_asked(&proxy, &format!("{way:?} {case}")).await?;
            }
        }
    }
    let nobody = tokio::time::timeout(std::time::Duration::ZERO, elsewhere.accept()).await;
    assert!(nobody.is_err(), "somebody was connected to");
    Ok(())
}

/// What a refusal and a line of the log may hold of a name: a list of what there is, and the name cut short.
const SHORT: usize = 1_500;

#[tokio::test]
async fn row_106_an_unknown_model_is_told_what_there_is_and_a_long_name_is_cut() -> anyhow::Result<()> {
    let clock = std::sync::Arc::new(ai_proxy_free::internals::time::Moment::now);
    let simulator =
        Simulator::start(Directory::core(), |provider| Settings::new(provider, clock.clone())).await?;
    let (mut binary, address) = Binary::over(&simulator, &[("RUST_LOG", "trace")]).await?;
    let client = http_client()?;
    let long = "x".repeat(1_000_000);
    for way in Way::ALL {
        let fields = if way.is_openai() { &["model"][..] } else { &["model", "provider"] };
        for field in fields {
            for name in [
                "gpt-4",
                "openai/gpt-4",
                "auto ",
                "\u{0}",
                "é",
                "🎈",
                long.as_str(),
                &"🎈".repeat(100_000),
                &"groq/".repeat(100_000),
            ] {
                let case = format!("{way:?} {field} of {} bytes", name.len());
                let mut body = way.body();
                body[*field] = json!(name);
                let request = client
                    .post(format!("http://{address}{}", way.path()))
                    .header("content-type", "application/json");
                let response = within_patience(&case, request.body(body.to_string()).send()).await?;
                let (status, headers) = (response.status().as_u16(), response.headers().clone());
                let reply = Reply { status, headers, body: response.bytes().await?.into(), is_broken: false };
                let sentence = way.refusal(&reply, if way.is_openai() { 404 } else { 400 }, &case);
                let known = if *field == "model" { "openai/gpt-oss-20b" } else { "Groq, Cerebras, Gemini" };
                assert!(sentence.contains(known), "{case}: {sentence}");
                assert!(sentence.len() < SHORT, "{case}: {} bytes", sentence.len());
            }
        }
    }
    assert!(simulator.providers().all(|provider| provider.chat_count() == 0), "somebody was asked");
    let asked = Way::ChatStream.body();
    let served = client.post(format!("http://{address}/chat")).json(&asked).send().await?;
    assert_eq!(served.status(), 200, "the next request");
    binary.line_with("Using service Groq").await?;
    binary.signal("TERM").await?;
    let (_, log) = binary.end().await?;
    let longest = log.lines().map(str::len).max().unwrap_or_default();
    assert!(longest < SHORT, "a line of {longest} bytes");
    Ok(())
}
