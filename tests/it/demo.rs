//! `ai-proxy-free demo`: what a newcomer meets first.

use std::collections::HashMap;
use std::net::SocketAddr;

use ai_proxy_free::internals::providers::Provider;
use serde_json::{Value, json};

use crate::support::{Binary, http_client, question};

async fn start() -> anyhow::Result<(Binary, SocketAddr)> {
    Binary::start(&["demo"], HashMap::new()).await
}

/// The text of the answer to one question.
async fn ask(address: SocketAddr, content: &str) -> anyhow::Result<String> {
    let body = json!({"stream": false, "messages": [{"role": "user", "content": content}]});
    let answer = http_client()?.post(format!("http://{address}/chat")).json(&body).send().await?;
    assert_eq!(answer.status(), 200);
    Ok(answer.json::<Value>().await?["content"].as_str().expect("a text").to_owned())
}

#[tokio::test]
async fn the_demo_shows_its_page_first_and_then_lines_to_paste() -> anyhow::Result<()> {
    let (mut binary, address) = start().await?;
    binary.line_with(&format!("  http://{address}/\n")).await?;
    assert!(!binary.output.contains("curl"), "the page comes first: {}", binary.output);
    let curl = binary.line_with("curl -iN").await?;
    assert!(curl.contains(&format!("http://{address}/chat -H '")) && curl.contains("\"messages\""), "{curl}");
    let for_windows = binary.line_with("curl -iN").await?;
    let body = r#"-d "{\"messages\":[{\"role\":\"user\",\"content\":\"Tell me a joke\"}]}""#;
    assert!(
        for_windows.contains(&format!("http://{address}/chat -H \"")) && for_windows.contains(body),
        "{for_windows}"
    );
    let base_url = binary.line_with("base URL").await?;
    assert!(base_url.contains(&format!("http://{address}/v1,")), "{base_url}");
    Ok(())
}

#[tokio::test]
async fn the_demo_names_addresses_that_a_browser_can_open() -> anyhow::Result<()> {
    let everywhere = [("HOST", "0.0.0.0"), ("PROXY_API_KEY", "k")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let (mut binary, address) = Binary::start(&["demo"], everywhere.into()).await?;
    binary.line_with(&format!("  http://127.0.0.1:{}/\n", address.port())).await?;
    let curl = binary.line_with("curl -iN").await?;
    assert!(curl.contains(" -H \"Authorization: Bearer $PROXY_API_KEY\" "), "{curl}");
    Ok(())
}

#[tokio::test]
async fn the_demo_rotates_and_others_take_over_when_a_free_plan_has_no_room() -> anyhow::Result<()> {
    let (_binary, address) = start().await?;
    let client = http_client()?;
    let mut served = Vec::new();
    for _ in 0..12 {
        let response = client.post(format!("http://{address}/chat")).json(&question()).send().await?;
        assert_eq!(response.status(), 200);
        served.push(response.headers()["x-attempts"].to_str()?.to_owned());
    }
    assert_eq!(served[..3], ["Groq:ok", "Cerebras:ok", "Gemini:ok"]);
    // Four answers would take two minutes of Groq's tokens.
    assert!(served.iter().any(|attempts| attempts.starts_with("Groq:cooling_down, ")), "{served:?}");
    Ok(())
}

#[tokio::test]
async fn answers_look_like_answers_in_the_language_of_the_question() -> anyhow::Result<()> {
    let (_binary, address) = start().await?;
    assert!(ask(address, "Hello!").await?.starts_with("Hello! I am a simulated model"));
    assert!(ask(address, "Hola").await?.starts_with("¡Hola! Soy un modelo simulado"));
    assert!(ask(address, "Write some code").await?.contains("\n```python\n"));
    let explained = ask(address, "Explícame cómo funciona esto").await?;
    assert!(explained.contains("el turno de **") && explained.contains("`x-attempts`"), "{explained}");
    let other = ask(address, "Capital of France").await?;
    assert!(
        other.contains("simulated") && other.contains("`.env`") && other.contains("console.groq.com"),
        "{other}"
    );
    Ok(())
}

#[tokio::test]
async fn dot_env_and_settings_of_providers_do_not_change_the_demo() -> anyhow::Result<()> {
    let dot_env = b"PORT=1\nPROXY_API_KEY=secret\nLOG_FORMAT=nonsense\nGROQ_API_KEY='open\nthis is no line\n";
    let real = [
        ("GROQ_API_KEY", "a-real-key"),
        ("GROQ_BASE_URL", "http://192.0.2.1"),
        ("CEREBRAS_MODEL", "zai-glm-5"),
        ("GEMINI_LIMITS", "rpm=1"),
        ("GEMINI_API_KEY", "k1,k2"),
    ];
    let (_binary, address) = Binary::start_with_dot_env(&["demo"], dot_env, &real).await?;
    for _ in 0..3 {
        ask(address, "Hello").await?;
    }
    let report = http_client()?.get(format!("http://{address}/providers")).send().await?;
    let report: Value = report.json().await?;
    for (index, (name, provider)) in
        [("Groq", Provider::GROQ), ("Cerebras", Provider::CEREBRAS), ("Gemini", Provider::GEMINI)]
            .into_iter()
            .enumerate()
    {
        let shown = &report["providers"][index];
        let model = provider.default_models().next().expect("one at least");
        assert_eq!((&shown["name"], &shown["keys"]), (&json!(name), &json!(1)), "{shown}");
        assert_eq!(shown["models"][0]["id"], model, "{shown}");
        assert_eq!(shown["models"][0]["outcomes"], json!({"ok": 1}), "{shown}");
        for limit in provider.free_plan(model).iter() {
            let (unit, window) = (limit.measure.unit.as_str(), limit.measure.window.as_str());
            let limits = shown["models"][0]["limits"].as_array().expect("limits");
            let its = limits.iter().find(|it| it["unit"] == unit && it["window"] == window);
            let its = its.unwrap_or_else(|| panic!("{name} has no {unit} a {window}: {shown}"));
            assert_eq!(its["limit"], limit.most, "{name}, {unit} a {window}: {shown}");
            assert_ne!(its["source"], "config", "{shown}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_demos_own_settings_count_if_they_are_in_the_real_environment() -> anyhow::Result<()> {
    let own = [("PROXY_API_KEY", "k"), ("LOG_FORMAT", "json")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let (binary, address) = Binary::start(&["demo"], own.into()).await?;
    assert!(binary.output.starts_with('{'), "{}", binary.output);
    let client = http_client()?;
    let request = || client.post(format!("http://{address}/chat")).json(&question());
    assert_eq!(request().send().await?.status(), 401);
    assert_eq!(request().bearer_auth("k").send().await?.status(), 200);
    Ok(())
}

/// A made-up argument of an agent's shell would be run as a command on a newcomer's machine.
#[tokio::test]
async fn the_demo_calls_a_tool_that_is_named_and_never_a_shell() -> anyhow::Result<()> {
    let (_binary, address) = start().await?;
    let tool = |name: &str, parameter: &str| {
        let schema =
            json!({"type": "object", "properties": {parameter: {"type": "string"}}, "required": [parameter]});
        json!({"type": "function", "function": {"name": name, "parameters": schema}})
    };
    let client = http_client()?;
    for (asked, choice, called) in [
        ("What can you do?", "auto", None),
        ("Please call get_weather for Madrid", "auto", Some("get_weather")),
        ("Use `bash` to list my files", "auto", None),
        ("Do what you want", "required", Some("get_weather")),
    ] {
        let tools = json!([tool("bash", "command"), tool("get_weather", "city")]);
        let body = json!({
            "model": "auto", "tools": tools, "tool_choice": choice, "messages": [{"role": "user", "content": asked}],
        });
        let answer = client.post(format!("http://{address}/v1/chat/completions")).json(&body).send().await?;
        let message = answer.json::<Value>().await?["choices"][0]["message"].take();
        assert_eq!(message["tool_calls"][0]["function"]["name"].as_str(), called, "{asked}: {message}");
        assert!(message["tool_calls"][1].is_null(), "{asked}: {message}");
    }
    Ok(())
}
