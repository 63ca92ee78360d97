//! The body of an answer, read from the connection by whoever waits for it.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, timeout_at};

use super::exchange::Request;
use super::framing::{BrokenOff, Framing};
use super::origin::Origin;
use super::stream::Stream;

/// Longest error body read, in bytes.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// The body of an answer. Dropping it closes the connection; reading it to its end gives the connection back.
pub(crate) struct Body {
    /// `None` once the body has ended or broken off.
    lent: Option<Lent>,
    framing: Framing,
    /// What came together with the head.
    rest: Vec<u8>,
}

/// A connection on which an answer is under way.
pub(super) struct Lent {
    pub stream: Stream,
    /// Where it goes back to, if it can be used again.
    pub home: Option<Arc<Origin>>,
    /// The rest of a request that was answered before all of it was sent.
    pub request: Option<Box<Request>>,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("framing", &self.framing).finish_non_exhaustive()
    }
}

impl Body {
    pub(super) fn new(lent: Lent, framing: Framing, rest: Vec<u8>) -> Self {
        let mut body = Self { lent: Some(lent), framing, rest };
        if body.framing.is_complete() {
            let is_clean = body.rest.is_empty();
            body.give_back(is_clean);
        }
        body
    }

    /// Waits for more of the body, and passes it on as it arrives, in one or more pieces; `false` at its end.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`BrokenOff`]: the connection ended before the body did.
    pub(crate) async fn read(&mut self, mut pass_on: impl FnMut(&[u8])) -> Result<bool, BrokenOff> {
        poll_fn(|context| self.poll_read(context, &mut pass_on)).await
    }

    /// The whole body, read to its end so that the connection can be used again; `None` if it is longer than `most`
    /// bytes or breaks off. Waits without a limit: the caller sets the timeout.
    pub(crate) async fn whole(mut self, most: usize) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        while self.read(|piece| whole.extend_from_slice(piece)).await.ok()? {
            if whole.len() > most {
                return None;
            }
        }
        Some(whole)
    }

    /// The beginning of the body, as much as arrives by `deadline`: for reading what went wrong.
    pub(crate) async fn beginning(&mut self, deadline: Instant) -> Vec<u8> {
        let mut beginning = Vec::new();
        while let Ok(Ok(true)) =
            timeout_at(deadline, self.read(|piece| beginning.extend_from_slice(piece))).await
        {
            if beginning.len() >= MAX_ERROR_BODY_BYTES {
                break;
            }
        }
        beginning.truncate(MAX_ERROR_BODY_BYTES);
        beginning
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        pass_on: &mut impl FnMut(&[u8]),
    ) -> Poll<Result<bool, BrokenOff>> {
        let has_content = Cell::new(false);
        let mut pass_on = |piece: &[u8]| {
            has_content.set(true);
            pass_on(piece);
        };
        let mut pushed = Ok(());
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            let used = self.framing.push(&rest, &mut pass_on);
            pushed = self.settle(used.map(|used| used == rest.len()));
        }
        // What came in front of an error is passed on, whatever else came with it.
        while !has_content.get() {
            pushed?;
            let Some(Lent { stream, request, .. }) = &mut self.lent else {
                return Poll::Ready(self.framing.end().map(|()| false));
            };
            if let Some(request) = request {
                request.send(stream, context);
            }
            let framing = &mut self.framing;
            let arrived = ready!(stream.poll_arrived(context, |bytes| match bytes {
                [] => framing.end().map(|()| false),
                bytes => framing.push(bytes, &mut pass_on).map(|used| used == bytes.len()),
            }));
            pushed = self.settle(arrived.unwrap_or(Err(BrokenOff)));
        }
        Poll::Ready(Ok(true))
    }

    /// Lets go of the connection if the body has ended or broken off. `pushed` says whether all that came was the body's.
    fn settle(&mut self, pushed: Result<bool, BrokenOff>) -> Result<(), BrokenOff> {
        match pushed {
            Ok(is_clean) if self.framing.is_complete() => self.give_back(is_clean),
            Ok(_) => {}
            Err(BrokenOff) => (self.lent, self.framing) = (None, Framing::Broken),
        }
        pushed.map(drop)
    }

    /// Lets go of the connection, which is used again if nothing speaks against it.
    fn give_back(&mut self, is_clean: bool) {
        if let Some(Lent { stream, home: Some(home), request }) = self.lent.take()
            && is_clean
            && request.is_none_or(|request| request.is_sent())
        {
            home.pool.put(stream);
        }
    }
}
