//! A timer for deadlines that are nearly always pushed back before they are reached.
//!
//! A stream restarts its idle timeout with every token. Registering a timer each time costs more than decoding the
//! token, so an [`Alarm`] keeps one timer, lets it fire early, and only then looks at the deadline.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

use super::rarely::Rarely;

/// One reusable timer; allocates only when it is first waited for.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Rarely<Sleep>>);

impl Alarm {
    /// Returns once `deadline` has passed.
    ///
    /// # Cancel safety
    /// May be dropped and called again with another deadline.
    pub(crate) async fn reached(&mut self, deadline: Instant) {
        poll_fn(|context| self.poll_reached(context, deadline)).await;
    }

    /// Ready once `deadline` has passed; may be asked again with another one.
    pub(crate) fn poll_reached(&mut self, context: &Context<'_>, deadline: Instant) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| Rarely::new(sleep_until(deadline)));
        if deadline < timer.get().deadline() {
            timer.change().reset(deadline);
        }
        loop {
            ready!(timer.poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.change().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn rings_at_the_deadline_it_was_last_given() {
        let start = Instant::now();
        let mut alarm = Alarm::default();
        let after = |seconds| start + Duration::from_secs(seconds);
        for (given_up_at, deadline) in [(3, 10), (9, 40), (12, 60)] {
            let ring = tokio::time::timeout_at(after(given_up_at), alarm.reached(after(deadline))).await;
            assert!(ring.is_err(), "rang before {deadline} s");
        }
        alarm.reached(after(20)).await;
        assert_eq!(Instant::now(), after(20), "a deadline may also come nearer");
        alarm.reached(after(30)).await;
        assert_eq!(Instant::now(), after(30), "and it rings again");
    }
}
