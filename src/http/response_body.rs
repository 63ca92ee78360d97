//! The bodies of responses.

use std::borrow::Cow;
use std::io::Cursor;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Frame, SizeHint};

/// A response to a client.
pub(super) type Response = http::Response<Body>;

/// The bytes of a body, whole or in part.
type Bytes = Cow<'static, [u8]>;

/// hyper copies what it is given into the buffer of the connection, and takes more only when that has room: a larger body is
/// given in pieces of this size, so that a client that does not read has it in memory once.
const PIECE_BYTES: usize = 64 * 1024;

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
    /// It is known and may be large. What holds its memory is dropped with its last piece.
    Pieces(bytes::Bytes),
    /// It comes bit by bit.
    Streamed(Box<dyn Stream>),
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self::Whole(bytes.into())
    }
}

impl Body {
    /// A body that is known, and what is to be held until the client has taken it.
    pub(super) fn holding<H: Send + 'static>(bytes: Vec<u8>, held: H) -> Self {
        struct Holding<H>(Vec<u8>, H);
        impl<H> AsRef<[u8]> for Holding<H> {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        if bytes.len() <= PIECE_BYTES {
            // hyper takes it at once.
            return Self::Whole(bytes.into());
        }
        Self::Pieces(bytes::Bytes::from_owner(Holding(bytes, held)))
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
            Self::Pieces(rest) if rest.is_empty() => Poll::Ready(None),
            Self::Pieces(rest) => {
                let piece = rest.split_to(rest.len().min(PIECE_BYTES)).to_vec();
                Poll::Ready(Some(Ok(data(piece.into()))))
            }
            Self::Streamed(stream) => {
                stream.poll_next(context).map(|next| next.map(|bytes| bytes.map(|bytes| data(bytes.into()))))
            }
        }
    }

    /// So that hyper writes the end of a body together with its last bytes.
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Pieces(rest) => rest.is_empty(),
            Self::Streamed(stream) => stream.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(rest) => SizeHint::with_exact(rest.len() as u64),
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt as _;
    use http_body_util::BodyExt as _;
    use hyper::body::Body as _;

    use super::*;

    /// hyper copies each piece into its buffer, and asks for the next one when there is room.
    #[test]
    fn a_large_body_comes_in_pieces_and_holds_its_memory_until_the_last_is_taken() {
        for length in [PIECE_BYTES + 1, 2 * PIECE_BYTES, 5 * PIECE_BYTES - 7] {
            let whole: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let memory = Arc::new(());
            let mut body = Body::holding(whole.clone(), memory.clone());
            let mut taken = Vec::new();
            while !body.is_end_stream() {
                assert_eq!(body.size_hint().exact(), Some((length - taken.len()) as u64));
                assert_eq!(Arc::strong_count(&memory), 2, "after {} of {length}", taken.len());
                let piece = body.frame().now_or_never().flatten().unwrap().unwrap().into_data().unwrap();
                assert!(piece.get_ref().len() <= PIECE_BYTES);
                taken.extend_from_slice(piece.get_ref());
            }
            assert!(body.frame().now_or_never().unwrap().is_none());
            assert_eq!(Arc::strong_count(&memory), 1, "it is given back");
            assert!(taken == whole, "{length}");
        }
    }
}
