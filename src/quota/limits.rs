//! The limits of one provider: who shares which, and whether a request fits.

use std::time::Duration;

use super::bucket::{Bucket, Fit, IsCounted, LimitStatus};
use super::cooldowns::Blocked;
use super::demand::Demand;
use super::ledger::PastUse;
use super::price::{Cap, Price};
use super::provider_state::ProviderState;
use super::shared_bucket::{SharedBucket, Sharers};
use super::ticks::Now;
use crate::middle::{Limit, LimitReading, Measure, Pool, Renewal, Source, TokenCharge, Unit, Window};
use crate::providers::Work;

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

/// Why a candidate is not called whose limit of this window is used up.
pub(super) fn full(window: Window, wait: Option<Duration>, now: Now) -> Blocked {
    let until = now.after(wait.unwrap_or_default());
    Blocked { until, reason: window.exhausted(), is_certain: wait.is_some() }
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
    /// Whether a request fits a candidate now, behind others for which `ahead` counts what they take of a bucket.
    pub(super) fn room(
        &self,
        account: usize,
        model: usize,
        demand: Demand,
        ahead: &dyn Fn(usize) -> u64,
        now: Now,
    ) -> Room {
        let Some(price) = self.price(account, model, demand) else { return Room::TooLarge };
        let mut room = Room::Fits(price);
        for (number, bucket) in self.buckets_of(account, model) {
            let Measure { unit, window } = bucket.measure();
            let fit = bucket.fit(price.amount(unit), ahead(number), now);
            room = room.and(price, fit, window, bucket.is_explored());
        }
        room
    }

    /// Why a candidate has no room for even the smallest request, and until when; `None` if it has, or if only a guess says
    /// that it has not.
    pub(super) fn lacks_room(&self, account: usize, model: usize, now: Now) -> Option<Blocked> {
        let smallest = Demand { prompt: 1, answer: Some(1) };
        let Room::Full { window, wait, .. } = self.room(account, model, smallest, &|_| 0, now) else {
            return None;
        };
        Some(full(window, Some(wait?), now))
    }

    /// What a request costs a candidate; `None` if it is larger than a whole limit.
    pub(super) fn price(&self, account: usize, model: usize, demand: Demand) -> Option<Price> {
        let charge = self.provider.profile().token_charge;
        let longest = self.models.get(model).map_or(u32::MAX, |it| it.can.max_output);
        let prompt = self.correction.apply(demand.prompt);
        let work = self.work(model);
        let price = Price::of(demand, prompt, charge, self.token_cap(account, model, charge), longest)?;
        Some(price.with_work(work))
    }

    /// What a model costs in its provider's own unit of work.
    pub(super) fn work(&self, model: usize) -> Work {
        self.models.get(model).map_or(Work::UNCOUNTED, |it| self.provider.work(&it.id))
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

    pub(super) fn buckets_of(&self, account: usize, model: usize) -> impl Iterator<Item = (usize, &Bucket)> {
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
            self.bucket_of(account, model, (limit.pool, limit.measure), now, |may_give_back| {
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
        // A limit of nothing is no limit but a missing grant: the failure says so.
        if reading.limit == Some(0) {
            return;
        }
        self.open_buckets(account, model, now);
        let found = self.buckets_of(account, model).find(|(_, it)| it.measure() == reading.measure);
        let number = found.map(|(number, _)| number).unwrap_or_else(|| {
            let renewal = if reading.refills { Renewal::Refill } else { Renewal::Sliding };
            let number =
                self.bucket_of(account, model, (Pool::AccountModel, reading.measure), now, |may_give_back| {
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
        let work = self.work(model);
        let numbers: Vec<usize> = self.buckets_of(account, model).map(|(number, _)| number).collect();
        for past in uses {
            let age = Duration::try_from(now.wall.duration_since(past.at)).unwrap_or_default();
            let then = Now { wall: past.at.min(now.wall), tick: now.tick.saturating_sub(age) };
            for &number in &numbers {
                let Some(bucket) = self.buckets.get_mut(number).map(|it| &mut it.bucket) else { continue };
                let amount = match bucket.measure().unit {
                    Unit::Requests => past.requests,
                    Unit::Tokens => past.tokens,
                    // Of the tokens nobody knows which were the answer's, so all are: rather too much than too little.
                    Unit::Neurons => work.of(0, past.tokens).max(work.of(past.tokens, 0)),
                };
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
        (pool, measure): (Pool, Measure),
        now: Now,
        new: impl FnOnce(bool) -> Bucket,
    ) -> usize {
        let sharers = Sharers::new(pool, account, model);
        let mut known = self.buckets.iter();
        known.position(|it| it.sharers == sharers && it.bucket.measure() == measure).unwrap_or_else(|| {
            let reserves = self.provider.profile().token_charge == TokenCharge::Longest;
            let mut bucket = new(reserves && measure.unit == Unit::Tokens);
            self.sharing.iter().for_each(|sharing| bucket.join(&sharing.bell, now));
            self.buckets.push(SharedBucket::new(sharers, bucket));
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
}
