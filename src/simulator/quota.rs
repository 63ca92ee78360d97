//! Quotas of a simulated free plan: per key and model, requests by the minute and the day, tokens by the minute.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

/// The limits of each key and model.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// In any 60 seconds.
    pub requests_per_minute: u64,
    /// In any 24 hours.
    pub requests_per_day: u64,
    /// In any 60 seconds; the prompt and the longest possible answer are charged before the call.
    pub tokens_per_minute: u64,
}

impl Quota {
    /// Limits so high that they are never reached.
    pub const ENDLESS: Self = Self {
        requests_per_minute: 1_000_000,
        requests_per_day: 1_000_000_000,
        tokens_per_minute: 1_000_000_000,
    };
}

/// What is left, for the headers of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) requests_per_day: u64,
    pub(super) requests_left_today: u64,
    pub(super) day_resets_in: Duration,
    pub(super) tokens_per_minute: u64,
    pub(super) tokens_left: u64,
    pub(super) tokens_reset_in: Duration,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    PerMinute {
        limit: u64,
        wait: Duration,
    },
    PerDay {
        limit: u64,
        wait: Duration,
    },
    Tokens {
        limit: u64,
        used: u64,
        requested: u64,
        wait: Duration,
    },
    /// The call alone exceeds the limit.
    TooLarge {
        limit: u64,
        requested: u64,
    },
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// How much each key and model has used.
#[derive(Debug)]
pub(super) struct QuotaBook {
    quota: Quota,
    is_endless: bool,
    /// Calls of the last day, by key and model: when, and for how many tokens.
    calls: HashMap<(String, String), VecDeque<(Timestamp, u64)>>,
}

impl QuotaBook {
    pub(super) fn new(quota: Option<Quota>) -> Self {
        Self { quota: quota.unwrap_or(Quota::ENDLESS), is_endless: quota.is_none(), calls: HashMap::new() }
    }

    /// Charges a call of `tokens`, if there is room for it.
    pub(super) fn charge(
        &mut self,
        key: &str,
        model: &str,
        tokens: u64,
        now: Timestamp,
    ) -> Result<Allowance, Refusal> {
        let quota = self.quota;
        let calls = self.calls.entry((key.to_owned(), model.to_owned())).or_default();
        while calls.front().is_some_and(|(at, _)| age(*at, now) >= DAY) {
            calls.pop_front();
        }
        let recent = || calls.iter().filter(|(at, _)| age(*at, now) < MINUTE);
        let wait = |window: Duration, oldest: Option<&(Timestamp, u64)>| {
            oldest.map_or(Duration::ZERO, |(at, _)| window.saturating_sub(age(*at, now)))
        };
        let used_tokens: u64 = recent().map(|(_, tokens)| tokens).sum();
        let minute_wait = wait(MINUTE, recent().next());
        if calls.len() as u64 >= quota.requests_per_day {
            return Err(Refusal::PerDay { limit: quota.requests_per_day, wait: wait(DAY, calls.front()) });
        }
        if recent().count() as u64 >= quota.requests_per_minute {
            return Err(Refusal::PerMinute { limit: quota.requests_per_minute, wait: minute_wait });
        }
        let limit = quota.tokens_per_minute;
        if tokens > limit {
            return Err(Refusal::TooLarge { limit, requested: tokens });
        }
        if used_tokens + tokens > limit {
            return Err(Refusal::Tokens { limit, used: used_tokens, requested: tokens, wait: minute_wait });
        }
        calls.push_back((now, tokens));
        if self.is_endless {
            // Without limits there is nothing to remember.
            calls.clear();
        }
        Ok(Allowance {
            requests_per_day: quota.requests_per_day,
            requests_left_today: quota.requests_per_day.saturating_sub(calls.len() as u64),
            day_resets_in: wait(DAY, calls.front()),
            tokens_per_minute: limit,
            tokens_left: limit.saturating_sub(used_tokens + tokens),
            tokens_reset_in: calls.back().map_or(Duration::ZERO, |_| MINUTE),
        })
    }
}

fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}
