//! Requests: conversations and prompts, options, tools and their results, images, what is skipped and what is refused.

use ai_proxy_free::internals::providers::Provider;
use serde_json::{Value, json};

use super::{Said, chat, generate, ignored, messages, pins, question, said_whole, sent, with};
use crate::support::TestProxy;

const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// What Groq was sent, whose form is the plainest.
async fn sent_to_groq(path: &str, body: Value) -> anyhow::Result<(Value, Vec<String>)> {
    let proxy = TestProxy::core().await?;
    let body = with(body, json!({"model": "groq"}));
    let reply =
        if path == "/api/chat" { chat(&proxy, &body).await? } else { generate(&proxy, &body).await? };
    assert_eq!(reply.status, 200, "{}", reply.text());
    let told = ignored(&reply).into_iter().map(str::to_owned).collect();
    Ok((sent(&proxy, Provider::GROQ), told))
}

#[tokio::test]
async fn options_reach_the_provider_and_others_are_told() -> anyhow::Result<()> {
    let options = json!({"num_predict": 300, "temperature": 0.25, "top_p": 0.5, "top_k": 40, "seed": 7,
        "stop": ["x", "y"], "num_ctx": 4096, "mirostat": 1});
    let fields = json!({"options": options, "keep_alive": "5m", "something_new": {"a": 1}});
    for (path, asked) in [("/api/chat", question("")), ("/api/generate", json!({"prompt": "Hola"}))] {
        let (sent, told) = sent_to_groq(path, with(asked, fields.clone())).await?;
        assert_eq!(
            (&sent["temperature"], &sent["top_p"], &sent["seed"]),
            (&json!(0.25), &json!(0.5), &json!(7))
        );
        assert_eq!(
            (&sent["stop"], &sent["max_completion_tokens"]),
            (&json!(["x", "y"]), &json!(300)),
            "{sent}"
        );
        for name in ["options.top_k", "options.num_ctx", "options.mirostat", "keep_alive", "something_new"] {
            assert!(told.contains(&name.to_owned()), "{name}: {told:?}");
        }
    }
    for unlimited in [-1, -2, 0] {
        let options = json!({"options": {"num_predict": unlimited, "stop": "x", "seed": null}});
        let (sent, _) = sent_to_groq("/api/chat", with(question(""), options)).await?;
        assert_ne!(sent["max_completion_tokens"], json!(unlimited), "{sent}");
        assert_eq!(sent["stop"], json!(["x"]), "{sent}");
    }
    Ok(())
}

#[tokio::test]
async fn a_call_goes_to_the_client_and_its_result_comes_back() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let parameters =
        json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let tools = json!({"stream": false, "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]});
    let ask = json!({"role": "user", "content": "Please get_weather"});
    for (provider, pin) in pins() {
        let reply = chat(&proxy, &with(messages(&pin, json!([ask])), tools.clone())).await?;
        let Said { calls, .. } = said_whole(&reply);
        assert!(calls[0]["arguments"]["city"].is_string(), "{calls:?}");
        let turn = reply.json()["message"].clone();
        let result = json!({"role": "tool", "tool_name": "get_weather", "content": "21 degrees"});
        let history = with(messages(&pin, json!([ask, turn, result])), tools.clone());
        let said = said_whole(&chat(&proxy, &history).await?);
        assert!(said.text.contains("21 degrees"), "{provider:?}: {said:?}");
    }
    Ok(())
}

#[tokio::test]
async fn results_without_ids_pair_with_their_calls_in_order_or_by_name() -> anyhow::Result<()> {
    let call = |name: &str| json!({"function": {"name": name, "arguments": {"n": name}}});
    let result = |name: Option<&str>, text: &str| json!({"role": "tool", "tool_name": name, "content": text});
    for results in [
        [result(None, "1"), result(None, "2")],
        [result(Some("wait"), "2"), result(Some("look"), "1")],
        [result(Some("look"), "1"), result(Some("wait"), "2")],
    ] {
        let [one, other] = results;
        let turn = json!({"role": "assistant", "content": "", "tool_calls": [call("look"), call("wait")]});
        let body = messages(
            "",
            json!([{"role": "user", "content": "Both"}, turn, one, other, {"role": "user", "content": "Now?"}]),
        );
        let (sent, _) = sent_to_groq("/api/chat", body).await?;
        let calls = &sent["messages"][1]["tool_calls"];
        let told =
            |index: usize| (&sent["messages"][index]["tool_call_id"], &sent["messages"][index]["content"]);
        assert_eq!(told(2), (&calls[0]["id"], &json!("1")), "{sent}");
        assert_eq!(told(3), (&calls[1]["id"], &json!("2")), "{sent}");
        assert_ne!(calls[0]["id"], calls[1]["id"]);
        assert_eq!(calls[0]["function"]["arguments"], json!(r#"{"n":"look"}"#));
    }
    Ok(())
}

#[tokio::test]
async fn instructions_stand_first_wherever_they_were_and_thoughts_go_nowhere() -> anyhow::Result<()> {
    let body = messages(
        "",
        json!([{"role": "user", "content": "Hola"},
        {"role": "assistant", "content": "Yes", "thinking": "secret thought"},
        {"role": "user", "content": "And?"}, {"role": "system", "content": "Be kind"}]),
    );
    let (sent, told) = sent_to_groq("/api/chat", body).await?;
    assert_eq!(sent["messages"][0], json!({"role": "system", "content": "Be kind"}));
    assert!(!sent.to_string().contains("secret thought"), "{sent}");
    assert!(told.contains(&"messages.thinking".to_owned()), "{told:?}");
    let prompt = json!({"system": "Be kind", "prompt": "Hola"});
    let (sent, _) = sent_to_groq("/api/generate", prompt).await?;
    let expected = json!([{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hola"}]);
    assert_eq!(sent["messages"], expected);
    Ok(())
}

#[tokio::test]
async fn images_are_seen_and_what_is_none_is_refused() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let url = format!("data:image/png;base64,{PIXEL}");
    for image in [PIXEL, &url] {
        let message = json!({"role": "user", "content": "What is this?", "images": [image]});
        let said = said_whole(
            &chat(&proxy, &with(messages("gemini", json!([message])), json!({"stream": false}))).await?,
        );
        assert!(said.text.contains("I see 1 image(s): image/png"), "{said:?}");
        let prompt =
            json!({"model": "gemini", "prompt": "What is this?", "images": [image], "stream": false});
        let said = said_whole(&generate(&proxy, &prompt).await?);
        assert!(said.text.contains("I see 1 image(s): image/png"), "{said:?}");
    }
    let reply = generate(&proxy, &json!({"prompt": "What is this?", "images": ["AAAA"]})).await?;
    assert_eq!(reply.status, 400);
    assert!(
        reply.error().starts_with("images[0] must be a PNG, JPEG, GIF or WebP image"),
        "{}",
        reply.error()
    );
    Ok(())
}

#[tokio::test]
async fn a_format_is_kept_to() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let schema = json!({"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"], "additionalProperties": false});
    for (_, pin) in pins() {
        for format in [json!("json"), schema.clone()] {
            let body = with(question(&pin), json!({"format": format, "stream": false}));
            let said = said_whole(&chat(&proxy, &body).await?);
            let answer: Value = serde_json::from_str(&said.text)?;
            assert!(answer.is_object(), "{answer}");
            assert!(format == "json" || answer["days"].is_i64(), "{answer}");
        }
    }
    let reply = chat(&proxy, &with(question("auto"), json!({"format": "xml"}))).await?;
    assert_eq!(
        (reply.status, reply.error()),
        (400, "format must be 'json' or a JSON Schema, an object".to_owned())
    );
    Ok(())
}

/// Ollama's clients have a model loaded before they need it.
#[tokio::test]
async fn who_asks_nothing_is_told_that_the_model_is_ready_and_nobody_is_called() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for keep_alive in [json!("5m"), json!(0), json!(null)] {
        let fields = json!({"keep_alive": keep_alive});
        for body in [
            json!({"model": "groq"}),
            json!({"model": "groq", "messages": []}),
            json!({"model": "groq", "messages": [ ], "stream": false}),
        ] {
            let reply = chat(&proxy, &with(body, fields.clone())).await?;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let said = reply.json();
            assert_eq!((&said["done"], &said["done_reason"]), (&json!(true), &json!("load")), "{said}");
            assert_eq!((&said["message"]["content"], &said["model"]), (&json!(""), &json!("groq")), "{said}");
        }
        for body in [json!({"model": "groq"}), json!({"model": "groq", "prompt": "", "system": "Be kind"})] {
            let said = generate(&proxy, &with(body, fields.clone())).await?.json();
            assert_eq!((&said["done"], &said["done_reason"]), (&json!(true), &json!("load")), "{said}");
            assert_eq!(said["response"], "");
        }
    }
    assert_eq!(chat(&proxy, &json!({"model": "nobody-9"})).await?.status, 404);
    assert_eq!(proxy.upstream_calls(), 0);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_answered_as_it_is_meant_is_refused_with_its_place() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let user = |content: Value| messages("auto", json!([{"role": "user", "content": content}]));
    let cases = [
        (messages("auto", json!("Hola")), "messages must be an array of messages, not a string"),
        (
            messages("auto", json!(["Hola"])),
            "messages[0] must be an object with 'role' and 'content', not a string",
        ),
        (user(json!({"a": 1})), "messages[0].content must be a string, not an object"),
        (user(json!("")), "messages say nothing"),
        (messages("auto", json!([{"role": "robot", "content": "Hi"}])), "messages[0].role must be"),
        (
            with(question("auto"), json!({"tools": [{"type": "web_search"}]})),
            "tools[0].type must be 'function'",
        ),
        (
            with(question("auto"), json!({"options": {"temperature": "hot"}})),
            "options.temperature' must be a number",
        ),
        (with(question("auto"), json!({"stream": "yes"})), "stream' must be true or false"),
    ];
    for (body, expected) in cases {
        let reply = chat(&proxy, &body).await?;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
        assert!(reply.error().contains(expected), "{expected}: {}", reply.error());
    }
    for (fields, expected) in [
        (json!({"suffix": "}"}), "suffix is not available"),
        (json!({"context": [1]}), "context is not available"),
    ] {
        let reply = generate(&proxy, &with(json!({"prompt": "Hola"}), fields)).await?;
        assert!(reply.status == 400 && reply.error().starts_with(expected), "{}", reply.text());
    }
    assert_eq!(proxy.upstream_calls(), 0);
    Ok(())
}

#[tokio::test]
async fn fields_of_the_other_kind_of_request_are_told() -> anyhow::Result<()> {
    let fields = json!({"system": "Be kind", "prompt": "Hola", "images": []});
    let (_, told) = sent_to_groq("/api/chat", with(question("groq"), fields)).await?;
    assert_eq!(told, ["prompt", "system", "images"]);
    let fields = json!({"model": "groq", "prompt": "Hola", "messages": [], "tools": []});
    let (_, told) = sent_to_groq("/api/generate", fields).await?;
    assert_eq!(told, ["messages", "tools"]);
    Ok(())
}
