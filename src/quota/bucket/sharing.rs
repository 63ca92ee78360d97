//! A limit that several instances use together: what it tells the others, and what it takes from them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Bucket;
use crate::middle::{MOST_COUNTED, Source, Unit};
use crate::quota::learnt::{FOR_EVER, LEARNT_SOURCES, Learnt};
use crate::quota::share::{Bell, Change, Share, ShareAnswer, ShareReport};
use crate::quota::ticks::Now;
use crate::quota::used::Used;

/// Until there is a request, one is taken for this part of a limit of tokens.
const FIRST_PART: u64 = 16;

impl Bucket {
    /// The same for other instances: of what was reserved, so much was used at least, or in fact if the rest is given back.
    pub(in crate::quota) fn settle_share(&mut self, amounts: (u64, u64, u64), sent: Duration, now: Now) {
        let most = self.most.unwrap_or(u64::MAX);
        self.share.iter_mut().for_each(|share| share.settle(amounts, sent, most, now));
    }

    /// From now on it is used together with others.
    pub(in crate::quota) fn join(&mut self, bell: &Arc<Bell>, now: Now) {
        if self.share.is_none() {
            let mut window = self.used.clone();
            window.set(0, None, self.most.unwrap_or(u64::MAX), now);
            let first = match self.measure.unit {
                Unit::Requests => 1,
                Unit::Tokens | Unit::Neurons => self.most.unwrap_or_default() / FIRST_PART,
            };
            self.share = Some(Box::new(Share::new(bell.clone(), window, first, now)));
        }
    }

    /// Whether there is something to tell the others.
    pub(in crate::quota) fn has_news(&self) -> bool {
        self.share.as_ref().is_some_and(|share| share.has_news(self.gives_back == Some(true)))
    }

    /// What to tell the others; `None` if there are none.
    pub(in crate::quota) fn report(&mut self, now: Now) -> Option<ShareReport> {
        let most = self.most.unwrap_or(MOST_COUNTED);
        Some(self.share.as_mut()?.report(self.gives_back, most, now))
    }

    /// Takes in what the others have used, and what may be used here.
    pub(in crate::quota) fn apply(
        &mut self,
        report: &ShareReport,
        answer: &ShareAnswer,
        asked: Duration,
        now: Now,
    ) {
        let most = self.most.unwrap_or(u64::MAX);
        let known = self.used_by_belief().amount(most, now);
        self.learn_from(answer.gives_back);
        let Some(share) = self.share.as_mut() else { return };
        let change = share.apply(report, answer, known, asked, now);
        for used in [Some(&mut self.used), self.used_if_given_back.as_mut()].into_iter().flatten() {
            match &change {
                Change::Others(amount) => used.add_of_others(*amount, most, now),
                Change::Joined { others, slots } => used.add_past(*others, slots, most, now),
            }
        }
    }

    /// Nobody tells what the others do: what they have under way is not known any more.
    pub(in crate::quota) fn cut_off(&mut self, now: Now) {
        if self.counts_calls_at_once()
            && let Some(share) = self.share.as_mut()
        {
            let others = share.forget_others_under_way();
            self.used.add_of_others(others.saturating_neg(), u64::MAX, now);
        }
    }

    /// How the window is renewed, for those who count it together.
    pub(in crate::quota) fn used(&self) -> &Used {
        &self.used
    }

    /// What this instance has learnt of it; `ahead_ms` says how far the server's clock is ahead.
    pub(in crate::quota) fn learnt(&self, ahead_ms: i64, now: Now) -> Option<Learnt> {
        let (most, as_of) = (self.most?, self.as_of?);
        let source = Some(self.source).filter(|source| LEARNT_SOURCES.contains(source))?;
        let there = now.wall.as_millisecond().saturating_add(ahead_ms);
        let certain_until_ms = match self.certain_until {
            Some(Duration::MAX) => FOR_EVER,
            Some(until) => there.saturating_add(milliseconds(until.saturating_sub(now.tick))),
            None => 0,
        };
        let as_of_ms = as_of.as_millisecond().saturating_add(ahead_ms);
        Some(Learnt { most, source, as_of_ms, certain_until_ms })
    }

    /// Another instance has learnt something. It counts as if it had been learnt here, at that time.
    pub(in crate::quota) fn learn(&mut self, learnt: &Learnt, ahead_ms: i64, now: Now) {
        let own = self.learnt(ahead_ms, now);
        let is_stated_here = self.source > Source::Observed;
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
        (self.most, self.source, self.as_of) = (Some(learnt.most), learnt.source, Some(as_of.min(now.wall)));
        self.certain_until = certain_until;
    }
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
