//! What is sent to a provider, and what one event of its answer was, in any dialect.

use crate::middle::Feature;

/// A completion request in a provider's dialect, ready to be sent as `POST` with JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct WireRequest {
    /// The path and query, which follow the base URL.
    pub path: String,
    /// The JSON body.
    pub body: Vec<u8>,
    /// Whether it asks for a stream. If not, the provider may send nothing before the whole answer is done.
    pub is_stream: bool,
    /// Tool names that had to be changed: the name on the wire and the client's name.
    pub renamed_tools: Vec<(String, String)>,
    /// What the client asked for and this model does not support.
    pub left_out: Vec<Feature>,
}

/// What one event of a provider's stream was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// It was understood, and its content has been passed on.
    Understood,
    /// The dialect's own end mark: nothing follows.
    Done,
    /// It was not JSON of the expected form.
    Unreadable,
}
