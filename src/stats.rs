//! Counters since the process began.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::providers::Provider;

/// What has been counted; shared by all requests.
#[derive(Debug, Default)]
pub struct Stats {
    providers: [ProviderStats; Provider::ALL.len()],
}

/// Counters of one provider.
#[derive(Debug, Default)]
struct ProviderStats {
    attempts: AtomicU64,
    failures: AtomicU64,
}

/// One provider's counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Calls sent to the provider.
    pub attempts: u64,
    /// Those of them that failed. A client that leaves is no failure.
    pub failures: u64,
}

impl Stats {
    /// A call is being sent.
    pub fn attempted(&self, provider: Provider) {
        self.of(provider).attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// A call has failed.
    pub fn failed(&self, provider: Provider) {
        self.of(provider).failures.fetch_add(1, Ordering::Release);
    }

    /// The counters of `provider` now.
    pub fn counts(&self, provider: Provider) -> Counts {
        let stats = self.of(provider);
        // Failures first: a call counts as an attempt before it can fail, so there are never more of them.
        let failures = stats.failures.load(Ordering::Acquire);
        Counts { attempts: stats.attempts.load(Ordering::Relaxed), failures }
    }

    #[expect(clippy::indexing_slicing, reason = "the array has an element for every variant")]
    fn of(&self, provider: Provider) -> &ProviderStats {
        &self.providers[provider as usize]
    }
}
