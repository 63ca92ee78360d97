//! What is known of one provider, its accounts and its models.
//!
//! A [`Stock`] says which models can be picked. A model that is missing from an account's list is blocked for that
//! account without having failed. A model that comes back to the list is tried again, whatever failures said about it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::bucket::{Bucket, Fit, IsCounted, LimitStatus};
use super::cooldowns::{Blocked, Cooldowns, Standing};
use super::demand::{Correction, Demand};
use super::ledger::PastUse;
use super::place::Candidate;
use super::price::{Cap, Price};
use super::target::Criteria;
use super::ticks::Now;
use crate::middle::{Limit, LimitReading, Measure, Pool, Reason, Renewal, Source, TokenCharge, Unit, Window};
use crate::models::{Catalogue, Stock};
use crate::observe::ModelStats;
use crate::providers::{Capabilities, Provider};
use crate::time::Moment;

/// What a provider starts with. A provider without accounts is never picked.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// The provider.
    pub(crate) provider: Provider,
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
    pub(super) catalogue: Catalogue,
    stock: Stock,
    pub(super) cooldowns: Cooldowns,
    /// Its accounts and models that have failed since it last answered.
    pub(super) failing: BTreeSet<(usize, usize)>,
    /// The number of its last attempt; 0 means never.
    pub(super) last_turn: u64,
    pub(super) accounts: Vec<AccountState>,
    /// By their numbers in the catalogue.
    pub(super) models: Vec<ModelState>,
    /// All limits of its accounts and models; those who share one name the same.
    pub(super) buckets: Vec<SharedBucket>,
    /// How its count of tokens differs from ours.
    pub(super) correction: Correction,
    /// The limits that the user has stated.
    stated: Vec<(Measure, u64)>,
}

/// A bucket, and who shares it.
#[derive(Debug)]
pub(super) struct SharedBucket {
    sharers: Sharers,
    pub(super) bucket: Bucket,
    /// What refused clients were told to come back for, by the tick at which they will.
    promised: VecDeque<(Duration, u64)>,
}

/// A client that was told when to come back may take this long to do so.
const LATE: Duration = Duration::from_secs(3);
/// The most promises that are told apart; those of one second are one.
const MOST_PROMISES: usize = 4_096;

impl SharedBucket {
    /// What refused clients will come back for.
    pub(super) fn promised(&self, now: Now) -> u64 {
        let open = self.promised.iter().filter(|(due, _)| due.saturating_add(LATE) > now.tick);
        open.map(|(_, amount)| *amount).fold(0, u64::saturating_add)
    }

    /// A refused client is told to come back at `due` for this much.
    pub(super) fn promise(&mut self, due: Duration, amount: u64, now: Now) {
        while self.promised.front().is_some_and(|(due, _)| due.saturating_add(LATE) <= now.tick) {
            self.promised.pop_front();
        }
        let is_full = self.promised.len() == MOST_PROMISES;
        match self.promised.back_mut() {
            Some((last, sum)) if is_full || last.as_secs() == due.as_secs() => {
                *sum = sum.saturating_add(amount);
            }
            _ => self.promised.push_back((due, amount)),
        }
    }
}

/// Who shares a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharers {
    Everybody,
    Account(usize),
    Group(usize, &'static str),
    AccountModel(usize, usize),
}

/// Whether a request fits a candidate's limits now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It does, at this price.
    Fits(Price),
    /// Only guesses stand in the way. By these, it fits after this time. `is_explored` says that a call is finding out.
    Unsure { price: Price, window: Window, wait: Duration, is_explored: bool },
    /// A limit stands in the way for this time, if it is known.
    Full { price: Price, window: Window, wait: Option<Duration> },
    /// It is larger than a whole limit.
    TooLarge,
}

#[derive(Debug, Default)]
pub(super) struct AccountState {
    pub(super) cooldowns: Cooldowns,
    /// Its name in the ledger.
    pub(super) ledger_name: u64,
    /// The number of its last attempt; 0 means never.
    pub(super) last_use: u64,
    /// For each model, by its number.
    models: Vec<AccountModelState>,
}

#[derive(Debug, Default)]
pub(super) struct AccountModelState {
    pub(super) cooldowns: Cooldowns,
    /// Its buckets, by their numbers; `None` before the first call.
    buckets: Option<Vec<usize>>,
}

#[derive(Debug)]
pub(super) struct ModelState {
    pub(super) id: Arc<str>,
    pub(super) can: &'static Capabilities,
    pub(super) stats: Arc<ModelStats>,
    pub(super) cooldowns: Cooldowns,
    /// Its name in the ledger, from its first call on.
    pub(super) ledger_name: Option<u64>,
}

impl Room {
    /// The same, given that another limit stands like this.
    fn and(self, price: Price, fit: Fit, window: Window, is_explored: bool) -> Self {
        match (self, fit) {
            (Self::TooLarge, _) | (_, Fit::Never) => Self::TooLarge,
            (room, Fit::Now) => room,
            (Self::Full { window: known, wait, .. }, Fit::Later(other)) => {
                let lasts_longer = other.is_none() || wait.is_some_and(|wait| Some(wait) < other);
                let (window, wait) = if lasts_longer { (window, other) } else { (known, wait) };
                Self::Full { price, window, wait }
            }
            (_, Fit::Later(wait)) => Self::Full { price, window, wait },
            (room @ Self::Full { .. }, Fit::Unsure(_)) => room,
            (Self::Unsure { wait, is_explored: also, .. }, Fit::Unsure(other)) => {
                Self::Unsure { price, window, wait: wait.max(other), is_explored: is_explored || also }
            }
            (Self::Fits(_), Fit::Unsure(wait)) => Self::Unsure { price, window, wait, is_explored },
        }
    }
}

impl ProviderState {
    pub(super) fn new(offer: Offer) -> Self {
        let Offer { provider, accounts, models, limits } = offer;
        let mut catalogue = Catalogue::new(provider, &models, accounts);
        let mut state = Self {
            provider,
            stock: catalogue.stock(),
            catalogue,
            cooldowns: Cooldowns::default(),
            failing: BTreeSet::new(),
            last_turn: 0,
            accounts: (0..accounts).map(|_| AccountState::default()).collect(),
            models: Vec::new(),
            buckets: Vec::new(),
            correction: Correction::default(),
            stated: limits,
        };
        state.add_new_models();
        state
    }

    /// The models in use, best first, with any account. If every model is gone, returns the first rank (the wanted
    /// models) all the same.
    pub(super) fn in_use(&self, now: Moment) -> Vec<usize> {
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

    /// Whether a request fits a candidate now, behind others for which `ahead` counts what they take of a bucket.
    pub(super) fn room(
        &self,
        account: usize,
        model: usize,
        demand: Demand,
        ahead: &dyn Fn(usize) -> u64,
        now: Now,
    ) -> Room {
        let charge = self.provider.profile().token_charge;
        let longest = self.models.get(model).map_or(u32::MAX, |it| it.can.max_output);
        let prompt = self.correction.apply(demand.prompt);
        let cap = self.token_cap(account, model, charge);
        let Some(price) = Price::of(demand, prompt, charge, cap, longest) else { return Room::TooLarge };
        let mut room = Room::Fits(price);
        for (number, bucket) in self.buckets_of(account, model) {
            let Measure { unit, window } = bucket.measure();
            let fit = bucket.fit(price.amount(unit), ahead(number), now);
            room = room.and(price, fit, window, bucket.is_explored());
        }
        room
    }

    /// The smallest limit of tokens into which an answer must fit that is reserved before the call.
    fn token_cap(&self, account: usize, model: usize, charge: TokenCharge) -> Option<Cap> {
        let tokens = self.buckets_of(account, model).map(|(_, bucket)| bucket);
        let tokens =
            tokens.filter(|bucket| bucket.measure().unit == Unit::Tokens && charge == TokenCharge::Longest);
        let caps = tokens.filter_map(|it| Some(Cap { most: it.most()?, is_certain: it.is_stated() }));
        caps.min_by_key(|cap| cap.most)
    }

    /// What is known of the limits of a model with an account, those of the documents if it was never called.
    pub(super) fn limits(&self, account: usize, model: usize, now: Now) -> Vec<LimitStatus> {
        let its = self.accounts.get(account).and_then(|it| it.models.get(model));
        if its.is_some_and(|it| it.buckets.is_some()) {
            return self.buckets_of(account, model).filter_map(|(_, it)| it.status(now)).collect();
        }
        let planned = self.plan(model).into_iter();
        planned.filter_map(|(limit, source)| Bucket::new(limit, source, false, now).status(now)).collect()
    }

    fn buckets_of(&self, account: usize, model: usize) -> impl Iterator<Item = (usize, &Bucket)> {
        let its = self.accounts.get(account).and_then(|it| it.models.get(model)?.buckets.as_deref());
        its.unwrap_or_default().iter().filter_map(|&number| Some((number, &self.buckets.get(number)?.bucket)))
    }

    /// Makes the buckets of a candidate, the first time that it is considered, and gives back what has come back.
    pub(super) fn open_buckets(&mut self, account: usize, model: usize, now: Now) {
        let its = self.accounts.get(account).and_then(|it| it.models.get(model));
        if let Some(numbers) = its.and_then(|it| it.buckets.as_deref()) {
            for &number in numbers {
                self.buckets.get_mut(number).into_iter().for_each(|it| it.bucket.refresh(now));
            }
            return;
        }
        let plan = self.plan(model);
        let numbers = plan.into_iter().map(|(limit, source)| {
            self.bucket_of(account, model, limit.pool, limit.measure, |may_give_back| {
                Bucket::new(limit, source, may_give_back, now)
            })
        });
        let numbers: Vec<usize> = numbers.collect();
        if let Some(its) = self.account_model_mut(account, model) {
            its.buckets = Some(numbers);
        }
    }

    /// Records what the provider has said about a limit in its answer to `attempt`.
    pub(super) fn overwrite(
        &mut self,
        (account, model): (usize, usize),
        reading: &LimitReading,
        attempt: u64,
        is_counted: IsCounted,
        now: Now,
    ) {
        self.open_buckets(account, model, now);
        let found = self.buckets_of(account, model).find(|(_, it)| it.measure() == reading.measure);
        let number = found.map(|(number, _)| number).unwrap_or_else(|| {
            let renewal = if reading.refills { Renewal::Refill } else { Renewal::Sliding };
            let number =
                self.bucket_of(account, model, Pool::AccountModel, reading.measure, |may_give_back| {
                    Bucket::unplanned(reading.measure, renewal, may_give_back, now)
                });
            let its = self.account_model_mut(account, model).and_then(|it| it.buckets.as_mut());
            its.into_iter().for_each(|numbers| numbers.push(number));
            number
        });
        if let Some(shared) = self.buckets.get_mut(number) {
            shared.bucket.overwrite(reading, attempt, is_counted, now);
        }
    }

    /// Counts what a model with an account has used before this process, the oldest first.
    pub(super) fn restore(&mut self, account: usize, model: usize, uses: &[PastUse], now: Now) {
        self.open_buckets(account, model, now);
        let numbers: Vec<usize> = self.buckets_of(account, model).map(|(number, _)| number).collect();
        for past in uses {
            let age = Duration::try_from(now.wall.duration_since(past.at)).unwrap_or_default();
            let then = Now { wall: past.at.min(now.wall), tick: now.tick.saturating_sub(age) };
            for &number in &numbers {
                let Some(bucket) = self.buckets.get_mut(number).map(|it| &mut it.bucket) else { continue };
                let amount = if bucket.counts_tokens() { past.tokens } else { past.requests };
                // What is under way ended with the process.
                if bucket.measure().window != Window::AtOnce {
                    bucket.restore(amount, then);
                }
            }
        }
    }

    /// What one bucket has shown of giving back holds for all that count the same.
    pub(super) fn share_lessons(&mut self, numbers: &[(usize, u64)]) {
        for &(number, _) in numbers {
            let Some(bucket) = self.buckets.get(number).map(|it| &it.bucket) else { continue };
            let (measure, lesson) = (bucket.measure(), bucket.gives_back());
            if lesson.is_some() {
                let others = self.buckets.iter_mut().filter(|it| it.bucket.measure() == measure);
                others.for_each(|it| it.bucket.learn_from(lesson));
            }
        }
    }

    /// The numbers of a candidate's buckets, and what a call at this price takes of each.
    pub(super) fn charges(&self, account: usize, model: usize, price: Price) -> Vec<(usize, u64)> {
        let buckets = self.buckets_of(account, model);
        buckets.map(|(number, bucket)| (number, price.amount(bucket.measure().unit))).collect()
    }

    fn bucket_of(
        &mut self,
        account: usize,
        model: usize,
        pool: Pool,
        measure: Measure,
        new: impl FnOnce(bool) -> Bucket,
    ) -> usize {
        let sharers = match pool {
            Pool::AccountModel => Sharers::AccountModel(account, model),
            Pool::Group(name) => Sharers::Group(account, name),
            Pool::Account => Sharers::Account(account),
            Pool::Address => Sharers::Everybody,
        };
        let mut known = self.buckets.iter();
        known.position(|it| it.sharers == sharers && it.bucket.measure() == measure).unwrap_or_else(|| {
            let reserves = self.provider.profile().token_charge == TokenCharge::Longest;
            let bucket = new(reserves && measure.unit == Unit::Tokens);
            self.buckets.push(SharedBucket { sharers, bucket, promised: VecDeque::new() });
            self.buckets.len() - 1
        })
    }

    /// The limits of a model that are known before it is called: the user's word counts more than the documents.
    fn plan(&self, model: usize) -> Vec<(Limit, Source)> {
        let documented = self.id(model).map_or(&[][..], |id| self.provider.free_plan(id));
        let is_stated = |limit: &&Limit| self.stated.iter().any(|(measure, _)| limit.measure == *measure);
        let unstated = documented.iter().filter(|limit| !is_stated(limit)).map(|it| (*it, Source::Default));
        let stated = self.stated.iter().map(|&(measure, most)| {
            let known = documented.iter().find(|limit| limit.measure == measure);
            let limit = known.map_or(Limit::new(measure, most), |known| Limit { most, ..*known });
            (limit, Source::Config)
        });
        stated.chain(unstated).collect()
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
    pub(super) fn in_order_of_preference(
        &self,
        number: usize,
        criteria: &Criteria<'_>,
        now: Moment,
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

    /// The first rank that still has a model for this account; if no rank has one, the first rank.
    fn rank_in_use(&self, account: usize, now: Moment) -> usize {
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

    fn add_new_models(&mut self) {
        let new = self.catalogue.ids().iter().skip(self.models.len());
        let new = new.map(|id| ModelState {
            id: id.clone(),
            can: self.provider.capabilities(id),
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
