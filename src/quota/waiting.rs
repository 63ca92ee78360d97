//! How the line is joined, served and left; see [`Line`](super::line::Line).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::booking::{Picked, Soonest};
use super::line::{Plan, Queued, Turn, Waiter};
use super::provider_state::ProviderState;
use super::state::State;
use super::target::Wish;
use super::ticks::Now;
use crate::middle::Counted;
use crate::time::Moment;

/// How many candidates are looked at in one go for requests that cannot be served yet: some milliseconds under the lock.
/// Requests behind them keep their plan: whatever becomes free is taken by those before them.
const MOST_LOOKED_AT: usize = 2_048;
/// So many requests are planned anew in any case.
const LEAST_PLANNED: usize = 8;
/// How often the line is served because something has become free, at most. At a plan's moment it is served at once.
const SERVE_INTERVAL: Duration = Duration::from_millis(50);

impl State {
    /// Lets a request join the line; it is woken through `wake`. Returns its ticket.
    pub(super) fn join_line(&mut self, wish: Arc<Wish>, wake: Arc<Notify>, now: Moment) -> u64 {
        let ticks = self.ticks.advance(now);
        let queued = self.line.lend_queued();
        let behind = |provider, bucket| queued.of(provider, bucket);
        let Picked { booking, skipped, soonest } = self.pick_behind(&wish.criteria(true), &behind, now);
        self.line.return_queued(queued);
        let plan = if booking.is_some() { Plan::default() } else { self.plan(soonest, ticks) };
        self.line.queued.add(&plan);
        let picked = booking.map(|booking| (booking, skipped));
        self.line.last_ticket += 1;
        let ticket = self.line.last_ticket;
        self.line.waiters.insert(ticket, Waiter { wish, plan, picked, wake });
        ticket
    }

    /// What has become of a waiting request, given that its plan's moment may have come.
    pub(super) fn turn(&mut self, ticket: u64, now: Moment) -> Turn {
        let ticks = self.ticks.advance(now);
        let is_due = |it: &Waiter| it.picked.is_none() && it.plan.at.is_some_and(|at| at <= ticks.tick);
        if self.line.waiters.get(&ticket).is_some_and(is_due) {
            self.serve_line(now);
        }
        let Some(waiter) = self.line.waiters.get_mut(&ticket) else {
            return Turn::Waiting { left: None, is_unsure: true };
        };
        match waiter.picked.take() {
            Some((booking, skipped)) => {
                self.line.waiters.remove(&ticket);
                Turn::Picked(booking, skipped)
            }
            None => {
                let left = waiter.plan.at.map(|at| at.saturating_sub(ticks.tick));
                Turn::Waiting { left, is_unsure: waiter.plan.is_unsure }
            }
        }
    }

    /// A request leaves the line. What was reserved for it meanwhile was never sent.
    pub(super) fn leave_line(&mut self, ticket: u64, now: Moment) {
        let Some(waiter) = self.line.waiters.remove(&ticket) else { return };
        self.line.queued.remove(&waiter.plan);
        if let Some((booking, _)) = waiter.picked {
            self.uncount(&booking, Counted::Nothing, now);
            self.release(booking.admission);
        }
        self.serve_line_soon(now);
    }

    /// Something may have become free.
    pub(super) fn serve_line_soon(&mut self, now: Moment) {
        let ticks = self.ticks.advance(now);
        let due = self.line.served_at.saturating_add(SERVE_INTERVAL);
        let first = self.line.waiters.values_mut().find(|it| it.picked.is_none());
        let Some(first) = first else { return };
        if ticks.tick >= due {
            self.serve_line(now);
        } else if first.plan.at.is_none_or(|at| at > due) {
            // It is served a moment later.
            first.plan.at = Some(due);
            first.wake.notify_one();
        }
    }

    /// Serves the line from its head, as far as the buckets take, and plans for those who wait on.
    fn serve_line(&mut self, now: Moment) {
        let ticks = self.ticks.advance(now);
        self.line.served_at = ticks.tick;
        let mut waiters = std::mem::take(&mut self.line.waiters);
        let mut queued = Queued::default();
        let mut planned = 0;
        let candidates: usize = self.providers.iter().map(ProviderState::candidates).sum();
        let most_planned = (MOST_LOOKED_AT / candidates.max(1)).max(LEAST_PLANNED);
        for waiter in waiters.values_mut().filter(|it| it.picked.is_none()) {
            if planned < most_planned || waiter.plan.at.is_some_and(|at| at <= ticks.tick) {
                let criteria = waiter.wish.criteria(true);
                let Picked { booking, skipped, soonest } =
                    self.pick_behind(&criteria, &|provider, bucket| queued.of(provider, bucket), now);
                if let Some(booking) = booking {
                    waiter.picked = Some((booking, skipped));
                    waiter.plan = Plan::default();
                    waiter.wake.notify_one();
                    continue;
                }
                planned += 1;
                waiter.replan(self.plan(soonest, ticks));
            }
            queued.add(&waiter.plan);
        }
        self.line.waiters = waiters;
        self.line.queued = queued;
    }

    fn plan(&self, soonest: Option<Soonest>, ticks: Now) -> Plan {
        let Some(Soonest { candidate, price, wait, is_unsure }) = soonest else { return Plan::default() };
        let provider = self.provider(candidate.provider);
        let charges = provider.map(|it| it.charges(candidate.account, candidate.model, price));
        Plan {
            at: (wait < Duration::MAX).then(|| ticks.tick.saturating_add(wait)),
            is_unsure,
            provider: candidate.provider,
            charges: charges.unwrap_or_default(),
        }
    }
}
