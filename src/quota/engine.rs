//! [`Quota`], the one owner of everything that decides which candidate is called, and [`Reservation`], a call in progress.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::warn;

use super::booking::{Booking, Largest, Skipped, Soonest};
use super::bucket::IsCounted;
use super::demand::Demand;
use super::exchange::{Answer, Extent, Report};
use super::ledger::Ledger;
use super::line::Turn;
use super::place::Candidate;
use super::provider_state::{Change, Offer, ProviderState};
use super::share::Bell;
use super::snapshot::ProviderSnapshot;
use super::state::State;
use super::target::{Criteria, Target, Wish};
use crate::middle::{
    Failure, Lift, LimitReading, Measure, Needs, Policy, Reading, Reason, Source, Usage, Window,
};
use crate::observe::{Counts, ModelStats, Outcome};
use crate::providers::{Capabilities, Lack, Listed, Provider};
use crate::time::{Clock, Moment};

/// Timers are exact to a millisecond.
pub(super) const TIMER_SLACK: Duration = Duration::from_millis(1);

/// A request waits for so long for a lease, even if requests are not to wait: a few exchanges.
const EXCHANGE_WAIT: Duration = Duration::from_millis(250);

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
    /// If nobody can serve now: who can first.
    pub(crate) soonest: Option<Soonest>,
}

/// Which providers could serve a request if nothing were in cooldown.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// How many providers have a model that can do what the request needs.
    pub(crate) able: usize,
    /// What the models of the others lack, by provider.
    pub(crate) unable: Vec<(Provider, Lack)>,
}

impl Quota {
    /// Every provider in `offers` can serve; their order decides between those that were never called.
    pub(crate) fn new(offers: Vec<Offer>, clock: Clock, random: fastrand::Rng) -> Self {
        Self { clock, state: Mutex::new(State::new(offers, random)), learning: Mutex::default() }
    }

    /// Goes on from what `ledger` has kept, and keeps it up to date. `keys` are those of each provider's accounts.
    pub(crate) fn keep(&self, ledger: Ledger, keys: Vec<Vec<&str>>) {
        let now = self.now();
        self.lock().keep(ledger, &keys, now);
    }

    /// From now on, everything is counted together with other instances, who are told when the bell rings. `keys` are those
    /// of each provider's accounts.
    pub(crate) fn share(&self, keys: Vec<Vec<&str>>) -> Arc<Bell> {
        let (bell, now) = (Arc::default(), self.now());
        self.lock().share(&keys, &bell, now);
        bell
    }

    /// What is to be told to other instances.
    pub(crate) fn reports(&self, extent: Extent) -> Vec<Report> {
        let now = self.now();
        self.lock().reports(extent, now)
    }

    /// Takes in what other instances have told; without an answer, rests are told next time.
    pub(crate) fn apply(&self, report: Report, answer: Option<&Answer>) {
        let now = self.now();
        let mut state = self.lock();
        match answer {
            Some(answer) => state.apply(&report, answer, now),
            None => state.keep_untold(report),
        }
    }

    /// Nobody tells what other instances do.
    pub(crate) fn cut_off(&self) {
        let now = self.now();
        self.lock().cut_off(now);
    }

    /// How long a request waits at least for room that other instances have to grant; zero if there are none.
    pub(crate) fn exchange_wait(&self) -> Duration {
        if self.lock().is_shared() { EXCHANGE_WAIT } else { Duration::ZERO }
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
        let reserve = |booking| self.reserve(&mut state, booking, criteria.demand);
        let reservation = picked.booking.and_then(reserve);
        Pick { reservation, skipped: picked.skipped, soonest: picked.soonest }
    }

    /// Waits in line until a candidate can serve, at most for `patience`, in order of arrival. Whoever can wait no longer
    /// goes beyond guesses; `None` if more than guesses stand in the way.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line.
    pub(crate) async fn wait(self: &Arc<Self>, wish: Wish, patience: Duration) -> Pick {
        let (wish, wake) = (Arc::new(wish), Arc::new(Notify::new()));
        let place = {
            let now = self.now();
            PlaceInLine { quota: self, ticket: self.lock().join_line(wish.clone(), wake.clone(), now) }
        };
        let end = tokio::time::Instant::now() + patience;
        loop {
            let now = self.now();
            let turn = self.lock().turn(place.ticket, now);
            let until = match turn {
                Turn::Picked(booking, skipped) => {
                    let reservation = self.reserve(&mut self.lock(), booking, wish.demand);
                    return Pick { reservation, skipped, soonest: None };
                }
                // A timer may be a little early for this clock.
                Turn::Waiting { left, is_unsure } => {
                    let until = left.map(|left| tokio::time::Instant::now() + left + TIMER_SLACK);
                    let is_in_vain = !is_unsure && until.is_some_and(|until| until > end + TIMER_SLACK);
                    if is_in_vain || tokio::time::Instant::now() >= end {
                        drop(place);
                        return self.pick(&wish.criteria(false));
                    }
                    until
                }
            };
            let next = until.map_or(end, |until| until.min(end));
            let _ = tokio::time::timeout_at(next, wake.notified()).await;
        }
    }

    /// How many requests wait in line.
    pub fn waiting(&self) -> usize {
        self.lock().line.len()
    }

    pub(super) fn reserve(
        self: &Arc<Self>,
        state: &mut State,
        booking: Booking,
        demand: Demand,
    ) -> Option<Reservation> {
        if let Some(warning) = state.take_warning() {
            warn!("{warning}");
        }
        let candidate = booking.admission.candidate;
        let Some(model) = state.model(candidate) else {
            state.release(booking.admission);
            return None;
        };
        let (can, model, stats) = (model.can.clone(), model.id.clone(), model.stats.clone());
        stats.attempted();
        Some(Reservation {
            quota: self.clone(),
            candidate,
            can,
            model,
            stats,
            begun: tokio::time::Instant::now(),
            demand,
            has_begun: false,
            has_figures: false,
            seen: Vec::new(),
            named: None,
            booking: Some(booking),
        })
    }

    /// Whether there is a candidate that could be called now.
    pub(crate) fn has_candidate(&self, criteria: &Criteria<'_>) -> bool {
        let now = self.now();
        self.lock().has_candidate(criteria, now)
    }

    /// Whether a candidate could take so many tokens, now or ever.
    pub(crate) fn may_be_taken(&self, criteria: &Criteria<'_>) -> bool {
        let now = self.now();
        self.lock().may_be_taken(criteria, now)
    }

    /// The most tokens that any candidate takes, as far as is known.
    pub(crate) fn largest(&self, target: &Target, needs: &Needs) -> Option<Largest> {
        let now = self.now();
        let demand = Demand::default();
        let criteria = Criteria { target, needs, ruled_out: &[], demand, can_wait: false };
        self.lock().largest(&criteria, now)
    }

    /// Whole seconds until the first candidate can serve again, of one provider or of any, rounded up; `None` if that is
    /// not known.
    pub(crate) fn seconds_until(&self, criteria: &Criteria<'_>, of: Option<usize>) -> Option<u64> {
        let now = self.now();
        self.lock().soonest(criteria, of, now).and_then(|soonest| now.seconds_until(soonest))
    }

    /// A client is refused: after how many whole seconds it will find room, rounded up; `None` if that is not known. Times are
    /// spread over the room that is coming, so that those who are refused at once do not all come back at once.
    pub(crate) fn promise(&self, criteria: &Criteria<'_>) -> Option<u64> {
        let now = self.now();
        self.lock().promise(criteria, now).and_then(|soonest| now.seconds_until(soonest))
    }

    /// Which providers could serve if nothing were in cooldown, among those that have an account.
    pub(crate) fn survey(&self, target: &Target, needs: &Needs) -> Survey {
        let now = self.now();
        let state = self.lock();
        let mut survey = Survey::default();
        for wanted in target.wanted() {
            let provider = state.provider(wanted.provider).filter(|it| !it.accounts.is_empty());
            let Some(provider) = provider else { continue };
            if wanted.model.is_none() && provider.serves(needs, now) {
                survey.able += 1;
                continue;
            }
            let models = wanted.model.map_or_else(|| provider.in_use(now), |model| vec![model]);
            let models = models.into_iter().filter_map(|model| provider.models().get(model));
            let lacks: Vec<Option<Lack>> = models.map(|model| model.can.lacks(needs)).collect();
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

    /// Goes by what lists say that a provider's models can do; where they say nothing, by its row.
    pub(crate) fn heed(&self, provider: usize, listed: &[Listed]) {
        self.lock().heed(provider, listed);
    }

    /// What a model can do, as far as is known.
    pub(crate) fn capabilities(&self, provider: usize, id: &str) -> Option<Arc<Capabilities>> {
        let state = self.lock();
        let provider = state.provider(provider)?;
        provider.models().get(provider.catalogue.find(id)?).map(|model| model.can.clone())
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
        let ticks = state.ticks.read(now);
        providers.map(|(number, provider)| provider.snapshot(number, now, ticks)).collect()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
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

/// A request's place in line; dropping it leaves the line.
struct PlaceInLine<'q> {
    quota: &'q Quota,
    ticket: u64,
}

impl Drop for PlaceInLine<'_> {
    fn drop(&mut self) {
        let now = self.quota.now();
        self.quota.lock().leave_line(self.ticket, now);
    }
}

/// A call in progress: its candidate, what it has reserved, and the one place where its outcome is recorded. Dropping it
/// without a report means that the client left: the attempt stays counted but is not a failure, and what it was to find
/// out another attempt may.
#[derive(Debug)]
pub(crate) struct Reservation {
    quota: Arc<Quota>,
    candidate: Candidate,
    can: Arc<Capabilities>,
    model: Arc<str>,
    stats: Arc<ModelStats>,
    begun: tokio::time::Instant,
    demand: Demand,
    has_begun: bool,
    /// Whether the provider has said in its refusal how much is left of a limit.
    has_figures: bool,
    /// The limits of which the head of a good answer has said how much is left.
    seen: Vec<Measure>,
    /// Which limit has refused the call, if the provider names it without a figure.
    named: Option<Measure>,
    /// Taken when the outcome is recorded.
    booking: Option<Booking>,
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
    pub(crate) fn can(&self) -> &Capabilities {
        &self.can
    }

    /// The longest answer to ask for, in tokens; `None` leaves it to the provider.
    pub(crate) fn max_tokens(&self) -> Option<u32> {
        self.booking.as_ref().and_then(|booking| booking.price.max_tokens)
    }

    /// The longest answer that is asked for, if the limits of the plan allow none as long as wanted.
    pub(crate) fn cut_to(&self) -> Option<u32> {
        self.max_tokens().filter(|_| self.booking.as_ref().is_some_and(|booking| booking.price.is_cut))
    }

    /// Records what the provider reported about its limits when it refused the call.
    pub(crate) fn overwrite(&mut self, limits: &[LimitReading]) {
        let Some(booking) = self.booking.as_ref().filter(|_| !limits.is_empty()) else { return };
        let is_refusal = |it: &&LimitReading| it.source == Source::ErrorBody;
        for reading in limits.iter().filter(is_refusal) {
            match (reading.limit, reading.remaining) {
                (None, None) => self.named = Some(reading.measure),
                _ => self.has_figures = true,
            }
        }
        let now = self.quota.now();
        self.quota.lock().overwrite(booking, limits, IsCounted::No, now);
    }

    /// The head of a good answer has come: records what it says about limits. Returns for how many seconds the candidate
    /// is not called because nothing is left of one, rounded up; `None` if it may be called.
    pub(crate) fn accepted(&mut self, head: &Reading) -> Option<u64> {
        let booking = self.booking.as_ref()?;
        let figures = head.limits.iter().filter(|limit| limit.remaining.is_some());
        self.seen = figures.map(|limit| limit.measure).collect();
        let now = self.quota.now();
        let mut state = self.quota.lock();
        state.overwrite(booking, &head.limits, IsCounted::Yes, now);
        state.accepted(booking, now);
        state.lift(booking.admission, Lift::Head, now);
        state.serve_line_soon(now);
        head.limits.iter().find(|limit| limit.remaining == Some(0))?;
        state.seconds_without_room(self.candidate, now)
    }

    /// The answer has begun, with a thought or with content, this long after the call if that is known: whoever waits for
    /// the candidate to be well again need not wait any longer. The outcome is recorded later.
    pub(crate) fn has_begun(&mut self, first_token: Option<Duration>) {
        let Some(booking) = self.booking.as_ref().filter(|_| !self.has_begun) else { return };
        self.has_begun = true;
        if let Some(after) = first_token {
            self.stats.first_token(after);
        }
        let now = self.quota.now();
        self.quota.lock().lift(booking.admission, Lift::FirstEvent, now);
    }

    /// The answer is complete. `usage` is what it took, if the provider reported it.
    pub(crate) fn complete(mut self, usage: Option<Usage>) {
        self.has_begun(None);
        let Some(booking) = self.booking.take() else { return };
        self.stats.ended(Outcome::Ok, self.begun.elapsed());
        if let Some(usage) = usage {
            self.stats.used(&usage);
        }
        let now = self.quota.now();
        let mut state = self.quota.lock();
        state.settle(&booking, self.demand.prompt, usage, &self.seen, now);
        state.serve_line_soon(now);
    }

    /// The attempt failed, before or after its first content. Returns for how many seconds the candidate is not called
    /// because of it, rounded up; `None` if it may be called.
    pub(crate) fn failed(mut self, failure: &Failure) -> Option<u64> {
        let booking = self.booking.take()?;
        self.stats.ended(Outcome::Failed(failure.reason()), self.begun.elapsed());
        let now = self.quota.now();
        let mut state = self.quota.lock();
        state.uncount(&booking, Policy::counted(failure.cause), now);
        let window = match failure.reason() {
            Reason::RateLimited => Some(Window::Minute),
            Reason::QuotaExhausted => Some(Window::Day),
            _ => None,
        };
        if let Some(window) = window.filter(|_| !self.has_figures) {
            state.refused(&booking, self.named, window, now);
        }
        state.failed(booking.admission, failure, now);
        state.serve_line_soon(now);
        state.seconds_blocked(self.candidate, now)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(booking) = self.booking.take() {
            self.stats.ended(Outcome::Cancelled, self.begun.elapsed());
            let now = self.quota.now();
            let mut state = self.quota.lock();
            state.settle(&booking, self.demand.prompt, None, &self.seen, now);
            if !self.has_begun {
                state.release(booking.admission);
            }
            state.serve_line_soon(now);
        }
    }
}
