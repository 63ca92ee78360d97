//! The models that a provider's list has with a price: nobody calls them, and whoever asks for one is told why.

use std::sync::{PoisonError, RwLock};

/// The ids of the models that bill, by the latest list; bounded by whoever reads lists.
#[derive(Debug, Default)]
pub(super) struct Bills(RwLock<Vec<String>>);

impl Bills {
    /// Goes by this list from now on.
    pub(super) fn learn(&self, paid: Vec<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = paid;
    }

    /// Whether the list has this model with a price.
    pub(super) fn has(&self, id: &str) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().any(|known| known == id)
    }
}
