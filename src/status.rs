//! What the proxy reports about itself: `/health` and `/providers`. Calls no provider.

mod health;
mod providers;

pub(crate) use self::health::Health;
pub(crate) use self::providers::report;
