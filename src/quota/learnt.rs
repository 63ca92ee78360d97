//! A limit that a provider has told to one instance, or that its calls have shown, as the others are told of it.

use std::time::Duration;

use jiff::Timestamp;

use super::bucket::Bucket;
use super::ticks::Now;
use crate::middle::Source;

/// Until something else is told.
const FOR_EVER: i64 = -1;

/// What was learnt of a limit. Times are in milliseconds since 1970 by the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Learnt {
    /// The limit.
    pub(crate) most: u64,
    /// How it is known: never from documents or settings, which every instance has itself.
    pub(crate) source: Source,
    /// When it was learnt.
    pub(crate) as_of_ms: i64,
    /// Until when it is more than a guess; -1 until something else is told.
    pub(crate) certain_until_ms: i64,
}

impl Learnt {
    /// Whether the provider has stated it. That counts more than what was inferred, whatever is younger.
    pub(crate) fn is_stated(&self) -> bool {
        self.source > Source::Observed
    }

    /// What is kept besides the time, in words.
    pub(crate) fn words(&self) -> String {
        format!("{} {} {}", self.most, self.source.as_str(), self.certain_until_ms)
    }

    /// Reads `stated time words`; `None` if that is something else, or says nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').skip(1);
        let as_of_ms = words.next()?.parse().ok()?;
        let most = words.next()?.parse().ok().filter(|most| *most > 0)?;
        let source = words.next()?;
        let source = *LEARNT_SOURCES.iter().find(|it| it.as_str() == source)?;
        Some(Self { most, source, as_of_ms, certain_until_ms: words.next()?.parse().ok()? })
    }
}

const LEARNT_SOURCES: [Source; 3] = [Source::Observed, Source::ErrorBody, Source::Header];

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
