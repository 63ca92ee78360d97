//! One limit of one account: what is used of it.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::plan::{Cost, Limit};
use super::window::{Window, between};
use super::{Allowance, Refusal, Size, Used};

/// When somebody is to come back who meets too many calls under way; nobody knows when those end.
const AT_ONCE_WAIT: Duration = Duration::from_secs(1);

/// A limit, and what is used of it.
#[derive(Debug)]
pub(super) struct Counter {
    limit: Limit,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The calls of the last `window`, oldest first, and the sum of their costs.
    Log { window: Duration, calls: VecDeque<Logged>, used: u64 },
    /// What is missing in a bucket as of `since`: in tokens, times the nanoseconds of `window`. May be more than there
    /// is room for, if an answer has taken more than it was charged.
    Bucket { window: Duration, missing: u128, since: Timestamp },
    /// What was used in the period that ends then.
    Period { ends: Timestamp, used: u64 },
    /// How many calls are under way.
    Open { calls: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Logged {
    number: u64,
    at: Timestamp,
    cost: u64,
}

impl Counter {
    pub(super) fn new(limit: Limit) -> Self {
        let state = match limit.window {
            Window::Sliding(window) => State::Log { window, calls: VecDeque::new(), used: 0 },
            Window::Refilled(window) => State::Bucket { window, missing: 0, since: Timestamp::MIN },
            Window::Clock(_) | Window::Day(_) | Window::Month(_) => {
                State::Period { ends: Timestamp::MIN, used: 0 }
            }
            Window::AtOnce => State::Open { calls: 0 },
        };
        Self { limit, state }
    }

    /// Gives back what has come back until `now`. A clock that is set back gives nothing.
    pub(super) fn advance(&mut self, now: Timestamp) {
        let Limit { window: kind, most, .. } = self.limit;
        match &mut self.state {
            State::Log { window, calls, used } => {
                while let Some(oldest) = calls.front().filter(|call| between(call.at, now) >= *window) {
                    *used = used.saturating_sub(oldest.cost);
                    calls.pop_front();
                }
            }
            State::Bucket { missing, since, .. } => {
                let refilled = between(*since, now).as_nanos().saturating_mul(u128::from(most));
                *missing = missing.saturating_sub(refilled);
                *since = now.max(*since);
            }
            State::Period { ends, used } if now >= *ends => {
                *used = 0;
                *ends = kind.end_of_period(now).unwrap_or(Timestamp::MAX);
            }
            State::Period { .. } | State::Open { .. } => {}
        }
    }

    /// The time from `now` until a call of this size has room; `None` if the limit is too small for it.
    pub(super) fn wait(&self, size: Size, now: Timestamp) -> Option<Duration> {
        let cost = self.cost_of(size);
        let excess = (self.used().saturating_add(cost)).saturating_sub(self.limit.most);
        if cost > self.limit.most {
            return None;
        }
        Some(match &self.state {
            State::Bucket { window, missing, .. } => {
                let after = scaled(cost, *window).saturating_add(*missing);
                self.refill_time(after.saturating_sub(scaled(self.limit.most, *window)))
            }
            _ if excess == 0 => Duration::ZERO,
            State::Log { window, calls, .. } => {
                let mut freed = 0_u64;
                let enough = calls.iter().find(|call| {
                    freed = freed.saturating_add(call.cost);
                    freed >= excess
                });
                enough.map_or(*window, |call| window.saturating_sub(between(call.at, now)))
            }
            State::Period { ends, .. } => between(now, *ends),
            State::Open { .. } => AT_ONCE_WAIT,
        })
    }

    /// Why this limit refuses a call of this size, if it does.
    pub(super) fn refusal(&self, size: Size, now: Timestamp) -> Option<Refusal> {
        let wait = self.wait(size, now);
        let Limit { cost, window, most } = self.limit;
        (wait != Some(Duration::ZERO)).then(|| Refusal {
            cost,
            span: window.span(),
            limit: most,
            used: self.used(),
            requested: self.cost_of(size),
            wait,
            left: Vec::new(),
        })
    }

    pub(super) fn allowance(&self, now: Timestamp) -> Allowance {
        let Limit { cost, window, most } = self.limit;
        let whole_in = match &self.state {
            State::Log { window, calls, .. } => {
                calls.back().map_or(Duration::ZERO, |newest| window.saturating_sub(between(newest.at, now)))
            }
            State::Bucket { missing, .. } => self.refill_time(*missing),
            State::Period { ends, .. } => between(now, *ends),
            State::Open { .. } => Duration::ZERO,
        };
        Allowance { cost, span: window.span(), limit: most, left: most.saturating_sub(self.used()), whole_in }
    }

    /// Charges a call, whether there is room for it or not.
    pub(super) fn charge(&mut self, number: u64, size: Size, now: Timestamp) {
        let cost = self.cost_of(size);
        match &mut self.state {
            State::Log { calls, used, .. } => {
                calls.push_back(Logged { number, at: now, cost });
                *used = used.saturating_add(cost);
            }
            State::Bucket { window, missing, .. } => {
                *missing = missing.saturating_add(scaled(cost, *window));
            }
            State::Period { used, .. } => *used = used.saturating_add(cost),
            State::Open { calls } => *calls += 1,
        }
    }

    /// Charges a refused call, if this limit counts requests. It ends at once, so it is never under way.
    pub(super) fn charge_refused(&mut self, number: u64, now: Timestamp) {
        if self.limit.cost != Cost::Requests || self.limit.window == Window::AtOnce {
            return;
        }
        self.charge(number, Size::default(), now);
        if let State::Log { calls, used, .. } = &mut self.state {
            // Only the newest decide when there is room.
            while calls.len() as u64 > self.limit.most {
                calls.pop_front();
                *used = used.saturating_sub(1);
            }
        }
    }

    /// Ends the call that was charged at `at`.
    pub(super) fn settle(&mut self, number: u64, at: Timestamp, size: Size, taken: Used) {
        let (charged, due) = (self.cost_of(size), self.limit.cost.of_used(size, taken));
        let is_of_period = |ends| self.limit.window.end_of_period(at) == Some(ends);
        match &mut self.state {
            State::Log { calls, used, .. } => {
                if let Some(call) = calls.iter_mut().rev().find(|call| call.number == number) {
                    *used = corrected(*used, call.cost, due);
                    call.cost = due;
                }
            }
            State::Bucket { window, missing, .. } => {
                let (charged, due) = (scaled(charged, *window), scaled(due, *window));
                *missing = missing.saturating_add(due).saturating_sub(charged);
            }
            State::Period { ends, used } if is_of_period(*ends) => *used = corrected(*used, charged, due),
            State::Period { .. } => {}
            State::Open { calls } => *calls = calls.saturating_sub(1),
        }
    }

    fn cost_of(&self, size: Size) -> u64 {
        if self.limit.window == Window::AtOnce { 1 } else { self.limit.cost.of(size) }
    }

    /// What is used, rounded up.
    fn used(&self) -> u64 {
        match &self.state {
            State::Log { used, .. } | State::Period { used, .. } => *used,
            State::Bucket { window, missing, .. } => {
                u64::try_from(missing.div_ceil(window.as_nanos().max(1))).unwrap_or(u64::MAX)
            }
            State::Open { calls } => *calls,
        }
    }

    /// How long a bucket takes to refill so much, rounded up to the nanosecond.
    fn refill_time(&self, missing: u128) -> Duration {
        let nanoseconds = missing.div_ceil(u128::from(self.limit.most.max(1)));
        u64::try_from(nanoseconds).map_or(Duration::MAX, Duration::from_nanos)
    }
}

fn scaled(tokens: u64, window: Duration) -> u128 {
    u128::from(tokens).saturating_mul(window.as_nanos())
}

fn corrected(used: u64, charged: u64, due: u64) -> u64 {
    used.saturating_add(due).saturating_sub(charged)
}
