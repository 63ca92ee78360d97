//! A limit and who shares it, and what refused clients were promised of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bucket::Bucket;
use super::ticks::Now;
use crate::middle::Pool;

/// A client that was told when to come back may take this long to do so.
const LATE: Duration = Duration::from_secs(3);
/// The most promises that are told apart; those of one second are one.
const MOST_PROMISES: usize = 4_096;

/// A bucket, and who shares it.
#[derive(Debug)]
pub(super) struct SharedBucket {
    pub(super) sharers: Sharers,
    pub(super) bucket: Bucket,
    /// Its name among several instances, once it was told.
    pub(super) name: Option<String>,
    /// What refused clients were told to come back for, by the second at which they will.
    promised: BTreeMap<u64, u64>,
    promised_in_all: u64,
}

/// Who shares a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharers {
    Everybody,
    Account(usize),
    Group(usize, &'static str),
    AccountModel(usize, usize),
}

impl Sharers {
    /// Who shares a limit of a model with an account.
    pub(super) fn new(pool: Pool, account: usize, model: usize) -> Self {
        match pool {
            Pool::AccountModel => Self::AccountModel(account, model),
            Pool::Group(name) => Self::Group(account, name),
            Pool::Account => Self::Account(account),
            Pool::Address => Self::Everybody,
        }
    }
}

impl SharedBucket {
    /// One of which nothing was promised.
    pub(super) fn new(sharers: Sharers, bucket: Bucket) -> Self {
        Self { sharers, bucket, name: None, promised: BTreeMap::new(), promised_in_all: 0 }
    }

    /// What refused clients will come back for.
    pub(super) fn promised(&self, now: Now) -> u64 {
        let overdue = self.promised.range(..=overdue_at(now)).map(|(_, amount)| *amount);
        self.promised_in_all.saturating_sub(overdue.fold(0, u64::saturating_add))
    }

    /// A refused client is told to come back at `due` for this much.
    pub(super) fn promise(&mut self, due: Duration, amount: u64, now: Now) {
        while let Some(first) = self.promised.first_entry().filter(|it| *it.key() <= overdue_at(now)) {
            self.promised_in_all = self.promised_in_all.saturating_sub(first.remove());
        }
        // Clients are told whole seconds, rounded up.
        let due = due.as_secs().saturating_add(u64::from(due.subsec_nanos() > 0));
        let is_full = self.promised.len() >= MOST_PROMISES;
        let next = self.promised.range(due..).next().or_else(|| self.promised.last_key_value());
        let due = next.map(|(due, _)| *due).filter(|_| is_full).unwrap_or(due);
        let sum = self.promised.entry(due).or_default();
        *sum = sum.saturating_add(amount);
        self.promised_in_all = self.promised_in_all.saturating_add(amount);
    }
}

/// Whoever was told to come back in this second or before it does not come any more.
fn overdue_at(now: Now) -> u64 {
    now.tick.saturating_sub(LATE).as_secs()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::middle::{Measure, Renewal};

    fn at(milliseconds: u64) -> Now {
        Now { wall: Timestamp::UNIX_EPOCH, tick: Duration::from_millis(milliseconds) }
    }

    fn bucket() -> SharedBucket {
        let bucket = Bucket::unplanned(Measure::REQUESTS_A_MINUTE, Renewal::Sliding, false, at(0));
        SharedBucket::new(Sharers::Everybody, bucket)
    }

    /// It is told 11 s, and may come until three seconds after that.
    #[test]
    fn a_promise_holds_for_whoever_is_a_little_late() {
        let mut bucket = bucket();
        bucket.promise(Duration::from_millis(10_900), 5, at(0));
        assert_eq!(bucket.promised(at(13_900)), 5);
        assert_eq!(bucket.promised(at(14_000)), 0);
    }

    #[test]
    fn when_too_many_are_told_apart_a_promise_keeps_its_second_or_takes_the_next() {
        let mut bucket = bucket();
        let dues = (0..MOST_PROMISES as u64).map(|number| 100 + 2 * number);
        dues.for_each(|due| bucket.promise(Duration::from_secs(due), 1, at(0)));
        bucket.promise(Duration::from_secs(100), 1_000, at(0));
        bucket.promise(Duration::from_secs(103), 10_000, at(0));
        let all = MOST_PROMISES as u64 + 11_000;
        assert_eq!(bucket.promised(at(102_900)), all);
        assert_eq!(bucket.promised(at(103_000)), all - 1_001);
        assert_eq!(bucket.promised(at(107_000)), all - 1_001 - 1 - 10_001);
    }
}
