//! [`Pace`]: how often the server is asked on behalf of clients, whatever they do.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// 400 calls a second.
const INTERVAL: Duration = Duration::from_micros(2_500);
/// After a while without any, so many come at once before one has to wait.
const BURST: u32 = 100;

/// Whoever calls the server takes a turn first.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When nothing would be left of all turns that were taken, if they came one by one.
    over: Mutex<Option<Instant>>,
}

impl Pace {
    /// Waits for a turn. Says at once whether there is none until then. One that is not waited for is lost.
    pub(super) async fn turn(&self, until: Instant) -> bool {
        let Some(at) = self.take(Instant::now(), until) else { return false };
        sleep_until(at).await;
        true
    }

    fn take(&self, now: Instant, until: Instant) -> Option<Instant> {
        // A plain assignment: a poisoned one is still valid.
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let last = over.map_or(now, |over| over.max(now));
        let at = last.checked_sub(INTERVAL * BURST).map_or(now, |at| at.max(now));
        if at > until {
            return None;
        }
        *over = Some(last + INTERVAL);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn some_hundred_turns_are_taken_at_once_and_the_rest_in_time() {
        let (pace, begun) = (Pace::default(), Instant::now());
        let until = begun + Duration::from_millis(500);
        let mut taken = 0;
        while pace.turn(until).await {
            taken += 1;
            assert!(taken <= 101 || begun.elapsed() >= INTERVAL * (taken - 101), "{taken}");
        }
        assert_eq!(taken, 301);
        tokio::time::advance(Duration::from_secs(1)).await;
        let refusals = (0..200).filter(|_| pace.take(Instant::now(), Instant::now()).is_none()).count();
        assert_eq!(refusals, 99, "those at once are there again, and none besides");
    }
}
