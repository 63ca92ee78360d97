//! Faults of providers, met by every surface of agents in every way of asking and over every provider's dialect: what fails
//! before the first content, the client never notices; what fails behind it, looks like nothing else.

use std::time::Duration;

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Reply as Simulated, Trouble};
use serde_json::{Value, json};

use crate::support::{ProxyBuilder, Reply, TestProxy, ask_at};

/// A surface, and how the answer is to come.
#[derive(Clone, Copy, Debug)]
enum Way {
    MessagesStream,
    MessagesWhole,
    ResponsesStream,
    ResponsesWhole,
    GeminiEvents,
    GeminiArray,
    GeminiWhole,
    OllamaLines,
    OllamaWhole,
    OllamaPrompt,
}

impl Way {
    const ALL: [Self; 10] = [
        Self::MessagesStream,
        Self::MessagesWhole,
        Self::ResponsesStream,
        Self::ResponsesWhole,
        Self::GeminiEvents,
        Self::GeminiArray,
        Self::GeminiWhole,
        Self::OllamaLines,
        Self::OllamaWhole,
        Self::OllamaPrompt,
    ];

    async fn ask(self, proxy: &TestProxy) -> anyhow::Result<Reply> {
        let messages = |stream: bool| json!({"max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}], "stream": stream});
        let responses = |stream: bool| json!({"input": "Hi", "stream": stream});
        let gemini = json!({"contents": [{"parts": [{"text": "Hi"}]}]});
        let ollama =
            |stream: bool| json!({"messages": [{"role": "user", "content": "Hi"}], "stream": stream});
        let (path, body) = match self {
            Self::MessagesStream => ("/v1/messages", messages(true)),
            Self::MessagesWhole => ("/v1/messages", messages(false)),
            Self::ResponsesStream => ("/v1/responses", responses(true)),
            Self::ResponsesWhole => ("/v1/responses", responses(false)),
            Self::GeminiEvents => ("/v1beta/models/auto:streamGenerateContent?alt=sse", gemini),
            Self::GeminiArray => ("/v1beta/models/auto:streamGenerateContent", gemini),
            Self::GeminiWhole => ("/v1beta/models/auto:generateContent", gemini),
            Self::OllamaLines => ("/api/chat", ollama(true)),
            Self::OllamaWhole => ("/api/chat", ollama(false)),
            Self::OllamaPrompt => ("/api/generate", json!({"prompt": "Hi"})),
        };
        ask_at(proxy, path, &body, &[]).await
    }

    /// The text of an answer that looks complete to a client; `None` if it looks like anything else.
    fn complete(self, reply: &Reply) -> Option<String> {
        if reply.status != 200 || reply.is_broken {
            return None;
        }
        let text = reply.text();
        let events: Vec<Value> =
            text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
        let joined = |events: &[Value], path: &str| -> String {
            events.iter().filter_map(|event| event.pointer(path)?.as_str()).collect()
        };
        let has_end = |kind: &str| events.iter().any(|event| event["type"] == kind);
        let gemini = |chunks: &[Value]| {
            let ended = chunks.last()?.pointer("/candidates/0/finishReason").is_some();
            ended.then(|| joined(chunks, "/candidates/0/content/parts/0/text"))
        };
        let ollama = |path: &str| {
            let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            (lines.last()?["done"] == json!(true)).then(|| joined(&lines, path))
        };
        match self {
            Self::OllamaLines | Self::OllamaWhole => ollama("/message/content"),
            Self::OllamaPrompt => ollama("/response"),
            Self::MessagesStream => has_end("message_stop").then(|| joined(&events, "/delta/text")),
            Self::ResponsesStream => {
                let deltas: Vec<Value> =
                    events.iter().filter(|it| it["type"] == "response.output_text.delta").cloned().collect();
                has_end("response.completed").then(|| joined(&deltas, "/delta"))
            }
            Self::GeminiEvents => gemini(&events),
            Self::GeminiArray => gemini(&serde_json::from_str::<Vec<Value>>(&text).ok()?),
            Self::MessagesWhole => Some(joined(&[reply.json()], "/content/0/text")),
            Self::ResponsesWhole => Some(joined(&[reply.json()], "/output/0/content/0/text")),
            Self::GeminiWhole => Some(joined(&[reply.json()], "/candidates/0/content/parts/0/text")),
        }
    }
}

/// A proxy over these providers. Its clocks are short where they have to run out, and only there: a busy machine is slow.
fn proxy(providers: impl IntoIterator<Item = Provider>, case: &str) -> ProxyBuilder {
    let proxy = TestProxy::builder().only(providers).with("MAX_WAIT_MS", 0);
    match case {
        "silence" => proxy.with("FIRST_TOKEN_TIMEOUT_MS", 1_000).with("IDLE_TIMEOUT_MS", 1_000),
        _ => proxy,
    }
}

fn with(fault: Fault) -> Behaviour {
    Behaviour::answer(["One ", "two ", "three."]).with(fault)
}

#[tokio::test]
async fn what_fails_before_the_first_content_is_answered_by_somebody_else() -> anyhow::Result<()> {
    let faults = [
        ("a limit", Behaviour::trouble(Trouble::RateLimited(60.0))),
        ("an error", Behaviour::trouble(Trouble::ServerError)),
        ("a refused key", Behaviour::trouble(Trouble::BadKey)),
        ("a model that is gone", Behaviour::trouble(Trouble::ModelGone)),
        ("a web page", Behaviour::new(Simulated::Html(200))),
        ("no answer", Behaviour::answer([""; 0])),
        ("a reset", with(Fault::Reset(After::Nothing))),
        ("an end behind the head", with(Fault::EndEarly(After::Head))),
        ("an error in the stream", with(Fault::ErrorEvent(After::Head, Trouble::Overloaded))),
        ("silence", with(Fault::Stall(After::Head))),
    ];
    for (case, behaviour) in faults {
        for failing in Directory::core() {
            let other = if failing == Provider::CEREBRAS { Provider::GROQ } else { Provider::CEREBRAS };
            let proxy = proxy([failing, other], case).start().await?;
            proxy.provider(failing).always(behaviour.clone());
            for way in Way::ALL {
                let reply = way.ask(&proxy).await?;
                let said = way.complete(&reply);
                assert!(
                    said.as_ref().is_some_and(|said| said.contains(other.name())),
                    "{failing:?}, {case}, {way:?}: {said:?} {}",
                    reply.text()
                );
                proxy.clock.advance(Duration::from_secs(3_600));
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_fails_behind_content_never_looks_complete() -> anyhow::Result<()> {
    let at = After::Text(2);
    let faults = [
        ("a cut", Fault::Cut(at)),
        ("a reset", Fault::Reset(at)),
        ("an end", Fault::EndEarly(at)),
        ("an error", Fault::ErrorEvent(at, Trouble::Overloaded)),
        ("a bare error", Fault::BareError(at, Trouble::Overloaded)),
        ("silence", Fault::Stall(at)),
    ];
    for (case, fault) in faults {
        for provider in Directory::core() {
            let proxy = proxy([provider], case).start().await?;
            proxy.all(&with(fault.clone()));
            for way in Way::ALL {
                let reply = way.ask(&proxy).await?;
                let said = way.complete(&reply);
                assert_eq!(said, None, "{provider:?}, {case}, {way:?}: {}", reply.text());
                let is_told = reply.status != 200 || reply.text().contains("error");
                assert!(is_told, "{provider:?}, {case}, {way:?} says nothing: {}", reply.text());
                proxy.clock.advance(Duration::from_secs(3_600));
            }
        }
    }
    Ok(())
}
