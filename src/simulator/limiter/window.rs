//! The windows of limits: when what was used comes back.

use std::time::Duration;

use jiff::tz::{self, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan as _};

/// The window over which a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Each use comes back this long after it.
    Sliding(Duration),
    /// What is used comes back continuously, at a rate that fills all of it in this time.
    Refilled(Duration),
    /// All comes back whenever the clock has made a whole number of these since 1970: at the full minute, say.
    Clock(Duration),
    /// All comes back at midnight.
    Day(Zone),
    /// All comes back with the first midnight of the month.
    Month(Zone),
    /// What is under way: it comes back when the call ends.
    AtOnce,
}

/// Whose midnight it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Universal time.
    Utc,
    /// California, with daylight saving.
    Pacific,
}

/// The length of a window, as providers name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Up to a second.
    Second,
    /// Up to a minute.
    Minute,
    /// Up to an hour.
    Hour,
    /// Up to a day.
    Day,
    /// Longer.
    Month,
    /// No length: what is under way.
    AtOnce,
}

static PACIFIC: TimeZone = tz::get!("America/Los_Angeles");

impl Window {
    /// The name of its length.
    pub fn span(self) -> Span {
        match self {
            Self::Sliding(length) | Self::Refilled(length) | Self::Clock(length) => match length.as_secs() {
                0..=1 => Span::Second,
                2..=60 => Span::Minute,
                61..=3_600 => Span::Hour,
                3_601..=86_400 => Span::Day,
                _ => Span::Month,
            },
            Self::Day(_) => Span::Day,
            Self::Month(_) => Span::Month,
            Self::AtOnce => Span::AtOnce,
        }
    }

    /// When the period that `now` is in ends, of a window with periods.
    pub(super) fn end_of_period(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Clock(length) => Some(end_of_beat(length, now)),
            Self::Day(zone) => end_of_day(zone, now),
            Self::Month(zone) => end_of_month(zone, now),
            Self::Sliding(_) | Self::Refilled(_) | Self::AtOnce => None,
        }
    }
}

fn end_of_beat(length: Duration, now: Timestamp) -> Timestamp {
    let beat = i128::try_from(length.as_nanos()).unwrap_or(i128::MAX).max(1);
    let begun = now.as_nanosecond().div_euclid(beat);
    Timestamp::from_nanosecond((begun + 1).saturating_mul(beat)).unwrap_or(Timestamp::MAX)
}

fn end_of_day(zone: Zone, now: Timestamp) -> Option<Timestamp> {
    let midnight = now.to_zoned(zone.time_zone()).tomorrow().ok()?.start_of_day().ok()?;
    Some(midnight.timestamp())
}

fn end_of_month(zone: Zone, now: Timestamp) -> Option<Timestamp> {
    let first = now.to_zoned(zone.time_zone()).first_of_month().ok()?;
    Some(first.checked_add(1.month()).ok()?.start_of_day().ok()?.timestamp())
}

impl Zone {
    fn time_zone(self) -> TimeZone {
        match self {
            Self::Utc => TimeZone::UTC,
            Self::Pacific => PACIFIC.clone(),
        }
    }
}

/// The time from `earlier` to `later`; none if that is in the past.
pub(super) fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    let span: SignedDuration = later.duration_since(earlier);
    Duration::try_from(span).unwrap_or_default()
}
