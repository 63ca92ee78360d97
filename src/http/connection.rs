//! What a connection and its requests know of each other, and what a connection may take.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// How long clients may take, and how many requests there may be.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// For a whole request head.
    pub header_read_timeout: Duration,
    /// Between two requests.
    pub keep_alive_timeout: Duration,
    /// For a client that reads nothing.
    pub client_stall_timeout: Duration,
    /// The most requests at once.
    pub max_concurrent_requests: usize,
    /// For open streams to finish once the shutdown has begun.
    pub shutdown_grace: Duration,
}

/// A connection, as its socket, its requests and its task see it. All of them run in that one task, so that a mark is
/// seen when the task is polled next, and nobody has to be woken for it.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// The server listens on an address that only this machine reaches.
    pub is_on_loopback: bool,
    /// There were as many connections as there may be when it came: it has one request, which is refused outside the open
    /// areas.
    pub is_crowded: bool,
    is_closing: Mark,
    must_end: Mark,
    is_stalled: Mark,
}

/// Something that has happened, or not.
#[derive(Debug, Default)]
struct Mark(AtomicBool);

impl Mark {
    fn set(&self, is_so: bool) {
        self.0.store(is_so, Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Connection {
    /// A connection that goes on.
    pub(super) fn new(is_on_loopback: bool, is_crowded: bool) -> Self {
        Self { is_on_loopback, is_crowded, ..Self::default() }
    }

    /// Makes the response under way, or else the next one, the connection's last.
    pub(super) fn close(&self) {
        self.is_closing.set(true);
    }

    /// Whether no further request is to be read.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.is_set()
    }

    /// Ends what is under way: the process ends.
    pub(super) fn end(&self) {
        self.must_end.set(true);
    }

    /// Whether what is under way must end.
    pub(super) fn must_end(&self) -> bool {
        self.must_end.is_set()
    }

    /// Takes note whether the client leaves something unread that is to be written.
    pub(super) fn stall(&self, is_stalled: bool) {
        self.is_stalled.set(is_stalled);
    }

    /// Whether more than the socket takes is waiting to be written.
    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled.is_set()
    }
}
