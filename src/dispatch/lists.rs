//! The providers' own lists of models: read beside serving, never waited for.
//!
//! A list costs no quota, so it is also how a key is tried and a connection opened before the first request. It is no
//! attempt: nothing of it is counted, and a list that cannot be had changes nothing.

use std::convert::Infallible;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use super::{Dispatcher, Service};
use crate::middle::{Diagnosis, Failure, Reason, Scope};
use crate::providers::Provider;
use super::upstream::{Query, Response};

/// How long lists are believed. Models are retired with weeks of notice and come back within hours of an accident; an
/// answer that says so is heard at once in any case.
const LIST_LIFE: Duration = Duration::from_secs(6 * 3_600);

/// The most that is added to that by chance, so that many proxies do not ask in the same second.
const LIST_LIFE_JITTER: Duration = Duration::from_secs(60);

/// How soon lists are asked for again when one could not be had: there may have been no network yet.
const LIST_RETRY: Duration = Duration::from_secs(5 * 60);

/// For a whole list, besides connecting: it is some tens of kilobytes that nobody has to think about.
const LIST_TIME: Duration = Duration::from_secs(5);

/// How much of that the body of an error may take.
const ERROR_TIME: Duration = Duration::from_secs(1);

/// The longest list, in bytes: Google's entries have some 700 bytes, and a page has a thousand of them at most.
const MAX_LIST_BYTES: usize = 1024 * 1024;

/// What came of reading the list for one key.
#[derive(Debug)]
pub struct Reading {
    /// Whose list.
    pub provider: Provider,
    /// For which of its keys, from 0.
    pub key: usize,
    /// The best model to use with it, or why there is no list.
    pub model: Result<String, Failure>,
}

impl Dispatcher {
    /// Reads all lists now and again every six hours, as long as it is polled; every five minutes while one cannot be had.
    pub async fn keep_models_current(&self, mut random: fastrand::Rng) -> Infallible {
        loop {
            let readings = self.read_lists().await;
            tokio::time::sleep(time_until_next(&readings, &mut random)).await;
        }
    }

    /// Reads all lists, one for each key, and goes by them from then on. Waits at most `timeouts.connect` and five
    /// seconds.
    pub async fn read_lists(&self) -> Vec<Reading> {
        let readings = join_all(self.services.iter().map(|service| self.read_lists_of(service))).await;
        readings.into_iter().flatten().collect()
    }

    async fn read_lists_of(&self, service: &Service) -> Vec<Reading> {
        let keys = 0..service.key_headers.len();
        let lists = join_all(keys.map(|key| self.read_list(service, key))).await;
        let mut outcomes = Vec::new();
        for (key, list) in lists.into_iter().enumerate() {
            outcomes.push(list.map(|list| service.catalogue().learn(key, list)));
        }
        self.restock(service);
        let readings = outcomes.into_iter().enumerate().map(|(key, outcome)| {
            self.report(service, key, &outcome);
            Reading { provider: service.provider, key, model: outcome.map(|_| self.chosen(service, key)) }
        });
        readings.collect()
    }

    /// The list of one key.
    async fn read_list(&self, service: &Service, key: usize) -> Result<Vec<String>, Failure> {
        let deadline = Instant::now() + self.timeouts.connect + LIST_TIME;
        let too_late = |_| Failure::without_answer(Reason::Timeout, Scope::Provider);
        timeout_at(deadline, self.fetch_list(service, key)).await.map_err(too_late)?
    }

    async fn fetch_list(&self, service: &Service, key: usize) -> Result<Vec<String>, Failure> {
        let provider = service.provider;
        let no_key = || Failure::without_answer(Reason::BadKey, Scope::Key);
        let key_header = service.key_headers.get(key).ok_or_else(no_key)?;
        let query = Query {
            url: format!("{}{}", service.base_url, provider.models_path()),
            network: service.network,
            key_header: key_header.clone(),
        };
        let Response { status, headers, body } = self.upstream.get(query).await?;
        let failure = |diagnosis: Diagnosis| diagnosis.into_failure(status, &self.redactor);
        if !(200..300).contains(&status) {
            let body = body.beginning(Instant::now() + ERROR_TIME).await;
            return Err(failure(provider.diagnose(status, &headers, &body)));
        }
        let body = body.whole(MAX_LIST_BYTES).await;
        let list = body.and_then(|body| provider.parse_models(&body));
        list.ok_or_else(|| failure(Diagnosis::provider(Reason::UpstreamError)))
    }

    /// Goes by what is known of a provider's models now.
    fn restock(&self, service: &Service) {
        let catalogue = service.catalogue();
        let limits = &self.ledger.limits;
        let change = limits.restock(service.provider, catalogue.stock(&service.names), self.ledger.now());
        drop(catalogue);
        self.report_lost(service, &change.lost);
        for model in change.back.into_iter().filter_map(|number| service.names.get(number)) {
            info!("{} offers {model} again", service.provider.name());
        }
    }

    /// Says what is used instead of models that are gone, if anything is.
    pub(super) fn report_lost(&self, service: &Service, lost: &[usize]) {
        let name = service.provider.name();
        let used: Vec<(usize, &str)> = self.in_use(service).collect();
        let Some((_, instead)) = used.first() else {
            return;
        };
        // One that another key still has, or that there is nothing instead of, is still used.
        let unused = lost.iter().filter(|lost| !used.iter().any(|(number, _)| number == *lost));
        for model in unused.filter_map(|&number| service.names.get(number)) {
            warn!("{name} does not offer {model} any more: using {instead} instead");
        }
    }

    /// The best model for one key.
    fn chosen(&self, service: &Service, key: usize) -> String {
        let number = self.ledger.limits.first_in_use(service.provider, key, self.ledger.now());
        number.and_then(|number| service.names.get(number)).unwrap_or_default().to_owned()
    }

    fn report(&self, service: &Service, key: usize, outcome: &Result<bool, Failure>) {
        let (name, number, keys) = (service.provider.name(), key + 1, service.key_headers.len());
        match outcome {
            Ok(true) => debug!("{name} has sent its list of models for key {number} of {keys}"),
            Ok(false) => {
                info!("{name} lists no model to chat with for key {number} of {keys}: going by what is set");
            }
            // Only said: a call finds out whether it is true, and what rests follows from calls alone.
            Err(failure) if failure.reason == Reason::BadKey => {
                warn!(status = failure.status, "{name} refuses key {number} of {keys}");
            }
            Err(failure) => {
                let (reason, status) = (failure.reason.as_str(), failure.status);
                info!(reason, status, "{name} gives no list of models for key {number} of {keys}");
            }
        }
    }
}

/// How long what came of a reading is good for.
fn time_until_next(readings: &[Reading], random: &mut fastrand::Rng) -> Duration {
    // A refused key needs a person, who starts anew.
    let is_missing =
        |reading: &Reading| matches!(&reading.model, Err(failure) if failure.reason != Reason::BadKey);
    let life = if readings.iter().any(is_missing) { LIST_RETRY } else { LIST_LIFE };
    life + LIST_LIFE_JITTER.mul_f64(random.f64())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::Config;
    use crate::middle::Redactor;

    #[test]
    fn lists_are_good_for_six_hours_and_what_is_missing_is_asked_for_soon() {
        let reading = |model| Reading { provider: Provider::GROQ, key: 0, model };
        let well = || reading(Ok("m".to_owned()));
        let failed = |reason| reading(Err(Failure::without_answer(reason, Scope::Provider)));
        let minutes = |readings: &[Reading]| {
            let wait = time_until_next(readings, &mut fastrand::Rng::with_seed(7));
            wait.as_secs() / 60
        };
        assert_eq!(minutes(&[well(), well()]), 360);
        assert_eq!(minutes(&[well(), failed(Reason::BadKey)]), 360);
        assert_eq!(minutes(&[well(), failed(Reason::ConnectFailed)]), 5);
        assert_eq!(minutes(&[]), 360);
    }

    #[tokio::test(start_paused = true)]
    async fn lists_are_read_at_once_and_again_and_again() {
        let config = Config::from_lookup(|name| match name {
            "GROQ_API_KEY" => Some("x".to_owned()),
            // Nobody listens there, so the reading is over at once.
            name if name.ends_with("_BASE_URL") => Some("http://127.0.0.1:1".to_owned()),
            _ => None,
        });
        let config = config.expect("good settings");
        // Whoever goes by a list asks what time it is.
        let looks = Arc::new(Mutex::new(Vec::new()));
        let clock = {
            let looks = looks.clone();
            Arc::new(move || {
                looks.lock().unwrap().push(Instant::now());
                jiff::Timestamp::UNIX_EPOCH
            })
        };
        let random = fastrand::Rng::with_seed(7);
        let dispatcher =
            Dispatcher::new(&config.providers, config.timeouts, Redactor::default(), clock, random.clone());
        let dispatcher = dispatcher.expect("no TLS is needed");
        let begun = Instant::now();
        let a_while = Duration::from_secs(25 * 60);
        let kept = tokio::time::timeout(a_while, dispatcher.keep_models_current(random)).await;
        assert!(kept.is_err(), "it never ends");
        let minutes =
            looks.lock().unwrap().iter().map(|look| look.duration_since(begun).as_secs() / 60).collect();
        let mut minutes: Vec<u64> = minutes;
        minutes.dedup();
        let gaps: Vec<u64> = minutes.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.len() >= 3 && gaps.iter().all(|gap| (5..=6).contains(gap)), "{minutes:?}");
    }
}
