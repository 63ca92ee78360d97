//! The log lines of a request: one when it begins and one when it ends, however it ends.
//!
//! They never contain a prompt, an answer or a key.

use std::fmt::Display;

use tokio::time::Instant;
use tracing::{error, info, warn};

/// A request under way. If it is dropped before its end is logged, the client has left.
#[derive(Debug)]
pub(crate) struct RequestLog {
    request_id: String,
    begun: Instant,
    /// The provider and the model that answer, once they are known.
    answerer: Option<(&'static str, String)>,
    is_closed: bool,
}

impl RequestLog {
    /// Logs that a request has begun.
    pub(crate) fn begin(request_id: &str, messages: usize, stream: bool) -> Self {
        info!(request_id, stream, "Request with {messages} messages");
        Self { request_id: request_id.to_owned(), begun: Instant::now(), answerer: None, is_closed: false }
    }

    /// Remembers the provider and the model that answer.
    pub(crate) fn answers(&mut self, provider: &'static str, model: &str) {
        self.answerer = Some((provider, model.to_owned()));
    }

    /// Logs that the answer is complete.
    pub(crate) fn answered(mut self, unreadable_events: u32) {
        self.is_closed = true;
        let (provider, model) = self.answerer();
        let (request_id, elapsed_ms) = (self.request_id.as_str(), self.elapsed_ms());
        if unreadable_events > 0 {
            warn!(
                request_id,
                unreadable_events, "{provider} sent events that could not be read; they were passed over"
            );
        }
        info!(request_id, model, elapsed_ms, "{provider} answered");
    }

    /// Logs that an answer was cut off.
    pub(crate) fn interrupted(mut self, why: &impl Display) {
        self.is_closed = true;
        let (_, model) = self.answerer();
        error!(
            request_id = self.request_id,
            model,
            elapsed_ms = self.elapsed_ms(),
            "Answer interrupted: {why}"
        );
    }

    /// Logs that no provider answered.
    pub(crate) fn failed(mut self, status: u16, why: &str) {
        self.is_closed = true;
        let (request_id, elapsed_ms) = (self.request_id.as_str(), self.elapsed_ms());
        error!(request_id, status, elapsed_ms, "Request failed: {why}");
    }

    fn answerer(&self) -> (&'static str, &str) {
        self.answerer.as_ref().map_or(("nobody", ""), |(provider, model)| (provider, model))
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        if self.is_closed {
            return;
        }
        let (request_id, elapsed_ms) = (self.request_id.as_str(), self.elapsed_ms());
        if std::thread::panicking() {
            error!(request_id, elapsed_ms, "Request ended by a bug of the proxy");
        } else {
            info!(request_id, elapsed_ms, "Client left before the end");
        }
    }
}
