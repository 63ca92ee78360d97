//! What the surfaces remember between requests.

use std::sync::Arc;

use super::responses::store::Store;

/// What a request may refer to.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Answers that were given, for clients that go on from one by its id.
    pub responses: Arc<Store>,
}
