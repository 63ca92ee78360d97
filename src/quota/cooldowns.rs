//! How long what has failed is left alone, and the probe that ends it.
//!
//! A place in cooldown is not called. When the cooldown is over, exactly one request may probe it: if that succeeds the
//! cooldown is forgotten, if it fails the cooldown is renewed and may grow.
//!
//! Time and chance are arguments. Time is the wall clock: a laptop that sleeps through the night must wake up to a fresh
//! daily quota, which a monotonic clock, standing still meanwhile, would withhold.

use std::time::Duration;

use jiff::Timestamp;

use crate::middle::{Reason, Wait};

/// How long a limit lasts of which the provider does not say it: windows are minutes.
const UNSTATED_RATE_LIMIT: Duration = Duration::from_secs(60);
/// The same for limits of a day: often enough to notice, rarely enough not to annoy.
const UNSTATED_DAY_LIMIT: Duration = Duration::from_secs(3_600);
/// The cooldown of a refused key or an account without credit.
const REFUSED_KEY: Duration = Duration::from_secs(600);
/// The first cooldown of a failing provider; doubled each time a probe fails.
const FIRST_FAILURE: Duration = Duration::from_secs(5);
/// What that grows to.
const LONGEST_FAILURE: Duration = Duration::from_secs(30);
/// Nothing that is free comes back later than a month: a longer wait is a mistake or an attack.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);
/// The cooldown of a model that an answer calls gone while the provider's own list still has it.
pub(super) const DOUBTFULLY_GONE: Duration = Duration::from_secs(3_600);
/// What clients are told while a probe is under way: it is decided within moments.
const PROBE_WAIT: Duration = Duration::from_secs(1);
/// What part of an unstated cooldown is added to it at most by chance, so that of many proxies not all come back at once.
const JITTER_PART: i64 = 10;
/// The most that is added.
const MOST_JITTER_MS: i64 = 1_000;

/// Why something cannot serve: the cooldown that lasts longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// When it is over; [`Timestamp::MAX`] if never.
    pub(crate) until: Timestamp,
    /// What happened.
    pub(crate) reason: Reason,
}

impl Blocked {
    /// The least of several is the one worth knowing: what heals by itself rather than what needs a person; of two the
    /// sooner.
    pub(crate) fn urgency(self) -> (bool, Timestamp) {
        (self.reason.needs_a_person(), self.until)
    }
}

/// The cooldown of one place, under way or waiting for its probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cooldown {
    until: Timestamp,
    reason: Reason,
    /// How often a probe has failed in a row.
    failed_probes: u32,
    is_being_probed: bool,
}

impl Cooldown {
    /// The cooldown that a failure begins or renews. Of two the later end counts. Only a failed probe makes cooldowns grow:
    /// many calls that began before the first one may fail after it.
    pub(super) fn after(
        earlier: Option<Self>,
        reason: Reason,
        wait: Option<Wait>,
        was_probe: bool,
        now: Timestamp,
        random: &mut fastrand::Rng,
    ) -> Self {
        let failed_probes = earlier.map_or(0, |it| it.failed_probes.saturating_add(u32::from(was_probe)));
        let end = end(reason, wait, failed_probes, now);
        let until = if wait.is_none() { jittered(end, now, random) } else { end };
        match earlier {
            Some(earlier) if earlier.until > until => earlier,
            Some(earlier) => Self { until, reason, failed_probes, is_being_probed: earlier.is_being_probed },
            None => Self { until, reason, failed_probes, is_being_probed: false },
        }
    }

    /// What it means for a call now; none if the call may go and probe.
    pub(super) fn blocks(&self, now: Timestamp) -> Option<Blocked> {
        if now < self.until {
            return Some(Blocked { until: self.until, reason: self.reason });
        }
        let verdict = Wait::For(PROBE_WAIT).deadline(now);
        self.is_being_probed.then_some(Blocked { until: verdict, reason: self.reason })
    }

    /// Whether it says that the provider does not offer the model.
    pub(super) fn says_gone(&self, now: Timestamp) -> bool {
        self.is_of_gone_model() && (now < self.until || self.is_being_probed)
    }

    /// Whether an answer once said so.
    pub(super) fn is_of_gone_model(&self) -> bool {
        self.reason == Reason::ModelGone
    }

    /// A call goes to find out whether it is over; the end by which to recognise it.
    pub(super) fn probe(&mut self) -> Timestamp {
        self.is_being_probed = true;
        self.until
    }

    /// The probe has come to nothing, or is not this one's to decide: somebody else may probe.
    pub(super) fn release(&mut self) {
        self.is_being_probed = false;
    }

    /// Whether it has been renewed since the probe of this end began.
    pub(super) fn outlasts(&self, probed: Timestamp) -> bool {
        self.until > probed
    }
}

/// A moment after `end`.
fn jittered(end: Timestamp, now: Timestamp, random: &mut fastrand::Rng) -> Timestamp {
    let span_ms = end.as_millisecond().saturating_sub(now.as_millisecond());
    let added_ms = random.i64(0..=(span_ms / JITTER_PART).clamp(0, MOST_JITTER_MS));
    end.saturating_add(jiff::SignedDuration::from_millis(added_ms)).unwrap_or(end)
}

/// When a cooldown that begins `now` ends.
fn end(reason: Reason, wait: Option<Wait>, failed_probes: u32, now: Timestamp) -> Timestamp {
    let after = |span| Wait::For(span).deadline(now);
    let stated = wait.map(|wait| wait.deadline(now).min(after(LONGEST)));
    match reason {
        Reason::RateLimited => stated.unwrap_or_else(|| after(UNSTATED_RATE_LIMIT)),
        Reason::QuotaExhausted => stated.unwrap_or_else(|| after(UNSTATED_DAY_LIMIT)),
        // It needs a person: coming back sooner only annoys.
        Reason::BadKey | Reason::NoCredit => {
            stated.map_or_else(|| after(REFUSED_KEY), |stated| stated.max(after(REFUSED_KEY)))
        }
        Reason::ModelGone => stated.unwrap_or(Timestamp::MAX),
        Reason::Overloaded
        | Reason::Timeout
        | Reason::ConnectFailed
        | Reason::BrokenStream
        | Reason::EmptyAnswer
        | Reason::UpstreamError
        | Reason::TooLarge
        | Reason::ContextTooLong
        | Reason::BadRequest => {
            let grown = FIRST_FAILURE.saturating_mul(2_u32.saturating_pow(failed_probes));
            let own = after(grown.min(LONGEST_FAILURE));
            stated.map_or(own, |stated| stated.clamp(own, after(LONGEST_FAILURE)))
        }
    }
}
