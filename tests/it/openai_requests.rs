//! What clients send to `/v1/chat/completions`: requests of real SDKs, and what is said to wrong ones.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{TestProxy, ask_at, complete};

fn user() -> Value {
    json!({"role": "user", "content": "Hola"})
}

/// Every mistake is named with its field and what is accepted, and costs nobody a call.
#[tokio::test]
async fn mistakes_are_named_with_their_field() -> anyhow::Result<()> {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let named = |name: &str| json!({"type": "function", "function": {"name": name}});
    let tool = named("f");
    let image =
        |url: &str| json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]);
    let cases: Vec<(Value, &str, &str)> = vec![
        (json!({}), "messages", "must be an array"),
        (json!({"messages": "Hola"}), "messages", "must be an array"),
        (json!({"messages": []}), "messages", "empty"),
        (json!({"messages": [1]}), "messages[0]", "not a number"),
        (json!({"messages": [{"content": "Hola"}]}), "messages[0]", "'role'"),
        (json!({"messages": [{"role": "robot", "content": "Hola"}]}), "messages[0].role", "'developer'"),
        (json!({"messages": [user(), {"role": "user"}]}), "messages[1].content", "missing"),
        (json!({"messages": [{"role": "user", "content": 7}]}), "messages[0].content", "not a number"),
        (json!({"messages": [{"role": "user", "content": [7]}]}), "messages[0].content[0]", "not a number"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}),
            "messages[0].content[0].type",
            "'image_url'",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "messages[0].content[0].text",
            "missing",
        ),
        (
            json!({"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]}),
            "messages[0].content",
            "text only",
        ),
        (json!({"messages": image("ftp://x/y.png")}), "messages[0].content[0].image_url.url", "http(s)"),
        (json!({"messages": image("data:image/png,raw")}), "messages[0].content[0].image_url.url", "base64"),
        (
            json!({"messages": image("data:image/png;base64,??")}),
            "messages[0].content[0].image_url.url",
            "of an image",
        ),
        (
            json!({"messages": image("data:audio/wav;base64,AAAA")}),
            "messages[0].content[0].image_url.url",
            "of an image",
        ),
        (
            json!({"messages": [user(), {"role": "tool", "tool_call_id": "a", "content": "x"}]}),
            "messages[1].tool_call_id",
            "none of the calls",
        ),
        (
            json!({"messages": [user(), {"role": "assistant", "tool_calls": [call("a")]}]}),
            "messages[1].tool_calls",
            "'a'",
        ),
        (
            json!({"messages": [user(), {"role": "assistant", "tool_calls": [call("a"), call("b")]},
            {"role": "tool", "tool_call_id": "a", "content": "x"}, user()]}),
            "messages[1].tool_calls",
            "'b'",
        ),
        (
            json!({"messages": [user(), {"role": "assistant", "tool_calls": [call("a"), call("a")]}]}),
            "messages[1].tool_calls[1].id",
            "another call",
        ),
        (
            json!({"messages": [user(), {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f"}}]}]}),
            "messages[1].tool_calls[0].function.arguments",
            "missing",
        ),
        (
            json!({"messages": [user(), {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}]}),
            "messages[1].function_call",
            "tool_calls",
        ),
        (
            json!({"messages": [user(), {"role": "assistant", "tool_calls": (0..1_001).map(|id| call(&id.to_string())).collect::<Vec<_>>()}]}),
            "messages[1].tool_calls",
            "1000 calls",
        ),
        (json!({"messages": [user()], "temperature": 3}), "temperature", "from 0 to 2"),
        (json!({"messages": [user()], "temperature": "warm"}), "temperature", "from 0 to 2"),
        (json!({"messages": [user()], "top_p": -0.1}), "top_p", "from 0 to 1"),
        (json!({"messages": [user()], "presence_penalty": 2.5}), "presence_penalty", "from -2 to 2"),
        (json!({"messages": [user()], "max_tokens": 0}), "max_tokens", "at least 1"),
        (
            json!({"messages": [user()], "max_completion_tokens": 1.5}),
            "max_completion_tokens",
            "whole number",
        ),
        (json!({"messages": [user()], "stop": [1]}), "stop", "strings"),
        (json!({"messages": [user()], "stop": ["a", "b", "c", "d", "e"]}), "stop", "at most 4"),
        (json!({"messages": [user()], "seed": "x"}), "seed", "whole number"),
        (json!({"messages": [user()], "stream": "yes"}), "stream", "true or false"),
        (json!({"messages": [user()], "stream_options": []}), "stream_options", "an object"),
        (json!({"messages": [user()], "model": 7}), "model", "a string"),
        (json!({"messages": [user()], "n": 2}), "n", "must be 1"),
        (json!({"messages": [user()], "logprobs": true}), "logprobs", "not available"),
        (json!({"messages": [user()], "top_logprobs": 3}), "top_logprobs", "not available"),
        (json!({"messages": [user()], "logit_bias": {"1": 100}}), "logit_bias", "not available"),
        (json!({"messages": [user()], "modalities": ["text", "audio"]}), "modalities", "no audio"),
        (json!({"messages": [user()], "audio": {"voice": "x"}}), "audio", "not available"),
        (json!({"messages": [user()], "functions": [{"name": "f"}]}), "functions", "'tools'"),
        (json!({"messages": [user()], "web_search_options": {}}), "web_search_options", "not available"),
        (json!({"messages": [user()], "reasoning_effort": "extreme"}), "reasoning_effort", "'high'"),
        (json!({"messages": [user()], "tools": {}}), "tools", "an array"),
        (
            json!({"messages": [user()], "tools": [{"type": "custom", "custom": {"name": "f"}}]}),
            "tools[0].type",
            "'function'",
        ),
        (json!({"messages": [user()], "tools": [{"type": "function"}]}), "tools[0].function", "missing"),
        (
            json!({"messages": [user()], "tools": [{"type": "function", "function": {}}]}),
            "tools[0].function.name",
            "missing",
        ),
        (
            json!({"messages": [user()], "tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]}),
            "tools[0].function.parameters",
            "JSON Schema",
        ),
        (
            json!({"messages": [user()], "tools": (0..1_001).map(|id| named(&id.to_string())).collect::<Vec<_>>()}),
            "tools",
            "128",
        ),
        (json!({"messages": [user()], "tools": [tool, tool]}), "tools[1].function.name", "another tool"),
        (
            json!({"messages": [user()], "tools": [{"type": "function", "function":
            {"name": "f", "parameters": {"enum": ["x".repeat(1_100_000)]}}}]}),
            "tools[0].function.parameters",
            "1048576",
        ),
        (
            json!({"messages": [user()], "response_format": {"type": "json_schema", "json_schema":
            {"schema": {"enum": ["x".repeat(1_100_000)]}}}}),
            "response_format.json_schema",
            "1048576",
        ),
        (
            json!({"messages": [user()], "response_format": {"type": "json_schema", "json_schema":
            {"description": "x".repeat(1_100_000), "schema": {}}}}),
            "response_format.json_schema",
            "1048576",
        ),
        (json!({"messages": [user()], "max_tokens": 1.5}), "max_tokens", "whole number"),
        (json!({"messages": [user()], "max_tokens": -2}), "max_tokens", "at least 1"),
        (json!({"messages": [user()], "tools": [tool], "tool_choice": "any"}), "tool_choice", "'required'"),
        (
            json!({"messages": [user()], "tools": [tool], "tool_choice": {"type": "function", "function": {"name": "g"}}}),
            "tool_choice.function.name",
            "none of the tools",
        ),
        (json!({"messages": [user()], "tool_choice": "required"}), "tool_choice", "'tools' has none"),
        (json!({"messages": [user()], "response_format": "json"}), "response_format", "json_object"),
        (
            json!({"messages": [user()], "response_format": {"type": "xml"}}),
            "response_format.type",
            "json_object",
        ),
        (
            json!({"messages": [user()], "response_format": {"type": "json_schema"}}),
            "response_format.json_schema",
            "missing",
        ),
    ];
    let proxy = TestProxy::core().await?;
    for (body, param, words) in cases {
        let reply = complete(&proxy, &body).await?;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
        let error = &reply.json()["error"];
        assert_eq!(
            (&error["param"], &error["type"]),
            (&json!(param), &json!("invalid_request_error")),
            "{body}: {error}"
        );
        let message = error["message"].as_str().expect("a sentence");
        assert!(message.contains(words) && message.contains(param), "{body}: {message}");
        assert_eq!(reply.header("x-should-retry"), Some("false"));
    }
    assert_eq!(proxy.upstream_calls(), 0);
    Ok(())
}

/// What asks for nothing that is not there is welcome: legacy nulls, empty lists, hints.
#[tokio::test]
async fn what_asks_for_nothing_special_is_welcome() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let nothing = json!({"messages": [
            {"role": "developer", "content": [{"type": "text", "text": "Be terse."}, {"type": "text", "text": ""}]},
            {"role": "user", "content": "Hola"},
            {"role": "assistant", "content": null, "refusal": "No.", "tool_calls": null, "function_call": null, "audio": null},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "And now?"}],
        "n": 1, "logprobs": false, "top_logprobs": null, "logit_bias": {}, "modalities": ["text"], "functions": [],
        "stop": [], "tools": [], "tool_choice": "auto", "response_format": {"type": "text"}, "stream": null,
        "stream_options": null, "temperature": null, "seed": null, "user": null, "max_tokens": null,
        "reasoning_effort": "default", "parallel_tool_calls": true});
    for _ in 0..3 {
        let reply = complete(&proxy, &nothing).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(!reply.header("x-attempts").expect("attempts").contains(", "), "everybody takes it");
    }
    Ok(())
}

/// Forms that other languages and libraries give the same things.
#[tokio::test]
async fn odd_forms_of_ordinary_things_are_understood() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let tool = json!({"type": "function", "function": {"name": "f"}});
    let cases = [
        json!({"messages": [user()], "max_tokens": -1, "seed": 42.0, "n": 1.0, "stop": "END"}),
        json!({"messages": [user()], "max_completion_tokens": 1024.0, "seed": 9_999_999_999_999_999_i64}),
        json!({"messages": [{"role": "user", "content": ""}, {"role": "user", "content": [{"type": "text", "text": ""}]}, user()]}),
        json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content":
            [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "One moment."}], "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": null}], "tools": [tool]}),
        // A history cut off at its front.
        json!({"messages": [{"role": "system", "content": "s"}, {"role": "assistant", "content": "Hello."},
            {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "a", "content": "x"}, user()],
            "tools": [tool]}),
        json!({"messages": [user()], "tools": [tool], "tool_choice": "none", "response_format": {"type": "json_object"}}),
    ];
    for body in cases {
        for _ in 0..3 {
            let reply = complete(&proxy, &body).await?;
            assert_eq!(reply.status, 200, "{body}: {}", reply.text());
            let attempts = reply.header("x-attempts").expect("attempts");
            assert!(!attempts.contains(", "), "everybody takes it: {attempts} {body}");
        }
    }
    Ok(())
}

/// Whatever nobody takes notice of is named, wherever it stands and whatever else does.
#[tokio::test]
async fn fields_that_nobody_knows_are_named() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let mut body = json!({
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}}]}],
        "tools": [{"type": "function", "cache_control": {}, "function": {"name": "f", "examples": []}}],
        "verbosity": "low", "store": true, "service_tier": "auto", "prediction": {}, "top_k": 40, "min_p": 0.1,
        "reasoning_effort": "none", "model": "gemini"});
    for name in [
        "n",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "modalities",
        "audio",
        "functions",
        "function_call",
        "web_search_options",
        "response_format",
        "tool_choice",
        "parallel_tool_calls",
    ] {
        body[name] = Value::Null;
    }
    let reply = complete(&proxy, &body).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let ignored: std::collections::BTreeSet<_> =
        reply.header("x-ignored-fields").expect("a list").split(", ").collect();
    let expected = [
        "verbosity",
        "store",
        "service_tier",
        "prediction",
        "top_k",
        "min_p",
        "reasoning_effort",
        "messages.content.cache_control",
        "messages.content.image_url.detail",
        "tools.cache_control",
        "tools.function.examples",
    ];
    assert_eq!(ignored, expected.into_iter().collect());
    Ok(())
}

/// Every chat completion that the official SDKs were seen to send: answered by all three providers, or by those that can
/// do it; nothing is lost without a word. Printed as a table (`cargo test captured -- --nocapture`).
#[tokio::test]
async fn captured_requests_of_the_sdks_are_answered_by_everybody_who_can() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/requests");
    let mut files: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::path);
    assert_eq!(files.len(), 61);
    let mut table = String::new();
    for file in files {
        let captured: Value = serde_json::from_slice(&std::fs::read(file.path())?)?;
        let name = file.file_name().to_string_lossy().into_owned();
        let mut body = captured["body"].clone();
        // They name models that are nobody's here.
        body["model"] = json!("auto");
        // Google's own endpoint has another prefix.
        let path = captured["path"].as_str().expect("a path").replace("/v1beta/openai/", "/v1/");
        let proxy = TestProxy::start().await?;
        let mut outcomes = BTreeMap::new();
        for _ in 0..3 {
            let reply = ask_at(&proxy, &path, &body, &[]).await?;
            assert_eq!(reply.status, 200, "{name}: {}", reply.text());
            assert_eq!(
                reply.header("x-attempts").map(|it| it.contains(", ")),
                Some(false),
                "{name}: somebody refused it"
            );
            let ignored = reply.header("x-ignored-fields").unwrap_or("–").to_owned();
            outcomes.insert(reply.header("x-provider").expect("a provider").to_owned(), ignored);
        }
        let sees_images = name.contains("image");
        assert!(outcomes.len() == 3 || sees_images && outcomes.len() >= 2, "{name}: {outcomes:?}");
        let outcomes: Vec<_> =
            outcomes.iter().map(|(provider, ignored)| format!("{provider} (left out: {ignored})")).collect();
        table += &format!("| {name:45} | {} |\n", outcomes.join(", "));
    }
    println!("{table}");
    insta::assert_snapshot!("captured_requests", table);
    Ok(())
}
