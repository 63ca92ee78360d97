//! What a bucket tells of what was learnt of its limit, and what it takes from others.

use std::time::Duration;

use jiff::Timestamp;

use super::bucket::Bucket;
use super::learnt::{FOR_EVER, LEARNT_SOURCES, Learnt};
use super::ticks::Now;
use crate::middle::Source;

impl Bucket {
    /// What this instance has learnt of it; `ahead_ms` says how far the server's clock is ahead.
    pub(super) fn learnt(&self, ahead_ms: i64, now: Now) -> Option<Learnt> {
        let (most, as_of) = (self.most()?, self.as_of()?);
        let source = Some(self.source()).filter(|source| LEARNT_SOURCES.contains(source))?;
        let there = now.wall.as_millisecond().saturating_add(ahead_ms);
        let certain_until_ms = match self.certain_until() {
            Some(Duration::MAX) => FOR_EVER,
            Some(until) => there.saturating_add(milliseconds(until.saturating_sub(now.tick))),
            None => 0,
        };
        let as_of_ms = as_of.as_millisecond().saturating_add(ahead_ms);
        Some(Learnt { most, source, as_of_ms, certain_until_ms })
    }

    /// Another instance has learnt something. It counts as if it had been learnt here, at that time.
    pub(super) fn learn(&mut self, learnt: &Learnt, ahead_ms: i64, now: Now) {
        let own = self.learnt(ahead_ms, now);
        let is_stated_here = self.source() > Source::Observed;
        let is_news = match own {
            Some(own) => (own.is_stated(), own.as_of_ms) < (learnt.is_stated(), learnt.as_of_ms),
            None => learnt.is_stated() || !is_stated_here,
        };
        let as_of = Timestamp::from_millisecond(learnt.as_of_ms.saturating_sub(ahead_ms));
        let Some(as_of) = as_of.ok().filter(|_| is_news) else { return };
        let there = now.wall.as_millisecond().saturating_add(ahead_ms);
        let left = u64::try_from(learnt.certain_until_ms.saturating_sub(there)).unwrap_or_default();
        let certain_until = match learnt.certain_until_ms {
            FOR_EVER => Some(Duration::MAX),
            _ if left > 0 => Some(now.tick.saturating_add(Duration::from_millis(left))),
            _ => None,
        };
        self.set_limit(learnt.most, learnt.source, as_of.min(now.wall), certain_until);
    }
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
