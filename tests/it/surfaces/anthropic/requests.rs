//! What clients send, and what reaches the providers of it.

use ai_proxy_free::internals::providers::Provider;
use serde_json::{Value, json};

use super::{ignored, message, pins, question, request, sent, with};
use crate::support::TestProxy;

/// The instructions in what was sent to a provider, and whether they stand first and nowhere else.
fn instructions(provider: Provider, sent: &Value) -> String {
    if provider == Provider::GEMINI {
        let texts = sent["systemInstruction"]["parts"].as_array().expect("parts");
        return texts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("|");
    }
    let messages = sent["messages"].as_array().expect("messages");
    let leading = messages.iter().take_while(|message| message["role"] == "system").count();
    let all = messages.iter().filter(|message| message["role"] == "system").count();
    assert_eq!(leading, all, "instructions in the middle: {sent}");
    let texts = messages.iter().take(leading).map(|message| match &message["content"] {
        Value::String(text) => text.clone(),
        parts => {
            let parts = parts.as_array().expect("parts").iter();
            parts.filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("|")
        }
    });
    texts.collect::<Vec<_>>().join("|")
}

#[tokio::test]
async fn n01_instructions_anywhere_reach_every_provider_in_front() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let messages = json!([
        {"role": "user", "content": [{"type": "text", "text": "Hola"}]},
        {"role": "system", "content": "Two."},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "And?"},
        {"role": "system", "content": [{"type": "text", "text": "Three."}]},
    ]);
    for (provider, pin) in pins() {
        let body =
            with(request(&pin, messages.clone()), json!({"system": [{"type": "text", "text": "One."}]}));
        let reply = message(&proxy, &body).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let text = instructions(provider, &sent(&proxy, provider));
        let places =
            ["One.", "Two.", "Three."].map(|part| text.find(part).unwrap_or_else(|| panic!("{text}")));
        assert!(places.is_sorted(), "{provider:?}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn n09_what_is_meant_for_anthropics_bills_is_not_sent_on() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let system = json!([{"type": "text", "text": "x-anthropic-billing-header: cc_version=1; cch=a1b2c;"},
        {"type": "text", "text": "Be terse.", "cache_control": {"type": "ephemeral"}}]);
    for (provider, pin) in pins() {
        message(&proxy, &with(question(&pin), json!({"system": system}))).await?;
        assert_eq!(instructions(provider, &sent(&proxy, provider)), "Be terse.", "{provider:?}");
        assert!(!sent(&proxy, provider).to_string().contains("x-anthropic-"), "{provider:?}");
    }
    Ok(())
}

#[tokio::test]
async fn n08_thoughts_in_the_history_are_accepted_and_not_sent_on() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let messages = json!([
        {"role": "user", "content": "Hola"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "PRIVATE", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "PRIVATE"},
            {"type": "thinking", "thinking": "PRIVATE", "signature": ""},
            {"type": "text", "text": "Hi."}]},
        {"role": "user", "content": "And?"},
    ]);
    for (provider, pin) in pins() {
        let reply = message(&proxy, &request(&pin, messages.clone())).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let sent = sent(&proxy, provider).to_string();
        assert!(!sent.contains("PRIVATE") && sent.contains("Hi."), "{provider:?}: {sent}");
        assert!(ignored(&reply).contains(&"messages.content.thinking"), "{:?}", ignored(&reply));
    }
    Ok(())
}

/// Whatever Anthropic's clients send today or tomorrow and no provider here needs.
#[tokio::test]
async fn n15_unknown_fields_and_blocks_are_skipped_and_told() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let content = json!([
        {"type": "text", "text": "Hola", "cache_control": {"type": "ephemeral"}},
        {"type": "hologram", "data": [1, {"deep": true}]},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "compaction", "content": "Before that we spoke of Lima."},
    ]);
    let body = with(
        request("auto", json!([{"role": "user", "content": content, "weight": 3}])),
        json!({"context_management": {"edits": []}, "service_tier": "auto", "betas": ["x"], "new_thing": {"a": 1},
            "container": null, "mcp_servers": [], "speed": "fast",
            "metadata": {"user_id": "{\"device_id\":\"d0d0\"}", "tenant": 1},
            "thinking": {"type": "by_moonlight", "display": "sung"},
            "output_config": {"effort": "heroic", "task_budget": {"tokens": 5}},
            "tool_choice": {"type": "auto", "mood": "good"}}),
    );
    for (provider, pin) in pins() {
        let reply = message(&proxy, &with(body.clone(), json!({"model": pin}))).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let told = ignored(&reply);
        for name in [
            "context_management",
            "service_tier",
            "betas",
            "new_thing",
            "speed",
            "messages.weight",
            "messages.content.hologram",
            "messages.content.server_tool_use",
            "messages.content.cache_control",
            "thinking",
            "output_config.effort",
            "output_config.task_budget",
            "tool_choice.mood",
            "metadata.tenant",
        ] {
            assert!(told.contains(&name), "{name} is not in {told:?}");
        }
        assert!(told.len() <= 33, "{told:?}");
        let sent = sent(&proxy, provider).to_string();
        assert!(sent.contains("we spoke of Lima"), "{sent}");
        assert!(
            !sent.contains("d0d0") && !sent.contains("hologram") && !sent.contains("new_thing"),
            "{sent}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_would_change_the_meaning_of_the_answer_is_refused_by_name() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let blocks = |block: Value| json!({"messages": [{"role": "user", "content": [block]}]});
    let file = json!({"type": "file", "file_id": "file_1"});
    let cases = [
        (json!({"messages": "Hola"}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [{"role": "user", "content": ""}]}), "messages"),
        (json!({"messages": [{"role": "robot", "content": "Hola"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        (json!({"messages": [{"role": "user", "content": 7}]}), "messages[0].content"),
        (blocks(json!({"text": "Hola"})), "messages[0].content[0].type"),
        (blocks(json!({"type": "text"})), "messages[0].content[0].text"),
        (blocks(json!({"type": "image", "source": file})), "messages[0].content[0].source"),
        (blocks(json!({"type": "document", "source": file})), "messages[0].content[0].source"),
        (
            blocks(
                json!({"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}}),
            ),
            "messages[0].content[0].source",
        ),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"container": "container_1"}), "container"),
        (json!({"mcp_servers": [{"type": "url", "url": "https://example.org"}]}), "mcp_servers"),
        (json!({"thread": "thread_1"}), "thread"),
        (json!({"output_config": {"format": {"type": "grammar"}}}), "output_config.format.type"),
        (json!({"tools": [{"type": "bash_20250124", "name": "bash"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]}), "tools"),
        (json!({"tools": [{"name": "a"}, {"name": "a"}]}), "tools[1].name"),
        (json!({"tool_choice": {"type": "any"}}), "tool_choice"),
        (json!({"tools": [{"name": "a"}], "tool_choice": {"type": "tool", "name": "b"}}), "tool_choice.name"),
    ];
    for (fields, place) in cases {
        let reply = message(&proxy, &with(question("auto"), fields.clone())).await?;
        assert_eq!(reply.status, 400, "{fields}: {}", reply.text());
        let error = &reply.json()["error"];
        assert_eq!(error["type"], "invalid_request_error", "{fields}");
        let said = error["message"].as_str().expect("a message");
        assert!(said.starts_with(place), "{fields}: {said}");
        assert_eq!(reply.header("x-should-retry"), Some("false"), "{fields}");
    }
    let threaded = message(&proxy, &with(question("auto"), json!({"thread": {"type": "create"}}))).await?;
    let code = &threaded.json()["error"]["details"]["error_code"];
    assert_eq!(code, "thread_unsupported_request", "the SDKs go on without a thread then");
    assert_eq!(proxy.upstream_calls(), 0, "nobody was asked");
    Ok(())
}

#[tokio::test]
async fn n11_the_longest_answer_asked_for_is_what_a_model_gives() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let cap =
        |provider: Provider| u64::from(provider.capabilities(provider.profile().models[0].id).max_output);
    for (provider, pin) in pins() {
        message(&proxy, &with(question(&pin), json!({"max_tokens": 128_000}))).await?;
        let sent = sent(&proxy, provider);
        let fields = ["max_tokens", "max_completion_tokens"].map(|name| sent[name].as_u64());
        let gemini = sent["generationConfig"]["maxOutputTokens"].as_u64();
        let asked = fields.into_iter().flatten().chain(gemini).next().expect("a limit");
        assert!(asked <= cap(provider).min(128_000), "{provider:?}: {asked}");
    }
    let proxy = TestProxy::builder().only([Provider::GROQ]).with("GROQ_LIMITS", "tpm=8000").start().await?;
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(300);
    let body =
        with(request("auto", json!([{"role": "user", "content": long}])), json!({"max_tokens": 128_000}));
    let reply = message(&proxy, &body).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let asked = sent(&proxy, Provider::GROQ)["max_completion_tokens"].as_u64().expect("a limit");
    assert!((256..5_500).contains(&asked), "prompt and answer fit into the minute: {asked}");
    Ok(())
}

#[tokio::test]
async fn settings_reach_the_providers_in_their_words() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let settings = json!({"temperature": 0.5, "top_p": 0.9, "top_k": 40, "stop_sequences": ["END"],
        "metadata": {"user_id": "someone@example.org"}, "thinking": {"type": "enabled", "budget_tokens": 2048}});
    for (provider, pin) in pins() {
        let reply = message(&proxy, &with(question(&pin), settings.clone())).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let sent = sent(&proxy, provider);
        assert!(!sent.to_string().contains("someone@example.org"), "who asks is told as a hash only");
        if provider == Provider::GEMINI {
            let config = &sent["generationConfig"];
            assert_eq!((&config["temperature"], &config["topK"]), (&json!(0.5), &json!(40)), "{sent}");
            assert_eq!(config["stopSequences"], json!(["END"]));
        } else {
            assert_eq!((&sent["temperature"], &sent["stop"]), (&json!(0.5), &json!(["END"])), "{sent}");
            assert!(ignored(&reply).contains(&"top_k"), "{:?}", ignored(&reply));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_schema_of_the_answer_is_kept_to() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let schema = json!({"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"],
        "additionalProperties": false});
    let format = json!({"type": "json_schema", "schema": schema});
    for fields in [json!({"output_config": {"format": format}}), json!({"output_format": format})] {
        for (provider, pin) in pins() {
            let reply = message(&proxy, &with(question(&pin), fields.clone())).await?;
            assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
            let text = reply.json()["content"][0]["text"].as_str().expect("a text").to_owned();
            let answer: Value = serde_json::from_str(&text)?;
            assert!(answer["title"].is_string(), "{provider:?}: {answer}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn documents_of_text_become_text_and_others_go_to_who_reads_them() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let source = json!({"type": "text", "media_type": "text/plain", "data": "Lima is in Peru."});
    let document = json!({"type": "document", "source": source, "title": "Cities", "context": "A list"});
    let found = json!({"type": "search_result", "source": "https://example.org/cuzco", "title": "Cuzco",
        "content": [{"type": "text", "text": "Cuzco is high."}]});
    let parts = json!({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "Puno."}]}});
    let content = json!([document, found, parts, {"type": "text", "text": "Where?"}]);
    for (provider, pin) in pins() {
        let reply = message(&proxy, &request(&pin, json!([{"role": "user", "content": content}]))).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let sent = sent(&proxy, provider).to_string();
        for text in
            ["Cities\\nA list\\n\\nLima is in Peru.", "https://example.org/cuzco", "Cuzco is high.", "Puno."]
        {
            assert!(sent.contains(text), "{provider:?}: {text} is not in {sent}");
        }
    }
    let pdf = json!({"type": "document", "title": "a.pdf",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}});
    let body = request("auto", json!([{"role": "user", "content": [pdf, {"type": "text", "text": "?"}]}]));
    let reply = message(&proxy, &body).await?;
    assert_eq!((reply.status, reply.header("x-provider")), (200, Some("Gemini")), "{}", reply.text());
    assert!(sent(&proxy, Provider::GEMINI).to_string().contains("JVBERi0xLjQK"));
    Ok(())
}

#[tokio::test]
async fn a_beginning_of_the_answer_is_passed_on_and_told() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let messages =
        json!([{"role": "user", "content": "Count"}, {"role": "assistant", "content": "One, two,"}]);
    for (provider, pin) in pins() {
        let reply = message(&proxy, &request(&pin, messages.clone())).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        assert!(ignored(&reply).contains(&"prefill"), "{:?}", ignored(&reply));
        assert!(sent(&proxy, provider).to_string().contains("One, two,"));
    }
    Ok(())
}

#[tokio::test]
async fn nothing_that_stands_where_it_cannot_be_understood_is_lost_without_a_word() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let call = json!({"type": "tool_use", "id": "a", "name": "look", "input": {}});
    let result = |content: Value| json!({"type": "tool_result", "tool_use_id": "a", "content": content});
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}});
    let pdf = json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}});
    let text = json!({"type": "text", "text": "Hola"});
    let cases = [
        ("assistant", json!([text, result(json!("x"))]), "messages.content.tool_result"),
        ("assistant", json!([text, image]), "messages.content.image"),
        ("assistant", json!([text, pdf]), "messages.content.document"),
        ("user", json!([result(json!([text, result(json!("x"))])), text]), "messages.content.tool_result"),
        ("user", json!([result(json!([text, call])), text]), "messages.content.tool_use"),
        ("user", json!([call, text]), "messages.content.tool_use"),
        ("system", json!([text, call]), "messages.content.tool_use"),
        ("system", json!([text, result(json!("x"))]), "messages.content.tool_result"),
    ];
    for (role, content, name) in cases {
        let before = json!({"role": "user", "content": "Look"});
        let calls = json!({"role": "assistant", "content": [call]});
        let after = json!({"role": "user", "content": "And?"});
        let messages = json!([before, calls, {"role": role, "content": content}, after]);
        let reply = message(&proxy, &request("groq", messages)).await?;
        assert_eq!(reply.status, 200, "{role} {content}: {}", reply.text());
        assert!(ignored(&reply).contains(&name), "{role} {content}: {:?}", ignored(&reply));
    }
    Ok(())
}
