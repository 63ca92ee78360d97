//! The time of day as an argument, so that tests can set it.

use std::sync::Arc;

use jiff::Timestamp;

/// Tells what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
