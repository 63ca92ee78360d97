//! What the proxy reports about itself: `/health`, `/providers` and `/metrics`. Calls no provider.

mod health;
mod limits;
mod metrics;
mod providers;

pub(crate) use self::health::Health;
pub(crate) use self::metrics::{METRICS_TYPE, metrics};
pub(crate) use self::providers::report;
