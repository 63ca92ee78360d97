//! Decides which candidate is called next: rotation, cooldowns, available models and known limits.
//!
//! One owner, one lock, dense numbers inside. Picking is one synchronous step that runs no caller's code:
//! [`Criteria`] go in, a [`Reservation`] comes out. Its holder reports the outcome of the attempt; dropping it without
//! a report means that the client left. What follows from a failure stands in [`Policy`](crate::middle::Policy). A limit
//! that a provider reports as used up is a cooldown; apart from that, limits are tracked and shown, but not enforced yet.

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

pub use self::bucket::Buckets;
pub(crate) use self::bucket::{LimitStatus, together};
pub(crate) use self::cooldowns::Blocked;
pub(crate) use self::place::{Candidate, Place};
use self::provider_state::ProviderState;
pub(crate) use self::provider_state::{Change, Offer};
pub use self::snapshot::{ModelSnapshot, ProviderSnapshot};
pub(crate) use self::state::Skipped;
use self::state::{Admission, State};
pub(crate) use self::target::{Criteria, RuledOut, Target, Wanted};
use crate::middle::{Failure, Lift, LimitReading, Reading, Usage};
use crate::observe::{Counts, ModelStats, Outcome};
use crate::providers::{Capabilities, Lack, Provider};
use crate::time::{Clock, Moment};

/// The one owner of everything that decides which candidate is called. Shared by all requests.
pub struct Quota {
    clock: Clock,
    // A std mutex: held for microseconds, never across an await.
    state: Mutex<State>,
    /// Held while lists are applied, so that two of a provider follow each other.
    learning: Mutex<()>,
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota").field("state", &self.state).finish_non_exhaustive()
    }
}

/// The result of [`Quota::pick`].
#[derive(Debug)]
pub(crate) struct Pick {
    /// The candidate to call; `None` if no candidate can serve now.
    pub(crate) reservation: Option<Reservation>,
    /// The providers that were ahead of it in the rotation and were passed over.
    pub(crate) skipped: Vec<Skipped>,
}

/// Which providers could serve a request if nothing were in cooldown.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// How many providers have a model that can do what the request needs.
    pub(crate) able: usize,
    /// What models that cannot serve it lack, by provider.
    pub(crate) unable: Vec<(Provider, Lack)>,
}

impl Quota {
    /// Every provider in `offers` can serve; their order decides between those that were never called.
    pub(crate) fn new(offers: Vec<Offer>, clock: Clock, random: fastrand::Rng) -> Self {
        Self { clock, state: Mutex::new(State::new(offers, random)), learning: Mutex::default() }
    }

    /// The current time.
    pub(crate) fn now(&self) -> Moment {
        (self.clock)()
    }

    /// Picks the candidate to call next and reserves it. The provider that has waited longest comes first; see
    /// [`State::pick`].
    pub(crate) fn pick(self: &Arc<Self>, criteria: &Criteria<'_>) -> Pick {
        let now = self.now();
        let mut state = self.lock();
        let picked = state.pick(criteria, now);
        let reserve = |admission: Admission| {
            let Some(model) = state.model(admission.candidate) else {
                state.release(admission);
                return None;
            };
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
                has_begun: false,
                admission: Some(admission),
            })
        };
        Pick { reservation: picked.admission.and_then(reserve), skipped: picked.skipped }
    }

    /// Whether there is a candidate that could be called now.
    pub(crate) fn has_candidate(&self, criteria: &Criteria<'_>) -> bool {
        let now = self.now();
        self.lock().has_candidate(criteria, now)
    }

    /// Whole seconds until the first candidate can serve again, of one provider or of any, rounded up; `None` if that is
    /// not known.
    pub(crate) fn seconds_until(&self, criteria: &Criteria<'_>, of: Option<usize>) -> Option<u64> {
        let now = self.now();
        self.lock().soonest(criteria, of, now).and_then(|soonest| now.seconds_until(soonest))
    }

    /// Which providers could serve if nothing were in cooldown, among those that have an account.
    pub(crate) fn survey(&self, criteria: &Criteria<'_>) -> Survey {
        let now = self.now();
        let state = self.lock();
        let mut survey = Survey::default();
        for wanted in criteria.target.wanted() {
            let provider = state.provider(wanted.provider).filter(|it| !it.accounts.is_empty());
            let Some(provider) = provider else { continue };
            let models = wanted.model.map_or_else(|| provider.in_use(now), |model| vec![model]);
            let models = models.into_iter().filter_map(|model| provider.models().get(model));
            let lacks: Vec<Option<Lack>> = models.map(|model| model.can.lacks(criteria.needs)).collect();
            survey.able += usize::from(lacks.contains(&None));
            lacks.into_iter().flatten().for_each(|lack| survey.add_unable(provider.provider, lack));
        }
        survey
    }

    /// The models of a provider that are in use, best first, with any of its accounts or without one.
    pub(crate) fn in_use(&self, provider: usize) -> Vec<Arc<str>> {
        let now = self.now();
        self.lock().provider(provider).map(|it| it.ids(it.in_use(now))).unwrap_or_default()
    }

    /// The best model in use with an account.
    pub(crate) fn first_in_use(&self, provider: usize, account: usize) -> Option<Arc<str>> {
        let now = self.now();
        let state = self.lock();
        let provider = state.provider(provider)?;
        provider.id(provider.first_in_use(account, now)?).cloned()
    }

    /// The number of a model, whether it is in use or not.
    pub(crate) fn find(&self, provider: usize, id: &str) -> Option<usize> {
        self.lock().provider(provider)?.catalogue.find(id)
    }

    /// The number of a model that may be asked for by name: one in use, or one that the user wants, even if it is gone.
    pub(crate) fn find_offered(&self, provider: usize, id: &str) -> Option<usize> {
        let now = self.now();
        let state = self.lock();
        let provider = state.provider(provider)?;
        let number = provider.catalogue.find(id)?;
        let is_known = number < provider.catalogue.wanted() || provider.in_use(now).contains(&number);
        is_known.then_some(number)
    }

    /// Stores the model lists of a provider, one for each account, and applies them; an account without one keeps its
    /// last list. Returns for each account whether its list has a usable model. An attempt in progress keeps its model.
    ///
    /// Long lists take a while to sort, so that happens on a copy, while requests go on.
    pub(crate) fn learn_lists(
        &self,
        provider: usize,
        lists: Vec<Option<Vec<String>>>,
    ) -> (Vec<bool>, Change) {
        let _turn = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        let catalogue = self.lock().provider(provider).map(|it| it.catalogue.clone());
        let Some(mut catalogue) = catalogue else { return (vec![false; lists.len()], Change::default()) };
        let lists = lists.into_iter().enumerate();
        let learn = |(account, list): (usize, Option<_>)| list.is_some_and(|it| catalogue.learn(account, it));
        let is_usable = lists.map(learn).collect();
        let stock = catalogue.stock();
        let now = self.now();
        (is_usable, self.lock().restock(provider, catalogue, stock, now))
    }

    /// The counts of each provider, in rotation order.
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
        // Every change is a few assignments that cannot panic half-way, so a poisoned state is still valid.
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

/// A call in progress: its candidate, and the one place where its outcome is recorded. Dropping it without a report
/// means that the client left: the attempt stays counted but is not a failure, and what it was to find out another
/// attempt may.
#[derive(Debug)]
pub(crate) struct Reservation {
    quota: Arc<Quota>,
    candidate: Candidate,
    can: &'static Capabilities,
    model: Arc<str>,
    stats: Arc<ModelStats>,
    has_begun: bool,
    /// Taken when the outcome is recorded.
    admission: Option<Admission>,
}

impl Reservation {
    /// The candidate to call.
    pub(crate) fn candidate(&self) -> Candidate {
        self.candidate
    }

    /// The provider's id of the model.
    pub(crate) fn model(&self) -> &Arc<str> {
        &self.model
    }

    /// Whether the answer has begun.
    pub(crate) fn is_begun(&self) -> bool {
        self.has_begun
    }

    /// What the model can do.
    pub(crate) fn can(&self) -> &'static Capabilities {
        self.can
    }

    /// Records what the provider reported about its limits, whatever the outcome of the attempt.
    pub(crate) fn overwrite(&self, limits: &[LimitReading]) {
        if !limits.is_empty() {
            let now = self.quota.now();
            self.quota.lock().overwrite(self.candidate, limits, now);
        }
    }

    /// The head of a good answer has come: records what it says about limits. A limit that it reports as spent counts
    /// from now on, before the next request wastes a call. Returns for how many seconds the candidate is not called because
    /// of it, rounded up; `None` if it may be called.
    pub(crate) fn accepted(&self, head: &Reading) -> Option<u64> {
        let admission = self.admission?;
        let now = self.quota.now();
        let mut state = self.quota.lock();
        state.overwrite(self.candidate, &head.limits, now);
        state.lift(admission, Lift::Head, now);
        state.spent(admission, head.spent()?, now);
        state.seconds_blocked(self.candidate, now)
    }

    /// The answer has begun, with a thought or with content, this long after the call if that is known: whoever waits for
    /// the candidate to be well again need not wait any longer. The outcome is recorded later.
    pub(crate) fn has_begun(&mut self, first_token: Option<Duration>) {
        let Some(admission) = self.admission.filter(|_| !self.has_begun) else { return };
        self.has_begun = true;
        if let Some(after) = first_token {
            self.stats.first_token(after);
        }
        let now = self.quota.now();
        self.quota.lock().lift(admission, Lift::FirstEvent, now);
    }

    /// The answer is complete. `usage` is what it took, if the provider reported it.
    pub(crate) fn complete(mut self, usage: Option<Usage>) {
        self.has_begun(None);
        if self.admission.take().is_some() {
            self.stats.ended(Outcome::Ok);
            if let Some(usage) = usage {
                self.stats.used(&usage);
            }
        }
    }

    /// The attempt failed, before or after its first content. Returns for how many seconds the candidate is not called
    /// because of it, rounded up; `None` if it may be called.
    pub(crate) fn failed(mut self, failure: &Failure) -> Option<u64> {
        let admission = self.admission.take()?;
        self.stats.ended(Outcome::Failed(failure.reason()));
        let now = self.quota.now();
        let mut state = self.quota.lock();
        state.failed(admission, failure, now);
        state.seconds_blocked(self.candidate, now)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.stats.ended(Outcome::Cancelled);
            if !self.has_begun {
                self.quota.lock().release(admission);
            }
        }
    }
}
