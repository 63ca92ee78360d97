//! `GET /health`: how the proxy is doing. Calls no provider.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::observe::Counts;
use crate::providers::Provider;

/// The body:
/// `{"status":"ok","timestamp":…,"stats":{"uptime":"3600s","services":{"Groq":{"count":…,"failures":…}}}}`.
#[derive(Serialize)]
pub(crate) struct Health {
    status: &'static str,
    timestamp: String,
    stats: HealthStats,
}

#[derive(Serialize)]
struct HealthStats {
    uptime: String,
    // In rotation order, which is why this is not a map.
    #[serde(serialize_with = "by_name")]
    services: Vec<(Provider, Service)>,
}

#[derive(Serialize)]
struct Service {
    count: u64,
    failures: u64,
}

impl Health {
    /// The state at `now`: the counters of each provider.
    pub(crate) fn new(counts: Vec<(Provider, Counts)>, now: Timestamp, uptime: Duration) -> Self {
        let services = counts.into_iter().map(|(provider, counts)| {
            (provider, Service { count: counts.attempts, failures: counts.failures })
        });
        let (uptime, services) = (format!("{}s", uptime.as_secs()), services.collect());
        Self { status: "ok", timestamp: format!("{now:.3}"), stats: HealthStats { uptime, services } }
    }
}

fn by_name<S: Serializer>(services: &[(Provider, Service)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(services.iter().map(|(provider, service)| (provider.name(), service)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_exactly_the_promised_shape() {
        let now = "2025-12-30T06:10:00Z".parse().unwrap();
        let counts = vec![
            (Provider::GROQ, Counts::default()),
            (Provider::CEREBRAS, Counts::default()),
            (Provider::GEMINI, Counts { attempts: 2, failures: 1 }),
        ];
        let health = Health::new(counts, now, Duration::from_millis(3_600_999));
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
