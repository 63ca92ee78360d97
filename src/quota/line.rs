//! The line of requests that wait for room, in order of arrival.
//!
//! Whoever waits has a plan: who can serve it first, and when. When that moment comes, or when room appears earlier, the
//! line is served from its head, as far as the buckets take. Each plan counts what those before it will take, so that
//! nobody is sent before them, and nobody is told a moment at which there will be no room. There is no polling: a request
//! sleeps until its plan's moment, and is woken if that comes sooner.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::booking::{Booking, Skipped};
use super::target::Wish;

/// The requests that wait.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// By their tickets, in order of arrival.
    pub(super) waiters: BTreeMap<u64, Waiter>,
    pub(super) last_ticket: u64,
    pub(super) queued: Queued,
    pub(super) served_at: Duration,
    /// The ticket up to which those who wait were looked at last time; 0 if all were.
    pub(super) reached: u64,
}

/// What waiting requests will take of buckets, by provider and bucket.
#[derive(Debug, Default)]
pub(super) struct Queued(BTreeMap<(usize, usize), u64>);

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) wish: Arc<Wish>,
    pub(super) plan: Plan,
    pub(super) picked: Option<(Booking, Vec<Skipped>)>,
    pub(super) wake: Arc<Notify>,
}

/// When a waiting request will be served, and what it will take.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In ticks; `None` if that depends on calls under way.
    pub(super) at: Option<Duration>,
    /// Whether only guesses stand in the way.
    pub(super) is_unsure: bool,
    pub(super) provider: usize,
    pub(super) charges: Vec<(usize, u64)>,
}

/// What has become of a waiting request.
#[derive(Debug)]
pub(super) enum Turn {
    /// It may be sent.
    Picked(Booking, Vec<Skipped>),
    /// It waits on, for so long if that is known. `is_unsure` says that only guesses stand in the way.
    Waiting { left: Option<Duration>, is_unsure: bool },
}

impl Queued {
    /// What they will take of a bucket.
    pub(super) fn of(&self, provider: usize, bucket: usize) -> u64 {
        self.0.get(&(provider, bucket)).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, plan: &Plan) {
        for &(bucket, amount) in &plan.charges {
            let sum = self.0.entry((plan.provider, bucket)).or_default();
            *sum = sum.saturating_add(amount);
        }
    }

    pub(super) fn remove(&mut self, plan: &Plan) {
        for &(bucket, amount) in &plan.charges {
            let sum = self.0.entry((plan.provider, bucket)).or_default();
            *sum = sum.saturating_sub(amount);
        }
        self.0.retain(|_, sum| *sum > 0);
    }
}

impl Line {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// The tickets of those who may be sent.
    pub(super) fn called(&self) -> Vec<u64> {
        let called = self.waiters.iter().filter(|(_, waiter)| waiter.picked.is_some());
        called.map(|(ticket, _)| *ticket).collect()
    }

    /// Lends what they will take.
    pub(super) fn lend_queued(&mut self) -> Queued {
        std::mem::take(&mut self.queued)
    }

    /// Takes it back.
    pub(super) fn return_queued(&mut self, queued: Queued) {
        self.queued = queued;
    }
}

impl Waiter {
    pub(super) fn replan(&mut self, plan: Plan) {
        let is_sooner = match (plan.at, self.plan.at) {
            (Some(new), Some(known)) => new < known,
            (new, known) => new.is_some() && known.is_none(),
        };
        // Whoever waits in vain need not wait at all.
        let has_become_sure = self.plan.is_unsure && !plan.is_unsure;
        self.plan = plan;
        if is_sooner || has_become_sure {
            self.wake.notify_one();
        }
    }
}
