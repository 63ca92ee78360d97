//! `GET /providers`: what is known of every provider and model. Calls no provider.
//!
//! A model's state is that of the key that can serve first. Refused keys count only when all keys are refused, because
//! a cooldown of the others ends by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::limits::limits_together;
use crate::middle::Reason;
use crate::observe::Outcome;
use crate::quota::{Blocked, LimitStatus, ModelSnapshot, ProviderSnapshot, Quota};
use crate::share::SharingSnapshot;

/// The body.
#[derive(Serialize)]
pub(crate) struct Report {
    /// How many requests wait in line.
    waiting: usize,
    /// Told only where quotas are to be shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    sharing: Option<SharingReport>,
    providers: Vec<ProviderReport>,
}

/// Whether numbers are shared with other instances.
#[derive(Serialize)]
struct SharingReport {
    /// `shared` or `alone`.
    state: &'static str,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    instances: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_exchange: Option<String>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct ProviderReport {
    name: &'static str,
    configured: bool,
    keys: usize,
    /// Told only of those of whom it is true.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    may_log_prompts: bool,
    models: Vec<ModelReport>,
}

#[derive(Serialize)]
struct ModelReport {
    #[serde(serialize_with = "as_text")]
    id: Arc<str>,
    #[serde(flatten)]
    standing: Standing,
    limits: Vec<LimitReport>,
    #[serde(serialize_with = "in_words")]
    outcomes: BTreeMap<Outcome, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_to_first_token_ms: Option<PercentilesReport>,
}

/// Whether a model can serve, or why not and until when.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Standing {
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It can serve now.
    Ready,
    /// It is in cooldown.
    CoolingDown,
    /// The daily quota is used up.
    Exhausted,
    /// A person has to act: add a key, replace it, add credit, choose another model.
    Disabled,
}

#[derive(Serialize)]
struct LimitReport {
    unit: &'static str,
    window: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_at: Option<String>,
    source: &'static str,
    /// When that source last spoke; the documents and the settings have no time.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<String>,
    /// Whether it holds for all instances together at this moment.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shared: bool,
    /// When other instances last told what they have used of it; told only where quotas are shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared_as_of: Option<String>,
}

#[derive(Serialize)]
struct PercentilesReport {
    p50: u32,
    p99: u32,
}

/// The current state.
pub(crate) fn report(quota: &Quota, sharing: Option<SharingSnapshot>) -> Report {
    let is_shared = sharing.as_ref().is_some_and(|it| it.is_shared);
    let providers = quota.snapshot().into_iter().map(|it| ProviderReport::new(it, is_shared));
    Report {
        waiting: quota.waiting(),
        sharing: sharing.map(SharingReport::from),
        providers: providers.collect(),
    }
}

impl From<SharingSnapshot> for SharingReport {
    fn from(known: SharingSnapshot) -> Self {
        Self {
            state: if known.is_shared { "shared" } else { "alone" },
            since: time_stamp(known.since),
            instances: known.instances,
            last_exchange: known.last_exchange.map(|it| time_stamp(it.wall)),
            reason: known.reason,
        }
    }
}

impl ProviderReport {
    fn new(snapshot: ProviderSnapshot, is_shared: bool) -> Self {
        let ProviderSnapshot { provider, accounts, models, .. } = snapshot;
        Self {
            name: provider.name(),
            configured: accounts > 0,
            keys: accounts,
            may_log_prompts: accounts > 0 && provider.profile().may_log_prompts,
            models: models.into_iter().map(|it| ModelReport::new(it, is_shared)).collect(),
        }
    }
}

impl ModelReport {
    fn new(snapshot: ModelSnapshot, is_shared: bool) -> Self {
        let ModelSnapshot { id, blocked, limits, stats } = snapshot;
        let limits = limits_together(&blocked, limits);
        let first_tokens = stats.first_tokens();
        Self {
            id,
            standing: standing(&blocked),
            limits: limits.into_iter().map(|it| LimitReport::new(it, is_shared)).collect(),
            outcomes: stats.outcomes(),
            time_to_first_token_ms: first_tokens.map(|it| PercentilesReport { p50: it.p50, p99: it.p99 }),
        }
    }
}

/// The state of a model whose keys are in these states.
fn standing(keys: &[Option<Blocked>]) -> Standing {
    let ready = Standing { state: State::Ready, reason: None, until: None };
    let Some(blocks) = keys.iter().copied().collect::<Option<Vec<Blocked>>>() else {
        return ready;
    };
    let soonest = blocks.iter().min_by_key(|block| block.urgency());
    // Without a key, nothing can have happened to one.
    soonest.map_or(Standing { state: State::Disabled, ..ready }, |block| Standing {
        state: state_of(block.reason),
        reason: Some(block.reason.as_str()),
        until: (block.until < Timestamp::MAX).then(|| time_stamp(block.until)),
    })
}

fn state_of(reason: Reason) -> State {
    match reason {
        Reason::QuotaExhausted => State::Exhausted,
        reason if reason.needs_a_person() => State::Disabled,
        _ => State::CoolingDown,
    }
}

fn as_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn in_words<S: Serializer>(outcomes: &BTreeMap<Outcome, u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(outcomes.iter().map(|(outcome, count)| (outcome.as_str(), count)))
}

fn time_stamp(at: Timestamp) -> String {
    format!("{at:.3}")
}

impl LimitReport {
    fn new(known: LimitStatus, is_shared: bool) -> Self {
        Self {
            unit: known.measure.unit.as_str(),
            window: known.measure.window.as_str(),
            limit: known.limit,
            used: known.used,
            remaining: known.remaining,
            resets_at: known.resets_at.map(time_stamp),
            source: known.source.as_str(),
            as_of: known.as_of.map(time_stamp),
            shared: is_shared && known.shared_as_of.is_some(),
            shared_as_of: known.shared_as_of.map(time_stamp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_as_ready_as_its_readiest_key() {
        let at = |second| Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        let until = |reason, second| Some(Blocked { until: at(second), reason, is_certain: true });
        let gone = until(Reason::ModelGone, i64::MAX);
        let is = |state, reason: Option<Reason>, until: Option<&str>| Standing {
            state,
            reason: reason.map(Reason::as_str),
            until: until.map(str::to_owned),
        };
        let limited = until(Reason::RateLimited, 60);
        let exhausted = until(Reason::QuotaExhausted, 50);
        let refused = until(Reason::BadKey, 10);
        let (ten, fifty, sixty) =
            ("1970-01-01T00:00:10.000Z", "1970-01-01T00:00:50.000Z", "1970-01-01T00:01:00.000Z");
        let cases: [(&[Option<Blocked>], Standing); 10] = [
            (&[], is(State::Disabled, None, None)),
            (&[None], is(State::Ready, None, None)),
            (&[limited, None], is(State::Ready, None, None)),
            (&[limited], is(State::CoolingDown, Some(Reason::RateLimited), Some(sixty))),
            (&[limited, exhausted], is(State::Exhausted, Some(Reason::QuotaExhausted), Some(fifty))),
            (&[refused, limited], is(State::CoolingDown, Some(Reason::RateLimited), Some(sixty))),
            (&[gone, limited], is(State::CoolingDown, Some(Reason::RateLimited), Some(sixty))),
            (&[refused], is(State::Disabled, Some(Reason::BadKey), Some(ten))),
            (&[gone, refused], is(State::Disabled, Some(Reason::BadKey), Some(ten))),
            (&[gone], is(State::Disabled, Some(Reason::ModelGone), None)),
        ];
        for (keys, expected) in cases {
            assert_eq!(standing(keys), expected, "{keys:?}");
        }
    }
}
