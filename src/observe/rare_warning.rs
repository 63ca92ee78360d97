//! Warnings that would otherwise fill the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A warning that is said at most once a second, however often there is reason to.
#[derive(Debug, Default)]
pub struct RareWarning(Mutex<Option<Instant>>);

impl RareWarning {
    /// Says it, unless it has just been said.
    pub fn say(&self, warn: impl FnOnce()) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= Duration::from_secs(1)) {
            *last = Some(Instant::now());
            warn();
        }
    }
}
