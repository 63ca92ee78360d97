//! [`Sharing`]: when something is exchanged, and what happens when that fails.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use redis::aio::MultiplexedConnection;
use redis::{Script, Value};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tracing::{info, warn};

use super::complaint::Complaint;
use super::link::{Link, LinkError, tls_for};
use super::pauses::Pauses;
use super::script::{InstanceId, answer, invocation, script};
use super::status::SharingStatus;
use crate::config::StateUrl;
use crate::quota::{Answer, Bell, Extent, Quota, Report};

/// All buckets are exchanged so often, so that it is known what the others do.
const ALL: Duration = Duration::from_secs(1);
/// Those of which something was used: so often.
const BUSY: Duration = Duration::from_millis(100);
/// Between two exchanges lies at least this, even if a request waits for one.
const SHORTEST: Duration = Duration::from_millis(5);
/// For one exchange.
const EXCHANGE_TIME: Duration = Duration::from_secs(2);
/// Before the end of the process, what was used last has so long to be told.
const LEAVE_TIME: Duration = Duration::from_secs(1);
/// At the start, a server that is away is waited for so long.
const START_TIME: Duration = Duration::from_secs(3);

/// What exchanges with the other instances, as long as it is polled.
pub(crate) struct Sharing {
    url: StateUrl,
    tls: Option<TlsConnector>,
    id: InstanceId,
    script: Script,
    quota: Arc<Quota>,
    bell: Arc<Bell>,
    status: Arc<SharingStatus>,
    pauses: Pauses,
}

/// How it has gone so far.
#[derive(Debug, Default)]
struct Progress {
    /// How many exchanges have succeeded on this connection.
    exchanged: u64,
    /// Whether one ever has.
    is_known: bool,
    complaint: Complaint,
}

impl Sharing {
    /// Shares what is in `quota`, from now on, and records in `status` what comes of it. `keys` are those of each provider's
    /// accounts.
    ///
    /// # Errors
    /// The server is to be spoken to with TLS, which this machine cannot.
    pub(crate) fn new(
        url: StateUrl,
        quota: Arc<Quota>,
        keys: Vec<Vec<&str>>,
        status: Arc<SharingStatus>,
        mut random: fastrand::Rng,
    ) -> Result<Self, LinkError> {
        let tls = tls_for(&url)?;
        let id = InstanceId::new(random.u64(..));
        let bell = quota.share(keys);
        Ok(Self { url, tls, id, script: script(), quota, bell, status, pauses: Pauses::new(random) })
    }

    /// Whether the server lets this instance in. One that is away does not matter.
    ///
    /// # Errors
    /// It refuses the login, or has no such database.
    pub(crate) async fn check(&self) -> Result<(), LinkError> {
        match timeout(START_TIME, Link::open(&self.url, self.tls.as_ref())).await {
            Ok(Err(refused @ LinkError::Refused(..))) => Err(refused),
            _ => Ok(()),
        }
    }

    /// Exchanges as long as it is polled, and tries again and again if that fails.
    pub(crate) async fn keep_shared(&mut self) -> Infallible {
        let mut progress = Progress::default();
        loop {
            progress.exchanged = 0;
            let trouble = self.exchange_until_trouble(&mut progress).await;
            self.quota.cut_off();
            self.status.failed(&trouble.reason(), self.quota.now());
            if progress.exchanged > 0 {
                self.pauses.begin_anew();
            }
            if progress.complaint.wrong(Instant::now()) {
                warn!(
                    "STATE_URL: {} is not of use ({}): this instance goes on with what it knows, and tries again",
                    self.url,
                    trouble.reason()
                );
            }
            self.pauses.wait().await;
        }
    }

    /// Tells what was used last and gives back what is held, before the end of the process: within a second, and not at all if
    /// the server is away.
    pub(crate) async fn leave(&self) {
        if self.status.snapshot().is_shared {
            let _ = timeout(LEAVE_TIME, self.give_back()).await;
        }
    }

    async fn give_back(&self) -> Result<(), LinkError> {
        let Link { connection, driver } = Link::open(&self.url, self.tls.as_ref()).await?;
        let reports = self.quota.reports(Extent::All).into_iter().map(Report::giving_back);
        let each = reports.map(|report| self.exchange_one(connection.clone(), self.telling(report)));
        tokio::select! {
            told = try_join_all(each) => told.map(drop),
            () = driver => Err(LinkError::hung_up()),
        }
    }

    /// Ends with what is wrong.
    async fn exchange_until_trouble(&self, progress: &mut Progress) -> LinkError {
        let Link { connection, driver } = match Link::open(&self.url, self.tls.as_ref()).await {
            Ok(link) => link,
            Err(error) => return error,
        };
        tokio::select! {
            trouble = self.exchange_on(connection, progress) => trouble,
            () = driver => LinkError::hung_up(),
        }
    }

    async fn exchange_on(&self, connection: MultiplexedConnection, progress: &mut Progress) -> LinkError {
        let mut all_at = Instant::now();
        loop {
            let now = Instant::now();
            let extent = if now >= all_at { Extent::All } else { Extent::News };
            let is_busy = match self.exchange(&connection, extent).await {
                Ok(is_busy) => is_busy,
                Err(error) => return error,
            };
            if extent == Extent::All {
                all_at = now + ALL;
            }
            progress.exchanged += 1;
            self.tell_success(progress);
            let next = if is_busy { all_at.min(now + BUSY) } else { all_at };
            self.until_next(now, next).await;
        }
    }

    /// Tells the log, if that is news.
    fn tell_success(&self, progress: &mut Progress) {
        let is_first = !std::mem::replace(&mut progress.is_known, true);
        if progress.complaint.well(Instant::now()) {
            info!("STATE_URL: {} is back: quotas are shared again", self.url);
        } else if is_first {
            info!("STATE_URL: quotas are shared through {}", self.url);
        }
    }

    /// Until a request wants to use more than was granted, or something was used and a moment has gone by; at most until
    /// `latest`.
    async fn until_next(&self, last: Instant, latest: Instant) {
        let busy = async {
            self.bell.used.notified().await;
            sleep_until(last + BUSY).await;
        };
        let lacking = async {
            self.bell.lacking.notified().await;
            sleep_until(last + SHORTEST).await;
        };
        tokio::select! {
            () = lacking => {}
            () = busy => {}
            () = sleep_until(latest) => {}
        }
    }

    /// Says whether something is held that may soon be given back.
    async fn exchange(&self, connection: &MultiplexedConnection, extent: Extent) -> Result<bool, LinkError> {
        let reports = self.quota.reports(extent);
        let is_busy = reports.iter().any(Report::wants_something);
        let each =
            reports.into_iter().map(|report| self.exchange_one(connection.clone(), self.telling(report)));
        let told: Vec<Option<u64>> = join_all(each).await.into_iter().collect::<Result<_, _>>()?;
        let instances = told.iter().copied().max().flatten().filter(|_| extent == Extent::All);
        self.status.succeeded(told.len() as u64, instances, self.quota.now());
        Ok(is_busy)
    }

    fn telling(&self, report: Report) -> Telling<'_> {
        Telling { quota: &self.quota, report: Some(report) }
    }

    /// Returns how many instances use the limits that were told of, if any was.
    async fn exchange_one(
        &self,
        mut connection: MultiplexedConnection,
        telling: Telling<'_>,
    ) -> Result<Option<u64>, LinkError> {
        let Some(report) = &telling.report else { return Ok(None) };
        let call = invocation(&self.script, report, &self.id);
        let result = match timeout(EXCHANGE_TIME, call.invoke_async::<Value>(&mut connection)).await {
            Err(_) => Err(LinkError::silent()),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(value)) => answer(value, &self.id)
                .ok_or_else(|| LinkError::Trouble("it does not answer as it should".to_owned())),
        };
        telling.end(result.as_ref().ok());
        result.map(|answer| answer.buckets.iter().map(|bucket| bucket.instances).max())
    }
}

/// A report on its way. Nobody has heard of it if this is dropped before there is an answer: when the connection ends, say.
struct Telling<'q> {
    quota: &'q Quota,
    /// Until it has ended.
    report: Option<Report>,
}

impl Telling<'_> {
    fn end(mut self, answer: Option<&Answer>) {
        if let Some(report) = self.report.take() {
            self.quota.apply(report, answer);
        }
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if let Some(report) = self.report.take() {
            self.quota.apply(report, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::Directory;
    use crate::quota::{Offer, RestReport};
    use crate::time::Moment;

    #[tokio::test(start_paused = true)]
    async fn rests_that_are_being_told_when_the_connection_ends_are_told_again() {
        let now = Moment::at(jiff::Timestamp::UNIX_EPOCH);
        let provider = Directory::core().into_iter().next().unwrap();
        let models = vec!["model".to_owned()];
        let offer = Offer { is_second_tier: false, provider, accounts: 1, models, limits: Vec::new() };
        let random = fastrand::Rng::with_seed(1);
        let quota = Arc::new(Quota::new(vec![offer], Arc::new(move || now), random.clone()));
        let url = StateUrl::parse("redis://localhost").unwrap();
        let status = Arc::new(SharingStatus::new(now));
        let sharing = Sharing::new(url, quota.clone(), vec![vec!["key"]], status, random).unwrap();
        // It was to be told, and could not.
        let mut report = Report::of("provider", Vec::new());
        let rest = RestReport { left: None, words: "where and why".to_owned() };
        report.rests.push(rest.clone());
        quota.apply(report, None);
        let (ours, _theirs) = tokio::io::duplex(1024);
        let Link { connection, driver: _driver } = Link::over(ours).await.unwrap();
        let interrupted = timeout(EXCHANGE_TIME / 2, sharing.exchange(&connection, Extent::News)).await;
        assert!(interrupted.is_err());
        drop(sharing.exchange(&connection, Extent::News));
        let reports = quota.reports(Extent::News);
        assert_eq!(reports.first().map(|report| &report.rests), Some(&vec![rest]));
    }
}
