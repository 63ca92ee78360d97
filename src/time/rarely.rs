//! A future that is nearly always pending, beside one that is nearly always ready.
//!
//! A task is woken for every token. Asking every timer and every signal of a connection again each time costs more than
//! passing the token on. So such a future gets a waker of its own, and is polled only when that was used. hyper asks a body
//! three times for each token; the same waker answers the third question.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// Polls something only when that has asked for it, or was ready the last time.
#[derive(Debug)]
pub(crate) struct Doorbell {
    bell: Arc<Bell>,
    waker: Waker,
}

/// Remembers that somebody wants to be polled, and wakes the task.
#[derive(Debug)]
struct Bell {
    has_rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Default for Doorbell {
    fn default() -> Self {
        let bell = Arc::new(Bell { has_rung: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { waker: Waker::from(bell.clone()), bell }
    }
}

impl Doorbell {
    /// Calls `poll` if there is a reason to.
    pub(crate) fn answer<T>(
        &self,
        context: &Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // In this order: a ring in between wakes the task.
        self.bell.task.register(context.waker());
        if !self.bell.has_rung.swap(false, Ordering::Acquire) {
            return Poll::Pending;
        }
        let polled = poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.ring();
        }
        polled
    }

    /// Makes the next call poll.
    pub(crate) fn ring(&self) {
        self.bell.has_rung.store(true, Ordering::Relaxed);
    }
}

/// A future that is polled at first, and after that only when it has asked for it.
#[derive(Debug)]
pub(crate) struct Rarely<F> {
    future: Pin<Box<F>>,
    bell: Doorbell,
}

impl<F: Future> Rarely<F> {
    /// Polls `future` rarely.
    pub(crate) fn new(future: F) -> Self {
        Self { future: Box::pin(future), bell: Doorbell::default() }
    }

    /// The future, to look at.
    pub(crate) fn get(&self) -> &F {
        &self.future
    }

    /// The future, to change. It is polled again after that.
    pub(crate) fn change(&mut self) -> Pin<&mut F> {
        self.bell.ring();
        self.future.as_mut()
    }

    /// Polls the future if it has asked for it. Must not be called again once it is ready, unless the future allows that.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<F::Output> {
        let Self { future, bell } = self;
        bell.answer(context, |context| future.as_mut().poll(context))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_polled_when_it_wants_and_never_in_between() {
        let polls = AtomicU32::new(0);
        let sleep = tokio::time::sleep(Duration::from_secs(5));
        let mut sleep = Box::pin(sleep);
        let counting = poll_fn(|context| {
            polls.fetch_add(1, Ordering::Relaxed);
            sleep.as_mut().poll(context)
        });
        let mut rarely = Rarely::new(counting);
        for _ in 0..10 {
            let now = poll_fn(|context| Poll::Ready(rarely.poll(context))).await;
            assert!(now.is_pending());
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1, "the first time");
        let begun = tokio::time::Instant::now();
        poll_fn(|context| rarely.poll(context)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(4), "it wakes whoever waits");
        assert_eq!(polls.load(Ordering::Relaxed), 2, "and is asked then");
    }

    #[tokio::test]
    async fn wakes_the_task_that_asked_last() {
        let (send, receive) = tokio::sync::oneshot::channel::<u8>();
        let mut rarely = Rarely::new(receive);
        let first = futures::task::noop_waker();
        assert!(rarely.poll(&Context::from_waker(&first)).is_pending());
        let waiting = poll_fn(|context| rarely.poll(context));
        let (got, ()) = tokio::join!(waiting, async move {
            tokio::task::yield_now().await;
            let _ = send.send(7);
        });
        assert_eq!(got, Ok(7));
    }
}
