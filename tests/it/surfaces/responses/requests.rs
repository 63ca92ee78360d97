//! What clients send, and what reaches the providers of it.

use ai_proxy_free::internals::providers::Provider;
use serde_json::{Value, json};

use super::{PIXEL, ignored, pins, question, request, respond, sent, text_of, with};
use crate::support::{TestProxy, ask_at};

#[tokio::test]
async fn instructions_anywhere_reach_every_provider_in_front() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let input = json!([
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Two."}]},
        {"role": "user", "content": "Hola"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Hi.", "annotations": [], "logprobs": []}]},
        {"role": "user", "content": [{"type": "input_text", "text": "And?"}]},
        {"role": "system", "content": "Three."},
    ]);
    for (provider, pin) in pins() {
        let body = with(request(&pin, input.clone()), json!({"instructions": "One."}));
        let reply = respond(&proxy, &body).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("x-ignored-fields"), None);
        let sent = sent(&proxy, provider);
        let text = if provider == Provider::GEMINI {
            sent["systemInstruction"].to_string()
        } else {
            assert!(
                sent["messages"][1]["role"] != "system" || sent["messages"][3]["role"] != "user",
                "{sent}"
            );
            sent["messages"].to_string()
        };
        let places =
            ["One.", "Two.", "Three."].map(|part| text.find(part).unwrap_or_else(|| panic!("{text}")));
        assert!(places.is_sorted(), "{provider:?}: {text}");
        let hola = text.find("Hola").unwrap_or(usize::MAX);
        assert!(places[2] < hola, "{provider:?}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn n08_thoughts_in_the_history_are_accepted_and_not_sent_on() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let input = json!([
        {"role": "user", "content": "Hola"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "PRIVATE"}],
            "content": [{"type": "reasoning_text", "text": "PRIVATE"}], "encrypted_content": "PRIVATE"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]},
        {"role": "user", "content": "And?"},
    ]);
    for (provider, pin) in pins() {
        let reply = respond(&proxy, &request(&pin, input.clone())).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let sent = sent(&proxy, provider).to_string();
        assert!(!sent.contains("PRIVATE") && sent.contains("Hi."), "{provider:?}: {sent}");
    }
    Ok(())
}

#[tokio::test]
async fn n14_items_that_are_not_known_are_skipped_and_told() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let input = json!([
        {"role": "user", "content": "Hola"},
        {"type": "agent_message", "author": "/root", "recipient": "/root/one",
            "content": [{"type": "input_text", "text": "From "}, {"type": "encrypted_content", "encrypted_content": "an agent."}]},
        {"type": "tool_search_call", "call_id": "s1", "execution": "client", "arguments": {"query": "weather"}},
        {"type": "tool_search_output", "call_id": "s1", "status": "completed",
            "tools": [{"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}]},
        {"type": "configuration_update", "model": "gpt-6"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "new_thing", "deep": [{"a": 1}]},
        {"role": "user", "content": "Go on"},
    ]);
    for (provider, pin) in pins() {
        let reply = respond(&proxy, &request(&pin, input.clone())).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let told = ignored(&reply);
        for name in ["input.configuration_update", "input.web_search_call", "input.new_thing"] {
            assert!(told.contains(&name), "{name} is not in {told:?}");
        }
        let sent = sent(&proxy, provider);
        assert_eq!(super::offered(&sent), ["get_weather"], "what a search has found is offered");
        let text = sent.to_string();
        assert!(text.contains("an agent.") && text.contains("weather"), "{text}");
        assert!(!text.contains("new_thing") && !text.contains("gpt-6"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn n15_unknown_fields_and_parts_are_skipped_and_told() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let content =
        json!([{"type": "input_text", "text": "Hola", "weight": 3}, {"type": "hologram", "data": [1]}]);
    let body = with(
        request("auto", json!([{"type": "message", "role": "user", "content": content, "phase": "x"}])),
        json!({"prompt_cache_key": "k", "client_metadata": {"a": "b"}, "truncation": "auto", "service_tier": "auto",
            "include": ["reasoning.encrypted_content"], "text": {"verbosity": "low"}, "new_thing": {"a": 1},
            "reasoning": {"effort": "heroic", "context": "x"}, "safety_identifier": "s", "max_tool_calls": 3,
            "background": false, "conversation": null, "prompt": null, "top_logprobs": 0}),
    );
    for (provider, pin) in pins() {
        let reply = respond(&proxy, &with(body.clone(), json!({"model": pin}))).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let told = ignored(&reply);
        for name in [
            "prompt_cache_key",
            "client_metadata",
            "truncation",
            "service_tier",
            "include",
            "text.verbosity",
            "new_thing",
            "reasoning.effort",
            "reasoning.context",
            "input.content.hologram",
            "input.content.weight",
        ] {
            assert!(told.contains(&name), "{name} is not in {told:?}");
        }
        assert!(!sent(&proxy, provider).to_string().contains("hologram"));
    }
    Ok(())
}

#[tokio::test]
async fn what_would_change_the_meaning_of_the_answer_is_refused_by_name() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let part = |part: Value| json!({"input": [{"role": "user", "content": [part]}]});
    let cases = [
        (json!({"input": 7}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": ""}), "input"),
        (json!({"input": [7]}), "input[0]"),
        (json!({"input": [{"role": "robot", "content": "Hola"}]}), "input[0].role"),
        (json!({"input": [{"role": "user", "content": 7}]}), "input[0].content"),
        (json!({"input": [{"type": "function_call", "call_id": "a"}]}), "input[0].name"),
        (part(json!({"text": "Hola"})), "input[0].content[0].type"),
        (part(json!({"type": "input_image"})), "input[0].content[0].image_url"),
        (part(json!({"type": "input_image", "file_id": "f"})), "input[0].content[0].file_id"),
        (part(json!({"type": "input_file", "file_id": "f"})), "input[0].content[0].file_id"),
        (
            part(json!({"type": "input_file", "file_url": "https://example.org/a.pdf"})),
            "input[0].content[0].file_url",
        ),
        (
            part(json!({"type": "input_file", "filename": "a.pdf", "file_data": "§"})),
            "input[0].content[0].file_data",
        ),
        (
            part(json!({"type": "input_file", "filename": "a.docx", "file_data": "UEsDBBQA"})),
            "input[0].content[0].file_data",
        ),
        (part(json!({"type": "input_file", "file_data": "UEsDBBQA"})), "input[0].content[0].file_data"),
        (json!({"background": true}), "background"),
        (json!({"conversation": "conv_1"}), "conversation"),
        (json!({"prompt": {"id": "pmpt_1"}}), "prompt"),
        (json!({"top_logprobs": 3}), "top_logprobs"),
        (json!({"include": ["message.output_text.logprobs"]}), "include"),
        (json!({"metadata": "x"}), "metadata"),
        (json!({"temperature": 3}), "temperature"),
        (json!({"max_output_tokens": 0}), "max_output_tokens"),
        (json!({"text": {"format": {"type": "grammar"}}}), "text.format.type"),
        (json!({"text": {"format": {"type": "json_schema", "name": "a"}}}), "text.format.schema"),
        (json!({"tools": [{"type": "local_shell"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"tools": [{"type": "namespace", "name": "n"}]}), "tools[0].tools"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (
            json!({"tool_choice": {"type": "function", "name": "b"}, "tools": [{"type": "function", "name": "a"}]}),
            "tool_choice.name",
        ),
        (json!({"previous_response_id": "resp_0"}), "Previous response"),
    ];
    for (fields, place) in cases {
        let reply = respond(&proxy, &with(question("auto"), fields.clone())).await?;
        assert_eq!(reply.status, 400, "{fields}: {}", reply.text());
        let error = &reply.json()["error"];
        assert_eq!(error["type"], "invalid_request_error", "{fields}");
        let said = error["message"].as_str().expect("a message").replace('\'', "");
        assert!(said.starts_with(place), "{fields}: {said}");
        assert_eq!(reply.header("x-should-retry"), Some("false"), "{fields}");
    }
    assert_eq!(proxy.upstream_calls(), 0, "nobody was asked");
    Ok(())
}

#[tokio::test]
async fn images_and_files_reach_who_can_read_them() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let image = json!({"type": "input_image", "detail": "auto", "image_url": format!("data:image/png;base64,{PIXEL}")});
    let text = json!({"type": "input_text", "text": "What is it?"});
    let reply =
        respond(&proxy, &request("gemini", json!([{"role": "user", "content": [text, image]}]))).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(sent(&proxy, Provider::GEMINI).to_string().contains(PIXEL));
    let pdf = json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"});
    let reply = respond(&proxy, &request("auto", json!([{"role": "user", "content": [text, pdf]}]))).await?;
    assert_eq!((reply.status, reply.header("x-provider")), (200, Some("Gemini")), "{}", reply.text());
    assert!(sent(&proxy, Provider::GEMINI).to_string().contains("JVBERi0xLjQK"));
    let by_its_bytes = json!({"type": "input_file", "file_data": "JVBERi0xLjUK"});
    let bare = request("auto", json!([{"role": "user", "content": [text, by_its_bytes]}]));
    assert_eq!(respond(&proxy, &bare).await?.status, 200);
    let sent = sent(&proxy, Provider::GEMINI).to_string();
    assert!(sent.contains("JVBERi0xLjUK") && sent.contains("application/pdf"), "{sent}");
    Ok(())
}

#[tokio::test]
async fn a_schema_of_the_answer_is_kept_to() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let schema = json!({"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"],
        "additionalProperties": false});
    let format = json!({"type": "json_schema", "name": "page", "strict": true, "schema": schema});
    for (provider, pin) in pins() {
        let body = with(question(&pin), json!({"text": {"format": format}}));
        let reply = respond(&proxy, &body).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let answer: Value = serde_json::from_str(&text_of(&reply.json()))?;
        assert!(answer["title"].is_string(), "{provider:?}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn settings_reach_the_providers_in_their_words() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let settings =
        json!({"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 300, "reasoning": {"effort": "low"}});
    for (provider, pin) in pins() {
        let reply = respond(&proxy, &with(question(&pin), settings.clone())).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let sent = sent(&proxy, provider);
        if provider == Provider::GEMINI {
            let config = &sent["generationConfig"];
            assert_eq!(
                (&config["temperature"], &config["maxOutputTokens"]),
                (&json!(0.5), &json!(300)),
                "{sent}"
            );
        } else {
            assert_eq!(
                (&sent["temperature"], &sent["max_completion_tokens"]),
                (&json!(0.5), &json!(300)),
                "{sent}"
            );
            assert_eq!(sent["reasoning_effort"], "low");
        }
    }
    Ok(())
}

#[tokio::test]
async fn names_of_other_families_mean_everybody() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for name in ["gpt-6.2-sol", "codex-auto-review", "o3"] {
        let reply = respond(&proxy, &question(name)).await?;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        assert!(ignored(&reply).contains(&"model"), "{name}: {:?}", ignored(&reply));
    }
    assert_eq!(respond(&proxy, &question("gemini")).await?.header("x-provider"), Some("Gemini"));
    Ok(())
}

#[tokio::test]
async fn tokens_are_counted_with_instructions_and_tools_and_without_a_call() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let count = async |body: &Value| -> anyhow::Result<u64> {
        let reply = ask_at(&proxy, "/v1/responses/input_tokens", body, &[]).await?;
        anyhow::ensure!(reply.status == 200, "{}", reply.text());
        assert_eq!(reply.json()["object"], "response.input_tokens");
        Ok(reply.json()["input_tokens"].as_u64().expect("a number"))
    };
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(100);
    let least = count(&question("auto")).await?;
    assert!((1..20).contains(&least), "{least}");
    let more = [
        json!({"instructions": long}),
        json!({"tools": [{"type": "function", "name": "a", "description": long}]}),
    ];
    for fields in more {
        let counted = count(&with(question("auto"), fields)).await? - least;
        assert!((900..1_400).contains(&counted), "{counted}");
    }
    assert_eq!(proxy.upstream_calls(), 0);
    Ok(())
}
