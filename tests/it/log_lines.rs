//! What an operator reads in the log of a request.

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Reply, Settings, Simulator, Trouble};
use ai_proxy_free::internals::time::Moment;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use crate::support::{Binary, RawClient, http_client, question};

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

/// Who cannot get in is seen in the log, whatever refuses; but a flood does not fill it.
#[tokio::test]
async fn a_refused_request_leaves_one_line() -> anyhow::Result<()> {
    let clock = std::sync::Arc::new(ai_proxy_free::internals::time::Moment::now);
    let simulator =
        Simulator::start(Directory::core(), |provider| Settings::new(provider, clock.clone())).await?;
    let settings = [
        ("PROXY_API_KEY", "key-of-client"),
        ("CORS_ORIGINS", "https://example.org"),
        ("MAX_BODY_BYTES", "1000"),
        ("BODY_READ_TIMEOUT_MS", "200"),
    ];
    let (mut binary, address) = Binary::over(&simulator, &settings).await?;
    let key = "x-api-key: key-of-client\r\n";
    let json = format!("{key}content-type: application/json\r\n");
    let of = |length: usize, body: &str| format!("{json}content-length: {length}\r\n\r\n{body}");
    let asks = |model: &str| {
        format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"canary\"}}],\"model\":\"{model}\"}}")
    };
    let (unknown, huge) = (asks("canary-2"), format!("x: {}", "canary".repeat(6_000)));
    let requests = [
        ("no-key", "POST /chat?canary", String::new(), "WARN", "chat", 401, "Missing or wrong API key"),
        (
            "wrong-key",
            "GET /v1/models",
            "authorization: Bearer canary\r\n\r\n".into(),
            "WARN",
            "openai",
            401,
            "Missing",
        ),
        (
            "origin",
            "POST /chat",
            format!("{key}origin: https://canary.example\r\n\r\n"),
            "WARN",
            "chat",
            403,
            "This origin",
        ),
        (
            "path",
            "GET /v1/nothing?canary",
            format!("{key}\r\n"),
            "INFO",
            "openai",
            404,
            "there is no GET /v1/nothing",
        ),
        (
            "options",
            "OPTIONS /nowhere",
            format!("{key}\r\n"),
            "INFO",
            "chat",
            404,
            "there is no OPTIONS /nowhere",
        ),
        ("trace", "TRACE /nowhere", format!("{key}\r\n"), "INFO", "chat", 404, "there is no TRACE /nowhere"),
        ("method", "GET /chat", format!("{key}\r\n"), "INFO", "chat", 405, "Method Not Allowed"),
        (
            "model",
            "POST /v1/chat/completions",
            of(unknown.len(), &unknown),
            "INFO",
            "openai",
            404,
            "The model 'canary-2' does not exist",
        ),
        (
            "type",
            "POST /chat",
            format!("{key}content-length: 6\r\n\r\ncanary"),
            "INFO",
            "chat",
            415,
            "Content-Type is missing",
        ),
        ("large", "POST /chat", of(1_001, ""), "INFO", "chat", 413, "Request body is larger"),
        ("slow", "POST /chat", of(9, "canary"), "INFO", "chat", 408, "Request body did not arrive"),
        (
            "bad",
            "POST /v1/chat/completions",
            of(7, "canary!"),
            "INFO",
            "openai",
            400,
            "Request body is not valid JSON",
        ),
        ("field", "POST /chat", of(2, "{}"), "INFO", "chat", 400, "Request must include 'messages' array"),
        ("head", "POST /chat", format!("{key}{huge}\r\n\r\n"), "INFO", "chat", 431, "Request headers exceed"),
    ];
    for (id, line, rest, ..) in &requests {
        let rest = if rest.is_empty() { "\r\n" } else { rest };
        let mut client = RawClient::connect(address).await?;
        let head = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-request-id: {id}\r\n{rest}"
        );
        client.stream.write_all(head.as_bytes()).await?;
        client.read_until("\r\n\r\n").await?;
    }
    // Names that a client has made up stand in some sentences.
    let forged = json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [
        {"id": "\n[x] ERROR: forged\u{2028}\u{202e}\u{1b}[2K ma\u{f1}ana", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]}]})
    .to_string();
    let mut client = RawClient::connect(address).await?;
    let head =
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n{}", of(forged.len(), &forged));
    client.stream.write_all(head.as_bytes()).await?;
    client.read_until("forged").await?;
    for (id, model) in
        [("forged-1", "x\u{2028}\u{202e}\u{85}"), ("forged-2", "\n[x] ERROR: ma\u{f1}ana\u{200b}")]
    {
        let body = json!({"messages": [{"role": "user", "content": "x"}], "model": model}).to_string();
        let http = http_client()?;
        let request = http.post(format!("http://{address}/v1/chat/completions")).header("x-request-id", id);
        let request = request.header("x-api-key", "key-of-client").header("content-type", "application/json");
        let reply = request.body(body).send().await?;
        assert_eq!(reply.status(), 404, "{model:?}");
        let reply = reply.text().await?;
        assert!(!reply.contains(['\u{2028}', '\u{202e}', '\u{85}', '\u{200b}']), "{reply}");
    }
    // What hyper refuses, whose id is not the client's; and everybody's failure, which has lines of its own.
    let mut client = RawClient::connect(address).await?;
    client.stream.write_all(b"canary is no HTTP\r\n\r\n").await?;
    client.read_until("\r\n\r\n").await?;
    let answer = client.read_to_end().await;
    let unreadable =
        answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("an id").to_owned();
    for provider in simulator.providers() {
        provider.always(Behaviour::trouble(Trouble::ServerError));
    }
    let http = http_client()?;
    let ask = |id: &str, key: &str| {
        let request = http.post(format!("http://{address}/chat")).header("x-request-id", id);
        request.header("x-api-key", key).json(&question()).send()
    };
    assert_eq!(ask("failed", "key-of-client").await?.status(), 502);
    for _ in 0..60 {
        assert_eq!(ask("flood", "canary").await?.status(), 401);
    }
    binary.line_with("Request failed").await?;
    binary.signal("TERM").await?;
    let (_, output) = binary.end().await?;
    for (id, _, _, level, surface, status, reason) in requests {
        let lines = lines_about(&output, id);
        let [line] = lines.as_slice() else { panic!("{id}: {lines:?}") };
        assert!(line.starts_with(&format!("{level}: Request refused: {reason}")), "{line}");
        assert!(line.ends_with(&format!(" surface={surface} status={status}")), "{line}");
    }
    assert_eq!(lines_about(&output, &unreadable).len(), 1, "{output}");
    assert!(output.contains("forged") && output.lines().all(|line| !line.starts_with("[x]")), "{output}");
    let is_foreign = |c: char| c != '\n' && (c.is_control() || "\u{2028}\u{202e}\u{200b}".contains(c));
    assert!(!output.contains(is_foreign) && output.contains(r"\u{2028}\u{202e}\u{1b}[2K mañana"), "{output}");
    let told = lines_about(&output, "forged-2").concat();
    assert!(told.contains(r"The model '\n[x] ERROR: mañana\u{200b}' does not exist"), "{told}");
    assert!(!lines_about(&output, "failed").iter().any(|line| line.contains("refused:")), "{output}");
    let flood = lines_about(&output, "flood").len();
    assert!((1..=10).contains(&flood), "{flood} lines");
    assert!(!output.replace("canary-2", "").contains("canary") && !output.contains("key-of"), "{output}");
    Ok(())
}

/// Whoever wonders why a provider is not called finds which key it was, which model, and for how long.
#[tokio::test]
async fn lines_about_limits_name_the_key_the_model_and_the_time() -> anyhow::Result<()> {
    let clock = std::sync::Arc::new(Moment::now);
    let simulator =
        Simulator::start(Directory::core(), |provider| Settings::new(provider, clock.clone())).await?;
    let [groq, cerebras] = [Provider::GROQ, Provider::CEREBRAS].map(|provider| simulator.provider(provider));
    groq.then(Behaviour::trouble(Trouble::RateLimited(77.0)));
    let header = |name: &str, value: &str| (format!("x-ratelimit-{name}-requests"), value.to_owned());
    groq.then(Behaviour::new(Reply::Raw {
        status: 200,
        headers: vec![
            ("content-type".into(), "text/event-stream".into()),
            header("limit", "1000"),
            header("remaining", "0"),
            header("reset", "24h0m0s"),
        ],
        body: vec![
            b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n".to_vec(),
        ],
    }));
    let limited = Fault::ErrorEvent(After::Text(1), Trouble::RateLimited(33.0));
    cerebras.then(Behaviour::answer(["Ho", "la"]).paced(std::time::Duration::from_millis(50)).with(limited));
    let keys = [("GROQ_API_KEY", "first,second"), ("GROQ_MODEL", "openai/gpt-oss-20b")];
    let (binary, address) = Binary::over(&simulator, &keys).await?;
    for provider in [Provider::GROQ, Provider::CEREBRAS] {
        let request = http_client()?.post(format!("http://{address}/chat")).header("connection", "close");
        request.json(&pinned(provider)).send().await?.text().await?;
    }
    binary.signal("TERM").await?;
    let (_, output) = binary.end().await?;
    let expected = [
        ("Groq is rate limited: not asked for 77 s", "key=key 1 of 2 model=openai/gpt-oss-20b"),
        ("Groq has nothing left of a limit: not asked for 87 s", "key=key 2 of 2 model=openai/gpt-oss-20b"),
        ("Cerebras is rate limited: not asked for 6", "key=key 1 of 1 model=gpt-oss-120b"),
    ];
    for (sentence, place) in expected {
        let is_it = |line: &str| line.contains(sentence) && line.replace('"', "").contains(place);
        assert!(output.lines().any(is_it), "{sentence} … {place}: {output}");
    }
    Ok(())
}

/// More than 1 kB of log for each, with a long id, against 64 KiB in the pipe and 2 MiB in the proxy.
const REQUESTS_THAT_FILL_IT: usize = 2_400;
/// So many of them at a time.
const AT_A_TIME: usize = 16;

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_no_request() -> anyhow::Result<()> {
    let clock = std::sync::Arc::new(Moment::now);
    let simulator =
        Simulator::start(Directory::core(), |provider| Settings::new(provider, clock.clone())).await?;
    // At the finest level, so that few requests fill the pipe and what is kept behind it.
    let (mut binary, address) = Binary::over(&simulator, &[("RUST_LOG", "trace")]).await?;
    let client = http_client()?;
    let mut clients = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let client = client.clone();
        clients.spawn(async move {
            for _ in 0..REQUESTS_THAT_FILL_IT / AT_A_TIME {
                let request =
                    client.post(format!("http://{address}/chat")).header("x-request-id", "x".repeat(128));
                let reply = request.json(&question()).send().await?;
                anyhow::ensure!(reply.text().await?.contains("[DONE]"));
            }
            Ok(())
        });
    }
    for outcome in clients.join_all().await {
        outcome?;
    }
    let told = binary.line_with("Lines of the log are lost").await?;
    assert!(told.contains(" lines="), "{told}");
    binary.signal("TERM").await?;
    let (code, output) = binary.end().await?;
    assert_eq!(code, Some(0));
    let is_whole = |line: &str| line.starts_with('[') && line.contains("Z] ");
    assert!(output.lines().all(is_whole), "a line in pieces");
    Ok(())
}
