//! Who may be asked now: whose turn it is, what is in cooldown, which models there are, and what is known of limits.
//!
//! One owner, one lock, dense numbers inside. Picking is one synchronous step that runs nobody else's code: an [`Criteria`] goes
//! in, a [`Reservation`] comes out. Whoever holds it says what became of the attempt; dropped without a word it means that
//! the client left. Limits are known and shown; nobody is passed over yet because a number looks small.

mod bucket;
mod cooldowns;
mod place;
mod provider_state;
mod snapshot;
mod state;
mod target;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

pub use self::bucket::Buckets;
pub(crate) use self::bucket::LimitStatus;
pub(crate) use self::bucket::together;
pub(crate) use self::cooldowns::Blocked;
pub(crate) use self::place::{Candidate, Place};
use self::provider_state::ProviderState;
pub(crate) use self::provider_state::{Change, Offer};
pub use self::snapshot::{ModelSnapshot, ProviderSnapshot};
pub(crate) use self::state::PassedOver;
use self::state::{Admission, State};
pub(crate) use self::target::Target;
pub(crate) use self::target::{Criteria, RuledOut, Wanted};
use crate::middle::{Failure, LimitReading, Reason, Usage, Wait};
use crate::observe::{Counts, ModelStats, Outcome};
use crate::providers::{Capabilities, Lack, Provider};
use crate::time::Clock;

/// The one owner of all that decides who may be asked. Shared by all requests.
pub struct Quota {
    clock: Clock,
    // A std mutex: held for microseconds, never across an await.
    state: Mutex<State>,
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota").field("state", &self.state).finish_non_exhaustive()
    }
}

/// The answer of [`Quota::pick`].
#[derive(Debug)]
pub(crate) struct Pick {
    /// Whom to call; nobody can serve now if there is none.
    pub(crate) reservation: Option<Reservation>,
    /// Who would have been before it.
    pub(crate) passed_over: Vec<PassedOver>,
}

/// Who could serve a request if nothing were in cooldown.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// How many providers have a model that can.
    pub(crate) able: usize,
    /// What the models of the others cannot do.
    pub(crate) unable: Vec<(Provider, Lack)>,
}

impl Quota {
    /// Everybody in `offers` can serve; their order decides between those who never did.
    pub(crate) fn new(offers: Vec<Offer>, clock: Clock, random: fastrand::Rng) -> Self {
        Self { clock, state: Mutex::new(State::new(offers, random)) }
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Picks who is asked next and reserves it. Who has waited longest comes first; see [`State::pick`].
    pub(crate) fn pick(self: &Arc<Self>, criteria: &Criteria<'_>) -> Pick {
        let now = self.now();
        let mut state = self.lock();
        let picked = state.pick(criteria, now);
        let reserve = |admission: Admission| {
            let model = state.model(admission.candidate)?;
            let (candidate, can) = (admission.candidate, model.can);
            let (model, stats) = (model.id.clone(), model.stats.clone());
            state.sends(candidate, now);
            stats.attempted();
            Some(Reservation {
                quota: self.clone(),
                candidate,
                can,
                model,
                stats,
                admission: Some(admission),
            })
        };
        Pick { reservation: picked.admission.and_then(reserve), passed_over: picked.passed_over }
    }

    /// When the first candidate can serve, of one provider or of any: now if one can already, none if none ever will.
    pub(crate) fn soonest(&self, criteria: &Criteria<'_>, of: Option<usize>) -> Option<Timestamp> {
        let now = self.now();
        self.lock().soonest(criteria, of, now)
    }

    /// Who could serve if nothing were in cooldown, among the providers that have an account.
    pub(crate) fn survey(&self, criteria: &Criteria<'_>) -> Survey {
        let now = self.now();
        let state = self.lock();
        let mut survey = Survey::default();
        let mut able = Vec::new();
        for wanted in criteria.target.wanted() {
            let provider = state.provider(wanted.provider).filter(|it| !it.accounts.is_empty());
            let Some(provider) = provider else { continue };
            let models = wanted.model.map_or_else(|| provider.in_use(now), |model| vec![model]);
            for model in models.into_iter().filter_map(|model| provider.models().get(model)) {
                match model.can.lacks(criteria.needs) {
                    None if able.contains(&wanted.provider) => {}
                    None => able.push(wanted.provider),
                    Some(lack) => survey.add_unable(provider.provider, lack),
                }
            }
        }
        survey.able = able.len();
        survey
    }

    /// The models of a provider that are used, best first, with any of its accounts or without one.
    pub(crate) fn in_use(&self, provider: usize) -> Vec<Arc<str>> {
        let now = self.now();
        self.lock().provider(provider).map(|it| it.ids(it.in_use(now))).unwrap_or_default()
    }

    /// The best model that is used with an account.
    pub(crate) fn first_in_use(&self, provider: usize, account: usize) -> Option<Arc<str>> {
        let now = self.now();
        let state = self.lock();
        let provider = state.provider(provider)?;
        provider.id(provider.first_in_use(account, now)?).cloned()
    }

    /// The number of a model, used or not.
    pub(crate) fn find(&self, provider: usize, id: &str) -> Option<usize> {
        self.lock().provider(provider)?.catalogue.find(id)
    }

    /// The number of a model that may be asked for by name: one that is used, or that the user wants and may be gone.
    pub(crate) fn find_offered(&self, provider: usize, id: &str) -> Option<usize> {
        let now = self.now();
        let state = self.lock();
        let provider = state.provider(provider)?;
        let number = provider.catalogue.find(id)?;
        let is_known = number < provider.catalogue.wanted() || provider.in_use(now).contains(&number);
        is_known.then_some(number)
    }

    /// Takes in the list of models of one account; false if there is nothing to use in it. Counts from the next
    /// [`restock`](Self::restock) on.
    pub(crate) fn learn_list(&self, provider: usize, account: usize, list: Vec<String>) -> bool {
        self.lock().learn_list(provider, account, list)
    }

    /// Goes by the lists that were taken in. An attempt under way keeps its model.
    pub(crate) fn restock(&self, provider: usize) -> Change {
        let now = self.now();
        self.lock().restock(provider, now)
    }

    /// What has been counted of each provider, in rotation order.
    pub fn counts(&self) -> Vec<(Provider, Counts)> {
        let count =
            |it: &ProviderState| (it.provider, it.models().iter().map(|model| model.stats.counts()).sum());
        self.lock().providers().iter().map(count).collect()
    }

    /// Everything that is known now, in rotation order.
    pub fn snapshot(&self) -> Vec<ProviderSnapshot> {
        let now = self.now();
        let state = self.lock();
        let providers = state.providers().iter().enumerate();
        providers.map(|(number, provider)| provider.snapshot(number, now)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is a few assignments that cannot panic half-way, so a poisoned state is still right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Survey {
    fn add_unable(&mut self, provider: Provider, lack: Lack) {
        if !self.unable.contains(&(provider, lack)) {
            self.unable.push((provider, lack));
        }
    }
}

/// A call that is being made: whom it goes to, and the one place where its outcome is written down. Dropped without a word
/// it means that the client left: the attempt stays counted, is no failure, and what it probed may be probed again.
#[derive(Debug)]
pub(crate) struct Reservation {
    quota: Arc<Quota>,
    candidate: Candidate,
    can: &'static Capabilities,
    model: Arc<str>,
    stats: Arc<ModelStats>,
    /// Taken when the outcome is written.
    admission: Option<Admission>,
}

impl Reservation {
    /// Whom to call.
    pub(crate) fn candidate(&self) -> Candidate {
        self.candidate
    }

    /// The provider's id of the model.
    pub(crate) fn model(&self) -> &Arc<str> {
        &self.model
    }

    /// What the model can do.
    pub(crate) fn can(&self) -> &'static Capabilities {
        self.can
    }

    /// The provider has said something of its limits, whatever comes of the attempt.
    pub(crate) fn overwrite(&self, limits: &[LimitReading]) {
        if !limits.is_empty() {
            let now = self.quota.now();
            self.quota.lock().overwrite(self.candidate, limits, now);
        }
    }

    /// The answer has begun: what was in cooldown is well again. How the answer ends is written later. What its head calls
    /// `spent` cools down before the next request wastes a call.
    pub(crate) fn has_begun(&mut self, spent: Option<(Reason, Wait)>, first_token: Option<Duration>) {
        let Some(admission) = &mut self.admission else {
            return;
        };
        if let Some(after) = first_token {
            self.stats.first_token(after);
        }
        let now = self.quota.now();
        let mut state = self.quota.lock();
        state.succeeded(admission);
        if let Some((reason, wait)) = spent {
            state.exhausted(self.candidate, reason, wait, now);
        }
    }

    /// The answer is complete, and has used so many tokens if the provider said so.
    pub(crate) fn complete(mut self, usage: Option<Usage>) {
        if let Some(mut admission) = self.admission.take() {
            self.stats.ended(Outcome::Ok);
            if let Some(usage) = usage {
                self.stats.used(&usage);
            }
            self.quota.lock().succeeded(&mut admission);
        }
    }

    /// The attempt failed, before its first content or after.
    pub(crate) fn failed(mut self, failure: &Failure) {
        if let Some(admission) = self.admission.take() {
            self.stats.ended(Outcome::Failed(failure.reason));
            let now = self.quota.now();
            self.quota.lock().failed(&admission, failure, now);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.stats.ended(Outcome::Cancelled);
            self.quota.lock().abandoned(&admission);
        }
    }
}
