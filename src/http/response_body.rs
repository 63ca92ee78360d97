//! The bodies of responses.

use std::borrow::Cow;
use std::io::Cursor;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Frame, SizeHint};

use super::reading::Held;

/// A response to a client.
pub(super) type Response = http::Response<Body>;

/// The bytes of a body, whole or in part.
type Bytes = Cow<'static, [u8]>;

/// Breaks the connection.
#[derive(Debug, thiserror::Error)]
#[error("the answer was interrupted")]
pub(super) struct Aborted;

/// A body that comes bit by bit.
pub(super) trait Stream: Send {
    /// The next bytes, never none; nothing after the last ones.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, Aborted>>>;

    /// Whether nothing follows.
    fn is_over(&self) -> bool;
}

/// The body of a response.
pub(super) enum Body {
    /// It is known. Empty once it was taken.
    Whole(Bytes),
    /// It is known, and may be large.
    Large(Large),
    /// It comes bit by bit.
    Streamed(Box<dyn Stream>),
}

/// A part of a large body that is copied for the client at once.
const PART_BYTES: usize = 64 * 1024;

/// A large body, sent in parts: what a client does not read stays where it is, and keeps its memory.
pub(super) struct Large {
    bytes: Box<dyn AsRef<[u8]> + Send>,
    sent: usize,
    _held: Held,
}

impl Large {
    /// All of `bytes`. They and what they hold are kept until the last part is on its way.
    pub(super) fn new(bytes: impl AsRef<[u8]> + Send + 'static, held: Held) -> Self {
        Self { bytes: Box::new(bytes), sent: 0, _held: held }
    }

    fn left(&self) -> &[u8] {
        (*self.bytes).as_ref().get(self.sent..).unwrap_or_default()
    }

    fn next_part(&mut self) -> Option<Vec<u8>> {
        let left = self.left();
        let part = left.get(..PART_BYTES).unwrap_or(left).to_vec();
        self.sent += part.len();
        (!part.is_empty()).then_some(part)
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self::Whole(bytes.into())
    }
}

impl hyper::body::Body for Body {
    type Data = Cursor<Bytes>;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Aborted>>> {
        let data = |bytes| Frame::data(Cursor::new(bytes));
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(data(std::mem::take(bytes))))),
            Self::Large(large) => Poll::Ready(large.next_part().map(|part| Ok(data(part.into())))),
            Self::Streamed(stream) => {
                stream.poll_next(context).map(|next| next.map(|bytes| bytes.map(|bytes| data(bytes.into()))))
            }
        }
    }

    /// So that hyper writes the end of a body together with its last bytes.
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Large(large) => large.left().is_empty(),
            Self::Streamed(stream) => stream.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Large(large) => SizeHint::with_exact(large.left().len() as u64),
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}
