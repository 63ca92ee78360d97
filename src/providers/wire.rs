//! What goes to a provider, and what one event of its answer was, in any dialect.

use crate::middle::Feature;

/// A completion request in a provider's dialect, ready to be sent as `POST` with JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct WireRequest {
    /// What follows the base URL: path and query.
    pub path: String,
    /// The JSON body.
    pub body: Vec<u8>,
    /// Whether it asks for a stream: if not, nothing may come before all is done.
    pub is_stream: bool,
    /// Names of tools that had to be changed, as they are on the wire and as the client has them.
    pub renamed_tools: Vec<(String, String)>,
    /// What the client asked for and this model does not take.
    pub left_out: Vec<Feature>,
}

/// What one event of a provider's stream was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// It was understood; whatever it said has been handed out.
    Understood,
    /// The dialect's own end mark: nothing follows.
    Done,
    /// It was not JSON of the expected form.
    Unreadable,
}
