//! What a provider's own limiter does: who is admitted, what is left, and when there is room again.
//!
//! It shares no arithmetic with the proxy, which only infers from headers and refusals what stands here exactly. Time is
//! an argument, so a day takes as long as a test wants it to. All sums are integers; a bucket counts in fractions of a
//! token that make a nanosecond's refill a whole number.

mod counter;
mod plan;
#[cfg(test)]
mod tests;
mod window;

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use self::counter::Counter;
pub use self::plan::{Cost, Limit, Plan};
pub use self::window::{Span, Window, Zone};

/// What a call asks for, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Of its prompt.
    pub prompt: u64,
    /// Of the longest answer that it allows; 0 if it sets no limit.
    pub longest_answer: u64,
}

/// What a call has taken in the end, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// By its prompt.
    pub prompt: u64,
    /// By its answer, thoughts included.
    pub answer: u64,
}

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// What it counts.
    pub cost: Cost,
    /// Over which span.
    pub span: Span,
    /// The whole of it.
    pub limit: u64,
    /// What may still be asked for now.
    pub left: u64,
    /// The time until all of it is there again, if nothing is asked for until then.
    pub whole_in: Duration,
}

/// Why a call is refused: the first limit that has no room for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the limit counts.
    pub cost: Cost,
    /// Over which span.
    pub span: Span,
    /// The whole of it.
    pub limit: u64,
    /// What is used of it now.
    pub used: u64,
    /// What the call asks of it.
    pub requested: u64,
    /// The time until this limit has room for the call; `None` if the call alone exceeds it.
    pub wait: Option<Duration>,
    /// What is left of all limits; empty if that is not known.
    pub left: Vec<Allowance>,
}

impl Refusal {
    /// A refused call of a limit of requests that is used up.
    pub(super) fn of_requests(span: Span, limit: u64, wait: Duration) -> Self {
        let (cost, left) = (Cost::Requests, Vec::new());
        Self { cost, span, limit, used: limit, requested: 1, wait: Some(wait), left }
    }

    /// A call whose tokens alone exceed the limit of a minute.
    pub(super) fn too_large(limit: u64, requested: u64) -> Self {
        let (cost, span, left) = (Cost::Longest, Span::Minute, Vec::new());
        Self { cost, span, limit, used: 0, requested, wait: None, left }
    }
}

/// A call that was admitted, to be [settled](Limiter::settle) when its answer ends.
#[derive(Debug)]
#[must_use = "a call that is never settled is never refunded"]
pub struct Call {
    key: String,
    model: String,
    number: u64,
    at: Timestamp,
    size: Size,
}

/// An admitted call, and what is left after it.
#[derive(Debug)]
pub struct Admitted {
    /// The call.
    pub call: Call,
    /// What is left, in the order of the plan.
    pub left: Vec<Allowance>,
}

/// The counters of one account.
#[derive(Debug, Default)]
struct Account {
    /// Of all models together.
    pool: Vec<Counter>,
    models: HashMap<String, Vec<Counter>>,
}

/// A provider's limiter, for all accounts.
#[derive(Debug)]
pub struct Limiter {
    plan: Plan,
    accounts: HashMap<String, Account>,
    /// How many calls have been admitted.
    count: u64,
}

impl Limiter {
    /// A limiter of accounts that have used nothing yet.
    pub fn new(plan: Plan) -> Self {
        Self { plan, accounts: HashMap::new(), count: 0 }
    }

    /// Charges a call of the account `key` to every limit, if all have room for it.
    ///
    /// # Errors
    /// The first limit without room. Nothing is charged, unless the plan says that refused calls count as requests.
    pub fn admit(&mut self, key: &str, model: &str, size: Size, now: Timestamp) -> Result<Admitted, Refusal> {
        let (number, refused_count) = (self.count, self.plan.refused_count);
        let mut counters = self.counters(key, model, now);
        let refusal = counters.iter().find_map(|counter| counter.refusal(size, now));
        if let Some(mut refusal) = refusal {
            if refused_count {
                counters.iter_mut().for_each(|counter| counter.charge_refused(number, now));
            }
            refusal.left = counters.iter().map(|counter| counter.allowance(now)).collect();
            return Err(refusal);
        }
        counters.iter_mut().for_each(|counter| counter.charge(number, size, now));
        let left = counters.iter().map(|counter| counter.allowance(now)).collect();
        self.count += 1;
        let call = Call { key: key.to_owned(), model: model.to_owned(), number, at: now, size };
        Ok(Admitted { call, left })
    }

    /// The time until such a call would be admitted, if no other is before; zero if it would be now, `None` if it never
    /// would. Charges nothing.
    pub fn room_in(&mut self, key: &str, model: &str, size: Size, now: Timestamp) -> Option<Duration> {
        let counters = self.counters(key, model, now);
        counters
            .iter()
            .try_fold(Duration::ZERO, |longest, counter| Some(longest.max(counter.wait(size, now)?)))
    }

    /// What is left, in the order of the plan.
    pub fn left(&mut self, key: &str, model: &str, now: Timestamp) -> Vec<Allowance> {
        self.counters(key, model, now).iter().map(|counter| counter.allowance(now)).collect()
    }

    /// Replaces what a call was charged before by what it has taken, where the limit does so, and ends it.
    pub fn settle(&mut self, call: Call, used: Used, now: Timestamp) {
        let Call { key, model, number, at, size } = call;
        for counter in self.counters(&key, &model, now) {
            counter.settle(number, at, size, used);
        }
    }

    /// All counters that a call meets, as of `now`.
    fn counters(&mut self, key: &str, model: &str, now: Timestamp) -> Vec<&mut Counter> {
        if !self.accounts.contains_key(key) {
            let pool = self.plan.pool.iter().copied().map(Counter::new).collect();
            self.accounts.insert(key.to_owned(), Account { pool, models: HashMap::new() });
        }
        let Some(Account { pool, models }) = self.accounts.get_mut(key) else { return Vec::new() };
        if !models.contains_key(model) {
            let fresh = self.plan.limits_of(model).iter().copied().map(Counter::new).collect();
            models.insert(model.to_owned(), fresh);
        }
        let own = models.get_mut(model).into_iter().flatten();
        let mut all: Vec<&mut Counter> = pool.iter_mut().chain(own).collect();
        all.iter_mut().for_each(|counter| counter.advance(now));
        all
    }
}
