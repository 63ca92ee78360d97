//! What a request knows of its connection.

use std::sync::Arc;

use tokio::sync::Notify;

/// Closes a request's connection once the response has ended. It is in the extensions of every request, because hyper
/// has no other way from a request to its connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Closer(Arc<Notify>);

impl Closer {
    /// Makes this response the connection's last.
    pub(super) fn close(&self) {
        self.0.notify_one();
    }

    /// Completes when a response has been made the last.
    pub(super) fn asked(&self) -> impl Future<Output = ()> + Send + use<> {
        let notify = self.0.clone();
        async move { notify.notified().await }
    }
}

/// Marks a request, in its extensions, whose connection exceeds the number of connections that are served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowded;

/// Marks a request, in its extensions, whose server listens on this machine's loopback only.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnLoopback;
