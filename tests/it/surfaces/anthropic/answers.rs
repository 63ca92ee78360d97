//! Answers, streamed and whole.

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Trouble};
use serde_json::json;

use super::{Stream, both_ways, message, pins, question, request, with};
use crate::support::{TestProxy, ask_at};

#[tokio::test]
async fn every_provider_answers_streamed_and_whole() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for (provider, pin) in pins() {
        let reply = message(&proxy, &with(question(&pin), json!({"stream": true}))).await?;
        assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
        let stream = Stream::read(&reply);
        assert!(stream.text().contains("You said: Hola"), "{provider:?}: {}", stream.text());
        assert_eq!((stream.types(), stream.stop_reason()), (vec!["text"], "end_turn"));
        let model = stream.start["model"].as_str().expect("a model");
        assert!(model.starts_with(&format!("{pin}/")), "{model}");
        for (field, value) in [("role", "assistant"), ("type", "message")] {
            assert_eq!(stream.start[field], value);
        }

        let reply = message(&proxy, &question(&pin)).await?;
        let whole = reply.json();
        assert_eq!(whole["content"], json!([{"type": "text", "text": stream.text()}]), "{provider:?}");
        assert_eq!((&whole["type"], &whole["stop_reason"]), (&json!("message"), &json!("end_turn")));
        assert_eq!(whole["model"], model);
        assert_ne!(whole["id"], stream.start["id"], "Claude Code folds answers of one id");
    }
    Ok(())
}

#[tokio::test]
async fn every_finish_has_its_stop_reason() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for (finish, expected) in [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal")]
    {
        proxy.all(&Behaviour::answer(["One, ", "two"]).finishing(finish));
        for (_, reason, _) in both_ways(&proxy, &question("auto")).await? {
            assert_eq!(reason, expected);
        }
    }
    Ok(())
}

#[tokio::test]
async fn n21_a_thought_never_lands_in_the_text_and_is_shown_only_when_asked_for() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.all(&Behaviour::answer(["One, ", "two"]).thinking(["Let me ", "think."]));
    let thought = json!({"type": "thinking", "thinking": "Let me think.", "signature": ""});
    let text = json!({"type": "text", "text": "One, two"});
    let cases = [
        (json!({}), false),
        (json!({"thinking": {"type": "adaptive", "display": "omitted"}}), false),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 4096, "display": "omitted"}}), false),
        (json!({"thinking": {"type": "disabled"}}), false),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 4096}}), true),
        (json!({"thinking": {"type": "adaptive", "display": "summarized"}}), true),
    ];
    for (_, pin) in pins() {
        for (thinking, is_shown) in &cases {
            let body = with(question(&pin), thinking.clone());
            for (blocks, ..) in both_ways(&proxy, &body).await? {
                let expected =
                    if *is_shown { vec![thought.clone(), text.clone()] } else { vec![text.clone()] };
                assert_eq!(blocks, expected, "{pin} {thinking}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn n22_text_and_calls_have_blocks_of_their_own_one_after_the_other() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let calls = [("get_weather", r#"{"city":"Lima"}"#), ("now", "{}")];
    proxy.all(&Behaviour::answer(["I ", "look."]).and_calling(calls));
    let tools = json!({"tools": [{"name": "get_weather"}, {"name": "now"}]});
    for (provider, pin) in pins() {
        for (blocks, reason, _) in both_ways(&proxy, &with(question(&pin), tools.clone())).await? {
            let said: Vec<_> = blocks.iter().map(|it| (&it["type"], &it["name"], &it["input"])).collect();
            let (none, call) = (&json!(null), &json!("tool_use"));
            let expected = [
                (&json!("text"), none, none),
                (call, &json!("get_weather"), &json!({"city": "Lima"})),
                (call, &json!("now"), &json!({})),
            ];
            assert_eq!(said, expected, "{provider:?}");
            assert_eq!(blocks[0]["text"], "I look.");
            assert_eq!(reason, "tool_use");
        }
    }
    Ok(())
}

#[tokio::test]
async fn n25_an_answer_of_a_call_alone_has_no_empty_text() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.all(&Behaviour::calling([("now", "{}")]));
    for (provider, pin) in pins() {
        let body = with(question(&pin), json!({"tools": [{"name": "now"}]}));
        for (blocks, reason, _) in both_ways(&proxy, &body).await? {
            let types: Vec<_> = blocks.iter().map(|block| block["type"].clone()).collect();
            assert_eq!((types, reason.as_str()), (vec![json!("tool_use")], "tool_use"), "{provider:?}");
        }
    }
    Ok(())
}

/// As Anthropic's own answers: what a client has begun to read stays incomplete, and nothing else is told of the call.
#[tokio::test]
async fn a_call_that_the_limit_has_cut_off_is_left_out_and_never_looks_whole() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let body = with(question("groq"), json!({"tools": [{"name": "look"}]}));
    let text = json!({"type": "text", "text": "I look."});
    for begun in ["", "{"] {
        for (said, expected) in [(vec!["I ", "look."], vec![text.clone()]), (vec![], vec![])] {
            let answer = Behaviour::answer(said).and_calling([("look", begun)]).finishing("length");
            proxy.all(&answer);
            for (blocks, reason, _) in both_ways(&proxy, &body).await? {
                assert_eq!((blocks, reason.as_str()), (expected.clone(), "max_tokens"), "{begun:?}");
            }
        }
    }
    proxy
        .all(&Behaviour::answer(["I ", "look."]).and_calling([("look", r#"{"at":"se"#)]).finishing("length"));
    let whole = message(&proxy, &body).await?.json();
    assert_eq!((&whole["content"], &whole["stop_reason"]), (&json!([text]), &json!("max_tokens")));
    let stream = message(&proxy, &with(body, json!({"stream": true}))).await?.text();
    assert!(stream.contains(r#""partial_json":"{\"at\":\"se""#), "{stream}");
    assert!(!stream.contains("event: error") && stream.contains(r#""stop_reason":"max_tokens""#), "{stream}");
    assert!(stream.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), "{stream}");
    Ok(())
}

#[tokio::test]
async fn answers_have_ids_of_their_own_even_if_a_client_repeats_that_of_its_request() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let mine = [("x-request-id", "mine"), ("anthropic-version", "2023-06-01")];
    let chat = json!({"messages": [{"role": "user", "content": "Hola"}]});
    let google = json!({"contents": [{"role": "user", "parts": [{"text": "Hola"}]}]});
    let surfaces = [
        ("/v1/messages", question("auto"), "id"),
        ("/v1/chat/completions", chat, "id"),
        ("/v1/responses", json!({"input": "Hola", "model": "auto"}), "id"),
        ("/v1beta/models/auto:generateContent", google, "responseId"),
    ];
    for (path, body, id) in surfaces {
        let one = ask_at(&proxy, path, &body, &mine).await?;
        let two = ask_at(&proxy, path, &body, &mine).await?;
        assert_eq!(two.header("x-request-id"), Some("mine"));
        assert!(one.json()[id].is_string(), "{path}: {}", one.text());
        assert_ne!(one.json()[id], two.json()[id], "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn n24_a_call_without_arguments_has_an_empty_object() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for arguments in ["", "null", " ", "{}"] {
        for (provider, pin) in pins() {
            let is_googles = provider == Provider::GEMINI;
            if is_googles && arguments.trim() != "{}" && !arguments.is_empty() {
                continue;
            }
            proxy.all(&Behaviour::calling([("now", arguments)]));
            let body = with(question(&pin), json!({"tools": [{"name": "now"}]}));
            for (blocks, ..) in both_ways(&proxy, &body).await? {
                assert_eq!(blocks[0]["input"], json!({}), "{provider:?} {arguments:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn n26_the_usage_of_the_prompt_is_split_by_what_was_cached() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for (provider, pin) in pins() {
        for (.., usage) in both_ways(&proxy, &question(&pin)).await? {
            let count = |name: &str| usage[name].as_u64().unwrap_or_else(|| panic!("{name}: {usage}"));
            let prompt = count("input_tokens") + count("cache_read_input_tokens");
            assert!(prompt > 0 && count("output_tokens") > 0, "{provider:?}: {usage}");
            assert_eq!(count("cache_creation_input_tokens"), 0);
        }
    }
    let cached = r#"data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,
        "completion_tokens":7,"total_tokens":107,"prompt_tokens_details":{"cached_tokens":60}}}"#;
    let body = format!("{}\n\ndata: [DONE]\n\n", cached.replace('\n', ""));
    proxy.provider(Provider::GROQ).always(Behaviour::new(ai_proxy_free::internals::simulator::Reply::Raw {
        status: 200,
        headers: vec![("content-type".to_owned(), "text/event-stream".to_owned())],
        body: vec![body.into_bytes()],
    }));
    for (.., usage) in both_ways(&proxy, &question("groq")).await? {
        let expected = json!({"input_tokens": 40, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 0,
            "output_tokens": 7});
        assert_eq!(usage, expected);
    }
    Ok(())
}

#[tokio::test]
async fn the_first_event_estimates_the_prompt() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(100);
    let body = request("auto", json!([{"role": "user", "content": long}]));
    let stream = Stream::read(&message(&proxy, &with(body, json!({"stream": true}))).await?);
    let estimate = stream.start["usage"]["input_tokens"].as_u64().expect("a number");
    assert!((900..1_400).contains(&estimate), "{estimate}");
    assert_eq!(stream.start["usage"]["output_tokens"], 0);
    Ok(())
}

#[tokio::test]
async fn n31_what_breaks_off_never_looks_finished() -> anyhow::Result<()> {
    for provider in Directory::core() {
        for fault in [Fault::ErrorEvent(After::Text(2), Trouble::Overloaded), Fault::EndEarly(After::Text(2))]
        {
            let proxy = TestProxy::core().await?;
            let pin = provider.name().to_ascii_lowercase();
            proxy.all(&Behaviour::answer(["One, ", "two, ", "three."]).with(fault.clone()));
            let reply = message(&proxy, &with(question(&pin), json!({"stream": true}))).await?;
            let stream = Stream::read(&reply);
            assert_eq!(
                (stream.text().as_str(), stream.is_stopped),
                ("One, two, ", false),
                "{provider:?} {fault:?}"
            );
            let error = stream.error.expect("an error");
            assert_eq!(error["type"], "api_error");
            assert!(error["message"].as_str().expect("a message").contains(provider.name()), "{error}");
            assert!(!reply.is_broken, "the error is said in words");

            let whole = message(&proxy, &question(&pin)).await?;
            assert!(whole.status >= 500, "a whole answer is never half: {}", whole.text());
        }
    }
    Ok(())
}

#[tokio::test]
async fn n31_an_empty_answer_or_an_error_behind_a_good_status_goes_to_the_next_provider() -> anyhow::Result<()>
{
    let empty = Behaviour::answer::<&str>([]);
    let error = Behaviour::answer(["One"]).with(Fault::ErrorEvent(After::Head, Trouble::Overloaded));
    for behaviour in [empty, error] {
        for stream in [true, false] {
            let proxy = TestProxy::core().await?;
            proxy.provider(Provider::GROQ).always(behaviour.clone());
            let reply = message(&proxy, &with(question("auto"), json!({"stream": stream}))).await?;
            assert_eq!((reply.status, reply.header("x-provider")), (200, Some("Cerebras")), "{behaviour:?}");
        }
    }
    Ok(())
}
