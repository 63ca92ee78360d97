//! Who writes an answer.

use crate::providers::Provider;

/// Which provider and model answer which request.
#[derive(Clone, Debug)]
pub struct Author {
    /// The provider.
    pub provider: Provider,
    /// The model's id at that provider.
    pub model: String,
    /// The id of the request.
    pub request_id: String,
    /// When the answer began, in seconds since 1970.
    pub created: i64,
}
