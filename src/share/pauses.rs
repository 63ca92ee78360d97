//! [`Pauses`]: how long it takes until something is tried again.

use std::time::Duration;

use tokio::time::sleep;

/// At first, and at most. With five seconds for connecting, a server that comes back is used again within 30 seconds.
const FIRST: Duration = Duration::from_millis(200);
pub(super) const LONGEST: Duration = Duration::from_secs(10);

/// Pauses that grow while nothing succeeds.
pub(super) struct Pauses {
    next: Duration,
    /// Instances that lose a server at the same time do not come back in the same moment.
    random: fastrand::Rng,
}

impl Pauses {
    pub(super) fn new(random: fastrand::Rng) -> Self {
        Self { next: FIRST, random }
    }

    /// Pauses of something else, which begin at first.
    pub(super) fn others(&self) -> Self {
        Self::new(self.random.clone())
    }

    /// Something has succeeded.
    pub(super) fn begin_anew(&mut self) {
        self.next = FIRST;
    }

    /// Waits before the next attempt. Cancel safe: then the next one is as long.
    pub(super) async fn wait(&mut self) {
        sleep(self.next + self.next.mul_f64(self.random.f64() / 4.0)).await;
        self.next = (self.next * 2).min(LONGEST);
    }
}
