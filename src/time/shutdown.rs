//! The shutdown of the process, announced to every part of it.

use std::sync::Arc;

use tokio::sync::watch;

/// How far the shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// No new connections; open streams may finish.
    Draining,
    /// Open streams must end.
    Ending,
}

/// Announces the shutdown. Cheap to clone; all clones announce the same one.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<Phase>>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Serving)))
    }
}

impl Shutdown {
    /// Begins the shutdown: no new connections, and a grace period for open streams.
    pub fn begin(&self) {
        self.advance(Phase::Draining);
    }

    /// Ends the grace period: open streams must end.
    pub fn end(&self) {
        self.advance(Phase::Ending);
    }

    /// Completes when the shutdown has begun.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        self.reached(Phase::Draining)
    }

    /// Completes when the grace period is over and open streams must end.
    pub fn ending(&self) -> impl Future<Output = ()> + Send + use<> {
        self.reached(Phase::Ending)
    }

    fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let is_later = phase > *now;
            *now = phase.max(*now);
            is_later
        });
    }

    fn reached(&self, phase: Phase) -> impl Future<Output = ()> + Send + use<> {
        let mut phases = self.0.subscribe();
        async move {
            if phases.wait_for(|now| *now >= phase).await.is_err() {
                // The sender is gone, and with it every part that could end. There is nothing left to wait for.
                std::future::pending().await
            }
        }
    }
}
