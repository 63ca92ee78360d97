//! What is used of one window, and when it comes back: the arithmetic of the three ways in which quota is renewed.
//! Pure: the time is an argument, and no limit is known here.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::ticks::Now;
use crate::middle::{Renewal, Window, Zone};

/// The most uses of a sliding window that are kept apart. Beyond that, neighbours within a small part of the window are
/// counted as one, from the later one on.
const MOST_ENTRIES: usize = 512;
/// More than so many whole limits are never owed to a limit that comes back continuously.
const MOST_WINDOWS: f64 = 4.0;
/// How many parts a window has for that.
const PARTS: u32 = 256;
/// What no longer counts is remembered for so long: a refusal that arrives may speak of a moment when it did.
const LINGER: Duration = Duration::from_secs(5);

/// What is used of a window.
#[derive(Clone, Debug)]
pub(super) enum Used {
    /// Each use counts for `length`.
    Sliding { length: Duration, uses: VecDeque<Use> },
    /// It runs off continuously: a whole limit in `length`.
    Refill { length: Duration, level: f64, as_of: Duration },
    /// It counts until the period ends.
    Period { window: Window, zone: Option<Zone>, used: u64, end: Option<End> },
    /// It counts until it is given back.
    AtOnce(u64),
}

/// One use of a sliding window, or several that are counted as one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    at: Duration,
    amount: u64,
}

/// When something ends: when either clock says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) wall: Timestamp,
    tick: Duration,
}

impl End {
    pub(super) fn at(wall: Timestamp, now: Now) -> Self {
        let left = Duration::try_from(wall.duration_since(now.wall)).unwrap_or_default();
        Self { wall, tick: now.tick.saturating_add(left) }
    }

    /// How long it is until then.
    pub(super) fn left(self, now: Now) -> Duration {
        let by_wall = Duration::try_from(self.wall.duration_since(now.wall)).unwrap_or_default();
        by_wall.min(self.tick.saturating_sub(now.tick))
    }
}

impl Used {
    /// Nothing, of a window that is renewed in this way.
    pub(super) fn nothing(window: Window, renewal: Renewal, now: Now) -> Self {
        let length = window.length();
        match renewal {
            _ if window == Window::AtOnce => Self::AtOnce(0),
            Renewal::Sliding => Self::Sliding { length, uses: VecDeque::new() },
            Renewal::Refill => Self::Refill { length, level: 0.0, as_of: now.tick },
            Renewal::Calendar(zone) => Self::Period { window, zone: Some(zone), used: 0, end: None },
        }
    }

    /// How much counts now, of a limit of `most`.
    pub(super) fn amount(&self, most: u64, now: Now) -> u64 {
        match self {
            Self::Sliding { length, uses } => uses
                .iter()
                .filter(|it| counts(it, *length, now))
                .map(|it| it.amount)
                .fold(0, u64::saturating_add),
            Self::Refill { .. } => self.level(most, now).ceil() as u64,
            Self::Period { used, end, .. } => {
                if end.is_some_and(|end| end.left(now).is_zero()) {
                    0
                } else {
                    *used
                }
            }
            Self::AtOnce(used) => *used,
        }
    }

    /// How much counted at an earlier moment, as far as that is still known.
    pub(super) fn amount_at(&self, at: Duration, most: u64, now: Now) -> u64 {
        match self {
            Self::Sliding { length, uses } => {
                let counted = |it: &&Use| it.at <= at && at < it.at.saturating_add(*length);
                uses.iter().filter(counted).map(|it| it.amount).fold(0, u64::saturating_add)
            }
            _ => self.amount(most, now),
        }
    }

    /// Counts a use.
    pub(super) fn add(&mut self, amount: u64, most: u64, now: Now) {
        self.roll(most, now);
        match self {
            Self::Sliding { length, uses } => {
                uses.push_back(Use { at: now.tick, amount });
                if uses.len() > MOST_ENTRIES {
                    merge(uses, *length, now);
                }
            }
            // However much is reported at once, it is back after some windows.
            Self::Refill { level, .. } => *level = (*level + amount as f64).min(MOST_WINDOWS * most as f64),
            Self::Period { used, .. } | Self::AtOnce(used) => *used = used.saturating_add(amount),
        }
    }

    /// Takes back `amount` of what was used at `at`, as far as it still counts.
    pub(super) fn take_back(&mut self, amount: u64, at: Duration, most: u64, now: Now) {
        self.roll(most, now);
        match self {
            // What no longer counts cannot be taken back from others.
            Self::Sliding { length, uses } if now.tick >= at.saturating_add(*length) => {
                let own = uses.iter_mut().find(|it| it.at == at);
                own.into_iter().for_each(|own| own.amount = own.amount.saturating_sub(amount));
            }
            Self::Sliding { uses, .. } => {
                // A merged use stands at a later time.
                let mut rest = amount;
                for entry in uses.iter_mut().filter(|it| it.at >= at) {
                    let part = rest.min(entry.amount);
                    entry.amount -= part;
                    rest -= part;
                    if rest == 0 {
                        break;
                    }
                }
            }
            Self::Refill { level, .. } => *level = (*level - amount as f64).max(0.0),
            Self::Period { used, .. } | Self::AtOnce(used) => *used = used.saturating_sub(amount),
        }
    }

    /// Sets how much counts now. `reset`, if the provider states it, is when all of it is back.
    pub(super) fn set(&mut self, amount: u64, reset: Option<Timestamp>, most: u64, now: Now) {
        self.roll(most, now);
        let counted = self.amount(most, now);
        match self {
            Self::Sliding { length, uses } => {
                if amount > counted {
                    let left = reset.map(|reset| End::at(reset, now).left(now).min(*length));
                    let age = length.saturating_sub(left.unwrap_or(*length));
                    insert(uses, Use { at: now.tick.saturating_sub(age), amount: amount - counted });
                } else {
                    forget_oldest(uses, counted - amount, *length, now);
                }
            }
            Self::Refill { level, .. } => *level = amount as f64,
            Self::Period { used, end, .. } => {
                *used = amount;
                if let Some(reset) = reset {
                    *end = Some(End::at(reset, now));
                }
            }
            Self::AtOnce(used) => *used = amount,
        }
    }

    /// How long it is until at most `room` counts, of a limit of `most`, if nothing else is used meanwhile. `None` if that
    /// depends on calls that are under way.
    pub(super) fn time_until(&self, room: u64, most: u64, now: Now) -> Option<Duration> {
        let excess = self.amount(most, now).saturating_sub(room);
        if excess == 0 {
            return Some(Duration::ZERO);
        }
        match self {
            Self::Sliding { length, uses } => {
                let mut rest = excess;
                for entry in uses.iter().filter(|it| counts(it, *length, now)) {
                    rest = rest.saturating_sub(entry.amount);
                    if rest == 0 {
                        return Some((entry.at + *length).saturating_sub(now.tick));
                    }
                }
                Some(*length)
            }
            Self::Refill { length, .. } => {
                let excess = (self.level(most, now) - room as f64).max(0.0);
                Some(length.mul_f64((excess / most.max(1) as f64).min(1e6)))
            }
            Self::Period { window, zone, end, .. } => {
                let stated = end.map(|end| end.left(now));
                Some(stated.unwrap_or_else(|| period_left(*window, *zone, now)))
            }
            Self::AtOnce(_) => None,
        }
    }

    /// When all of it is back, if that is known.
    pub(super) fn whole_after(&self, most: u64, now: Now) -> Option<Duration> {
        match self {
            Self::Period { window, zone, end, .. } => {
                let left = end.map(|end| end.left(now)).filter(|left| !left.is_zero());
                left.or_else(|| zone.map(|_| period_left(*window, *zone, now)))
            }
            _ => self.time_until(0, most, now).filter(|left| !left.is_zero()),
        }
    }

    /// Which part of a calendar's window has gone by; `None` for other windows.
    pub(super) fn gone_by(&self, now: Now) -> Option<f64> {
        let Self::Period { window, zone, end, .. } = self else { return None };
        let left = end.map(|end| end.left(now)).filter(|left| !left.is_zero());
        let left = left.unwrap_or_else(|| period_left(*window, *zone, now));
        Some(1.0 - left.as_secs_f64() / window.length().as_secs_f64().max(1.0))
    }

    fn level(&self, most: u64, now: Now) -> f64 {
        let Self::Refill { length, level, as_of } = self else { return 0.0 };
        let gone = now.tick.saturating_sub(*as_of).as_secs_f64() / length.as_secs_f64().max(1e-3);
        (level - gone * most as f64).max(0.0)
    }

    /// Forgets what no longer counts.
    fn roll(&mut self, most: u64, now: Now) {
        let level_now = self.level(most, now);
        match self {
            Self::Sliding { length, uses } => {
                let is_past = |it: &Use| it.at.saturating_add(*length).saturating_add(LINGER) <= now.tick;
                while uses.front().is_some_and(|it| it.amount == 0 || is_past(it)) {
                    uses.pop_front();
                }
            }
            Self::Refill { level, as_of, .. } => (*level, *as_of) = (level_now, now.tick),
            Self::Period { window, zone, used, end } => {
                if end.is_none_or(|end| end.left(now).is_zero()) {
                    *used = 0;
                    *end = Some(End::at(now.after(period_left(*window, *zone, now)), now));
                }
            }
            Self::AtOnce(_) => {}
        }
    }
}

fn counts(it: &Use, length: Duration, now: Now) -> bool {
    now.tick < it.at.saturating_add(length)
}

/// Neighbours within a small part of the window become one, which counts from the later one on.
fn merge(uses: &mut VecDeque<Use>, length: Duration, now: Now) {
    let part = length / PARTS;
    let mut merged: VecDeque<Use> = VecDeque::with_capacity(MOST_ENTRIES);
    let mut begun = Duration::ZERO;
    for it in uses.drain(..) {
        match merged.back_mut() {
            Some(last)
                if it.at.saturating_sub(begun) < part
                    && counts(last, length, now) == counts(&it, length, now) =>
            {
                *last = Use { at: it.at, amount: last.amount.saturating_add(it.amount) };
            }
            _ => {
                begun = it.at;
                merged.push_back(it);
            }
        }
    }
    *uses = merged;
}

fn insert(uses: &mut VecDeque<Use>, new: Use) {
    let position = uses.partition_point(|it| it.at <= new.at);
    uses.insert(position, new);
}

fn forget_oldest(uses: &mut VecDeque<Use>, amount: u64, length: Duration, now: Now) {
    let mut rest = amount;
    for entry in uses.iter_mut().filter(|it| counts(it, length, now)) {
        let part = rest.min(entry.amount);
        entry.amount -= part;
        rest -= part;
    }
    uses.retain(|it| it.amount > 0);
}

/// How long the current period lasts; without a calendar, from now on for the length of its window.
fn period_left(window: Window, zone: Option<Zone>, now: Now) -> Duration {
    let by_calendar =
        |zone: Zone| Duration::try_from(zone.end(window, now.wall).duration_since(now.wall)).ok();
    zone.and_then(by_calendar).unwrap_or_else(|| window.length())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(milliseconds: u64) -> Now {
        let tick = Duration::from_millis(milliseconds);
        Now { wall: Timestamp::UNIX_EPOCH + tick, tick }
    }

    fn uses(all: &[(u64, u64)]) -> VecDeque<Use> {
        all.iter().map(|&(when, amount)| Use { at: at(when).tick, amount }).collect()
    }

    /// What no longer counts is remembered for a moment; it must not count again because it lies beside what does.
    #[test]
    fn a_use_that_is_over_is_not_merged_into_one_that_counts() {
        let mut used = uses(&[(0, 7), (100, 5), (200, 3)]);
        merge(&mut used, MINUTE, at(60_050));
        let used = Used::Sliding { length: MINUTE, uses: used };
        assert_eq!(used.amount(100, at(60_050)), 8);
    }

    /// The refusal of a call arrives when its use is over: what was there besides it is what counted then.
    #[test]
    fn a_refused_call_does_not_count_itself() {
        let mut used = Used::Sliding { length: MINUTE, uses: uses(&[(0, 4), (1_000, 2)]) };
        used.take_back(2, at(1_000).tick, 100, at(61_500));
        assert_eq!(used.amount_at(at(1_000).tick, 100, at(61_500)), 4);
    }

    /// A refusal speaks of the moment of its call, a little ago.
    #[test]
    fn what_has_just_run_off_is_still_known() {
        let mut used = Used::Sliding { length: MINUTE, uses: uses(&[(0, 4)]) };
        used.add(1, 100, at(60_100));
        assert_eq!((used.amount(100, at(60_100)), used.amount_at(at(59_900).tick, 100, at(60_100))), (1, 4));
    }
}
