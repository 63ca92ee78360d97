//! How a surface writes a streamed answer, and what it is told when the answer breaks off.

use std::fmt;

use super::author::Author;
use crate::middle::{Event, Reason};

/// How a surface writes a streamed answer.
pub trait Encode: Send + 'static {
    /// The media type of the body.
    fn content_type(&self) -> &'static str;

    /// Appends to `out` an ordinary event without text, which keeps the connection alive; nothing if the dialect has no
    /// such event. It is no comment, because readers that split at blank lines lose the event behind a comment.
    fn keep_alive(&mut self, out: &mut Vec<u8>);

    /// How many bytes a piece of text takes besides the text itself, if nothing in it has to be escaped. A buffer of
    /// exactly that size needs neither growing nor a second allocation when it becomes [`Bytes`](bytes::Bytes).
    fn framing(&self) -> usize;

    /// Appends `event` to `out`; after a finish also the mark of a complete answer.
    fn event(&mut self, event: Event, out: &mut Vec<u8>);

    /// Another model goes on with the answer, or another provider: what it writes is `author`'s from now on.
    fn taken_over(&mut self, author: Author);

    /// Appends to `out` that the answer will not be completed.
    fn interrupted(&mut self, interrupted: &Interrupted, out: &mut Vec<u8>) -> AfterFailure;
}

/// How a body ends after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// The error is in the bytes.
    EndNormally,
    /// The dialect cannot say it: the connection breaks, and the client's HTTP library reports that.
    AbortConnection,
}

/// Why an answer breaks off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// The provider failed.
    Provider {
        /// Its name.
        name: &'static str,
        /// What happened.
        reason: Reason,
    },
    /// Nobody came as far as the first content: the sentence that says how each one failed.
    Everybody(String),
    /// This process ends.
    ShuttingDown,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider { name, reason: Reason::Timeout } => {
                write!(f, "{name} stopped sending in the middle of its answer")
            }
            Self::Provider { name, reason } => write!(f, "{name} {}", reason.explanation()),
            Self::Everybody(sentence) => f.write_str(sentence),
            Self::ShuttingDown => f.write_str("The proxy is shutting down before the answer is complete"),
        }
    }
}
