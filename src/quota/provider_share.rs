//! What is to be told to other instances of one provider's rests, and what was heard of them.

use std::sync::Arc;
use std::time::Duration;

use super::share::Bell;

/// The most rests that wait to be told.
const MOST_UNTOLD: usize = 64;

/// What is shared of one provider.
#[derive(Debug)]
pub(super) struct ProviderShare {
    pub(super) bell: Arc<Bell>,
    /// Rests that the others have not been told of.
    pub(super) untold: Vec<RestReport>,
    /// The number of the latest rest that was heard of.
    pub(super) heard: u64,
    /// How far the server's clock is ahead of ours, in milliseconds.
    pub(super) ahead_ms: i64,
}

/// A place that rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RestReport {
    /// For how long; `None` without an end.
    pub(crate) left: Option<Duration>,
    /// Where and why, in words without keys.
    pub(crate) words: String,
}

impl ProviderShare {
    /// Nothing to tell and nothing heard.
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Self { bell, untold: Vec::new(), heard: 0, ahead_ms: 0 }
    }

    /// Keeps a rest until it is told. Of too many, the later ones are not.
    pub(super) fn tell(&mut self, rest: RestReport) {
        if self.untold.len() < MOST_UNTOLD && !self.untold.contains(&rest) {
            self.untold.push(rest);
        }
    }
}
