//! The time as an argument, so that tests can set it.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Tells what time it is.
pub type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

/// One moment on two clocks, because each has a flaw of its own: the time of day can be set back, and the steady clock
/// stands still while a laptop sleeps. A wait is over when either says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The time of day.
    pub wall: Timestamp,
    /// The time since some moment in the past; it never goes back.
    pub steady: Duration,
}

impl Moment {
    /// This moment, on the clocks of this machine.
    #[expect(clippy::disallowed_methods, reason = "the one place that looks at the clocks")]
    pub fn now() -> Self {
        static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
        Self { steady: BEGINNING.elapsed(), wall: Timestamp::now() }
    }

    /// Whole seconds from this moment to `later` by the time of day, rounded up; `None` if that is over.
    pub(crate) fn seconds_until(self, later: Timestamp) -> Option<u64> {
        let wait_ms = later.as_millisecond().saturating_sub(self.wall.as_millisecond());
        u64::try_from(wait_ms).ok().map(|ms| ms.div_ceil(1_000))
    }

    /// A moment on clocks that agree, for tests.
    pub fn at(wall: Timestamp) -> Self {
        let since_epoch = wall.duration_since(Timestamp::UNIX_EPOCH);
        Self { wall, steady: since_epoch.try_into().unwrap_or_default() }
    }
}
