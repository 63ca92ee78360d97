//! What is known of every provider, account and model: one state under one lock. Time is an argument.
//!
//! How it is used stands beside it: [`picking`](super::picking) (who is called), [`waiting`](super::waiting) (the line),
//! [`settling`](super::settling) (what comes of a call).

use super::ledger::{Ledger, LedgerWarning, PlaceId};
use super::line::Line;
use super::place::Candidate;
use super::provider_state::{Change, ModelState, Offer, ProviderState};
use super::ticks::Ticks;
use crate::models::{Catalogue, Stock};
use crate::providers::Listed;
use crate::time::Moment;

#[derive(Debug)]
pub(super) struct State {
    pub(super) providers: Vec<ProviderState>,
    pub(super) ticks: Ticks,
    pub(super) line: Line,
    /// The numbers of the providers; the one whose last attempt lies longest ago comes first.
    pub(super) turns: Vec<usize>,
    /// Room for the candidates of a pick, so that it need not be found each time.
    pub(super) candidates: Vec<Candidate>,
    /// How many candidates have been looked at.
    pub(super) looked_at: u64,
    pub(super) random: fastrand::Rng,
    /// How many attempts there have been, which is also the number of the latest one.
    pub(super) attempts: u64,
    pub(super) ledger: Ledger,
    /// What the ledger adds to the number of an attempt, so that no earlier process has had it.
    pub(super) first_call: u64,
    /// Trouble with the ledger that nobody has been told of.
    pub(super) warning: Option<LedgerWarning>,
}

impl State {
    /// A state in which every provider can serve. The order of `offers` decides between those that were never called.
    pub(super) fn new(offers: Vec<Offer>, random: fastrand::Rng) -> Self {
        let providers: Vec<ProviderState> = offers.into_iter().map(ProviderState::new).collect();
        Self {
            turns: (0..providers.len()).collect(),
            candidates: Vec::new(),
            looked_at: 0,
            providers,
            ticks: Ticks::default(),
            line: Line::default(),
            random,
            attempts: 0,
            ledger: Ledger::off(),
            first_call: 0,
            warning: None,
        }
    }

    /// Goes on from what `ledger` has kept, and keeps it up to date. `keys` are those of each provider's accounts.
    pub(super) fn keep(&mut self, ledger: Ledger, keys: &[Vec<&str>], now: Moment) {
        self.first_call = u64::try_from(now.wall.as_millisecond()).unwrap_or_default() << 20;
        for (provider, keys) in self.providers.iter_mut().zip(keys) {
            let name = provider.provider.name();
            for (account, key) in provider.accounts.iter_mut().zip(keys) {
                account.ledger_name = ledger.place(name, key, "").account;
            }
        }
        self.ledger = ledger;
        for provider in 0..self.providers.len() {
            self.restore(provider, 0, now);
        }
    }

    /// Trouble with the ledger that nobody has been told of.
    pub(super) fn take_warning(&mut self) -> Option<LedgerWarning> {
        self.warning.take()
    }

    /// Writes down that a call is being sent.
    pub(super) fn write_down(&mut self, candidate: Candidate, attempt: u64, tokens: u64, now: Moment) {
        let Self { providers, ledger, .. } = self;
        let Some(provider) = providers.get_mut(candidate.provider) else { return };
        let name = provider.provider.name();
        let Some(account) = provider.accounts.get(candidate.account).map(|it| it.ledger_name) else { return };
        let Some(model) = provider.models.get_mut(candidate.model) else { return };
        let model = *model.ledger_name.get_or_insert_with(|| ledger.place(name, "", &model.id).model);
        let warning = ledger.reserve(self.first_call + attempt, PlaceId { account, model }, tokens, now.wall);
        self.warning = self.warning.take().or(warning);
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
        let known = self.provider(provider).map_or(0, |it| it.models.len());
        if let Some(provider) = self.providers.get_mut(provider) {
            provider.catalogue = catalogue;
        }
        let change = self.go_by(provider, stock, now);
        self.restore(provider, known, now);
        change
    }

    /// Counts what was used before this process of a provider's models from this number on.
    fn restore(&mut self, provider: usize, first: usize, now: Moment) {
        let ticks = self.ticks.advance(now);
        let Self { providers, ledger, .. } = self;
        let Some(provider) = providers.get_mut(provider) else { return };
        let name = provider.provider.name();
        let models = provider.models.iter().enumerate().skip(first);
        let models: Vec<(usize, u64)> =
            models.map(|(number, it)| (number, ledger.place(name, "", &it.id).model)).collect();
        let accounts: Vec<u64> = provider.accounts.iter().map(|it| it.ledger_name).collect();
        for (place, uses) in ledger.uses() {
            let account = accounts.iter().position(|account| *account == place.account);
            let model = models.iter().find(|(_, name)| *name == place.model).map(|(number, _)| *number);
            // A model that was used and is not known any more has no limits to count it for.
            if let Some((account, model)) = account.zip(model) {
                provider.restore(account, model, uses, ticks);
            }
        }
    }

    /// Goes by what lists say that a provider's models can do.
    pub(super) fn heed(&mut self, provider: usize, listed: &[Listed]) {
        if let Some(provider) = self.providers.get_mut(provider) {
            provider.heed(listed);
        }
    }

    /// Picks from this stock from now on. An attempt in progress keeps its model.
    pub(super) fn go_by(&mut self, provider: usize, stock: Stock, now: Moment) -> Change {
        self.providers.get_mut(provider).map(|it| it.go_by(stock, now)).unwrap_or_default()
    }
}
