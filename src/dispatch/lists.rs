//! The providers' own lists of models. They are read in the background; no request waits for them.
//!
//! A list costs no quota, so reading it also checks the key and opens a connection before the first request. It is not
//! an attempt: it is not counted, and a list that cannot be read changes nothing.

use std::convert::Infallible;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use super::dispatcher::Dispatcher;
use super::service::{Account, Service};
use crate::middle::{Cause, Diagnosis, Failure, Reason};
use crate::providers::{Listed, ModelList, Provider, Said};
use crate::upstream::Response;

/// How long a list is trusted. Models are retired with weeks of notice and come back within hours of an accident. An
/// answer that calls a model gone takes effect at once in any case.
const LIST_LIFE: Duration = Duration::from_secs(6 * 3_600);

/// The longest random jitter added to that, so that many proxies do not ask in the same second.
const LIST_LIFE_JITTER: Duration = Duration::from_secs(60);

/// How soon lists are requested again when one could not be read: the network may not have been up yet.
const LIST_RETRY: Duration = Duration::from_secs(5 * 60);

/// The same for servers of the user's own.
const OWN_RETRY: Duration = Duration::from_secs(45);

/// The timeout for a whole list, not counting the connection: a list is some tens of kilobytes that need no computing.
const LIST_TIME: Duration = Duration::from_secs(5);

/// The part of that timeout that the body of an error may take.
const ERROR_TIME: Duration = Duration::from_secs(1);

/// The longest list, in bytes: Google's entries have some 700 bytes, and a page has a thousand of them at most. OpenRouter's
/// has some hundreds, each with a description of a kilobyte or more.
const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;

/// How many models that bill are remembered of a list.
const MOST_PAID: usize = 4_096;

/// The result of asking for the list of models of one account.
#[derive(Debug)]
pub struct ListOutcome {
    /// The provider.
    pub provider: Provider,
    /// The account, as people know it: `key 1 of 2`.
    pub account: String,
    /// The best model to use with it, or why there is no list.
    pub model: Result<String, Failure>,
}

impl Dispatcher {
    /// Reads all lists now and then every six hours, as long as it is polled; every five minutes while one cannot be
    /// read.
    pub async fn keep_models_current(&self, mut random: fastrand::Rng) -> Infallible {
        loop {
            let outcomes = self.read_lists().await;
            let next = Instant::now() + time_until_next(&outcomes, &mut random);
            self.look_for_own_servers(outcomes, next).await;
        }
    }

    /// Until then, asks the servers of the user's own that have not answered again and again: they are started when somebody
    /// needs them.
    async fn look_for_own_servers(&self, mut outcomes: Vec<ListOutcome>, until: Instant) {
        while outcomes.iter().any(is_missing_own) && Instant::now() + OWN_RETRY < until {
            tokio::time::sleep(OWN_RETRY).await;
            let is_missing =
                |provider| outcomes.iter().any(|it| it.provider == provider && is_missing_own(it));
            let missing = self.services.iter().enumerate().filter(|(_, it)| is_missing(it.provider));
            let found = join_all(missing.map(|(number, it)| self.read_lists_of(number, it))).await;
            outcomes = found.into_iter().flatten().collect();
        }
        tokio::time::sleep_until(until).await;
    }

    /// Reads all lists, one for each account, and uses them from then on. Waits at most `timeouts.connect` and five
    /// seconds.
    pub async fn read_lists(&self) -> Vec<ListOutcome> {
        let services = self.services.iter().enumerate();
        let outcomes = join_all(services.map(|(number, service)| self.read_lists_of(number, service))).await;
        outcomes.into_iter().flatten().collect()
    }

    async fn read_lists_of(&self, number: usize, service: &Service) -> Vec<ListOutcome> {
        let accounts = service.accounts.iter();
        let lists = join_all(accounts.map(|account| self.read_list(service, account))).await;
        let (lists, failures): (Vec<_>, Vec<_>) = lists.into_iter().map(split).unzip();
        let ids = |list: &ModelList| list.free.iter().map(|it| it.id.clone()).collect();
        let (is_usable, change) =
            self.quota.learn_lists(number, lists.iter().map(|list| list.as_ref().map(ids)).collect());
        self.learn_more(number, service, lists.into_iter().flatten());
        service.report_change(&self.quota, number, &change);
        let learned = is_usable.into_iter().zip(failures).enumerate().zip(&service.accounts);
        let outcomes = learned.map(|((index, (is_usable, failure)), account)| {
            let outcome = failure.map_or(Ok(is_usable), Err);
            report(service, account, &outcome);
            let chosen = |_| self.quota.first_in_use(number, index).as_deref().unwrap_or_default().to_owned();
            let (provider, label) = (service.provider, account.label.to_string());
            ListOutcome { provider, account: label, model: outcome.map(chosen) }
        });
        outcomes.collect()
    }

    /// What lists say beside which models are free.
    fn learn_more(&self, number: usize, service: &Service, lists: impl Iterator<Item = ModelList>) {
        let mut paid = Vec::new();
        for list in lists {
            self.quota.heed(number, &list.free);
            paid.extend(list.paid.into_iter().take(MOST_PAID));
        }
        if !paid.is_empty() {
            service.bills.learn(paid);
        }
    }

    /// The list of one account.
    async fn read_list(&self, service: &Service, account: &Account) -> Result<ModelList, Failure> {
        let deadline = Instant::now() + self.limits.connect + LIST_TIME;
        let too_late = |_| Failure::without_answer(Cause::Silent);
        timeout_at(deadline, self.fetch_list(service, account)).await.map_err(too_late)?
    }

    async fn fetch_list(&self, service: &Service, account: &Account) -> Result<ModelList, Failure> {
        let provider = service.provider;
        let Some(path) = provider.models_path() else {
            // Nothing to ask: the models of the row are believed, and the first call checks the key.
            let free =
                provider.default_models().map(|id| Listed { id: id.to_owned(), says: Said::default() });
            return Ok(ModelList { free: free.collect(), paid: Vec::new() });
        };
        let query = service.query(account, path);
        let Response { status, headers, mut body } = self.upstream.send(query).await?;
        let failure = |diagnosis: Diagnosis| diagnosis.into_failure(status, &self.redactor);
        if !(200..300).contains(&status) {
            let body = body.beginning(Instant::now() + ERROR_TIME).await;
            let reading = provider.read_error(status, &provider.read_head(&headers), &body);
            return Err(failure(reading.diagnosis));
        }
        let body = body.whole(MAX_LIST_BYTES).await;
        let list = body.and_then(|body| provider.read_list(&body));
        list.ok_or_else(|| failure(Cause::ServerError.into()))
    }
}

/// Whether it is a server of the user's own that has not answered.
fn is_missing_own(outcome: &ListOutcome) -> bool {
    outcome.provider.profile().is_second_tier && outcome.model.is_err()
}

/// A list, or else why there is none.
fn split(list: Result<ModelList, Failure>) -> (Option<ModelList>, Option<Failure>) {
    match list {
        Ok(list) => (Some(list), None),
        Err(failure) => (None, Some(failure)),
    }
}

fn report(service: &Service, account: &Account, outcome: &Result<bool, Failure>) {
    let (name, label) = (service.provider.name(), &account.label);
    match outcome {
        Ok(true) => debug!("{name} has sent its list of models for {label}"),
        Ok(false) => info!(key = &**label, "{name} lists no model to chat with: going by what is set"),
        // Only logged: a call finds out whether it is true, and cooldowns follow from calls alone.
        Err(failure) if failure.reason() == Reason::BadKey => {
            warn!(status = failure.status, "{name} refuses {label}");
        }
        // It does not run, which is nothing to say every minute.
        Err(_) if service.provider.profile().is_second_tier => {
            debug!("{name} gives no list of models");
        }
        Err(failure) => {
            let (reason, status) = (failure.reason().as_str(), failure.status);
            info!(key = &**label, reason, status, "{name} gives no list of models");
        }
    }
}

/// How long a result is used before the list is read again.
fn time_until_next(outcomes: &[ListOutcome], random: &mut fastrand::Rng) -> Duration {
    // A refused key needs a person, who restarts the proxy.
    let is_missing = |outcome: &ListOutcome| {
        matches!(&outcome.model, Err(failure) if failure.reason() != Reason::BadKey)
            && !is_missing_own(outcome)
    };
    let life = if outcomes.iter().any(is_missing) { LIST_RETRY } else { LIST_LIFE };
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
        let outcome =
            |model| ListOutcome { provider: Provider::GROQ, account: "key 1 of 1".to_owned(), model };
        let well = || outcome(Ok("m".to_owned()));
        let failed = |cause| outcome(Err(Failure::without_answer(cause)));
        let minutes = |outcomes: &[ListOutcome]| {
            let wait = time_until_next(outcomes, &mut fastrand::Rng::with_seed(7));
            wait.as_secs() / 60
        };
        assert_eq!(minutes(&[well(), well()]), 360);
        assert_eq!(minutes(&[well(), failed(Cause::KeyRefused)]), 360);
        assert_eq!(minutes(&[well(), failed(Cause::Unreachable)]), 5);
        assert_eq!(minutes(&[]), 360);
    }

    /// The pauses between two readings of lists, in seconds: at an address where nothing listens, so that each fails at once.
    async fn pauses(variables: &[(&str, &str)], during: Duration) -> Vec<u64> {
        let its = |name: &str| variables.iter().find(|(known, _)| *known == name);
        let config = Config::from_lookup(|name| its(name).map(|(_, value)| (*value).to_owned()));
        let config = config.expect("good settings");
        // The clock is read whenever a list is used.
        let looks = Arc::new(Mutex::new(Vec::new()));
        let clock = {
            let looks = looks.clone();
            Arc::new(move || {
                looks.lock().unwrap().push(Instant::now());
                crate::time::Moment::at(jiff::Timestamp::UNIX_EPOCH)
            })
        };
        let random = fastrand::Rng::with_seed(7);
        let dispatcher =
            Dispatcher::new(&config.providers, config.limits, Redactor::default(), clock, random.clone());
        let dispatcher = dispatcher.expect("no TLS is needed");
        let kept = tokio::time::timeout(during, dispatcher.keep_models_current(random)).await;
        assert!(kept.is_err(), "it never ends");
        let looks = looks.lock().unwrap();
        let pauses = looks.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs());
        pauses.filter(|pause| *pause > 1).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn lists_are_read_at_once_and_again_and_again() {
        let nowhere = "http://127.0.0.1:1";
        let groq = [("GROQ_API_KEY", "x"), ("GROQ_BASE_URL", nowhere)];
        let its = pauses(&groq, Duration::from_secs(25 * 60)).await;
        assert!(its.len() >= 3 && its.iter().all(|pause| (300..=365).contains(pause)), "{its:?}");
        // A server of the user's own may be started at any time, and the others' lists are not read any sooner for it.
        let its = pauses(&[("OLLAMA_BASE_URL", nowhere)], Duration::from_secs(10 * 60)).await;
        assert!(its.len() >= 10 && its.iter().all(|pause| (44..=50).contains(pause)), "{its:?}");
    }
}
