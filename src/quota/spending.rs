//! Which of a provider's models is spent on a request when a calendar's day does not last for all. Today that concerns
//! Gemini alone.
//!
//! The best model comes first. But its day may be small, and used up by short prompts in the morning; then long ones find
//! no room for the rest of the day, while a lesser model that could have taken the short ones has hardly been used. So
//! while demanding requests come (those that some model of the provider cannot take, or only with more than half of its
//! minute), the others use no more of a calendar's day than has gone by of it, and a tenth. Beyond that they take the next
//! model, if that has room. The rotation over providers stays as it is.
//!
//! ARCHITECTURE.md has the figures. Without demanding requests nothing changes.

use std::time::Duration;

use super::place::Candidate;
use super::provider_state::ProviderState;
use super::target::Criteria;
use super::ticks::Now;
use crate::middle::{TokenCharge, Window};

/// How long a demanding request is remembered.
const REMEMBERED: Duration = Duration::from_secs(3_600);

impl ProviderState {
    /// Whether a request is demanding; if so, that is remembered. `candidates` are all that it allows.
    pub(super) fn notices_demand(
        &mut self,
        candidates: &[Candidate],
        criteria: &Criteria<'_>,
        now: Now,
    ) -> bool {
        let account = candidates.first().map(|it| it.account).filter(|_| self.has_calendar);
        let Some(account) = account else { return false };
        let mut position = 0;
        loop {
            let model = self.stock.first_rank().nth(position);
            let Some(model) = model else { return false };
            self.open_buckets(account, model, now);
            if self.takes_badly(account, model, criteria) {
                self.demanded_at = Some(now.tick);
                return true;
            }
            position += 1;
        }
    }

    /// Whether a candidate's day is better left to demanding requests.
    pub(super) fn is_better_spared(&self, candidate: Candidate, now: Now) -> bool {
        let is_remembered = self.demanded_at.is_some_and(|at| now.tick < at.saturating_add(REMEMBERED));
        let mut buckets = self.buckets_of(candidate.account, candidate.model);
        is_remembered && buckets.any(|(_, bucket)| bucket.is_used_too_fast(now))
    }

    /// Whether a model cannot do what a request needs, or only with more than half of the tokens that it has in a minute.
    fn takes_badly(&self, account: usize, model: usize, criteria: &Criteria<'_>) -> bool {
        let can = self.models.get(model).is_some_and(|it| it.can.lacks(criteria.needs).is_none());
        let Some(price) = self.price(account, model, criteria.demand).filter(|_| can) else { return true };
        // What nobody has asked for makes no request demanding.
        let answer = match self.provider.profile().token_charge {
            TokenCharge::Prompt => 0,
            TokenCharge::Longest | TokenCharge::Used => criteria.demand.answer.map_or(0, u64::from),
        };
        let tokens = price.prompt.saturating_add(answer);
        let minutes = self.buckets_of(account, model).map(|(_, bucket)| bucket);
        // An inferred limit may be far too small.
        let mut minutes = minutes
            .filter(|it| it.counts_tokens() && it.measure().window <= Window::Minute && !it.is_observed());
        minutes.any(|it| it.most().is_some_and(|most| tokens > most / 2))
    }
}
