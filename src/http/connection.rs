//! What a request knows of the connection that it has come on.

use std::sync::Arc;

use tokio::sync::Notify;

/// Closes the connection that a request has come on, once its response has ended. Stands among the extensions of every
/// request: hyper has no other way from a request to its connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Closer(Arc<Notify>);

impl Closer {
    /// This response is the connection's last.
    pub(super) fn close(&self) {
        self.0.notify_one();
    }

    /// Comes true when a response has said that it is the last.
    pub(super) fn asked(&self) -> impl Future<Output = ()> + Send + use<> {
        let notify = self.0.clone();
        async move { notify.notified().await }
    }
}

/// Stands among the extensions of a request that has come on a connection too many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowded;
