//! What picking gives: who is called and what that reserves, who was passed over, and who can be called first if nobody
//! can be called now.

use std::time::Duration;

use super::place::Candidate;
use super::price::Price;
use crate::middle::{Reason, Window};

/// A provider that would have been next but was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Its number.
    pub(crate) provider: usize,
    /// The reason of its cooldown.
    pub(crate) reason: Reason,
}

/// Permission to call a candidate. It has to be given back; otherwise what this call finds out stays unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) candidate: Candidate,
    /// The number of the attempt.
    pub(super) attempt: u64,
}

/// What a call has reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Booking {
    pub(super) admission: Admission,
    pub(super) price: Price,
    /// The provider's buckets, and what of each.
    pub(super) charges: Vec<(usize, u64)>,
    /// When it was sent, in ticks.
    pub(super) sent: Duration,
}

/// The picked candidate, if any can serve now, and the providers that were ahead of it and were passed over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picked {
    pub(super) booking: Option<Booking>,
    pub(super) skipped: Vec<Skipped>,
    /// If nobody can be called now: who can first.
    pub(super) soonest: Option<Soonest>,
}

#[cfg(test)]
impl Picked {
    pub(super) fn admission(&self) -> Option<Admission> {
        self.booking.as_ref().map(|booking| booking.admission)
    }
}

/// Who can be called first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Soonest {
    pub(super) candidate: Candidate,
    pub(super) price: Price,
    /// After how long.
    pub(super) wait: Duration,
    /// Whether only guesses stand in the way, so that it may be called when the request can wait no longer.
    pub(super) is_unsure: bool,
}

impl Soonest {
    /// Whether it is worth waiting for it, for this long.
    pub(crate) fn is_worth(&self, patience: Duration) -> bool {
        !patience.is_zero() && (self.is_unsure || self.wait <= patience)
    }
}

/// The most tokens that a candidate takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Largest {
    /// The number of its provider.
    pub(crate) provider: usize,
    /// How many.
    pub(crate) tokens: u64,
    /// The time in which its plan allows no more; `None` if its model reads no more.
    pub(crate) window: Option<Window>,
}
