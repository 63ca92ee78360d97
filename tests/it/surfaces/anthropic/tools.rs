//! Tools: which are offered, how calls and results go back and forth.

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Behaviour, Reply};
use serde_json::{Value, json};

use super::{both_ways, ignored, message, pins, question, request, sent, with};
use crate::support::TestProxy;

const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// The names of the tools that a provider was offered.
fn offered(sent: &Value) -> Vec<String> {
    let names = |list: &Value, path: &str| -> Vec<String> {
        let tools = list.as_array().into_iter().flatten();
        tools.filter_map(|tool| Some(tool.pointer(path)?.as_str()?.to_owned())).collect()
    };
    let openai = names(&sent["tools"], "/function/name");
    if openai.is_empty() { names(&sent["tools"][0]["functionDeclarations"], "/name") } else { openai }
}

/// A turn with calls of these ids, and what comes after it.
fn called(ids: &[&str], after: &Value) -> Value {
    let call = |id: &&str| json!({"type": "tool_use", "id": id, "name": "look", "input": {"id": id}});
    let calls: Vec<Value> = ids.iter().map(call).collect();
    json!([{"role": "user", "content": "Look"}, {"role": "assistant", "content": calls}, {"role": "user", "content": after}])
}

#[tokio::test]
async fn a_call_goes_to_the_client_and_its_result_comes_back() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let tools = json!({"tools": [{"name": "get_weather", "description": "Weather", "input_schema": schema}]});
    for (provider, pin) in pins() {
        let question = json!({"role": "user", "content": "Please get_weather"});
        let reply = message(&proxy, &with(request(&pin, json!([question])), tools.clone())).await?;
        let answer = reply.json();
        assert_eq!(answer["stop_reason"], "tool_use", "{provider:?}: {answer}");
        let call = answer["content"].as_array().expect("blocks").last().expect("a block").clone();
        assert!(call["input"]["city"].is_string(), "{call}");

        let result = json!({"type": "tool_result", "tool_use_id": call["id"], "content": "21 degrees"});
        let history = json!([question, {"role": "assistant", "content": answer["content"]},
            {"role": "user", "content": [result]}]);
        let reply = message(&proxy, &with(request(&pin, history), tools.clone())).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let said = reply.json()["content"][0]["text"].as_str().expect("a text").to_owned();
        assert!(said.starts_with("Tool said: ") && said.contains("21 degrees"), "{provider:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn n05_tools_of_anthropics_servers_are_left_out_and_told_and_refused_alone() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let search = json!({"type": "web_search_20250305", "name": "web_search"});
    let fetch = json!({"type": "web_fetch_20250910", "name": "web_fetch"});
    for (provider, pin) in pins() {
        let both = json!({"tools": [search, {"name": "look"}, fetch]});
        let reply = message(&proxy, &with(question(&pin), both)).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(ignored(&reply).contains(&"tools.web_search_20250305"), "{:?}", ignored(&reply));
        assert_eq!(offered(&sent(&proxy, provider)), ["look"]);
    }
    let calls = proxy.upstream_calls();
    let alone = json!({"tools": [search], "tool_choice": {"type": "auto"}});
    let named =
        json!({"tools": [search, {"name": "look"}], "tool_choice": {"type": "tool", "name": "web_search"}});
    for fields in [alone, named] {
        let reply = message(&proxy, &with(question("auto"), fields)).await?;
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert!(reply.text().contains("not available here"), "{}", reply.text());
    }
    assert_eq!(proxy.upstream_calls(), calls);
    Ok(())
}

#[tokio::test]
async fn n06_an_image_in_a_result_is_seen_as_an_image() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}});
    let result = json!([{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "Here."}, image]}]);
    let body = with(request("auto", called(&["c1"], &result)), json!({"tools": [{"name": "look"}]}));
    for (provider, pin) in pins() {
        let reply = message(&proxy, &with(body.clone(), json!({"model": pin}))).await?;
        if reply.status == 400 {
            assert!(reply.text().contains("image"), "it cannot see: {}", reply.text());
            continue;
        }
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let sent = sent(&proxy, provider);
        if provider == Provider::GEMINI {
            assert!(sent["contents"].to_string().contains(r#""inlineData""#), "{sent}");
        } else {
            let messages = sent["messages"].as_array().expect("messages");
            let tool = messages.iter().find(|message| message["role"] == "tool").expect("a result");
            assert!(tool["content"].is_string() && !tool.to_string().contains(PIXEL), "{tool}");
            let shown =
                messages.iter().any(|it| it["role"] == "user" && it.to_string().contains("image_url"));
            assert!(shown, "{sent}");
        }
    }
    let reply = message(&proxy, &body).await?;
    assert_eq!(reply.status, 200, "somebody sees it: {}", reply.text());
    Ok(())
}

#[tokio::test]
async fn n07_deferred_tools_are_offered_when_a_search_has_found_them() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let tools = json!([{"name": "ToolSearch"}, {"name": "WebFetch", "defer_loading": true},
        {"name": "Notebook", "defer_loading": true}]);
    let reference = json!([{"type": "tool_result", "tool_use_id": "c1",
        "content": [{"type": "tool_reference", "tool_name": "WebFetch"}]}]);
    for (provider, pin) in pins() {
        message(&proxy, &with(question(&pin), json!({"tools": tools}))).await?;
        let first = sent(&proxy, provider);
        assert_eq!(offered(&first), ["ToolSearch"]);
        assert!(!first.to_string().contains("defer_loading"), "{first}");

        let found = with(request(&pin, called(&["c1"], &reference)), json!({"tools": tools}));
        assert_eq!(message(&proxy, &found).await?.status, 200);
        let later = sent(&proxy, provider);
        assert_eq!(offered(&later), ["ToolSearch", "WebFetch"]);
        assert!(later.to_string().contains("The tool WebFetch is available now."), "{later}");

        let only = json!({"tools": [{"name": "WebFetch", "defer_loading": true}]});
        message(&proxy, &with(question(&pin), only)).await?;
        assert_eq!(offered(&sent(&proxy, provider)), ["WebFetch"], "there is nothing else");
    }
    Ok(())
}

#[tokio::test]
async fn results_out_of_place_are_paired_with_their_calls() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let after = json!([{"type": "text", "text": "By the way"}, {"type": "tool_result", "tool_use_id": "c2", "content": "two"},
        {"type": "tool_result", "tool_use_id": "c1", "is_error": true, "content": [{"type": "text", "text": "one"}]},
        {"type": "tool_result", "tool_use_id": "lost", "content": "lost and found"}]);
    for (provider, pin) in pins() {
        let reply = message(
            &proxy,
            &with(request(&pin, called(&["c1", "c2", "c3"], &after)), json!({"tools": [{"name": "look"}]})),
        )
        .await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let sent = sent(&proxy, provider);
        assert!(sent.to_string().contains("lost and found"), "{sent}");
        if provider != Provider::GEMINI {
            let messages = sent["messages"].as_array().expect("messages");
            let results: Vec<_> = messages.iter().filter(|it| it["role"] == "tool").collect();
            let told: Vec<_> =
                results.iter().map(|it| (it["tool_call_id"].as_str(), it["content"].as_str())).collect();
            let expected =
                [(Some("c1"), Some("Error: one")), (Some("c2"), Some("two")), (Some("c3"), Some(""))];
            assert_eq!(told, expected);
        }
    }
    Ok(())
}

#[tokio::test]
async fn n19_a_long_name_of_a_tool_is_shortened_and_comes_back_whole() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let name = format!("mcp__server__{}", "x".repeat(87));
    let body = |model: &str| {
        with(question(model), json!({"tools": [{"name": name}], "tool_choice": {"type": "any"}}))
    };
    for (provider, pin) in pins() {
        for (blocks, ..) in both_ways(&proxy, &body(&pin)).await? {
            assert_eq!(blocks.last().expect("a call")["name"], name, "{provider:?}");
        }
        let told = offered(&sent(&proxy, provider)).pop().expect("a tool");
        assert!(told.len() <= 64 || provider == Provider::GEMINI, "{provider:?}: {told}");
    }
    Ok(())
}

/// An answer in the stream of OpenAI's dialect.
fn raw(events: &[Value]) -> Behaviour {
    let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    Behaviour::new(Reply::Raw {
        status: 200,
        headers: vec![("content-type".to_owned(), "text/event-stream".to_owned())],
        body: vec![format!("{body}data: [DONE]\n\n").into_bytes()],
    })
}

#[tokio::test]
async fn n20_ids_are_plain_and_no_call_of_the_conversation_has_the_same() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let call = |id: &str, index: u64| json!({"index": index, "id": id, "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let calls = json!([call("functions.look:0", 0), call("call_0", 1), call("fine-1", 2)]);
    let event =
        json!({"choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": "tool_calls"}]});
    proxy.provider(Provider::GROQ).always(raw(&[event]));
    let result = json!([{"type": "tool_result", "tool_use_id": "call_0", "content": "seen"}]);
    let body = with(request("groq", called(&["call_0"], &result)), json!({"tools": [{"name": "look"}]}));
    for (blocks, ..) in both_ways(&proxy, &body).await? {
        let mut ids: Vec<&str> = blocks.iter().map(|block| block["id"].as_str().expect("an id")).collect();
        assert_eq!(ids.get(2), Some(&"fine-1"), "a good id is kept: {ids:?}");
        let is_plain = |id: &&str| id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        assert!(ids.iter().all(is_plain), "{ids:?}");
        ids.push("call_0");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4, "{ids:?}");
    }
    Ok(())
}

#[tokio::test]
async fn n23_arguments_beside_the_finish_reason_are_not_lost() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let call = |id: &str, index: u64, city: &str| {
        json!({"index": index, "id": id, "type": "function",
        "function": {"name": "look", "arguments": json!({"city": city}).to_string()}})
    };
    let calls = json!([call("a", 0, "Lima"), call("b", 1, "Puno")]);
    let event =
        json!({"choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": "tool_calls"}]});
    proxy.provider(Provider::GROQ).always(raw(&[event]));
    for (blocks, ..) in
        both_ways(&proxy, &with(question("groq"), json!({"tools": [{"name": "look"}]}))).await?
    {
        let inputs: Vec<_> = blocks.iter().map(|block| block["input"]["city"].clone()).collect();
        assert_eq!(inputs, ["Lima", "Puno"]);
    }
    Ok(())
}

/// The client must get an object, and a guess could do harm.
#[tokio::test]
async fn arguments_that_are_no_object_are_the_providers_failure() -> anyhow::Result<()> {
    for arguments in ["[1]", "7", "{\"city\": \"Li"] {
        for stream in [true, false] {
            let proxy = TestProxy::core().await?;
            proxy.provider(Provider::GROQ).always(Behaviour::calling([("look", arguments)]));
            let body = with(question("auto"), json!({"tools": [{"name": "look"}], "stream": stream}));
            let reply = message(&proxy, &body).await?;
            let broke = reply.text().contains("event: error");
            assert!(broke || reply.header("x-provider") == Some("Cerebras"), "{arguments}: {}", reply.text());
            assert!(!broke || !reply.text().contains("message_stop"), "{arguments}: {}", reply.text());
        }
    }
    Ok(())
}
