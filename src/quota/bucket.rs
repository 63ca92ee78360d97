//! How much of a free plan is left: what the provider has reported, what its documents say, and what the proxy has
//! sent.
//!
//! [`Buckets`] belong to one model with one account; a [`Bucket`] is one of its limits. A report from the provider
//! takes precedence over its documents for the same [`Measure`]. A figure is valid until the reset time that the
//! provider stated, or for one whole window if it stated none: by then everything that was used has come back. Time is
//! an argument.
//!
//! This module makes no decisions: no candidate is skipped because a number looks small.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::middle::{FreePlan, LimitReading, Measure, Source, Wait};

/// No free quota takes longer than a month to come back: a longer time is a mistake and is ignored.
const LONGEST_RESET: Duration = Duration::from_secs(31 * 86_400);

/// What is known of one limit at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitStatus {
    /// The measure that this limit counts.
    pub measure: Measure,
    /// The limit.
    pub limit: Option<u64>,
    /// How much is used.
    pub used: Option<u64>,
    /// How much is left.
    pub remaining: Option<u64>,
    /// When the quota comes back, as the provider reported or as its calendar says.
    pub resets_at: Option<Timestamp>,
    /// How the limit is known.
    pub source: Source,
}

/// The limits of one model with one account: at most one bucket for each `Measure`.
#[derive(Debug, Default)]
pub struct Buckets {
    buckets: BTreeMap<Measure, Bucket>,
    today: Option<Today>,
}

/// What the provider reported about one limit.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    limit: Option<u64>,
    figure: Option<Figure>,
    source: Source,
}

/// How much was left when the provider last reported it.
#[derive(Clone, Copy, Debug)]
struct Figure {
    remaining: u64,
    /// When the quota comes back, if the provider reported it.
    resets_at: Option<Timestamp>,
    /// When the figure stops being valid.
    until: Timestamp,
    /// What is known from then on.
    then: Then,
}

/// What is known of a limit once its figure is no longer valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The whole quota is available: the header said so.
    Whole,
    /// There is room for the request that was refused; for how many more is unknown.
    Unknown,
}

/// The requests sent during a provider's day.
#[derive(Clone, Copy, Debug)]
struct Today {
    ends: Timestamp,
    sent: u64,
}

impl Buckets {
    /// Counts a request that is being sent. `day_end` is when the provider's day ends, if it is a calendar day.
    pub fn sends(&mut self, day_end: Option<Wait>, now: Timestamp) {
        let Some(day_end) = day_end else {
            return;
        };
        let sent = self.sent_today(now);
        let ends = self.today.map(|today| today.ends).filter(|ends| now < *ends);
        self.today = Some(Today { ends: ends.unwrap_or_else(|| day_end.deadline(now)), sent: sent + 1 });
    }

    /// Records what the provider reported about a limit. It replaces what was known.
    pub fn overwrite(&mut self, reading: &LimitReading, now: Timestamp) {
        let earlier = self.buckets.get(&reading.measure).copied();
        let limit = reading.limit.or_else(|| earlier?.limit);
        // A report of the limit alone keeps what was reported about the remainder.
        let figure = figure(reading, now).or_else(|| earlier?.figure);
        self.buckets.insert(reading.measure, Bucket { limit, figure, source: reading.source });
    }

    /// What is known now, in the order of `Measure`.
    pub fn status(&self, plan: FreePlan, day_end: Option<Wait>, now: Timestamp) -> Vec<LimitStatus> {
        let measures = plan.iter().map(|(measure, _)| measure).chain(self.buckets.keys());
        let measures: BTreeSet<Measure> = measures.copied().collect();
        let all = measures.into_iter().map(|measure| self.status_of(measure, plan, day_end, now));
        all.filter(|status| status.limit.is_some() || status.remaining.is_some()).collect()
    }

    fn status_of(
        &self,
        measure: Measure,
        plan: FreePlan,
        day_end: Option<Wait>,
        now: Timestamp,
    ) -> LimitStatus {
        let bucket = self.buckets.get(&measure);
        let documented =
            || plan.iter().find(|(documented, _)| *documented == measure).map(|(_, limit)| *limit);
        let limit = bucket.and_then(|bucket| bucket.limit).or_else(documented);
        let source = bucket.filter(|bucket| bucket.limit.is_some() || limit.is_none());
        let source = source.map_or(Source::Default, |bucket| bucket.source);
        let status = LimitStatus { measure, limit, used: None, remaining: None, resets_at: None, source };
        match (bucket.and_then(|bucket| bucket.figure), limit, day_end) {
            (Some(figure), ..) if now < figure.until => LimitStatus {
                used: limit.map(|limit| limit.saturating_sub(figure.remaining)),
                remaining: Some(figure.remaining),
                resets_at: figure.resets_at,
                ..status
            },
            (Some(Figure { then: Then::Whole, .. }), Some(limit), _) => {
                LimitStatus { used: Some(0), remaining: Some(limit), ..status }
            }
            (_, Some(limit), Some(day_end)) if measure == Measure::REQUESTS_A_DAY => {
                let sent = self.sent_today(now);
                let remaining = Some(limit.saturating_sub(sent));
                LimitStatus { used: Some(sent), remaining, resets_at: Some(day_end.deadline(now)), ..status }
            }
            _ => status,
        }
    }

    fn sent_today(&self, now: Timestamp) -> u64 {
        self.today.filter(|today| now < today.ends).map_or(0, |today| today.sent)
    }
}

/// How much is left and how long that is valid, if the `reading` says so.
fn figure(reading: &LimitReading, now: Timestamp) -> Option<Figure> {
    let after = |span| Wait::For(span).deadline(now);
    let stated = reading.reset.map(|wait| wait.deadline(now));
    let resets_at = stated.filter(|reset| *reset <= after(LONGEST_RESET));
    let is_whole_then = resets_at.is_some() && reading.source == Source::Header;
    Some(Figure {
        remaining: reading.remaining?,
        resets_at,
        until: resets_at.unwrap_or_else(|| after(reading.measure.window.length())),
        then: if is_whole_then { Then::Whole } else { Then::Unknown },
    })
}

/// The limits of several accounts added up. Used and left are known only if they are known for all of them. The reset
/// is the soonest of all, and the sum is as certain as its least certain part.
pub(crate) fn together(accounts: impl IntoIterator<Item = Vec<LimitStatus>>) -> Vec<LimitStatus> {
    let mut sums: BTreeMap<Measure, LimitStatus> = BTreeMap::new();
    for status in accounts.into_iter().flatten() {
        sums.entry(status.measure).and_modify(|sum| *sum = add(*sum, status)).or_insert(status);
    }
    sums.into_values().collect()
}

fn add(one: LimitStatus, other: LimitStatus) -> LimitStatus {
    let sum = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
    LimitStatus {
        measure: one.measure,
        limit: sum(one.limit, other.limit),
        used: sum(one.used, other.used),
        remaining: sum(one.remaining, other.remaining),
        resets_at: one.resets_at.into_iter().chain(other.resets_at).min(),
        source: one.source.min(other.source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Measure = Measure::REQUESTS_A_DAY;
    const MINUTE: Measure = Measure::TOKENS_A_MINUTE;
    const PLAN: FreePlan = &[(DAY, 500), (MINUTE, 8_000)];

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn told(
        measure: Measure,
        source: Source,
        limit: u64,
        remaining: u64,
        reset: Option<u64>,
    ) -> LimitReading {
        let reset = reset.map(|seconds| Wait::For(Duration::from_secs(seconds)));
        LimitReading {
            measure,
            limit: Some(limit),
            remaining: Some(remaining),
            reset,
            refills: false,
            source,
        }
    }

    /// Limit, used, remaining, seconds until the reset, source.
    type Seen = (Option<u64>, Option<u64>, Option<u64>, Option<i64>, Source);

    fn see(known: &[LimitStatus], measure: Measure) -> Seen {
        let known = known.iter().find(|known| known.measure == measure).expect("something is known");
        let reset = known.resets_at.map(|reset| reset.as_second() - at(0).as_second());
        (known.limit, known.used, known.remaining, reset, known.source)
    }

    fn known(buckets: &Buckets, measure: Measure, now: i64) -> Seen {
        see(&buckets.status(PLAN, None, at(now)), measure)
    }

    #[test]
    fn the_documents_count_until_the_provider_has_spoken() {
        let mut buckets = Buckets::default();
        assert_eq!(known(&buckets, DAY, 0), (Some(500), None, None, None, Source::Default));
        buckets.overwrite(&told(DAY, Source::Header, 1_000, 970, Some(180)), at(0));
        assert_eq!(known(&buckets, DAY, 1), (Some(1_000), Some(30), Some(970), Some(180), Source::Header));
        assert_eq!(
            known(&buckets, MINUTE, 1),
            (Some(8_000), None, None, None, Source::Default),
            "no word of that"
        );
        assert_eq!(Buckets::default().status(&[], None, at(0)), [], "nothing is invented");
    }

    /// A header states when the limit is whole again; an error only when there is room for one request.
    #[test]
    fn figures_last_until_the_reset_that_was_stated() {
        let mut buckets = Buckets::default();
        buckets.overwrite(&told(DAY, Source::Header, 1_000, 970, Some(180)), at(0));
        buckets.overwrite(&told(MINUTE, Source::ErrorBody, 8_000, 95, Some(8)), at(0));
        assert_eq!(
            known(&buckets, MINUTE, 7),
            (Some(8_000), Some(7_905), Some(95), Some(8), Source::ErrorBody)
        );
        assert_eq!(known(&buckets, MINUTE, 8), (Some(8_000), None, None, None, Source::ErrorBody));
        assert_eq!(known(&buckets, DAY, 179), (Some(1_000), Some(30), Some(970), Some(180), Source::Header));
        assert_eq!(known(&buckets, DAY, 180), (Some(1_000), Some(0), Some(1_000), None, Source::Header));
    }

    #[test]
    fn figures_without_a_reset_last_for_a_window() {
        for reset in [None, Some(u64::MAX), Some(40 * 86_400)] {
            let mut buckets = Buckets::default();
            buckets.overwrite(&told(MINUTE, Source::Header, 8_000, 95, reset), at(0));
            assert_eq!(
                known(&buckets, MINUTE, 59),
                (Some(8_000), Some(7_905), Some(95), None, Source::Header)
            );
            assert_eq!(
                known(&buckets, MINUTE, 60),
                (Some(8_000), None, None, None, Source::Header),
                "{reset:?}"
            );
        }
    }

    #[test]
    fn the_latest_word_counts_and_takes_back_only_what_it_names() {
        let mut buckets = Buckets::default();
        buckets.overwrite(&told(DAY, Source::Header, 1_000, 970, Some(180)), at(0));
        let limit_alone =
            LimitReading { remaining: None, reset: None, ..told(DAY, Source::ErrorBody, 2_000, 0, None) };
        buckets.overwrite(&limit_alone, at(1));
        assert_eq!(
            known(&buckets, DAY, 1),
            (Some(2_000), Some(1_030), Some(970), Some(180), Source::ErrorBody)
        );
        let remaining_alone = LimitReading { limit: None, ..told(DAY, Source::Header, 0, 0, Some(60)) };
        buckets.overwrite(&remaining_alone, at(2));
        assert_eq!(known(&buckets, DAY, 2), (Some(2_000), Some(2_000), Some(0), Some(62), Source::Header));
        let mut buckets = Buckets::default();
        buckets.overwrite(&remaining_alone, at(0));
        assert_eq!(known(&buckets, DAY, 0), (Some(500), Some(500), Some(0), Some(60), Source::Default));
        let unplanned = buckets.status(&[], None, at(0));
        assert_eq!(see(&unplanned, DAY), (None, None, Some(0), Some(60), Source::Header));
        assert_eq!(buckets.status(&[], None, at(60)), [], "nothing is left to tell");
    }

    /// If a provider counts calendar days, the requests sent today can be counted here.
    #[test]
    fn requests_of_a_calendar_day_are_counted_here() {
        let day_end = Some(Wait::PacificMidnight);
        let see = |buckets: &Buckets, now: Timestamp| see(&buckets.status(PLAN, day_end, now), DAY);
        let noon: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
        let midnight: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let next_midnight: Timestamp = "2026-11-25T08:00:00Z".parse().unwrap();
        let seconds = |time: Timestamp| Some(time.as_second() - at(0).as_second());
        let just_before = midnight - Duration::from_secs(1);
        let mut buckets = Buckets::default();
        assert_eq!(see(&buckets, noon), (Some(500), Some(0), Some(500), seconds(midnight), Source::Default));
        buckets.sends(day_end, noon);
        buckets.sends(day_end, just_before);
        let two = (Some(500), Some(2), Some(498), seconds(midnight), Source::Default);
        assert_eq!(see(&buckets, just_before), two);
        assert_eq!(
            see(&buckets, midnight),
            (Some(500), Some(0), Some(500), seconds(next_midnight), Source::Default)
        );
        buckets.sends(day_end, midnight);
        assert_eq!(
            see(&buckets, midnight),
            (Some(500), Some(1), Some(499), seconds(next_midnight), Source::Default)
        );

        let refused = LimitReading { reset: day_end, ..told(DAY, Source::ErrorBody, 20, 0, None) };
        buckets.overwrite(&refused, midnight);
        assert_eq!(
            see(&buckets, midnight),
            (Some(20), Some(20), Some(0), seconds(next_midnight), Source::ErrorBody)
        );
        let counted = (Some(20), Some(0), Some(20));
        let (limit, used, remaining, _, source) = see(&buckets, next_midnight);
        assert_eq!((limit, used, remaining, source), (counted.0, counted.1, counted.2, Source::ErrorBody));
        (0..30).for_each(|_| buckets.sends(day_end, next_midnight));
        assert_eq!(see(&buckets, next_midnight).2, Some(0), "never less than nothing");
    }

    #[test]
    fn the_accounts_of_several_keys_add_up() {
        let buckets = |measure, source, limit, remaining, reset| {
            let mut buckets = Buckets::default();
            buckets.overwrite(&told(measure, source, limit, remaining, Some(reset)), at(0));
            buckets.status(PLAN, None, at(0))
        };
        let one = buckets(DAY, Source::Header, 1_000, 970, 180);
        let other = buckets(DAY, Source::ErrorBody, 500, 0, 90);
        let silent = Buckets::default().status(PLAN, None, at(0));
        let both = together([one.clone(), other]);
        assert_eq!(see(&both, DAY), (Some(1_500), Some(530), Some(970), Some(90), Source::ErrorBody));
        assert_eq!(see(&both, MINUTE), (Some(16_000), None, None, None, Source::Default));
        let with_silent = together([one.clone(), silent]);
        assert_eq!(see(&with_silent, DAY), (Some(1_500), None, None, Some(180), Source::Default));
        assert_eq!(together([one.clone()]), one);
        assert_eq!(together([]), []);
        let vast = buckets(DAY, Source::Header, u64::MAX, u64::MAX, 1);
        assert_eq!(see(&together([vast, one]), DAY).0, Some(u64::MAX));
    }
}
