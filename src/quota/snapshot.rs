//! What is known at one moment: for `/providers`, `/health` and tests.

use std::sync::Arc;

use super::bucket::LimitStatus;
use super::cooldowns::{Blocked, Standing};
use super::place::Candidate;
use super::provider_state::ProviderState;
use super::ticks::Now;
use crate::observe::ModelStats;
use crate::providers::Provider;
use crate::time::Moment;

/// A provider at one moment.
#[derive(Debug)]
pub struct ProviderSnapshot {
    /// The provider.
    pub provider: Provider,
    /// How many accounts it has; a provider without accounts is never picked.
    pub accounts: usize,
    /// The models that the user wants, then those that are used instead.
    pub models: Vec<ModelSnapshot>,
    /// The counters of every model that was ever known, in an order that never changes.
    pub(crate) stats: Vec<(Arc<str>, Arc<ModelStats>)>,
}

/// A model at one moment.
#[derive(Debug)]
pub struct ModelSnapshot {
    /// The provider's id.
    pub id: Arc<str>,
    /// For each account, why the model cannot serve, or is called only when nobody else is left.
    pub(crate) blocked: Vec<Option<Blocked>>,
    /// For each account, what is known of its limits; if there is no account, the limits of an unused one.
    pub(crate) limits: Vec<Vec<LimitStatus>>,
    /// The model's counters.
    pub stats: Arc<ModelStats>,
}

impl ProviderState {
    pub(super) fn snapshot(&self, number: usize, now: Moment, ticks: Now) -> ProviderSnapshot {
        let wanted = self.catalogue.wanted();
        let others = self.in_use(now).into_iter().filter(|&model| model >= wanted);
        let models = (0..wanted).chain(others);
        let stats = self.models().iter().map(|model| (model.id.clone(), model.stats.clone()));
        ProviderSnapshot {
            provider: self.provider,
            accounts: self.accounts.len(),
            models: models.filter_map(|model| self.model_snapshot(number, model, now, ticks)).collect(),
            stats: stats.collect(),
        }
    }

    fn model_snapshot(
        &self,
        provider: usize,
        model: usize,
        now: Moment,
        ticks: Now,
    ) -> Option<ModelSnapshot> {
        let accounts = 0..self.accounts.len();
        let blocked = |account| match self.standing(Candidate { provider, account, model }, now) {
            Standing::Well => self.lacks_room(account, model, ticks),
            Standing::Demoted(blocked) | Standing::Blocked(blocked) => Some(blocked),
        };
        let limits = |account| {
            let limits = self.limits(account, model, ticks);
            // Without an account, nothing is used or left.
            let bare = |it: LimitStatus| LimitStatus { used: None, remaining: None, resets_at: None, ..it };
            if account < accounts.end { limits } else { limits.into_iter().map(bare).collect() }
        };
        Some(ModelSnapshot {
            id: self.id(model)?.clone(),
            blocked: accounts.clone().map(blocked).collect(),
            // The documented limits are worth showing before there is an account.
            limits: (0..accounts.len().max(1)).map(limits).collect(),
            stats: self.models().get(model)?.stats.clone(),
        })
    }
}
