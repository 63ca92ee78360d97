//! Tools: which are offered, how calls and results go back and forth.

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Behaviour, Reply};
use serde_json::{Value, json};

use super::{PIXEL, both_ways, ignored, offered, pins, question, request, respond, sent, with};
use crate::support::TestProxy;

fn function(name: &str) -> Value {
    json!({"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}})
}

/// A call of this id, and its result.
fn called(id: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": "look", "arguments": format!("{{\"id\":\"{id}\"}}")})
}

fn returned(id: &str, output: &Value) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": output})
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

/// The last item of a response's output.
fn last(response: &Value) -> Value {
    response["output"].as_array().expect("items").last().expect("an item").clone()
}

#[tokio::test]
async fn a_call_goes_to_the_client_and_its_result_comes_back() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let tool =
        json!({"type": "function", "name": "get_weather", "description": "Weather", "parameters": schema});
    for (provider, pin) in pins() {
        let body = with(request(&pin, json!([user("Please get_weather")])), json!({"tools": [tool]}));
        for response in both_ways(&proxy, &body).await? {
            let call = last(&response);
            assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("get_weather")));
            let arguments: Value = serde_json::from_str(call["arguments"].as_str().expect("a text"))?;
            assert!(arguments["city"].is_string(), "{call}");

            let mut input = vec![user("Please get_weather")];
            input.extend(response["output"].as_array().expect("items").iter().cloned());
            input.push(returned(call["call_id"].as_str().expect("an id"), &json!("21 degrees")));
            let reply = respond(&proxy, &with(request(&pin, json!(input)), json!({"tools": [tool]}))).await?;
            let said = super::text_of(&reply.json());
            assert!(said.starts_with("Tool said: ") && said.contains("21 degrees"), "{provider:?}: {said}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn n02_additional_tools_are_offered_and_are_no_message() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let inner = json!([{"type": "custom", "name": "exec", "description": "Runs code"}]);
    let added = json!({"type": "additional_tools", "role": "developer",
        "tools": [{"type": "namespace", "name": "functions", "description": "All", "tools": inner}, function("look")]});
    for (provider, pin) in pins() {
        let reply = respond(&proxy, &request(&pin, json!([added, user("Hola")]))).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let sent = sent(&proxy, provider);
        assert_eq!(offered(&sent), ["functions__exec", "look"], "{provider:?}");
        let messages = sent["messages"].as_array().or(sent["contents"].as_array()).expect("messages");
        assert_eq!(messages.len(), 1, "{sent}");
    }
    Ok(())
}

#[tokio::test]
async fn n03_a_tool_in_a_namespace_is_called_by_both_names() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let tools = json!([{"type": "namespace", "name": "agents", "description": "All",
        "tools": [function("close_agent"), function("spawn_agent")]}, function("close_agent")]);
    proxy.all(&Behaviour::calling([
        ("agents__close_agent", "{\"id\":1}"),
        ("close_agent", "{}"),
        ("spawn_agent", "{}"),
    ]));
    for (provider, pin) in pins() {
        let body = with(question(&pin), json!({"tools": tools, "tool_choice": "auto"}));
        for response in both_ways(&proxy, &body).await? {
            let calls = response["output"].as_array().expect("items");
            let names: Vec<_> =
                calls.iter().map(|it| (it["namespace"].as_str(), it["name"].as_str())).collect();
            // A model that forgets the namespace means the only tool of that name.
            let expected = [
                (Some("agents"), Some("close_agent")),
                (None, Some("close_agent")),
                (Some("agents"), Some("spawn_agent")),
            ];
            assert_eq!(names, expected, "{provider:?}");

            let mut input = vec![user("Hola")];
            input.extend(calls.iter().cloned());
            let back = with(request(&pin, json!(input)), json!({"tools": tools}));
            assert_eq!(respond(&proxy, &back).await?.status, 200);
            let sent = sent(&proxy, provider);
            assert_eq!(offered(&sent), ["agents__close_agent", "agents__spawn_agent", "close_agent"]);
            let history = sent["messages"].to_string() + &sent["contents"].to_string();
            // Google's dialect names the tool of a result, too.
            let times = if provider == Provider::GEMINI { 2 } else { 1 };
            assert_eq!(history.matches("\"agents__close_agent\"").count(), times, "{history}");
        }
    }
    let chosen = json!({"tools": tools, "tool_choice": {"type": "function", "name": "spawn_agent"}});
    assert_eq!(respond(&proxy, &with(question("groq"), chosen)).await?.status, 200);
    assert_eq!(sent(&proxy, Provider::GROQ)["tool_choice"]["function"]["name"], "agents__spawn_agent");
    Ok(())
}

#[tokio::test]
async fn n04_a_custom_tool_is_called_with_bare_text_both_ways() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let grammar = json!({"type": "grammar", "syntax": "lark", "definition": "start: LINE"});
    let tools = json!([{"type": "custom", "name": "exec", "description": "Runs code", "format": grammar}]);
    let code = "say(\"hola\")\n// ñ";
    let more = json!({"input": code, "timeout": 5, "language": "js"});
    for arguments in
        [json!({"input": code}), more, json!({"code": code}), json!(code)].map(|it| it.to_string())
    {
        for (provider, pin) in pins() {
            if provider == Provider::GEMINI && !arguments.starts_with('{') {
                continue;
            }
            proxy.all(&Behaviour::calling([("exec", arguments.as_str())]));
            for response in both_ways(&proxy, &with(question(&pin), json!({"tools": tools}))).await? {
                let call = last(&response);
                assert_eq!(
                    (&call["type"], &call["input"]),
                    (&json!("custom_tool_call"), &json!(code)),
                    "{provider:?}"
                );
                let output =
                    json!({"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "done"});
                let back = request(&pin, json!([user("Hola"), call, output]));
                let reply = respond(&proxy, &with(back, json!({"tools": tools}))).await?;
                assert_eq!(reply.status, 200, "{}", reply.text());
                let sent = sent(&proxy, provider);
                assert!(sent.to_string().contains("start: LINE"), "the grammar is told in words");
                let told = if provider == Provider::GEMINI {
                    sent["contents"][1]["parts"][0]["functionCall"]["args"].clone()
                } else {
                    let told = sent["messages"][1]["tool_calls"][0]["function"]["arguments"].as_str();
                    serde_json::from_str(told.expect("arguments"))?
                };
                assert_eq!(told, json!({"input": code}), "{provider:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn n05_tools_of_openais_servers_are_left_out_and_told_and_refused_alone() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let search = json!({"type": "web_search", "search_context_size": "low"});
    let paint = json!({"type": "image_generation"});
    for (provider, pin) in pins() {
        let reply =
            respond(&proxy, &with(question(&pin), json!({"tools": [search, function("look"), paint]})))
                .await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let told = ignored(&reply);
        assert!(told.contains(&"tools.web_search") && told.contains(&"tools.image_generation"), "{told:?}");
        assert_eq!(offered(&sent(&proxy, provider)), ["look"]);
    }
    let calls = proxy.upstream_calls();
    let named = json!({"tools": [search, function("look")], "tool_choice": {"type": "web_search"}});
    for fields in [json!({"tools": [search]}), named] {
        let reply = respond(&proxy, &with(question("auto"), fields)).await?;
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert!(reply.text().contains("not available here"), "{}", reply.text());
    }
    assert_eq!(proxy.upstream_calls(), calls);
    Ok(())
}

#[tokio::test]
async fn n06_an_image_in_a_result_is_seen_as_an_image() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let image = json!({"type": "input_image", "image_url": format!("data:image/png;base64,{PIXEL}")});
    let output = json!([{"type": "input_text", "text": "Here."}, image]);
    let input = json!([user("Look"), called("c1"), returned("c1", &output)]);
    for (provider, pin) in pins() {
        let reply =
            respond(&proxy, &with(request(&pin, input.clone()), json!({"tools": [function("look")]})))
                .await?;
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
    Ok(())
}

/// The turns of a conversation in OpenAI's dialect: who speaks, with the ids of calls and results.
fn turns(sent: &Value) -> Vec<String> {
    let messages = sent["messages"].as_array().expect("messages");
    let turn = |message: &Value| {
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        let ids: Vec<_> = calls.map(|call| call["id"].as_str().expect("an id")).collect();
        let id = message["tool_call_id"].as_str().unwrap_or_default();
        format!("{}:{}{id}", message["role"].as_str().expect("a role"), ids.join("+"))
    };
    messages.iter().map(turn).collect()
}

#[tokio::test]
async fn n12_calls_of_one_turn_are_one_message_and_their_results_stand_behind_it() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let thought = json!({"type": "reasoning", "summary": []});
    let one = json!([
        user("Look"),
        called("a"),
        thought,
        called("b"),
        user("By the way"),
        returned("b", &json!("two")),
        returned("a", &json!("one"))
    ]);
    let two = json!([
        user("Look"),
        called("a"),
        returned("a", &json!("one")),
        called("b"),
        returned("b", &json!("two"))
    ]);
    let cases = [
        (one, vec!["user:", "assistant:a+b", "tool:a", "tool:b", "user:"]),
        (two, vec!["user:", "assistant:a", "tool:a", "assistant:b", "tool:b"]),
    ];
    for (input, expected) in cases {
        for pin in ["groq", "cerebras"] {
            let body = with(request(pin, input.clone()), json!({"tools": [function("look")]}));
            assert_eq!(respond(&proxy, &body).await?.status, 200);
            let provider = if pin == "groq" { Provider::GROQ } else { Provider::CEREBRAS };
            assert_eq!(turns(&sent(&proxy, provider)), expected);
        }
        let body = with(request("gemini", input.clone()), json!({"tools": [function("look")]}));
        assert_eq!(respond(&proxy, &body).await?.status, 200);
    }
    Ok(())
}

#[tokio::test]
async fn n13_a_result_without_an_id_belongs_to_the_next_call() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let input = json!([user("Look"), called("a"), {"type": "function_call_output", "output": "seen"}]);
    for (provider, pin) in pins() {
        let reply = respond(&proxy, &request(&pin, input.clone())).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        if provider != Provider::GEMINI {
            let result = sent(&proxy, provider)["messages"][2].clone();
            assert_eq!((&result["tool_call_id"], &result["content"]), (&json!("a"), &json!("seen")));
        }
    }
    Ok(())
}

#[tokio::test]
async fn calls_that_only_openais_models_make_stay_in_the_history() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let input = json!([user("Look"),
        {"type": "local_shell_call", "id": "lsh_1", "call_id": "a", "status": "completed", "action": {"type": "exec", "command": ["ls"]}},
        {"type": "local_shell_call_output", "call_id": "a", "output": "file.txt"},
        {"type": "apply_patch_call", "call_id": "b", "status": "completed", "operation": {"type": "delete_file", "path": "x.txt"}},
        {"type": "apply_patch_call_output", "call_id": "b", "status": "completed", "output": {"ok": true}}]);
    for (provider, pin) in pins() {
        let reply = respond(&proxy, &request(&pin, input.clone())).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let sent = sent(&proxy, provider).to_string();
        for text in ["local_shell", "\"ls\\", "file.txt", "apply_patch", "x.txt"] {
            let text = if provider == Provider::GEMINI { text.trim_end_matches('\\') } else { text };
            let text = text.trim_start_matches('"');
            assert!(sent.contains(text), "{provider:?}: {text} is not in {sent}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn n19_a_long_name_of_a_tool_is_shortened_and_comes_back_whole() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let long = "x".repeat(87);
    let tools = json!([{"type": "namespace", "name": "mcp__server", "tools": [function(&long)]}]);
    for (provider, pin) in pins() {
        let body = with(question(&pin), json!({"tools": tools, "tool_choice": "required"}));
        for response in both_ways(&proxy, &body).await? {
            let call = last(&response);
            assert_eq!(
                (&call["namespace"], &call["name"]),
                (&json!("mcp__server"), &json!(long)),
                "{provider:?}"
            );
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

fn calling(calls: &Value) -> Behaviour {
    raw(&[json!({"choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": "tool_calls"}]})])
}

#[tokio::test]
async fn n20_ids_are_plain_and_no_call_of_the_conversation_has_the_same() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let call = |id: &str, index: u64| json!({"index": index, "id": id, "type": "function", "function": {"name": "look", "arguments": "{}"}});
    proxy.provider(Provider::GROQ).always(calling(&json!([
        call("functions.look:0", 0),
        call("call_0", 1),
        call("fine-1", 2)
    ])));
    let input = json!([user("Look"), called("call_0"), returned("call_0", &json!("seen"))]);
    let body = with(request("groq", input), json!({"tools": [function("look")]}));
    for response in both_ways(&proxy, &body).await? {
        let calls = response["output"].as_array().expect("items");
        let mut ids: Vec<&str> = calls.iter().map(|call| call["call_id"].as_str().expect("an id")).collect();
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
    proxy.provider(Provider::GROQ).always(calling(&json!([call("a", 0, "Lima"), call("b", 1, "Puno")])));
    let body = with(question("groq"), json!({"tools": [function("look")]}));
    for response in both_ways(&proxy, &body).await? {
        let calls = response["output"].as_array().expect("items").iter();
        let arguments: Vec<_> = calls.map(|call| call["arguments"].clone()).collect();
        assert_eq!(arguments, [r#"{"city":"Lima"}"#, r#"{"city":"Puno"}"#]);
    }
    Ok(())
}

#[tokio::test]
async fn n24_a_call_without_arguments_has_an_empty_object() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for arguments in ["", "{}"] {
        for (provider, pin) in pins() {
            proxy.all(&Behaviour::calling([("now", arguments)]));
            let body = with(question(&pin), json!({"tools": [function("now")]}));
            for response in both_ways(&proxy, &body).await? {
                assert_eq!(last(&response)["arguments"], "{}", "{provider:?} {arguments:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn only_the_tools_that_may_be_called_are_offered() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let fields = json!({"tools": [function("a"), function("b"), {"type": "custom", "name": "c"}],
        "tool_choice": {"type": "allowed_tools", "mode": "required",
            "tools": [{"type": "function", "name": "b"}, {"type": "custom", "name": "c"}]}});
    for (provider, pin) in pins() {
        assert_eq!(respond(&proxy, &with(question(&pin), fields.clone())).await?.status, 200);
        assert_eq!(offered(&sent(&proxy, provider)), ["b", "c"]);
    }
    assert_eq!(sent(&proxy, Provider::GROQ)["tool_choice"], "required");
    Ok(())
}
