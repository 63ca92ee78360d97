//! What is known of every provider, account and model: one state under one lock. Time is an argument.
//!
//! The rotation lives here too. Picking the provider that has waited longest and making it the last in line must be one
//! step; only then do concurrent requests spread evenly.

use jiff::Timestamp;

use super::cooldowns::{Blocked, Cooldowns, Standing};
use super::place::{Candidate, Place};
use super::provider_state::{Change, ModelState, Offer, ProviderState};
use super::target::{Criteria, Turn};
use crate::middle::{Cause, Failure, Lift, LimitReading, Policy, Reason, Spent};
use crate::models::{Catalogue, Stock};
use crate::time::Moment;

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

/// The picked candidate, if any can serve now, and the providers that were ahead of it and were passed over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picked {
    pub(super) admission: Option<Admission>,
    pub(super) skipped: Vec<Skipped>,
}

#[derive(Debug)]
pub(super) struct State {
    providers: Vec<ProviderState>,
    random: fastrand::Rng,
    /// How many attempts there have been, which is also the number of the latest one.
    attempts: u64,
}

impl State {
    /// A state in which every provider can serve. The order of `offers` decides between those that were never called.
    pub(super) fn new(offers: Vec<Offer>, random: fastrand::Rng) -> Self {
        Self { providers: offers.into_iter().map(ProviderState::new).collect(), random, attempts: 0 }
    }

    /// All providers, by their numbers.
    pub(super) fn providers(&self) -> &[ProviderState] {
        &self.providers
    }

    /// The provider with this number.
    pub(super) fn provider(&self, provider: usize) -> Option<&ProviderState> {
        self.providers.get(provider)
    }

    /// The model of a candidate.
    pub(super) fn model(&self, candidate: Candidate) -> Option<&ModelState> {
        self.provider(candidate.provider)?.models.get(candidate.model)
    }

    /// Replaces the catalogue by a later one, and picks from its `stock` from now on.
    pub(super) fn restock(
        &mut self,
        provider: usize,
        catalogue: Catalogue,
        stock: Stock,
        now: Moment,
    ) -> Change {
        if let Some(provider) = self.providers.get_mut(provider) {
            provider.catalogue = catalogue;
        }
        self.go_by(provider, stock, now)
    }

    /// Picks from this stock from now on. An attempt in progress keeps its model.
    pub(super) fn go_by(&mut self, provider: usize, stock: Stock, now: Moment) -> Change {
        self.providers.get_mut(provider).map(|it| it.go_by(stock, now)).unwrap_or_default()
    }

    /// Picks the best candidate that may serve: of those that are well, or else of those that are demoted. The provider
    /// whose last attempt was longest ago comes first, with its best model and, for that model, the account that has
    /// waited longest.
    pub(super) fn pick(&mut self, criteria: &Criteria<'_>, now: Moment) -> Picked {
        let mut line: Vec<usize> = (0..self.providers.len()).collect();
        line.sort_by_key(|&number| self.provider(number).map(|it| it.last_turn));
        let mut passed_over = Vec::new();
        let mut demoted: Option<(Candidate, usize)> = None;
        for number in line {
            let Some(provider) = self.provider(number) else { continue };
            let mut soonest: Option<Blocked> = None;
            let mut is_demoted = false;
            for candidate in provider.in_order_of_preference(number, criteria, now) {
                let blocked = match provider.standing(candidate, now) {
                    Standing::Well => {
                        let admission = Some(self.admit(candidate, criteria.target.turn(), now));
                        let skipped = passed_over.into_iter().map(|(skipped, _)| skipped).collect();
                        return Picked { admission, skipped };
                    }
                    Standing::Demoted(blocked) => {
                        demoted.get_or_insert((candidate, passed_over.len()));
                        is_demoted = true;
                        blocked
                    }
                    Standing::Blocked(blocked) => blocked,
                };
                if soonest.is_none_or(|it| blocked.urgency() < it.urgency()) {
                    soonest = Some(blocked);
                }
            }
            let skipped = soonest.map(|it| Skipped { provider: number, reason: it.reason });
            passed_over.extend(skipped.map(|skipped| (skipped, is_demoted)));
        }
        // Nobody is well. Those ahead of it that are demoted come after it.
        let ahead = demoted.map_or(passed_over.len(), |(_, ahead)| ahead);
        let skipped = passed_over.into_iter().take(ahead).filter(|(_, is_demoted)| !is_demoted);
        let skipped = skipped.map(|(skipped, _)| skipped).collect();
        let admission = demoted.map(|(candidate, _)| self.admit(candidate, criteria.target.turn(), now));
        Picked { admission, skipped }
    }

    /// Whether there is a candidate that could be called now.
    pub(super) fn has_candidate(&self, criteria: &Criteria<'_>, now: Moment) -> bool {
        self.providers.iter().enumerate().any(|(number, provider)| {
            let mut candidates = provider.in_order_of_preference(number, criteria, now).into_iter();
            candidates.any(|it| !matches!(provider.standing(it, now), Standing::Blocked(_)))
        })
    }

    /// When the first candidate can serve again, of one provider or of any, as far as that is certain; `None` if it is not
    /// known. Nobody knows when one that merely failed is well again, unless it has said so.
    pub(super) fn soonest(
        &self,
        criteria: &Criteria<'_>,
        of: Option<usize>,
        now: Moment,
    ) -> Option<Timestamp> {
        let providers =
            self.providers.iter().enumerate().filter(|(number, _)| of.is_none_or(|of| of == *number));
        let ends = providers.flat_map(|(number, provider)| {
            let candidates = provider.in_order_of_preference(number, criteria, now).into_iter();
            candidates.filter_map(move |candidate| match provider.standing(candidate, now) {
                Standing::Blocked(it) | Standing::Demoted(it) if it.is_certain => Some(it.until),
                _ => None,
            })
        });
        ends.min().filter(|&end| end < Timestamp::MAX)
    }

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

    /// The call is over: what it was to find out, another call may.
    pub(super) fn release(&mut self, admission: Admission) {
        for place in admission.candidate.places() {
            if let Some(cooldowns) = self.cooldowns_mut(place) {
                cooldowns.release(admission.attempt);
            }
        }
    }

    /// A good answer reported that nothing is left of a limit.
    pub(super) fn spent(&mut self, admission: Admission, spent: Spent, now: Moment) {
        let failure = Failure { wait: Some(spent.wait), ..Failure::without_answer(spent.cause) };
        if let Some(place) = admission.candidate.place(Policy::of(spent.cause).reach) {
            self.record(place, Policy::of(spent.cause), &failure, admission.attempt, now);
        }
    }

    /// Counts a call that is being sent.
    pub(super) fn sends(&mut self, candidate: Candidate, now: Moment) {
        if let Some(provider) = self.providers.get_mut(candidate.provider) {
            let day_end = provider.provider.profile().day_end;
            if let Some(its) = provider.account_model_mut(candidate.account, candidate.model) {
                its.buckets.sends(day_end, now.wall);
            }
        }
    }

    /// Records what the provider reported about its limits.
    pub(super) fn overwrite(&mut self, candidate: Candidate, limits: &[LimitReading], now: Moment) {
        let provider = self.providers.get_mut(candidate.provider);
        let its = provider.and_then(|it| it.account_model_mut(candidate.account, candidate.model));
        if let Some(its) = its {
            limits.iter().for_each(|reading| its.buckets.overwrite(reading, now.wall));
        }
    }

    fn admit(&mut self, candidate: Candidate, turn: Turn, now: Moment) -> Admission {
        self.attempts += 1;
        let attempt = self.attempts;
        if let Some(provider) = self.providers.get_mut(candidate.provider) {
            if turn == Turn::Taken {
                provider.last_turn = attempt;
            }
            if let Some(account) = provider.accounts.get_mut(candidate.account) {
                account.last_use = attempt;
            }
        }
        for place in candidate.places() {
            if let Some(cooldowns) = self.cooldowns_mut(place) {
                cooldowns.probe(attempt, now);
            }
        }
        Admission { candidate, attempt }
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
        }
    }

    fn cooldowns_mut(&mut self, place: Place) -> Option<&mut Cooldowns> {
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
