//! What the proxy reports about itself: `/health`, `/providers` and `/metrics`, and the page that shows it. Calls no
//! provider.

mod health;
mod limits;
mod metrics;
pub(crate) mod page;
mod providers;

pub(crate) use self::health::Health;
pub(crate) use self::metrics::{METRICS_TYPE, metrics};
pub(crate) use self::providers::report;
