//! How a candidate stands for a request: its cooldowns ([`Standing`]) and its limits ([`Room`]) together are its
//! [`Prospect`].

use std::time::Duration;

use jiff::Timestamp;

use super::cooldowns::{Blocked, Standing};
use super::limits::{Room, full};
use super::place::Candidate;
use super::price::Price;
use super::provider_state::ProviderState;
use super::target::Criteria;
use super::ticks::Now;
use crate::middle::Reason;
use crate::time::Moment;

/// How good it is to call a candidate now; the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    /// It is well and has room.
    Well,
    /// The same, but its day is better left to requests that need it: see [`spending`](super::spending).
    Spared,
    /// It is well, and the call finds out whether a guess is right.
    Unexplored,
    /// The same, but its day is better left to requests that need it.
    SparedUnexplored,
    /// It has failed lately.
    Demoted,
    /// It has failed lately, and the call finds out whether a guess is right.
    DemotedUnexplored,
    /// Another call is finding out whether a guess is right, and the request cannot wait for it.
    BeyondGuess,
    /// The same, and it has failed lately.
    DemotedBeyondGuess,
}

impl Grade {
    /// Whether its provider is not passed over for another.
    pub(super) fn keeps_its_turn(self) -> bool {
        self < Self::Demoted
    }

    /// The same, of a candidate that is better left to others.
    pub(super) fn spared(self) -> Self {
        match self {
            Self::Well => Self::Spared,
            Self::Unexplored => Self::SparedUnexplored,
            other => other,
        }
    }
}

/// How a candidate stands for a request.
pub(super) enum Prospect {
    /// It can be called, at this price.
    Now(Grade, Price),
    /// It cannot, perhaps after `wait`; never if there is no price.
    Later {
        price: Option<Price>,
        wait: Option<Duration>,
        /// Whether only a guess stands in the way, about which another call is finding out.
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
            (Standing::Well, Room::Fits(price)) => (Prospect::Now(Grade::Well, price), None),
            (Standing::Demoted(blocked), Room::Fits(price)) => {
                (Prospect::Now(Grade::Demoted, price), Some(blocked))
            }
            (Standing::Well | Standing::Demoted(_), Room::Unsure { price, window, wait, is_explored }) => {
                let prospect = match (is_explored, standing) {
                    (true, _) if criteria.can_wait => {
                        Prospect::Later { price: Some(price), wait: Some(wait), is_unsure: true }
                    }
                    (true, Standing::Well) => Prospect::Now(Grade::BeyondGuess, price),
                    (true, _) => Prospect::Now(Grade::DemotedBeyondGuess, price),
                    (false, Standing::Well) => Prospect::Now(Grade::Unexplored, price),
                    (false, _) => Prospect::Now(Grade::DemotedUnexplored, price),
                };
                // A guess is nothing that a client could be told.
                (prospect, Some(Blocked { is_certain: false, ..full(window, Some(wait), ticks) }))
            }
            (Standing::Well | Standing::Demoted(_), Room::Full { price, window, wait }) => (
                Prospect::Later { price: Some(price), wait, is_unsure: false },
                Some(full(window, wait, ticks)),
            ),
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
