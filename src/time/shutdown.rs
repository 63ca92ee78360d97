//! The end of the process, as everybody is told of it.

use std::sync::Arc;

use tokio::sync::watch;

/// How far the end of the process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Nobody new is let in; open streams may finish.
    Draining,
    /// Open streams must end.
    Ending,
}

/// Tells everybody when the process is to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<Phase>>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Serving)))
    }
}

impl Shutdown {
    /// Begins the end: no new connections, and a grace period for the streams that are open.
    pub fn begin(&self) {
        self.advance(Phase::Draining);
    }

    /// Ends the grace period: open streams must end.
    pub fn end(&self) {
        self.advance(Phase::Ending);
    }

    /// Comes true when the end has begun.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        self.reached(Phase::Draining)
    }

    /// Comes true when the grace period is over and open streams must end.
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
                // The sender is gone with everything that could end: nothing to wait for any more.
                std::future::pending().await
            }
        }
    }
}
