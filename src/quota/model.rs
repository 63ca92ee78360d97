//! What the script on the server does, in Rust, so that many instances can run on a virtual clock. `share` holds the script to
//! it: the same reports, the same answers.

use std::collections::{BTreeMap, HashMap};

use crate::middle::MOST_COUNTED;
use crate::quota::exchange::{Answer, BucketReport, Kind, Report};
use crate::quota::learnt::Learnt;
use crate::quota::share::{ShareAnswer, ShareReport};

/// As on the server: a lease holds for so long there, a window has so many slots, and so many dead are buried at once.
const LEASE_LIFE: i64 = 10_000;
const SLOTS: i64 = 128;
const SHORT: i64 = 2_000;
const MOST_BURIED: usize = 32;

/// The server. Rests are not in it.
#[derive(Default)]
pub(crate) struct ServerModel {
    pub(in crate::quota) buckets: HashMap<String, BucketModel>,
    pub(in crate::quota) exchanges: u64,
    pub(in crate::quota) told_buckets: u64,
}

/// A bucket of the server.
#[derive(Default)]
pub(in crate::quota) struct BucketModel {
    epoch: String,
    ever: i64,
    used: f64,
    /// Since when that is so: a slot, the end of the calendar's period, or a time.
    at: i64,
    slots: BTreeMap<i64, i64>,
    held: BTreeMap<String, Held>,
    learnt: Option<Learnt>,
    gives_back: Option<bool>,
    /// Until when leases are for those who wait.
    short: i64,
}

/// What an instance has told and holds, and until when.
#[derive(Clone, Copy)]
struct Held {
    own: i64,
    lease: i64,
    until: i64,
}

impl ServerModel {
    /// What the server answers at this time, in milliseconds since 1970.
    pub(crate) fn exchange(&mut self, instance: &str, report: &Report, now: i64) -> Answer {
        self.exchanges += 1;
        self.told_buckets += report.buckets.len() as u64;
        let buckets = report.buckets.iter().map(|told| {
            let bucket = self.buckets.entry(told.name.clone()).or_default();
            if bucket.epoch.is_empty() {
                bucket.epoch = format!("{now}-{instance}");
            }
            bucket.exchange(instance, told, now)
        });
        Answer { time_ms: now, buckets: buckets.collect(), ..Answer::default() }
    }
}

impl BucketModel {
    fn exchange(&mut self, instance: &str, told: &BucketReport, now: i64) -> ShareAnswer {
        let limit = self.learn(told, now);
        self.roll(told, limit, now);
        self.bury(told.kind, now);
        let share = &told.share;
        self.gives_back = share.gives_back.or(self.gives_back);
        let is_known = self.epoch == share.epoch;
        let change = match self.held.remove(instance) {
            Some(before) => share.own - before.own,
            None if told.kind == Kind::AtOnce => share.own,
            None if is_known => share.own - share.acknowledged,
            None => share.window as i64,
        };
        self.count(told.kind, change);
        self.ever += change;
        let instances = self.held.len() as i64 + 1;
        let (lease, left) = self.grant(told, limit, instances, now);
        let held = Held { own: share.own, lease, until: now + LEASE_LIFE };
        self.held.insert(instance.to_owned(), held);
        let is_joining = told.kind == Kind::Sliding && !is_known;
        let used = self.used.ceil() as u64;
        // It is kept with three decimals.
        self.used = format!("{:.3}", self.used).parse().unwrap();
        ShareAnswer {
            epoch: self.epoch.clone(),
            ever: self.ever,
            used,
            lease: lease as u64,
            instances: instances as u64,
            left: left as u64,
            slots: if is_joining { self.aged_slots(told, now) } else { Vec::new() },
            learnt: self.learnt,
            gives_back: self.gives_back,
        }
    }

    /// What was stated counts more than what was inferred, then the younger counts.
    fn learn(&mut self, told: &BucketReport, now: i64) -> Option<i64> {
        let rank = |it: &Learnt| (it.is_stated(), it.as_of_ms.min(now));
        let limit = told.limit.map(|limit| limit.min(MOST_COUNTED) as i64);
        match (told.learnt, self.learnt) {
            (Some(own), latest) if latest.is_none_or(|latest| rank(&own) >= rank(&latest)) => {
                let most = own.most.min(MOST_COUNTED);
                self.learnt = Some(Learnt { most, as_of_ms: own.as_of_ms.min(now), ..own });
                limit
            }
            (own, Some(latest)) if own.is_some() || latest.is_stated() => Some(latest.most as i64),
            _ => limit,
        }
    }

    /// What no longer counts is subtracted.
    fn roll(&mut self, told: &BucketReport, limit: Option<i64>, now: i64) {
        let window = told.window.as_millis() as i64;
        match told.kind {
            Kind::Sliding => {
                self.at = self.at.max(now * SLOTS / window);
                let first = self.at - SLOTS;
                self.slots.retain(|number, _| *number >= first);
                self.used = self.slots.values().sum::<i64>() as f64;
            }
            Kind::Refill => {
                let span = (now - self.at).max(0) as f64;
                let back = limit.filter(|it| *it > 0).map_or(0.0, |it| it as f64 * span / window as f64);
                self.used = (self.used - back).max(0.0);
                self.at = self.at.max(now);
            }
            Kind::Period if now >= self.at => {
                (self.used, self.at) = (0.0, told.period_end_ms.max(now + 1_000))
            }
            Kind::Period | Kind::AtOnce => {}
        }
    }

    /// Instances that have not been heard of for a while hold nothing any more.
    fn bury(&mut self, kind: Kind, now: i64) {
        let mut dead: Vec<(i64, String)> = self
            .held
            .iter()
            .filter(|(_, it)| it.until <= now)
            .map(|(name, it)| (it.until, name.clone()))
            .collect();
        dead.sort();
        for (_, name) in dead.iter().take(MOST_BURIED) {
            let own = self.held.remove(name).map_or(0, |it| it.own);
            if kind == Kind::AtOnce {
                self.used = (self.used - own as f64).max(0.0);
                self.ever -= own;
            }
        }
    }

    fn count(&mut self, kind: Kind, change: i64) {
        if kind != Kind::Sliding {
            self.used = (self.used + change as f64).max(0.0);
        } else if change > 0 {
            *self.slots.entry(self.at).or_default() += change;
        } else {
            let mut rest = -change;
            for amount in self.slots.values_mut().rev() {
                let taken = rest.min(*amount);
                *amount -= taken;
                rest -= taken;
            }
            self.slots.retain(|_, amount| *amount > 0);
        }
        if kind == Kind::Sliding {
            self.used = self.slots.values().sum::<i64>() as f64;
        }
    }

    /// The lease, and what is left besides.
    fn grant(&mut self, told: &BucketReport, limit: Option<i64>, instances: i64, now: i64) -> (i64, i64) {
        let ShareReport { wanted, waited_for, smallest, .. } = told.share;
        let (wanted, waited_for, smallest) = (wanted as i64, waited_for as i64, smallest as i64);
        let Some(limit) = limit else { return (wanted, 0) };
        let leased: i64 = self.held.values().map(|it| it.lease).sum();
        let left = ((limit - leased) as f64 - self.used).floor().max(0.0) as i64;
        let fair = if instances > 1 { (left + 1) / 2 } else { left };
        let is_short = now < self.short;
        let lease = match if is_short { waited_for } else { wanted } {
            0 if is_short => 0,
            0 => Some(left / (2 * instances)).filter(|it| *it >= smallest).unwrap_or_default(),
            asked if asked.min(fair) >= smallest => asked.min(fair),
            _ if left >= smallest => smallest,
            _ => 0,
        };
        if waited_for > 0 && lease == 0 {
            self.short = now + SHORT;
        }
        (lease, left - lease)
    }

    fn aged_slots(&self, told: &BucketReport, now: i64) -> Vec<(u64, u64)> {
        let length = told.window.as_millis() as f64 / SLOTS as f64;
        let age = |number: i64| (now as f64 - (number + 1) as f64 * length).floor().max(0.0);
        self.slots.iter().map(|(&number, &amount)| (age(number) as u64, amount as u64)).collect()
    }
}
