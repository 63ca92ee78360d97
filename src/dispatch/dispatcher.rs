//! What finds answers: providers with everything needed to call them, and what is known of them.

use std::sync::Arc;

use super::offered::Offered;
use super::outcome::{Incapable, Unanswered};
use super::service::{Service, SetupError};
use super::upstream::Upstream;
use crate::config::{CallLimits, ProviderConfig};
use crate::middle::{Needs, Redactor};
use crate::quota::{Criteria, Offer, Quota, Target};
use crate::time::Clock;

/// Finds answers. Shared by all requests.
#[derive(Debug)]
pub struct Dispatcher {
    /// In rotation order: a service's place is its provider's number in `quota`.
    pub(super) services: Vec<Service>,
    pub(super) upstream: Upstream,
    pub(super) limits: CallLimits,
    pub(super) redactor: Arc<Redactor>,
    pub(super) quota: Arc<Quota>,
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
        let services = providers.iter().map(Service::new).collect::<Result<Vec<_>, _>>()?;
        let offers = providers.iter().zip(&services).map(|(config, service)| Offer {
            provider: service.provider,
            accounts: service.accounts.len(),
            models: config.models.clone(),
        });
        let quota = Arc::new(Quota::new(offers.collect(), clock, random));
        Ok(Self { services, upstream, limits, redactor: Arc::new(redactor), quota })
    }

    /// Which candidates can be called, and what is known of all of them.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// What clients may ask for by name.
    pub(crate) fn offered(&self) -> Offered<'_> {
        Offered::new(&self.quota, &self.services)
    }

    /// How many providers could serve if nothing were in cooldown.
    pub(super) fn able(&self, target: &Target, needs: &Needs) -> Result<usize, Unanswered> {
        let survey = self.quota.survey(&Criteria { target, needs, ruled_out: &[] });
        if survey.able > 0 {
            Ok(survey.able)
        } else if survey.unable.is_empty() {
            let wanted = target.wanted().iter().filter_map(|wanted| self.services.get(wanted.provider));
            Err(Unanswered::NoKeys(wanted.map(|service| service.provider).collect()))
        } else {
            Err(Unanswered::Incapable(Incapable(survey.unable)))
        }
    }
}
