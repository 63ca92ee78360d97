//! How the line is joined, served and left; see [`Line`](super::line::Line).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::booking::{Picked, Soonest};
use super::line::{Plan, Queued, Turn, Waiter};
use super::state::State;
use super::target::Wish;
use super::ticks::Now;
use crate::middle::Counted;
use crate::time::Moment;

/// How many candidates are looked at in one go: some milliseconds under the lock. Who is not reached is looked at a moment
/// later.
const MOST_LOOKED_AT: u64 = 2_048;
/// So many requests at the head of the line are looked at each time.
const HEAD: usize = 8;
/// How often the line is served because something has become free, at most. At a plan's moment it is served at once.
const SERVE_INTERVAL: Duration = Duration::from_millis(50);

impl State {
    /// Lets a request join the line; it is woken through `wake`. Returns its ticket.
    pub(super) fn join_line(&mut self, wish: Arc<Wish>, wake: Arc<Notify>, now: Moment) -> u64 {
        let ticks = self.ticks.advance(now);
        let Picked { booking, skipped, soonest } = self.pick(&wish.criteria(true), now);
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

    /// Serves the line in order of arrival, as far as the buckets take, and plans for those who wait on. If they are too
    /// many for one go, it looks at the head, at those whose moment has come, and at the next ones in turn.
    fn serve_line(&mut self, now: Moment) {
        let ticks = self.ticks.advance(now);
        self.line.served_at = ticks.tick;
        let mut waiters = std::mem::take(&mut self.line.waiters);
        let mut queued = Queued::default();
        let last_reached = std::mem::take(&mut self.line.reached);
        let most = self.looked_at.saturating_add(MOST_LOOKED_AT);
        let waiting = waiters.iter_mut().filter(|(_, it)| it.picked.is_none());
        for (number, (&ticket, waiter)) in waiting.enumerate() {
            let is_due = waiter.plan.at.is_some_and(|at| at <= ticks.tick);
            let is_in_turn = ticket > last_reached;
            if self.looked_at >= most {
                // Those behind it come first next time.
                if is_due {
                    waiter.plan.at = Some(ticks.tick.saturating_add(SERVE_INTERVAL));
                }
            } else if number < HEAD || is_due || is_in_turn {
                if is_in_turn {
                    self.line.reached = ticket;
                }
                let criteria = waiter.wish.criteria(true);
                let Picked { booking, skipped, soonest } =
                    self.pick_behind(&criteria, &|provider, bucket| queued.of(provider, bucket), now);
                if let Some(booking) = booking {
                    waiter.picked = Some((booking, skipped));
                    waiter.plan = Plan::default();
                    waiter.wake.notify_one();
                    continue;
                }
                waiter.replan(self.plan(soonest, ticks));
            }
            queued.add(&waiter.plan);
        }
        if self.looked_at < most {
            // Everybody was reached.
            self.line.reached = 0;
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
