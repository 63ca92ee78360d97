//! Requests: names in two spellings, tools and their results, schemas, what is skipped and what is refused.

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::Behaviour;
use serde_json::{Value, json};

use super::{calls, contents, generate, ignored, parts, pins, question, sent, text, with};
use crate::support::TestProxy;

const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// What Groq was sent, whose form is the plainest.
async fn sent_to_groq(body: &Value) -> anyhow::Result<(Value, Vec<String>)> {
    let proxy = TestProxy::core().await?;
    let reply = generate(&proxy, "groq", body).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let told = ignored(&reply).into_iter().map(str::to_owned).collect();
    Ok((sent(&proxy, Provider::GROQ), told))
}

#[tokio::test]
async fn names_in_snake_case_and_in_camel_case_are_the_same() -> anyhow::Result<()> {
    let camel = json!({"systemInstruction": {"parts": [{"text": "Be kind"}]},
        "contents": [{"parts": [{"text": "Hola"}]}],
        "generationConfig": {"maxOutputTokens": 300.0, "topP": 0.5, "stopSequences": ["x"], "responseMimeType": "application/json"},
        "tools": [{"functionDeclarations": [{"name": "look", "parametersJsonSchema": {"type": "object"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "NONE"}}});
    let snake = json!({"system_instruction": {"parts": [{"text": "Be kind"}]},
        "contents": [{"parts": [{"text": "Hola"}]}],
        "generation_config": {"max_output_tokens": 300, "top_p": 0.5, "stop_sequences": ["x"], "response_mime_type": "application/json"},
        "tools": [{"function_declarations": [{"name": "look", "parameters_json_schema": {"type": "object"}}]}],
        "tool_config": {"function_calling_config": {"mode": "NONE"}}});
    let (sent, told) = sent_to_groq(&camel).await?;
    assert_eq!((sent.clone(), told), sent_to_groq(&snake).await?);
    assert_eq!(sent["messages"][0], json!({"role": "system", "content": "Be kind"}));
    assert_eq!((&sent["top_p"], &sent["stop"]), (&json!(0.5), &json!(["x"])));
    Ok(())
}

#[tokio::test]
async fn a_call_goes_to_the_client_and_its_result_comes_back() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let schema = json!({"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]});
    let tools = json!({"tools": [{"functionDeclarations": [{"name": "get_weather", "parameters": schema}]}]});
    let ask = json!({"role": "user", "parts": [{"text": "Please get_weather"}]});
    for (provider, pin) in pins() {
        let reply = generate(&proxy, &pin, &with(contents(json!([ask])), tools.clone())).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let turn = reply.json()["candidates"][0]["content"].clone();
        let call = calls(&parts(&[reply.json()])).pop().expect("a call")["functionCall"].clone();
        assert!(call["args"]["city"].is_string(), "{call}");
        let result = json!({"role": "user", "parts": [{"functionResponse":
            {"id": call["id"], "name": "get_weather", "response": {"output": "21 degrees"}}}]});
        let fine = json!({"role": "user", "parts": [{"functionResponse":
            {"id": call["id"], "name": "get_weather", "response": {"error": null}}}]});
        let reply = generate(&proxy, &pin, &with(contents(json!([ask, turn, fine])), tools.clone())).await?;
        let said = text(&parts(&[reply.json()]));
        assert!(!said.contains("Error"), "an error that is none: {said}");
        let history = with(contents(json!([ask, turn, result])), tools.clone());
        let reply = generate(&proxy, &pin, &history).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        assert!(text(&parts(&[reply.json()])).contains("21 degrees"), "{provider:?}: {}", reply.text());
    }
    Ok(())
}

/// The roles and texts of what Groq was sent, results with the id of their call.
fn shown(sent: &Value) -> Vec<String> {
    let messages = sent["messages"].as_array().expect("messages").iter();
    messages
        .map(|it| {
            let calls = it["tool_calls"].as_array().into_iter().flatten();
            let calls: Vec<String> =
                calls.map(|call| format!("+{}", call["id"].as_str().expect("an id"))).collect();
            let id = it["tool_call_id"].as_str().unwrap_or_default();
            let text = it["content"].as_str().unwrap_or_default();
            format!("{} {text}{id}{}", it["role"].as_str().expect("a role"), calls.concat())
        })
        .collect()
}

#[tokio::test]
async fn n18_two_calls_and_two_results_pair_by_id_or_by_name() -> anyhow::Result<()> {
    let turns = |first: Value, second: Value, one: Value, other: Value| {
        contents(json!([{"role": "user", "parts": [{"text": "Both"}]},
            {"role": "model", "parts": [{"functionCall": first}, {"functionCall": second}]},
            {"role": "user", "parts": [{"functionResponse": other}, {"functionResponse": one}, {"text": "Now?"}]}]))
    };
    let with_ids = turns(
        json!({"id": "a", "name": "look", "args": {}}),
        json!({"id": "b", "name": "look", "args": {}}),
        json!({"id": "a", "name": "look", "response": {"result": "1"}}),
        json!({"id": "b", "name": "look", "response": {"result": "2"}}),
    );
    let (sent, _) = sent_to_groq(&with_ids).await?;
    assert_eq!(shown(&sent), ["user Both", "assistant +a+b", "tool 1a", "tool 2b", "user Now?"]);
    let by_name = turns(
        json!({"name": "look", "args": {}}),
        json!({"name": "wait", "args": {}}),
        json!({"name": "look", "response": {"result": "1"}}),
        json!({"name": "wait", "response": {"error": "2"}}),
    );
    let (sent, _) = sent_to_groq(&by_name).await?;
    let ids: Vec<String> = (1..=2).map(|n| format!("call_1_{n}")).collect();
    let expected = [
        "user Both".to_owned(),
        format!("assistant +{}+{}", ids[0], ids[1]),
        format!("tool 1{}", ids[0]),
        format!("tool Error: 2{}", ids[1]),
        "user Now?".to_owned(),
    ];
    assert_eq!(shown(&sent), expected);
    Ok(())
}

#[tokio::test]
async fn n06_a_picture_in_a_result_reaches_the_model_as_a_picture() -> anyhow::Result<()> {
    let result = json!({"functionResponse": {"name": "look", "response": {"result": "See"},
        "parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]}});
    let history = contents(json!([{"role": "user", "parts": [{"text": "Look"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}}]},
        {"role": "user", "parts": [result]}]));
    let proxy = TestProxy::core().await?;
    let reply = generate(&proxy, "groq/qwen/qwen3.8-27b", &history).await?;
    let proxy_sent = match reply.status {
        200 => sent(&proxy, Provider::GROQ),
        _ => {
            assert_eq!(generate(&proxy, "gemini", &history).await?.status, 200);
            sent(&proxy, Provider::GEMINI)
        }
    };
    assert!(proxy_sent.to_string().contains(PIXEL), "{proxy_sent}");
    Ok(())
}

#[tokio::test]
async fn n08_thoughts_of_the_history_go_nowhere() -> anyhow::Result<()> {
    let history = contents(json!([{"role": "user", "parts": [{"text": "Hola"}]},
        {"role": "model", "parts": [{"text": "secret thought", "thought": true, "thoughtSignature": "QUJD"}, {"text": "Yes"}]},
        {"role": "user", "parts": [{"text": "And?"}]}]));
    let (sent, told) = sent_to_groq(&history).await?;
    assert!(!sent.to_string().contains("secret thought"), "{sent}");
    assert!(told.contains(&"contents.parts.thought".to_owned()), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn n10_a_call_without_a_signature_of_googles_works_and_the_substitute_passes() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    for signature in [None, Some("skip_thought_signature_validator")] {
        let mut call = json!({"functionCall": {"name": "look", "args": {}}});
        if let Some(signature) = signature {
            call["thoughtSignature"] = json!(signature);
        }
        let history = contents(json!([{"role": "user", "parts": [{"text": "Look"}]},
            {"role": "model", "parts": [call]},
            {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"result": "sea"}}}]}]));
        let reply = generate(&proxy, "gemini", &history).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let part = sent(&proxy, Provider::GEMINI)["contents"][1]["parts"][0].clone();
        assert_eq!(part["thoughtSignature"], "skip_thought_signature_validator", "{part}");
    }
    Ok(())
}

#[tokio::test]
async fn a_signature_goes_to_the_client_and_comes_back() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let tools = json!({"tools": [{"functionDeclarations": [{"name": "look"}]}]});
    proxy.provider(Provider::GEMINI).then(Behaviour::calling([("look", "{}")]));
    let ask = json!({"role": "user", "parts": [{"text": "Look"}]});
    let reply = generate(&proxy, "gemini", &with(contents(json!([ask])), tools.clone())).await?;
    let turn = reply.json()["candidates"][0]["content"].clone();
    let call = calls(&parts(&[reply.json()])).pop().expect("a call");
    let signature = call["thoughtSignature"].as_str().expect("a signature").to_owned();
    let result = json!({"role": "user", "parts": [{"functionResponse":
        {"id": call["functionCall"]["id"], "name": "look", "response": {"result": "sea"}}}]});
    let reply = generate(&proxy, "gemini", &with(contents(json!([ask, turn, result])), tools)).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(sent(&proxy, Provider::GEMINI).to_string().contains(&signature));
    Ok(())
}

#[tokio::test]
async fn n15_what_is_unknown_is_skipped_and_told() -> anyhow::Result<()> {
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "Hola"}, {"newThing": {"a": 1}}]}],
        "safetySettings": [], "somethingNew": 1, "generationConfig": {"mediaResolution": "LOW"}});
    let (sent, told) = sent_to_groq(&body).await?;
    assert_eq!(shown(&sent), ["user Hola"]);
    for name in
        ["safetySettings", "somethingNew", "contents.parts.newThing", "generationConfig.mediaResolution"]
    {
        assert!(told.contains(&name.to_owned()), "{name}: {told:?}");
    }
    Ok(())
}

#[tokio::test]
async fn n16_n17_schemas_reach_other_providers_in_small_letters_in_whichever_field_they_came()
-> anyhow::Result<()> {
    let upper = json!({"type": "OBJECT", "properties": {"a": {"type": "INTEGER", "nullable": true}}});
    let lower = json!({"type": "object", "properties": {"a": {"type": ["integer", "null"]}}});
    for field in ["parameters", "parametersJsonSchema", "parameters_json_schema"] {
        let mut function = json!({"name": "look"});
        function[field] = upper.clone();
        let tools = json!({"tools": [{"functionDeclarations": [function]}]});
        let (sent, _) = sent_to_groq(&with(question(), tools)).await?;
        assert_eq!(sent["tools"][0]["function"]["parameters"], lower, "{field}");
    }
    for field in ["responseSchema", "responseJsonSchema"] {
        let mut config = json!({"responseMimeType": "application/json"});
        config[field] = upper.clone();
        let (sent, _) = sent_to_groq(&with(question(), json!({"generationConfig": config}))).await?;
        assert_eq!(sent["response_format"]["json_schema"]["schema"], lower, "{field}");
    }
    Ok(())
}

#[tokio::test]
async fn n19_a_long_name_is_shortened_upstream_and_comes_back_whole() -> anyhow::Result<()> {
    let name = "mcp__".to_owned() + &"tool".repeat(24);
    let tools = json!({"tools": [{"functionDeclarations": [{"name": name}]}]});
    let ask = contents(json!([{"role": "user", "parts": [{"text": format!("Please {name}")}]}]));
    let proxy = TestProxy::core().await?;
    let config = json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}});
    for (provider, pin) in pins() {
        let reply = generate(&proxy, &pin, &with(with(ask.clone(), tools.clone()), config.clone())).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let call =
            calls(&parts(&[reply.json()])).pop().unwrap_or_else(|| panic!("no call: {}", reply.text()));
        assert_eq!(call["functionCall"]["name"], name.as_str(), "{provider:?}");
    }
    Ok(())
}

#[tokio::test]
async fn only_allowed_functions_are_offered() -> anyhow::Result<()> {
    let body = with(
        question(),
        json!({
        "tools": [{"functionDeclarations": [{"name": "look"}, {"name": "wait"}]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["wait"]}}}),
    );
    let (sent, told) = sent_to_groq(&body).await?;
    let names: Vec<&Value> =
        sent["tools"].as_array().expect("tools").iter().map(|it| &it["function"]["name"]).collect();
    assert_eq!((names, &sent["tool_choice"]), (vec![&json!("wait")], &json!("required")));
    assert!(told.contains(&"tools.googleSearch".to_owned()), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn what_would_change_the_answers_meaning_is_refused_by_name() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let config = |fields: Value| json!({"generationConfig": fields});
    let cases = [
        (config(json!({"candidateCount": 2})), "candidateCount"),
        (config(json!({"responseModalities": ["AUDIO"]})), "responseModalities"),
        (config(json!({"responseLogprobs": true})), "responseLogprobs"),
        (config(json!({"responseMimeType": "text/x.enum"})), "responseMimeType"),
        (config(json!({"responseFormat": {"type": "json"}})), "responseFormat"),
        (config(json!({"responseSchema": {"type": "OBJECT"}})), "responseSchema"),
        (json!({"cachedContent": "cachedContents/1"}), "cachedContent"),
        (json!({"tools": [{"googleSearch": {}}]}), "googleSearch"),
        (json!({"contents": [{"role": "user", "parts": [{"fileData": {"fileUri": "files/1"}}]}]}), "fileUri"),
        (json!({"contents": [{"role": "nobody", "parts": []}]}), "role"),
        (json!({"contents": []}), "contents"),
        (json!({"contents": [""]}), "contents"),
        (json!({"contents": [{"parts": [""]}]}), "contents"),
        (json!({"contents": null}), "contents"),
    ];
    for (fields, named) in cases {
        let reply = generate(&proxy, "auto", &with(question(), fields)).await?;
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, &error["status"]), (400, &json!("INVALID_ARGUMENT")), "{named}: {error}");
        assert!(error["message"].as_str().expect("a message").contains(named), "{named}: {error}");
    }
    assert_eq!(proxy.upstream_calls(), 0);
    Ok(())
}

/// As deep as the client likes: once it ended the process.
#[tokio::test]
async fn a_result_in_a_result_in_a_result_is_survived() -> anyhow::Result<()> {
    let (open, close) = (r#"{"functionResponse":{"name":"f","parts":["#, "]}}");
    let body = format!(
        r#"{{"contents":[{{"parts":[{}{{"text":"x"}}{}]}}]}}"#,
        open.repeat(20_000),
        close.repeat(20_000)
    );
    let proxy = TestProxy::core().await?;
    for word in ["countTokens", "generateContent"] {
        let path = format!("/v1beta/models/auto:{word}");
        let sent =
            crate::support::http_client()?.post(proxy.url(&path)).header("content-type", "application/json");
        let status = sent.body(body.clone()).send().await?.status().as_u16();
        assert!([200, 400].contains(&status), "{word}: {status}");
    }
    Ok(())
}

#[tokio::test]
async fn more_tools_than_anybody_has_are_refused_at_once() -> anyhow::Result<()> {
    let functions: Vec<Value> = (0..30_000).map(|number| json!({"name": format!("f{number}")})).collect();
    let proxy = TestProxy::core().await?;
    let body = with(question(), json!({"tools": [{"functionDeclarations": functions}]}));
    let reply = generate(&proxy, "auto", &body).await?;
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(reply.text().contains("more than 1024"), "{}", reply.text());
    Ok(())
}

#[tokio::test]
async fn texts_and_papers_are_read() -> anyhow::Result<()> {
    let part = |media_type: &str, data: &str| json!({"inlineData": {"mimeType": media_type, "data": data}});
    let text = contents(json!([{"parts": [part("text/plain", "SG9sYQ==")]}]));
    assert_eq!(shown(&sent_to_groq(&text).await?.0), ["user Hola"]);
    let paper = contents(json!([{"parts": [{"text": "Read"}, part("application/pdf", "JVBERi0xLjQK")]}]));
    let proxy = TestProxy::core().await?;
    let reply = generate(&proxy, "auto", &paper).await?;
    assert_eq!((reply.status, reply.header("x-provider")), (200, Some("Gemini")), "{}", reply.text());
    assert!(sent(&proxy, Provider::GEMINI).to_string().contains("JVBERi0xLjQK"));
    Ok(())
}
