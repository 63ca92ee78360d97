//! [`Late`]: answers on their way for which nobody waits any more.
//!
//! They take memory until they have come: on the server, which has them ready, and here, while they are read. So what they
//! hold, room for example, is given back then and not before, or when the connection ends.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

type Call<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// See the module. It is as many as there is room for.
#[derive(Default)]
pub(super) struct Late {
    calls: Mutex<Vec<Call<()>>>,
    bell: Notify,
}

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Late")
    }
}

/// A call that is late if this is dropped before it has ended.
struct Awaited<'l, T: Send + 'static> {
    late: &'l Late,
    call: Option<Call<T>>,
}

impl<T: Send + 'static> Drop for Awaited<'_, T> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.late.calls().push(Box::pin(async { drop(call.await) }));
            self.late.bell.notify_one();
        }
    }
}

impl Late {
    /// Waits for a call until then.
    ///
    /// # Cancel safety
    /// The call goes on, as far as somebody polls [`keep`](Self::keep).
    pub(super) async fn in_time<T: Send + 'static>(
        &self,
        call: impl Future<Output = T> + Send + 'static,
        until: Instant,
    ) -> Option<T> {
        let mut awaited = Awaited { late: self, call: Some(Box::pin(call)) };
        let answer = timeout_at(until, awaited.call.as_mut()?).await.ok()?;
        awaited.call = None;
        Some(answer)
    }

    /// Waits for what is late, as long as it is polled: as long as the connection is there. When this is dropped, so is all that
    /// it has waited for.
    pub(super) async fn keep(&self) -> Infallible {
        let mut calls = FuturesUnordered::new();
        loop {
            calls.extend(std::mem::take(&mut *self.calls()));
            tokio::select! {
                Some(()) = calls.next() => {}
                () = self.bell.notified() => {}
            }
        }
    }

    fn calls(&self) -> MutexGuard<'_, Vec<Call<()>>> {
        // Nothing is left half done when somebody panics.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
