//! `GET /metrics`: the numbers of `/health` and `/providers`, and more, for Prometheus. Calls no provider.
//!
//! Nothing is recorded for this alone that another report shows as well: all of it is read when it is asked for. The number
//! of series is bounded: clients make none, and a provider's lists of models only a few.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::limits::limits_together;
use crate::observe::{Distribution, OpenStreams, Outcome, Recorded, RequestCounts};
use crate::quota::{LimitStatus, ModelSnapshot, ProviderSnapshot, Quota};
use crate::share::SharingSnapshot;
use crate::time::Moment;

/// The `Content-Type` of the body.
pub(crate) const METRICS_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// How many models of a provider have series of their own: the wanted ones, the built-in ones and the first that its lists
/// bring. A model keeps its name for as long as the process lives, because a counter must never go back.
const NAMED_MODELS: usize = 64;

/// All other models of a provider.
const OTHER: &str = "other";

/// Memory for the body of a proxy with a few models, in bytes.
const USUAL_BYTES: usize = 32 * 1024;

/// Everything that is known now, in the Prometheus text format 0.0.4.
///
/// # Errors
/// The library cannot write it. No value is known for which that happens.
pub(crate) fn metrics(
    quota: &Quota,
    requests: &RequestCounts,
    open_streams: &OpenStreams,
    sharing: Option<SharingSnapshot>,
) -> Result<String, fmt::Error> {
    Scrape {
        requests: requests.counts(),
        open_streams: open_streams.count() as u64,
        waiting: quota.waiting() as u64,
        sharing: sharing.map(|it| (it, quota.now())),
        models: quota.snapshot().into_iter().flat_map(models).collect(),
    }
    .write()
}

/// What is known at one moment.
#[derive(Debug)]
struct Scrape {
    /// Surface, status and count.
    requests: Vec<(&'static str, u16, u64)>,
    open_streams: u64,
    waiting: u64,
    /// How sharing with other instances goes, and the time.
    sharing: Option<(SharingSnapshot, Moment)>,
    models: Vec<Model>,
}

#[derive(Debug)]
struct Model {
    provider: &'static str,
    id: Arc<str>,
    recorded: Recorded,
    limits: Vec<LimitStatus>,
    /// How many of its keys rest, by reason.
    resting: BTreeMap<&'static str, u64>,
}

/// The models of a provider that are in use or were called.
fn models(snapshot: ProviderSnapshot) -> Vec<Model> {
    let ProviderSnapshot { provider, accounts, models, stats } = snapshot;
    let in_use = models.into_iter().filter(|_| accounts > 0).map(|model| (model.id.clone(), model));
    let mut in_use: BTreeMap<Arc<str>, ModelSnapshot> = in_use.collect();
    let mut named = Vec::new();
    let mut other: Option<Recorded> = None;
    for (number, (id, stats)) in stats.into_iter().enumerate() {
        let snapshot = in_use.remove(&id);
        if snapshot.is_none() && stats.counts().attempts == 0 {
            continue;
        }
        let recorded = stats.recorded();
        if number < NAMED_MODELS && *id != *OTHER {
            named.push(Model::new(provider.name(), id, recorded, snapshot));
        } else if let Some(sum) = &mut other {
            *sum += &recorded;
        } else {
            other = Some(recorded);
        }
    }
    named.extend(other.map(|recorded| Model::new(provider.name(), OTHER.into(), recorded, None)));
    named
}

impl Model {
    fn new(
        provider: &'static str,
        id: Arc<str>,
        recorded: Recorded,
        snapshot: Option<ModelSnapshot>,
    ) -> Self {
        let (blocked, limits) = snapshot.map(|it| (it.blocked, it.limits)).unwrap_or_default();
        let mut resting = BTreeMap::new();
        for blocked in blocked.iter().flatten() {
            *resting.entry(blocked.reason.as_str()).or_default() += 1;
        }
        Self { provider, id, recorded, limits: limits_together(&blocked, limits), resting }
    }

    /// The labels of OpenTelemetry's names.
    fn gen_ai(&self) -> [(&'static str, &str); 2] {
        [("gen_ai_provider_name", self.provider), ("gen_ai_request_model", &self.id)]
    }

    /// The same for an attempt that ended like this. In Prometheus an empty label is none, as the conventions want it.
    fn gen_ai_error(&self, outcome: Outcome) -> [(&'static str, &str); 3] {
        let [provider, model] = self.gen_ai();
        let error = if outcome == Outcome::Ok { "" } else { outcome.as_str() };
        [provider, model, ("error_type", error)]
    }

    /// The same for one kind of tokens.
    fn gen_ai_tokens(&self, kind: &'static str) -> [(&'static str, &str); 3] {
        let [provider, model] = self.gen_ai();
        [provider, model, ("gen_ai_token_type", kind)]
    }

    /// How many attempts have ended in which way. Zeros, too: a rate does not see what was not there before.
    fn outcomes(&self) -> impl Iterator<Item = (Outcome, u64)> {
        let count = |outcome| self.recorded.durations.get(&outcome).map_or(0, Distribution::count);
        Outcome::all().into_iter().map(move |outcome| (outcome, count(outcome)))
    }

    fn limit(&self, limit: &LimitStatus) -> [(&'static str, &str); 4] {
        let (unit, window) = (limit.measure.unit.as_str(), limit.measure.window.as_str());
        [("provider", self.provider), ("model", &self.id), ("unit", unit), ("window", window)]
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.write_requests(&mut encoder)?;
        self.write_attempts(&mut encoder)?;
        self.write_times(&mut encoder)?;
        self.write_tokens(&mut encoder)?;
        self.write_limits(&mut encoder)?;
        self.write_resting(&mut encoder)?;
        self.sharing.as_ref().map_or(Ok(()), |(sharing, now)| write_sharing(&mut encoder, sharing, *now))
    }
}

impl Scrape {
    fn write(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::with_capacity(USUAL_BYTES);
        prometheus_text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn write_requests(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests by surface and by the HTTP status of their answer. Surface other: a path of no surface. Status \
                    499: the client left before there was a status. A stream that breaks off keeps its 200. Answers of \
                    the page, /health, /providers and /metrics and to preflights count only if they are refusals";
        let mut family = to.encode_descriptor("ai_proxy_requests", help, None, MetricType::Counter)?;
        for (surface, status, count) in &self.requests {
            let labels = [("surface", *surface), ("status", &status.to_string())];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(count, None)?;
        }
        let help = "Streamed answers that are being sent to clients now";
        gauges(to, "ai_proxy_open_streams", help, [([], self.open_streams)])?;
        let help = "Requests that wait for room in a limit now";
        gauges(to, "ai_proxy_waiting_requests", help, [([], self.waiting)])
    }

    fn write_attempts(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Calls to providers that have ended, by outcome: ok (the answer was complete), cancelled (the client left \
                    or the proxy ended), or the reason of the failure";
        let mut family = to.encode_descriptor("ai_proxy_attempts", help, None, MetricType::Counter)?;
        for model in &self.models {
            for (outcome, count) in model.outcomes() {
                let labels =
                    [("provider", model.provider), ("model", &*model.id), ("outcome", outcome.as_str())];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
            }
        }
        Ok(())
    }

    fn write_times(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Time from sending a call to the first token of its answer, thoughts included, of calls whose answer began";
        let first_tokens = self.models.iter().map(|model| (model.gen_ai(), &model.recorded.first_tokens));
        histograms(to, "gen_ai_server_time_to_first_token_seconds", help, Unit::Micros, first_tokens)?;
        let help = "Time from sending a call to the end of its answer, of a stream to its last token, so a client that reads \
                    slowly makes it longer. error_type is empty for a complete answer, cancelled if the client left, else \
                    the reason of the failure. Waiting in line and earlier calls of the request are not in it";
        let durations = self.models.iter().flat_map(|model| {
            let durations = model.recorded.durations.iter();
            durations.map(|(outcome, durations)| (model.gen_ai_error(*outcome), durations))
        });
        histograms(to, "gen_ai_server_request_duration_seconds", help, Unit::Micros, durations)
    }

    fn write_tokens(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Tokens of complete answers as the provider counted them: input is the conversation, output the answer \
                    with its thoughts. An answer for which the provider tells none does not count";
        let tokens = self.models.iter().flat_map(|model| {
            let Recorded { prompt_tokens, completion_tokens, .. } = &model.recorded;
            [
                (model.gen_ai_tokens("input"), prompt_tokens),
                (model.gen_ai_tokens("output"), completion_tokens),
            ]
        });
        histograms(to, "gen_ai_client_token_usage", help, Unit::Whole, tokens)
    }

    fn write_limits(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let known =
            || self.models.iter().flat_map(|model| model.limits.iter().map(move |limit| (model, limit)));
        let help = "A limit of the plan, all keys of the provider added up but those that are refused. Models that share a \
                    limit each show the whole of it";
        let limits = known().filter_map(|(model, limit)| Some((model.limit(limit), limit.limit?)));
        gauges(to, "ai_proxy_limit", help, limits)?;
        let help = "What is left of ai_proxy_limit now; absent while it is not known for every key";
        let remaining = known().filter_map(|(model, limit)| Some((model.limit(limit), limit.remaining?)));
        gauges(to, "ai_proxy_limit_remaining", help, remaining)
    }

    fn write_resting(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "How many keys of the provider are not called with this model now, or only if nobody else is left, by \
                    reason; absent if none rests";
        let resting = self.models.iter().flat_map(|model| {
            let labels = |reason| [("provider", model.provider), ("model", &*model.id), ("reason", reason)];
            model.resting.iter().map(move |(reason, keys)| (labels(*reason), *keys))
        });
        gauges(to, "ai_proxy_resting", help, resting)
    }
}

fn write_sharing(to: &mut DescriptorEncoder<'_>, sharing: &SharingSnapshot, now: Moment) -> fmt::Result {
    let help = "Whether limits are shared with the other instances now: 1, or 0 if the server is not of use and this \
                instance goes on alone";
    gauges(to, "ai_proxy_sharing_up", help, [([], u64::from(sharing.is_shared))])?;
    let help = "The most instances, this one included, that used a limit of this one's at the latest exchange that \
                succeeded; absent before the first";
    gauges(to, "ai_proxy_sharing_instances", help, sharing.instances.map(|it| ([], it)))?;
    let help = "Exchanges with the server, by result: ok (one for each provider that something was told of), or failed";
    let mut family = to.encode_descriptor("ai_proxy_sharing_exchanges", help, None, MetricType::Counter)?;
    for (result, count) in [("ok", sharing.succeeded), ("failed", sharing.failed)] {
        family.encode_family(&[("result", result)])?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
    }
    let help = "How long ago the latest exchange succeeded; absent before the first";
    let name = "ai_proxy_sharing_last_exchange_age_seconds";
    let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    if let Some(last) = sharing.last_exchange {
        let age = now.steady.saturating_sub(last.steady).as_secs_f64();
        family.encode_family::<[(&str, &str); 0]>(&[])?.encode_gauge(&age)?;
    }
    Ok(())
}

/// The labels of a series.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

fn gauges<'a, const N: usize>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

/// What a histogram counts.
#[derive(Clone, Copy)]
enum Unit {
    /// Microseconds, shown as seconds.
    Micros,
    /// Numbers of something.
    Whole,
}

impl Unit {
    /// `value` as it is shown. Exact up to 2^53, which is 285 years.
    fn shown(self, value: u64) -> f64 {
        match self {
            Self::Micros => value as f64 / 1e6,
            Self::Whole => value as f64,
        }
    }
}

fn histograms<'a, const N: usize>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Unit,
    series: impl IntoIterator<Item = (Labels<'a, N>, &'a Distribution)>,
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (labels, values) in series {
        let bounds = values.bounds.iter().map(|bound| unit.shown(*bound)).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(values.counts.iter().copied()).collect();
        let (sum, count) = (unit.shown(values.sum), values.count());
        family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::ModelStats;

    /// Ids of models are checked where they come from; if one slips through, it must not forge a line.
    #[test]
    fn odd_names_stay_in_their_quotes() {
        let odd = "a\"b\\c\nai_proxy_open_streams 7";
        let stats = ModelStats::default();
        stats.ended(Outcome::Ok, std::time::Duration::from_secs(1));
        let model = Model::new("Groq", odd.into(), stats.recorded(), None);
        let scrape =
            Scrape { requests: Vec::new(), open_streams: 0, waiting: 0, sharing: None, models: vec![model] };
        let text = scrape.write().unwrap();
        let line = r#"ai_proxy_attempts_total{provider="Groq",model="a\"b\\c\nai_proxy_open_streams 7",outcome="ok"} 1"#;
        assert!(text.lines().any(|it| it == line), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("ai_proxy_open_streams")).count(), 1);
    }
}
