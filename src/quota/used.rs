//! What is used of one window, and when it comes back: the arithmetic of the three ways in which quota is renewed.
//! Pure: the time is an argument, and no limit is known here.

use std::time::Duration;

use jiff::Timestamp;

use super::sliding::Sliding;
use super::ticks::Now;
use crate::middle::{Renewal, Window, Zone};

/// More than so many whole limits are never owed to a limit that comes back continuously.
const MOST_WINDOWS: f64 = 4.0;

/// Few answers take longer.
const LONG_ANSWER: Duration = Duration::from_secs(30);

/// What is used of a window.
#[derive(Clone, Debug)]
pub(super) enum Used {
    /// Each use counts for the length of the window.
    Sliding(Sliding),
    /// It runs off continuously: a whole limit in `length`.
    Refill { length: Duration, level: f64, as_of: Duration },
    /// It counts until the period ends.
    Period { window: Window, zone: Option<Zone>, used: u64, end: Option<End> },
    /// It counts until it is given back.
    AtOnce(u64),
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
            Renewal::Sliding => Self::Sliding(Sliding::new(length)),
            Renewal::Refill => Self::Refill { length, level: 0.0, as_of: now.tick },
            Renewal::Calendar(zone) => Self::Period { window, zone: Some(zone), used: 0, end: None },
        }
    }

    /// How much counts now, of a limit of `most`.
    pub(super) fn amount(&self, most: u64, now: Now) -> u64 {
        match self {
            Self::Sliding(uses) => uses.amount(now.tick),
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
            Self::Sliding(uses) => uses.amount_at(at),
            _ => self.amount(most, now),
        }
    }

    /// Counts a use.
    pub(super) fn add(&mut self, amount: u64, most: u64, now: Now) {
        self.roll(most, now);
        match self {
            Self::Sliding(uses) => uses.add(amount, now.tick, now.tick),
            // However much is reported at once, it is back after some windows.
            Self::Refill { level, .. } => *level = (*level + amount as f64).min(MOST_WINDOWS * most as f64),
            Self::Period { used, .. } | Self::AtOnce(used) => *used = used.saturating_add(amount),
        }
    }

    /// Counts what others have used lately, or takes back what they have taken back.
    pub(super) fn add_of_others(&mut self, amount: i64, most: u64, now: Now) {
        let size = amount.unsigned_abs();
        if amount >= 0 {
            self.add(size, most, now);
        } else {
            // Which use it was is not told; what is taken back is seldom older than a long answer.
            self.take_back(size, now.tick.saturating_sub(LONG_ANSWER), most, now);
        }
    }

    /// Counts `amount` that others have used before, in these uses: how many milliseconds ago, and how much.
    pub(super) fn add_past(&mut self, amount: u64, uses: &[(u64, u64)], most: u64, now: Now) {
        let Self::Sliding(sliding) = self else { return self.add(amount, most, now) };
        // If it is less than all of them, nobody knows which are meant; the latest count longest.
        let mut rest = amount;
        for &(age, used) in uses.iter().rev() {
            let used = used.min(rest);
            let at = now.tick.saturating_sub(Duration::from_millis(age));
            sliding.add(used, at, now.tick);
            rest -= used;
        }
        self.add(rest, most, now);
    }

    /// Takes back `amount` of what was used at `at`, as far as it still counts.
    pub(super) fn take_back(&mut self, amount: u64, at: Duration, most: u64, now: Now) {
        self.roll(most, now);
        match self {
            Self::Sliding(uses) => uses.take_back(amount, at, now.tick),
            Self::Refill { level, .. } => *level = (*level - amount as f64).max(0.0),
            Self::Period { used, .. } | Self::AtOnce(used) => *used = used.saturating_sub(amount),
        }
    }

    /// Sets how much counts now. `reset`, if the provider states it, is when all of it is back.
    pub(super) fn set(&mut self, amount: u64, reset: Option<Timestamp>, most: u64, now: Now) {
        self.roll(most, now);
        let counted = self.amount(most, now);
        match self {
            Self::Sliding(uses) if amount > counted => {
                let left = reset.map_or(Duration::MAX, |reset| End::at(reset, now).left(now));
                uses.add_ending_in(left, amount - counted, now.tick);
            }
            Self::Sliding(uses) => uses.forget_oldest(counted - amount, now.tick),
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
            Self::Sliding(uses) => Some(uses.time_until_gone(excess, now.tick)),
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
            Self::Sliding(uses) => uses.forget_past(now.tick),
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

    fn sliding(all: &[(u64, u64)]) -> Used {
        let mut uses = Sliding::new(MINUTE);
        all.iter().for_each(|&(when, amount)| uses.add(amount, at(when).tick, at(when).tick));
        Used::Sliding(uses)
    }

    /// The refusal of a call arrives when its use is over: what was there besides it is what counted then.
    #[test]
    fn a_refused_call_does_not_count_itself() {
        let mut used = sliding(&[(0, 4), (1_000, 2)]);
        used.take_back(2, at(1_000).tick, 100, at(61_500));
        assert_eq!(used.amount_at(at(1_000).tick, 100, at(61_500)), 4);
    }

    /// A refusal speaks of the moment of its call, a little ago.
    #[test]
    fn what_has_just_run_off_is_still_known() {
        let mut used = sliding(&[(0, 4)]);
        used.add(1, 100, at(60_100));
        assert_eq!((used.amount(100, at(60_100)), used.amount_at(at(59_900).tick, 100, at(60_100))), (1, 4));
    }
}
