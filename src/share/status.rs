//! [`SharingStatus`]: whether quotas are shared now, with how many instances, and what is wrong if they are not. It is for
//! people to see; nothing is decided by it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::time::Moment;
use crate::wire::foreign;

/// So much is told of what is wrong.
const MAX_REASON_CHARS: usize = 200;

/// What has come of the exchanges with other instances.
#[derive(Debug)]
pub(crate) struct SharingStatus(Mutex<SharingSnapshot>);

/// The same at one moment.
#[derive(Clone, Debug)]
pub(crate) struct SharingSnapshot {
    /// Whether the latest exchange succeeded.
    pub(crate) is_shared: bool,
    /// Since when that is so.
    pub(crate) since: Timestamp,
    /// The most instances, this one included, that use a limit of this one's; `None` if that was never told.
    pub(crate) instances: Option<u64>,
    /// The latest exchange that succeeded.
    pub(crate) last_exchange: Option<Moment>,
    /// What is wrong.
    pub(crate) reason: Option<String>,
    /// How many exchanges have succeeded, each with what is told of one provider.
    pub(crate) succeeded: u64,
    /// How often one failed, or the server was not reached.
    pub(crate) failed: u64,
}

impl SharingStatus {
    /// Nothing was exchanged yet.
    pub(crate) fn new(now: Moment) -> Self {
        Self(Mutex::new(SharingSnapshot {
            is_shared: false,
            since: now.wall,
            instances: None,
            last_exchange: None,
            reason: None,
            succeeded: 0,
            failed: 0,
        }))
    }

    /// What is known now.
    pub(crate) fn snapshot(&self) -> SharingSnapshot {
        self.lock().clone()
    }

    /// So many exchanges have succeeded; `instances` is the most that a limit has, if all limits were told of.
    pub(super) fn succeeded(&self, exchanges: u64, instances: Option<u64>, now: Moment) {
        let mut known = self.lock();
        known.turn(true, now);
        known.reason = None;
        known.last_exchange = Some(now);
        known.succeeded = known.succeeded.saturating_add(exchanges);
        known.instances = instances.or(known.instances);
    }

    /// The server is not of use.
    pub(super) fn failed(&self, reason: &str, now: Moment) {
        let mut known = self.lock();
        known.turn(false, now);
        known.reason = Some(foreign::readable(reason, MAX_REASON_CHARS));
        known.failed = known.failed.saturating_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, SharingSnapshot> {
        // Plain assignments: a poisoned one is still valid.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharingSnapshot {
    fn turn(&mut self, is_shared: bool, now: Moment) {
        if self.is_shared != is_shared {
            (self.is_shared, self.since) = (is_shared, now.wall);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Moment {
        Moment::at(Timestamp::from_second(second).unwrap_or_default())
    }

    #[test]
    fn since_is_when_it_last_changed_and_the_reason_goes_with_the_trouble() {
        let status = SharingStatus::new(at(0));
        status.failed("it is away", at(5));
        status.failed("a\nb", at(6));
        let alone = status.snapshot();
        assert_eq!((alone.is_shared, alone.since, alone.failed), (false, at(0).wall, 2));
        assert_eq!(alone.reason.as_deref(), Some(r"a\nb"));
        status.succeeded(3, Some(2), at(7));
        status.succeeded(1, None, at(8));
        let shared = status.snapshot();
        assert_eq!((shared.is_shared, shared.since, shared.reason), (true, at(7).wall, None));
        assert_eq!((shared.last_exchange, shared.instances), (Some(at(8)), Some(2)));
        assert_eq!((shared.succeeded, shared.failed), (4, 2));
        status.failed("it is away again", at(9));
        let alone = status.snapshot();
        assert_eq!((alone.since, alone.last_exchange), (at(9).wall, Some(at(8))));
    }
}
