//! `/v1/chat/completions` and `/v1/models`: one shape whoever answers, and every call of a tool as it was made.

use std::collections::BTreeSet;

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Trouble};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{RawClient, Reply, TestProxy, ask_at, complete, http_client};

/// A stream, taken apart as strictly as its strictest readers do.
#[derive(Debug, Default, PartialEq)]
struct Streamed {
    text: String,
    thoughts: String,
    /// Id, name and arguments.
    calls: Vec<(String, String, String)>,
    finish: Option<String>,
    usage: Option<Value>,
    error: Option<Value>,
    is_done: bool,
    model: String,
    /// The keys of all chunks, of choices and of deltas.
    keys: BTreeSet<String>,
}

fn read_stream(reply: &Reply) -> Streamed {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let text = reply.text();
    assert!(text.ends_with("\n\n"), "cut in the middle of an event: {text:?}");
    let mut streamed = Streamed::default();
    let mut id = None;
    for (position, event) in text.split_terminator("\n\n").enumerate() {
        assert!(!streamed.is_done && streamed.error.is_none(), "something after the end: {event}");
        let data = event.strip_prefix("data: ").expect("data");
        if data == "[DONE]" {
            assert!(streamed.finish.is_some(), "[DONE] without a finish: {text}");
            streamed.is_done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).expect("JSON");
        if chunk.get("error").is_some() {
            streamed.error = Some(chunk["error"].clone());
            continue;
        }
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert!(chunk["created"].is_i64() && chunk["system_fingerprint"].is_string(), "{chunk}");
        assert_eq!(*id.get_or_insert_with(|| chunk["id"].clone()), chunk["id"], "one id");
        streamed.model = chunk["model"].as_str().expect("a model").to_owned();
        streamed.keys.extend(chunk.as_object().expect("an object").keys().cloned());
        let choices = chunk["choices"].as_array().expect("choices");
        if choices.is_empty() {
            assert!(streamed.finish.is_some() && streamed.usage.is_none(), "usage once, after the finish");
            streamed.usage = Some(chunk["usage"].clone());
            continue;
        }
        let [choice] = choices.as_slice() else { panic!("several choices: {chunk}") };
        assert_eq!(choice["index"], 0);
        streamed.keys.extend(choice.as_object().expect("an object").keys().cloned());
        let delta = choice["delta"].as_object().expect("a delta");
        streamed.keys.extend(delta.keys().cloned());
        assert_eq!(delta.get("role"), (position == 0).then_some(&json!("assistant")), "the role comes first");
        read_delta(&mut streamed, &choice["delta"]);
        if let Some(finish) = choice["finish_reason"].as_str() {
            assert!(streamed.finish.is_none() && delta.is_empty(), "{chunk}");
            streamed.finish = Some(finish.to_owned());
        }
    }
    streamed
}

fn read_delta(streamed: &mut Streamed, delta: &Value) {
    streamed.text += delta["content"].as_str().unwrap_or_default();
    streamed.thoughts += delta["reasoning_content"].as_str().unwrap_or_default();
    for call in delta["tool_calls"].as_array().into_iter().flatten() {
        let index = usize::try_from(call["index"].as_u64().expect("an index")).expect("a small one");
        let string = |value: &Value| value.as_str().expect("a string").to_owned();
        if index == streamed.calls.len() {
            assert_eq!(call["type"], "function");
            streamed.calls.push((string(&call["id"]), string(&call["function"]["name"]), String::new()));
        }
        streamed.calls[index].2 += &string(&call["function"]["arguments"]);
    }
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "description": "A tool", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}})
}

fn ask_for(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

fn with(mut body: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

/// The names of the providers in turn, to be compared with `x-provider`.
fn in_turn() -> impl Iterator<Item = &'static str> {
    Directory::core().into_iter().map(Provider::name)
}

#[tokio::test]
async fn a_stream_has_one_shape_whoever_answers() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["¡Ho", "la!"]).thinking(["Let me ", "think."]));
    let mut shapes = Vec::new();
    for name in in_turn() {
        let fields = json!({"stream": true, "stream_options": {"include_usage": true}, "model": "auto"});
        let reply = complete(&proxy, &with(ask_for("Hola"), fields)).await?;
        assert_eq!(reply.header("x-provider"), Some(name));
        let streamed = read_stream(&reply);
        assert_eq!(
            (streamed.text.as_str(), streamed.thoughts.as_str()),
            ("¡Hola!", "Let me think."),
            "{name}"
        );
        assert_eq!((streamed.finish.as_deref(), streamed.is_done), (Some("stop"), true), "{name}");
        let usage = streamed.usage.expect("usage was asked for");
        assert!(usage["total_tokens"].as_u64() > Some(0), "{name}: {usage}");
        let model = reply.header("x-model").expect("a model");
        assert_eq!(streamed.model, format!("{}/{model}", name.to_lowercase()));
        shapes.push(streamed.keys);
    }
    assert!(shapes.iter().all(|keys| *keys == shapes[0]), "{shapes:?}");
    let silent = complete(&proxy, &with(ask_for("Hola"), json!({"stream": true}))).await?;
    assert_eq!(read_stream(&silent).usage, None, "usage was not asked for");
    Ok(())
}

#[tokio::test]
async fn a_whole_answer_has_one_shape_whoever_answers() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["¡Ho", "la!"]).thinking(["Let me ", "think."]));
    for name in in_turn() {
        let reply = complete(&proxy, &ask_for("Hola")).await?;
        assert_eq!(
            (reply.header("x-provider"), reply.header("x-attempts")),
            (Some(name), Some(&*format!("{name}:ok")))
        );
        let mut body = reply.json();
        let model = format!("{}/{}", name.to_lowercase(), reply.header("x-model").expect("a model"));
        assert!(body["usage"]["prompt_tokens"].as_u64() > Some(0), "{body}");
        assert!(body["id"].as_str().expect("an id").starts_with("chatcmpl-") && body["created"].is_i64());
        for volatile in ["id", "created", "usage", "system_fingerprint"] {
            assert!(body.as_object_mut().expect("an object").remove(volatile).is_some(), "{volatile}");
        }
        let message = json!({"role": "assistant", "content": "¡Hola!", "refusal": null,
            "reasoning_content": "Let me think."});
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"});
        // BerriAI/litellm reads it without asking whether it is there; strict readers know only OpenAI's words.
        let expected = json!({"object": "chat.completion", "model": model, "choices": [choice],
            "service_tier": "auto"});
        assert_eq!(body, expected);
    }
    Ok(())
}

/// Arguments arrive byte for byte, with an id for every call, whether the provider sends one or not.
#[tokio::test]
async fn calls_arrive_as_they_were_made() -> anyhow::Result<()> {
    let made = [
        ("weather", "{\"city\": \"Méx\\u00edco\", \"n\":1.0}"),
        ("time", "{}"),
        ("weather", "{\"city\":\"Lima\"}"),
    ];
    let fields = json!({"tools": [tool("weather"), tool("time")], "tool_choice": "auto"});
    for behaviour in [Behaviour::calling(made), Behaviour::calling(made).with_call_ids()] {
        let proxy = TestProxy::start().await?;
        proxy.all(&behaviour);
        for (name, stream) in in_turn().flat_map(|name| [(name, true), (name, false)]) {
            let fields = with(fields.clone(), json!({"model": name, "stream": stream}));
            let reply = complete(&proxy, &with(ask_for("Weather?"), fields)).await?;
            let calls = if stream {
                let streamed = read_stream(&reply);
                assert_eq!(
                    (streamed.finish.as_deref(), streamed.is_done),
                    (Some("tool_calls"), true),
                    "{name}"
                );
                streamed.calls
            } else {
                let choice = &reply.json()["choices"][0];
                assert_eq!(
                    (&choice["finish_reason"], &choice["message"]["content"]),
                    (&json!("tool_calls"), &Value::Null)
                );
                let mut streamed = Streamed::default();
                let calls = choice["message"]["tool_calls"].as_array().expect("calls").iter().enumerate();
                let calls: Vec<_> =
                    calls.map(|(index, call)| with(call.clone(), json!({"index": index}))).collect();
                read_delta(&mut streamed, &json!({ "tool_calls": calls }));
                streamed.calls
            };
            let told: Vec<_> =
                calls.iter().map(|(_, name, arguments)| (name.as_str(), arguments.as_str())).collect();
            assert_eq!(told, made, "{name} stream {stream}");
            let ids: BTreeSet<_> = calls.iter().map(|(id, ..)| id).collect();
            assert!(ids.len() == 3 && ids.iter().all(|id| !id.is_empty()), "{name}: {calls:?}");
        }
    }
    Ok(())
}

/// A conversation goes on with whoever is next, whoever has called the tool; each sees what the tool has said.
#[tokio::test]
async fn a_conversation_with_tools_moves_from_provider_to_provider() -> anyhow::Result<()> {
    for keeps_unknown_fields in [true, false] {
        let proxy = TestProxy::start().await?;
        let tools = json!([tool("weather"), tool("time")]);
        for caller in Directory::core() {
            for next in Directory::core() {
                let mut messages = vec![json!({"role": "user", "content": "weather and time, please"})];
                let ask = |messages: &[Value], model: Provider| json!({"model": model.name(), "messages": messages, "tools": tools});
                let reply = complete(&proxy, &ask(&messages, caller)).await?;
                let mut message = reply.json()["choices"][0]["message"].clone();
                let calls = message["tool_calls"].as_array_mut().expect("calls");
                assert_eq!(calls.len(), 2, "{caller:?}");
                let ids: Vec<Value> = calls.iter().map(|call| call["id"].clone()).collect();
                if !keeps_unknown_fields {
                    for call in calls {
                        call.as_object_mut().expect("an object").remove("extra_content");
                    }
                }
                messages.push(message);
                // In another order than the calls.
                for (id, said) in ids.iter().zip(["21 degrees", "noon"]).rev() {
                    messages.push(json!({"role": "tool", "tool_call_id": id, "content": said}));
                }
                let reply = complete(&proxy, &ask(&messages, next)).await?;
                assert_eq!(reply.status, 200, "{caller:?} then {next:?}: {}", reply.text());
                let text =
                    reply.json()["choices"][0]["message"]["content"].as_str().expect("text").to_owned();
                let (first, second) = (text.find("21 degrees"), text.find("noon"));
                assert!(first.is_some() && second.is_some(), "{caller:?} then {next:?}: {text}");
                if next == Provider::GEMINI {
                    assert!(first < second, "in the order of the calls: {text}");
                }
            }
        }
    }
    Ok(())
}

/// What Gemini has signed it sees again, from the client or from our memory; what it has not, with Google's substitute.
#[tokio::test]
async fn signatures_come_back_to_gemini() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let ask = |messages: Value| json!({"model": "gemini", "messages": messages, "tools": [tool("weather")]});
    let question = json!({"role": "user", "content": "weather?"});
    let reply = complete(&proxy, &ask(json!([question]))).await?;
    let call = reply.json()["choices"][0]["message"]["tool_calls"][0].clone();
    let signature = call["extra_content"]["google"]["thought_signature"].as_str().expect("signed").to_owned();
    let bare = json!({"id": call["id"], "type": "function", "function": call["function"]});
    let foreign = with(bare.clone(), json!({"id": "call_of_somebody_else"}));
    for (case, call, expected) in [
        ("kept by the client", call.clone(), signature.as_str()),
        ("kept by us", bare.clone(), signature.as_str()),
        (
            "spoilt by the client",
            with(bare.clone(), json!({"extra_content": {"google": {"thought_signature": "??"}}})),
            signature.as_str(),
        ),
        ("of another provider", foreign, "skip_thought_signature_validator"),
    ] {
        let answer = json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny"});
        let assistant = json!({"role": "assistant", "content": null, "tool_calls": [call]});
        let reply = complete(&proxy, &ask(json!([question, assistant, answer]))).await?;
        assert_eq!(reply.status, 200, "{case}: {}", reply.text());
        let sent = proxy.provider(Provider::GEMINI).chats().pop().expect("a call").json();
        assert_eq!(sent["contents"][1]["parts"][0]["thoughtSignature"], expected, "{case}");
    }
    Ok(())
}

/// Only those are asked who can do it.
#[tokio::test]
async fn a_request_goes_only_to_models_that_can_do_it() -> anyhow::Result<()> {
    let picture = |url: &str| {
        json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]}]})
    };
    let inline = picture("data:image/png;base64,iVBORw0KGgo=");
    let schema = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}});
    let schema_and_tools = json!({"tools": [tool("f")], "response_format": schema});
    let cases: [(&str, Value, &[&str]); 7] = [
        ("text", ask_for("Hola"), &["openai/gpt-oss-20b", "gpt-oss-120b", "gemini-3.5-flash-lite"]),
        ("a picture", inline, &["qwen/qwen3.8-27b", "qwen-3.8-27b", "gemini-3.5-flash-lite"]),
        ("a picture by URL", picture("https://example.org/cat.png"), &["qwen/qwen3.8-27b"]),
        (
            "a schema",
            with(ask_for("Hola"), json!({"response_format": schema})),
            &["openai/gpt-oss-20b", "gpt-oss-120b", "gemini-3.5-flash-lite"],
        ),
        (
            "a schema and tools",
            with(ask_for("Hola"), schema_and_tools),
            &["gpt-oss-120b", "gemini-3.5-flash-lite"],
        ),
        ("a long conversation", ask_for(&"word ".repeat(300_000)), &["gemini-3.5-flash-lite"]),
        (
            "tools",
            with(ask_for("Hola"), json!({"tools": [tool("f")]})),
            &["openai/gpt-oss-20b", "gpt-oss-120b", "gemini-3.5-flash-lite"],
        ),
    ];
    for (case, body, models) in cases {
        let proxy = TestProxy::core().await?;
        proxy.all(&Behaviour::answer(["Yes."]));
        for model in models.iter().cycle().take(2 * models.len()) {
            let reply = complete(&proxy, &body).await?;
            assert_eq!(
                (reply.status, reply.header("x-model")),
                (200, Some(*model)),
                "{case}: {}",
                reply.text()
            );
            assert!(
                !reply.header("x-attempts").expect("attempts").contains(", "),
                "nobody else was asked: {case}"
            );
        }
    }
    Ok(())
}

/// What is too long for one model may fit into another of the same provider, if that has more room.
#[tokio::test]
async fn a_conversation_too_long_goes_to_a_model_with_more_room() -> anyhow::Result<()> {
    let proxy =
        TestProxy::builder().with("GEMINI_MODEL", "gemma-4-31b-it,gemini-3.5-flash-lite").start().await?;
    let too_long = Behaviour::trouble(Trouble::ContextTooLong);
    proxy.provider(Provider::GEMINI).then(too_long.clone());
    let reply = complete(&proxy, &with(ask_for("Hola"), json!({"model": "gemini"}))).await?;
    assert_eq!((reply.status, reply.header("x-model")), (200, Some("gemini-3.5-flash-lite")));
    assert_eq!(reply.header("x-attempts"), Some("Gemini:context_too_long, Gemini:ok"));

    proxy.provider(Provider::GROQ).then(too_long);
    let reply = complete(&proxy, &with(ask_for("Hola"), json!({"model": "groq"}))).await?;
    assert_eq!(reply.status, 400, "nobody there has more: {}", reply.text());
    assert_eq!(proxy.provider(Provider::GROQ).chats().len(), 1);
    Ok(())
}

/// The fourth generation of Gemma, whatever its size; what is known of the third promises nothing.
#[tokio::test]
async fn gemma_sees_images_from_its_fourth_generation_on() -> anyhow::Result<()> {
    let models = "gemma-4-31b-it,gemma-4-26b-a4b-it,gemma-3-27b-it";
    let proxy = TestProxy::builder().with("GEMINI_MODEL", models).start().await?;
    proxy.provider(Provider::GEMINI).offer(models.split(',').map(str::to_owned));
    for (model, status) in [("gemma-4-31b-it", 200), ("gemma-4-26b-a4b-it", 200), ("gemma-3-27b-it", 400)] {
        let content = json!([{"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]);
        let body =
            json!({"model": format!("gemini/{model}"), "messages": [{"role": "user", "content": content}]});
        let reply = complete(&proxy, &body).await?;
        assert_eq!(reply.status, status, "{model}: {}", reply.text());
    }
    let seen = proxy.provider(Provider::GEMINI).chats();
    assert!(seen.len() == 2 && seen.iter().all(|it| it.json().to_string().contains("iVBORw0KGgo=")));
    Ok(())
}

#[tokio::test]
async fn what_nobody_can_is_refused_with_who_cannot_what() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let body = json!({"model": "groq/openai/gpt-oss-20b", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}]});
    let reply = complete(&proxy, &body).await?;
    assert_eq!(reply.status, 400);
    let message = reply.json()["error"]["message"].as_str().expect("a sentence").to_owned();
    assert!(message.contains("Groq cannot see images"), "{message}");
    assert_eq!(proxy.upstream_calls(), 0);

    let proxy = TestProxy::builder()
        .core()
        .with("GROQ_MODEL", "openai/gpt-oss-20b")
        .with("CEREBRAS_MODEL", "gpt-oss-120b")
        .with("GOOGLE_API_KEY", "")
        .start()
        .await?;
    let error = complete(&proxy, &with(body, json!({"model": "auto"}))).await?.json()["error"].clone();
    let sentence = "No model that may answer can do what this request asks: Groq cannot see images; Cerebras cannot \
                    see images";
    assert_eq!((&error["message"], &error["param"]), (&json!(sentence), &json!("messages")));
    assert_eq!(proxy.upstream_calls(), 0);
    Ok(())
}

/// What a provider would refuse is left out for that provider, and the client is told.
#[tokio::test]
async fn what_is_left_out_is_told() -> anyhow::Result<()> {
    // With room for the models' longest answers.
    let (groq, cerebras) = ("GROQ_LIMITS", "CEREBRAS_LIMITS");
    let proxy = TestProxy::builder()
        .with(groq, "tpm=1000000, tpd=1000000")
        .with(cerebras, "tpm=1000000")
        .start()
        .await?;
    let fields = json!({"top_p": 0.5, "seed": 7, "stop": ["END"], "frequency_penalty": 0.5, "presence_penalty": 0.1,
        "user": "me", "max_tokens": 10_000_000_u64, "reasoning_effort": "minimal", "store": true, "metadata": {"a": 1}});
    let mut body = with(ask_for("Hola"), fields);
    body["messages"][0]["name"] = json!("Ana");
    let expected = [
        (
            "groq",
            "frequency_penalty, presence_penalty, metadata, store",
            json!({"top_p": 0.5, "seed": 7,
            "stop": ["END"], "user": "me", "max_completion_tokens": 65_536, "reasoning_effort": "low"}),
        ),
        (
            "cerebras",
            "metadata, store",
            json!({"top_p": 0.5, "seed": 7, "stop": ["END"], "user": "me",
            "frequency_penalty": 0.5, "presence_penalty": 0.1, "max_completion_tokens": 32_768, "reasoning_effort": "low"}),
        ),
        (
            "gemini",
            "user, messages.name, frequency_penalty, presence_penalty, metadata, store",
            json!({"generationConfig":
            {"topP": 0.5, "seed": 7, "stopSequences": ["END"], "maxOutputTokens": 65_536,
             "thinkingConfig": {"thinkingLevel": "minimal", "includeThoughts": true}}}),
        ),
    ];
    for (name, ignored, sent) in expected {
        body["model"] = json!(name);
        let reply = complete(&proxy, &body).await?;
        assert_eq!(
            (reply.status, reply.header("x-ignored-fields")),
            (200, Some(ignored)),
            "{}",
            reply.text()
        );
        let provider = Directory::core().find(name).expect("a provider");
        let mut wire = proxy.provider(provider).chats().pop().expect("a call").json();
        for always in ["messages", "model", "stream", "contents"] {
            wire.as_object_mut().expect("an object").remove(always);
        }
        assert_eq!(wire, sent, "{name}");
    }
    let reply = complete(&proxy, &ask_for("Hola")).await?;
    assert_eq!(reply.header("x-ignored-fields"), None);
    Ok(())
}

/// RooCodeInc/Roo-Code#10334: Cerebras refuses a mixture, and takes a tool that says nothing for one that is not strict.
#[tokio::test]
async fn tools_of_mixed_strictness_are_taken_by_everybody() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let of = |strict: Value| {
        let mut tool = tool("weather");
        if !strict.is_null() {
            tool["function"]["strict"] = strict;
        }
        tool
    };
    let named = |mut tool: Value, name: &str| {
        tool["function"]["name"] = name.into();
        tool
    };
    // What each provider is sent, and whether the client is told that something is left out at Cerebras.
    let cases = [
        ([json!(true), Value::Null], [Value::Null, Value::Null], true),
        ([Value::Null, json!(true)], [Value::Null, Value::Null], true),
        ([json!(true), json!(false)], [Value::Null, Value::Null], true),
        ([json!(true), json!(true)], [json!(true), json!(true)], false),
        ([json!(false), Value::Null], [json!(false), Value::Null], false),
        ([Value::Null, Value::Null], [Value::Null, Value::Null], false),
    ];
    for (asked, at_cerebras, is_told) in cases {
        for provider in [Provider::GROQ, Provider::CEREBRAS] {
            let [first, second] = asked.clone();
            let tools = json!([of(first), named(of(second), "time")]);
            let reply =
                complete(&proxy, &with(ask_for("Hola"), json!({"model": provider.name(), "tools": tools})))
                    .await?;
            assert_eq!(reply.status, 200, "{asked:?}: {}", reply.text());
            let sent = proxy.provider(provider).chats().pop().expect("a call").json();
            let sent = [0, 1].map(|index| sent["tools"][index]["function"]["strict"].clone());
            let is_cerebras = provider == Provider::CEREBRAS;
            assert_eq!(sent, if is_cerebras { at_cerebras.clone() } else { asked.clone() }, "{provider:?}");
            let ignored = (is_cerebras && is_told).then_some("tools.function.strict");
            assert_eq!(reply.header("x-ignored-fields"), ignored, "{provider:?} {asked:?}");
        }
    }
    Ok(())
}

/// Names of speakers reach those who take them, if they are such as everybody takes.
#[tokio::test]
async fn names_of_speakers_go_to_those_who_take_them() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["Hola"]));
    let call = json!({"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}});
    let messages = json!([
        {"role": "developer", "content": "Be terse.", "name": "rules"},
        {"role": "user", "content": "Weather?", "name": "Ana-1_b"},
        {"role": "assistant", "content": "A moment.", "name": "bot", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "sunny"},
        {"role": "user", "content": "Thanks"}]);
    for provider in Directory::core() {
        let body = json!({"model": provider.name(), "messages": messages, "tools": [tool("weather")]});
        let reply = complete(&proxy, &body).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let sent = proxy.provider(provider).chats().pop().expect("a call").json();
        if provider == Provider::GEMINI {
            assert_eq!(reply.header("x-ignored-fields"), Some("messages.name"));
            assert!(!sent.to_string().contains("Ana-1_b"), "{sent}");
        } else {
            assert_eq!(reply.header("x-ignored-fields"), None, "{provider:?}");
            let names = [0, 1, 2, 3, 4].map(|index| sent["messages"][index]["name"].clone());
            assert_eq!(names, [json!("rules"), json!("Ana-1_b"), json!("bot"), Value::Null, Value::Null]);
        }
    }
    let odd = [json!("Ana María"), json!(""), json!(7), json!("x".repeat(65)), json!({})];
    for (name, role) in odd.iter().map(|name| (name, "user")).chain([(&json!("Ana"), "tool")]) {
        let mut messages = json!([{"role": "user", "content": "Weather?"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": "sunny"}, {"role": "user", "content": "Thanks"}]);
        let position = if role == "tool" { 2 } else { 3 };
        messages[position]["name"] = name.clone();
        let reply = complete(&proxy, &json!({"model": "groq", "messages": messages})).await?;
        assert_eq!((reply.status, reply.header("x-ignored-fields")), (200, Some("messages.name")), "{name}");
        let sent = proxy.provider(Provider::GROQ).chats().pop().expect("a call").json();
        assert_eq!(sent["messages"][position]["name"], Value::Null, "{name}");
    }
    Ok(())
}

/// QuantumNous/new-api#2578, OmniBot#360: what clients make of a data URL.
#[tokio::test]
async fn pictures_are_read_as_clients_write_them() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["A cat"]));
    let cases = [
        ("data:image/png;base64,iVBORw0KGgo=", "image/png"),
        ("data:image/jpg;base64,iVBORw0KGgo=", "image/jpeg"),
        ("data:image/JPG;base64,iVBORw0KGgo=", "image/jpeg"),
        ("data:image/pjpeg;base64,iVBORw0KGgo=", "image/jpeg"),
        ("DATA:Image/PNG;charset=utf-8;BASE64,iVBORw0KGgo=", "image/png"),
        ("data:image/png; base64, iVBORw0KGgo=", "image/png"),
        ("data:image/png;base64,iVBO\r\nRw0K\r\nGgo=\r\n", "image/png"),
        ("data:image/png;base64,iVBO\nRw0K Ggo=\t", "image/png"),
        ("data:image/png;base64,iVBO%0D%0ARw0K%0aGgo%3D", "image/png"),
    ];
    for (url, media_type) in cases {
        for provider in [Provider::GROQ, Provider::CEREBRAS, Provider::GEMINI] {
            let content =
                json!([{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]);
            let body = json!({"model": provider.name(), "messages": [{"role": "user", "content": content}]});
            let reply = complete(&proxy, &body).await?;
            assert_eq!(reply.status, 200, "{url:?}: {}", reply.text());
            let sent = proxy.provider(provider).chats().pop().expect("a call").json();
            if provider == Provider::GEMINI {
                let data = json!({"mimeType": media_type, "data": "iVBORw0KGgo="});
                assert_eq!(sent["contents"][0]["parts"][1]["inlineData"], data, "{url:?}");
            } else {
                let data = format!("data:{media_type};base64,iVBORw0KGgo=");
                assert_eq!(sent["messages"][0]["content"][1]["image_url"]["url"], data, "{url:?}");
            }
        }
    }
    for url in [
        "data:image/png;base64,",
        "data:image/png;base64,\n",
        "data:image/png,abc",
        "data:text/plain;base64,aGk=",
        "data:image/png;base64,a*b",
        "data:image/png;base64,a%41b",
        "data:",
        "dat",
        "ñ",
    ] {
        let content = json!([{"type": "image_url", "image_url": {"url": url}}]);
        let reply = complete(&proxy, &json!({"messages": [{"role": "user", "content": content}]})).await?;
        assert_eq!(reply.status, 400, "{url:?}: {}", reply.text());
    }
    Ok(())
}

/// PHP writes an empty object as `[]`.
#[tokio::test]
async fn empty_objects_in_schemas_may_be_written_as_lists() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    for provider in Directory::core() {
        let parameters = json!({"type": "object", "properties": {"where": {"type": "object", "properties": []}},
            "required": [], "$defs": []});
        let tool = |name: &str, parameters: Value| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
        let tools = [
            tool("weather", parameters),
            tool("now", json!([])),
            tool("time", json!({"type": "object", "properties": []})),
        ];
        let body = with(ask_for("Hola"), json!({"model": provider.name(), "tools": tools}));
        let reply = complete(&proxy, &body).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let sent = proxy.provider(provider).chats().pop().expect("a call").json();
        let (list, place) = match provider == Provider::GEMINI {
            true => (&sent["tools"][0]["functionDeclarations"], "/parametersJsonSchema"),
            false => (&sent["tools"], "/function/parameters"),
        };
        let schema = |index: usize| list[index].pointer(place).cloned().unwrap_or_default();
        assert_eq!(schema(0)["properties"]["where"]["properties"], json!({}), "{sent}");
        assert_eq!(
            (schema(0)["$defs"].clone(), schema(0)["required"].clone()),
            (json!({}), json!([])),
            "{sent}"
        );
        assert_eq!((schema(1), schema(2)["properties"].clone()), (json!({}), json!({})), "{sent}");

        let schema = json!({"type": "object", "properties": [], "additionalProperties": false});
        let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
        let body = with(ask_for("Hola"), json!({"model": provider.name(), "response_format": format}));
        let reply = complete(&proxy, &body).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let sent = proxy.provider(provider).chats().pop().expect("a call").json();
        let place = match provider == Provider::GEMINI {
            true => "/generationConfig/responseJsonSchema/properties",
            false => "/response_format/json_schema/schema/properties",
        };
        assert_eq!(sent.pointer(place), Some(&json!({})), "{sent}");
    }
    Ok(())
}

/// The proxy's own empty answers come back as history.
#[tokio::test]
async fn an_earlier_answer_may_be_empty() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["Hola"]));
    let user = |text: &str| json!({"role": "user", "content": text});
    for content in [json!(""), json!([]), json!([{"type": "text", "text": ""}]), Value::Null] {
        let assistant = json!({"role": "assistant", "content": content});
        let conversations = [
            json!([user("One"), assistant, user("Two")]),
            json!([assistant, user("Two")]),
            json!([user("One"), assistant]),
            json!([user("One"), assistant, assistant, user("Two"), assistant]),
        ];
        for (messages, provider) in
            conversations.iter().flat_map(|it| Directory::core().into_iter().map(move |name| (it, name)))
        {
            let reply = complete(&proxy, &json!({"model": provider.name(), "messages": messages})).await?;
            assert_eq!(reply.status, 200, "{provider:?} {messages}: {}", reply.text());
            if content == "" {
                let body = json!({"provider": provider.name(), "messages": messages, "stream": false});
                let reply = ask_at(&proxy, "/chat", &body, &[]).await?;
                assert_eq!(reply.status, 200, "{provider:?} {messages}: {}", reply.text());
            }
        }
    }
    for path in ["/chat", "/v1/chat/completions"] {
        let reply =
            ask_at(&proxy, path, &json!({"messages": [{"role": "assistant", "content": ""}]}), &[]).await?;
        assert_eq!(reply.status, 400, "{path}: {}", reply.text());
        assert!(reply.text().contains("no content"), "{path}: {}", reply.text());
    }
    Ok(())
}

#[tokio::test]
async fn json_is_written_on_demand_by_everybody() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
        "additionalProperties": false});
    let formats = [
        json!({"type": "json_object"}),
        json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}}),
    ];
    for (format, name, stream) in formats
        .iter()
        .flat_map(|format| in_turn().flat_map(move |name| [(format, name, true), (format, name, false)]))
    {
        let fields = json!({"model": name, "stream": stream, "response_format": format});
        let reply = complete(&proxy, &with(ask_for("Hola"), fields)).await?;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        let text = if stream {
            read_stream(&reply).text
        } else {
            reply.json()["choices"][0]["message"]["content"].as_str().expect("text").to_owned()
        };
        let value: Value = serde_json::from_str(&text)?;
        assert!(value.is_object(), "{name}: {text}");
        if format["type"] == "json_schema" {
            assert!(value["city"].is_string(), "{name}: {text}");
        }
    }
    Ok(())
}

/// A call that breaks off is visibly broken; before it, the next provider makes it.
#[tokio::test]
async fn calls_fall_back_and_break_like_texts() -> anyhow::Result<()> {
    let fields = json!({"tools": [tool("weather")], "stream": true});
    for failing in Directory::core() {
        let proxy = TestProxy::start().await?;
        let calls = [("weather", "{\"city\":\"Lima\"}"), ("weather", "{\"city\":\"Quito\"}")];
        proxy.all(&Behaviour::calling(calls));
        let body = with(ask_for("Weather?"), fields.clone());
        for _ in Directory::core().into_iter().take_while(|it| *it != failing) {
            complete(&proxy, &body).await?;
        }
        let broken = Behaviour::calling(calls);
        proxy.provider(failing).then(broken.clone().with(Fault::EndEarly(After::Head)));
        let reply = complete(&proxy, &body).await?;
        assert_eq!(read_stream(&reply).calls.len(), 2, "{failing:?}");
        let attempts = reply.header("x-attempts").expect("attempts").to_owned();
        assert!(
            attempts.starts_with(&format!("{}:", failing.name())) && attempts.ends_with(":ok"),
            "{attempts}"
        );

        let proxy = TestProxy::start().await?;
        proxy.all(&broken.with(Fault::EndEarly(After::Text(1))));
        let reply = complete(&proxy, &with(body, json!({"model": failing.name()}))).await?;
        let streamed = read_stream(&reply);
        assert!(!streamed.is_done && streamed.finish.is_none(), "{failing:?}");
        let error = streamed.error.expect("an error");
        assert!(error["message"].as_str().expect("a sentence").contains("broke off"), "{error}");
        assert_eq!(error["type"], "server_error");
    }
    Ok(())
}

#[tokio::test]
async fn a_call_that_no_provider_can_read_is_tried_elsewhere() -> anyhow::Result<()> {
    for failing in Directory::core() {
        let proxy = TestProxy::start().await?;
        proxy.all(&Behaviour::calling([("weather", "{}")]));
        proxy.provider(failing).always(Behaviour::named("tool_use_failed").expect("known"));
        let body = with(ask_for("Weather?"), json!({"tools": [tool("weather")], "stream": true}));
        for _ in Directory::core() {
            let reply = complete(&proxy, &body).await?;
            assert_eq!(read_stream(&reply).calls.len(), 1, "{failing:?}");
        }
    }
    Ok(())
}

/// Names that Google does not take are changed on the way there and back.
#[tokio::test]
async fn odd_names_of_tools_survive_google() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let names = ["1st-tool", "_1st-tool", "añadir"];
    let tools: Vec<Value> = names.iter().map(|name| tool(name)).collect();
    let fields = json!({"model": "gemini", "tools": tools, "tool_choice": {"type": "function", "function": {"name": names[0]}}});
    let reply = complete(&proxy, &with(ask_for("Go"), fields)).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"], names[0]);
    let sent = proxy.provider(Provider::GEMINI).chats().pop().expect("a call").json();
    let declared: BTreeSet<_> = sent["tools"][0]["functionDeclarations"]
        .as_array()
        .expect("declarations")
        .iter()
        .map(|it| it["name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(declared.len(), 3, "{declared:?}");
    Ok(())
}

/// The others take 64 letters, digits, `_` and `-`; the names of MCP's tools are longer. Calls of earlier turns have them too.
#[tokio::test]
async fn long_names_of_tools_survive_every_provider() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let long = |end: &str| format!("mcp__{}__{end}", "server_".repeat(10));
    let (names, forgotten) = ([long("read"), long("write"), "get.weather".to_owned()], long("list"));
    let tools: Vec<Value> = names.iter().map(|name| tool(name)).collect();
    let call = json!({"id": "c1", "type": "function", "function": {"name": forgotten, "arguments": "{}"}});
    let messages = json!([
        {"role": "user", "content": "List"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "nothing"},
        {"role": "user", "content": "Go"},
    ]);
    for provider in Directory::core() {
        for (name, stream) in names.iter().flat_map(|name| [(name, false), (name, true)]) {
            let choice = json!({"type": "function", "function": {"name": name}});
            let body = json!({"model": provider.name(), "messages": messages, "tools": tools,
                "tool_choice": choice, "stream": stream});
            let reply = complete(&proxy, &body).await?;
            assert_eq!(reply.status, 200, "{}: {}", provider.name(), reply.text());
            let shown = reply.text();
            let expected = format!("\"name\":\"{name}\"");
            assert!(shown.contains(&expected), "{}: {shown}", provider.name());
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_model_may_be_named_in_many_ways() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    for (model, provider, id) in [
        ("groq", "Groq", "openai/gpt-oss-20b"),
        ("Gemini", "Gemini", "gemini-3.5-flash-lite"),
        ("cerebras/qwen-3.8-27b", "Cerebras", "qwen-3.8-27b"),
        ("groq/openai/gpt-oss-120b", "Groq", "openai/gpt-oss-120b"),
        ("openai/gpt-oss-120b", "Groq", "openai/gpt-oss-120b"),
        ("gpt-oss-120b", "Cerebras", "gpt-oss-120b"),
    ] {
        let reply = complete(&proxy, &with(ask_for("Hola"), json!({ "model": model }))).await?;
        assert_eq!(
            (reply.header("x-provider"), reply.header("x-model")),
            (Some(provider), Some(id)),
            "{model}"
        );
        let shown = http_client()?
            .get(proxy.url(&format!("/v1/models/{}", model.replace('/', "%2F"))))
            .send()
            .await?;
        assert_eq!(shown.status(), 200, "{model}");
        assert_eq!(shown.json::<Value>().await?["id"], model);
    }
    for model in [json!("auto"), json!(""), json!(null), json!("AUTO")] {
        let reply = complete(&proxy, &with(ask_for("Hola"), json!({ "model": model }))).await?;
        assert_eq!(reply.status, 200, "{model}");
    }
    let calls = proxy.upstream_calls();
    assert_eq!(http_client()?.get(proxy.url("/v1/models/%FF")).send().await?.status(), 404);
    for model in ["gpt-4o", "groq/gpt-4o", "nobody/gpt-oss-120b", "cerebras/openai/gpt-oss-20b"] {
        let reply = complete(&proxy, &with(ask_for("Hola"), json!({ "model": model }))).await?;
        assert_eq!((reply.status, reply.header("x-should-retry")), (404, Some("false")), "{model}");
        let error = &reply.json()["error"];
        assert_eq!((&error["code"], &error["param"]), (&json!("model_not_found"), &json!("model")));
        let message = error["message"].as_str().expect("a sentence");
        assert!(message.contains(model) && message.contains("groq/openai/gpt-oss-20b"), "{message}");
    }
    assert_eq!(proxy.upstream_calls(), calls);
    Ok(())
}

/// Those that have the model of that name take turns.
#[tokio::test]
async fn a_model_of_two_providers_rotates() -> anyhow::Result<()> {
    let proxy = TestProxy::builder()
        .with("GROQ_MODEL", "openai/gpt-oss-120b,gpt-oss-120b")
        .with("CEREBRAS_MODEL", "gpt-oss-120b")
        .start()
        .await?;
    proxy.all(&Behaviour::new(ai_proxy_free::internals::simulator::Reply::Raw {
        status: 200,
        headers: vec![("content-type".into(), "application/json".into())],
        body: vec![br#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#.to_vec()],
    }));
    let mut served = Vec::new();
    for _ in 0..4 {
        let reply = complete(&proxy, &with(ask_for("Hola"), json!({"model": "gpt-oss-120b"}))).await?;
        served.push(reply.header("x-provider").expect("a provider").to_owned());
    }
    assert_eq!(served, ["Groq", "Cerebras", "Groq", "Cerebras"]);
    Ok(())
}

/// Groq cannot stream an answer after a schema: its first word is its last, and has longer to come.
#[tokio::test]
async fn an_answer_that_cannot_be_streamed_has_its_time() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("FIRST_TOKEN_TIMEOUT_MS", 400).start().await?;
    let schema = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}});
    proxy
        .provider(Provider::GROQ)
        .always(Behaviour::echo().thinking_for(std::time::Duration::from_millis(700)));
    let body = with(ask_for("Hola"), json!({"model": "groq", "response_format": schema, "stream": true}));
    let streamed = read_stream(&complete(&proxy, &body).await?);
    assert!(streamed.is_done && streamed.text.starts_with('{'), "{streamed:?}");
    // A stream has not: another model is asked.
    proxy.provider(Provider::GROQ).then(Behaviour::echo().thinking_for(std::time::Duration::from_secs(60)));
    let reply = complete(&proxy, &with(ask_for("Hola"), json!({"model": "groq"}))).await?;
    assert_eq!(reply.header("x-attempts").map(|it| it.starts_with("Groq:timeout")), Some(true));
    Ok(())
}

#[tokio::test]
async fn what_is_too_long_for_everybody_says_so_in_openais_words() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let body = with(ask_for(&"word ".repeat(300_000)), json!({"model": "groq"}));
    let error = complete(&proxy, &body).await?.json()["error"].clone();
    assert_eq!((&error["code"], &error["param"]), (&json!("context_length_exceeded"), &json!("messages")));
    Ok(())
}

#[tokio::test]
async fn models_are_listed_in_a_form_that_all_sdks_read() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().core().with("CEREBRAS_API_KEY", "").start().await?;
    for path in ["/v1/models", "/openai/v1/models"] {
        let list: Value = http_client()?.get(proxy.url(path)).send().await?.json().await?;
        let ids: Vec<&str> = list["data"]
            .as_array()
            .expect("data")
            .iter()
            .map(|it| it["id"].as_str().expect("an id"))
            .collect();
        let expected = [
            "auto",
            "groq",
            "groq/openai/gpt-oss-20b",
            "groq/openai/gpt-oss-120b",
            "groq/qwen/qwen3.8-27b",
            "gemini",
            "gemini/gemini-3.5-flash-lite",
            "gemini/gemini-3.1-flash-lite",
            "gemini/gemini-3.8-flash",
            "gemini/gemma-4-31b-it",
        ];
        assert_eq!(ids, expected, "one without a key offers nothing");
        assert_eq!((&list["object"], &list["has_more"]), (&json!("list"), &json!(false)));
        assert_eq!((&list["first_id"], &list["last_id"]), (&json!(ids[0]), &json!(ids[9])));
        assert_eq!(list["models"][1]["name"], "models/groq");
        for entry in list["data"].as_array().expect("data") {
            assert_eq!((&entry["object"], &entry["type"]), (&json!("model"), &json!("model")));
            assert!(
                entry["created"].is_i64()
                    && entry["owned_by"].is_string()
                    && entry["display_name"].is_string()
            );
            assert!(entry["context_window"].as_u64() > Some(60_000), "{entry}");
        }
        let gpt_oss = &list["data"][2];
        assert_eq!(
            gpt_oss["capabilities"],
            json!({"images": false, "image_urls": false, "tools": true,
            "json_object": true, "json_schema": true, "reasoning_effort": ["low", "medium", "high"]})
        );
    }
    assert_eq!(proxy.upstream_calls(), 0);

    let proxy = Directory::core()
        .into_iter()
        .fold(TestProxy::builder().core(), |proxy, it| proxy.with(it.profile().key_variables[0], ""))
        .start()
        .await?;
    let list: Value = http_client()?.get(proxy.url("/v1/models")).send().await?.json().await?;
    let ids: Vec<&Value> = list["data"].as_array().expect("data").iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, [&json!("auto")], "it may be asked for, if in vain");
    Ok(())
}

/// OpenAI's form, with the statuses that its SDKs choose their exceptions by.
#[tokio::test]
async fn errors_have_openais_form() -> anyhow::Result<()> {
    let trouble = Behaviour::trouble;
    let cases = [
        (
            trouble(Trouble::RateLimited(12.0)),
            429,
            "rate_limit_error",
            json!("rate_limit_exceeded"),
            Some("12"),
            None,
        ),
        (
            trouble(Trouble::RateLimited(90.0)),
            429,
            "rate_limit_error",
            json!("rate_limit_exceeded"),
            Some("90"),
            Some("false"),
        ),
        // Everybody has been asked, and when that is over is not known: a client that asks again at once only waits longer.
        (trouble(Trouble::Overloaded), 502, "server_error", Value::Null, None, Some("false")),
        // 600 seconds and a fraction by chance.
        (trouble(Trouble::BadKey), 502, "server_error", Value::Null, Some("601"), Some("false")),
        (
            trouble(Trouble::ContextTooLong),
            400,
            "invalid_request_error",
            json!("context_length_exceeded"),
            None,
            Some("false"),
        ),
        (
            trouble(Trouble::BadRequest),
            400,
            "invalid_request_error",
            json!("bad_request"),
            None,
            Some("false"),
        ),
    ];
    for (behaviour, status, kind, code, retry_after, should_retry) in cases {
        let proxy = TestProxy::core().await?;
        proxy.all(&behaviour);
        let reply = complete(&proxy, &with(ask_for("Hola"), json!({"stream": true}))).await?;
        assert_eq!(reply.status, status, "{}", reply.text());
        let error = &reply.json()["error"];
        assert_eq!((&error["type"], &error["code"], &error["param"]), (&json!(kind), &code, &Value::Null));
        assert_eq!(error["attempts"].as_array().map(Vec::len), Some(3), "{error}");
        assert_eq!(
            (reply.header("retry-after"), reply.header("x-should-retry")),
            (retry_after, should_retry),
            "{status}"
        );
    }
    let proxy = TestProxy::builder().core().with("PROXY_API_KEY", "k").start().await?;
    let reply = complete(&proxy, &ask_for("Hola")).await?;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (401, &json!("invalid_api_key")));
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    let proxy = TestProxy::core().await?;
    for (method, path, status) in [
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/v1/nowhere", 404),
        ("POST", "/openai/v1/models", 405),
    ] {
        let response = http_client()?.request(method.parse()?, proxy.url(path)).send().await?;
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.headers().contains_key("allow"), status == 405, "{method} {path}");
        assert!(response.json::<Value>().await?["error"]["message"].is_string(), "{method} {path}");
    }
    let reply =
        ask_at(&proxy, "/v1/chat/completions", &ask_for("Hola"), &[("content-encoding", "gzip")]).await?;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (415, &json!("invalid_request_error")));
    Ok(())
}

#[tokio::test]
async fn a_late_error_is_a_chunk_and_no_end() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["One, ", "two."]).with(Fault::EndEarly(After::Text(1))));
    for name in in_turn() {
        let streamed = read_stream(&complete(&proxy, &with(ask_for("Hola"), json!({"stream": true}))).await?);
        assert_eq!((streamed.text.as_str(), streamed.is_done, streamed.finish), ("One, ", false, None));
        let error = streamed.error.expect("an error");
        assert!(error["message"].as_str().expect("a sentence").starts_with(name), "{error}");
        assert_eq!(error["code"], "upstream_error");
    }
    Ok(())
}

/// The longest a client may hold the line without a word is the silence of its provider.
#[tokio::test]
async fn silence_is_filled_here_too() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["One, ", "two."]).with(Fault::Stall(After::Text(1))));
    let body = with(ask_for("Hola"), json!({"stream": true})).to_string();
    let mut client = RawClient::connect(proxy.address).await?;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    tokio::io::AsyncWriteExt::write_all(&mut client.stream, (head + &body).as_bytes()).await?;
    client.read_until("\"One, \"").await?;
    client.read_until("\n\n\r\n").await?;
    let before = client.received.len();
    client.read_until("\"delta\":{},").await?;
    let received = String::from_utf8_lossy(&client.received[before..]).into_owned();
    let event = received.split_once("data: ").and_then(|(_, rest)| rest.split_once("\n\n"));
    let (chunk, rest) = event.expect("a whole event");
    assert_eq!(rest, "\r\n", "nothing but the event: {received}");
    let chunk: Value = serde_json::from_str(chunk)?;
    let keys: Vec<&str> = chunk.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(keys, ["choices", "created", "id", "model", "object", "system_fingerprint"]);
    assert_eq!(chunk["object"], "chat.completion.chunk");
    let choice = json!({"index": 0, "delta": {}, "logprobs": null, "finish_reason": null});
    assert_eq!(chunk["choices"], json!([choice]));
    Ok(())
}

fn arguments() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(|flag| json!(flag)),
        Just(Value::Null),
        "\\PC{0,12}".prop_map(|text| json!(text)),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| json!(items)),
            prop::collection::hash_map("[a-z ]{0,6}", inner, 0..4).prop_map(|fields| json!(fields)),
        ]
    });
    prop::collection::btree_map("[a-z_]{1,8}", value, 0..4).prop_map(|fields| json!(fields).to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever was called and said in a conversation, Gemini sees it, and the calls it makes come back as made: ids,
    /// order and arguments.
    #[test]
    fn random_conversations_with_tools_survive_the_translation_to_gemini(
        history in prop::collection::vec(prop::collection::vec((0_usize..3, arguments(), "\\PC{0,20}"), 1..4), 0..3),
        made in prop::collection::vec((0_usize..3, arguments()), 1..4),
        stream: bool,
        has_ids: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let names = ["weather", "time_of_day", "find"];
            let proxy = TestProxy::start().await?;
            let behaviour = Behaviour::calling(made.iter().map(|(tool, arguments)| (names[*tool], arguments.as_str())));
            proxy.all(&if has_ids { behaviour.with_call_ids() } else { behaviour });
            let mut messages = vec![json!({"role": "user", "content": "Go"})];
            for (turn, calls) in history.iter().enumerate() {
                let id = |index: usize| format!("call_{turn}_{index}");
                let wire: Vec<Value> = calls.iter().enumerate().map(|(index, (tool, arguments, _))| {
                    json!({"id": id(index), "type": "function", "function": {"name": names[*tool], "arguments": arguments}})
                }).collect();
                messages.push(json!({"role": "assistant", "content": null, "tool_calls": wire}));
                for (index, (.., said)) in calls.iter().enumerate() {
                    messages.push(json!({"role": "tool", "tool_call_id": id(index), "content": said}));
                }
            }
            let tools: Vec<Value> = names.iter().map(|name| tool(name)).collect();
            let body = json!({"model": "gemini", "stream": stream, "tools": tools, "messages": messages});
            let reply = complete(&proxy, &body).await?;
            anyhow::ensure!(reply.status == 200, "{}", reply.text());

            // What Gemini saw.
            let sent = proxy.provider(Provider::GEMINI).chats().pop().expect("a call").json();
            let contents = sent["contents"].as_array().expect("contents");
            anyhow::ensure!(contents.len() == 1 + 2 * history.len(), "{sent}");
            for (turn, calls) in history.iter().enumerate() {
                for (index, (tool, arguments, said)) in calls.iter().enumerate() {
                    let call = &contents[1 + 2 * turn]["parts"][index]["functionCall"];
                    let answer = &contents[2 + 2 * turn]["parts"][index]["functionResponse"];
                    let seen = json!([call["name"], call["args"], answer["name"], answer["response"]["result"]]);
                    let told = json!([names[*tool], serde_json::from_str::<Value>(arguments)?, names[*tool], said]);
                    anyhow::ensure!(seen == told, "{seen} is not {told}");
                }
            }
            // What came back.
            let calls: Vec<(String, String, String)> = if stream { read_stream(&reply).calls } else {
                let mut streamed = Streamed::default();
                let calls = reply.json()["choices"][0]["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
                let calls: Vec<_> = calls.into_iter().enumerate().map(|(at, call)| with(call, json!({"index": at}))).collect();
                read_delta(&mut streamed, &json!({ "tool_calls": calls }));
                streamed.calls
            };
            let told: Vec<_> = calls.iter().map(|(_, name, arguments)| (name.as_str(), arguments.as_str())).collect();
            let expected: Vec<_> = made.iter().map(|(tool, arguments)| (names[*tool], arguments.as_str())).collect();
            anyhow::ensure!(told == expected, "{told:?} is not {expected:?}");
            let ids: BTreeSet<_> = calls.iter().map(|(id, ..)| id).collect();
            anyhow::ensure!(ids.len() == calls.len(), "{ids:?}");
            anyhow::Ok(())
        }).map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
    }
}
