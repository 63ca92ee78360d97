//! Warnings that would fill the log if every one of them were written.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A warning that is logged at most once a second.
#[derive(Debug, Default)]
pub struct RareWarning(Mutex<Option<Instant>>);

impl RareWarning {
    /// Calls `warn`, unless it was called within the last second.
    pub fn say(&self, warn: impl FnOnce()) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= Duration::from_secs(1)) {
            *last = Some(Instant::now());
            warn();
        }
    }
}
