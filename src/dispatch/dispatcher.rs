//! What finds answers: providers with everything needed to call them, and what is known of them.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use secrecy::ExposeSecret as _;
use tracing::warn;

use super::mark::Mark;
use super::offered::Offered;
use super::outcome::{Incapable, TooLong, Unanswered};
use super::question::Question;
use super::service::{Service, SetupError};
use crate::config::{CallLimits, ProviderConfig, StateUrl};
use crate::middle::{Needs, Redactor};
use crate::providers::Lack;
use crate::quota::{Ledger, Offer, Quota, Target, estimated_tokens};
use crate::share::{CommonMemory, LinkError, Secret, Sharing, SharingStatus};
use crate::time::Clock;
use crate::upstream::Upstream;

/// Finds answers. Shared by all requests.
#[derive(Debug)]
pub struct Dispatcher {
    /// In rotation order: a service's place is its provider's number in `quota`.
    pub(super) services: Vec<Service>,
    pub(super) upstream: Upstream,
    pub(super) limits: CallLimits,
    pub(super) redactor: Arc<Redactor>,
    pub(super) quota: Arc<Quota>,
    mark: Mark,
}

impl Dispatcher {
    /// A dispatcher over `providers`, in rotation order; nothing is called yet.
    ///
    /// # Errors
    /// [`SetupError`]: this machine cannot speak HTTPS, or a key cannot be sent.
    pub fn new(
        providers: &[ProviderConfig],
        limits: CallLimits,
        redactor: Redactor,
        clock: Clock,
        random: fastrand::Rng,
    ) -> Result<Self, SetupError> {
        let upstream = Upstream::new(providers, limits.connect)?;
        // A copy: what follows from the numbers of `random` stays the same.
        let mark = Mark::new(random.clone());
        let services = providers.iter().zip(upstream.origins());
        let services = services.map(|(config, origin)| Service::new(config, origin, &mark));
        let services = services.collect::<Result<Vec<_>, _>>()?;
        let offers = providers.iter().zip(&services).map(|(config, service)| Offer {
            provider: service.provider,
            is_second_tier: config.is_second_tier,
            accounts: service.accounts.len(),
            models: config.models.clone(),
            limits: config.limits.clone(),
        });
        let quota = Arc::new(Quota::new(offers.collect(), clock, random));
        Ok(Self { services, upstream, limits, redactor: Arc::new(redactor), quota, mark })
    }

    /// Goes on from what the file at `path` says was used of the plans of `providers`, those that this was made of, and
    /// keeps it up to date. Trouble with the file is a warning.
    pub fn keep_state(&self, providers: &[ProviderConfig], path: &Path, salt: [u8; 32]) {
        let (ledger, warning) = Ledger::open(path, self.quota.now().wall, salt);
        if let Some(warning) = warning {
            warn!("{warning}");
        }
        self.quota.keep(ledger, keys(providers));
    }

    /// What shares everything about `providers`, those that this was made of, with other instances through the server at
    /// `url`, as long as it is polled. `status` tells people what comes of it.
    ///
    /// # Errors
    /// The server is to be spoken to with TLS, which this machine cannot.
    pub(crate) fn share(
        &self,
        providers: &[ProviderConfig],
        url: &StateUrl,
        status: Arc<SharingStatus>,
        random: fastrand::Rng,
    ) -> Result<Sharing, LinkError> {
        Sharing::new(url.clone(), self.quota.clone(), keys(providers), status, random)
    }

    /// Which candidates can be called, and what is known of all of them.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Whether a request with these headers is one that was sent to a provider, and has come back.
    pub(crate) fn has_sent(&self, headers: &HeaderMap) -> bool {
        self.mark.is_in(headers)
    }

    /// What clients may ask for by name.
    pub(crate) fn offered(&self) -> Offered<'_> {
        Offered::new(&self.quota, &self.services)
    }

    /// Closes connections to providers that nobody has used for a while, as long as it is polled.
    pub async fn close_unused_connections(&self) -> Infallible {
        self.upstream.close_unused().await
    }

    /// How many providers could serve if nothing were in cooldown.
    pub(super) fn able(&self, question: &Question, needs: &Needs) -> Result<usize, Unanswered> {
        let target = &question.target;
        let survey = self.quota.survey(target, needs);
        if survey.able > 0 {
            Ok(survey.able)
        } else if survey.unable.is_empty() {
            let wanted = target.wanted().iter().filter_map(|wanted| self.services.get(wanted.provider));
            Err(Unanswered::NoKeys(wanted.map(|service| service.provider).collect()))
        } else {
            let is_long = survey.unable.iter().any(|(_, lack)| *lack == Lack::Window);
            let tokens = || estimated_tokens(&question.request);
            let too_long = is_long.then(|| self.too_long(target, needs, tokens())).flatten();
            Err(Unanswered::Incapable(Incapable { unable: survey.unable, too_long }))
        }
    }

    /// The figures of a prompt of so many tokens, which is too long for everybody.
    pub(super) fn too_long(&self, target: &Target, needs: &Needs, tokens: u64) -> Option<TooLong> {
        let largest = self.quota.largest(target, needs)?;
        let provider = self.services.get(largest.provider)?.provider;
        Some(TooLong::new(tokens, largest.tokens, provider, largest.window))
    }
}

/// The keys of each provider's accounts.
fn keys(providers: &[ProviderConfig]) -> Vec<Vec<&str>> {
    let keys = providers.iter().map(|provider| {
        let keys = provider.accounts.iter().map(|account| account.key.as_ref());
        keys.map(|key| key.map_or("", |key| key.expose_secret())).collect()
    });
    keys.collect()
}

/// What instances with the keys of these providers remember together; `None` if they have none.
pub(crate) fn common_memory(providers: &[ProviderConfig]) -> Option<Arc<CommonMemory>> {
    let names = providers.iter().map(|provider| provider.provider.name());
    let keys =
        names.zip(keys(providers)).flat_map(|(name, keys)| keys.into_iter().map(move |key| (name, key)));
    Secret::of(keys).and_then(CommonMemory::new)
}
