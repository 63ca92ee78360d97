//! What all tests use: a proxy over simulated providers, and clients that see every byte.

mod clients;
pub(crate) mod log;
mod proxy;
mod raw_upstream;

pub(crate) use clients::{RawClient, Reply, ask, ask_at, chat, complete, http_client, parse_sse, question};
pub(crate) use proxy::{Binary, ProxyBuilder, TestClock, TestProxy, with_one_model_each};
pub(crate) use raw_upstream::{RawUpstream, Script, Step};

use std::time::Duration;

use ai_proxy_free::internals::providers::{Auth, Dialect, Directory, Provider};

/// How long anything may take before a test gives up: far beyond what a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for `future`, but not for ever.
///
/// # Panics
/// It took too long; `what` says what was waited for.
pub(crate) async fn within_patience<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// The providers that speak OpenAI's dialect, in rotation order.
pub(crate) fn openai_providers() -> impl Iterator<Item = Provider> {
    let speaks_openai = |it: &Provider| matches!(it.profile().dialect, Dialect::OpenAi(_));
    Directory::core().into_iter().filter(speaks_openai)
}

/// The header that shows a provider its key.
pub(crate) fn key_header(provider: Provider) -> &'static str {
    match provider.profile().auth {
        Auth::Bearer => "authorization",
        Auth::Header(name) => name,
    }
}

/// The names of all headers that a completion is asked for with, sorted.
pub(crate) fn call_headers(provider: Provider) -> Vec<&'static str> {
    let usual = ["accept", "accept-encoding", "content-length", "content-type", "host", "user-agent"];
    let own = provider.profile().headers.iter().map(|(name, _)| *name);
    let mut names: Vec<_> = usual.into_iter().chain([key_header(provider)]).chain(own).collect();
    names.sort_unstable();
    names
}
