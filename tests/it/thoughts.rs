//! Thoughts are shown while they are thought, to those who asked for them; and until the first content another provider may
//! still take over.

use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Outcome, Trouble};
use serde_json::{Value, json};

use crate::support::{
    TestProxy, chat, complete, http_client, question, with_one_model_each, within_patience,
};

fn thoughtful() -> Value {
    json!({"messages": [{"role": "user", "content": "Hola"}], "stream": true, "reasoning_effort": "low"})
}

/// The chunks of a stream in order, and whether it has its end mark.
fn chunks(text: &str) -> (Vec<Value>, bool) {
    let data: Vec<&str> = text.split_terminator("\n\n").filter_map(|it| it.strip_prefix("data: ")).collect();
    let is_done = data.last() == Some(&"[DONE]");
    let chunks = data.into_iter().filter(|it| *it != "[DONE]");
    (chunks.map(|it| serde_json::from_str(it).expect("JSON")).collect(), is_done)
}

fn joined(chunks: &[Value], field: &str) -> String {
    chunks.iter().filter_map(|it| it["choices"][0]["delta"][field].as_str()).collect()
}

#[tokio::test]
async fn thoughts_are_shown_before_there_is_an_answer() -> anyhow::Result<()> {
    for provider in [Provider::GROQ, Provider::CEREBRAS, Provider::GEMINI] {
        let proxy = TestProxy::core().await?;
        let thinker = Behaviour::answer(["x"]).thinking(["hm, ", "well"]).with(Fault::Stall(After::Head));
        proxy.provider(provider).always(thinker);
        let mut body = thoughtful();
        body["model"] = json!(provider.name().to_ascii_lowercase());
        let response = http_client()?.post(proxy.url("/v1/chat/completions")).json(&body).send();
        let mut response = within_patience("the head", response).await?;
        assert_eq!(response.headers()["x-attempts"], format!("{}:ok", provider.name()));
        let mut seen = String::new();
        while !seen.contains("well") {
            let more = within_patience("the thoughts", response.chunk()).await?.expect("more");
            seen.push_str(std::str::from_utf8(&more)?);
        }
        assert!(!seen.contains("[DONE]"), "{seen}");
        drop(response);
        let is_left = |it: &ai_proxy_free::internals::simulator::SimulatedProvider| {
            matches!(it.chats().last().map(|chat| chat.outcome), Some(Outcome::Abandoned(_)))
        };
        within_patience("the call to end with its client", proxy.provider(provider).until(is_left)).await;
    }
    Ok(())
}

/// Who has thought aloud and failed is replaced; its thoughts stay thoughts, and every chunk says who wrote it.
#[tokio::test]
async fn row_127_another_provider_takes_over_from_a_thinker_that_fails() -> anyhow::Result<()> {
    let thinker = || Behaviour::answer(["wrong"]).thinking(["Groq thinks. "]);
    let failures = [
        ("cut", thinker().with(Fault::Cut(After::Head)), "broken_stream"),
        ("reset", thinker().with(Fault::Reset(After::Head)), "broken_stream"),
        ("silence", thinker().with(Fault::Stall(After::Head)), "timeout"),
        ("the end without a finish", thinker().with(Fault::EndEarly(After::Head)), "broken_stream"),
        ("an error", thinker().with(Fault::ErrorEvent(After::Head, Trouble::Overloaded)), "overloaded"),
        ("no content", Behaviour::answer::<&str>([]).thinking(["Groq thinks. "]), "empty_answer"),
    ];
    for (case, behaviour, reason) in failures {
        let proxy = with_one_model_each().core().with("IDLE_TIMEOUT_MS", 700).start().await?;
        proxy.provider(Provider::GROQ).always(behaviour);
        let substitute = Behaviour::answer(["right ", "answer"]).thinking(["Cerebras thinks. "]);
        proxy.provider(Provider::CEREBRAS).always(substitute);
        let reply = complete(&proxy, &thoughtful()).await?;
        assert_eq!(reply.status, 200, "{case}");
        assert_eq!(
            (reply.header("x-provider"), reply.header("x-attempts")),
            (Some("Groq"), Some("Groq:ok")),
            "{case}: what was true when the head left"
        );
        let (chunks, is_done) = chunks(&reply.text());
        assert!(is_done && chunks.iter().all(|it| it.get("error").is_none()), "{case}: {}", reply.text());
        assert_eq!(joined(&chunks, "reasoning_content"), "Groq thinks. Cerebras thinks. ", "{case}");
        assert_eq!(joined(&chunks, "content"), "right answer", "{case}");
        assert_eq!(joined(&chunks, "role"), "assistant", "{case}: once");
        for chunk in &chunks {
            let text = chunk["choices"][0]["delta"].to_string();
            let author = chunk["model"].as_str().expect("a model");
            assert!(!text.contains("Groq") || author.starts_with("groq/"), "{case}: {author} {text}");
            assert!(!text.contains("right") || author.starts_with("cerebras/"), "{case}: {author} {text}");
        }
        assert_eq!(proxy.counts(Provider::GROQ).await?, (1, 1), "{case}: one failure");
        assert_eq!(proxy.outcomes(Provider::GROQ).await?.keys().collect::<Vec<_>>(), [reason], "{case}");
        assert_eq!(proxy.counts(Provider::CEREBRAS).await?, (1, 0), "{case}");
    }
    Ok(())
}

#[tokio::test]
async fn after_the_first_content_nobody_takes_over() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let half = Behaviour::answer(["half ", "of it"]).thinking(["hm"]).paced(Duration::from_millis(20));
    proxy.provider(Provider::GROQ).always(half.with(Fault::Cut(After::Text(1))));
    let (chunks, is_done) = chunks(&complete(&proxy, &thoughtful()).await?.text());
    assert!(!is_done);
    assert_eq!(joined(&chunks, "content"), "half ");
    assert!(chunks.last().is_some_and(|it| it.get("error").is_some()));
    assert_eq!(proxy.upstream_calls(), 1);
    Ok(())
}

#[tokio::test]
async fn thinkers_that_all_fail_end_in_a_visible_error() -> anyhow::Result<()> {
    let proxy = with_one_model_each().core().start().await?;
    proxy.all(&Behaviour::answer(["x"]).thinking(["hm. "]).with(Fault::Cut(After::Head)));
    let reply = complete(&proxy, &thoughtful()).await?;
    let (chunks, is_done) = chunks(&reply.text());
    assert!(!is_done && !reply.is_broken);
    assert_eq!(joined(&chunks, "reasoning_content"), "hm. hm. hm. ");
    let error = chunks.last().expect("an event")["error"]["message"].to_string();
    assert!(error.contains("All services failed: Groq broke off"), "{error}");
    assert!(chunks.iter().all(|it| it["choices"][0]["finish_reason"].is_null()));
    Ok(())
}

/// Nobody has more to say: the last answer is passed on as it is.
#[tokio::test]
async fn thinkers_that_all_say_nothing_end_honestly_empty() -> anyhow::Result<()> {
    for finish in ["stop", "length"] {
        let proxy = with_one_model_each().core().start().await?;
        proxy.all(&Behaviour::answer::<&str>([]).thinking(["hm. "]).finishing(finish));
        let (chunks, is_done) = chunks(&complete(&proxy, &thoughtful()).await?.text());
        assert!(is_done, "{chunks:?}");
        assert_eq!(joined(&chunks, "content"), "");
        let finishes: Vec<&str> =
            chunks.iter().filter_map(|it| it["choices"][0]["finish_reason"].as_str()).collect();
        assert_eq!(finishes, [finish]);
        assert_eq!(joined(&chunks, "reasoning_content"), "hm. hm. hm. ");
    }
    Ok(())
}

/// The others get nothing before there is content, so that every earlier failure is an honest status.
#[tokio::test]
async fn who_has_not_asked_for_thoughts_sees_none_of_it() -> anyhow::Result<()> {
    let mut quiet = thoughtful();
    quiet["reasoning_effort"] = Value::Null;
    let mut off = thoughtful();
    off["reasoning_effort"] = json!("none");
    for body in [quiet, off] {
        let proxy = with_one_model_each().core().start().await?;
        proxy
            .provider(Provider::GROQ)
            .always(Behaviour::answer(["wrong"]).thinking(["Groq thinks. "]).with(Fault::Cut(After::Head)));
        let reply = complete(&proxy, &body).await?;
        assert_eq!(reply.header("x-attempts"), Some("Groq:broken_stream, Cerebras:ok"));
        assert!(!reply.text().contains("Groq thinks"), "{}", reply.text());
    }
    let proxy = with_one_model_each().core().start().await?;
    proxy.all(&Behaviour::answer(["x"]).thinking(["hm"]));
    assert!(!chat(&proxy, &question()).await?.text().contains("hm"));
    Ok(())
}
