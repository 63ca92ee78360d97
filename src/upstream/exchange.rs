//! A request goes out, and the head of its answer comes in, both at once: some answer before they have read it all.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite as _;

use super::head::{Gathering, Head};
use super::stream::Stream;

/// A request, and how much of it has been sent. It holds a key and a prompt, so it does not print itself.
pub(super) struct Request {
    head: Vec<u8>,
    body: Vec<u8>,
    sent: usize,
    /// Who takes it no more may have answered all the same.
    is_refused: bool,
}

/// There is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The connection ended before anything of an answer came.
    WithoutAWord,
    /// What came is no answer, or ended in the middle of its head.
    InTheMiddle,
}

impl Request {
    pub(super) fn new(head: Vec<u8>, body: Vec<u8>) -> Self {
        Self { head, body, sent: 0, is_refused: false }
    }

    /// The same, of which nothing has been sent.
    pub(super) fn again(self) -> Self {
        Self::new(self.head, self.body)
    }

    /// Whether all of it has been sent.
    pub(super) fn is_sent(&self) -> bool {
        !self.is_refused && self.sent == self.head.len() + self.body.len()
    }

    /// Sends as much as the connection takes now.
    pub(super) fn send(&mut self, stream: &mut Stream, context: &mut Context<'_>) {
        if !self.is_refused && !self.is_sent() {
            self.is_refused = matches!(self.poll_send(stream, context), Poll::Ready(Err(_)));
        }
    }

    fn poll_send(&mut self, stream: &mut Stream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let in_body = self.sent.saturating_sub(self.head.len());
            let head = self.head.get(self.sent..).unwrap_or_default();
            let body = self.body.get(in_body..).unwrap_or_default();
            if head.is_empty() && body.is_empty() {
                return Pin::new(stream).poll_flush(context);
            }
            let pieces = [IoSlice::new(head), IoSlice::new(body)];
            match ready!(Pin::new(&mut *stream).poll_write_vectored(context, &pieces))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
    }
}

/// Sends `request` and waits for the head of the answer. Returns it with what came behind it.
///
/// # Errors
/// The connection ended, or what came is no answer.
pub(super) async fn exchange(stream: &mut Stream, request: &mut Request) -> Result<(Head, Vec<u8>), Broken> {
    let mut gathering = Gathering::default();
    let mut broken = Broken::WithoutAWord;
    poll_fn(|context| {
        request.send(stream, context);
        loop {
            let gathered = ready!(stream.poll_arrived(context, |bytes| {
                if bytes.is_empty() {
                    return Err(broken);
                }
                broken = Broken::InTheMiddle;
                let head = gathering.push(bytes).map_err(|_| broken)?;
                Ok(head.map(|(head, length)| (head, bytes.get(length..).unwrap_or_default().to_vec())))
            }));
            if let Some(answer) = gathered.map_err(|_| broken)?? {
                return Poll::Ready(Ok(answer));
            }
        }
    })
    .await
}
