//! What is known of one provider, its accounts and its models.
//!
//! A [`Stock`] says which models can be picked. A model that is missing from an account's list is blocked for that
//! account without having failed. A model that comes back to the list is tried again, whatever failures said about it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::cooldowns::{Blocked, Cooldowns, Standing};
use super::demand::Correction;
use super::place::Candidate;
use super::provider_share::ProviderShare;
use super::shared_bucket::SharedBucket;
use super::target::Criteria;
use crate::middle::{Measure, Needs, Reason, Renewal};
use crate::models::{Catalogue, Stock};
use crate::observe::ModelStats;
use crate::providers::{Capabilities, Listed, Provider};
use crate::time::Moment;

/// What a provider starts with. A provider without accounts is never picked.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// The provider.
    pub(crate) provider: Provider,
    /// Whether it is asked only when nobody else can serve.
    pub(crate) is_second_tier: bool,
    /// How many accounts it has.
    pub(crate) accounts: usize,
    /// The models that the user wants, best first.
    pub(crate) models: Vec<String>,
    /// The limits of its plan, if the user has stated them.
    pub(crate) limits: Vec<(Measure, u64)>,
}

/// What a new stock has changed, as model ids.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Models that were in use and are gone.
    pub(crate) lost: Vec<Arc<str>>,
    /// Models that were gone and are in use now.
    pub(crate) back: Vec<Arc<str>>,
}

#[derive(Debug)]
pub(super) struct ProviderState {
    pub(super) provider: Provider,
    /// Whether it is asked only when nobody else can serve.
    pub(super) is_second_tier: bool,
    pub(super) catalogue: Catalogue,
    pub(super) stock: Stock,
    pub(super) cooldowns: Cooldowns,
    /// Its accounts and models that have failed since it last answered.
    pub(super) failing: BTreeSet<(usize, usize)>,
    /// The numbers of its accounts; the one that has waited longest comes first.
    pub(super) turns: Vec<usize>,
    pub(super) accounts: Vec<AccountState>,
    /// By their numbers in the catalogue.
    pub(super) models: Vec<ModelState>,
    /// All limits of its accounts and models; those who share one name the same.
    pub(super) buckets: Vec<SharedBucket>,
    /// How its count of tokens differs from ours.
    pub(super) correction: Correction,
    /// Whether a limit of its plan comes back with the calendar.
    pub(super) has_calendar: bool,
    /// When a request came that some of its models cannot serve well.
    pub(super) demanded_at: Option<Duration>,
    /// The limits that the user has stated.
    pub(super) stated: Vec<(Measure, u64)>,
    /// If several instances share it.
    pub(super) sharing: Option<ProviderShare>,
}

#[derive(Debug, Default)]
pub(super) struct AccountState {
    pub(super) cooldowns: Cooldowns,
    /// Its name in the ledger.
    pub(super) ledger_name: u64,
    /// Its name among several instances, once it is shared.
    pub(super) shared_name: String,
    /// For each model, by its number.
    pub(super) models: Vec<AccountModelState>,
}

#[derive(Debug, Default)]
pub(super) struct AccountModelState {
    pub(super) cooldowns: Cooldowns,
    /// Its buckets, by their numbers; `None` before the first call.
    pub(super) buckets: Option<Vec<usize>>,
}

#[derive(Debug)]
pub(super) struct ModelState {
    pub(super) id: Arc<str>,
    pub(super) can: Arc<Capabilities>,
    pub(super) stats: Arc<ModelStats>,
    pub(super) cooldowns: Cooldowns,
    /// Its name in the ledger, from its first call on.
    pub(super) ledger_name: Option<u64>,
}

impl ProviderState {
    pub(super) fn new(offer: Offer) -> Self {
        let Offer { provider, is_second_tier, accounts, models, limits } = offer;
        let mut catalogue = Catalogue::new(provider, &models, accounts);
        let mut state = Self {
            provider,
            is_second_tier,
            stock: catalogue.stock(),
            catalogue,
            cooldowns: Cooldowns::default(),
            failing: BTreeSet::new(),
            turns: (0..accounts).collect(),
            accounts: (0..accounts).map(|_| AccountState::default()).collect(),
            models: Vec::new(),
            buckets: Vec::new(),
            correction: Correction::default(),
            has_calendar: false,
            demanded_at: None,
            stated: limits,
            sharing: None,
        };
        state.add_new_models();
        state
    }

    /// The models in use, best first, with any account. If every model is gone, returns the first rank (the wanted
    /// models) all the same.
    pub(super) fn in_use(&self, now: Moment) -> Vec<usize> {
        let used: Vec<usize> = self.used(now).collect();
        match self.stock.ranks.first() {
            Some(wanted) if used.is_empty() => wanted.clone(),
            _ => used,
        }
    }

    /// The models in use, best first, with any account; none if every model is gone.
    fn used(&self, now: Moment) -> impl Iterator<Item = usize> + '_ {
        let ranks = self.stock.ranks.iter().enumerate();
        let models = ranks.flat_map(|(rank, models)| models.iter().map(move |&model| (rank, model)));
        models.filter_map(move |(rank, model)| {
            let is_used = |account| {
                !self.is_gone(account, model, now) && (rank == 0 || rank <= self.rank_in_use(account, now))
            };
            (0..self.accounts.len()).any(is_used).then_some(model)
        })
    }

    /// Whether a model in use can do what a request needs.
    pub(super) fn serves(&self, needs: &Needs, now: Moment) -> bool {
        let can_serve =
            |model| self.models.get(model).is_some_and(|it: &ModelState| it.can.lacks(needs).is_none());
        self.used(now).any(can_serve)
    }

    /// The best model in use with this account.
    pub(super) fn first_in_use(&self, account: usize, now: Moment) -> Option<usize> {
        self.stock.models().find(|&model| !self.is_gone(account, model, now))
    }

    /// The id of a model.
    pub(super) fn id(&self, model: usize) -> Option<&Arc<str>> {
        self.models.get(model).map(|it| &it.id)
    }

    /// The ids of models.
    pub(super) fn ids(&self, models: Vec<usize>) -> Vec<Arc<str>> {
        models.into_iter().filter_map(|model| self.id(model).cloned()).collect()
    }

    /// All models known so far, by their numbers.
    pub(super) fn models(&self) -> &[ModelState] {
        &self.models
    }

    /// How `candidate` stands now: a block counts more than a demotion, and of several the one that lasts longest.
    pub(super) fn standing(&self, candidate: Candidate, now: Moment) -> Standing {
        if self.lists(candidate) == Some(false) {
            let until = Timestamp::MAX;
            return Standing::Blocked(Blocked { until, reason: Reason::ModelGone, is_certain: true });
        }
        let Candidate { account, model, .. } = candidate;
        let account = self.accounts.get(account);
        let places = [
            Some(&self.cooldowns),
            account.map(|it| &it.cooldowns),
            self.models.get(model).map(|it| &it.cooldowns),
            account.and_then(|it| it.models.get(model)).map(|it| &it.cooldowns),
        ];
        let standings = places.into_iter().flatten().map(|cooldowns| cooldowns.standing(now));
        standings
            .max_by_key(|standing| match standing {
                Standing::Well => (0, Timestamp::MIN),
                Standing::Demoted(blocked) => (1, blocked.until),
                Standing::Blocked(blocked) => (2, blocked.until),
            })
            .unwrap_or(Standing::Well)
    }

    /// The models in use, best first, and those of earlier ranks, which are gone and say why. Accounts that have waited
    /// longest come first.
    pub(super) fn in_order_of_preference<'a>(
        &'a self,
        number: usize,
        criteria: &'a Criteria<'_>,
        now: Moment,
    ) -> impl Iterator<Item = Candidate> + 'a {
        let models = self.stock.ranks.iter().enumerate();
        let models = models.flat_map(|(rank, models)| models.iter().map(move |&model| (rank, model)));
        let is_allowed = move |&(_, model): &(usize, usize)| {
            self.models.get(model).is_some_and(|it| criteria.allows_model(number, model, &it.can))
        };
        let candidates = models.filter(is_allowed).flat_map(move |(rank, model)| {
            let its = self.turns.iter().filter(move |&&it| rank == 0 || rank <= self.rank_in_use(it, now));
            its.map(move |&account| Candidate { provider: number, account, model })
        });
        candidates.filter(|&candidate| criteria.allows_account(candidate))
    }

    /// The first rank that still has a model for this account; if no rank has one, the first rank.
    pub(super) fn rank_in_use(&self, account: usize, now: Moment) -> usize {
        let is_left = |&model: &usize| !self.is_gone(account, model, now);
        self.stock.ranks.iter().position(|models| models.iter().any(is_left)).unwrap_or_default()
    }

    /// Whether a model is gone for all accounts.
    fn is_lost(&self, model: usize, now: Moment) -> bool {
        let accounts = self.accounts.len();
        accounts > 0 && (0..accounts).all(|account| self.is_gone(account, model, now))
    }

    /// Whether the provider does not offer it, according to the account's list or an answer.
    fn is_gone(&self, account: usize, model: usize, now: Moment) -> bool {
        let of_model = self.models.get(model).map(|it| &it.cooldowns);
        let of_both = self.accounts.get(account).and_then(|it| it.models.get(model)).map(|it| &it.cooldowns);
        let mut both = of_model.into_iter().chain(of_both);
        self.stock.lists(account, model) == Some(false) || both.any(|it| it.says_gone(now))
    }

    /// Whether the account's list has the model; `None` if there is no list.
    pub(super) fn lists(&self, candidate: Candidate) -> Option<bool> {
        self.stock.lists(candidate.account, candidate.model)
    }

    pub(super) fn go_by(&mut self, stock: Stock, now: Moment) -> Change {
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

    /// Goes by what lists say that its models can do. Who is on no list keeps what was said before.
    pub(super) fn heed(&mut self, listed: &[Listed]) {
        for model in &mut self.models {
            if let Some(listed) = listed.iter().find(|listed| *listed.id == *model.id) {
                model.can = Arc::new(listed.says.over(self.provider.capabilities(&model.id)));
            }
        }
    }

    fn add_new_models(&mut self) {
        let new = self.catalogue.ids().iter().skip(self.models.len());
        let plans = new.clone().flat_map(|id| self.provider.free_plan(id));
        self.has_calendar |= plans.into_iter().any(|limit| matches!(limit.renewal, Renewal::Calendar(_)));
        let new = new.map(|id| ModelState {
            id: id.clone(),
            can: Arc::new(self.provider.capabilities(id).clone()),
            stats: Arc::default(),
            cooldowns: Cooldowns::default(),
            ledger_name: None,
        });
        self.models.extend(new);
    }

    /// Ends the `ModelGone` cooldown of every model that is back on a list. If the provider has no usable model left,
    /// also ends that of every model on its list: answers that rule out all models may have been wrong.
    fn forgive(&mut self, stock: &Stock, now: Moment) {
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
        let of_model = self.models.get_mut(model).map(|it| &mut it.cooldowns);
        let of_both = self.accounts.get_mut(account).and_then(|it| it.models.get_mut(model));
        let both = of_model.into_iter().chain(of_both.map(|it| &mut it.cooldowns));
        both.for_each(Cooldowns::forgive_gone);
    }

    /// The state of a model with an account; `None` if there is no such account or model.
    pub(super) fn account_model_mut(
        &mut self,
        account: usize,
        model: usize,
    ) -> Option<&mut AccountModelState> {
        let known = self.models.len();
        let its = &mut self.accounts.get_mut(account)?.models;
        if model < known && its.len() <= model {
            its.resize_with(model + 1, AccountModelState::default);
        }
        its.get_mut(model)
    }
}
