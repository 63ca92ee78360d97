//! Every row answers in every way of asking, and what is sent is what its simulator takes.

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{Behaviour, ReceivedRequest, Reply};
use serde_json::{Value, json};

use super::{alone, name, row, rows};
use crate::support::{TestProxy, chat, complete, question};

/// The body of the last call.
fn last(proxy: &TestProxy, provider: Provider) -> Value {
    proxy.provider(provider).chats().last().map(ReceivedRequest::json).expect("a call")
}

#[tokio::test]
async fn every_row_streams_and_answers_whole() -> anyhow::Result<()> {
    for provider in rows() {
        let proxy = alone(provider).start().await?;
        let reply = chat(&proxy, &question()).await?;
        assert_eq!(reply.header("x-provider"), Some(provider.name()), "{provider:?}");
        let answer = reply.answer();
        assert!(answer.is_done && answer.text.contains(provider.name()), "{provider:?}: {answer:?}");
        let finish = answer.finish.expect("an end");
        assert!(finish["usage"]["total_tokens"].as_u64() > Some(0), "{provider:?} tells usage: {finish}");

        let mut whole = question();
        whole["stream"] = false.into();
        let reply = chat(&proxy, &whole).await?;
        assert_eq!((reply.status, &reply.json()["finish_reason"]), (200, &json!("stop")), "{provider:?}");

        let body = json!({"model": name(provider), "messages": [{"role": "user", "content": "Hola"}]});
        let reply = complete(&proxy, &body).await?;
        let model = format!("{}/{}", name(provider), provider.profile().models[0].id);
        assert_eq!((reply.status, &reply.json()["model"]), (200, &json!(model)), "{provider:?}");
    }
    Ok(())
}

/// A call, its result, and the user's next words. The simulator checks ids, contents and order as the row says.
#[tokio::test]
async fn tools_go_both_ways_at_every_row() -> anyhow::Result<()> {
    let tools = json!([{"type": "function", "function": {"name": "get_weather", "description": "Weather",
        "parameters": {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false}}}]);
    for provider in rows() {
        let proxy = alone(provider).start().await?;
        proxy.provider(provider).then(Behaviour::calling([("get_weather", r#"{"city":"Lima"}"#)]));
        let mut body = json!({"model": name(provider), "tools": tools,
            "messages": [{"role": "user", "content": "The weather in Lima?"}]});
        let reply = complete(&proxy, &body).await?;
        let message = reply.json()["choices"][0]["message"].clone();
        let call = &message["tool_calls"][0]["function"];
        assert_eq!(
            (&call["name"], &call["arguments"]),
            (&json!("get_weather"), &json!(r#"{"city":"Lima"}"#))
        );

        // An id as other providers give them: the conversation may have begun elsewhere.
        let call = json!({"id": "call_a833bdcdb6d1beb188dc97e5", "type": "function", "function": call});
        body["messages"].as_array_mut().expect("messages").extend([
            json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            json!({"role": "tool", "tool_call_id": "call_a833bdcdb6d1beb188dc97e5", "content": "21 C"}),
            json!({"role": "user", "content": [{"type": "text", "text": "So"}, {"type": "text", "text": "warm?"}]}),
        ]);
        let reply = complete(&proxy, &body).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let sent = last(&proxy, provider);
        let ids: Vec<&Value> =
            [&sent["messages"][1]["tool_calls"][0]["id"], &sent["messages"][2]["tool_call_id"]].into();
        assert_eq!(ids[0], ids[1], "{provider:?}: a call and its result stay together");
    }
    Ok(())
}

#[tokio::test]
async fn a_call_can_be_forced_where_the_row_says_so() -> anyhow::Result<()> {
    let tool = json!({"type": "function", "function": {"name": "now"}});
    for provider in rows() {
        let proxy = alone(provider).start().await?;
        let body = json!({"model": name(provider), "tools": [tool], "tool_choice": "required",
            "messages": [{"role": "user", "content": "Hola"}]});
        let reply = complete(&proxy, &body).await?;
        if provider.capabilities(provider.profile().models[0].id).forced_calls {
            assert_eq!(
                reply.json()["choices"][0]["finish_reason"],
                "tool_calls",
                "{provider:?}: {}",
                reply.text()
            );
        } else {
            assert_eq!(
                (reply.status, &reply.json()["error"]["param"]),
                (400, &json!("tool_choice")),
                "{provider:?}"
            );
            assert_eq!(proxy.provider(provider).chats().len(), 0, "{provider:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn json_comes_from_every_row() -> anyhow::Result<()> {
    for provider in rows() {
        let proxy = alone(provider).start().await?;
        let body = json!({"model": name(provider), "response_format": {"type": "json_object"},
            "messages": [{"role": "user", "content": "As JSON: Hola"}]});
        let reply = complete(&proxy, &body).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let content = reply.json()["choices"][0]["message"]["content"].clone();
        let parsed: Result<Value, _> = serde_json::from_str(content.as_str().expect("text"));
        assert!(parsed.is_ok_and(|parsed| parsed.is_object()), "{provider:?}: {content}");
    }
    Ok(())
}

/// Everything that a client can set at once, for each row: what its columns say is in the golden file.
#[test]
fn each_rows_request_is_as_its_golden_file_says() {
    use ai_proxy_free::internals::surfaces::{Ask as _, Completion};
    let body = r#"{"model":"auto","temperature":0.2,"top_p":0.9,"seed":7,"stop":["END"],"user":"u","max_tokens":64,
        "frequency_penalty":0.1,"presence_penalty":0.1,"parallel_tool_calls":true,"reasoning_effort":"high","tool_choice":"auto",
        "tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{},"additionalProperties":false}}}],
        "messages":[{"role":"system","content":"Be terse."},{"role":"user","name":"Ana","content":[{"type":"text","text":"One"},{"type":"text","text":"two"}]},
            {"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"call_1","content":"done"},{"role":"user","content":"And?"}]}"#;
    for provider in rows() {
        let head = http::Request::new(()).into_parts().0;
        let mut ask = Completion::parse(&head, body.as_bytes()).expect("a good request");
        let wire = provider.encode(ask.request(), provider.profile().models[0].id, Some(64));
        let sent: Value = serde_json::from_slice(&wire.body).expect("JSON");
        let golden = format!("POST {}\n\n{sent:#}\n\nleft out: {:?}\n", wire.path, wire.left_out);
        insta::assert_snapshot!(format!("row_{}", provider.name()), golden);
    }
}

#[tokio::test]
async fn each_row_is_called_where_it_lives_and_with_its_headers() -> anyhow::Result<()> {
    let account = "0123456789abcdef0123456789abcdef";
    let cases = [
        ("OpenRouter", "/api/v1/chat/completions".to_owned(), Some(("x-title", "AI Proxy Free"))),
        ("NVIDIA", "/v1/chat/completions".to_owned(), Some(("nvcf-poll-seconds", "3600"))),
        ("Cloudflare", format!("/client/v4/accounts/{account}/ai/v1/chat/completions"), None),
        ("Mistral", "/v1/chat/completions".to_owned(), None),
        ("Z.ai", "/api/paas/v4/chat/completions".to_owned(), None),
        ("Cohere", "/compatibility/v1/chat/completions".to_owned(), None),
        ("Kilo", "/api/gateway/chat/completions".to_owned(), None),
        ("OVHcloud", "/v1/chat/completions".to_owned(), None),
    ];
    assert_eq!(cases.len(), rows().count(), "the table above has a line for each row");
    for (its_name, path, header) in cases {
        let provider = row(its_name);
        let proxy = alone(provider).start().await?;
        chat(&proxy, &question()).await?;
        let call = proxy.provider(provider).chats().pop().expect("a call");
        assert_eq!(call.path, path);
        let key = format!("Bearer key-of-{its_name}");
        let is_keyless = ["Kilo", "OVHcloud"].contains(&its_name);
        assert_eq!(call.header("authorization"), (!is_keyless).then_some(&*key), "{its_name}");
        if let Some((name, value)) = header {
            assert_eq!(call.header(name), Some(value), "{its_name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn rows_follow_the_three_in_the_order_of_the_documents() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().over(Directory::core().into_iter().chain(rows())).start().await?;
    let names = [
        "Groq",
        "Cerebras",
        "Gemini",
        "OpenRouter",
        "NVIDIA",
        "Cloudflare",
        "Mistral",
        "Z.ai",
        "Cohere",
        "Kilo",
        "OVHcloud",
    ];
    for expected in names {
        assert_eq!(chat(&proxy, &question()).await?.header("x-provider"), Some(expected));
    }
    let client = crate::support::http_client()?;
    let report: Value = client.get(proxy.url("/providers")).send().await?.json().await?;
    let listed: Vec<&str> =
        report["providers"].as_array().expect("a list").iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(listed, names);
    let health = client.get(proxy.url("/health")).send().await?.text().await?;
    let places: Vec<usize> =
        names.iter().map(|name| health.find(&format!("\"{name}\"")).expect("listed")).collect();
    assert!(places.is_sorted(), "{health}");
    Ok(())
}

/// What `/v1` tells of an answer in these events, streamed: thoughts and content.
async fn told(provider: Provider, contents: &[Value]) -> anyhow::Result<(String, String)> {
    let mut body: String = contents
        .iter()
        .map(|content| json!({"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": null}]}))
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    body += "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let proxy = alone(provider).start().await?;
    proxy.all(&Behaviour::new(Reply::Raw {
        status: 200,
        headers: vec![("content-type".into(), "text/event-stream".into())],
        body: vec![body.into_bytes()],
    }));
    let question = json!({"model": name(provider), "reasoning_effort": "high",
        "messages": [{"role": "user", "content": "Hola"}]});
    let message = complete(&proxy, &question).await?.json()["choices"][0]["message"].clone();
    let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    Ok((text("reasoning_content"), text("content")))
}

#[tokio::test]
async fn thoughts_are_told_apart_where_a_row_mixes_them_in() -> anyhow::Result<()> {
    let pieces = ["<th", "ink>Let me", " see.</thi", "nk>", "\n\nTwo", "."].map(Value::from);
    let expected = ("Let me see.".to_owned(), "Two.".to_owned());
    assert_eq!(told(row("Cloudflare"), &pieces).await?, expected);
    let whole = String::from("<think>Let me see.</think>\n\nTwo.");
    assert_eq!(
        told(row("OpenRouter"), &pieces).await?,
        (String::new(), whole),
        "nobody else's text is touched"
    );
    let parts = [
        json!([{"type": "thinking", "thinking": [{"type": "text", "text": "Let me"}]}]),
        json!([{"type": "thinking", "thinking": [{"type": "text", "text": " see."}]}, {"type": "text", "text": "Tw"}]),
        json!("o"),
        json!([{"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "."}]),
    ];
    assert_eq!(told(row("Mistral"), &parts).await?, expected);
    Ok(())
}
