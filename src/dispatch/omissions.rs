//! What a provider's models have refused and requests can do without: it is not sent to them again.

use std::sync::{Arc, PoisonError, RwLock};

/// The fields that are left out, each with the model that has refused it. There are as many as models times optional
/// fields at most, and mostly none.
#[derive(Debug, Default)]
pub(super) struct Omissions(RwLock<Vec<(Arc<str>, &'static str)>>);

impl Omissions {
    /// The fields to leave out for a model.
    pub(super) fn of(&self, model: &str) -> Vec<&'static str> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|(its, _)| **its == *model).map(|(_, field)| *field).collect()
    }

    /// Leaves out `field` for `model` from now on.
    pub(super) fn add(&self, model: &Arc<str>, field: &'static str) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !known.iter().any(|(its, one)| **its == **model && *one == field) {
            known.push((model.clone(), field));
        }
    }
}
