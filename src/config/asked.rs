//! What the user has said of providers as a whole.

use crate::providers::Provider;

/// What the user has said about providers as a whole.
pub(super) struct Asked {
    /// Those that may be asked without a key.
    pub(super) keyless: Vec<Provider>,
    /// Those that are asked only when nobody else can serve; `None` leaves it to the rows.
    pub(super) second_tier: Option<Vec<Provider>>,
}

impl Asked {
    /// Whether this provider is asked only when nobody else can serve.
    pub(super) fn is_second_tier(&self, provider: Provider) -> bool {
        let by_row = provider.profile().is_second_tier;
        self.second_tier.as_ref().map_or(by_row, |named| named.contains(&provider))
    }
}
