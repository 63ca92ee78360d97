//! The lines a request leaves in the log: one when it begins, one when it ends, whatever way it ends.
//!
//! Never a prompt, an answer or a key.

use std::fmt::Display;

use tokio::time::Instant;
use tracing::{error, info, warn};

/// A request under way. Dropped without a word it means that the client left.
#[derive(Debug)]
pub struct RequestLog {
    request_id: String,
    begun: Instant,
    /// Who answers, once that is known: provider and model.
    answerer: Option<(&'static str, String)>,
    is_closed: bool,
}

impl RequestLog {
    /// Logs that a request has begun.
    pub fn begin(request_id: &str, messages: usize, stream: bool) -> Self {
        info!(request_id, stream, "Request with {messages} messages");
        Self { request_id: request_id.to_owned(), begun: Instant::now(), answerer: None, is_closed: false }
    }

    /// Remembers who answers.
    pub fn answers(&mut self, provider: &'static str, model: &str) {
        self.answerer = Some((provider, model.to_owned()));
    }

    /// Logs that the answer is complete.
    pub fn answered(mut self, unreadable_events: u32) {
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

    /// Logs that an answer which had begun was not completed.
    pub fn interrupted(mut self, why: &impl Display) {
        self.is_closed = true;
        let (_, model) = self.answerer();
        error!(
            request_id = self.request_id,
            model,
            elapsed_ms = self.elapsed_ms(),
            "Answer interrupted: {why}"
        );
    }

    /// Logs that nobody answered.
    pub fn failed(mut self, status: u16, why: &str) {
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
