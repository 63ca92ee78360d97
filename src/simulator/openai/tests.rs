use super::*;
use crate::middle::{
    AssistantPart, ChatRequest, Event, ExpectedCalls, Feature, Message, Part, Tool, ToolCall, ToolChoice,
};
use crate::providers::{AnswerDecoder, Auth, Dialect, ErrorForm, NullContent, Profile, Provider, Quirks};
use crate::simulator::Settings;
use crate::simulator::{Framing, Outcome};

/// A provider that the simulator has never heard of and that differs from OpenAI in every column.
fn odd() -> Provider {
    let quirks = Quirks {
        chat_path: "/odd/chat",
        max_tokens_name: "most",
        unasked_max_tokens: Some(64),
        seed_name: "random_seed",
        required_word: "any",
        null_content: NullContent::Empty,
        takes: &[Feature::Seed],
        errors: ErrorForm::Flat,
        ..Quirks::NONE
    };
    let (auth, dialect) = (Auth::Header("x-odd-key"), Dialect::OpenAi(quirks));
    let like = Provider::CEREBRAS.profile();
    Provider::of(Box::leak(Box::new(Profile { name: "Odd", models: &[], auth, dialect, ..*like })))
}

/// A request that touches every column.
fn request() -> ChatRequest {
    let call = ToolCall { id: "1".into(), name: "f".into(), arguments: "{}".into(), signature: None };
    let result = Message::Tool { call_id: "1".into(), parts: vec![Part::Text("2".into())], is_error: false };
    let messages = vec![Message::user("Hi"), Message::Assistant(vec![AssistantPart::Call(call)]), result];
    let mut request = ChatRequest::new([messages, vec![Message::user("And?")]].concat()).expect("messages");
    request.seed = Some(7);
    request.top_p = Some(0.5);
    request.tools = vec![Tool { name: "f".into(), description: None, parameters: None, strict: Some(true) }];
    request.tool_choice = Some(ToolChoice::Required);
    request
}

/// What the simulation of `provider` answers, head and body.
fn answer_of(provider: Provider, path: &str, body: &Value) -> (String, Vec<u8>) {
    let settings =
        Settings::new(provider, std::sync::Arc::new(|| crate::time::Moment::at(jiff::Timestamp::UNIX_EPOCH)));
    let shared = Shared::new(provider, Settings { models: vec!["odd-1".to_owned()], ..settings });
    shared.state().usual = Behaviour { framing: Framing::Close, ..Behaviour::echo() };
    let received = ReceivedRequest {
        number: 0,
        connection: 0,
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: vec![("x-odd-key".to_owned(), "a-key".to_owned())],
        body: body.to_string().into_bytes(),
        received: tokio::time::Instant::now(),
        outcome: Outcome::Open,
    };
    let host = Host::of(provider.profile()).expect("OpenAI's dialect");
    let mut sent = respond(&shared, &host, &received).into_iter().filter_map(|step| match step {
        Step::Send(bytes) => Some(bytes),
        Step::Pause(_) | Step::Hang | Step::Reset | Step::Close => None,
    });
    let head = String::from_utf8(sent.next().unwrap_or_default()).expect("a head");
    (head, sent.flatten().collect())
}

/// Needs no word here about the provider: both sides read its row.
#[test]
fn a_new_row_is_simulated_as_it_says() {
    let provider = odd();
    let wire = provider.encode(&request(), "odd-1", None);
    let body: Value = serde_json::from_slice(&wire.body).expect("JSON");
    let (head, answer) = answer_of(provider, &wire.path, &body);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}{}", String::from_utf8_lossy(&answer));
    assert!(!String::from_utf8_lossy(&answer).contains("x_groq"), "only Groq has its own part");
    let expected = ExpectedCalls {
        renamed: Vec::new(),
        offered: Vec::new(),
        needs_objects: false,
        taken: Vec::new(),
        random: fastrand::Rng::with_seed(1),
    };
    let mut decoder = AnswerDecoder::new(provider, false, Some(expected));
    let mut events = Vec::new();
    decoder.push(&answer, &mut events).expect("an answer");
    decoder.end(&mut events).expect("a whole answer");
    assert!(events.iter().any(|event| matches!(event, Event::ToolCall(_))), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Usage(_))), "{events:?}");
}

/// The simulator would notice if a column were not heeded.
#[test]
fn what_a_new_row_does_not_take_is_refused() {
    let provider = odd();
    let wire = provider.encode(&request(), "odd-1", None);
    let body: Value = serde_json::from_slice(&wire.body).expect("JSON");
    for (place, value) in [
        ("/top_p", json!(0.5)),
        ("/seed", json!(7)),
        ("/max_tokens", json!(64)),
        ("/tool_choice", json!("required")),
        ("/messages/1/content", Value::Null),
        ("/tools/0/function/strict", json!(true)),
    ] {
        let mut wrong = body.clone();
        let (object, field) = place.rsplit_once('/').expect("a place");
        wrong.pointer_mut(object).expect("an object")[field] = value;
        let (head, answer) = answer_of(provider, &wire.path, &wrong);
        let error: Value = serde_json::from_slice(&answer).expect("JSON");
        assert!(head.starts_with("HTTP/1.1 400 ") && error["message"].is_string(), "{place}: {error}");
    }
    let mut unasked = body;
    unasked["stream_options"] = Value::Null;
    let (_, answer) = answer_of(provider, &wire.path, &unasked);
    assert!(!String::from_utf8_lossy(&answer).contains("usage"), "nobody has asked for it");
    assert!(answer_of(provider, "/v1/chat/completions", &unasked).0.starts_with("HTTP/1.1 404 "));
}
