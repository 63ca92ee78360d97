//! Decides which candidate is called next: rotation, cooldowns, available models and known limits.
//!
//! One owner, one lock, dense numbers inside. Picking is one synchronous step that runs no caller's code:
//! [`Criteria`] go in, a [`Reservation`] comes out. Its holder reports the outcome of the attempt; dropping it without
//! a report means that the client left. What follows from a failure stands in [`Policy`](crate::middle::Policy).
//!
//! Picking reserves what the call takes of every limit; the answer's usage settles it, and the provider's own figures
//! overwrite it. Whoever does not fit into a limit now is passed over, and if nobody is left, the request may wait in
//! line: see [`Quota::wait`].

mod booking;
mod bucket;
mod cooldowns;
mod demand;
mod engine;
mod exchange;
mod learnt;
mod ledger;
mod limits;
mod line;
#[cfg(test)]
mod model;
mod picking;
mod place;
mod price;
mod prospect;
mod provider_share;
mod provider_state;
mod settling;
mod share;
mod shared_bucket;
mod sliding;
mod snapshot;
mod spending;
mod state;
mod target;
#[cfg(test)]
mod tests;
mod ticks;
mod trial;
mod used;
mod waiting;

pub(crate) use self::bucket::{LimitStatus, together};
pub(crate) use self::cooldowns::Blocked;
pub use self::demand::Demand;
pub(crate) use self::demand::estimated_tokens;
pub(crate) use self::engine::Quota;
pub(crate) use self::engine::{Pick, Reservation};
#[cfg(test)]
pub(crate) use self::exchange::BucketReport;
pub(crate) use self::exchange::{Answer, Extent, Kind, Report};
pub(crate) use self::learnt::Learnt;
pub use self::ledger::{Ledger, LedgerWarning, PastUse, PlaceId};
#[cfg(test)]
pub(crate) use self::model::ServerModel;
pub(crate) use self::place::Place;
#[cfg(test)]
pub(crate) use self::provider_share::RestReport;
pub(crate) use self::provider_state::{Change, Offer};
pub(crate) use self::share::{Bell, ShareAnswer};
pub use self::snapshot::{ModelSnapshot, ProviderSnapshot};
pub(crate) use self::target::{Criteria, RuledOut, Target, Wanted, Wish};
pub use self::trial::{Trial, TrialTurn};
