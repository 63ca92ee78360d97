//! What is known of every provider, account and model: one state under one lock. Time is an argument.
//!
//! The rotation lives here too, because picking who has waited longest and making it the last in line must be one step:
//! only then do concurrent requests spread evenly.
//!
//! A [`Stock`] says which models there are to pick from. A model that is missing from an account's list is blocked for that
//! account without having failed; one that has come back to it is tried again, whatever was said of it.

use std::sync::Arc;

use jiff::Timestamp;

use super::bucket::Buckets;
use super::cooldowns::{Blocked, Cooldown, DOUBTFULLY_GONE};
use super::place::{Candidate, Place};
use super::target::{Criteria, Turn};
use crate::middle::{Failure, LimitReading, Reason, Scope, Wait};
use crate::models::{Catalogue, Stock};
use crate::observe::ModelStats;
use crate::providers::{Capabilities, Provider};

/// What a provider begins with; one without accounts serves nobody.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// Who.
    pub(crate) provider: Provider,
    /// How many accounts it has.
    pub(crate) accounts: usize,
    /// The models that the user wants, best first.
    pub(crate) models: Vec<String>,
}

/// A provider that would have been next and cannot serve now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PassedOver {
    /// Its number.
    pub(crate) provider: usize,
    /// What put it into cooldown.
    pub(crate) reason: Reason,
}

/// Leave to call a candidate. Has to be given back, or a cooldown that this call probes is never probed again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) candidate: Candidate,
    /// Cooldowns that are over and that this call is to find out about, with when they ended.
    probes: Vec<(Place, Timestamp)>,
}

/// Who was picked, if anybody can serve now, and who would have been before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picked {
    pub(super) admission: Option<Admission>,
    pub(super) passed_over: Vec<PassedOver>,
}

/// What a new stock has changed, by the ids of models.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Models that were used and are gone.
    pub(crate) lost: Vec<Arc<str>>,
    /// Models that were gone and are used.
    pub(crate) back: Vec<Arc<str>>,
}

#[derive(Debug)]
pub(super) struct State {
    providers: Vec<ProviderState>,
    random: fastrand::Rng,
    /// How many attempts there have been: the number of the next one.
    attempts: u64,
}

#[derive(Debug)]
pub(super) struct ProviderState {
    pub(super) provider: Provider,
    pub(super) catalogue: Catalogue,
    stock: Stock,
    cooldown: Option<Cooldown>,
    /// The number of its last attempt; 0 means never.
    last_turn: u64,
    pub(super) accounts: Vec<AccountState>,
    /// By their numbers in the catalogue.
    models: Vec<ModelState>,
}

#[derive(Debug, Default)]
pub(super) struct AccountState {
    cooldown: Option<Cooldown>,
    /// The number of its last attempt; 0 means never.
    last_use: u64,
    /// For each model, by its number.
    models: Vec<AccountModelState>,
}

#[derive(Debug, Default)]
pub(super) struct AccountModelState {
    cooldown: Option<Cooldown>,
    pub(super) buckets: Buckets,
}

#[derive(Debug)]
pub(super) struct ModelState {
    pub(super) id: Arc<str>,
    pub(super) can: &'static Capabilities,
    pub(super) stats: Arc<ModelStats>,
    cooldown: Option<Cooldown>,
}

impl State {
    /// A state in which everybody can serve. The order of `offers` decides between those who never served.
    pub(super) fn new(offers: Vec<Offer>, random: fastrand::Rng) -> Self {
        Self { providers: offers.into_iter().map(ProviderState::new).collect(), random, attempts: 0 }
    }

    /// All providers, by their numbers.
    pub(super) fn providers(&self) -> &[ProviderState] {
        &self.providers
    }

    /// One of them.
    pub(super) fn provider(&self, provider: usize) -> Option<&ProviderState> {
        self.providers.get(provider)
    }

    /// The model of a candidate.
    pub(super) fn model(&self, candidate: Candidate) -> Option<&ModelState> {
        self.provider(candidate.provider)?.models.get(candidate.model)
    }

    /// Takes in the list of one account; see [`Catalogue::learn`]. Counts from the next [`restock`](Self::restock) on.
    pub(super) fn learn_list(&mut self, provider: usize, account: usize, list: Vec<String>) -> bool {
        self.providers.get_mut(provider).is_some_and(|it| it.catalogue.learn(account, list))
    }

    /// Goes by what the catalogue says from now on.
    pub(super) fn restock(&mut self, provider: usize, now: Timestamp) -> Change {
        let stock = self.providers.get_mut(provider).map(|it| it.catalogue.stock());
        stock.map(|stock| self.go_by(provider, stock, now)).unwrap_or_default()
    }

    /// From now on there is this to pick from. An attempt under way keeps its model.
    pub(super) fn go_by(&mut self, provider: usize, stock: Stock, now: Timestamp) -> Change {
        self.providers.get_mut(provider).map(|it| it.go_by(stock, now)).unwrap_or_default()
    }

    /// Picks, among the candidates that may serve and can now, the best of the provider whose last attempt lies longest
    /// ago: its best model, and for that the account that has waited longest.
    pub(super) fn pick(&mut self, criteria: &Criteria<'_>, now: Timestamp) -> Picked {
        let mut line: Vec<usize> = (0..self.providers.len()).collect();
        line.sort_by_key(|&number| self.provider(number).map(|it| it.last_turn));
        let mut passed_over = Vec::new();
        for number in line {
            let Some(provider) = self.provider(number) else { continue };
            let mut soonest: Option<Blocked> = None;
            for candidate in provider.in_order_of_preference(number, criteria, now) {
                match provider.blocked(candidate, now) {
                    None => {
                        let admission = Some(self.admit(candidate, criteria.target.turn()));
                        return Picked { admission, passed_over };
                    }
                    Some(blocked) if soonest.is_none_or(|it| blocked.urgency() < it.urgency()) => {
                        soonest = Some(blocked);
                    }
                    Some(_) => {}
                }
            }
            passed_over.extend(soonest.map(|it| PassedOver { provider: number, reason: it.reason }));
        }
        Picked { admission: None, passed_over }
    }

    /// When the first candidate can serve, of one provider or of any: `now` if one can already, none if none ever will.
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

    /// The call has produced content: what it probed is well again.
    pub(super) fn succeeded(&mut self, admission: &mut Admission) {
        for (place, ended) in admission.probes.drain(..) {
            let Some(cooldown) = cooldown_mut(&mut self.providers, place) else { continue };
            match cooldown {
                // Somebody else has renewed it meanwhile: it is not this call's to end, and for another to probe.
                Some(renewed) if renewed.outlasts(ended) => renewed.release(),
                cooldown => *cooldown = None,
            }
        }
    }

    /// The call has failed: its place cools down.
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

    /// The call was given up before it came to anything: somebody else may probe.
    pub(super) fn abandoned(&mut self, admission: &Admission) {
        for (place, _) in &admission.probes {
            if let Some(Some(cooldown)) = cooldown_mut(&mut self.providers, *place) {
                cooldown.release();
            }
        }
    }

    /// A successful answer told that a limit is used up.
    pub(super) fn exhausted(&mut self, candidate: Candidate, reason: Reason, wait: Wait, now: Timestamp) {
        if let Some(place) = candidate.place(Scope::KeyModel) {
            self.cool_down(place, reason, Some(wait), false, now);
        }
    }

    /// A call is being sent.
    pub(super) fn sends(&mut self, candidate: Candidate, now: Timestamp) {
        if let Some(provider) = self.providers.get_mut(candidate.provider) {
            let day_end = provider.provider.profile().day_end;
            if let Some(its) = provider.account_model_mut(candidate.account, candidate.model) {
                its.buckets.sends(day_end, now);
            }
        }
    }

    /// The provider has said something of its limits.
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

/// The cooldown of a place; none if there is no such place.
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

impl ProviderState {
    fn new(offer: Offer) -> Self {
        let Offer { provider, accounts, models } = offer;
        let mut catalogue = Catalogue::new(provider, &models, accounts);
        let mut state = Self {
            provider,
            stock: catalogue.stock(),
            catalogue,
            cooldown: None,
            last_turn: 0,
            accounts: (0..accounts).map(|_| AccountState::default()).collect(),
            models: Vec::new(),
        };
        state.add_new_models();
        state
    }

    /// The models that are used, best first, with any of the accounts. If all are gone, those that would be if they were
    /// not.
    pub(super) fn in_use(&self, now: Timestamp) -> Vec<usize> {
        let ranks_in_use: Vec<usize> =
            (0..self.accounts.len()).map(|account| self.rank_in_use(account, now)).collect();
        let mut used = Vec::new();
        for (rank, models) in self.stock.ranks.iter().enumerate() {
            let is_used = |&model: &usize| {
                let mut accounts = ranks_in_use.iter().enumerate();
                accounts.any(|(account, &in_use)| rank <= in_use && !self.is_gone(account, model, now))
            };
            used.extend(models.iter().copied().filter(is_used));
        }
        match self.stock.ranks.first() {
            Some(wanted) if used.is_empty() => wanted.clone(),
            _ => used,
        }
    }

    /// The best model that is used with this account.
    pub(super) fn first_in_use(&self, account: usize, now: Timestamp) -> Option<usize> {
        self.stock.models().find(|&model| !self.is_gone(account, model, now))
    }

    /// The id of a model.
    pub(super) fn id(&self, model: usize) -> Option<&Arc<str>> {
        self.models.get(model).map(|it| &it.id)
    }

    /// All models there have been, by their numbers.
    pub(super) fn models(&self) -> &[ModelState] {
        &self.models
    }

    /// What is known of the limits of a model with an account; none if it was never used.
    pub(super) fn buckets(&self, account: usize, model: usize) -> Option<&Buckets> {
        Some(&self.accounts.get(account)?.models.get(model)?.buckets)
    }

    /// What keeps `candidate` from serving now; none if nothing does.
    pub(super) fn blocked(&self, candidate: Candidate, now: Timestamp) -> Option<Blocked> {
        if self.lists(candidate) == Some(false) {
            return Some(Blocked { until: Timestamp::MAX, reason: Reason::ModelGone });
        }
        let Candidate { account, model, .. } = candidate;
        let account = self.accounts.get(account);
        let cooldowns = [
            self.cooldown.as_ref(),
            account.and_then(|it| it.cooldown.as_ref()),
            self.models.get(model).and_then(|it| it.cooldown.as_ref()),
            account.and_then(|it| it.models.get(model)?.cooldown.as_ref()),
        ];
        let blocks = cooldowns.into_iter().flatten().filter_map(|cooldown| cooldown.blocks(now));
        blocks.max_by_key(|blocked| blocked.until)
    }

    /// The models in use, best first, and those of earlier ranks, which are gone and say why; the accounts that have waited
    /// longest before the others.
    fn in_order_of_preference(
        &self,
        number: usize,
        criteria: &Criteria<'_>,
        now: Timestamp,
    ) -> Vec<Candidate> {
        let mut accounts: Vec<(usize, usize)> =
            (0..self.accounts.len()).map(|account| (account, self.rank_in_use(account, now))).collect();
        accounts.sort_by_key(|&(account, _)| self.accounts.get(account).map(|it| it.last_use));
        let mut candidates = Vec::new();
        for (rank, models) in self.stock.ranks.iter().enumerate() {
            let is_allowed = |&&model: &&usize| {
                self.models.get(model).is_some_and(|it| criteria.allows_model(number, model, it.can))
            };
            for &model in models.iter().filter(is_allowed) {
                let its = accounts.iter().filter(|&&(_, rank_in_use)| rank <= rank_in_use);
                let all = its.map(|&(account, _)| Candidate { provider: number, account, model });
                candidates.extend(all.filter(|&candidate| criteria.allows_account(candidate)));
            }
        }
        candidates
    }

    /// The first rank of which something is left for this account; if nothing is left of any, the first.
    fn rank_in_use(&self, account: usize, now: Timestamp) -> usize {
        let is_left = |&model: &usize| !self.is_gone(account, model, now);
        self.stock.ranks.iter().position(|models| models.iter().any(is_left)).unwrap_or_default()
    }

    /// Whether a model is gone for all accounts.
    fn is_lost(&self, model: usize, now: Timestamp) -> bool {
        let accounts = self.accounts.len();
        accounts > 0 && (0..accounts).all(|account| self.is_gone(account, model, now))
    }

    /// Whether the provider does not offer it, by the account's list or by an answer.
    fn is_gone(&self, account: usize, model: usize, now: Timestamp) -> bool {
        let says_gone = |cooldown: Option<&Cooldown>| cooldown.is_some_and(|it| it.says_gone(now));
        let of_model = self.models.get(model).and_then(|it| it.cooldown.as_ref());
        let of_both = self.accounts.get(account).and_then(|it| it.models.get(model)?.cooldown.as_ref());
        self.stock.lists(account, model) == Some(false) || says_gone(of_model) || says_gone(of_both)
    }

    /// Whether the account's list has the model; none if there is no list.
    fn lists(&self, candidate: Candidate) -> Option<bool> {
        self.stock.lists(candidate.account, candidate.model)
    }

    fn go_by(&mut self, stock: Stock, now: Timestamp) -> Change {
        let used = self.in_use(now);
        let was_gone: Vec<usize> = stock.models().filter(|&model| self.is_lost(model, now)).collect();
        self.forgive(&stock, now);
        self.stock = stock;
        self.add_new_models();
        let id = |model: usize| self.id(model).cloned();
        let is_lost = |model: &usize| self.is_lost(*model, now);
        let back = self.in_use(now).into_iter().filter(|model| was_gone.contains(model) && !is_lost(model));
        Change {
            lost: used.into_iter().filter(is_lost).filter_map(id).collect(),
            back: back.filter_map(id).collect(),
        }
    }

    fn add_new_models(&mut self) {
        let new = self.catalogue.ids().iter().skip(self.models.len());
        let new = new.map(|id| ModelState {
            id: id.clone(),
            can: self.provider.capabilities(id),
            stats: Arc::default(),
            cooldown: None,
        });
        self.models.extend(new);
    }

    /// Ends the cooldowns of models that have come back to a list; and, when nothing is left of a provider, of all that its
    /// list has: answers that leave nothing of it may have been an accident.
    fn forgive(&mut self, stock: &Stock, now: Timestamp) {
        let is_nothing_left = stock.models().all(|model| self.is_lost(model, now));
        for account in 0..self.accounts.len() {
            for model in stock.models() {
                let may_be_forgiven = is_nothing_left || self.stock.lists(account, model) == Some(false);
                if may_be_forgiven && stock.lists(account, model) == Some(true) {
                    self.forgive_gone(account, model);
                }
            }
        }
    }

    fn forgive_gone(&mut self, account: usize, model: usize) {
        let of_model = self.models.get_mut(model).map(|it| &mut it.cooldown);
        let of_both = self.accounts.get_mut(account).and_then(|it| it.models.get_mut(model));
        for cooldown in of_model.into_iter().chain(of_both.map(|it| &mut it.cooldown)) {
            *cooldown = cooldown.take().filter(|it| !it.is_of_gone_model());
        }
    }

    /// The state of a model with an account; none if there is no such account or model.
    fn account_model_mut(&mut self, account: usize, model: usize) -> Option<&mut AccountModelState> {
        let known = self.models.len();
        let its = &mut self.accounts.get_mut(account)?.models;
        if model < known && its.len() <= model {
            its.resize_with(model + 1, AccountModelState::default);
        }
        its.get_mut(model)
    }
}
