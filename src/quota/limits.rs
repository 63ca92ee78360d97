//! Who can serve now, and whose turn it is.
//!
//! One map of rests, keyed by [`Place`]: a provider, a key, a model, or a model with one key. A failure makes its
//! place rest; a candidate can serve when none of its places rests. When a rest is over, exactly one request may
//! probe it: if that succeeds the rest is forgotten, if it fails the rest is renewed and may grow.
//!
//! The rotation lives under the same lock, because «pick who has waited longest» and «it is now the last» must be
//! one step: only so do concurrent requests spread evenly.
//!
//! Which models there are to pick from says a [`Stock`] for each provider. A model that is missing from a key's list is
//! blocked for that key without having rested; one that has come back to it is tried again, whatever was said of it.
//!
//! Time and chance are arguments. Time is the wall clock: a laptop that sleeps through the night must wake up to a fresh
//! daily quota, which a monotonic clock, standing still meanwhile, would withhold.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::models::Stock;
use crate::middle::{Failure, Reason, Scope, Wait};
use crate::providers::Provider;

/// How long a limit lasts of which the provider does not say it: windows are minutes.
const UNSTATED_RATE_LIMIT: Duration = Duration::from_secs(60);
/// The same for limits of a day: often enough to notice, rarely enough not to annoy.
const UNSTATED_DAY_LIMIT: Duration = Duration::from_secs(3_600);
/// How long a refused key or an account without credit rests.
const REFUSED_KEY_REST: Duration = Duration::from_secs(600);
/// How long a failing provider rests the first time; doubled each time a probe fails.
const FIRST_FAILURE_REST: Duration = Duration::from_secs(5);
/// What that grows to.
const LONGEST_FAILURE_REST: Duration = Duration::from_secs(30);
/// Nothing that is free comes back later than a month: a longer wait is a mistake or an attack.
const LONGEST_REST: Duration = Duration::from_secs(31 * 86_400);
/// How long a model rests of which an answer says that it is gone, and the provider's own list that it is not.
const DOUBTFULLY_GONE_REST: Duration = Duration::from_secs(3_600);
/// What clients are told while a probe is under way: it is decided within moments.
const PROBE_WAIT: Duration = Duration::from_secs(1);
/// What part of a rest, if nobody has stated it, is added to it at most by chance, so that of many proxies not all come
/// back at once.
const JITTER_PART: i64 = 10;
/// The most that is added.
const MOST_JITTER_MS: i64 = 1_000;

/// One way to serve a request: a provider, one of its keys and one of its models, by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Who.
    pub provider: Provider,
    /// With which of its keys.
    pub key: usize,
    /// With which of its models: its number in the provider's catalogue.
    pub model: usize,
}

/// What a failure can put to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A provider with everything it has.
    Provider(Provider),
    /// One key.
    Key(Provider, usize),
    /// One model.
    Model(Provider, usize),
    /// One model with one key: key index, model index.
    KeyModel(Provider, usize, usize),
}

impl Candidate {
    /// The place a failure of `scope` reaches; none if it concerns the request alone.
    pub fn place(self, scope: Scope) -> Option<Place> {
        let Self { provider, key, model } = self;
        match scope {
            Scope::Request => None,
            Scope::Provider => Some(Place::Provider(provider)),
            Scope::Key => Some(Place::Key(provider, key)),
            Scope::Model => Some(Place::Model(provider, model)),
            Scope::KeyModel => Some(Place::KeyModel(provider, key, model)),
        }
    }

    /// Every place it depends on.
    pub fn places(self) -> [Place; 4] {
        let Self { provider, key, model } = self;
        [
            Place::Provider(provider),
            Place::Key(provider, key),
            Place::Model(provider, model),
            Place::KeyModel(provider, key, model),
        ]
    }
}

/// How many keys and models a provider begins with; one without either serves nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Who.
    pub provider: Provider,
    /// Number of keys.
    pub keys: usize,
    /// Number of models.
    pub models: usize,
}

/// Whether a request takes part in the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It does: whoever is picked becomes the last in line.
    Taken,
    /// It is pinned, and leaves the line as it is.
    Untouched,
}

/// A provider that would have been next and cannot serve now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Who.
    pub provider: Provider,
    /// What put it to rest.
    pub reason: Reason,
}

/// Leave to call a candidate. Give it back with [`Limits::succeeded`], [`Limits::failed`] or [`Limits::abandoned`], or
/// a rest that this call probes is never probed again.
#[derive(Debug, PartialEq, Eq)]
pub struct Admission {
    /// Whom to call.
    pub candidate: Candidate,
    /// Rests that are over and that this call is to find out about, with when they ended.
    probes: Vec<(Place, Timestamp)>,
}

/// The answer of [`Limits::pick`].
#[derive(Debug, PartialEq, Eq)]
pub struct Pick {
    /// Whom to call; nobody can serve now if there is none.
    pub admission: Option<Admission>,
    /// Who would have been before it.
    pub passed_over: Vec<PassedOver>,
}

/// The book of rests and turns.
#[derive(Debug)]
pub struct Limits {
    offers: Vec<Offer>,
    // A std mutex: held for microseconds, never across an await.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rests: HashMap<Place, Rest>,
    stocks: HashMap<Provider, Stock>,
    random: fastrand::Rng,
    /// The number of the last attempt of each provider and key; absent means never.
    last_turns: HashMap<Provider, u64>,
    last_key_uses: HashMap<(Provider, usize), u64>,
    next_number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Timestamp,
    reason: Reason,
    /// How often a probe has failed in a row.
    failed_probes: u32,
    is_being_probed: bool,
}

/// What a new stock has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Models that were used and are gone.
    pub lost: Vec<usize>,
    /// Models that were gone and are used.
    pub back: Vec<usize>,
}

/// Why a candidate cannot serve: the rest that lasts longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// When it is over; [`Timestamp::MAX`] if never.
    pub until: Timestamp,
    /// What put it to rest.
    pub reason: Reason,
}

impl Blocked {
    /// The least of several is the one worth knowing: what heals by itself rather than what needs a person; of two the
    /// sooner.
    pub fn urgency(self) -> (bool, Timestamp) {
        (self.reason.needs_a_person(), self.until)
    }
}

impl Limits {
    /// A book in which everybody can serve. The order of `offers` decides between those who never served.
    pub fn new(offers: Vec<Offer>, random: fastrand::Rng) -> Self {
        let stocks = offers.iter().map(|it| (it.provider, Stock::unlisted(it.keys, it.models)));
        let state = State {
            rests: HashMap::new(),
            stocks: stocks.collect(),
            random,
            last_turns: HashMap::new(),
            last_key_uses: HashMap::new(),
            next_number: 0,
        };
        Self { offers, state: Mutex::new(state) }
    }

    /// From now on `provider` has this to pick from. Whoever is under way keeps what they have.
    pub fn restock(&self, provider: Provider, stock: Stock, now: Timestamp) -> Change {
        let mut state = self.lock();
        let Some(&offer) = self.offers.iter().find(|offer| offer.provider == provider) else {
            return Change::default();
        };
        let used = state.in_use(offer, now);
        let was_gone: Vec<usize> =
            stock.ranks.iter().flatten().copied().filter(|&model| state.is_lost(offer, model, now)).collect();
        state.forgive(offer, &stock, now);
        state.stocks.insert(provider, stock);
        let is_lost = |model: &usize| state.is_lost(offer, *model, now);
        Change {
            lost: used.into_iter().filter(is_lost).collect(),
            back: state
                .in_use(offer, now)
                .into_iter()
                .filter(|model| was_gone.contains(model) && !is_lost(model))
                .collect(),
        }
    }

    /// The models of `provider` that are used, best first, with any of its keys. If all are gone, those that would be
    /// if they were not.
    pub fn in_use(&self, provider: Provider, now: Timestamp) -> Vec<usize> {
        let offer = self.offers.iter().find(|offer| offer.provider == provider);
        offer.map(|&offer| self.lock().in_use(offer, now)).unwrap_or_default()
    }

    /// The best model that is used with this key.
    pub fn first_in_use(&self, provider: Provider, key: usize, now: Timestamp) -> Option<usize> {
        let state = self.lock();
        let models = state.stocks.get(&provider)?.ranks.iter().flatten().copied();
        let mut candidates = models.map(|model| Candidate { provider, key, model });
        candidates.find(|&candidate| !state.is_gone(candidate, now)).map(|candidate| candidate.model)
    }

    /// Picks, among the candidates that are `eligible` and can serve now, the best of the provider whose last
    /// attempt lies longest ago: its best model, and for that the key that has waited longest.
    pub fn pick(&self, eligible: impl Fn(Candidate) -> bool, turn: Turn, now: Timestamp) -> Pick {
        let mut state = self.lock();
        let mut line = self.offers.clone();
        line.sort_by_key(|offer| state.last_turns.get(&offer.provider).copied());
        let mut passed_over = Vec::new();
        for offer in line {
            let candidates = state.in_order_of_preference(offer, &eligible, now);
            let mut soonest: Option<Blocked> = None;
            for candidate in candidates {
                match state.blocked(candidate, now) {
                    None => {
                        let admission = Some(state.admit(candidate, turn));
                        return Pick { admission, passed_over };
                    }
                    Some(blocked) if soonest.is_none_or(|it| blocked.urgency() < it.urgency()) => {
                        soonest = Some(blocked)
                    }
                    Some(_) => {}
                }
            }
            passed_over.extend(soonest.map(|it| PassedOver { provider: offer.provider, reason: it.reason }));
        }
        Pick { admission: None, passed_over }
    }

    /// When the first of the `eligible` candidates can serve: `now` if one can already, none if none ever will.
    pub fn soonest(&self, eligible: impl Fn(Candidate) -> bool, now: Timestamp) -> Option<Timestamp> {
        let state = self.lock();
        let candidates =
            self.offers.iter().flat_map(|&offer| state.in_order_of_preference(offer, &eligible, now));
        let starts = candidates.map(|candidate| state.blocked(candidate, now).map_or(now, |it| it.until));
        starts.min().filter(|&start| start < Timestamp::MAX)
    }

    /// What keeps `candidate` from serving now; none if nothing does.
    pub fn blocked(&self, candidate: Candidate, now: Timestamp) -> Option<Blocked> {
        self.lock().blocked(candidate, now)
    }

    /// The call has produced content: what it probed is well again.
    pub fn succeeded(&self, admission: &mut Admission) {
        let mut state = self.lock();
        for (place, ended) in admission.probes.drain(..) {
            match state.rests.get_mut(&place) {
                // Somebody else has renewed it meanwhile: it is not this call's to end, and for another to probe.
                Some(rest) if rest.until > ended => rest.is_being_probed = false,
                _ => drop(state.rests.remove(&place)),
            }
        }
    }

    /// The call has failed: its place rests.
    pub fn failed(&self, admission: &Admission, failure: &Failure, now: Timestamp) {
        let mut state = self.lock();
        state.release(&admission.probes);
        if let Some(place) = admission.candidate.place(failure.scope) {
            let was_probe = admission.probes.iter().any(|(probed, _)| *probed == place);
            let is_doubtful = failure.reason == Reason::ModelGone && state.is_listed(admission.candidate);
            let wait = failure.wait.or(is_doubtful.then_some(Wait::For(DOUBTFULLY_GONE_REST)));
            state.rest(place, failure.reason, wait, was_probe, now);
        }
    }

    /// The call was given up before it came to anything: somebody else may probe.
    pub fn abandoned(&self, admission: &Admission) {
        self.lock().release(&admission.probes);
    }

    /// A successful answer told that an allowance is used up.
    pub fn exhausted(&self, candidate: Candidate, reason: Reason, wait: Option<Wait>, now: Timestamp) {
        if let Some(place) = candidate.place(Scope::KeyModel) {
            self.lock().rest(place, reason, wait, false, now);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Every change is a few assignments that cannot panic half-way, so a poisoned book is still right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The models in use, best first, and those of earlier ranks, which are gone and say why; the keys that have waited
    /// longest before the others.
    fn in_order_of_preference(
        &self,
        offer: Offer,
        eligible: impl Fn(Candidate) -> bool,
        now: Timestamp,
    ) -> Vec<Candidate> {
        let Offer { provider, keys, .. } = offer;
        let Some(stock) = self.stocks.get(&provider) else {
            return Vec::new();
        };
        let mut keys: Vec<(usize, usize)> =
            (0..keys).map(|key| (key, self.rank_in_use(stock, provider, key, now))).collect();
        keys.sort_by_key(|&(key, _)| self.last_key_uses.get(&(provider, key)).copied());
        let mut candidates = Vec::new();
        for (rank, models) in stock.ranks.iter().enumerate() {
            for &model in models {
                let its_keys = keys.iter().filter(|&&(_, rank_in_use)| rank <= rank_in_use);
                let all = its_keys.map(|&(key, _)| Candidate { provider, key, model });
                candidates.extend(all.filter(|&candidate| eligible(candidate)));
            }
        }
        candidates
    }

    /// The first rank of which something is left for this key; if nothing is left of any, the first.
    fn rank_in_use(&self, stock: &Stock, provider: Provider, key: usize, now: Timestamp) -> usize {
        let is_left = |&model: &usize| !self.is_gone(Candidate { provider, key, model }, now);
        stock.ranks.iter().position(|models| models.iter().any(is_left)).unwrap_or_default()
    }

    fn in_use(&self, offer: Offer, now: Timestamp) -> Vec<usize> {
        let mut used: Vec<usize> = Vec::new();
        for candidate in self.in_order_of_preference(offer, |_| true, now) {
            if !used.contains(&candidate.model) && !self.is_gone(candidate, now) {
                used.push(candidate.model);
            }
        }
        match self.stocks.get(&offer.provider).and_then(|stock| stock.ranks.first()) {
            Some(wanted) if used.is_empty() => wanted.clone(),
            _ => used,
        }
    }

    /// Whether a model is gone for all keys.
    fn is_lost(&self, offer: Offer, model: usize, now: Timestamp) -> bool {
        let Offer { provider, keys, .. } = offer;
        keys > 0 && (0..keys).all(|key| self.is_gone(Candidate { provider, key, model }, now))
    }

    /// Whether the provider does not offer it: says the key's list, or an answer.
    fn is_gone(&self, candidate: Candidate, now: Timestamp) -> bool {
        let says_so = |scope| {
            let rest = candidate.place(scope).and_then(|place| self.rests.get(&place));
            rest.is_some_and(|it| it.reason == Reason::ModelGone && (now < it.until || it.is_being_probed))
        };
        self.is_missing(candidate) || says_so(Scope::Model) || says_so(Scope::KeyModel)
    }

    /// Whether there is a list without it.
    fn is_missing(&self, candidate: Candidate) -> bool {
        let stock = self.stocks.get(&candidate.provider);
        stock.and_then(|stock| stock.lists(candidate.key, candidate.model)) == Some(false)
    }

    fn is_listed(&self, candidate: Candidate) -> bool {
        let stock = self.stocks.get(&candidate.provider);
        stock.and_then(|stock| stock.lists(candidate.key, candidate.model)) == Some(true)
    }

    /// Ends the rests of models that have come back to a list; and, when nothing is left of a provider, of all that its
    /// list has: answers that leave nothing of it may have been an accident.
    fn forgive(&mut self, offer: Offer, stock: &Stock, now: Timestamp) {
        let Offer { provider, keys, .. } = offer;
        let is_nothing_left = stock.ranks.iter().flatten().all(|&model| self.is_lost(offer, model, now));
        for key in 0..keys {
            for &model in stock.ranks.iter().flatten() {
                let candidate = Candidate { provider, key, model };
                let may_be_forgiven = is_nothing_left || self.is_missing(candidate);
                if !may_be_forgiven || stock.lists(key, model) != Some(true) {
                    continue;
                }
                for place in candidate.places() {
                    if self.rests.get(&place).is_some_and(|rest| rest.reason == Reason::ModelGone) {
                        self.rests.remove(&place);
                    }
                }
            }
        }
    }

    fn blocked(&self, candidate: Candidate, now: Timestamp) -> Option<Blocked> {
        if self.is_missing(candidate) {
            return Some(Blocked { until: Timestamp::MAX, reason: Reason::ModelGone });
        }
        let rests = candidate.places().into_iter().filter_map(|place| self.rests.get(&place));
        let blocks = rests.filter_map(|rest| {
            if now < rest.until {
                return Some(Blocked { until: rest.until, reason: rest.reason });
            }
            let verdict = Wait::For(PROBE_WAIT).deadline(now);
            rest.is_being_probed.then_some(Blocked { until: verdict, reason: rest.reason })
        });
        blocks.max_by_key(|blocked| blocked.until)
    }

    fn admit(&mut self, candidate: Candidate, turn: Turn) -> Admission {
        self.next_number += 1;
        self.last_key_uses.insert((candidate.provider, candidate.key), self.next_number);
        if turn == Turn::Taken {
            self.last_turns.insert(candidate.provider, self.next_number);
        }
        let mut probes = Vec::new();
        for place in candidate.places() {
            if let Some(rest) = self.rests.get_mut(&place) {
                rest.is_being_probed = true;
                probes.push((place, rest.until));
            }
        }
        Admission { candidate, probes }
    }

    fn release(&mut self, probes: &[(Place, Timestamp)]) {
        for (place, _) in probes {
            if let Some(rest) = self.rests.get_mut(place) {
                rest.is_being_probed = false;
            }
        }
    }

    /// Puts `place` to rest. Of two rests the later end counts. Only a failed probe makes rests grow: many calls
    /// that began before the first rest may fail after it.
    fn rest(&mut self, place: Place, reason: Reason, wait: Option<Wait>, was_probe: bool, now: Timestamp) {
        let earlier = self.rests.get(&place).copied();
        let failed_probes = earlier.map_or(0, |rest| rest.failed_probes.saturating_add(u32::from(was_probe)));
        let end = rest_end(reason, wait, failed_probes, now);
        let until = if wait.is_none() { self.jittered(end, now) } else { end };
        let rest = match earlier {
            Some(rest) if rest.until > until => rest,
            Some(rest) => Rest { until, reason, failed_probes, is_being_probed: rest.is_being_probed },
            None => Rest { until, reason, failed_probes, is_being_probed: false },
        };
        self.rests.insert(place, rest);
    }

    /// A moment after `end`.
    fn jittered(&mut self, end: Timestamp, now: Timestamp) -> Timestamp {
        let span_ms = end.as_millisecond().saturating_sub(now.as_millisecond());
        let added_ms = self.random.i64(0..=(span_ms / JITTER_PART).clamp(0, MOST_JITTER_MS));
        end.saturating_add(jiff::SignedDuration::from_millis(added_ms)).unwrap_or(end)
    }
}

/// When a rest that begins `now` ends.
fn rest_end(reason: Reason, wait: Option<Wait>, failed_probes: u32, now: Timestamp) -> Timestamp {
    let after = |span| Wait::For(span).deadline(now);
    let stated = wait.map(|wait| wait.deadline(now).min(after(LONGEST_REST)));
    match reason {
        Reason::RateLimited => stated.unwrap_or_else(|| after(UNSTATED_RATE_LIMIT)),
        Reason::QuotaExhausted => stated.unwrap_or_else(|| after(UNSTATED_DAY_LIMIT)),
        // It needs a person: coming back sooner only annoys.
        Reason::BadKey | Reason::NoCredit => {
            stated.map_or_else(|| after(REFUSED_KEY_REST), |stated| stated.max(after(REFUSED_KEY_REST)))
        }
        Reason::ModelGone => stated.unwrap_or(Timestamp::MAX),
        Reason::Overloaded
        | Reason::Timeout
        | Reason::ConnectFailed
        | Reason::BrokenStream
        | Reason::EmptyAnswer
        | Reason::UpstreamError
        | Reason::TooLarge
        | Reason::ContextTooLong
        | Reason::BadRequest => {
            let grown = FIRST_FAILURE_REST.saturating_mul(2_u32.saturating_pow(failed_probes));
            let own = after(grown.min(LONGEST_FAILURE_REST));
            stated.map_or(own, |stated| stated.clamp(own, after(LONGEST_FAILURE_REST)))
        }
    }
}

#[cfg(test)]
mod tests;
