//! The dense numbers inside this room: a provider, account or model is its place in a list that never shrinks.

use crate::middle::Scope;

/// One way to serve a request: a provider, one of its accounts and one of its models, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    /// The provider.
    pub(crate) provider: usize,
    /// Which of its accounts.
    pub(crate) account: usize,
    /// Which of its models.
    pub(crate) model: usize,
}

/// What a failure affects, and what can be in cooldown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// A provider with all its accounts and models.
    Provider(usize),
    /// One account: provider, account.
    Account(usize, usize),
    /// One model with any account: provider, model.
    Model(usize, usize),
    /// One model with one account: provider, account, model.
    AccountModel(usize, usize, usize),
}

impl Place {
    /// The provider that it belongs to.
    pub(super) fn provider(self) -> usize {
        let (Self::Provider(provider)
        | Self::Account(provider, _)
        | Self::Model(provider, _)
        | Self::AccountModel(provider, _, _)) = self;
        provider
    }
}

impl Candidate {
    /// The place that a failure of `scope` affects; `None` if it concerns the request alone.
    pub(crate) fn place(self, scope: Scope) -> Option<Place> {
        let Self { provider, account, model } = self;
        match scope {
            Scope::Request => None,
            Scope::Provider => Some(Place::Provider(provider)),
            Scope::Account => Some(Place::Account(provider, account)),
            Scope::Model => Some(Place::Model(provider, model)),
            Scope::AccountModel => Some(Place::AccountModel(provider, account, model)),
        }
    }

    /// Every place that the candidate depends on.
    pub(crate) fn places(self) -> [Place; 4] {
        let Self { provider, account, model } = self;
        [
            Place::Provider(provider),
            Place::Account(provider, account),
            Place::Model(provider, model),
            Place::AccountModel(provider, account, model),
        ]
    }
}
