//! How long a cooldown lasts after a failure, and the probe that ends it.
//!
//! A place in cooldown is not called. When the cooldown is over, exactly one request may probe the place. If it
//! succeeds, the cooldown ends; if it fails, the cooldown is renewed and may grow.
//!
//! Time and randomness are arguments. Time is the wall clock, because a laptop that sleeps through the night must wake
//! up to a fresh daily quota. A monotonic clock stands still meanwhile and would withhold it.

use std::time::Duration;

use jiff::Timestamp;

use crate::middle::{Reason, Wait};

/// The cooldown after a rate limit whose duration the provider does not state: most windows are minutes.
const UNSTATED_RATE_LIMIT: Duration = Duration::from_secs(60);
/// The same for a daily limit: short enough to notice the reset, long enough not to annoy the provider.
const UNSTATED_DAY_LIMIT: Duration = Duration::from_secs(3_600);
/// The cooldown of a refused key or an account without credit.
const REFUSED_KEY: Duration = Duration::from_secs(600);
/// The first cooldown of a failing provider. It is doubled each time a probe fails.
const FIRST_FAILURE: Duration = Duration::from_secs(5);
/// The longest cooldown of a failing provider.
const LONGEST_FAILURE: Duration = Duration::from_secs(30);
/// No free quota takes longer than a month to come back: a longer wait is a mistake or an attack.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);
/// The cooldown of a model that an answer calls gone although the provider's list still has it.
pub(super) const DOUBTFULLY_GONE: Duration = Duration::from_secs(3_600);
/// The wait that clients are told while a probe is in progress: its result is known within moments.
const PROBE_WAIT: Duration = Duration::from_secs(1);
/// The largest fraction (one in this many) of an unstated cooldown that is added as random jitter, so that many proxies
/// do not all come back at once.
const JITTER_PART: i64 = 10;
/// The most jitter that is added, in milliseconds.
const MOST_JITTER_MS: i64 = 1_000;

/// Why a candidate cannot serve: its cooldown that lasts longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// When the cooldown ends; [`Timestamp::MAX`] if never.
    pub(crate) until: Timestamp,
    /// What happened.
    pub(crate) reason: Reason,
}

impl Blocked {
    /// Of several blocks, the lowest is reported: one that time alone ends before one that needs a person, then the
    /// sooner one.
    pub(crate) fn urgency(self) -> (bool, Timestamp) {
        (self.reason.needs_a_person(), self.until)
    }
}

/// The cooldown of one place, in progress or waiting for its probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cooldown {
    until: Timestamp,
    reason: Reason,
    /// How many probes in a row have failed.
    failed_probes: u32,
    is_being_probed: bool,
}

impl Cooldown {
    /// The cooldown that a failure starts or renews. If both an old and a new end exist, the later one counts. Only a
    /// failed probe makes a cooldown grow, because many calls that started before the first failure may fail after it.
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

    /// Why a call cannot be made now; `None` if it can be made, as the probe.
    pub(super) fn blocks(&self, now: Timestamp) -> Option<Blocked> {
        if now < self.until {
            return Some(Blocked { until: self.until, reason: self.reason });
        }
        let verdict = Wait::For(PROBE_WAIT).deadline(now);
        self.is_being_probed.then_some(Blocked { until: verdict, reason: self.reason })
    }

    /// Whether the cooldown means that the provider does not offer the model.
    pub(super) fn says_gone(&self, now: Timestamp) -> bool {
        self.is_of_gone_model() && (now < self.until || self.is_being_probed)
    }

    /// Whether an answer once said that the model is gone.
    pub(super) fn is_of_gone_model(&self) -> bool {
        self.reason == Reason::ModelGone
    }

    /// Marks the cooldown as being probed and returns its end, by which the probe recognises it.
    pub(super) fn probe(&mut self) -> Timestamp {
        self.is_being_probed = true;
        self.until
    }

    /// The probe is over and did not end this cooldown: another call may probe it.
    pub(super) fn release(&mut self) {
        self.is_being_probed = false;
    }

    /// Whether the cooldown has been renewed since the probe of this end began.
    pub(super) fn outlasts(&self, probed: Timestamp) -> bool {
        self.until > probed
    }
}

/// `end` plus random jitter.
fn jittered(end: Timestamp, now: Timestamp, random: &mut fastrand::Rng) -> Timestamp {
    let span_ms = end.as_millisecond().saturating_sub(now.as_millisecond());
    let added_ms = random.i64(0..=(span_ms / JITTER_PART).clamp(0, MOST_JITTER_MS));
    end.saturating_add(jiff::SignedDuration::from_millis(added_ms)).unwrap_or(end)
}

/// When a cooldown that starts `now` ends.
fn end(reason: Reason, wait: Option<Wait>, failed_probes: u32, now: Timestamp) -> Timestamp {
    let after = |span| Wait::For(span).deadline(now);
    let stated = wait.map(|wait| wait.deadline(now).min(after(LONGEST)));
    match reason {
        Reason::RateLimited => stated.unwrap_or_else(|| after(UNSTATED_RATE_LIMIT)),
        Reason::QuotaExhausted => stated.unwrap_or_else(|| after(UNSTATED_DAY_LIMIT)),
        // A person has to act: trying again sooner does not help.
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
