//! What is known of every provider, account and model: one state under one lock. Time is an argument.
//!
//! The rotation lives here too. Picking the provider that has waited longest and making it the last in line must be one
//! step; only then do concurrent requests spread evenly.

use jiff::Timestamp;

use super::cooldowns::{Blocked, Cooldown, DOUBTFULLY_GONE};
use super::place::{Candidate, Place};
use super::provider_state::{Change, ModelState, Offer, ProviderState};
use super::target::{Criteria, Turn};
use crate::middle::{Failure, LimitReading, Reason, Scope, Wait};
use crate::models::{Catalogue, Stock};

/// A provider that would have been next but cannot serve now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Its number.
    pub(crate) provider: usize,
    /// The reason of its cooldown.
    pub(crate) reason: Reason,
}

/// Permission to call a candidate. It has to be given back; otherwise a cooldown that this call probes is never probed
/// again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) candidate: Candidate,
    /// The expired cooldowns that this call probes, each with its end.
    probes: Vec<(Place, Timestamp)>,
}

/// The picked candidate, if any can serve now, and the providers that were ahead of it but are in cooldown.
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
        now: Timestamp,
    ) -> Change {
        if let Some(provider) = self.providers.get_mut(provider) {
            provider.catalogue = catalogue;
        }
        self.go_by(provider, stock, now)
    }

    /// Picks from this stock from now on. An attempt in progress keeps its model.
    pub(super) fn go_by(&mut self, provider: usize, stock: Stock, now: Timestamp) -> Change {
        self.providers.get_mut(provider).map(|it| it.go_by(stock, now)).unwrap_or_default()
    }

    /// Picks the best candidate that may serve and can serve now. The provider whose last attempt was longest ago comes
    /// first, with its best model and, for that model, the account that has waited longest.
    pub(super) fn pick(&mut self, criteria: &Criteria<'_>, now: Timestamp) -> Picked {
        let mut line: Vec<usize> = (0..self.providers.len()).collect();
        line.sort_by_key(|&number| self.provider(number).map(|it| it.last_turn));
        let mut skipped = Vec::new();
        for number in line {
            let Some(provider) = self.provider(number) else { continue };
            let mut soonest: Option<Blocked> = None;
            for candidate in provider.in_order_of_preference(number, criteria, now) {
                match provider.blocked(candidate, now) {
                    None => {
                        let admission = Some(self.admit(candidate, criteria.target.turn()));
                        return Picked { admission, skipped };
                    }
                    Some(blocked) if soonest.is_none_or(|it| blocked.urgency() < it.urgency()) => {
                        soonest = Some(blocked);
                    }
                    Some(_) => {}
                }
            }
            skipped.extend(soonest.map(|it| Skipped { provider: number, reason: it.reason }));
        }
        Picked { admission: None, skipped }
    }

    /// When the first candidate can serve, of one provider or of any: `now` if one can already, `None` if none ever
    /// will.
    pub(super) fn soonest(
        &self,
        criteria: &Criteria<'_>,
        of: Option<usize>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let providers =
            self.providers.iter().enumerate().filter(|(number, _)| of.is_none_or(|of| of == *number));
        let starts = providers.flat_map(|(number, provider)| {
            let candidates = provider.in_order_of_preference(number, criteria, now);
            candidates.into_iter().map(|it| provider.blocked(it, now).map_or(now, |blocked| blocked.until))
        });
        starts.min().filter(|&start| start < Timestamp::MAX)
    }

    /// The call has produced content, so the cooldowns that it probed end.
    pub(super) fn succeeded(&mut self, admission: &mut Admission) {
        for (place, ended) in admission.probes.drain(..) {
            let Some(cooldown) = cooldown_mut(&mut self.providers, place) else { continue };
            match cooldown {
                // Another call has renewed this cooldown meanwhile. This call must not end it; a later one probes it.
                Some(renewed) if renewed.outlasts(ended) => renewed.release(),
                cooldown => *cooldown = None,
            }
        }
    }

    /// The call has failed, so its place goes into cooldown.
    pub(super) fn failed(&mut self, admission: &Admission, failure: &Failure, now: Timestamp) {
        self.abandoned(admission);
        let candidate = admission.candidate;
        if let Some(place) = candidate.place(failure.scope) {
            let was_probe = admission.probes.iter().any(|(probed, _)| *probed == place);
            let is_doubtful = failure.reason == Reason::ModelGone
                && self.provider(candidate.provider).is_some_and(|it| it.lists(candidate) == Some(true));
            let wait = failure.wait.or(is_doubtful.then_some(Wait::For(DOUBTFULLY_GONE)));
            self.cool_down(place, failure.reason, wait, was_probe, now);
        }
    }

    /// The call was dropped without a result: another call may probe.
    pub(super) fn abandoned(&mut self, admission: &Admission) {
        for (place, _) in &admission.probes {
            if let Some(Some(cooldown)) = cooldown_mut(&mut self.providers, *place) {
                cooldown.release();
            }
        }
    }

    /// A successful answer reported that a limit is used up.
    pub(super) fn exhausted(&mut self, candidate: Candidate, reason: Reason, wait: Wait, now: Timestamp) {
        if let Some(place) = candidate.place(Scope::AccountModel) {
            self.cool_down(place, reason, Some(wait), false, now);
        }
    }

    /// Counts a call that is being sent.
    pub(super) fn sends(&mut self, candidate: Candidate, now: Timestamp) {
        if let Some(provider) = self.providers.get_mut(candidate.provider) {
            let day_end = provider.provider.profile().day_end;
            if let Some(its) = provider.account_model_mut(candidate.account, candidate.model) {
                its.buckets.sends(day_end, now);
            }
        }
    }

    /// Records what the provider reported about its limits.
    pub(super) fn overwrite(&mut self, candidate: Candidate, limits: &[LimitReading], now: Timestamp) {
        let provider = self.providers.get_mut(candidate.provider);
        let its = provider.and_then(|it| it.account_model_mut(candidate.account, candidate.model));
        if let Some(its) = its {
            limits.iter().for_each(|reading| its.buckets.overwrite(reading, now));
        }
    }

    fn admit(&mut self, candidate: Candidate, turn: Turn) -> Admission {
        self.attempts += 1;
        let number = self.attempts;
        if let Some(provider) = self.providers.get_mut(candidate.provider) {
            if turn == Turn::Taken {
                provider.last_turn = number;
            }
            if let Some(account) = provider.accounts.get_mut(candidate.account) {
                account.last_use = number;
            }
        }
        let mut probes = Vec::new();
        for place in candidate.places() {
            if let Some(Some(cooldown)) = cooldown_mut(&mut self.providers, place) {
                probes.push((place, cooldown.probe()));
            }
        }
        Admission { candidate, probes }
    }

    fn cool_down(
        &mut self,
        place: Place,
        reason: Reason,
        wait: Option<Wait>,
        was_probe: bool,
        now: Timestamp,
    ) {
        if let Some(cooldown) = cooldown_mut(&mut self.providers, place) {
            *cooldown = Some(Cooldown::after(*cooldown, reason, wait, was_probe, now, &mut self.random));
        }
    }
}

/// The cooldown of a place; `None` if there is no such place.
fn cooldown_mut(providers: &mut [ProviderState], place: Place) -> Option<&mut Option<Cooldown>> {
    match place {
        Place::Provider(provider) => Some(&mut providers.get_mut(provider)?.cooldown),
        Place::Account(provider, account) => {
            Some(&mut providers.get_mut(provider)?.accounts.get_mut(account)?.cooldown)
        }
        Place::Model(provider, model) => {
            Some(&mut providers.get_mut(provider)?.models.get_mut(model)?.cooldown)
        }
        Place::AccountModel(provider, account, model) => {
            Some(&mut providers.get_mut(provider)?.account_model_mut(account, model)?.cooldown)
        }
    }
}
