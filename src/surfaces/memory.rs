//! What the surfaces remember between requests.

use std::sync::Arc;

use super::responses::store::Store;

/// What a request may refer to.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a> {
    /// Answers that were given, for clients that go on from one by its id.
    pub responses: &'a Arc<Store>,
    /// The key that the client has shown, if any: who has another one has other answers.
    pub key: Option<&'a [u8]>,
}
