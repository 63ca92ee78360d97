//! `GET /health`: how it goes. Touches no provider.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::providers::Directory;
use crate::observe::Stats;

/// The body: `{"status":"ok","timestamp":…,"stats":{"uptime":"3600s","services":{"Groq":{"count":…,"failures":…}}}}`.
#[derive(Serialize)]
pub(crate) struct Health<'a> {
    status: &'static str,
    timestamp: String,
    stats: HealthStats<'a>,
}

#[derive(Serialize)]
struct HealthStats<'a> {
    uptime: String,
    #[serde(serialize_with = "services")]
    services: &'a Stats,
}

#[derive(Serialize)]
struct Service {
    count: u64,
    failures: u64,
}

impl<'a> Health<'a> {
    /// The state of things at `now`.
    pub(crate) fn new(stats: &'a Stats, now: Timestamp, uptime: Duration) -> Self {
        let uptime = format!("{}s", uptime.as_secs());
        Self { status: "ok", timestamp: format!("{now:.3}"), stats: HealthStats { uptime, services: stats } }
    }
}

/// All providers in rotation order, which is why this is no map.
fn services<S: Serializer>(stats: &&Stats, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(Directory::built_in().iter().map(|provider| {
        let counts = stats.counts(provider);
        (provider.name(), Service { count: counts.attempts, failures: counts.failures })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middle::Reason;
    use crate::observe::Outcome;

    #[test]
    fn has_exactly_the_promised_shape() {
        let stats = Stats::default();
        let now = "2025-12-30T06:10:00Z".parse().unwrap();
        for model in ["gemini-3.5-flash-lite", "gemini-3.8-flash"] {
            stats.model(Provider::GEMINI, model).attempted(0, None, now);
        }
        stats.model(Provider::GEMINI, "gemini-3.8-flash").ended(Outcome::Failed(Reason::Overloaded));
        let health = Health::new(&stats, now, Duration::from_millis(3_600_999));
        assert_eq!(
            serde_json::to_string(&health).unwrap(),
            concat!(
                r#"{"status":"ok","timestamp":"2025-12-30T06:10:00.000Z","stats":{"uptime":"3600s","services":{"#,
                r#""Groq":{"count":0,"failures":0},"Cerebras":{"count":0,"failures":0},"#,
                r#""Gemini":{"count":2,"failures":1}}}}"#
            )
        );
    }
}
