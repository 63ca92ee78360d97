//! What instances that share their quotas tell each other: what they have used of each bucket, who rests, and which models
//! are gone. Plain data goes out and comes in; who carries it is none of this room's business.
//!
//! Names are hashes of provider, key and measure, and so the same everywhere. No key can be had from them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ring::digest;

use super::bucket::Bucket;
use super::cooldowns::Rest;
use super::learnt::Learnt;
use super::place::Place;
use super::provider_share::{ProviderShare, RestReport};
use super::provider_state::ProviderState;
use super::share::{Bell, ShareAnswer, ShareReport};
use super::shared_bucket::{SharedBucket, Sharers};
use super::state::State;
use super::ticks::Now;
use super::used::Used;
use crate::middle::{Cause, Effect, Lift, Window, Zone};
use crate::time::Moment;

/// So many bytes of a hash name something.
const NAME_BYTES: usize = 16;
/// Stands for whatever a place does not have.
const NONE: &str = "-";

/// What is told of one provider.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Its number.
    provider: usize,
    /// Its name.
    pub(crate) name: &'static str,
    /// The number of the latest rest that was heard of.
    pub(crate) heard: u64,
    /// Rests that are news.
    pub(crate) rests: Vec<RestReport>,
    /// What was used.
    pub(crate) buckets: Vec<BucketReport>,
    /// When it was made.
    asked: Duration,
}

/// What is told of one bucket.
#[derive(Clone, Debug)]
pub(crate) struct BucketReport {
    number: usize,
    /// Its name, the same everywhere.
    pub(crate) name: String,
    /// How it is renewed.
    pub(crate) kind: Kind,
    /// How long its window is.
    pub(crate) window: Duration,
    /// When the calendar's period ends, in milliseconds since 1970; 0 without a calendar.
    pub(crate) period_end_ms: i64,
    /// How much it allows, if that is known.
    pub(crate) limit: Option<u64>,
    /// What this instance has learnt of the limit.
    pub(crate) learnt: Option<Learnt>,
    /// What was used.
    pub(crate) share: ShareReport,
}

/// How a window is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each use counts for the window's length.
    Sliding,
    /// Continuously.
    Refill,
    /// With the calendar.
    Period,
    /// When a call is over.
    AtOnce,
}

/// What comes back for one provider.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// The server's time, in milliseconds since 1970.
    pub(crate) time_ms: i64,
    /// The number of the latest rest.
    pub(crate) latest_rest: u64,
    /// What others have told of rests: for how long, and where and why.
    pub(crate) rests: Vec<(Option<Duration>, String)>,
    /// For each bucket of the report.
    pub(crate) buckets: Vec<ShareAnswer>,
}

/// Of which buckets something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Of those of which there is news.
    News,
    /// Of all, so that it is heard what others do.
    All,
}

impl State {
    /// From now on, everything is counted together with others. `keys` are those of each provider's accounts.
    pub(super) fn share(&mut self, keys: &[Vec<&str>], bell: &Arc<Bell>, now: Moment) {
        let ticks = self.ticks.advance(now);
        for (provider, keys) in self.providers.iter_mut().zip(keys) {
            let name = provider.provider.name();
            for (account, key) in provider.accounts.iter_mut().zip(keys) {
                account.shared_name = hashed(&[name, key]);
            }
            provider.sharing = Some(ProviderShare::new(bell.clone()));
            provider.buckets.iter_mut().for_each(|it| it.bucket.join(bell, ticks));
        }
    }

    /// Whether everything is counted together with others.
    pub(super) fn is_shared(&self) -> bool {
        self.providers.iter().any(|it| it.sharing.is_some())
    }

    /// What is to be told, of each provider of which there is something.
    pub(super) fn reports(&mut self, extent: Extent, now: Moment) -> Vec<Report> {
        let ticks = self.ticks.advance(now);
        let providers = self.providers.iter_mut().enumerate();
        providers.filter_map(|(number, it)| it.report(number, extent, ticks)).collect()
    }

    /// Takes in what others have told, and serves those who wait for it.
    pub(super) fn apply(&mut self, report: &Report, answer: &Answer, now: Moment) {
        let ticks = self.ticks.advance(now);
        let latest = self.attempts;
        if let Some(provider) = self.providers.get_mut(report.provider) {
            provider.apply(report, answer, ticks);
            for (left, words) in &answer.rests {
                provider.rest(report.provider, *left, words, latest, now);
            }
        }
        self.serve_line_soon(now);
    }

    /// The others were not reached: rests are told next time.
    pub(super) fn keep_untold(&mut self, report: Report) {
        let provider = self.providers.get_mut(report.provider);
        if let Some(sharing) = provider.and_then(|it| it.sharing.as_mut()) {
            report.rests.into_iter().for_each(|rest| sharing.tell(rest));
        }
    }

    /// Nobody tells what the others do.
    pub(super) fn cut_off(&mut self, now: Moment) {
        let ticks = self.ticks.advance(now);
        let buckets = self.providers.iter_mut().flat_map(|it| &mut it.buckets);
        buckets.for_each(|it| it.bucket.cut_off(ticks));
        self.serve_line_soon(now);
    }
}

impl Report {
    /// The same of somebody who will use nothing more: no lease is large enough.
    pub(crate) fn giving_back(mut self) -> Self {
        for bucket in &mut self.buckets {
            (bucket.share.wanted, bucket.share.waited_for, bucket.share.smallest) = (0, 0, i64::MAX as u64);
        }
        self
    }

    /// Whether more is wanted than somebody holds who has nothing to do.
    pub(crate) fn wants_something(&self) -> bool {
        self.buckets.iter().any(|it| it.share.wanted > 0)
    }
}

#[cfg(test)]
impl Report {
    /// One of a provider of no number.
    pub(crate) fn of(name: &'static str, buckets: Vec<BucketReport>) -> Self {
        Self { provider: 0, name, heard: 0, rests: Vec::new(), buckets, asked: Duration::ZERO }
    }
}

#[cfg(test)]
impl BucketReport {
    /// One of no number, of which nothing was told and nothing is wanted.
    pub(crate) fn of(name: &str, kind: Kind, window: Duration) -> Self {
        let (name, share) = (name.to_owned(), ShareReport::default());
        Self { number: 0, name, kind, window, period_end_ms: 0, limit: None, learnt: None, share }
    }
}

impl ProviderState {
    fn report(&mut self, number: usize, extent: Extent, now: Now) -> Option<Report> {
        if self.accounts.is_empty() || self.sharing.is_none() {
            return None;
        }
        if extent == Extent::All {
            self.open_all(now);
        }
        self.name_all();
        let Self { sharing, buckets, provider, .. } = self;
        let sharing = sharing.as_mut()?;
        let ahead_ms = sharing.ahead_ms;
        let told =
            buckets.iter_mut().enumerate().filter(|(_, it)| extent == Extent::All || it.bucket.has_news());
        let buckets: Vec<BucketReport> =
            told.filter_map(|(number, it)| it.bucket.told(number, it.name.clone()?, ahead_ms, now)).collect();
        let rests = std::mem::take(&mut sharing.untold);
        let is_news = extent == Extent::All || !buckets.is_empty() || !rests.is_empty();
        is_news.then(|| Report {
            provider: number,
            name: provider.name(),
            heard: sharing.heard,
            rests,
            buckets,
            asked: now.tick,
        })
    }

    /// Others may have used what was not looked at here yet.
    fn open_all(&mut self, now: Now) {
        let models = self.stock.ranks.first().cloned().unwrap_or_default();
        for account in 0..self.accounts.len() {
            models.iter().for_each(|&model| self.open_buckets(account, model, now));
        }
    }

    /// Names the buckets that have none yet: a hash for each of some hundred takes too long for every exchange.
    fn name_all(&mut self) {
        for number in 0..self.buckets.len() {
            let nameless = self.buckets.get(number).filter(|it| it.name.is_none());
            let name = nameless.map(|it| self.shared_name(it));
            if let (Some(name), Some(bucket)) = (name, self.buckets.get_mut(number)) {
                bucket.name = Some(name);
            }
        }
    }

    /// The same everywhere, whatever the numbers are.
    fn shared_name(&self, shared: &SharedBucket) -> String {
        let measure = shared.bucket.measure();
        let account = |number: usize| self.accounts.get(number).map_or("", |it| it.shared_name.as_str());
        let (account, kind, of) = match shared.sharers {
            Sharers::Everybody => ("", "all", ""),
            Sharers::Account(number) => (account(number), "account", ""),
            Sharers::Group(number, name) => (account(number), "group", name),
            Sharers::AccountModel(number, model) => {
                (account(number), "model", self.id(model).map_or("", |id| &**id))
            }
        };
        let words = [self.provider.name(), account, kind, of, measure.unit.as_str(), measure.window.as_str()];
        hashed(&words)
    }

    fn apply(&mut self, report: &Report, answer: &Answer, now: Now) {
        let ahead_ms = answer.time_ms.saturating_sub(now.wall.as_millisecond());
        if let Some(sharing) = &mut self.sharing {
            sharing.heard = answer.latest_rest;
            sharing.ahead_ms = ahead_ms;
        }
        for (told, answer) in report.buckets.iter().zip(&answer.buckets) {
            if let Some(shared) = self.buckets.get_mut(told.number) {
                shared.bucket.apply(&told.share, answer, report.asked, now);
                answer.learnt.iter().for_each(|learnt| shared.bucket.learn(learnt, ahead_ms, now));
            }
        }
    }

    /// A place rests here: the others are told, unless it is this machine's own trouble.
    pub(super) fn tell_rest(&mut self, place: Place, cause: Cause, rest: Rest) {
        let Some(words) = self.words(place, cause, rest) else { return };
        if let Some(sharing) = self.sharing.as_mut().filter(|_| is_of_provider(cause)) {
            sharing.tell(RestReport { left: rest.left, words });
            sharing.bell.used.notify_one();
        }
    }

    fn words(&self, place: Place, cause: Cause, rest: Rest) -> Option<String> {
        let (account, model) = match place {
            Place::Provider(_) => (None, None),
            Place::Account(_, account) => (Some(account), None),
            Place::Model(_, model) => (None, Some(model)),
            Place::AccountModel(_, account, model) => (Some(account), Some(model)),
        };
        let account = account.map_or(Some(NONE), |it| Some(self.accounts.get(it)?.shared_name.as_str()))?;
        let model = model.map_or(Some(NONE), |it| self.id(it).map(|id| &**id))?;
        let effect = if rest.effect == Effect::Block { "block" } else { "demote" };
        let lifted_by = LIFTS.iter().find(|(lift, _)| *lift == rest.lifted_by)?.1;
        let certain = if rest.is_certain { "certain" } else { "guess" };
        Some(format!("{effect} {cause:?} {lifted_by} {certain} {account} {model}"))
    }

    /// Another instance has told that a place rests. What this version does not know is left out.
    fn rest(&mut self, number: usize, left: Option<Duration>, words: &str, latest: u64, now: Moment) {
        let Some((place, cause, rest)) = self.heard_rest(number, left, words) else { return };
        let cooldowns = match place {
            Place::Provider(_) => Some(&mut self.cooldowns),
            Place::Account(_, account) => self.accounts.get_mut(account).map(|it| &mut it.cooldowns),
            Place::Model(_, model) => self.models.get_mut(model).map(|it| &mut it.cooldowns),
            Place::AccountModel(_, account, model) => {
                self.account_model_mut(account, model).map(|it| &mut it.cooldowns)
            }
        };
        cooldowns.into_iter().for_each(|it| it.adopt(cause, rest, latest, now));
    }

    fn heard_rest(&self, number: usize, left: Option<Duration>, words: &str) -> Option<(Place, Cause, Rest)> {
        let mut words = words.splitn(6, ' ');
        let effect = if words.next()? == "block" { Effect::Block } else { Effect::Demote };
        let name = words.next()?;
        let cause = *Cause::ALL.iter().find(|it| format!("{it:?}") == name)?;
        let lift = words.next()?;
        let lifted_by = LIFTS.iter().find(|(_, word)| *word == lift)?.0;
        let is_certain = words.next()? == "certain";
        let (account, model) = (words.next()?, words.next()?);
        let account = match account {
            NONE => None,
            name => Some(self.accounts.iter().position(|it| it.shared_name == name)?),
        };
        let model = if model == NONE { None } else { Some(self.catalogue.find(model)?) };
        let place = match (account, model) {
            (None, None) => Place::Provider(number),
            (Some(account), None) => Place::Account(number, account),
            (None, Some(model)) => Place::Model(number, model),
            (Some(account), Some(model)) => Place::AccountModel(number, account, model),
        };
        // A list that has the model is later news than an answer of yesterday.
        let is_listed = |model| {
            let mut accounts = account.map_or(0..self.accounts.len(), |it| it..it + 1);
            accounts.any(|account| self.stock.lists(account, model) == Some(true))
        };
        let says_gone = matches!(cause, Cause::ModelGone | Cause::ModelNotForAccount);
        if says_gone && model.is_some_and(is_listed) {
            return None;
        }
        Some((place, cause, Rest { effect, lifted_by, left, is_certain }))
    }
}

impl Bucket {
    fn told(&mut self, number: usize, name: String, ahead_ms: i64, now: Now) -> Option<BucketReport> {
        let (kind, period_end_ms) = match self.used() {
            Used::Sliding(_) => (Kind::Sliding, 0),
            Used::Refill { .. } => (Kind::Refill, 0),
            Used::Period { window, zone, .. } => (Kind::Period, period_end_ms(*window, *zone, ahead_ms, now)),
            Used::AtOnce(_) => (Kind::AtOnce, 0),
        };
        let window = self.measure().window.length();
        let (limit, learnt, share) = (self.most(), self.learnt(ahead_ms, now), self.report(now)?);
        Some(BucketReport { number, name, kind, window, period_end_ms, limit, learnt, share })
    }
}

/// When the calendar's period ends, by the server's clock.
fn period_end_ms(window: Window, zone: Option<Zone>, ahead_ms: i64, now: Now) -> i64 {
    let there = jiff::Timestamp::from_millisecond(now.wall.as_millisecond().saturating_add(ahead_ms));
    let there = there.unwrap_or(now.wall);
    match zone {
        Some(zone) => zone.end(window, there).as_millisecond(),
        None => {
            let length = i64::try_from(window.length().as_millis()).unwrap_or(i64::MAX);
            there.as_millisecond().saturating_add(length)
        }
    }
}

/// The words for what ends a rest.
const LIFTS: [(Lift, &str); 4] =
    [(Lift::Time, "time"), (Lift::Head, "head"), (Lift::FirstEvent, "first_event"), (Lift::List, "list")];

/// Whether others would meet the same.
fn is_of_provider(cause: Cause) -> bool {
    !matches!(
        cause,
        Cause::Unreachable
            | Cause::ConnectTimeout
            | Cause::OutOfTime
            | Cause::OutOfDescriptors
            | Cause::Intercepted
            | Cause::BrokenStream
    )
}

/// A name for these words from which they cannot be had.
fn hashed(words: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for word in words {
        context.update(&(word.len() as u64).to_le_bytes());
        context.update(word.as_bytes());
    }
    let digest = context.finish();
    let mut name = String::with_capacity(2 * NAME_BYTES);
    for byte in digest.as_ref().iter().take(NAME_BYTES) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}
