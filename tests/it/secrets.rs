//! No key, prompt or answer in any log, error or panic message, at any level.

use std::fmt::Write as _;

use ai_proxy_free::internals::providers::Directory;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Reply, Settings, Simulator, Trouble};
use serde_json::json;

use crate::support::{Binary, http_client, within_patience};

const KEYS: [(&str, &str); 4] = [
    ("GROQ_API_KEY", "canary-key-groq-one,canary-key-groq-two"),
    ("CEREBRAS_API_KEY", "canary-key-cerebras"),
    ("GOOGLE_API_KEY", "canary-key-google"),
    ("PROXY_API_KEY", "canary-key-client"),
];

/// A provider that quotes everything it was sent.
fn quoting(status: u16) -> Behaviour {
    let message = "Bad: canary-prompt with Bearer canary-key-groq-one canary-key-groq-two canary-key-cerebras canary-key-google \
                   at https://api.example/?key=canary-key-google";
    let body =
        json!({"error": {"message": message, "type": message, "code": "canary-prompt"}, "message": message});
    Behaviour::new(Reply::Raw {
        status,
        headers: vec![
            ("content-type".into(), "application/json".into()),
            ("x-echo".into(), "canary-key-groq-one".into()),
        ],
        body: vec![body.to_string().into_bytes()],
    })
}

#[tokio::test]
async fn canaries_never_sing() -> anyhow::Result<()> {
    let clock = std::sync::Arc::new(ai_proxy_free::internals::time::Moment::now);
    let simulator =
        Simulator::start(Directory::core(), |provider| Settings::new(provider, clock.clone())).await?;
    let answer = || Behaviour::answer(["canary-answer ", "more"]).thinking(["canary-answer"]);
    let mut behaviours: Vec<Behaviour> =
        [400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 200].map(quoting).into();
    behaviours.extend([
        answer(),
        answer().with(Fault::Cut(After::Nothing)),
        answer().with(Fault::Reset(After::Text(1))),
        answer().with(Fault::EndEarly(After::Text(1))),
        answer().with(Fault::ErrorEvent(After::Text(1), Trouble::BadKey)),
        answer().with(Fault::Inject(After::Text(1), b"data: {canary-answer\n\n".to_vec())),
        Behaviour::trouble(Trouble::BadKey),
        Behaviour::new(Reply::Html(403)),
    ]);
    for format in ["text", "json"] {
        let mut variables = KEYS.to_vec();
        variables.extend([("RUST_LOG", "trace"), ("LOG_FORMAT", format)]);
        let (binary, address) = Binary::over(&simulator, &variables).await?;
        // Reads the log while the program writes it, so that nothing is dropped.
        let id = binary.child.id().expect("it runs");
        let log = tokio::spawn(binary.end());
        let mut seen = String::new();
        let client = http_client()?;
        for behaviour in &behaviours {
            for provider in simulator.providers() {
                provider.always(behaviour.clone());
                for stream in [true, false] {
                    let body = json!({"messages": [{"role": "user", "content": "canary-prompt"}],
                        "provider": provider.provider().name(), "stream": stream});
                    let request = client
                        .post(format!("http://{address}/chat"))
                        .bearer_auth("canary-key-client")
                        .json(&body);
                    let response = within_patience("an answer", request.send()).await?;
                    write!(seen, "{:?}", response.headers())?;
                    let (status, text) = (response.status(), response.text().await?);
                    // The answer belongs to the client, and so does its own prompt in a refusal.
                    if status != 200 {
                        seen += &text.replace("canary-prompt", "");
                    }
                }
                let report = client.get(format!("http://{address}/providers"));
                seen += &report.bearer_auth("canary-key-client").send().await?.text().await?;
            }
        }
        for body in [
            "canary-prompt",
            "{\"messages\":\"canary-prompt\"}",
            "{\"messages\":[{\"role\":\"canary-prompt\",\"content\":\"x\"}]}",
        ] {
            let request = client
                .post(format!("http://{address}/chat"))
                .header("content-type", "application/json")
                .body(body);
            seen += &request.bearer_auth("canary-key-client").send().await?.text().await?;
            seen += &client
                .post(format!("http://{address}/chat"))
                .bearer_auth("canary-key-wrong")
                .send()
                .await?
                .text()
                .await?;
        }
        let killed =
            tokio::process::Command::new("kill").args(["-s", "TERM", &id.to_string()]).status().await?;
        assert!(killed.success());
        let (code, log) = log.await??;
        assert_eq!(code, Some(0));
        assert!(log.lines().count() > 200, "it says everything: {} lines", log.lines().count());
        let found: Vec<&str> = seen.split("canary").skip(1).map(|rest| &rest[..rest.len().min(20)]).collect();
        assert!(found.is_empty(), "in answers: {found:?}");
        let found: Vec<&str> = log.lines().filter(|line| line.contains("canary")).collect();
        assert!(found.is_empty(), "in the log: {found:#?}");
    }
    Ok(())
}
