//! The providers beyond Groq, Cerebras and Gemini: each row against the simulator that it drives, over real sockets.

mod answers;
mod bills;
mod failures;
mod lists;
mod llama_cpp;
mod matrix;
mod mending;
mod settings;
mod tiers;

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{Behaviour, Reply};
use serde_json::Value;

use crate::support::{ProxyBuilder, TestProxy};

/// Every row that is not always listed and knows its models, in rotation order.
fn rows() -> impl Iterator<Item = Provider> {
    let has_models = |it: &Provider| it.default_models().next().is_some();
    Directory::built_in().into_iter().filter(|it| !it.profile().is_core).filter(has_models)
}

/// The row with this name.
fn row(name: &str) -> Provider {
    Directory::built_in().find(name).unwrap_or_else(|| panic!("there is no {name}"))
}

/// A proxy over one of them alone.
fn alone(provider: Provider) -> ProxyBuilder {
    TestProxy::builder().over([provider])
}

/// The name by which clients of OpenAI's surface pin a provider.
fn name(provider: Provider) -> String {
    provider.name().to_ascii_lowercase()
}

/// A body as it stands among the fixtures.
fn fixture(provider: Provider, file: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{}/{file}.json", env!("CARGO_MANIFEST_DIR"), name(provider));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// An answer with this status, headers and body.
fn raw(status: u16, headers: &[(&str, &str)], body: Vec<u8>) -> Behaviour {
    let json = [("content-type", "application/json")];
    let headers = json.iter().chain(headers).map(|(name, value)| (name.to_string(), value.to_string()));
    Behaviour::new(Reply::Raw { status, headers: headers.collect(), body: vec![body] })
}

/// The models that were asked for, in order.
fn asked_for(proxy: &TestProxy, provider: Provider) -> Vec<String> {
    let chats = proxy.provider(provider).chats();
    let model = |body: Value| body["model"].as_str().expect("a model").to_owned();
    chats.iter().map(|chat| model(chat.json())).collect()
}
