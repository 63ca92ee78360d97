//! A provider with everything needed to call it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::bills::Bills;
use super::mark::Mark;
use super::omissions::Omissions;
use crate::config::ProviderConfig;
use crate::providers::Provider;
use crate::quota::{Change, Quota};
use crate::upstream::{Call, Lines, Origin, TlsUnavailable};

/// A provider with everything needed to call it.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) provider: Provider,
    pub(super) accounts: Vec<Account>,
    origin: Arc<Origin>,
    /// The models that its list has with a price.
    pub(super) bills: Bills,
    /// What its models have refused and requests can do without.
    pub(super) omissions: Omissions,
    /// How long it may take to the first token, while somebody else could be called instead.
    pub(super) first_token: Duration,
}

/// The account that a call uses.
#[derive(Debug)]
pub(super) struct Account {
    /// The head of its requests, with the headers of the provider's row, and the key if it needs one.
    lines: Lines,
    /// What stands before every path of its requests; mostly nothing.
    path: Box<str>,
    /// For people to read: `key 1 of 2`.
    pub(super) label: Arc<str>,
}

/// The dispatcher cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// HTTPS is not available.
    #[error(transparent)]
    Tls(#[from] TlsUnavailable),
    /// A key has characters that no header can hold.
    #[error("a key of {} has characters that no header may hold", .0.name())]
    Key(Provider),
}

impl Account {
    /// `path` as it follows the base URL.
    fn full<'p>(&self, path: &'p str) -> Cow<'p, str> {
        if self.path.is_empty() { path.into() } else { format!("{}{path}", self.path).into() }
    }
}

impl Service {
    /// The provider as it is configured, which answers at `origin`. Where the user says where that is, `mark` goes with each
    /// request.
    ///
    /// # Errors
    /// [`SetupError::Key`].
    pub(super) fn new(
        config: &ProviderConfig,
        origin: &Arc<Origin>,
        mark: &Mark,
    ) -> Result<Self, SetupError> {
        let provider = config.provider;
        let mark = mark.for_host(config);
        let accounts = config.accounts.iter().map(|account| {
            let mut headers =
                provider.headers(account.key.as_ref()).map_err(|_| SetupError::Key(provider))?;
            headers.extend(mark.clone());
            let (path, label) = (account.path.as_str().into(), account.label.as_str().into());
            Ok(Account { lines: origin.lines(&headers), path, label })
        });
        Ok(Self {
            provider,
            accounts: accounts.collect::<Result<_, SetupError>>()?,
            origin: origin.clone(),
            bills: Bills::default(),
            omissions: Omissions::default(),
            first_token: config.first_token,
        })
    }

    /// A completion, ready to be sent.
    pub(super) fn call(&self, account: &Account, path: &str, body: Vec<u8>) -> Call {
        Call::post(&self.origin, &account.lines, &account.full(path), body)
    }

    /// A request for what the provider publishes about itself.
    pub(super) fn query(&self, account: &Account, path: &str) -> Call {
        Call::get(&self.origin, &account.lines, &account.full(path))
    }

    /// Logs what a new list of models has changed.
    pub(super) fn report_change(&self, quota: &Quota, number: usize, change: &Change) {
        self.report_lost(quota, number, &change.lost);
        for model in &change.back {
            info!("{} offers {model} again", self.provider.name());
        }
    }

    /// Logs which models are used instead of those that are gone, if any are.
    pub(super) fn report_lost(&self, quota: &Quota, number: usize, lost: &[Arc<str>]) {
        if lost.is_empty() {
            return;
        }
        let used = quota.in_use(number);
        let Some(instead) = used.first() else {
            return;
        };
        // A model that another account still has, or that has no replacement, is still used.
        for model in lost.iter().filter(|lost| !used.contains(lost)) {
            let name = self.provider.name();
            warn!("{name} does not offer {model} any more: using {instead} instead");
        }
    }
}
