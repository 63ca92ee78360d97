//! What the proxy tells about itself: `/health` and `/providers`. Touches no provider.

mod health;
mod providers;

pub(crate) use self::health::Health;
pub(crate) use self::providers::report;
