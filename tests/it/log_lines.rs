//! What an operator reads in the log of a request.

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Reply, Settings, Simulator, Trouble};
use ai_proxy_free::internals::time::Moment;
use serde_json::{Value, json};

use crate::support::{Binary, http_client, question};

/// The lines about a request, without times, quotation marks and its id.
fn lines_about(output: &str, request: &str) -> Vec<String> {
    let mark = format!("request_id=\"{request}\"");
    let its = output.lines().filter(|line| line.contains(&mark));
    let stripped = its.map(|line| {
        let words = line.split(' ').skip(1).filter(|&word| word != mark && !word.starts_with("elapsed_ms="));
        words.collect::<Vec<_>>().join(" ").replace('"', "")
    });
    stripped.collect()
}

fn pinned(provider: Provider) -> Value {
    let mut body = question();
    body["provider"] = json!(provider.name());
    body
}

#[tokio::test]
async fn a_request_can_be_followed_from_its_beginning_to_its_end() -> anyhow::Result<()> {
    let clock = std::sync::Arc::new(Moment::now);
    let simulator =
        Simulator::start(Directory::core(), |provider| Settings::new(provider, clock.clone())).await?;
    let [groq, cerebras, gemini] =
        [Provider::GROQ, Provider::CEREBRAS, Provider::GEMINI].map(|provider| simulator.provider(provider));
    groq.then(Behaviour::trouble(Trouble::ServerError));
    gemini.then(Behaviour::answer(["Ho", "la"]).with(Fault::EndEarly(After::Text(1))));
    let (mut binary, address) = Binary::over(&simulator, &[]).await?;
    let client = http_client()?;
    // Each request on a connection of its own: some of these answers end theirs.
    let ask = |id: &'static str, body: Value| {
        let request = client.post(format!("http://{address}/chat")).header("connection", "close");
        request.header("x-request-id", id).json(&body).send()
    };

    ask("falls-back", question()).await?.text().await?;
    ask("breaks-off", pinned(Provider::GEMINI)).await?.text().await?;
    cerebras.then(Behaviour::answer(["Ho", "la"]).with(Fault::Stall(After::Text(1))));
    let mut abandoned = ask("is-abandoned", pinned(Provider::CEREBRAS)).await?;
    abandoned.chunk().await?;
    drop(abandoned);
    binary.line_with("Client left").await?;
    cerebras.then(Behaviour::trouble(Trouble::BadRequest));
    ask("is-refused", pinned(Provider::CEREBRAS)).await?.text().await?;
    // A 404 without a word of models is believed for a while only, and so is no news of the model.
    cerebras.then(Behaviour::new(Reply::Raw {
        status: 404,
        headers: vec![],
        body: vec![b"nothing".to_vec()],
    }));
    ask("meets-a-404", pinned(Provider::CEREBRAS)).await?.text().await?;
    binary.signal("TERM").await?;
    let (_, output) = binary.end().await?;

    let begins = "INFO: Request with 1 messages stream=true";
    let groqs = "INFO: Attempt 1/3: Using service Groq model=openai/gpt-oss-20b";
    let geminis = "INFO: Attempt 1/1: Using service Gemini model=gemini-3.5-flash-lite";
    let cerebrass = "INFO: Attempt 1/1: Using service Cerebras model=gpt-oss-120b";
    let expected: [(&str, &[&str]); 5] = [
        (
            "falls-back",
            &[
                begins,
                groqs,
                "WARN: Groq failed reason=upstream_error status=500 key=key 1 of 1 model=openai/gpt-oss-20b",
                "INFO: Attempt 2/3: Using service Cerebras model=gpt-oss-120b",
                "INFO: Cerebras answered model=gpt-oss-120b",
            ],
        ),
        (
            "breaks-off",
            &[
                begins,
                geminis,
                "ERROR: Answer interrupted: Gemini broke off in the middle of its answer model=gemini-3.5-flash-lite",
            ],
        ),
        ("is-abandoned", &[begins, cerebrass, "INFO: Client left before the end"]),
        (
            "is-refused",
            &[
                begins,
                cerebrass,
                "WARN: Cerebras refuses the request reason=bad_request status=400 key=key 1 of 1 model=gpt-oss-120b",
                "ERROR: Request failed: Cerebras:bad_request status=400",
            ],
        ),
        (
            "meets-a-404",
            &[
                begins,
                cerebrass,
                "WARN: Cerebras does not offer the model (any more): not asked for 601 s reason=model_gone status=404 key=key 1 of 1 model=gpt-oss-120b",
                "INFO: Attempt 2/2: Using service Cerebras model=qwen-3.8-27b",
                "INFO: Cerebras answered model=qwen-3.8-27b",
            ],
        ),
    ];
    for (request, lines) in expected {
        assert_eq!(lines_about(&output, request), lines, "{request}");
    }
    assert!(!output.contains("any more: using"), "{output}");
    Ok(())
}
