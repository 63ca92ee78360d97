//! What a client wants to know, and how far an attempt must come before it counts.

use std::sync::Arc;

use crate::middle::ChatRequest;
use crate::quota::Target;

/// How far an attempt must come before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// To its first thought or content. Thoughts are relayed as they come, and until the first content another candidate
    /// may take over.
    FirstThought,
    /// To its first content; the rest is relayed as it comes.
    FirstContent,
    /// To its end; an answer that breaks half-way is a failure like any other.
    Whole,
}

/// What a client wants to know, and of whom.
#[derive(Debug)]
pub(crate) struct Question {
    /// The conversation.
    pub(crate) request: Arc<ChatRequest>,
    /// Who may answer. A pinned target with a single entry leaves the rotation unchanged.
    pub(crate) target: Target,
    /// How far an attempt must come.
    pub(crate) extent: Extent,
    /// The id of the client's request, for the log.
    pub(crate) request_id: String,
}
