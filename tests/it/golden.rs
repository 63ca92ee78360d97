//! What we send to providers, against golden files.

use ai_proxy_free::chat::{ChatRequest, Message};
use ai_proxy_free::providers::Provider;

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
    for provider in Provider::ALL {
        for (case, request) in &cases {
            snapshot(provider, case, request, provider.profile().models[0].id);
        }
    }
    for case in ["everything", "assistant_first"] {
        let (_, request) = cases.iter().find(|(name, _)| *name == case).expect("a case");
        snapshot(Provider::Gemini, &format!("gemma_{case}"), request, "gemma-4-31b-it");
    }
}

fn snapshot(provider: Provider, case: &str, request: &ChatRequest, model: &str) {
    let wire = provider.encode(request, model);
    let body: serde_json::Value = serde_json::from_slice(&wire.body).expect("JSON");
    let golden = format!("POST {}\n\n{body:#}\n", wire.path);
    insta::assert_snapshot!(format!("request_{}_{case}", provider.name()), golden);
}
