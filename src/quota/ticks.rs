//! A clock for windows: it never goes back, and it does not stand still while a laptop sleeps.
//!
//! The steady clock of most systems stops in standby, and the time of day can be set. So ticks are the steady clock,
//! moved forward whenever the time of day has leapt ahead of it. A time of day that is set back changes nothing; one
//! that is set forward by mistake ends windows early, which costs a refusal and no answer.

use std::time::Duration;

use jiff::Timestamp;

use crate::middle::Wait;
use crate::time::Moment;

/// A smaller leap of the time of day is the usual correction of a clock.
const LEAP: Duration = Duration::from_secs(2);

/// One moment, as windows see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// The time of day, for calendars.
    pub(super) wall: Timestamp,
    /// Never goes back.
    pub(super) tick: Duration,
}

impl Now {
    /// The time of day after this span.
    pub(super) fn after(self, span: Duration) -> Timestamp {
        Wait::For(span).deadline(self.wall)
    }
}

/// Ticks begin this long before the process, so that there are some for what was used before it.
const BEFORE: Duration = Duration::from_secs(40 * 86_400);

impl Default for Ticks {
    fn default() -> Self {
        Self { latest: None, ahead: BEFORE }
    }
}

/// Turns moments into ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    latest: Option<Moment>,
    /// How far the ticks are ahead of the steady clock.
    ahead: Duration,
}

impl Ticks {
    /// This moment in ticks. The ticks go on from here.
    pub(super) fn advance(&mut self, now: Moment) -> Now {
        self.ahead = self.ahead_at(now);
        self.latest = Some(now);
        Now { wall: now.wall, tick: now.steady.saturating_add(self.ahead) }
    }

    /// This moment in ticks.
    pub(super) fn read(&self, now: Moment) -> Now {
        Now { wall: now.wall, tick: now.steady.saturating_add(self.ahead_at(now)) }
    }

    fn ahead_at(&self, now: Moment) -> Duration {
        let Some(latest) = self.latest else { return self.ahead };
        let by_wall = Duration::try_from(now.wall.duration_since(latest.wall)).unwrap_or_default();
        let leap = by_wall.saturating_sub(now.steady.saturating_sub(latest.steady));
        if leap > LEAP { self.ahead.saturating_add(leap) } else { self.ahead }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(wall: i64, steady: u64) -> Moment {
        let wall = Timestamp::from_second(1_800_000_000 + wall).unwrap();
        Moment { wall, steady: Duration::from_secs(steady) }
    }

    /// Time of day and steady clock in seconds, and the tick that they make.
    #[test]
    fn ticks_follow_the_steady_clock_and_leaps_forward() {
        let mut ticks = Ticks::default();
        let steps = [
            ((0, 10), 10, "the beginning"),
            ((5, 15), 15, "time passes"),
            ((6, 15), 15, "a small correction"),
            ((3_606, 16), 3_615, "an hour of sleep"),
            ((6, 17), 3_616, "set back by an hour"),
            ((7, 18), 3_617, "and on from there"),
        ];
        for ((wall, steady), tick, what) in steps {
            let tick = BEFORE + Duration::from_secs(tick);
            assert_eq!(ticks.read(moment(wall, steady)).tick, tick, "{what}");
            assert_eq!(ticks.advance(moment(wall, steady)).tick, tick, "{what}");
        }
    }
}
