//! One limit: how much it allows, how much of it is used, and whether a request fits.
//!
//! What is used is counted three times over: *reserved* when a call is picked, *settled* when its answer has told what it
//! took, and *overwritten* by what the provider says, up or down. A figure of the documents is a guess: it orders and
//! paces, but refuses nobody; see [`Fit::Unsure`].
//!
//! A provider that reserves the longest answer may give back what was not needed, or not. Both are counted until its own
//! figures show which is true.

mod sharing;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::share::{Leave, Share};
use super::ticks::Now;
use super::used::{End, Used};
use crate::middle::{Limit, LimitReading, MOST_COUNTED, Measure, Renewal, Source, Unit, Wait, Window};

/// A call may overtake another on its way to the provider: of those sent this short a time before it, its head need not
/// know.
const IN_TRANSIT: Duration = Duration::from_secs(1);
/// The most calls under way that are told apart.
const MOST_OPEN: usize = 4_096;
/// How long a limit counts at least that was never stated but inferred from a refusal. Then one call finds out again.
const INFERRED_FOR: Duration = Duration::from_secs(3_600);
/// A refusal says nothing of a guess of which less than this part was used: somebody else may use the key.
const INFERRED_PART: u64 = 3;
/// A difference between two ways of counting that is smaller than this part of the limit proves nothing.
const PROOF_PART: u64 = 20;

/// This part of a calendar's window may be used before its time.
const PACE_SLACK: f64 = 0.1;

/// What is known of one limit at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitStatus {
    /// What this limit counts.
    pub measure: Measure,
    /// The limit.
    pub limit: Option<u64>,
    /// How much is used.
    pub used: Option<u64>,
    /// How much is left.
    pub remaining: Option<u64>,
    /// When all of it is back.
    pub resets_at: Option<Timestamp>,
    /// How the limit is known.
    pub source: Source,
    /// When the provider last told something about it, or an answer showed it.
    pub as_of: Option<Timestamp>,
    /// When the other instances last told what they have used of it; `None` if there are none.
    pub shared_as_of: Option<Timestamp>,
}

/// Whether a request fits into a bucket now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It does.
    Now,
    /// Only a guess stands in the way. One call at a time finds out; by the guess, it fits after this time.
    Unsure(Duration),
    /// It does not, and fits after this time; `None` if that depends on calls under way.
    Later(Option<Duration>),
    /// It never will: it is larger than the whole.
    Never,
}

/// Whether the provider has counted the call in whose answer it says a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IsCounted {
    Yes,
    No,
}

/// One limit of somebody.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    measure: Measure,
    most: Option<u64>,
    source: Source,
    /// When the provider last told something about it, or an answer showed it.
    as_of: Option<Timestamp>,
    /// Until when the limit is certain; `None` while it is a guess.
    certain_until: Option<Duration>,
    /// What is used if nothing is ever given back.
    used: Used,
    /// What is used if what an answer did not need is given back; `None` if that makes no difference.
    used_if_given_back: Option<Used>,
    gives_back: Option<bool>,
    /// Calls in the order in which they were sent, from the first on whose head has not come.
    open: VecDeque<Open>,
    /// The call that goes beyond the guess.
    explorer: Option<u64>,
    reset: Option<Reset>,
    /// If several instances use it together: this one's part.
    share: Option<Box<Share>>,
}

/// What the provider has said of when quota comes back.
#[derive(Clone, Copy, Debug)]
struct Reset {
    at: End,
    /// How much of it is back then: all, or enough for a request of this size.
    room: Option<u64>,
    /// What has been reserved since.
    since: u64,
}

/// A call under way.
#[derive(Clone, Copy, Debug)]
struct Open {
    attempt: u64,
    amount: u64,
    sent: Duration,
    is_answered: bool,
}

impl Bucket {
    /// A limit of the documents, or one that the user has stated.
    pub(super) fn new(limit: Limit, source: Source, may_give_back: bool, now: Now) -> Self {
        let certain_until = (source != Source::Default).then_some(Duration::MAX);
        Self {
            most: Some(limit.most.min(MOST_COUNTED)),
            source,
            certain_until,
            ..Self::unplanned(limit.measure, limit.renewal, may_give_back, now)
        }
    }

    /// A limit of which nothing is known yet.
    pub(super) fn unplanned(measure: Measure, renewal: Renewal, may_give_back: bool, now: Now) -> Self {
        let used = Used::nothing(measure.window, renewal, now);
        Self {
            measure,
            most: None,
            source: Source::Default,
            as_of: None,
            certain_until: None,
            used_if_given_back: may_give_back.then(|| used.clone()),
            used,
            gives_back: None,
            open: VecDeque::new(),
            explorer: None,
            reset: None,
            share: None,
        }
    }

    /// What it counts.
    pub(super) fn measure(&self) -> Measure {
        self.measure
    }

    /// Whether it counts tokens rather than calls.
    pub(super) fn counts_tokens(&self) -> bool {
        self.measure.unit == Unit::Tokens
    }

    /// Whether it counts what is under way, so that every end of a call gives its place back.
    pub(super) fn counts_calls_at_once(&self) -> bool {
        self.measure.window == Window::AtOnce
    }

    /// The limit, certain or not.
    pub(super) fn most(&self) -> Option<u64> {
        self.most
    }

    /// Whether the limit is more than a guess.
    pub(super) fn is_certain(&self, now: Now) -> bool {
        self.certain_until.is_some_and(|until| now.tick < until)
    }

    /// Whether the provider gives back what answers did not need, if that is known.
    pub(super) fn gives_back(&self) -> Option<bool> {
        self.gives_back
    }

    /// Another bucket of the provider, or another instance, has shown whether it gives back.
    pub(super) fn learn_from(&mut self, other: Option<bool>) {
        self.gives_back = self.gives_back.or(other);
    }

    /// Whether a call is finding out what lies beyond the guess.
    pub(super) fn is_explored(&self) -> bool {
        self.explorer.is_some()
    }

    /// Whether a request of this size fits, behind others of `ahead` in all.
    pub(super) fn fit(&self, amount: u64, ahead: u64, now: Now) -> Fit {
        let fit = self.fit_alone(amount, ahead, now);
        match (&self.share, self.most) {
            (Some(share), Some(most)) if fit == Fit::Now && amount > 0 => {
                match share.leave(amount, ahead, most, self.is_certain(now), now) {
                    Leave::Given => Fit::Now,
                    Leave::OnCredit(wait) => Fit::Unsure(wait),
                    Leave::Awaited(wait) => Fit::Later(Some(wait)),
                }
            }
            _ => fit,
        }
    }

    /// The same, whatever other instances may use.
    fn fit_alone(&self, amount: u64, ahead: u64, now: Now) -> Fit {
        let Some(most) = self.most.filter(|_| amount > 0) else { return Fit::Now };
        let wait = self.time_until_fit(&self.used, amount, ahead, now);
        if amount <= most && wait == Some(Duration::ZERO) {
            return Fit::Now;
        }
        let is_certain = self.is_certain(now);
        let may_fit = self.may_fit(amount, ahead, now);
        match wait {
            wait if amount > most && !is_certain => Fit::Unsure(wait.unwrap_or_default()),
            _ if amount > most => self.never(now),
            _ if may_fit && self.gives_back == Some(true) => Fit::Now,
            Some(wait) if may_fit || !is_certain => Fit::Unsure(wait),
            wait => Fit::Later(self.time_until_may_fit(amount, ahead, now).or(wait)),
        }
    }

    /// What is larger than the whole never fits, unless the limit was only inferred, and for some time.
    fn never(&self, now: Now) -> Fit {
        match self.certain_until {
            Some(Duration::MAX) | None => Fit::Never,
            Some(until) => Fit::Later(Some(until.saturating_sub(now.tick))),
        }
    }

    /// Whether the limit was stated: by the provider or by the user.
    pub(super) fn is_stated(&self) -> bool {
        self.certain_until == Some(Duration::MAX)
    }

    /// Whether it fits if the provider gives back what answers did not need, which it may do.
    fn may_fit(&self, amount: u64, ahead: u64, now: Now) -> bool {
        self.time_until_may_fit(amount, ahead, now).is_some_and(|wait| wait.is_zero())
    }

    fn time_until_may_fit(&self, amount: u64, ahead: u64, now: Now) -> Option<Duration> {
        let used = self.used_if_given_back.as_ref().filter(|_| self.gives_back != Some(false));
        self.time_until_fit(used?, amount, ahead, now)
    }

    fn time_until_fit(&self, used: &Used, amount: u64, ahead: u64, now: Now) -> Option<Duration> {
        let most = self.most?.max(1);
        let wanted = ahead.saturating_add(amount.min(most));
        // Whole windows go by while others take all of it.
        let (windows, rest) = ((wanted.saturating_sub(1)) / most, (wanted.saturating_sub(1)) % most + 1);
        let windows = self.measure.window.length().saturating_mul(u32::try_from(windows).unwrap_or(u32::MAX));
        let wait = used.time_until(most.saturating_sub(rest), most, now)?;
        let is_enough = |it: &Reset| it.since.saturating_add(rest) <= it.room.unwrap_or(most);
        let stated = self.reset.filter(is_enough).map(|it| it.at.left(now));
        Some(wait.min(stated.unwrap_or(wait)).saturating_add(windows))
    }

    /// If the time has come at which the provider says that there is room, there is.
    pub(super) fn refresh(&mut self, now: Now) {
        let Some(reset) = self.reset.filter(|it| it.at.left(now).is_zero()) else { return };
        self.reset = None;
        let most = self.most.unwrap_or(u64::MAX);
        for it in [Some(&mut self.used), self.used_if_given_back.as_mut()].into_iter().flatten() {
            let used = reset.room.map_or(0, |room| most.saturating_sub(room)).saturating_add(reset.since);
            if it.amount(most, now) > used {
                it.set(used, None, most, now);
            }
        }
    }

    /// Counts what was used before this process, at an earlier moment.
    pub(super) fn restore(&mut self, amount: u64, then: Now) {
        let most = self.most.unwrap_or(u64::MAX);
        self.used.add(amount, most, then);
        self.used_if_given_back.iter_mut().for_each(|used| used.add(amount, most, then));
    }

    /// Counts a call that is being sent. If it goes beyond a guess, it is the one that finds out.
    pub(super) fn reserve(&mut self, attempt: u64, amount: u64, now: Now) {
        let most = self.most.unwrap_or(u64::MAX);
        if matches!(self.fit(amount, 0, now), Fit::Unsure(_)) {
            self.explorer.get_or_insert(attempt);
        }
        self.used.add(amount, most, now);
        self.used_if_given_back.iter_mut().for_each(|used| used.add(amount, most, now));
        self.share.iter_mut().for_each(|share| share.add(amount, most, now));
        self.reset.iter_mut().for_each(|reset| reset.since = reset.since.saturating_add(amount));
        if self.open.len() == MOST_OPEN {
            self.open.pop_front();
        }
        self.open.push_back(Open { attempt, amount, sent: now.tick, is_answered: false });
    }

    /// The call's answer has begun: what lay beyond the guess was there.
    pub(super) fn accepted(&mut self, attempt: u64, now: Now) {
        if self.explorer == Some(attempt) {
            let most = self.most.unwrap_or_default();
            let counted = self.used_by_belief().amount(most, now);
            let given_back = self.used_if_given_back.as_ref().filter(|_| self.gives_back.is_none());
            if given_back.is_some_and(|used| used.amount(most, now) <= most) && counted > most {
                self.gives_back = Some(true);
            } else if counted > most && !self.is_certain(now) {
                // The next guess: one refusal more is cheaper than one call at a time.
                self.most = Some(counted.max(most.saturating_mul(2)).min(MOST_COUNTED));
                self.source = Source::Observed;
                self.as_of = Some(now.wall);
            }
        }
        self.close(attempt);
    }

    /// The call has taken `actual` instead of what was `reserved`, or `at_least` this if the provider does not give back
    /// what it had reserved.
    pub(super) fn settle(
        &mut self,
        attempt: u64,
        reserved: u64,
        at_least: u64,
        actual: u64,
        sent: Duration,
        now: Now,
    ) {
        let most = self.most.unwrap_or(u64::MAX);
        correct(&mut self.used, reserved, at_least, sent, most, now);
        if let Some(used) = &mut self.used_if_given_back {
            correct(used, reserved, actual, sent, most, now);
        }
        self.close(attempt);
    }

    /// The call was not counted by the provider.
    pub(super) fn take_back(&mut self, attempt: u64, amount: u64, sent: Duration, now: Now) {
        self.settle_share((amount, 0, 0), sent, now);
        self.settle(attempt, amount, 0, 0, sent, now);
        self.open.retain(|it| it.attempt != attempt);
    }

    /// How full it is, in thousandths, unless its limit was stated: the fullest is the likeliest reason of a refusal.
    pub(super) fn fullness(&self, now: Now) -> Option<u64> {
        let may_give_back = self.used_if_given_back.is_some() && self.gives_back.is_none();
        let is_inferred = matches!(self.source, Source::Default | Source::Observed);
        let is_open = is_inferred || may_give_back || !self.is_certain(now);
        let most = self.most.filter(|_| is_open)?;
        let counted = self.used_by_belief().amount(most, now);
        let is_telling = counted.saturating_mul(INFERRED_PART) >= most && counted > 0;
        is_telling.then(|| counted.saturating_mul(1_000) / most.max(1))
    }

    /// The provider has refused a call of this size because of this limit and said no figure: what was used besides is all
    /// there is.
    pub(super) fn refused(&mut self, amount: u64, sent: Duration, now: Now) {
        let Some(most) = self.most else { return };
        let given_back = self.used_if_given_back.as_ref().filter(|_| self.gives_back.is_none());
        let would_fit = given_back.is_some_and(|it| it.amount(most, now).saturating_add(amount) <= most);
        if would_fit && self.used.amount(most, now).saturating_add(amount) > most {
            // What was not needed has not come back.
            self.gives_back = Some(false);
            return;
        }
        if !matches!(self.source, Source::Default | Source::Observed) {
            return;
        }
        // What others have used meanwhile nobody has told: it is no smaller limit.
        if self.share.as_ref().is_some_and(|share| share.is_alone_among_others(now)) {
            return;
        }
        // What has run off since does not make the limit smaller.
        let counted = self.used_by_belief().amount_at(sent, most, now);
        if counted.saturating_add(amount) <= most {
            self.most = Some(counted.max(1));
        }
        self.source = Source::Observed;
        self.as_of = Some(now.wall);
        let inferred_for = INFERRED_FOR.max(self.measure.window.length());
        self.certain_until = Some(now.tick.saturating_add(inferred_for));
    }

    /// Records what the provider has said in its answer to `attempt`, which it has counted or not. It replaces what was
    /// known, but for calls of which the provider could not know yet.
    pub(super) fn overwrite(
        &mut self,
        reading: &LimitReading,
        attempt: u64,
        is_counted: IsCounted,
        now: Now,
    ) {
        // A limit of nothing in a good answer is no limit; in a refusal it is a matter of the plan.
        if reading.limit == Some(0) && is_counted == IsCounted::Yes {
            return;
        }
        let stated = reading.limit.filter(|&limit| limit > 0).map(|limit| limit.min(MOST_COUNTED));
        let remaining = reading.remaining.map(|remaining| remaining.min(MOST_COUNTED));
        let used_up_to_now = self.used.amount(self.most.unwrap_or(u64::MAX), now);
        let most = match (stated, remaining, self.most) {
            (Some(stated), ..) => stated,
            (None, Some(remaining), Some(most)) => most.max(remaining),
            (None, Some(remaining), None) if remaining > 0 => remaining.saturating_add(used_up_to_now),
            _ => return,
        };
        self.most = Some(most);
        self.as_of = Some(now.wall);
        if stated.is_some() {
            // The first refusal of a calendar's day may not be what it calls itself: one call finds out.
            let is_doubtful = matches!(self.used, Used::Period { .. })
                && (reading.source, self.source == Source::ErrorBody) == (Source::ErrorBody, false);
            self.certain_until = (!is_doubtful).then_some(Duration::MAX);
            self.source = reading.source;
        }
        let Some(remaining) = remaining else { return };
        let reset = self.believable(reading.reset, now);
        let own = self.open.iter().find(|it| it.attempt == attempt).map_or(0, |it| it.amount);
        self.reset = reset.map(|reset| {
            let room = (reading.source == Source::ErrorBody).then_some(own.min(most));
            Reset { at: End::at(reset, now), room, since: self.unseen(attempt) }
        });
        // What was refused is still reserved, and taken back in a moment.
        let uncounted = if is_counted == IsCounted::No { own } else { 0 };
        let used =
            most.saturating_sub(remaining).saturating_add(self.unseen(attempt)).saturating_add(uncounted);
        self.judge_giving_back(used, most, (attempt, is_counted), now);
        for it in [Some(&mut self.used), self.used_if_given_back.as_mut()].into_iter().flatten() {
            it.set(used, reset, most, now);
        }
    }

    /// What is known now; `None` if nothing is.
    pub(super) fn status(&self, now: Now) -> Option<LimitStatus> {
        let most = self.most?;
        let belief = self.used_by_belief();
        let used = belief.amount(most, now);
        let stated = self.reset.map(|reset| reset.at.left(now)).filter(|left| !left.is_zero());
        let resets_at = stated.or_else(|| belief.whole_after(most, now)).map(|left| now.after(left));
        Some(LimitStatus {
            measure: self.measure,
            limit: Some(most),
            used: Some(used.min(most)),
            remaining: Some(most.saturating_sub(used)),
            resets_at,
            source: self.source,
            as_of: self.as_of,
            shared_as_of: self.share.as_ref().and_then(|share| share.told_at()),
        })
    }

    /// Whether the limit was only inferred from what calls have shown.
    pub(super) fn is_observed(&self) -> bool {
        self.source == Source::Observed
    }

    /// Whether more of a calendar's window is used than has gone by of it, and a tenth: so it will not last.
    pub(super) fn is_used_too_fast(&self, now: Now) -> bool {
        let Some((most, gone_by)) = self.most.zip(self.used.gone_by(now)) else { return false };
        let share = self.used_by_belief().amount(most, now) as f64 / most.max(1) as f64;
        share > gone_by + PACE_SLACK
    }

    fn used_by_belief(&self) -> &Used {
        let given_back = self.used_if_given_back.as_ref().filter(|_| self.gives_back == Some(true));
        given_back.unwrap_or(&self.used)
    }

    /// Whether the provider gives back what answers did not need, as far as its figure for what is `used` proves it.
    fn judge_giving_back(&mut self, used: u64, most: u64, (attempt, is_counted): (u64, IsCounted), now: Now) {
        let Some(given_back) = &self.used_if_given_back else { return };
        let (low, high) = (given_back.amount(most, now), self.used.amount(most, now));
        // It was to find out, and the provider's figure is that of one who gives nothing back.
        let was_to_find_out = is_counted == IsCounted::No && self.explorer == Some(attempt);
        let is_high = used.abs_diff(high) <= high.saturating_sub(low) / 4;
        if was_to_find_out && is_high && low <= most && high > most {
            self.gives_back = Some(false);
            return;
        }
        let sent = self.open.iter().find(|it| it.attempt == attempt).map_or(now.tick, |it| it.sent);
        // Between the two ways of counting may lie just what a call of another instance takes.
        let is_clear = !self.share.as_ref().is_some_and(|share| share.have_others_used_since(sent));
        if is_clear && high.saturating_sub(low) > most / PROOF_PART {
            self.gives_back = Some(used.abs_diff(low) < used.abs_diff(high));
        }
    }

    /// What calls have taken of which the answer to `attempt` may not know: those sent after it, and those just before it
    /// whose own head has not come.
    fn unseen(&self, attempt: u64) -> u64 {
        let Some(own) = self.open.iter().find(|it| it.attempt == attempt) else { return 0 };
        let others = self.open.iter().filter(|it| {
            let is_later = it.attempt > attempt;
            let is_beside = !it.is_answered && it.sent.saturating_add(IN_TRANSIT) > own.sent;
            it.attempt != attempt && (is_later || is_beside)
        });
        others.map(|it| it.amount).fold(0, u64::saturating_add)
    }

    /// When all of it is back, if the provider says so and it is no longer than such a window can last.
    fn believable(&self, reset: Option<Wait>, now: Now) -> Option<Timestamp> {
        let longest = match self.measure.window {
            // A calendar's day may have 25 hours, its month 31 days.
            Window::Day => Duration::from_secs(25 * 3_600),
            Window::Month => Duration::from_secs(31 * 86_400),
            window => window.length(),
        };
        Some(reset?.deadline(now.wall)).filter(|&reset| reset <= now.after(longest) && reset > now.wall)
    }

    /// The call's head has come, or it is over: it finds out nothing more.
    pub(super) fn close(&mut self, attempt: u64) {
        if self.explorer == Some(attempt) {
            self.explorer = None;
        }
        if let Some(it) = self.open.iter_mut().find(|it| it.attempt == attempt) {
            it.is_answered = true;
        }
        while self.open.front().is_some_and(|it| it.is_answered) {
            self.open.pop_front();
        }
    }
}

fn correct(used: &mut Used, reserved: u64, actual: u64, sent: Duration, most: u64, now: Now) {
    if actual < reserved {
        used.take_back(reserved - actual, sent, most, now);
    } else {
        used.add(actual - reserved, most, now);
    }
}

/// The limits of several accounts added up. Used and left are known only if they are known for all of them. The reset
/// is the soonest of all, and the sum is as certain, and as old, as its worst part.
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
        as_of: one.as_of.zip(other.as_of).map(|(one, other)| one.min(other)),
        shared_as_of: one.shared_as_of.zip(other.shared_as_of).map(|(one, other)| one.min(other)),
    }
}
