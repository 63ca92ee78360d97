//! What models and providers make of tool calls, and what clients get: each call once, by its name, with an object.

use std::collections::BTreeMap;

use ai_proxy_free::internals::providers::{Dialect, Directory, Provider};
use ai_proxy_free::internals::simulator::Behaviour;
use serde_json::{Value, json};

use crate::support::{RawUpstream, Reply, Step, TestProxy, complete, openai_providers};

/// A call as the client reads it: name and arguments.
type Told = (String, String);

fn told(name: &str, arguments: &str) -> Told {
    (name.to_owned(), arguments.to_owned())
}

fn question(model: Provider, stream: bool) -> Value {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    json!({"model": model.name(), "stream": stream, "messages": [{"role": "user", "content": "Weather?"}],
        "tools": [tool("get_weather"), tool("now"), tool("1st")]})
}

/// The calls in an answer, streamed or whole. Those of a stream must follow each other, and ids must differ.
fn calls(reply: &Reply, stream: bool) -> Vec<Told> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut calls: BTreeMap<u64, (String, Told)> = BTreeMap::new();
    let mut take = |index: u64, call: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let last = calls.len() as u64;
        if call["id"].is_string() {
            assert_eq!(index, last, "calls follow each other: {}", reply.text());
            calls.insert(index, (text(&call["id"]), (text(&call["function"]["name"]), String::new())));
        } else {
            assert_eq!(index + 1, last, "calls do not mix: {}", reply.text());
        }
        let (_, (_, arguments)) = calls.get_mut(&index).expect("a call that was opened");
        arguments.push_str(&text(&call["function"]["arguments"]));
    };
    if stream {
        let text = reply.text();
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        let events = text.split_terminator("\n\n").filter_map(|event| event.strip_prefix("data: "));
        for event in events.filter(|event| *event != "[DONE]") {
            let chunk: Value = serde_json::from_str(event).expect("JSON");
            for call in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
                take(call["index"].as_u64().expect("an index"), call);
            }
        }
    } else {
        let message = &reply.json()["choices"][0]["message"];
        let list = message["tool_calls"].as_array().into_iter().flatten();
        list.zip(0..).for_each(|(call, index)| take(index, call));
    }
    let mut ids: Vec<_> = calls.values().map(|(id, _)| id.clone()).collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert!(ids.len() == all && ids.iter().all(|id| !id.is_empty()), "{}", reply.text());
    calls.into_values().map(|(_, told)| told).collect()
}

/// A stream of `events`, or one JSON document.
fn answer(content_type: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}");
    vec![Step::Send(head.into_bytes())]
}

async fn proxy_over(provider: Provider, script: Vec<Step>) -> anyhow::Result<(TestProxy, RawUpstream)> {
    let upstream = RawUpstream::always(script).await?;
    let variable = provider.profile().base_url_variable;
    let proxy = TestProxy::builder().with(variable, upstream.base_url()).start().await?;
    Ok((proxy, upstream))
}

/// What `provider` says becomes `expected`, streamed and whole.
async fn becomes(case: &str, provider: Provider, script: Vec<Step>, expected: &[Told]) -> anyhow::Result<()> {
    let (proxy, _upstream) = proxy_over(provider, script).await?;
    for stream in [true, false] {
        let reply = complete(&proxy, &question(provider, stream)).await?;
        assert_eq!(
            calls(&reply, stream),
            expected,
            "{case}, {provider:?}, stream {stream}: {}",
            reply.text()
        );
    }
    Ok(())
}

/// An event in OpenAI's dialect with a piece of a call: number, id, name, arguments; what is empty is left out.
fn piece(number: impl Into<Option<u64>>, id: &str, name: &str, arguments: &str) -> String {
    let mut call = json!({"function": {"arguments": arguments}});
    if let Some(number) = number.into() {
        call["index"] = number.into();
    }
    if !id.is_empty() {
        (call["id"], call["type"]) = (id.into(), "function".into());
    }
    if !name.is_empty() {
        call["function"]["name"] = name.into();
    }
    let choice = json!({"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null});
    format!("data: {}\n\n", json!({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}))
}

fn openai_stream(pieces: &[String]) -> Vec<Step> {
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]});
    answer("text/event-stream", &format!("{}data: {end}\n\ndata: [DONE]\n\n", pieces.concat()))
}

/// Calls as whole answers in each dialect: id, name and arguments as they stand in JSON.
fn whole_calls(provider: Provider, calls: &[(&str, &str, &str)]) -> Vec<Step> {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    match provider.profile().dialect {
        Dialect::OpenAi(_) => {
            let call = |(number, (id, name, arguments)): (usize, &(&str, &str, &str))| {
                piece(number as u64, id, name, arguments)
            };
            openai_stream(&calls.iter().enumerate().map(call).collect::<Vec<_>>())
        }
        Dialect::Gemini => {
            let part = |(id, name, arguments): &(&str, &str, &str)| {
                let mut call = json!({"name": name, "args": parsed(arguments)});
                if !id.is_empty() {
                    call["id"] = (*id).into();
                }
                json!({ "functionCall": call })
            };
            let parts: Vec<Value> = calls.iter().map(part).collect();
            let candidate = json!({"content": {"parts": parts}, "finishReason": "STOP"});
            answer("text/event-stream", &format!("data: {}\n\n", json!({"candidates": [candidate]})))
        }
    }
}

/// elizaOS/eliza#9766 and its kind.
#[tokio::test]
async fn arguments_that_come_twice_are_one_call() -> anyhow::Result<()> {
    const WHOLE: &str = "{\"x\":12}";
    let weather = || told("get_weather", WHOLE);
    let cases: [(&str, Vec<String>, Vec<Told>); 9] = [
        (
            "the whole behind its pieces",
            vec![
                piece(0, "a", "get_weather", ""),
                piece(0, "", "", "{\"x\""),
                piece(0, "", "", ":12}"),
                piece(0, "a", "get_weather", WHOLE),
            ],
            vec![weather()],
        ),
        (
            "the whole without id and name",
            vec![piece(0, "a", "get_weather", "{\"x\""), piece(0, "", "", ":12}"), piece(0, "", "", WHOLE)],
            vec![weather()],
        ),
        (
            "an id with the whole only",
            vec![
                piece(0, "", "get_weather", "{\"x\""),
                piece(0, "", "", ":12}"),
                piece(0, "a", "get_weather", WHOLE),
            ],
            vec![weather()],
        ),
        (
            "a whole twice",
            vec![piece(0, "a", "get_weather", WHOLE), piece(0, "a", "get_weather", WHOLE)],
            vec![weather()],
        ),
        (
            "a whole twice in other words",
            vec![piece(0, "a", "get_weather", WHOLE), piece(0, "a", "get_weather", "{ \"x\": 12 }")],
            vec![weather()],
        ),
        (
            "everything so far with every piece",
            ["{", "{\"x", "{\"x\":", "{\"x\":1", WHOLE].map(|it| piece(0, "a", "get_weather", it)).to_vec(),
            vec![weather()],
        ),
        (
            "everything so far, from before the value on",
            ["{\"x\":", WHOLE].map(|it| piece(0, "a", "get_weather", it)).to_vec(),
            vec![weather()],
        ),
        (
            "two calls again at the end",
            vec![
                piece(0, "a", "get_weather", WHOLE),
                piece(1, "b", "get_weather", WHOLE),
                piece(0, "a", "get_weather", WHOLE),
                piece(1, "b", "get_weather", WHOLE),
            ],
            vec![weather(), weather()],
        ),
        (
            "no repetition: a text that holds its own beginning",
            vec![
                piece(0, "a", "get_weather", "{\"x\":"),
                piece(0, "", "", "{\"x\":12}"),
                piece(0, "", "", "}"),
                piece(1, "b", "get_weather", WHOLE),
            ],
            vec![told("get_weather", "{\"x\":{\"x\":12}}"), weather()],
        ),
    ];
    for (case, pieces, expected) in cases {
        for provider in openai_providers() {
            becomes(case, provider, openai_stream(&pieces), &expected).await?;
        }
    }
    Ok(())
}

/// vercel/ai#15879, term-llm#314, envoyproxy/ai-gateway#1465 and their kind.
#[tokio::test]
async fn arguments_are_neither_lost_nor_replaced_by_nothing() -> anyhow::Result<()> {
    const WHOLE: &str = "{\"x\":12}";
    let cases: [(&str, Vec<String>); 8] = [
        ("arguments before the name", vec![piece(0, "a", "", WHOLE), piece(0, "", "get_weather", "")]),
        (
            "arguments before the name and with it",
            vec![piece(0, "a", "", "{\"x\""), piece(0, "a", "get_weather", ":12}")],
        ),
        ("no number at first", vec![piece(None, "a", "get_weather", ""), piece(0, "", "", WHOLE)]),
        (
            "a new number with each piece",
            vec![piece(0, "a", "get_weather", "{\"x\""), piece(1, "", "", ":12"), piece(2, "a", "", "}")],
        ),
        (
            "an empty object, then pieces",
            vec![piece(0, "a", "get_weather", "{}"), piece(0, "", "", "{\"x\""), piece(0, "", "", ":12}")],
        ),
        (
            "an empty object, then the whole",
            vec![piece(0, "a", "get_weather", "{}"), piece(0, "a", "get_weather", WHOLE)],
        ),
        (
            "the whole, then an empty object",
            vec![piece(0, "a", "get_weather", WHOLE), piece(0, "a", "get_weather", "{}")],
        ),
        (
            "a mark and a bracket behind the whole",
            vec![piece(0, "a", "get_weather", "{\"x\":12}<|endoftext|>"), piece(0, "", "", "}")],
        ),
    ];
    for (case, pieces) in cases {
        for provider in openai_providers() {
            becomes(case, provider, openai_stream(&pieces), &[told("get_weather", WHOLE)]).await?;
        }
    }
    Ok(())
}

/// Nobody can make such a call, and a client that got the rest of the answer would never learn of it.
#[tokio::test]
async fn arguments_that_never_get_a_name_are_a_failure() -> anyhow::Result<()> {
    for provider in openai_providers() {
        let pieces = [piece(0, "a", "", "{\"x\":1}"), piece(0, "", "", "")];
        let (proxy, _upstream) = proxy_over(provider, openai_stream(&pieces)).await?;
        for stream in [true, false] {
            let reply = complete(&proxy, &question(provider, stream)).await?;
            let reason = &reply.json()["error"]["attempts"][0]["reason"];
            assert_eq!((reply.status, reason), (502, &json!("upstream_error")), "{provider:?} {stream}");
        }
    }
    Ok(())
}

/// Clients read a call as complete when the next begins.
#[tokio::test]
async fn calls_whose_pieces_are_mixed_follow_each_other() -> anyhow::Result<()> {
    let pieces = [
        piece(0, "a", "get_weather", ""),
        piece(1, "b", "now", ""),
        piece(1, "", "", "{\"y\":"),
        piece(0, "", "", "{\"x\":1}"),
        piece(1, "", "", "2}"),
    ];
    let expected = [told("get_weather", "{\"x\":1}"), told("now", "{\"y\":2}")];
    for provider in openai_providers() {
        becomes("mixed", provider, openai_stream(&pieces), &expected).await?;
    }
    Ok(())
}

#[tokio::test]
async fn arguments_that_say_nothing_are_an_empty_object() -> anyhow::Result<()> {
    for nothing in ["", " \n", "null", "\"\"", "\"null\"", "\"\\\"\\\"\"", "[]"] {
        let expected = [told("now", "{}"), told("get_weather", "{\"x\":1}")];
        for provider in openai_providers() {
            let calls = [("a", "now", nothing), ("b", "get_weather", "{\"x\":1}")];
            becomes(nothing, provider, whole_calls(provider, &calls), &expected).await?;
        }
    }
    for nothing in ["null", "\"\"", "\" \"", "[]", "{}"] {
        let script = whole_calls(Provider::GEMINI, &[("", "now", nothing)]);
        becomes(nothing, Provider::GEMINI, script, &[told("now", "{}")]).await?;
    }
    Ok(())
}

/// Arguments that say nothing, or are no object, come back in the conversation as every dialect takes them.
#[tokio::test]
async fn earlier_arguments_are_sent_as_each_dialect_takes_them() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["Hola"]));
    let cases = [
        ("null", "{}", json!({})),
        ("", "{}", json!({})),
        ("\"\"", "{}", json!({})),
        ("{\"x\": 1}", "{\"x\": 1}", json!({"x": 1})),
        ("{\"x\"", "{\"x\"", json!({"arguments": "{\"x\""})),
        ("[1]", "[1]", json!({"arguments": "[1]"})),
    ];
    for (arguments, as_text, as_object) in cases {
        for provider in Directory::core() {
            let call =
                json!({"id": "a", "type": "function", "function": {"name": "now", "arguments": arguments}});
            let mut body = question(provider, false);
            body["messages"] = json!([{"role": "user", "content": "Time?"},
                {"role": "assistant", "content": null, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "a", "content": "noon"}]);
            let reply = complete(&proxy, &body).await?;
            assert_eq!(reply.status, 200, "{arguments}: {}", reply.text());
            let sent = proxy.provider(provider).chats().pop().expect("a call").json();
            match provider.profile().dialect {
                Dialect::OpenAi(_) => {
                    let sent = &sent["messages"][1]["tool_calls"][0]["function"]["arguments"];
                    assert_eq!(sent, as_text, "{provider:?} {arguments}");
                }
                Dialect::Gemini => {
                    let sent = &sent["contents"][1]["parts"][0]["functionCall"]["args"];
                    assert_eq!(*sent, as_object, "{provider:?} {arguments}");
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_offered_name_is_found_among_a_models_marks() -> anyhow::Result<()> {
    let cases = [
        ("functions.get_weather", "get_weather"),
        ("get_weather<|channel|>commentary", "get_weather"),
        ("assistant<|channel|>commentary to=functions.get_weather<|constrain|>json", "get_weather"),
        ("get_weather ", "get_weather"),
        ("functions.1st", "1st"),
        // Nobody has offered this one, so it is the model's own mistake, and the client sees it.
        ("functions.get_time", "functions.get_time"),
        ("not:now", "not:now"),
        ("right now", "right now"),
    ];
    for (written, name) in cases {
        for provider in Directory::core() {
            let script = whole_calls(provider, &[("a", written, "{\"x\":1}")]);
            becomes(written, provider, script, &[told(name, "{\"x\":1}")]).await?;
        }
    }
    // Gemini knows this tool by another name.
    let script = whole_calls(Provider::GEMINI, &[("a", "functions._1st", "{}")]);
    becomes("a changed name", Provider::GEMINI, script, &[told("1st", "{}")]).await
}

/// `becomes` compares the ids.
#[tokio::test]
async fn calls_never_share_an_id() -> anyhow::Result<()> {
    for provider in Directory::core() {
        let made = [
            ("a", "get_weather", "{\"x\":1}"),
            ("a", "get_weather", "{\"x\":2}"),
            ("a", "now", "{}"),
            ("", "now", "{\"x\":3}"),
            ("", "now", "{\"x\":4}"),
        ];
        let expected = made.map(|(_, name, arguments)| told(name, arguments));
        becomes("one id", provider, whole_calls(provider, &made), &expected).await?;
    }
    Ok(())
}

/// A thousand calls pass; with one more the model has lost itself, and somebody else is asked.
#[tokio::test]
async fn an_answer_has_a_thousand_calls_at_most() -> anyhow::Result<()> {
    for provider in Directory::core() {
        for (count, is_answer) in [(1_000, true), (1_001, false), (40_000, false)] {
            let made: Vec<_> = (0..count).map(|number| format!("{{\"x\":{number}}}")).collect();
            let made: Vec<_> = made.iter().map(|arguments| ("", "now", arguments.as_str())).collect();
            let (proxy, _upstream) = proxy_over(provider, whole_calls(provider, &made)).await?;
            let reply = complete(&proxy, &question(provider, false)).await?;
            if is_answer {
                assert_eq!(calls(&reply, false).len(), count, "{provider:?}");
            } else {
                let reason = &reply.json()["error"]["attempts"][0]["reason"];
                assert_eq!(
                    (reply.status, reason),
                    (502, &json!("upstream_error")),
                    "{provider:?}: {}",
                    reply.text()
                );
                let (attempts, failures) = proxy.counts(provider).await?;
                assert_eq!(attempts, failures, "{provider:?}: its other models do no better");
            }
        }
    }
    Ok(())
}

/// What may come may also come back.
#[tokio::test]
async fn a_conversation_may_hold_as_many_calls_as_an_answer() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let calls: Vec<Value> = (0..1_000)
        .map(|id| json!({"id": format!("c{id}"), "type": "function", "function": {"name": "now", "arguments": "{}"}}))
        .collect();
    let results = (0..1_000).rev();
    let results =
        results.map(|id| json!({"role": "tool", "tool_call_id": format!("c{id}"), "content": "noon"}));
    let mut messages =
        vec![json!({"role": "user", "content": "Time?"}), json!({"role": "assistant", "tool_calls": calls})];
    messages.extend(results);
    proxy.all(&Behaviour::answer(["Hola"]));
    for provider in Directory::core() {
        let mut body = question(provider, false);
        body["messages"] = json!(messages);
        let reply = complete(&proxy, &body).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
    }
    Ok(())
}
