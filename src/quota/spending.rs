//! Which of a provider's models is spent on a request when the quota of a day does not last for all.
//!
//! The best model comes first. But its day may be small, and used up by short prompts in the morning; then long ones find
//! no room for the rest of the day, while a lesser model that could have taken the short ones has hardly been used. So
//! while choosy requests come (those that some model of the provider cannot take, or only with most of its minute), the
//! others use no more of a calendar's day than has gone by of it, and a tenth. Beyond that they take the next model, if
//! that has room. The rotation over providers stays as it is.
//!
//! By `benches/quota` (November 2026, published limits, mixed prompts at 95 % of the capacity, four hours): 88 % of the
//! requests and 72 % of the tokens that a free oracle delivers become 93 % and 82 %; over a day, 93 % and 76 % become
//! 96 % and 87 %. Without choosy requests nothing changes.

use std::time::Duration;

use super::place::Candidate;
use super::provider_state::ProviderState;
use super::target::{Criteria, Turn};
use super::ticks::Now;
use crate::middle::{Unit, Window};
use crate::time::Moment;

/// How long a choosy request is remembered.
const CHOOSY_FOR: Duration = Duration::from_secs(3_600);
/// A model takes a request badly that needs more than this part of its minute's tokens.
const LARGE_PART: u64 = 2;

impl ProviderState {
    /// Whether a candidate that could serve is better left to requests that need it.
    pub(super) fn leaves_to_others(
        &mut self,
        candidate: Candidate,
        criteria: &Criteria<'_>,
        now: Moment,
        ticks: Now,
    ) -> bool {
        let Candidate { account, model, .. } = candidate;
        // Whoever names a provider or a model gets the best of it.
        if criteria.target.turn() == Turn::Untouched
            || !self.buckets_of(account, model).any(|(_, it)| it.is_ahead_of_its_time(ticks))
        {
            return false;
        }
        let others: Vec<usize> =
            self.stock.models().filter(|&it| it != model && self.is_used(account, it, now)).collect();
        for &other in &others {
            self.open_buckets(account, other, ticks);
        }
        if others.iter().any(|&other| self.takes_badly(account, other, criteria)) {
            self.choosy_at = Some(ticks.tick);
            return false;
        }
        self.choosy_at.is_some_and(|at| ticks.tick < at.saturating_add(CHOOSY_FOR))
    }

    /// Whether a model cannot do what a request needs, or only with most of what it may do in a minute.
    fn takes_badly(&self, account: usize, model: usize, criteria: &Criteria<'_>) -> bool {
        let can = self.models.get(model).is_some_and(|it| it.can.lacks(criteria.needs).is_none());
        let Some(price) = self.price(account, model, criteria.demand).filter(|_| can) else { return true };
        let mut minutes = self
            .buckets_of(account, model)
            .filter(|(_, it)| it.counts_tokens() && it.measure().window <= Window::Minute);
        minutes.any(|(_, it)| {
            it.most().is_some_and(|most| price.amount(Unit::Tokens).saturating_mul(LARGE_PART) > most)
        })
    }
}
