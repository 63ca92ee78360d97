//! A request for a response, as parsed.

use std::collections::HashSet;
use std::sync::Arc;

use super::names::Origins;
use super::store::{Caller, Draft, Store, Stored};
use crate::middle::ChatRequest;

/// A valid request as its client meant it.
#[derive(Debug)]
pub struct ResponsesAsk {
    /// The request in the words of the middle.
    pub request: Arc<ChatRequest>,
    /// The name by which the client asks for a model; `auto` if it gives none.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Names of the fields, and of the kinds of items, parts and tools, that are ignored.
    pub ignored: Vec<String>,
    /// The tools as the client knows them.
    pub(super) origins: Arc<Origins>,
    /// What the response repeats of the request; see `parse::echo`.
    pub(super) echo: Arc<[u8]>,
    /// What the client has sent, if it is to be stored, until there is room for it.
    pub(super) input: Option<String>,
    /// The same, when there is.
    pub(super) draft: Option<Arc<Draft>>,
    /// The id of the answer that this request goes on from.
    pub(super) previous: Option<String>,
    /// The ids of the items that stand for others. Their items are not among the messages yet.
    pub(super) references: HashSet<String>,
    /// Where the answer belongs, as soon as that is known.
    pub(super) place: Option<Place>,
}

/// Where an answer belongs: its id, and how it is stored.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) store: Arc<Store>,
    pub(super) owner: Caller,
    /// The answer's id without its prefix.
    pub(super) id: String,
    /// The answer that it goes on from.
    pub(super) parent: Option<Arc<Stored>>,
}
