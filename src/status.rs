//! What the proxy reports about itself: `/health` and `/providers`, and the page that shows it. Calls no provider.

mod health;
pub(crate) mod page;
mod providers;

pub(crate) use self::health::Health;
pub(crate) use self::providers::report;
