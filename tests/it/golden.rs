//! What we send to providers, against golden files.

use ai_proxy_free::internals::middle::{
    AssistantPart, ChatRequest, Event, Feature, File, FinishReason, Image, Message, Part, Reason, Tool,
    ToolCall, ToolCallOpening, ToolCallPiece, ToolChoice, Usage,
};
use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::surfaces::{Ask as _, Author, Completion, Encode as _, Interrupted};

/// The head of a request that says nothing of its own.
fn head() -> http::request::Parts {
    http::Request::new(()).into_parts().0
}

type Said<'a> = (fn(&str) -> Message, &'a str);

fn request(messages: &[Said<'_>]) -> ChatRequest {
    let messages = messages.iter().map(|(message, text)| message(text));
    ChatRequest::new(messages.collect()).expect("at least one message")
}

#[test]
fn requests_are_encoded_as_their_golden_files_say() {
    const SYSTEM: fn(&str) -> Message = |text| Message::system(text);
    const USER: fn(&str) -> Message = |text| Message::user(text);
    const ASSISTANT: fn(&str) -> Message = |text| Message::assistant(text);
    let mut everything = request(&[
        (SYSTEM, "Be terse."),
        (USER, "Hi"),
        (ASSISTANT, "Hello."),
        (SYSTEM, "In Spanish."),
        (USER, "Who won?"),
    ]);
    everything.temperature = Some(0.2);
    everything.max_tokens = Some(64);
    let cases = [
        ("simple", request(&[(USER, "¿Qué \"tal\"?\n")])),
        ("everything", everything),
        (
            "neighbours",
            request(&[(USER, "One"), (USER, "Two"), (ASSISTANT, "A"), (ASSISTANT, "B"), (USER, "Three")]),
        ),
        ("system_only", request(&[(SYSTEM, "Say hello."), (SYSTEM, "Politely.")])),
        ("assistant_first", request(&[(SYSTEM, "Be terse."), (ASSISTANT, "Hello."), (USER, "Hi")])),
    ];
    for provider in Directory::core() {
        for (case, request) in &cases {
            snapshot(provider, case, request, provider.profile().models[0].id);
        }
    }
    for case in ["everything", "assistant_first"] {
        let (_, request) = cases.iter().find(|(name, _)| *name == case).expect("a case");
        snapshot(Provider::GEMINI, &format!("gemma_{case}"), request, "gemma-4-31b-it");
    }
}

fn snapshot(provider: Provider, case: &str, request: &ChatRequest, model: &str) {
    let wire = provider.encode(request, model, request.max_tokens);
    let body: serde_json::Value = serde_json::from_slice(&wire.body).expect("JSON");
    let golden = format!("POST {}\n\n{body:#}\n", wire.path);
    insta::assert_snapshot!(format!("request_{}_{case}", provider.name()), golden);
}

/// Everything that a client of OpenAI's surface can ask at once, for each model that takes another form of it.
#[test]
fn requests_of_openais_clients_are_encoded_as_their_golden_files_say() {
    let tools = r#"[
        {"type":"function","function":{"name":"get_weather","description":"Weather for a city","strict":true,
         "parameters":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",
            "properties":{"city":{"type":"string","minLength":1},"unit":{"const":"C"},"limit":{"type":"integer","maximum":9007199254740993}},
            "required":["city"],"additionalProperties":false}}},
        {"type":"function","function":{"name":"now"}}]"#;
    let conversation = r#"[
        {"role":"developer","content":"Be terse."},
        {"role":"user","content":[{"type":"text","text":"What is this, and the weather?"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}}]},
        {"role":"assistant","content":"One moment.","reasoning_content":"Hm.","tool_calls":[
            {"id":"c1","type":"function","function":{"name":"get_weather","arguments":"{\"city\": \"Lima\",\"n\":12345678901234567890}"},
             "extra_content":{"google":{"thought_signature":"sig"}}},
            {"id":"c2","type":"function","function":{"name":"now","arguments":""}}]},
        {"role":"tool","tool_call_id":"c2","content":"noon"},
        {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"{\"temp\":21}"}]},
        {"role":"user","content":"And in words?"}]"#;
    let sampling = r#""temperature":0.2,"top_p":0.9,"max_completion_tokens":64,"stop":"END","seed":5000000000,"user":"me",
        "frequency_penalty":0.5,"presence_penalty":-0.5,"parallel_tool_calls":false,"reasoning_effort":"high""#;
    let schema = r#"{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"type":"object",
        "properties":{"city":{"type":"string","pattern":"^L"}},"required":["city"],"additionalProperties":false}}}"#;
    let question = r#"[{"role":"user","content":"Lima?"}]"#;
    let cases = [
        (
            "tools",
            format!(r#"{{"messages":{conversation},"tools":{tools},"tool_choice":"auto",{sampling}}}"#),
        ),
        (
            "empty_text",
            r#"{"messages":[{"role":"user","content":""},{"role":"user","content":"Lima?"}]}"#.to_owned(),
        ),
        (
            "named_tool",
            format!(
                r#"{{"messages":{question},"tools":{tools},"tool_choice":{{"type":"function","function":{{"name":"now"}}}}}}"#
            ),
        ),
        (
            "allowed_tools",
            format!(
                r#"{{"messages":{question},"tools":{tools},"tool_choice":{{"type":"allowed_tools","allowed_tools":
               {{"mode":"required","tools":[{{"type":"function","function":{{"name":"now"}}}}]}}}}}}"#
            ),
        ),
        ("schema", format!(r#"{{"messages":{question},"response_format":{schema}}}"#)),
        ("json_object", format!(r#"{{"messages":{question},"response_format":{{"type":"json_object"}}}}"#)),
    ];
    let models = [
        (Provider::GROQ, "qwen/qwen3.8-27b"),
        (Provider::CEREBRAS, "qwen-3.8-27b"),
        (Provider::GEMINI, "gemini-3.8-flash"),
        (Provider::GEMINI, "gemini-2.5-flash"),
    ];
    for (case, body) in &cases {
        let mut call = Completion::parse(&head(), body.as_bytes()).expect("a good request");
        for (provider, model) in models {
            let name = model.rsplit('/').next().unwrap_or_default();
            snapshot(provider, &format!("{case}_{name}"), call.request(), model);
        }
    }
}

/// Pictures in the results of tools, and words behind a call: what no surface sends yet and every provider can be sent.
#[test]
fn results_with_pictures_and_words_behind_calls_are_encoded_in_their_order() {
    let text = |text: &str| AssistantPart::Text(text.into());
    let call = |id: &str, name: &str| {
        let (id, name, arguments) = (id.into(), name.into(), "{}".into());
        AssistantPart::Call(ToolCall { id, name, arguments, signature: None })
    };
    let result = |id: &str, parts: Vec<Part>| Message::Tool { call_id: id.into(), parts, is_error: false };
    let words = |text: &str| Part::Text(text.into());
    let picture =
        |base64: &str| Part::Image(Image::Inline { media_type: "image/png".into(), base64: base64.into() });
    let cases = [
        (
            "words_behind_a_call",
            vec![
                Message::user("Time?"),
                Message::Assistant(vec![
                    text("One"),
                    call("a", "now"),
                    text("two"),
                    call("b", "look"),
                    text("three"),
                ]),
                result("a", vec![words("noon")]),
                result("b", vec![]),
                Message::user("And?"),
            ],
        ),
        (
            // The results come in another order than the calls, and each shows something.
            "pictures_in_results",
            vec![
                Message::user("Look"),
                Message::Assistant(vec![call("a", "look"), call("b", "look")]),
                result("b", vec![picture("QkJC")]),
                result("a", vec![words("Here: "), picture("QUFB"), words("that is it")]),
                Message::Assistant(vec![call("c", "look")]),
                result("c", vec![words("nothing")]),
                Message::user("And?"),
            ],
        ),
    ];
    for (case, messages) in cases {
        let request = ChatRequest::new(messages).expect("at least one message");
        assert_eq!(request.needs().inline_images, case == "pictures_in_results");
        for (provider, model) in
            [(Provider::GROQ, "qwen/qwen3.8-27b"), (Provider::GEMINI, "gemini-3.8-flash")]
        {
            snapshot(provider, case, &request, model);
        }
    }
}

/// What clients of other dialects can ask: failed tools, long names of tools, more texts to stop at than fit, `top_k`, files.
#[test]
fn what_other_dialects_can_ask_is_encoded_as_its_golden_files_say() {
    let long = format!("mcp__{}__list.files", "github_".repeat(10));
    let call = |id: &str, name: &str| {
        let (id, name, arguments) = (id.into(), name.into(), "{}".into());
        AssistantPart::Call(ToolCall { id, name, arguments, signature: None })
    };
    let failed = |id: &str, texts: &[&str]| {
        let parts = texts.iter().map(|text| Part::Text((*text).into())).collect();
        Message::Tool { call_id: id.into(), parts, is_error: true }
    };
    let messages = vec![
        Message::user("List"),
        Message::Assistant(vec![call("a", &long), call("b", "no longer offered"), call("c", "now")]),
        failed("a", &["no such folder", ", says the disk"]),
        failed("b", &["Error: no such tool"]),
        failed("c", &[]),
        Message::user("And?"),
    ];
    let mut request = ChatRequest::new(messages).expect("at least one message");
    request.tools = [&*long, "now"]
        .map(|name| Tool { name: name.into(), description: None, parameters: None, strict: None })
        .to_vec();
    request.tool_choice = Some(ToolChoice::Named(long));
    request.top_k = Some(40);
    request.stop = ["A", "B", "C", "D", "E", "F"].map(str::to_owned).to_vec();
    let vllm = Directory::built_in().find("vLLM").expect("a row");
    for (provider, model) in
        [(Provider::GROQ, "qwen/qwen3.8-27b"), (Provider::GEMINI, "gemini-3.8-flash"), (vllm, "some/model")]
    {
        snapshot(provider, "other_dialects", &request, model);
        let wire = provider.encode(&request, model, None);
        assert!(wire.left_out.contains(&Feature::Stop), "{}", provider.name());
        assert_eq!(wire.left_out.contains(&Feature::TopK), provider == Provider::GROQ, "{}", provider.name());
        assert!(wire.renamed_tools.iter().all(|(_, clients)| clients != "now"), "{}", provider.name());
    }
    let file = File {
        media_type: "application/pdf".into(),
        base64: "JVBERi0=".into(),
        name: Some("report.pdf".into()),
    };
    let with_file = vec![Message::User(vec![Part::Text("Read".into()), Part::File(file)])];
    let with_file = ChatRequest::new(with_file).expect("a message");
    assert!(with_file.needs().files);
    snapshot(Provider::GEMINI, "file", &with_file, "gemini-3.8-flash");
}

/// What a client of OpenAI's surface reads: every event of the middle, streamed, whole, and broken off.
#[test]
fn answers_are_written_for_openais_clients_as_their_golden_files_say() {
    let opening = |id: &str, name: &str, signature: Option<&str>| {
        Some(ToolCallOpening { id: id.into(), name: name.into(), signature: signature.map(str::to_owned) })
    };
    let piece = |index, opening, arguments: &str| {
        Event::ToolCall(ToolCallPiece { index, opening, arguments: arguments.into() })
    };
    let usage = Usage {
        prompt_tokens: 9,
        completion_tokens: 5,
        total_tokens: 14,
        cached_tokens: Some(2),
        reasoning_tokens: Some(3),
    };
    let events = vec![
        Event::Reasoning("Need \"it\".".into()),
        Event::Text("Uno\n".into()),
        piece(0, opening("c1", "get_weather", Some("sig")), "{\"city\":"),
        piece(0, None, "\"Lima\"}"),
        piece(1, opening("c2", "now", None), "{}"),
        Event::Usage(usage),
        Event::Finish(FinishReason::ToolCalls),
    ];
    let call = Completion::parse(
        &head(),
        br#"{"messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{"include_usage":true}}"#,
    )
    .expect("a good request");
    let author = Author {
        provider: Provider::GEMINI,
        model: "gemini-3.8-flash".into(),
        answer_id: "1".into(),
        created: 1_763_800_000,
    };
    let mut encoder = call.encoder(author.clone());
    let mut stream = Vec::new();
    for event in events.clone() {
        encoder.event(event, &mut stream);
    }
    let whole = call.encode_whole(events, &author).1;
    let mut broken = Vec::new();
    let mut encoder = call.encoder(author);
    encoder.event(Event::Text("Uno".into()), &mut broken);
    encoder.interrupted(&Interrupted::Provider { name: "Gemini", reason: Reason::BrokenStream }, &mut broken);
    for (case, bytes) in [("stream", stream), ("whole", whole), ("broken", broken)] {
        insta::assert_snapshot!(format!("openai_{case}"), String::from_utf8(bytes).expect("UTF-8"));
    }
}
