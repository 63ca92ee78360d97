//! Answers, streamed and whole.

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Trouble};
use serde_json::{Value, json};

use super::{Stream, both_ways, ignored, pins, plain, question, respond, sent, text_of, with};
use crate::support::TestProxy;

#[tokio::test]
async fn every_provider_answers_streamed_and_whole() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for (provider, pin) in pins() {
        let reply = respond(&proxy, &with(question(&pin), json!({"stream": true}))).await?;
        assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
        let stream = Stream::read(&reply);
        assert_eq!(stream.end, "response.completed");
        assert!(text_of(&stream.last).contains("You said: Hola"), "{provider:?}: {:?}", stream.last);
        let model = stream.last["model"].as_str().expect("a model");
        assert!(model.starts_with(&format!("{pin}/")), "{model}");

        let whole = respond(&proxy, &question(&pin)).await?.json();
        assert_eq!(whole["object"], "response", "Node builds its output_text only then");
        assert_ne!(whole["id"], stream.last["id"]);
        assert_eq!(plain(whole), plain(stream.last), "{provider:?}: both ways say the same");
    }
    Ok(())
}

#[tokio::test]
async fn a_response_repeats_what_it_was_asked_with() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let asked = json!({"instructions": "Be\nterse", "metadata": {"a": "b"}, "temperature": 0.5, "top_p": 0.9,
        "max_output_tokens": 4000, "parallel_tool_calls": false, "user": "someone", "tool_choice": "none",
        "tools": [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}],
        "text": {"format": {"type": "text"}, "verbosity": "low"}, "reasoning": {"effort": "low", "summary": null}});
    for response in both_ways(&proxy, &with(question("auto"), asked.clone())).await? {
        for (name, value) in asked.as_object().expect("an object") {
            assert_eq!(&response[name], value, "{name}");
        }
    }
    for response in both_ways(&proxy, &question("auto")).await? {
        let defaults = json!({"instructions": null, "metadata": {}, "parallel_tool_calls": true, "tool_choice": "auto",
            "tools": [], "text": {"format": {"type": "text"}}, "truncation": "disabled", "store": true,
            "previous_response_id": null, "error": null, "incomplete_details": null});
        for (name, value) in defaults.as_object().expect("an object") {
            assert_eq!(&response[name], value, "{name}");
        }
        let usage = &response["usage"];
        let count = |name: &str| usage[name].as_u64().unwrap_or_else(|| panic!("{name}: {usage}"));
        assert_eq!(count("total_tokens"), count("input_tokens") + count("output_tokens"));
        assert!(usage["input_tokens_details"]["cached_tokens"].is_u64(), "{usage}");
        assert!(usage["output_tokens_details"]["reasoning_tokens"].is_u64(), "{usage}");
    }
    Ok(())
}

/// A request may be written over many lines; an event is one.
/// Each answer under way holds it, and a stream writes it three times.
#[tokio::test]
async fn a_response_repeats_only_what_is_short() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let long = "long ".repeat(15_000);
    let body = with(question("groq"), json!({"instructions": long, "metadata": {"a": "b"}}));
    let [whole, streamed] = both_ways(&proxy, &body).await?;
    for response in [whole, streamed] {
        assert_eq!((&response["instructions"], &response["metadata"]), (&Value::Null, &json!({"a": "b"})));
    }
    assert!(sent(&proxy, Provider::GROQ).to_string().contains(&long), "the model reads it nevertheless");
    let reply = respond(&proxy, &with(question("groq"), json!({"metadata": {"a": long}}))).await?;
    assert_eq!(
        (reply.status, &reply.json()["metadata"], ignored(&reply)),
        (200, &json!({}), vec!["metadata"])
    );
    Ok(())
}

#[tokio::test]
async fn line_ends_in_the_request_do_not_cut_an_event() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let body =
        "{\"input\": \"Hola\", \"stream\": true, \"metadata\": {\r\n\"a\":\n\"b\"\n}, \"tools\": [\n]}";
    let client = crate::support::http_client()?;
    let sent = client.post(proxy.url("/v1/responses")).header("content-type", "application/json").body(body);
    let response = crate::support::within_patience("an answer", sent.send()).await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await?.to_vec();
    let stream = Stream::read(&crate::support::Reply { status, headers, body, is_broken: false });
    assert_eq!(stream.last["metadata"], json!({"a": "b"}));
    Ok(())
}

#[tokio::test]
async fn every_finish_has_its_status_and_reason() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let cases = [
        ("stop", "completed", json!(null)),
        ("length", "incomplete", json!({"reason": "max_output_tokens"})),
        ("content_filter", "incomplete", json!({"reason": "content_filter"})),
    ];
    for (finish, status, details) in cases {
        proxy.all(&Behaviour::answer(["One, ", "two"]).finishing(finish));
        for response in both_ways(&proxy, &question("auto")).await? {
            assert_eq!((&response["status"], &response["incomplete_details"]), (&json!(status), &details));
            assert_eq!(response["output"][0]["status"], status);
            assert_eq!(text_of(&response), "One, two");
        }
    }
    Ok(())
}

#[tokio::test]
async fn n27_one_response_id_and_one_id_for_each_item_in_all_events_and_in_the_store() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.all(
        &Behaviour::answer(["I ", "look."])
            .thinking(["Let me ", "see."])
            .and_calling([("look", "{}"), ("now", "{}")]),
    );
    let fields = json!({"stream": true, "reasoning": {"summary": "auto"},
        "tools": [{"type": "function", "name": "look"}, {"type": "custom", "name": "now"}]});
    for (provider, pin) in pins() {
        // The reader of the stream compares the ids in all events.
        let stream = Stream::read(&respond(&proxy, &with(question(&pin), fields.clone())).await?);
        let id = stream.created["id"].as_str().expect("an id");
        assert!(id.starts_with("resp_") && id.len() == 37, "{id}");
        let mut ids: Vec<&str> =
            stream.items.iter().map(|item| item["id"].as_str().expect("an id")).collect();
        let prefixes: Vec<&str> = ids.iter().map(|id| id.split('_').next().expect("a prefix")).collect();
        assert_eq!(prefixes, ["rs", "msg", "fc", "ctc"], "{provider:?}");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4);
        let client = crate::support::http_client()?;
        let stored: serde_json::Value =
            client.get(proxy.url(&format!("/v1/responses/{id}"))).send().await?.json().await?;
        assert_eq!(stored, stream.last, "{provider:?}");
    }
    Ok(())
}

#[tokio::test]
async fn n28_a_thought_is_an_item_of_its_own_that_closes_before_the_text_and_only_if_asked_for()
-> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.all(&Behaviour::answer(["One, ", "two"]).thinking(["Let me ", "think."]));
    let cases = [
        (json!({}), false),
        (json!({"reasoning": {"effort": "high"}}), false),
        (json!({"reasoning": {"effort": "low", "summary": "auto"}}), true),
        (json!({"reasoning": {"summary": "detailed"}}), true),
    ];
    for (_, pin) in pins() {
        for (fields, is_shown) in &cases {
            let body = with(question(&pin), with(fields.clone(), json!({"stream": true})));
            let stream = Stream::read(&respond(&proxy, &body).await?);
            let types: Vec<_> =
                stream.items.iter().map(|item| item["type"].as_str().expect("a type")).collect();
            if *is_shown {
                assert_eq!(types, ["reasoning", "message"], "{pin} {fields}");
                let summary = json!([{"type": "summary_text", "text": "Let me think."}]);
                assert_eq!(stream.items[0]["summary"], summary);
                assert!(stream.counts["response.reasoning_summary_text.delta"] >= 1);
            } else {
                assert_eq!(types, ["message"], "{pin} {fields}");
            }
            assert_eq!(text_of(&stream.last), "One, two");
        }
    }
    Ok(())
}

#[tokio::test]
async fn n29_a_whole_answer_has_the_thoughts_too() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.all(&Behaviour::answer(["One"]).thinking(["Let me ", "think."]));
    for (_, pin) in pins() {
        let body = with(question(&pin), json!({"reasoning": {"summary": "auto"}}));
        let whole = respond(&proxy, &body).await?.json();
        assert_eq!(whole["output"][0]["summary"], json!([{"type": "summary_text", "text": "Let me think."}]));
        assert_eq!((&whole["output"][1]["type"], text_of(&whole).as_str()), (&json!("message"), "One"));
    }
    Ok(())
}

#[tokio::test]
async fn n30_what_breaks_off_ends_in_response_failed() -> anyhow::Result<()> {
    for provider in Directory::core() {
        for fault in [Fault::ErrorEvent(After::Text(2), Trouble::Overloaded), Fault::EndEarly(After::Text(2))]
        {
            let proxy = TestProxy::core().await?;
            let pin = provider.name().to_ascii_lowercase();
            proxy.all(&Behaviour::answer(["One, ", "two, ", "three."]).with(fault.clone()));
            let reply = respond(&proxy, &with(question(&pin), json!({"stream": true}))).await?;
            let stream = Stream::read(&reply);
            assert_eq!(stream.end, "response.failed", "{provider:?} {fault:?}");
            assert_eq!(stream.counts["response.output_text.delta"], 2);
            let error = &stream.last["error"];
            assert_eq!(error["code"], "server_error");
            assert!(error["message"].as_str().expect("a message").contains(provider.name()), "{error}");
            assert!(!reply.is_broken, "the error is said in words");

            let whole = respond(&proxy, &question(&pin)).await?;
            assert!(whole.status >= 500, "a whole answer is never half: {}", whole.text());
        }
    }
    Ok(())
}

#[tokio::test]
async fn n31_an_empty_answer_or_an_error_behind_a_good_status_goes_to_the_next_provider() -> anyhow::Result<()>
{
    use ai_proxy_free::internals::providers::Provider;
    let empty = Behaviour::answer::<&str>([]);
    let error = Behaviour::answer(["One"]).with(Fault::ErrorEvent(After::Head, Trouble::Overloaded));
    for behaviour in [empty, error] {
        for stream in [true, false] {
            let proxy = TestProxy::core().await?;
            proxy.provider(Provider::GROQ).always(behaviour.clone());
            let reply = respond(&proxy, &with(question("auto"), json!({"stream": stream}))).await?;
            assert_eq!((reply.status, reply.header("x-provider")), (200, Some("Cerebras")), "{behaviour:?}");
        }
    }
    Ok(())
}

/// Programs act on an item as soon as it is done: half of a command is none.
#[tokio::test]
async fn a_text_for_a_tool_that_was_cut_off_is_not_passed_on() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let tools = json!({"tools": [{"type": "custom", "name": "exec"}]});
    for (arguments, finish, input) in [
        (r#"{"input":"rm -r /tmp/a"#, "length", ""),
        (r#"{"input":"rm -r /tmp/a/b"}"#, "length", "rm -r /tmp/a/b"),
        ("rm -r /tmp/a/b", "tool_calls", "rm -r /tmp/a/b"),
    ] {
        proxy.all(&Behaviour::calling([("exec", arguments)]).finishing(finish));
        for response in both_ways(&proxy, &with(question("groq"), tools.clone())).await? {
            let call = &response["output"][0];
            let status = if finish == "length" { "incomplete" } else { "completed" };
            assert_eq!((&call["type"], &call["status"]), (&json!("custom_tool_call"), &json!(status)));
            assert_eq!(call["input"], input, "{arguments} {finish}");
        }
    }
    Ok(())
}
