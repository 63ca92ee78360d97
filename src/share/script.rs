//! The script on the server: how a report becomes its arguments, and its answer data. Pure.

#[cfg(test)]
mod tests;

use std::time::Duration;

use redis::{Script, ScriptInvocation, Value};

use crate::quota::{Answer, Kind, Learnt, Report, ShareAnswer};

/// What the server does.
const SOURCE: &str = include_str!("sync.lua");
/// Every key begins with this. Another version's keys have another number.
pub(super) const PREFIX: &str = "ai-proxy-free:v1";
/// A lease holds for so long on the server: twice as long as with its holder.
const LEASE_LIFE: Duration = Duration::from_secs(10);

/// Whether something is so, as the script has it.
const YES: &str = "1";
const NO: &str = "0";
const UNKNOWN: &str = "";

/// Names this process among the instances.
#[derive(Clone, Debug)]
pub(super) struct InstanceId(String);

impl InstanceId {
    /// The name that is made of a random number.
    pub(super) fn new(random: u64) -> Self {
        Self(format!("{random:016x}"))
    }

    /// In letters and digits.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The script, which is sent once and then named by its hash.
pub(super) fn script() -> Script {
    Script::new(SOURCE)
}

/// What is asked of the server. All keys of a provider have one hash tag, so that a cluster keeps them together.
pub(super) fn invocation<'s>(script: &'s Script, report: &Report, id: &InstanceId) -> ScriptInvocation<'s> {
    let mut call = script.prepare_invoke();
    let tag = tag(report.name);
    call.key(format!("{PREFIX}:{{{tag}}}:rest")).key(format!("{PREFIX}:{{{tag}}}:rests"));
    call.arg(id.as_str()).arg(milliseconds(LEASE_LIFE)).arg(report.heard).arg(report.rests.len());
    for rest in &report.rests {
        call.arg(rest.left.map_or(-1, milliseconds)).arg(&rest.words);
    }
    for bucket in &report.buckets {
        let name = &bucket.name;
        call.key(format!("{PREFIX}:{{{tag}}}:used:{name}")).key(format!("{PREFIX}:{{{tag}}}:held:{name}"));
        let limit = bucket.limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1);
        let share = &bucket.share;
        call.arg(word(bucket.kind)).arg(milliseconds(bucket.window)).arg(bucket.period_end_ms).arg(limit);
        call.arg(share.own).arg(share.acknowledged).arg(share.window).arg(&share.epoch);
        call.arg(share.wanted).arg(share.waited_for).arg(share.smallest);
        call.arg(match share.gives_back {
            None => UNKNOWN,
            Some(false) => NO,
            Some(true) => YES,
        });
        let learnt = bucket.learnt.as_ref();
        call.arg(u8::from(learnt.is_some_and(Learnt::is_stated))).arg(learnt.map_or(0, |it| it.as_of_ms));
        call.arg(learnt.map(Learnt::words).unwrap_or_default());
    }
    call
}

/// A provider's name as it stands in keys.
fn tag(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(plain).collect()
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Sliding => "s",
        Kind::Refill => "r",
        Kind::Period => "p",
        Kind::AtOnce => "a",
    }
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// What the server has answered; `None` if that is not what the script says.
pub(super) fn answer(value: Value, id: &InstanceId) -> Option<Answer> {
    let mut items = array(value)?.into_iter();
    let time_ms = number(items.next()?)?;
    let latest_rest = u64::try_from(number(items.next()?)?).ok()?;
    let rests = array(items.next()?)?.into_iter().filter_map(|it| rest(&text(it)?, time_ms, id));
    let rests = rests.collect();
    let buckets = items.map(bucket).collect::<Option<Vec<ShareAnswer>>>()?;
    Some(Answer { time_ms, latest_rest, rests, buckets })
}

/// `number instance told end words`, of another instance and not over yet.
fn rest(text: &str, now_ms: i64, id: &InstanceId) -> Option<(Option<Duration>, String)> {
    let mut words = text.splitn(5, ' ').skip(1);
    let by = words.next()?;
    let told_ms: i64 = words.next()?.parse().ok()?;
    let ends_ms: i64 = words.next()?.parse().ok()?;
    let words = words.next()?.to_owned();
    // The clock may have been set back since: no rest is longer than it was when it was told.
    let left = ends_ms.saturating_sub(now_ms.max(told_ms));
    let left = u64::try_from(left).ok().filter(|left| *left > 0);
    if by == id.as_str() || (ends_ms >= 0 && left.is_none()) {
        return None;
    }
    Some((left.filter(|_| ends_ms >= 0).map(Duration::from_millis), words))
}

fn bucket(value: Value) -> Option<ShareAnswer> {
    let mut items = array(value)?.into_iter();
    let epoch = text(items.next()?)?;
    let ever = number(items.next()?)?;
    let mut amount = || u64::try_from(number(items.next()?)?).ok();
    let (used, lease, instances, left) = (amount()?, amount()?, amount()?, amount()?);
    let slots = array(items.next()?)?.into_iter().map(|it| u64::try_from(number(it)?).ok());
    let slots: Vec<u64> = slots.collect::<Option<_>>()?;
    let slots = slots.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect();
    let learnt = Learnt::parse(&text(items.next()?)?);
    let gives_back = match text(items.next()?)?.as_str() {
        YES => Some(true),
        NO => Some(false),
        _ => None,
    };
    Some(ShareAnswer { epoch, ever, used, lease, instances, left, slots, learnt, gives_back })
}

fn array(value: Value) -> Option<Vec<Value>> {
    if let Value::Array(items) = value { Some(items) } else { None }
}

fn number(value: Value) -> Option<i64> {
    if let Value::Int(number) = value { Some(number) } else { None }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}
