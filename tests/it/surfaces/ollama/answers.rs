//! Answers: streamed line by line, whole, and broken off.

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Reply, Trouble};
use serde_json::{Value, json};

use super::{Said, all_ways, chat, generate, lines, pins, question, with};
use crate::support::{Reply as HttpReply, TestProxy, ask_at};

#[tokio::test]
async fn an_answer_is_the_same_in_all_forms_and_says_what_it_took() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for (provider, pin) in pins() {
        for Said { text, calls, end, .. } in all_ways(&proxy, &question(&pin)).await? {
            assert!(text.contains(provider.name()), "{text}");
            assert_eq!((calls, &end["done_reason"]), (vec![], &json!("stop")));
            assert!(end["model"].as_str().is_some_and(|it| it.starts_with(&format!("{pin}/"))), "{end}");
            let number = |name: &str| end[name].as_u64().unwrap_or_else(|| panic!("no {name}: {end}"));
            assert!(number("prompt_eval_count") > 0 && number("eval_count") > 0, "{end}");
            // Clients divide the tokens by it.
            assert!(number("eval_duration") > 0, "{end}");
            let parts = number("prompt_eval_duration") + number("eval_duration");
            assert_eq!((number("total_duration"), number("load_duration")), (parts, 0), "{end}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_length_limit_is_told() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().only([Provider::GROQ]).start().await?;
    proxy.all(&Behaviour::answer(["One "]).finishing("length"));
    for Said { text, end, .. } in all_ways(&proxy, &question("auto")).await? {
        assert_eq!((text.as_str(), &end["done_reason"]), ("One ", &json!("length")));
    }
    Ok(())
}

#[tokio::test]
async fn n34_n23_n24_calls_come_whole_with_arguments_that_are_an_object() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let offered = [("look", r#"{"at":"sea"}"#), ("wait", "")];
    proxy.all(&Behaviour::answer(["I ", "look."]).and_calling(offered));
    let tools = json!({"tools": [{"type": "function", "function": {"name": "look"}}, {"type": "function", "function": {"name": "wait"}}]});
    for (provider, pin) in pins() {
        for Said { text, calls, end, .. } in all_ways(&proxy, &with(question(&pin), tools.clone())).await? {
            assert_eq!(text, "I look.");
            let called: Vec<(&Value, &Value)> =
                calls.iter().map(|call| (&call["name"], &call["arguments"])).collect();
            let expected = [(&json!("look"), &json!({"at": "sea"})), (&json!("wait"), &json!({}))];
            assert_eq!(called, expected, "{provider:?}");
            assert_eq!(end["done_reason"], "stop");
        }
    }
    Ok(())
}

/// A line end inside of the arguments must not end a line of the stream.
#[tokio::test]
async fn arguments_with_line_ends_stay_on_their_line() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.all(&Behaviour::calling([("look", "{\n  \"at\": \"sea\",\r\n  \"say\": \"a\\nb\"\n}")]));
    let tools = json!({"tools": [{"type": "function", "function": {"name": "look"}}]});
    // Google sends objects, on one line; the others send the text that the model wrote.
    for (_, pin) in pins().filter(|(provider, _)| *provider != Provider::GEMINI) {
        for Said { calls, .. } in all_ways(&proxy, &with(question(&pin), tools.clone())).await? {
            assert!(!calls.is_empty(), "no call: {pin}");
            assert_eq!(calls[0]["arguments"], json!({"at": "sea", "say": "a\nb"}), "{pin}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn thoughts_are_shown_to_who_asks_and_to_nobody_else() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.all(&Behaviour::answer(["Yes."]).thinking(["Let me ", "see."]));
    for (provider, pin) in pins() {
        for (think, shown) in
            [(json!(true), true), (json!("high"), true), (json!(false), false), (json!(null), false)]
        {
            let body = with(question(&pin), json!({"think": think}));
            for Said { text, thoughts, .. } in all_ways(&proxy, &body).await? {
                assert_eq!(text, "Yes.", "{provider:?}");
                let expected = if shown { "Let me see." } else { "" };
                assert_eq!(thoughts, expected, "{provider:?} {think}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_fails_says_so_in_its_last_line_and_is_cut() -> anyhow::Result<()> {
    for fault in [Fault::EndEarly(After::Text(2)), Fault::ErrorEvent(After::Text(2), Trouble::Overloaded)] {
        let proxy = TestProxy::core().await?;
        proxy.all(&Behaviour::answer(["One", "Two", "Three"]).with(fault.clone()));
        let prompt = json!({"prompt": "Hola"});
        for reply in [chat(&proxy, &question("auto")).await?, generate(&proxy, &prompt).await?] {
            assert!(reply.is_broken, "clients take an end for the end");
            let lines = lines(&reply);
            let (last, before) = lines.split_last().expect("a line");
            assert!(last["error"].as_str().is_some_and(|it| !it.is_empty()), "{fault:?}: {last}");
            assert!(before.iter().all(|line| line["done"] == json!(false)), "{before:?}");
            assert!(!before.is_empty() && last["done"].is_null(), "{}", reply.text());
        }
    }
    Ok(())
}

#[tokio::test]
async fn n31_a_failure_is_never_an_empty_answer() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.all(&Behaviour::trouble(Trouble::ServerError));
    for stream in [true, false] {
        let reply = chat(&proxy, &with(question("auto"), json!({"stream": stream}))).await?;
        assert_eq!(reply.status, 502, "{}", reply.text());
        assert!(reply.error().starts_with("All services failed"), "{}", reply.text());
        assert!(reply.json()["attempts"].is_array(), "{}", reply.text());
    }
    Ok(())
}

#[tokio::test]
async fn a_blocked_prompt_does_not_look_like_an_answer_that_is_whole() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.provider(Provider::GEMINI).always(Behaviour::new(Reply::Blocked));
    for Said { text, end, .. } in all_ways(&proxy, &question("gemini")).await? {
        assert_eq!((text.as_str(), &end["done_reason"]), ("", &json!("content_filter")));
    }
    Ok(())
}

/// Libraries of Python's split a stream at line ends of Unicode, too, which JSON takes for letters.
#[tokio::test]
async fn line_ends_of_unicode_stay_within_their_line() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let said = "a\u{2028}b\u{2029}c\u{85}d";
    let tools = json!({"tools": [{"type": "function", "function": {"name": "look"}}]});
    let is_split = |reply: &HttpReply| reply.text().contains(['\u{2028}', '\u{2029}', '\u{85}']);
    for (_, pin) in pins() {
        proxy.all(&Behaviour::answer([said]));
        let reply = chat(&proxy, &question(&pin)).await?;
        let text: String = lines(&reply).iter().filter_map(|it| it["message"]["content"].as_str()).collect();
        assert!(!is_split(&reply) && text == said, "{pin}: {}", reply.text());
        let asked = json!({"contents": [{"parts": [{"text": "Hola"}]}]});
        let path = format!("/v1beta/models/{pin}:streamGenerateContent?alt=sse");
        let reply = ask_at(&proxy, &path, &asked, &[]).await?;
        assert!(!is_split(&reply) && reply.text().contains("a\\u2028b"), "{pin}: {}", reply.text());

        proxy.all(&Behaviour::calling([("look", json!({"at": said}).to_string())]));
        let reply = chat(&proxy, &with(question(&pin), tools.clone())).await?;
        let calls: Vec<Value> =
            lines(&reply).iter().map(|it| it["message"]["tool_calls"][0].clone()).collect();
        let call = calls.iter().find(|it| it.is_object()).expect("a call");
        assert!(!is_split(&reply) && call["function"]["arguments"]["at"] == said, "{pin}: {}", reply.text());
    }
    Ok(())
}
