//! What is known of every provider, account and model: one state under one lock. Time is an argument.
//!
//! The rotation lives here too. Picking the provider that has waited longest and making it the last in line must be one
//! step; only then do concurrent requests spread evenly.

use std::time::Duration;

use jiff::Timestamp;

use super::booking::{Admission, Booking, Picked, Skipped, Soonest};
use super::bucket::{Bucket, IsCounted};
use super::cooldowns::{Blocked, Cooldowns, Standing};
use super::demand::Demand;
use super::ledger::{Ledger, LedgerWarning, PlaceId};
use super::line::{Line, Queued};
use super::place::{Candidate, Place};
use super::price::Price;
use super::prospect::{Ahead, Prospect};
use super::provider_state::{Change, ModelState, Offer, ProviderState, Room};
use super::target::{Criteria, Turn};
use super::ticks::Ticks;
use crate::middle::{Cause, Counted, Failure, Lift, LimitReading, Measure, Policy, Usage, Window};
use crate::models::{Catalogue, Stock};
use crate::time::Moment;

/// Whoever is told a longer time is not expected at that very moment.
const LONGEST_PROMISE: Duration = Duration::from_secs(86_400);

#[derive(Debug)]
pub(super) struct State {
    pub(super) providers: Vec<ProviderState>,
    pub(super) ticks: Ticks,
    pub(super) line: Line,
    random: fastrand::Rng,
    /// How many attempts there have been, which is also the number of the latest one.
    attempts: u64,
    ledger: Ledger,
    /// What the ledger adds to the number of an attempt, so that no earlier process has had it.
    first_call: u64,
    /// Trouble with the ledger that nobody has been told of.
    warning: Option<LedgerWarning>,
}

impl State {
    /// A state in which every provider can serve. The order of `offers` decides between those that were never called.
    pub(super) fn new(offers: Vec<Offer>, random: fastrand::Rng) -> Self {
        let providers = offers.into_iter().map(ProviderState::new).collect();
        Self {
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
    fn write_down(&mut self, candidate: Candidate, attempt: u64, tokens: u64, now: Moment) {
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

    /// Picks from this stock from now on. An attempt in progress keeps its model.
    pub(super) fn go_by(&mut self, provider: usize, stock: Stock, now: Moment) -> Change {
        self.providers.get_mut(provider).map(|it| it.go_by(stock, now)).unwrap_or_default()
    }

    /// Picks the best candidate that may serve: of those that are well, else of those that are demoted, else one of which
    /// only a guess says that it has nothing left. The provider whose last attempt was longest ago comes first, with its
    /// best model and, for that model, the account that has waited longest.
    pub(super) fn pick(&mut self, criteria: &Criteria<'_>, now: Moment) -> Picked {
        let queued = self.line.lend_queued();
        let picked = self.pick_behind(criteria, &|provider, bucket| queued.of(provider, bucket), now);
        self.line.return_queued(queued);
        picked
    }

    /// The same, behind those for whom `ahead` counts what they take of a bucket.
    pub(super) fn pick_behind(&mut self, criteria: &Criteria<'_>, ahead: Ahead<'_>, now: Moment) -> Picked {
        let ticks = self.ticks.advance(now);
        let mut line: Vec<usize> = (0..self.providers.len()).collect();
        line.sort_by_key(|&number| self.provider(number).map(|it| it.last_turn));
        let mut passed_over = Vec::new();
        let mut second_best: Option<(Candidate, Price, usize)> = None;
        let mut third_best: Option<(Candidate, Price, usize)> = None;
        let mut soonest: Option<Soonest> = None;
        let mut beyond: Option<Soonest> = None;
        for number in line {
            let Some(provider) = self.providers.get_mut(number) else { continue };
            let mut reason: Option<Blocked> = None;
            let mut is_second_best = false;
            let mut unexplored: Option<(Candidate, Price)> = None;
            for candidate in provider.in_order_of_preference(number, criteria, now) {
                // A guess is no reason to use a worse model either, but another key with room comes first.
                if unexplored.is_some_and(|(it, _)| it.model != candidate.model) {
                    break;
                }
                provider.open_buckets(candidate.account, candidate.model, ticks);
                let (prospect, blocked) = provider.prospect(candidate, criteria, ahead, now, ticks);
                match prospect {
                    Prospect::Callable(price) => {
                        let booking = Some(self.admit(candidate, price, criteria.target.turn(), now));
                        let skipped = passed_over.into_iter().map(|(skipped, _)| skipped).collect();
                        return Picked { booking, skipped, soonest: None };
                    }
                    Prospect::Demoted(price) => {
                        second_best.get_or_insert((candidate, price, passed_over.len()));
                        is_second_best = true;
                    }
                    Prospect::Unexplored(price) => {
                        unexplored.get_or_insert((candidate, price));
                    }
                    Prospect::DemotedUnexplored(price) => {
                        third_best.get_or_insert((candidate, price, passed_over.len()));
                        is_second_best = true;
                    }
                    Prospect::Later { price: Some(price), wait, is_unsure } => {
                        let wait = wait.unwrap_or(Duration::MAX);
                        if is_unsure && beyond.as_ref().is_none_or(|it| wait < it.wait) {
                            beyond = Some(Soonest { candidate, price, wait, is_unsure });
                        }
                        let is_sooner = soonest.as_ref().is_none_or(|it| wait < it.wait);
                        if is_sooner && (wait < Duration::MAX || is_unsure) {
                            soonest = Some(Soonest { candidate, price, wait, is_unsure });
                        }
                    }
                    Prospect::Later { .. } => {}
                }
                if let Some(blocked) = blocked
                    && reason.is_none_or(|it| blocked.urgency() < it.urgency())
                {
                    reason = Some(blocked);
                }
            }
            // It keeps its turn: a guess is no reason to pass a provider over.
            if let Some((candidate, price)) = unexplored {
                let booking = Some(self.admit(candidate, price, criteria.target.turn(), now));
                let skipped = passed_over.into_iter().map(|(skipped, _)| skipped).collect();
                return Picked { booking, skipped, soonest: None };
            }
            let skipped = reason.map(|it| Skipped { provider: number, reason: it.reason });
            passed_over.extend(skipped.map(|skipped| (skipped, is_second_best)));
        }
        // Nobody is well. Those ahead of it that are no better come after it.
        let best = second_best.or(third_best);
        // Whoever cannot wait goes beyond the guess while somebody else finds out.
        let impatient = beyond.as_ref().filter(|_| !criteria.can_wait);
        let best = best.or_else(|| impatient.map(|it| (it.candidate, it.price, passed_over.len())));
        let ahead = best.map_or(passed_over.len(), |(_, _, ahead)| ahead);
        let skipped = passed_over.into_iter().take(ahead).filter(|(_, is_second_best)| !is_second_best);
        let skipped = skipped.map(|(skipped, _)| skipped).collect();
        match best {
            Some((candidate, price, _)) => {
                let booking = Some(self.admit(candidate, price, criteria.target.turn(), now));
                Picked { booking, skipped, soonest: None }
            }
            None => Picked { booking: None, skipped, soonest },
        }
    }

    /// Whether there is a candidate that could be called now.
    pub(super) fn has_candidate(&self, criteria: &Criteria<'_>, now: Moment) -> bool {
        let ticks = self.ticks.read(now);
        self.providers.iter().enumerate().any(|(number, provider)| {
            let mut candidates = provider.in_order_of_preference(number, criteria, now).into_iter();
            candidates.any(|it| {
                !matches!(provider.prospect(it, criteria, &|_, _| 0, now, ticks).0, Prospect::Later { .. })
            })
        })
    }

    /// When the first candidate can serve again, of one provider or of any, as far as that is certain; `None` if it is not
    /// known. Nobody knows when one that merely failed is well again, unless it has said so.
    pub(super) fn soonest(
        &self,
        criteria: &Criteria<'_>,
        of: Option<usize>,
        now: Moment,
    ) -> Option<Timestamp> {
        let ticks = self.ticks.read(now);
        let providers =
            self.providers.iter().enumerate().filter(|(number, _)| of.is_none_or(|of| of == *number));
        let ends = providers.flat_map(|(number, provider)| {
            let candidates = provider.in_order_of_preference(number, criteria, now).into_iter();
            candidates.filter_map(move |candidate| {
                let (prospect, blocked) = provider.prospect(candidate, criteria, &|_, _| 0, now, ticks);
                match (prospect, blocked.filter(|it| it.is_certain)) {
                    (Prospect::Later { wait: Some(wait), .. }, Some(_)) => Some(ticks.after(wait)),
                    (_, Some(it)) => Some(it.until),
                    _ => None,
                }
            })
        });
        ends.min().filter(|&end| end < Timestamp::MAX)
    }

    /// A client is refused: when it will find room, behind those who wait and those who were refused before it. Its room is
    /// kept in mind for whoever is refused after it.
    pub(super) fn promise(&mut self, criteria: &Criteria<'_>, now: Moment) -> Option<Timestamp> {
        let ticks = self.ticks.advance(now);
        let queued = self.line.lend_queued();
        let soonest = self.soonest_behind(criteria, &queued, now);
        self.line.return_queued(queued);
        let Some((Candidate { provider, account, model }, price, wait)) = soonest else {
            return self.soonest(criteria, None, now);
        };
        if wait > LONGEST_PROMISE {
            return Some(ticks.after(wait));
        }
        let due = ticks.tick.saturating_add(wait);
        let provider = self.providers.get_mut(provider)?;
        for (number, amount) in provider.charges(account, model, price) {
            provider.buckets.get_mut(number).into_iter().for_each(|it| it.promise(due, amount, ticks));
        }
        Some(ticks.after(wait))
    }

    fn soonest_behind(
        &self,
        criteria: &Criteria<'_>,
        queued: &Queued,
        now: Moment,
    ) -> Option<(Candidate, Price, Duration)> {
        let ticks = self.ticks.read(now);
        let ahead = |provider: usize, bucket: usize| {
            let shared = self.provider(provider).and_then(|it| it.buckets.get(bucket));
            queued.of(provider, bucket).saturating_add(shared.map_or(0, |it| it.promised(ticks)))
        };
        let providers = self.providers.iter().enumerate();
        let waits = providers.flat_map(|(number, provider)| {
            let candidates = provider.in_order_of_preference(number, criteria, now).into_iter();
            candidates.filter_map(move |candidate| {
                match provider.prospect(candidate, criteria, &ahead, now, ticks) {
                    (Prospect::Later { price: Some(price), wait: Some(wait), .. }, Some(blocked)) => {
                        blocked.is_certain.then_some((candidate, price, wait))
                    }
                    _ => None,
                }
            })
        });
        waits.min_by_key(|(_, _, wait)| *wait)
    }

    /// The call has come as far as `sign`, so whatever that lifts ends.
    pub(super) fn lift(&mut self, admission: Admission, sign: Lift, now: Moment) {
        for place in admission.candidate.places() {
            if let Some(cooldowns) = self.cooldowns_mut(place) {
                cooldowns.lift(sign, admission.attempt, now);
            }
        }
        if sign == Lift::FirstEvent {
            self.release(admission);
            if let Some(provider) = self.providers.get_mut(admission.candidate.provider) {
                provider.failing.clear();
            }
        }
    }

    /// The call has failed.
    pub(super) fn failed(&mut self, admission: Admission, failure: &Failure, now: Moment) {
        self.release(admission);
        let candidate = admission.candidate;
        let provider = self.provider(candidate.provider);
        let is_listed = provider.is_some_and(|it| it.lists(candidate) == Some(true));
        let cause = match failure.cause {
            Cause::ModelGone | Cause::ModelNotForAccount if is_listed => Cause::ModelGoneButListed,
            cause => cause,
        };
        let policy = Policy::of(cause);
        let failure = Failure { cause, ..failure.clone() };
        if let Some(place) = candidate.place(policy.reach) {
            self.record(place, policy, &failure, admission.attempt, now);
        }
        if policy.trips_after.is_some_and(|most| self.failing_in_a_row(candidate) >= most) {
            let unstated = Failure { wait: None, ..failure };
            self.record(
                Place::Provider(candidate.provider),
                Policy::TRIPPED,
                &unstated,
                admission.attempt,
                now,
            );
        }
    }

    /// For how many seconds a candidate is not called, rounded up; `None` if it may be called, or if time alone does not
    /// end it.
    pub(super) fn seconds_blocked(&self, candidate: Candidate, now: Moment) -> Option<u64> {
        match self.provider(candidate.provider)?.standing(candidate, now) {
            Standing::Blocked(it) if it.until < Timestamp::MAX => now.seconds_until(it.until),
            _ => None,
        }
    }

    /// For how many seconds a candidate has no room for even the smallest request, rounded up; `None` if it has.
    pub(super) fn seconds_without_room(&self, candidate: Candidate, now: Moment) -> Option<u64> {
        let ticks = self.ticks.read(now);
        let smallest = Demand { prompt: 1, answer: Some(1) };
        let provider = self.provider(candidate.provider)?;
        match provider.room(candidate.account, candidate.model, smallest, &|_| 0, ticks) {
            Room::Full { wait: Some(wait), .. } => Some(wait.as_millis().div_ceil(1_000) as u64),
            _ => None,
        }
    }

    /// The call is over: what it was to find out, another call may.
    pub(super) fn release(&mut self, admission: Admission) {
        for place in admission.candidate.places() {
            if let Some(cooldowns) = self.cooldowns_mut(place) {
                cooldowns.release(admission.attempt);
            }
        }
    }

    /// Records what the provider reported about its limits in its answer to a call.
    pub(super) fn overwrite(
        &mut self,
        booking: &Booking,
        limits: &[LimitReading],
        is_counted: IsCounted,
        now: Moment,
    ) {
        let now = self.ticks.advance(now);
        let Candidate { provider, account, model } = booking.admission.candidate;
        if let Some(provider) = self.providers.get_mut(provider) {
            for reading in limits {
                provider.overwrite((account, model), reading, booking.admission.attempt, is_counted, now);
            }
        }
    }

    /// The head of a good answer has come.
    pub(super) fn accepted(&mut self, booking: &Booking, now: Moment) {
        let now = self.ticks.advance(now);
        self.for_each_bucket(booking, |bucket, _| bucket.accepted(booking.admission.attempt, now));
        if let Some(provider) = self.providers.get_mut(booking.admission.candidate.provider) {
            provider.share_lessons(&booking.charges);
        }
    }

    /// The answer is complete and has taken these tokens, if the provider says so.
    ///
    /// Of the limits that it has `seen`, the head has told more than what was reserved.
    pub(super) fn settle(
        &mut self,
        booking: &Booking,
        demand: u64,
        usage: Option<Usage>,
        seen: &[Measure],
        now: Moment,
    ) {
        let now = self.ticks.advance(now);
        let attempt = booking.admission.attempt;
        let Some(provider) = self.providers.get_mut(booking.admission.candidate.provider) else { return };
        let charge = provider.provider.profile().token_charge;
        // No answer takes more than its model's window.
        let window =
            provider.models.get(booking.admission.candidate.model).map_or(u64::MAX, |it| it.can.window);
        let usage = usage.map(|usage| Usage {
            prompt_tokens: usage.prompt_tokens.min(window),
            completion_tokens: usage.completion_tokens.min(window),
            ..usage
        });
        if let Some(usage) = usage {
            provider.correction.learn(demand, usage.prompt_tokens);
        }
        let actual = usage.map(|usage| booking.price.settled(charge, &usage));
        if let Some((at_least, _)) = actual {
            let warning = self.ledger.settle(self.first_call + attempt, at_least, now.wall);
            self.warning = self.warning.take().or(warning);
        }
        self.for_each_bucket(booking, |bucket, amount| match actual.filter(|_| bucket.counts_tokens()) {
            Some((at_least, actual)) => {
                let reserved = if seen.contains(&bucket.measure()) { at_least } else { amount };
                bucket.settle(attempt, reserved, at_least, actual, booking.sent, now);
            }
            None => bucket.close(attempt),
        });
    }

    /// The call has failed, and the provider counts this part of it.
    pub(super) fn uncount(&mut self, booking: &Booking, counted: Counted, now: Moment) {
        let now = self.ticks.advance(now);
        let attempt = booking.admission.attempt;
        let call = self.first_call + attempt;
        let warning = match counted {
            Counted::Nothing => self.ledger.take_back(call, now.wall),
            Counted::Request => self.ledger.settle(call, 0, now.wall),
            Counted::Whole => None,
        };
        self.warning = self.warning.take().or(warning);
        self.for_each_bucket(booking, |bucket, amount| {
            let is_counted = match counted {
                Counted::Nothing => false,
                Counted::Request => !bucket.counts_tokens(),
                Counted::Whole => true,
            };
            if is_counted {
                bucket.close(attempt)
            } else {
                bucket.take_back(attempt, amount, booking.sent, now)
            }
        });
    }

    /// A limit of this window has refused the call, perhaps this one, and no figure came with it.
    pub(super) fn refused(&mut self, booking: &Booking, named: Option<Measure>, window: Window, now: Moment) {
        let now = self.ticks.advance(now);
        let Some(provider) = self.providers.get_mut(booking.admission.candidate.provider) else { return };
        let fullest = booking.charges.iter().filter_map(|&(number, amount)| {
            let bucket = &provider.buckets.get(number)?.bucket;
            let is_meant = match named {
                Some(named) => bucket.measure() == named,
                None => bucket.measure().window.exhausted() == window.exhausted(),
            };
            Some((bucket.fullness(now).filter(|_| is_meant)?, number, amount))
        });
        if let Some((_, number, amount)) = fullest.max()
            && let Some(shared) = provider.buckets.get_mut(number)
        {
            shared.bucket.refused(amount, booking.sent, now);
        }
        provider.share_lessons(&booking.charges);
    }

    fn for_each_bucket(&mut self, booking: &Booking, mut each: impl FnMut(&mut Bucket, u64)) {
        let Some(provider) = self.providers.get_mut(booking.admission.candidate.provider) else { return };
        for &(number, amount) in &booking.charges {
            if let Some(shared) = provider.buckets.get_mut(number) {
                each(&mut shared.bucket, amount);
            }
        }
    }

    fn admit(&mut self, candidate: Candidate, price: Price, turn: Turn, now: Moment) -> Booking {
        let ticks = self.ticks.advance(now);
        self.attempts += 1;
        let attempt = self.attempts;
        let mut charges = Vec::new();
        if let Some(provider) = self.providers.get_mut(candidate.provider) {
            charges = provider.charges(candidate.account, candidate.model, price);
            for &(number, amount) in &charges {
                if let Some(shared) = provider.buckets.get_mut(number) {
                    shared.bucket.reserve(attempt, amount, ticks);
                }
            }
            if turn == Turn::Taken {
                provider.last_turn = attempt;
            }
            if let Some(account) = provider.accounts.get_mut(candidate.account) {
                account.last_use = attempt;
            }
        }
        for place in candidate.places() {
            if let Some(cooldowns) = self.cooldowns_mut(place) {
                cooldowns.probe(attempt, now);
            }
        }
        self.write_down(candidate, attempt, price.tokens, now);
        Booking { admission: Admission { candidate, attempt }, price, charges, sent: ticks.tick }
    }

    /// How many different models or keys of the candidate's provider have failed in a row, this one included.
    fn failing_in_a_row(&mut self, candidate: Candidate) -> u32 {
        let Some(provider) = self.providers.get_mut(candidate.provider) else { return 0 };
        provider.failing.insert((candidate.account, candidate.model));
        u32::try_from(provider.failing.len()).unwrap_or(u32::MAX)
    }

    fn record(&mut self, place: Place, policy: Policy, failure: &Failure, attempt: u64, now: Moment) {
        let latest = self.attempts;
        if let Some(cooldowns) = cooldowns_mut(&mut self.providers, place) {
            cooldowns.record(policy, failure, attempt, latest, now, &mut self.random);
        }
    }

    fn cooldowns_mut(&mut self, place: Place) -> Option<&mut Cooldowns> {
        cooldowns_mut(&mut self.providers, place)
    }
}

/// The cooldowns of a place; `None` if there is no such place.
fn cooldowns_mut(providers: &mut [ProviderState], place: Place) -> Option<&mut Cooldowns> {
    match place {
        Place::Provider(provider) => Some(&mut providers.get_mut(provider)?.cooldowns),
        Place::Account(provider, account) => {
            Some(&mut providers.get_mut(provider)?.accounts.get_mut(account)?.cooldowns)
        }
        Place::Model(provider, model) => {
            Some(&mut providers.get_mut(provider)?.models.get_mut(model)?.cooldowns)
        }
        Place::AccountModel(provider, account, model) => {
            Some(&mut providers.get_mut(provider)?.account_model_mut(account, model)?.cooldowns)
        }
    }
}
