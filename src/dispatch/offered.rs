//! What clients may ask for by name, and which providers and models the names mean.

use std::sync::Arc;

use super::service::Service;
use crate::providers::{Capabilities, Provider};
use crate::quota::{Quota, Target, Wanted};
use crate::wire::foreign::readable;

/// What is offered now: the providers and their models.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered<'d> {
    quota: &'d Quota,
    services: &'d [Service],
}

/// A client asked for a provider or model that does not exist.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownTarget {
    /// There is no such provider.
    #[error("Unknown provider '{name}'. There are: {}", known.join(", "))]
    Provider {
        /// The name that was asked for, cut to a readable length.
        name: String,
        /// The providers that exist.
        known: Vec<&'static str>,
    },
    /// The model bills, and this proxy uses free ones only.
    #[error("The model '{name}' of {provider} costs money, and only free models are used. There are: {}", known.join(", "))]
    Paid {
        /// The name that was asked for, cut to a readable length.
        name: String,
        /// The provider whose model it is.
        provider: &'static str,
        /// The provider's models in use.
        known: Vec<Arc<str>>,
    },
    /// There is no such model, or the pinned provider does not have it.
    #[error("Unknown model '{name}'. There are: {}", known.join(", "))]
    Model {
        /// The name that was asked for, cut to a readable length.
        name: String,
        /// The models in use.
        known: Vec<Arc<str>>,
    },
}

impl UnknownTarget {
    /// The name that was asked for, cut to a readable length.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Provider { name, .. } | Self::Model { name, .. } | Self::Paid { name, .. } => name,
        }
    }
}

impl<'d> Offered<'d> {
    pub(super) fn new(quota: &'d Quota, services: &'d [Service]) -> Self {
        Self { quota, services }
    }

    /// All providers in rotation order, with or without an account.
    pub(crate) fn providers(self) -> impl Iterator<Item = Provider> + 'd {
        self.services.iter().map(|service| service.provider)
    }

    /// The models in use of the providers that have an account, in rotation order.
    pub(crate) fn models(self) -> impl Iterator<Item = (Provider, Arc<str>)> + 'd {
        let with_account =
            self.services.iter().enumerate().filter(|(_, service)| !service.accounts.is_empty());
        with_account.flat_map(move |(number, service)| {
            let models = self.quota.in_use(number);
            models.into_iter().map(|model| (service.provider, model))
        })
    }

    /// What a model can do, as far as is known.
    pub(crate) fn capabilities(self, provider: Provider, model: &str) -> Option<Arc<Capabilities>> {
        let provider = self.services.iter().position(|service| service.provider == provider)?;
        self.quota.capabilities(provider, model)
    }

    /// Whether this model may answer `target`.
    pub(crate) fn includes(self, target: &Target, provider: Provider, model: &str) -> bool {
        let provider = self.services.iter().position(|service| service.provider == provider);
        provider.is_some_and(|provider| {
            self.quota.find(provider, model).is_some_and(|model| target.allows(provider, model))
        })
    }

    /// Resolves what a client pins: a provider by its name in any case, a model by its id, both, or neither.
    ///
    /// # Errors
    /// [`UnknownTarget`], with a list of what exists.
    pub(crate) fn target(self, provider: Option<&str>, model: Option<&str>) -> Result<Target, UnknownTarget> {
        let pinned = provider.map(|name| self.find(name)).transpose()?;
        let providers = || (0..self.services.len()).filter(|it| pinned.is_none_or(|pinned| pinned == *it));
        let wanted: Vec<Wanted> = match model {
            None => providers().map(|provider| Wanted { provider, model: None }).collect(),
            Some(id) => providers()
                .filter_map(|provider| {
                    Some(Wanted { provider, model: Some(self.quota.find_offered(provider, id)?) })
                })
                .collect(),
        };
        if wanted.is_empty() {
            let known = providers().flat_map(|provider| self.quota.in_use(provider)).collect();
            let (id, name) = (model.unwrap_or_default(), shorten(model.unwrap_or_default()));
            let pinned = pinned.and_then(|pinned| self.services.get(pinned));
            let by_name = pinned.filter(|pinned| !pinned.provider.is_free(id));
            // Without a provider's name only a list can tell what bills from what does not exist.
            let by_list = || providers().filter_map(|it| self.services.get(it)).find(|it| it.bills.has(id));
            return Err(match by_name.or_else(by_list).map(|it| it.provider) {
                Some(paid) => UnknownTarget::Paid { name, provider: paid.name(), known },
                None => UnknownTarget::Model { name, known },
            });
        }
        Ok(Target::new(wanted, pinned.is_some() || model.is_some()))
    }

    /// Everybody, of whom those in `named` come first as long as they are well: for a client that names a model and is as
    /// well served by another.
    pub(crate) fn preferring(self, named: Target) -> Target {
        let everybody = (0..self.services.len()).map(|provider| Wanted { provider, model: None });
        Target::new(everybody.collect(), false).preferring(named)
    }

    /// The number of the provider with that name, in upper or lower case.
    fn find(self, name: &str) -> Result<usize, UnknownTarget> {
        let position = self.providers().position(|provider| provider.name().eq_ignore_ascii_case(name));
        position.ok_or_else(|| UnknownTarget::Provider {
            name: shorten(name),
            known: self.providers().map(Provider::name).collect(),
        })
    }
}

/// What a client wrote, as it can be shown.
fn shorten(text: &str) -> String {
    const MAX_CHARS: usize = 100;
    readable(text, MAX_CHARS)
}
