//! What goes wrong after the first content: the client sees that the answer is not whole, and nobody continues it.

use std::time::Duration;

use ai_proxy_free::internals::providers::Directory;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Framing, Trouble};
use serde_json::json;

use crate::support::{RawClient, TestProxy, ask, chat, question};

fn interruptions() -> Vec<(&'static str, Behaviour, &'static str)> {
    let answer = || Behaviour::answer(["One, ", "two, ", "three."]);
    let at = After::Text(2);
    vec![
        ("cut in the chunked framing", answer().with(Fault::Cut(at)), "broke off"),
        ("fewer bytes than announced", answer().framed(Framing::Length).with(Fault::Cut(at)), "broke off"),
        ("reset", answer().with(Fault::Reset(at)), "broke off"),
        ("ended in good order without a finish", answer().with(Fault::EndEarly(at)), "broke off"),
        ("closed without framing", answer().framed(Framing::Close).with(Fault::EndEarly(at)), "broke off"),
        ("silence", answer().with(Fault::Stall(at)), "stopped sending"),
        ("an error event", answer().with(Fault::ErrorEvent(at, Trouble::Overloaded)), "is overloaded"),
        ("a bare error", answer().with(Fault::BareError(at, Trouble::Overloaded)), "is overloaded"),
        (
            "a limit in the stream",
            answer().with(Fault::ErrorEvent(at, Trouble::RateLimited(5.0))),
            "is rate limited",
        ),
    ]
}

#[tokio::test]
async fn a_streamed_answer_that_breaks_is_visibly_broken() -> anyhow::Result<()> {
    for (case, behaviour, words) in interruptions() {
        for failing in Directory::core() {
            let proxy = TestProxy::builder().with("IDLE_TIMEOUT_MS", 1_000).start().await?;
            proxy.make_next(failing).await?;
            proxy.all(&Behaviour::answer(["another ", "answer"]));
            proxy.provider(failing).always(behaviour.clone());
            let calls = proxy.upstream_calls();

            let reply = chat(&proxy, &question()).await?;
            let answer = reply.answer();
            let name = failing.name();
            assert_eq!(answer.text, "One, two, ", "{name} {case}: what came, came");
            assert!(!answer.is_done && answer.finish.is_none(), "{name} {case}: {}", reply.text());
            let error = answer.error.unwrap_or_else(|| panic!("{name} {case}: no error event"));
            assert_eq!(error["provider"], name, "{case}");
            let sentence = error["error"].as_str().expect("a sentence");
            assert!(sentence.starts_with(name) && sentence.contains(words), "{case}: {sentence}");
            assert!(!reply.is_broken, "{name} {case}: the body ends in good order");
            assert_eq!(proxy.upstream_calls(), calls + 1, "{name} {case}: nobody else is asked");
            assert_eq!(proxy.counts(failing).await?, (1, 1), "{name} {case}");
        }
    }
    Ok(())
}

/// Nobody can tell what else is wrong with a connection whose answer broke: it is not used again.
#[tokio::test]
async fn a_broken_answer_is_its_connections_last() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("HEADER_READ_TIMEOUT_MS", 600_000).start().await?;
    proxy.all(&Behaviour::answer(["One, ", "two."]).with(Fault::EndEarly(After::Text(1))));
    let response = RawClient::post(proxy.address, &question()).await?.read_to_end().await;
    assert!(response.contains("\"error\"") && response.ends_with("0\r\n\r\n"), "{response}");
    Ok(())
}

#[tokio::test]
async fn bare_text_that_breaks_breaks_the_connection() -> anyhow::Result<()> {
    for (case, behaviour, _) in interruptions() {
        let proxy = TestProxy::builder().with("IDLE_TIMEOUT_MS", 1_000).start().await?;
        proxy.all(&behaviour);
        for provider in Directory::core() {
            let reply = ask(&proxy, &question(), &[("accept", "text/plain")]).await?;
            assert_eq!(reply.status, 200, "{provider:?} {case}");
            assert_eq!(reply.text(), "One, two, ", "{provider:?} {case}: what came, came");
            assert!(reply.is_broken, "{provider:?} {case}: it looks finished");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_falls_back_when_it_breaks() -> anyhow::Result<()> {
    for (case, behaviour, _) in interruptions() {
        for failing in Directory::core() {
            let proxy = TestProxy::builder().with("IDLE_TIMEOUT_MS", 1_000).start().await?;
            proxy.make_next(failing).await?;
            proxy.all(&Behaviour::answer(["another ", "answer"]));
            proxy.provider(failing).always(behaviour.clone());
            let mut body = question();
            body["stream"] = json!(false);
            let reply = chat(&proxy, &body).await?;
            assert_eq!(reply.json()["content"], "another answer", "{failing:?} {case}");
            assert_eq!(proxy.counts(failing).await?, (1, 1), "{failing:?} {case}");
        }
    }
    Ok(())
}

/// Pings are no progress: a provider that only pings is as silent as one that does not.
#[tokio::test]
async fn comments_do_not_keep_a_silent_stream_alive() -> anyhow::Result<()> {
    let pings = b": ping\n\n".to_vec();
    let proxy = TestProxy::builder().with("IDLE_TIMEOUT_MS", 300).start().await?;
    let mut body: Vec<Vec<u8>> =
        vec![b"data: {\"choices\":[{\"delta\":{\"content\":\"One\"}}]}\n\n".to_vec()];
    body.extend(vec![pings; 1_000]);
    let behaviour = Behaviour::new(ai_proxy_free::internals::simulator::Reply::Raw {
        status: 200,
        headers: vec![("content-type".into(), "text/event-stream".into())],
        body,
    });
    proxy.all(&behaviour.paced(Duration::from_millis(20)));
    let answer = chat(&proxy, &question()).await?.answer();
    assert_eq!(answer.text, "One");
    assert!(
        answer.error.expect("an error")["error"].as_str().expect("a sentence").contains("stopped sending")
    );
    Ok(())
}

/// Thoughts are progress, even though the client sees nothing of them.
#[tokio::test]
async fn thoughts_keep_a_stream_alive() -> anyhow::Result<()> {
    let proxy =
        TestProxy::builder().with("IDLE_TIMEOUT_MS", 400).with("FIRST_TOKEN_TIMEOUT_MS", 400).start().await?;
    proxy.all(&Behaviour::answer(["One"]).thinking(vec!["hm"; 12]).paced(Duration::from_millis(100)));
    for provider in Directory::core() {
        let answer = chat(&proxy, &question()).await?.answer();
        assert_eq!((answer.text.as_str(), answer.is_done), ("One", true), "{provider:?}");
    }
    Ok(())
}
