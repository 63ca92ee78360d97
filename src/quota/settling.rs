//! What becomes of a call: how its answer settles what was reserved for it, and what its failure means for others.

use super::booking::{Admission, Booking};
use super::bucket::{Bucket, IsCounted};
use super::cooldowns::{Cooldowns, Standing};
use super::place::{Candidate, Place};
use super::provider_state::ProviderState;
use super::state::State;
use crate::middle::{
    Cause, Counted, Failure, Lift, LimitReading, MOST_COUNTED, Measure, Policy, Unit, Usage, Window,
};
use crate::time::Moment;
use jiff::Timestamp;

impl State {
    /// The call has come as far as `sign`, so whatever that lifts ends.
    pub(super) fn lift(&mut self, admission: Admission, sign: Lift, now: Moment) {
        for place in admission.candidate.places() {
            if let Some(cooldowns) = self.cooldowns_mut(place) {
                cooldowns.lift(sign, admission.attempt, now);
            }
        }
        if sign == Lift::FirstEvent {
            self.release(admission);
            if let Some(provider) = self.providers.get_mut(admission.candidate.provider) {
                provider.failing.clear();
            }
        }
    }

    /// The call has failed.
    pub(super) fn failed(&mut self, admission: Admission, failure: &Failure, now: Moment) {
        self.release(admission);
        let candidate = admission.candidate;
        let provider = self.provider(candidate.provider);
        let is_listed = provider.is_some_and(|it| it.lists(candidate) == Some(true));
        let cause = match failure.cause {
            Cause::ModelGone | Cause::ModelNotForAccount if is_listed => Cause::ModelGoneButListed,
            cause => cause,
        };
        let policy = Policy::of(cause);
        let failure = Failure { cause, ..failure.clone() };
        if let Some(place) = candidate.place(policy.reach) {
            self.record(place, policy, &failure, admission.attempt, now);
        }
        if policy.trips_after.is_some_and(|most| self.failing_in_a_row(candidate) >= most) {
            let unstated = Failure { wait: None, ..failure };
            self.record(
                Place::Provider(candidate.provider),
                Policy::TRIPPED,
                &unstated,
                admission.attempt,
                now,
            );
        }
    }

    /// For how many seconds a candidate is not called, rounded up; `None` if it may be called, or if time alone does not
    /// end it.
    pub(super) fn seconds_blocked(&self, candidate: Candidate, now: Moment) -> Option<u64> {
        match self.provider(candidate.provider)?.standing(candidate, now) {
            Standing::Blocked(it) if it.until < Timestamp::MAX => now.seconds_until(it.until),
            _ => None,
        }
    }

    /// For how many seconds a candidate has no room for even the smallest request, rounded up; `None` if it has.
    pub(super) fn seconds_without_room(&self, candidate: Candidate, now: Moment) -> Option<u64> {
        let provider = self.provider(candidate.provider)?;
        let full = provider.lacks_room(candidate.account, candidate.model, self.ticks.read(now))?;
        now.seconds_until(full.until)
    }

    /// The call is over: what it was to find out, another call may.
    pub(super) fn release(&mut self, admission: Admission) {
        for place in admission.candidate.places() {
            if let Some(cooldowns) = self.cooldowns_mut(place) {
                cooldowns.release(admission.attempt);
            }
        }
    }

    /// Records what the provider reported about its limits in its answer to a call.
    pub(super) fn overwrite(
        &mut self,
        booking: &Booking,
        limits: &[LimitReading],
        is_counted: IsCounted,
        now: Moment,
    ) {
        let now = self.ticks.advance(now);
        let Candidate { provider, account, model } = booking.admission.candidate;
        if let Some(provider) = self.providers.get_mut(provider) {
            for reading in limits {
                provider.overwrite((account, model), reading, booking.admission.attempt, is_counted, now);
            }
        }
    }

    /// The head of a good answer has come.
    pub(super) fn accepted(&mut self, booking: &Booking, now: Moment) {
        let now = self.ticks.advance(now);
        self.for_each_bucket(booking, |bucket, _| bucket.accepted(booking.admission.attempt, now));
        if let Some(provider) = self.providers.get_mut(booking.admission.candidate.provider) {
            provider.share_lessons(&booking.charges);
        }
    }

    /// The answer is complete and has taken these tokens, if the provider says so.
    ///
    /// Of the limits that it has `seen`, the head has told more than what was reserved.
    pub(super) fn settle(
        &mut self,
        booking: &Booking,
        demand: u64,
        usage: Option<Usage>,
        seen: &[Measure],
        now: Moment,
    ) {
        let now = self.ticks.advance(now);
        let attempt = booking.admission.attempt;
        let Some(provider) = self.providers.get_mut(booking.admission.candidate.provider) else { return };
        let charge = provider.provider.profile().token_charge;
        let work = provider.work(booking.admission.candidate.model);
        // No answer takes more than its model's window, and a list may say anything of that.
        let window = provider
            .models
            .get(booking.admission.candidate.model)
            .map_or(MOST_COUNTED, |it| it.can.window.min(MOST_COUNTED));
        let usage = usage.map(|usage| Usage {
            prompt_tokens: usage.prompt_tokens.min(window),
            completion_tokens: usage.completion_tokens.min(window),
            ..usage
        });
        if let Some(usage) = usage {
            provider.correction.learn(demand, usage.prompt_tokens);
        }
        let actual = usage.map(|usage| booking.price.settled(charge, &usage));
        if let Some((at_least, _)) = actual {
            let warning = self.ledger.settle(self.first_call + attempt, at_least, now.wall);
            self.warning = self.warning.take().or(warning);
        }
        self.for_each_bucket(booking, |bucket, amount| match actual.filter(|_| bucket.counts_tokens()) {
            _ if bucket.counts_calls_at_once() => bucket.take_back(attempt, amount, booking.sent, now),
            None if bucket.measure().unit == Unit::Neurons => {
                let spent = usage.map_or(amount, |it| work.of(it.prompt_tokens, it.completion_tokens));
                bucket.settle_share((amount, spent, spent), booking.sent, now);
                bucket.settle(attempt, amount, spent, spent, booking.sent, now);
            }
            Some((at_least, actual)) => {
                bucket.settle_share((amount, at_least, actual), booking.sent, now);
                let reserved = if seen.contains(&bucket.measure()) { at_least } else { amount };
                bucket.settle(attempt, reserved, at_least, actual, booking.sent, now);
            }
            None => bucket.close(attempt),
        });
    }

    /// The call has failed, and the provider counts this part of it.
    pub(super) fn uncount(&mut self, booking: &Booking, counted: Counted, now: Moment) {
        let now = self.ticks.advance(now);
        let attempt = booking.admission.attempt;
        let call = self.first_call + attempt;
        let warning = match counted {
            Counted::Nothing => self.ledger.take_back(call, now.wall),
            Counted::Request => self.ledger.settle(call, 0, now.wall),
            Counted::Whole => None,
        };
        self.warning = self.warning.take().or(warning);
        self.for_each_bucket(booking, |bucket, amount| {
            let is_counted = match counted {
                Counted::Nothing => false,
                Counted::Request => !bucket.counts_tokens(),
                Counted::Whole => true,
            } && !bucket.counts_calls_at_once();
            if is_counted {
                bucket.close(attempt)
            } else {
                bucket.take_back(attempt, amount, booking.sent, now)
            }
        });
    }

    /// A limit of this window has refused the call, perhaps this one, and no figure came with it.
    pub(super) fn refused(&mut self, booking: &Booking, named: Option<Measure>, window: Window, now: Moment) {
        let now = self.ticks.advance(now);
        let Some(provider) = self.providers.get_mut(booking.admission.candidate.provider) else { return };
        let fullest = booking.charges.iter().filter_map(|&(number, amount)| {
            let bucket = &provider.buckets.get(number)?.bucket;
            let is_meant = match named {
                Some(named) => bucket.measure() == named,
                None => bucket.measure().window.exhausted() == window.exhausted(),
            };
            Some((bucket.fullness(now).filter(|_| is_meant)?, number, amount))
        });
        if let Some((_, number, amount)) = fullest.max()
            && let Some(shared) = provider.buckets.get_mut(number)
        {
            shared.bucket.refused(amount, booking.sent, now);
        }
        provider.share_lessons(&booking.charges);
    }

    fn for_each_bucket(&mut self, booking: &Booking, mut each: impl FnMut(&mut Bucket, u64)) {
        let Some(provider) = self.providers.get_mut(booking.admission.candidate.provider) else { return };
        for &(number, amount) in &booking.charges {
            if let Some(shared) = provider.buckets.get_mut(number) {
                each(&mut shared.bucket, amount);
            }
        }
    }

    /// How many different models or keys of the candidate's provider have failed in a row, this one included.
    fn failing_in_a_row(&mut self, candidate: Candidate) -> u32 {
        let Some(provider) = self.providers.get_mut(candidate.provider) else { return 0 };
        provider.failing.insert((candidate.account, candidate.model));
        u32::try_from(provider.failing.len()).unwrap_or(u32::MAX)
    }

    fn record(&mut self, place: Place, policy: Policy, failure: &Failure, attempt: u64, now: Moment) {
        let latest = self.attempts;
        if let Some(cooldowns) = cooldowns_mut(&mut self.providers, place) {
            cooldowns.record(policy, failure, attempt, latest, now, &mut self.random);
            let told = cooldowns.told(failure.cause, policy.effect, now);
            let provider = self.providers.get_mut(place.provider());
            if let Some((rest, provider)) = told.zip(provider) {
                provider.tell_rest(place, failure.cause, rest);
            }
        }
    }

    pub(super) fn cooldowns_mut(&mut self, place: Place) -> Option<&mut Cooldowns> {
        cooldowns_mut(&mut self.providers, place)
    }
}

/// The cooldowns of a place; `None` if there is no such place.
fn cooldowns_mut(providers: &mut [ProviderState], place: Place) -> Option<&mut Cooldowns> {
    match place {
        Place::Provider(provider) => Some(&mut providers.get_mut(provider)?.cooldowns),
        Place::Account(provider, account) => {
            Some(&mut providers.get_mut(provider)?.accounts.get_mut(account)?.cooldowns)
        }
        Place::Model(provider, model) => {
            Some(&mut providers.get_mut(provider)?.models.get_mut(model)?.cooldowns)
        }
        Place::AccountModel(provider, account, model) => {
            Some(&mut providers.get_mut(provider)?.account_model_mut(account, model)?.cooldowns)
        }
    }
}
