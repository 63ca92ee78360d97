//! How a candidate stands for a request: its cooldowns and its limits together.

use std::time::Duration;

use jiff::Timestamp;

use super::cooldowns::{Blocked, Standing};
use super::place::Candidate;
use super::price::Price;
use super::provider_state::{ProviderState, Room};
use super::target::Criteria;
use super::ticks::Now;
use crate::middle::{Reason, Window};
use crate::time::Moment;

/// How a candidate stands for a request.
pub(super) enum Prospect {
    Callable(Price),
    /// Callable, behind all who are well.
    Demoted(Price),
    /// Callable to find out whether a guess is right.
    Unexplored(Price),
    /// The same, behind all who are well.
    DemotedUnexplored(Price),
    Later {
        price: Option<Price>,
        wait: Option<Duration>,
        is_unsure: bool,
    },
}

/// What others have reserved who were there before, by provider and bucket.
pub(super) type Ahead<'a> = &'a dyn Fn(usize, usize) -> u64;

impl ProviderState {
    /// How a candidate stands for a request, and why it is not simply called.
    pub(super) fn prospect(
        &self,
        candidate: Candidate,
        criteria: &Criteria<'_>,
        ahead: Ahead<'_>,
        now: Moment,
        ticks: Now,
    ) -> (Prospect, Option<Blocked>) {
        let Candidate { provider, account, model } = candidate;
        let room = self.room(account, model, criteria.demand, &|bucket| ahead(provider, bucket), ticks);
        let standing = self.standing(candidate, now);
        let limited = |window: Window, wait: Option<Duration>| {
            let until = ticks.after(wait.unwrap_or_default());
            Blocked { until, reason: window.exhausted(), is_certain: wait.is_some() }
        };
        let resting = |blocked: Blocked| {
            let left = Duration::try_from(blocked.until.duration_since(now.wall)).unwrap_or_default();
            (blocked.until < Timestamp::MAX && blocked.is_certain).then_some(left)
        };
        match (standing, room) {
            (_, Room::TooLarge) => {
                let until = Timestamp::MAX;
                let blocked = Blocked { until, reason: Reason::TooLarge, is_certain: true };
                (Prospect::Later { price: None, wait: None, is_unsure: false }, Some(blocked))
            }
            (Standing::Well, Room::Fits(price)) => (Prospect::Callable(price), None),
            (Standing::Demoted(blocked), Room::Fits(price)) => (Prospect::Demoted(price), Some(blocked)),
            (Standing::Well | Standing::Demoted(_), Room::Unsure { price, window, wait, is_explored }) => {
                let prospect = if is_explored {
                    Prospect::Later { price: Some(price), wait: Some(wait), is_unsure: true }
                } else if standing == Standing::Well {
                    Prospect::Unexplored(price)
                } else {
                    Prospect::DemotedUnexplored(price)
                };
                // A guess is nothing that a client could be told.
                (prospect, Some(Blocked { is_certain: false, ..limited(window, Some(wait)) }))
            }
            (Standing::Well | Standing::Demoted(_), Room::Full { price, window, wait }) => {
                (Prospect::Later { price: Some(price), wait, is_unsure: false }, Some(limited(window, wait)))
            }
            (Standing::Blocked(blocked), Room::Full { price, wait, .. }) => {
                let wait = resting(blocked).zip(wait).map(|(one, other)| one.max(other));
                (Prospect::Later { price: Some(price), wait, is_unsure: false }, Some(blocked))
            }
            (Standing::Blocked(blocked), Room::Fits(price) | Room::Unsure { price, .. }) => (
                Prospect::Later { price: Some(price), wait: resting(blocked), is_unsure: false },
                Some(blocked),
            ),
        }
    }
}
