//! What has gone wrong at one place, for how long it counts, and how it ends. The rules are
//! [`Policy`]'s; here they meet time.
//!
//! Time is an argument: a [`Moment`] on two clocks. A cooldown is over when either says so. So a laptop that sleeps through
//! the night wakes up to a fresh daily quota, and a time of day that is set back prolongs nothing.
//!
//! Attempts are numbered. A failure counts as one more in a row only if its attempt began after the one before was
//! known, because many calls that are under way may fail of one cause.

use std::time::Duration;

use jiff::Timestamp;

use crate::middle::{Cause, Effect, Failure, Lift, Policy, Reason, Wait};
use crate::time::Moment;

/// The wait that clients are told while a call finds out whether a place is well again: that is known within moments.
const PROBE_WAIT: Duration = Duration::from_secs(1);
/// The largest fraction (one in this many) of an unstated time that is added as random jitter, so that many proxies do
/// not all come back at once.
const JITTER_PART: u32 = 10;
/// The most jitter that is added.
const MOST_JITTER: Duration = Duration::from_secs(1);

/// Why a candidate cannot serve, or should not: its cooldown that lasts longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// When the cooldown ends; [`Timestamp::MAX`] if time alone does not end it.
    pub(crate) until: Timestamp,
    /// What happened.
    pub(crate) reason: Reason,
    /// Whether no call is made before, or the provider has stated the time: clients can be told it.
    pub(crate) is_certain: bool,
}

impl Blocked {
    /// Of several blocks, the lowest is reported: one that time alone ends before one that needs a person, then the
    /// sooner one.
    pub(crate) fn urgency(self) -> (bool, Timestamp) {
        (self.reason.needs_a_person(), self.until)
    }
}

/// How a candidate stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It may be called.
    Well,
    /// It is called when nobody is well.
    Demoted(Blocked),
    /// It is not called.
    Blocked(Blocked),
}

/// A cooldown as instances tell each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// Whether it blocks or demotes.
    pub(super) effect: Effect,
    /// What else ends it.
    pub(super) lifted_by: Lift,
    /// How long it lasts from now on; `None` without an end.
    pub(super) left: Option<Duration>,
    /// Whether clients can be told its end.
    pub(super) is_certain: bool,
}

/// What counts at one place: the limits and refusals that block it, and what demotes it. None hides another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cooldowns {
    block: Option<Cooldown>,
    demotion: Option<Cooldown>,
}

/// One of them, in progress or waiting for a call that finds out whether it is over.
#[derive(Clone, Copy, Debug)]
struct Cooldown {
    cause: Cause,
    lifted_by: Lift,
    /// `None` if time alone does not end it.
    end: Option<Moment>,
    /// How many failures in a row.
    in_a_row: u32,
    /// The number of the latest attempt when it began.
    as_of: u64,
    /// Whether clients can be told its end.
    is_certain: bool,
    /// Whether the provider was believed to be what it calls itself, after its stated delay had proved too short.
    is_final: bool,
    /// The attempt that finds out whether it is over.
    probe: Option<u64>,
}

impl Cooldowns {
    /// Records `failure` of the attempt with this number, to which `policy` applies. `latest` is the number of the latest
    /// attempt. If an earlier one lasts longer, its end counts.
    pub(super) fn record(
        &mut self,
        policy: Policy,
        failure: &Failure,
        attempt: u64,
        latest: u64,
        now: Moment,
        random: &mut fastrand::Rng,
    ) {
        let slot = match policy.effect {
            Effect::Nothing => return,
            Effect::Block => &mut self.block,
            Effect::Demote => &mut self.demotion,
        };
        // Failures of any kind follow each other, but a limit of a minute is not the day's refused again.
        let is_kin = |it: &Cooldown| policy.effect == Effect::Demote || it.cause.reason() == failure.reason();
        // The day that was believed in is over, so what is refused now is another day.
        let follows = |it: &Cooldown| is_kin(it) && !(it.is_final && it.is_over(now));
        let earlier = slot.filter(follows);
        let in_a_row = earlier.map_or(1, |it| it.in_a_row.saturating_add(u32::from(attempt > it.as_of)));
        let end = end(policy, failure, in_a_row, now, random);
        match slot {
            Some(earlier) if !earlier.is_over(now) && outlasts(earlier.end, end) => {
                if is_kin(earlier) {
                    (earlier.in_a_row, earlier.as_of) = (in_a_row, latest);
                }
            }
            _ => {
                let is_final = in_a_row > 1 && failure.then.is_some();
                let (cause, lifted_by) = (failure.cause, policy.lifted_by);
                let is_certain = policy.effect == Effect::Block || failure.wait.is_some();
                *slot = Some(Cooldown {
                    cause,
                    lifted_by,
                    end,
                    in_a_row,
                    as_of: latest,
                    is_certain,
                    is_final,
                    probe: None,
                });
            }
        }
    }

    /// What was recorded of `cause`, for others to know.
    pub(super) fn told(&self, cause: Cause, effect: Effect, now: Moment) -> Option<Rest> {
        let slot = if effect == Effect::Block { self.block } else { self.demotion };
        let it = slot.filter(|it| it.cause == cause && !it.is_over(now))?;
        let left = it.end.and_then(|end| left(end, now));
        Some(Rest { effect, lifted_by: it.lifted_by, left, is_certain: it.is_certain })
    }

    /// Another instance has told of a rest. If an earlier one lasts longer, its end counts.
    pub(super) fn adopt(&mut self, cause: Cause, rest: Rest, latest: u64, now: Moment) {
        let slot = if rest.effect == Effect::Block { &mut self.block } else { &mut self.demotion };
        let end = rest.left.map(|left| after(now, left));
        if slot.is_some_and(|it| !it.is_over(now) && outlasts(it.end, end)) {
            return;
        }
        *slot = Some(Cooldown {
            cause,
            lifted_by: rest.lifted_by,
            end,
            in_a_row: slot.map_or(1, |it| it.in_a_row),
            as_of: latest,
            is_certain: rest.is_certain,
            is_final: false,
            probe: None,
        });
    }

    /// How the place stands.
    pub(super) fn standing(&self, now: Moment) -> Standing {
        let in_force = |it: Option<Cooldown>| it.and_then(|it| it.in_force(now));
        match (in_force(self.block), in_force(self.demotion)) {
            (Some(blocked), _) => Standing::Blocked(blocked),
            (None, Some(demoted)) => Standing::Demoted(demoted),
            (None, None) => Standing::Well,
        }
    }

    /// The attempt with this number is made although the place has not been called since a cooldown ended: it finds out.
    pub(super) fn probe(&mut self, attempt: u64, now: Moment) {
        for cooldown in self.all().into_iter().flatten() {
            if cooldown.needs_probe(now) && cooldown.probe.is_none() {
                cooldown.probe = Some(attempt);
            }
        }
    }

    /// The attempt is over: another one may find out.
    pub(super) fn release(&mut self, attempt: u64) {
        for cooldown in self.all().into_iter().flatten() {
            cooldown.probe = cooldown.probe.filter(|probe| *probe != attempt);
        }
    }

    /// The attempt has come as far as `sign`: what that lifts is over, unless it began after the attempt. A first event is
    /// also an end to failures in a row.
    pub(super) fn lift(&mut self, sign: Lift, attempt: u64, now: Moment) {
        for slot in self.all() {
            let is_over = slot.is_some_and(|it| {
                let is_meant =
                    it.lifted_by == sign || (sign == Lift::FirstEvent && it.in_force(now).is_none());
                is_meant && attempt > it.as_of
            });
            if is_over {
                *slot = None;
            }
        }
    }

    /// Whether it means that the provider does not offer the model.
    pub(super) fn says_gone(&self, now: Moment) -> bool {
        self.block.is_some_and(|it| it.is_of_gone_model() && it.in_force(now).is_some())
    }

    /// A list has the model: forgets that an answer called it gone.
    pub(super) fn forgive_gone(&mut self) {
        self.block = self.block.filter(|it| !it.is_of_gone_model());
    }

    fn all(&mut self) -> [&mut Option<Cooldown>; 2] {
        [&mut self.block, &mut self.demotion]
    }
}

impl Cooldown {
    /// Why a call should not be made now; `None` if it may be made.
    fn in_force(&self, now: Moment) -> Option<Blocked> {
        let (reason, is_certain) = (self.cause.reason(), self.is_certain);
        let until = |wait| Some(Blocked { until: after(now, wait).wall, reason, is_certain });
        let Some(end) = self.end else {
            return Some(Blocked { until: Timestamp::MAX, reason, is_certain });
        };
        match left(end, now) {
            None if self.probe.is_some() => until(PROBE_WAIT),
            None => None,
            Some(left) => until(left),
        }
    }

    /// Whether its time is over, whatever else is to lift it.
    fn is_over(&self, now: Moment) -> bool {
        self.end.is_some_and(|end| left(end, now).is_none())
    }

    /// Whether its time is over and one call is to find out.
    fn needs_probe(&self, now: Moment) -> bool {
        self.lifted_by != Lift::Time && self.is_over(now)
    }

    fn is_of_gone_model(&self) -> bool {
        self.cause.reason() == Reason::ModelGone
    }
}

/// When what `policy` says of `failure` ends; `None` if time alone does not end it.
fn end(
    policy: Policy,
    failure: &Failure,
    in_a_row: u32,
    now: Moment,
    random: &mut fastrand::Rng,
) -> Option<Moment> {
    // What comes again after a stated delay is believed to be what it calls itself.
    let stated = if in_a_row > 1 { failure.then.or(failure.wait) } else { failure.wait };
    let length = |wait: Wait| wait.length(now.wall);
    let stated = match (stated, failure.then) {
        // A calendar knows best how long its days are.
        (Some(end @ (Wait::PacificMidnight | Wait::UtcMidnight | Wait::UtcMonth)), _) => {
            return Some(after(now, length(end)));
        }
        (Some(stated), Some(then)) => Some(length(stated).min(length(then))),
        (stated, _) => stated.map(length),
    };
    let span = policy.span.length(stated, in_a_row)?;
    let jitter = (span / JITTER_PART).min(MOST_JITTER).mul_f64(random.f64());
    Some(after(now, if stated.is_none() { span + jitter } else { span }))
}

fn after(now: Moment, span: Duration) -> Moment {
    Moment { wall: Wait::For(span).deadline(now.wall), steady: now.steady.saturating_add(span) }
}

/// How long it is until `end`; `None` if it is over.
fn left(end: Moment, now: Moment) -> Option<Duration> {
    let by_wall = Duration::try_from(end.wall.duration_since(now.wall)).unwrap_or_default();
    let by_steady = end.steady.saturating_sub(now.steady);
    Some(by_wall.min(by_steady)).filter(|left| !left.is_zero())
}

/// Whether the first end is later. No end is later than any.
fn outlasts(first: Option<Moment>, second: Option<Moment>) -> bool {
    match (first, second) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(first), Some(second)) => first.steady > second.steady,
    }
}
