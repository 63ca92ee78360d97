//! The one table that says what follows from a failure for other requests: what it reaches, whether it blocks or only
//! demotes, for how long, and what lifts it. Nothing else in the program decides any of that. What a request does about its
//! own failures is in `dispatch/search`.
//!
//! Two effects, and the difference is the promise of this program. What a provider has *said* (a limit, a refused key,
//! a model that is gone) **blocks**: a call would be refused for sure, so none is made. What has merely *happened*
//! (overload, errors, cuts, silence) **demotes**: the candidate comes behind all who are well, and is called all the
//! same when nobody else is left. So a failure costs the next provider's latency, and never an answer.

use std::time::Duration;

use super::failure::{Cause, Scope};

/// A failing candidate: first wait and longest. It is doubled with every failure in a row.
const FIRST_FAILURE: Duration = Duration::from_secs(5);
const LONGEST_FAILURE: Duration = Duration::from_secs(30);
/// A limit without a stated time: most windows are minutes.
const UNSTATED_LIMIT: Duration = Duration::from_secs(60);
/// The same for a daily limit: short enough to notice the reset, long enough not to annoy the provider.
const UNSTATED_DAY_LIMIT: Duration = Duration::from_secs(3_600);
/// A model that is being read from a disk: seconds for a small one, a minute for a large one.
const LOADING: Duration = Duration::from_secs(2);
const LONGEST_LOADING: Duration = Duration::from_secs(10);
/// A key that is refused, or has no credit: a person has to act.
const REFUSED: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const MONTH: Duration = Duration::from_secs(31 * 86_400);
/// A limit that is published nowhere: first wait and longest. NVIDIA locks a key out of a busy model for 22 to 66 minutes
/// (measured by others, August and September 2026).
const FIRST_HIDDEN: Duration = Duration::from_secs(60);
const LONGEST_HIDDEN: Duration = Duration::from_secs(30 * 60);

/// How many different models or keys of a provider must fail in a row, none of them answering in between, until the
/// failure is taken for the provider's.
const TRIPS_AFTER: u32 = 3;

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What it affects.
    pub reach: Scope,
    /// What it does to what it affects.
    pub effect: Effect,
    /// How long.
    pub span: Span,
    /// What else ends it.
    pub lifted_by: Lift,
    /// After how many different models or keys of the provider in a row, without an answer in between, it demotes the
    /// provider as a whole; `None` if it never does.
    pub trips_after: Option<u32>,
    /// How much of the call counts against the provider's limits.
    pub counted: Counted,
}

/// What a failure does to what it affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the request was the reason.
    Nothing,
    /// Not called.
    Block,
    /// Called behind all who are well.
    Demote,
}

/// How much of a failed call a provider is taken to have counted against its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Nothing: it was refused, or never arrived.
    Nothing,
    /// The request, but no tokens.
    Request,
    /// All that was reserved for it.
    Whole,
}

/// How long a failure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// As long as the provider states, at most `longest`; `unstated` if it states nothing. A stated time of nothing rests
    /// for a second, doubled with every refusal in a row. A daily limit whose stated delay has proved too short lasts to the
    /// end of the provider's day.
    Stated {
        /// If nothing is stated.
        unstated: Duration,
        /// What is believed at most.
        longest: Duration,
    },
    /// This long, whatever is stated.
    Fixed(Duration),
    /// From `first` to `longest`, doubled with every failure in a row; a stated time counts within these bounds.
    Growing {
        /// The first time.
        first: Duration,
        /// The longest.
        longest: Duration,
    },
    /// Until something lifts it.
    Endless,
}

/// What ends a failure besides its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lift {
    /// Nothing: when the time is over, everybody may call at once.
    Time,
    /// The head of a good answer. When the time is over, one call at a time finds out.
    Head,
    /// The first event of an answer, thoughts included. When the time is over, one call at a time finds out.
    FirstEvent,
    /// A list of models that has it again. It also ends every other refusal that calls a model gone.
    List,
}

impl Policy {
    /// A failure of the request itself: nothing is affected.
    const REQUEST: Self = Self {
        reach: Scope::Request,
        effect: Effect::Nothing,
        span: Span::Fixed(Duration::ZERO),
        lifted_by: Lift::Time,
        trips_after: None,
        counted: Counted::Nothing,
    };

    /// A failure of one model with one account that nobody has announced.
    const FAILURE: Self = Self {
        reach: Scope::AccountModel,
        effect: Effect::Demote,
        span: Span::Growing { first: FIRST_FAILURE, longest: LONGEST_FAILURE },
        lifted_by: Lift::FirstEvent,
        trips_after: Some(TRIPS_AFTER),
        counted: Counted::Whole,
    };

    /// The same for the provider as a whole, which the call has not reached.
    const PROVIDER: Self =
        Self { reach: Scope::Provider, trips_after: None, counted: Counted::Nothing, ..Self::FAILURE };

    /// A limit: the provider says when it ends.
    const LIMIT: Self = Self {
        reach: Scope::AccountModel,
        effect: Effect::Block,
        span: Span::Stated { unstated: UNSTATED_LIMIT, longest: HOUR },
        lifted_by: Lift::Time,
        trips_after: None,
        counted: Counted::Nothing,
    };

    /// A key that cannot be used until a person has acted.
    const KEY: Self = Self {
        reach: Scope::Account,
        effect: Effect::Block,
        span: Span::Fixed(REFUSED),
        lifted_by: Lift::Head,
        trips_after: None,
        counted: Counted::Nothing,
    };

    /// A model that the provider does not offer.
    const GONE: Self = Self {
        reach: Scope::Model,
        effect: Effect::Block,
        span: Span::Endless,
        lifted_by: Lift::List,
        trips_after: None,
        counted: Counted::Nothing,
    };

    /// What follows from `cause`.
    pub const fn of(cause: Cause) -> Self {
        match cause {
            Cause::RateLimited => Self::LIMIT,
            Cause::QuotaExhausted => {
                Self { span: Span::Stated { unstated: UNSTATED_DAY_LIMIT, longest: DAY }, ..Self::LIMIT }
            }
            Cause::AccountLimited => Self { reach: Scope::Account, ..Self::LIMIT },
            Cause::AccountExhausted => Self {
                reach: Scope::Account,
                span: Span::Stated { unstated: UNSTATED_DAY_LIMIT, longest: MONTH },
                ..Self::LIMIT
            },
            Cause::HiddenLimit => Self {
                span: Span::Growing { first: FIRST_HIDDEN, longest: LONGEST_HIDDEN },
                lifted_by: Lift::FirstEvent,
                ..Self::LIMIT
            },
            Cause::KeyRefused | Cause::CreditSpent => Self::KEY,
            Cause::NotInPlan => Self { reach: Scope::AccountModel, span: Span::Fixed(DAY), ..Self::KEY },
            Cause::ModelGone => Self::GONE,
            Cause::ModelNotForAccount => Self { reach: Scope::AccountModel, ..Self::GONE },
            // The list may be right.
            Cause::ModelGoneButListed => Self {
                span: Span::Fixed(HOUR),
                reach: Scope::AccountModel,
                lifted_by: Lift::Head,
                ..Self::GONE
            },
            // A proxy on the way or a wrong base URL may have answered.
            Cause::NotFound => Self { span: Span::Fixed(REFUSED), lifted_by: Lift::Head, ..Self::GONE },
            Cause::Overloaded | Cause::ServerError => Self { counted: Counted::Request, ..Self::FAILURE },
            // It is asked again and again, and the pause does not grow.
            Cause::Loading => {
                Self { span: Span::Stated { unstated: LOADING, longest: LONGEST_LOADING }, ..Self::LIMIT }
            }
            Cause::Silent | Cause::BrokenStream | Cause::NoAnswer => Self::FAILURE,
            Cause::Unreachable | Cause::ConnectTimeout | Cause::Intercepted => Self::PROVIDER,
            Cause::EmptyAnswer | Cause::GenerationUnreadable | Cause::OutOfTime => {
                Self { counted: Counted::Whole, ..Self::REQUEST }
            }
            Cause::TooLarge
            | Cause::ContextTooLong
            | Cause::RequestRefused
            | Cause::Moderated
            | Cause::OutOfDescriptors => Self::REQUEST,
        }
    }

    /// What the provider as a whole gets when it has tripped.
    pub const TRIPPED: Self = Self::PROVIDER;

    /// How much of a call with this cause of failure counts against the provider's limits.
    pub const fn counted(cause: Cause) -> Counted {
        Self::of(cause).counted
    }
}

impl Span {
    /// How long it counts, from now on; `None` without an end. `stated` is what the provider has stated, `in_a_row` how
    /// many failures there have been in a row, this one included.
    pub fn length(self, stated: Option<Duration>, in_a_row: u32) -> Option<Duration> {
        let grown = |first: Duration, longest: Duration| {
            first.saturating_mul(2_u32.saturating_pow(in_a_row.saturating_sub(1))).min(longest)
        };
        match (self, stated) {
            (Self::Stated { unstated, .. }, None) => Some(unstated),
            (Self::Stated { unstated, .. }, Some(Duration::ZERO)) => {
                Some(grown(Duration::from_secs(1), unstated.min(UNSTATED_LIMIT)))
            }
            (Self::Stated { longest, .. }, Some(stated)) => Some(stated.min(longest)),
            (Self::Fixed(span), _) => Some(span),
            (Self::Growing { first, longest }, None) => Some(grown(first, longest)),
            (Self::Growing { first, longest }, Some(stated)) => {
                Some(stated.clamp(grown(first, longest), longest))
            }
            (Self::Endless, _) => None,
        }
    }
}
