//! Answers: streamed in both forms, whole, and broken off.

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Reply, Trouble};
use serde_json::json;

use super::{all_ways, calls, chunks, generate, pins, question, stream, text, with};
use crate::support::{TestProxy, ask_at};

#[tokio::test]
async fn an_answer_is_the_same_in_all_forms_and_says_what_it_took() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for (provider, pin) in pins() {
        for (parts, reason, usage) in all_ways(&proxy, &pin, &question()).await? {
            assert!(text(&parts).contains(provider.name()), "{parts:?}");
            assert_eq!(reason, "STOP");
            let [prompt, total] = ["promptTokenCount", "totalTokenCount"].map(|name| usage[name].as_u64());
            assert!(prompt > Some(0) && total > prompt, "{provider:?}: {usage}");
        }
    }
    Ok(())
}

/// A client of this dialect forgets a turn whose last chunk has no parts, and stumbles over whatever is no chunk.
#[tokio::test]
async fn n32_n33_every_chunk_has_parts_and_a_stream_is_nothing_but_chunks() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for (provider, pin) in pins() {
        let reply = stream(&proxy, &pin, &question()).await?;
        assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
        let chunks = chunks(&reply);
        let ended: Vec<bool> =
            chunks.iter().map(|chunk| chunk["candidates"][0]["finishReason"].is_string()).collect();
        assert_eq!(ended.iter().position(|ended| *ended), Some(chunks.len() - 1), "{provider:?}");
        assert!(!reply.text().contains("[DONE]") && !reply.text().contains("event:"), "{}", reply.text());
    }
    Ok(())
}

#[tokio::test]
async fn n23_n24_calls_come_whole_with_an_object_and_none_is_lost() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let offered = [("look", r#"{"at":"sea"}"#), ("wait", "")];
    proxy.all(&Behaviour::answer(["I ", "look."]).and_calling(offered));
    let tools = json!({"tools": [{"functionDeclarations": [{"name": "look"}, {"name": "wait"}]}]});
    for (_, pin) in pins() {
        for (parts, reason, _) in all_ways(&proxy, &pin, &with(question(), tools.clone())).await? {
            assert_eq!(text(&parts), "I look.");
            let called: Vec<_> = calls(&parts).iter().map(|it| it["functionCall"].clone()).collect();
            let args: Vec<_> =
                called.iter().map(|call| (call["name"].clone(), call["args"].clone())).collect();
            assert_eq!(args, [(json!("look"), json!({"at": "sea"})), (json!("wait"), json!({}))]);
            assert_ne!(called[0]["id"], called[1]["id"]);
            assert_eq!(reason, "STOP");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_call_that_the_limit_has_cut_off_is_left_out() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let body = with(question(), json!({"tools": [{"functionDeclarations": [{"name": "look"}]}]}));
    for begun in ["", "{", r#"{"at":"se"#] {
        for (said, expected) in [(vec!["I ", "look."], "I look."), (vec![], "")] {
            proxy.all(&Behaviour::answer(said).and_calling([("look", begun)]).finishing("length"));
            for (parts, reason, _) in all_ways(&proxy, "groq", &body).await? {
                assert_eq!((text(&parts).as_str(), &reason), (expected, &json!("MAX_TOKENS")), "{begun:?}");
                assert_eq!(calls(&parts), [json!(null); 0], "{begun:?}");
            }
        }
    }
    Ok(())
}

/// A line end inside of the arguments must not end a line of the stream.
#[tokio::test]
async fn arguments_with_line_ends_are_whole_in_a_stream() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let pretty = "{\n  \"at\": \"sea\",\r\n  \"say\": \"a\\nb\"\n}";
    proxy.all(&Behaviour::calling([("look", pretty)]));
    let tools = json!({"tools": [{"functionDeclarations": [{"name": "look"}]}]});
    // Google sends objects, on one line; the others send the text that the model wrote.
    for (_, pin) in pins().filter(|(provider, _)| *provider != Provider::GEMINI) {
        for (parts, ..) in all_ways(&proxy, &pin, &with(question(), tools.clone())).await? {
            let call = calls(&parts).pop().unwrap_or_else(|| panic!("no call: {pin} {parts:?}"));
            assert_eq!(call["functionCall"]["args"], json!({"at": "sea", "say": "a\nb"}));
        }
    }
    Ok(())
}

#[tokio::test]
async fn thoughts_are_shown_to_who_asks_and_to_nobody_else() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.all(&Behaviour::answer(["Yes."]).thinking(["Let me ", "see."]));
    for (provider, pin) in pins() {
        for shown in [true, false] {
            let config = json!({"generationConfig": {"thinkingConfig": {"includeThoughts": shown, "thinkingLevel": "HIGH"}}});
            for (parts, ..) in all_ways(&proxy, &pin, &with(question(), config.clone())).await? {
                assert_eq!(text(&parts), "Yes.", "{provider:?}");
                let is_thought = |part: &&serde_json::Value| part["thought"] == json!(true);
                assert_eq!(parts.iter().any(|part| is_thought(&part)), shown, "{provider:?}: {parts:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_fails_says_so_and_is_cut() -> anyhow::Result<()> {
    for fault in [Fault::EndEarly(After::Text(2)), Fault::ErrorEvent(After::Text(2), Trouble::Overloaded)] {
        let proxy = TestProxy::core().await?;
        proxy.all(&Behaviour::answer(["One", "Two", "Three"]).with(fault.clone()));
        let reply = stream(&proxy, "auto", &question()).await?;
        assert!(reply.is_broken, "clients take an end for the end");
        let chunks = chunks(&reply);
        let error = &chunks.last().expect("a chunk")["error"];
        assert!(error["code"].is_u64() && error["status"].is_string(), "{fault:?}: {error}");
        assert!(!reply.text().contains("finishReason"), "{}", reply.text());
    }
    Ok(())
}

#[tokio::test]
async fn an_array_that_fails_ends_with_the_error_and_is_cut() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.all(&Behaviour::answer(["One", "Two"]).with(Fault::EndEarly(After::Text(1))));
    let reply = ask_at(&proxy, "/v1beta/models/auto:streamGenerateContent", &question(), &[]).await?;
    assert!(reply.is_broken);
    let array: Vec<serde_json::Value> = serde_json::from_str(&reply.text())?;
    assert!(array.last().expect("an element")["error"]["code"].is_u64(), "{array:?}");
    Ok(())
}

#[tokio::test]
async fn n31_a_failure_is_never_an_empty_answer() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.all(&Behaviour::trouble(Trouble::ServerError));
    for reply in [generate(&proxy, "auto", &question()).await?, stream(&proxy, "auto", &question()).await?] {
        assert_eq!(reply.status, 502, "{}", reply.text());
        assert_eq!(reply.json()["error"]["status"], "UNAVAILABLE");
    }
    Ok(())
}

#[tokio::test]
async fn a_blocked_prompt_is_told_as_google_tells_it_and_nobody_else_is_asked() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.provider(Provider::GEMINI).always(Behaviour::new(Reply::Blocked));
    for reply in
        [generate(&proxy, "gemini", &question()).await?, stream(&proxy, "gemini", &question()).await?]
    {
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.text().contains(r#""promptFeedback":{"blockReason":"SAFETY"}"#), "{}", reply.text());
        assert!(!reply.text().contains(r#""candidates":"#), "{}", reply.text());
    }
    Ok(())
}
