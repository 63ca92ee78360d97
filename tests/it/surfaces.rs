//! The dialects of agents. A number in a test's name is that of a pitfall, the same in every file: one list of them counts
//! through all dialects.

mod anthropic;
mod gemini;
mod matrix;
mod moved;
mod ollama;
mod responses;

use ai_proxy_free::internals::providers::{Directory, Provider};
use serde_json::Value;

use crate::support::{Reply, TestProxy};

/// `body` with these fields, too.
fn with(mut body: Value, fields: Value) -> Value {
    let more = fields.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(more);
    body
}

/// The names that pin each of the three dialects' providers.
fn pins() -> impl Iterator<Item = (Provider, String)> {
    Directory::core().into_iter().map(|provider| (provider, provider.name().to_ascii_lowercase()))
}

/// What the last call of a provider said.
fn sent(proxy: &TestProxy, provider: Provider) -> Value {
    proxy.provider(provider).chats().pop().expect("a call").json()
}

fn ignored(reply: &Reply) -> Vec<&str> {
    reply.header("x-ignored-fields").unwrap_or_default().split(", ").collect()
}
