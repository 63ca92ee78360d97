//! What we send to providers, against golden files.

use ai_proxy_free::chat::{ChatRequest, Message, Role};
use ai_proxy_free::providers::Provider;

fn request(messages: &[(Role, &str)]) -> ChatRequest {
    let messages = messages.iter().map(|&(role, content)| Message { role, content: content.to_owned() });
    ChatRequest::new(messages.collect()).expect("at least one message")
}

#[test]
fn requests_are_encoded_as_their_golden_files_say() {
    use Role::{Assistant, System, User};
    let mut everything = request(&[
        (System, "Be terse."),
        (User, "Hi"),
        (Assistant, "Hello."),
        (System, "In Spanish."),
        (User, "Who won?"),
    ]);
    everything.temperature = Some(0.2);
    everything.max_tokens = Some(64);
    let cases = [
        ("simple", request(&[(User, "¿Qué \"tal\"?\n")])),
        ("everything", everything),
        (
            "neighbours",
            request(&[(User, "One"), (User, "Two"), (Assistant, "A"), (Assistant, "B"), (User, "Three")]),
        ),
        ("system_only", request(&[(System, "Say hello."), (System, "Politely.")])),
        ("assistant_first", request(&[(System, "Be terse."), (Assistant, "Hello."), (User, "Hi")])),
    ];
    for provider in Provider::ALL {
        for (case, request) in &cases {
            snapshot(provider, case, request, provider.profile().models[0]);
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
