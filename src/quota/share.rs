//! A bucket's part in what several instances use together: what this one has used, what it may use until it hears more,
//! and what the others have used.
//!
//! Nothing is asked on a request's way. Every exchange brings a *lease*: what is in it counts as used for all others. It
//! holds for a moment only, and while there is none that holds, the instance keeps to its even part of the limit.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::learnt::Learnt;
use super::ticks::Now;
use super::used::Used;

/// A lease holds for so long here. The server keeps it for longer, so that nobody else is given what is still held.
const LEASE_LIFE: Duration = Duration::from_secs(5);
/// Whoever lacks a lease is looked at again after this time, if the answer has not come before.
const NEXT_LEASE: Duration = Duration::from_millis(100);
/// What others use is known after this time at the latest.
const FRESHNESS: Duration = Duration::from_secs(1);
/// What was used lately says what will be used: it counts half after this time.
const HALF_LIFE: Duration = Duration::from_millis(150);
/// Less than this for that time is nothing.
const LEAST_RATE: f64 = 0.05;
/// A lease lasts for the use of this time: two exchanges.
const AHEAD: Duration = Duration::from_millis(200);

/// Rung when the server should hear something.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// Something was used.
    pub(crate) used: Notify,
    /// A request has room, and no lease for it.
    pub(crate) lacking: Notify,
}

/// What stands in the way of a request that fits into what counts as used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Nothing.
    Given,
    /// Perhaps something: one call at a time may go, the others are looked at again after this time.
    OnCredit(Duration),
    /// It has to wait for a lease, and is looked at again after this time.
    Awaited(Duration),
}

/// One bucket's part.
#[derive(Clone, Debug)]
pub(super) struct Share {
    bell: Arc<Bell>,
    /// What this instance has used since it started, if nothing is given back.
    own: i64,
    /// The same if what answers did not need is given back.
    own_if_given_back: i64,
    /// What it has used of the window.
    window: Used,
    /// Which of the two sums the server knows, and how much that was.
    acknowledged: i64,
    /// What all instances had ever used, by the server's last answer.
    ever: i64,
    /// What of it was this instance's.
    own_of_ever: i64,
    /// Which life of the server's bucket that was; empty if none.
    epoch: String,
    lease: Option<Lease>,
    /// How many instances use the bucket.
    instances: u64,
    /// What others use at this moment of a limit that counts what is under way.
    others_under_way: i64,
    /// How much is used in a second, lately.
    rate: f64,
    rated_at: Duration,
    rated_sum: i64,
    /// The largest amount that was used lately or found no lease.
    largest: u64,
    lacked: Cell<Option<Lacked>>,
    /// When the server last told of it.
    told_at: Option<Timestamp>,
    /// When it was last told that others have used something.
    others_used: Option<Duration>,
}

/// What this instance may use until it hears more.
#[derive(Clone, Copy, Debug)]
struct Lease {
    amount: u64,
    /// What it had used when it asked.
    own: i64,
    /// When it asked.
    asked: Duration,
    /// What is left besides all leases, for each instance.
    left: u64,
}

/// What found no lease since the last report.
#[derive(Clone, Copy, Debug)]
struct Lacked {
    /// The smallest that one request needs, with those before it in the line.
    least: u64,
    /// What all of them need.
    most: u64,
}

/// What one bucket tells the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ShareReport {
    /// What this instance has used since it started.
    pub(crate) own: i64,
    /// The same if nothing is given back: what is used from here on counts against the lease.
    pub(crate) spent: i64,
    /// What of it the server has acknowledged.
    pub(crate) acknowledged: i64,
    /// What it has used of the window.
    pub(crate) window: u64,
    /// The life of the server's bucket that it knows; empty if none.
    pub(crate) epoch: String,
    /// How much it would like to use.
    pub(crate) wanted: u64,
    /// How much of that requests are waiting for.
    pub(crate) waited_for: u64,
    /// The smallest lease that is of use.
    pub(crate) smallest: u64,
    /// Whether the provider gives back what answers did not need, if this instance knows.
    pub(crate) gives_back: Option<bool>,
}

/// What the server answers for one bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ShareAnswer {
    /// The life of the server's bucket.
    pub(crate) epoch: String,
    /// What all instances have ever used in it.
    pub(crate) ever: i64,
    /// What of it counts now.
    pub(crate) used: u64,
    /// What this instance may use until it hears more.
    pub(crate) lease: u64,
    /// How many instances use the bucket.
    pub(crate) instances: u64,
    /// What is left besides all leases.
    pub(crate) left: u64,
    /// For a sliding window that this instance did not know: how old each use is in milliseconds, and how large.
    pub(crate) slots: Vec<(u64, u64)>,
    /// What some instance has learnt of the limit.
    pub(crate) learnt: Option<Learnt>,
    /// Whether the provider gives back what answers did not need, if some instance knows.
    pub(crate) gives_back: Option<bool>,
}

/// What an answer changes in what counts as used.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// Others have used so much more, or taken back.
    Others(i64),
    /// This is the first that is heard of the bucket: so much counts, in these uses.
    Joined { others: u64, slots: Vec<(u64, u64)> },
}

impl Share {
    /// Of a bucket of which nothing was told; `window` is one in which nothing is used, and `first` is what the first request is
    /// taken for.
    pub(super) fn new(bell: Arc<Bell>, window: Used, first: u64, now: Now) -> Self {
        Self {
            bell,
            own: 0,
            own_if_given_back: 0,
            window,
            acknowledged: 0,
            ever: 0,
            own_of_ever: 0,
            epoch: String::new(),
            lease: None,
            instances: 1,
            others_under_way: 0,
            rate: 0.0,
            rated_at: now.tick,
            rated_sum: 0,
            largest: first.max(1),
            lacked: Cell::new(None),
            told_at: None,
            others_used: None,
        }
    }

    /// When the server last told of it.
    pub(super) fn told_at(&self) -> Option<Timestamp> {
        self.told_at
    }

    /// Whether a lease holds.
    fn holds(&self, now: Now) -> Option<&Lease> {
        self.lease.as_ref().filter(|it| now.tick < it.asked.saturating_add(LEASE_LIFE))
    }

    /// Whether there are others, and nobody tells what they do.
    pub(super) fn is_alone_among_others(&self, now: Now) -> bool {
        self.instances > 1 && self.holds(now).is_none()
    }

    /// Whether a provider's figure in the answer to a call that was sent then may be without something of others that is
    /// counted here.
    pub(super) fn have_others_used_since(&self, sent: Duration) -> bool {
        self.others_used.is_some_and(|at| at.saturating_add(FRESHNESS) >= sent)
    }

    /// Counts a use.
    pub(super) fn add(&mut self, amount: u64, most: u64, now: Now) {
        self.own = self.own.saturating_add_unsigned(amount);
        self.own_if_given_back = self.own_if_given_back.saturating_add_unsigned(amount);
        self.window.add(amount, most, now);
        self.largest = amount.max(self.largest - self.largest / 8);
        self.bell.used.notify_one();
    }

    /// A use of `reserved` was one of `at_least`, or of `actual` if the rest is given back.
    pub(super) fn settle(
        &mut self,
        (reserved, at_least, actual): (u64, u64, u64),
        sent: Duration,
        most: u64,
        now: Now,
    ) {
        let change = |sum: i64, is: u64| sum.saturating_sub_unsigned(reserved).saturating_add_unsigned(is);
        self.own = change(self.own, at_least);
        self.own_if_given_back = change(self.own_if_given_back, actual);
        if at_least < reserved {
            self.window.take_back(reserved - at_least, sent, most, now);
        } else {
            self.window.add(at_least - reserved, most, now);
        }
        self.bell.used.notify_one();
    }

    /// What stands in the way of a request that fits into what counts as used; `is_certain` says whether the limit is.
    pub(super) fn leave(&self, amount: u64, ahead: u64, most: u64, is_certain: bool, now: Now) -> Leave {
        let wanted = amount.saturating_add(ahead);
        if let Some(lease) = self.holds(now) {
            let spent = u64::try_from(self.own.saturating_sub(lease.own)).unwrap_or_default();
            if spent.saturating_add(wanted) <= lease.amount {
                return Leave::Given;
            }
            let lacked = self.lacked.get().unwrap_or(Lacked { least: wanted, most: wanted });
            self.lacked.set(Some(Lacked { least: lacked.least.min(wanted), most: lacked.most.max(wanted) }));
            self.bell.lacking.notify_one();
            // While there is enough for everybody, one call at a time goes on credit.
            let has_credit = wanted <= lease.left;
            return if is_certain && !has_credit {
                Leave::Awaited(NEXT_LEASE)
            } else {
                Leave::OnCredit(NEXT_LEASE)
            };
        }
        // Nobody says what the others do: they keep to their parts, and so does this one. It is a guess.
        let part = most / self.instances.max(1);
        let is_within = self.window.amount(most, now).saturating_add(wanted) <= part;
        if is_within || self.instances <= 1 { Leave::Given } else { Leave::OnCredit(NEXT_LEASE) }
    }

    /// Whether there is something to tell: a use, a lack, or a lease that is not needed.
    pub(super) fn has_news(&self, gives_back: bool) -> bool {
        let is_idle_lease = self.lease.is_some_and(|it| it.amount > 0) && self.rate > 0.0;
        self.sum(gives_back) != self.acknowledged || self.lacked.get().is_some() || is_idle_lease
    }

    fn sum(&self, gives_back: bool) -> i64 {
        if gives_back { self.own_if_given_back } else { self.own }
    }

    /// What to tell the server. What is given back is counted so if it is known to be.
    pub(super) fn report(&mut self, gives_back: Option<bool>, most: u64, now: Now) -> ShareReport {
        let own = self.sum(gives_back == Some(true));
        let lacked = self.lacked.take();
        let waited_for = lacked.map_or(0, |it| it.most.min(most));
        let least = lacked.map(|it| it.least.min(most));
        self.largest = self.largest.max(least.unwrap_or_default());
        self.rate(now);
        let by_rate = (self.rate * AHEAD.as_secs_f64()).ceil() as u64;
        let wanted =
            if by_rate == 0 && lacked.is_none() { 0 } else { by_rate.max(self.largest).max(waited_for) };
        ShareReport {
            own,
            spent: self.own,
            acknowledged: self.acknowledged,
            window: self.window.amount(most, now),
            epoch: self.epoch.clone(),
            wanted: wanted.min(most),
            waited_for,
            smallest: least.unwrap_or(self.largest).clamp(1, most.max(1)),
            gives_back,
        }
    }

    fn rate(&mut self, now: Now) {
        let span = now.tick.saturating_sub(self.rated_at).as_secs_f64();
        if span < 0.001 {
            return;
        }
        let used = self.own.saturating_sub(self.rated_sum).max(0) as f64;
        let kept = 0.5_f64.powf(span / HALF_LIFE.as_secs_f64());
        let decayed = self.rate * kept;
        self.rate = if used > 0.0 { decayed.max(used / span.max(0.05)) } else { decayed };
        if self.rate * AHEAD.as_secs_f64() < LEAST_RATE {
            self.rate = 0.0;
        }
        (self.rated_at, self.rated_sum) = (now.tick, self.own);
    }

    /// Takes in what the server has answered to `report`, and says what that changes. `known` is what counts as used here.
    pub(super) fn apply(
        &mut self,
        report: &ShareReport,
        answer: &ShareAnswer,
        known: u64,
        asked: Duration,
        now: Now,
    ) -> Change {
        let is_joining = self.epoch != answer.epoch;
        let own = report.own.saturating_sub(self.own_of_ever);
        let others = answer.ever.saturating_sub(self.ever).saturating_sub(own);
        self.instances = answer.instances.max(1);
        let left = answer.left / self.instances;
        self.lease = Some(Lease { amount: answer.lease, own: report.spent, asked, left });
        (self.acknowledged, self.own_of_ever, self.ever) = (report.own, report.own, answer.ever);
        self.told_at = Some(now.wall);
        if others != 0 || is_joining {
            self.others_used = Some(now.tick);
        }
        self.others_under_way = answer.ever.saturating_sub(report.own);
        if !is_joining {
            return Change::Others(others);
        }
        self.epoch.clone_from(&answer.epoch);
        // The file of an earlier process may have told the same.
        let known_of_others = known.saturating_sub(report.window);
        let others = answer.used.saturating_sub(report.window).saturating_sub(known_of_others);
        Change::Joined { others, slots: answer.slots.clone() }
    }

    /// The server is away: what others have under way is not known any more. Returns how much counted.
    pub(super) fn forget_others_under_way(&mut self) -> i64 {
        self.ever = self.ever.saturating_sub(self.others_under_way);
        std::mem::take(&mut self.others_under_way)
    }
}
