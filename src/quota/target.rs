//! Which candidates may serve a request: what the client pins, what the request needs, and what has been ruled out so
//! far.

use super::demand::Demand;
use super::place::{Candidate, Place};
use crate::middle::Needs;
use crate::providers::Capabilities;

/// The providers and models that may answer a request: all of them, or those that the client has pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    wanted: Vec<Wanted>,
    turn: Turn,
    /// Those of them that come first as long as they are well.
    preferred: Option<Box<Target>>,
}

/// A provider that may answer, with any of its models or with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The provider's number.
    pub(crate) provider: usize,
    /// The model's number; `None` for any model.
    pub(crate) model: Option<usize>,
}

/// Whether a request takes part in the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It does: the provider that is picked becomes the last in line.
    Taken,
    /// It is pinned and leaves the rotation unchanged.
    Untouched,
}

impl Target {
    /// `wanted`, in rotation order. A pinned target with a single entry leaves the rotation unchanged.
    pub(crate) fn new(wanted: Vec<Wanted>, is_pinned: bool) -> Self {
        // Several providers that have the pinned model take turns.
        let turn = if is_pinned && wanted.len() == 1 { Turn::Untouched } else { Turn::Taken };
        Self { wanted, turn, preferred: None }
    }

    /// The same, of which those in `preferred` come first as long as they are well and have room. They take their turn like
    /// all others, and nobody waits for them while somebody else can serve.
    #[must_use]
    pub(crate) fn preferring(self, preferred: Self) -> Self {
        let preferred = Self { turn: self.turn, preferred: None, ..preferred };
        Self { preferred: Some(Box::new(preferred)), ..self }
    }

    /// Those that come first.
    pub(super) fn preferred(&self) -> Option<&Self> {
        self.preferred.as_deref()
    }

    /// The providers that may answer, in rotation order.
    pub(crate) fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Whether the request takes part in the rotation.
    pub(crate) fn turn(&self) -> Turn {
        self.turn
    }

    /// Whether it names certain models rather than providers with any of their models.
    pub(crate) fn names_model(&self) -> bool {
        self.wanted.iter().any(|wanted| wanted.model.is_some())
    }

    /// Whether this model may answer.
    pub(crate) fn allows(&self, provider: usize, model: usize) -> bool {
        let is_it = |wanted: &Wanted| {
            wanted.provider == provider && wanted.model.is_none_or(|wanted| wanted == model)
        };
        self.wanted.iter().any(is_it)
    }
}

/// What a request will not try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuledOut {
    /// Every candidate within this place.
    Place(Place),
    /// A provider's models whose window, in tokens, is no larger than this: the conversation did not fit.
    WindowsUpTo(usize, u64),
}

/// Everything that decides which candidate is called next. Data only, so that picking runs no caller's code under
/// the lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Criteria<'a> {
    /// The providers and models that may answer.
    pub(crate) target: &'a Target,
    /// What a model must be able to do.
    pub(crate) needs: &'a Needs,
    /// What is not tried again.
    pub(crate) ruled_out: &'a [RuledOut],
    /// What it costs.
    pub(crate) demand: Demand,
    /// Whether the request can wait while somebody finds out if a guess is right. If it cannot, it goes beyond the guess,
    /// too.
    pub(crate) can_wait: bool,
}

/// The same, for a request that waits.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// The providers and models that may answer.
    pub(crate) target: Target,
    /// What a model must be able to do.
    pub(crate) needs: Needs,
    /// What is not tried again.
    pub(crate) ruled_out: Vec<RuledOut>,
    /// What it costs.
    pub(crate) demand: Demand,
}

impl Wish {
    /// As criteria.
    pub(crate) fn criteria(&self, can_wait: bool) -> Criteria<'_> {
        let Self { target, needs, ruled_out, demand } = self;
        Criteria { target, needs, ruled_out, demand: *demand, can_wait }
    }
}

impl Criteria<'_> {
    /// The same for those alone that the client prefers; `None` if it prefers nobody.
    pub(super) fn of_preferred(&self) -> Option<Self> {
        Some(Self { target: self.target.preferred()?, ..*self })
    }

    /// Whether the client has named neither one provider nor a model.
    pub(super) fn leaves_the_choice(&self) -> bool {
        self.target.turn() == Turn::Taken && !self.target.names_model()
    }

    /// Whether this model may answer, meets the needs, and is worth trying with some account.
    pub(super) fn allows_model(&self, provider: usize, model: usize, can: &Capabilities) -> bool {
        let is_ruled_out = |it: &RuledOut| match *it {
            RuledOut::WindowsUpTo(of, window) => of == provider && can.window <= window,
            RuledOut::Place(Place::Provider(of)) => of == provider,
            RuledOut::Place(Place::Model(of, its)) => (of, its) == (provider, model),
            RuledOut::Place(Place::Account(..) | Place::AccountModel(..)) => false,
        };
        self.target.allows(provider, model)
            && can.lacks(self.needs).is_none()
            && !self.ruled_out.iter().any(is_ruled_out)
    }

    /// Whether a candidate whose model is allowed is worth trying with its account.
    pub(super) fn allows_account(&self, candidate: Candidate) -> bool {
        let places = candidate.places();
        !self.ruled_out.iter().any(|it| matches!(it, RuledOut::Place(place) if places.contains(place)))
    }
}
