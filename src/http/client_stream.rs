//! A client's socket, which notices when nobody reads, and listens on for a moment when all is said.
//!
//! hyper asks for no more of a body while its write buffer is full, so nothing above the socket can tell whether anybody
//! reads. The kernel's `TCP_USER_TIMEOUT` cannot either: while the peer's window is smaller than the next segment it
//! counts a peer that reads slowly as one that does not read (seen on Linux, November 2026: a client reading 20 kB/s was
//! reset after 30 s). So a write that makes no progress for too long is an error here, and the kernel is asked to hold
//! little that it cannot send yet, so that a slow reader is soon seen to make progress.
//!
//! Many HTTP clients look for an answer only when they have sent everything, and closing under them costs them the
//! refusal that they were sent. So the end is said first, and what still comes is read and forgotten.
//!
//! hyper does not notice either that a client leaves while something that it sent is unread, such as a second request
//! behind the first; [`departure`](ClientStream::departure) does.

use std::io::{self, IoSlice};
use std::net::Shutdown as Close;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

#[cfg(any(target_os = "android", target_os = "linux"))]
use tokio::io::Interest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tracing::debug;

use crate::time::Shutdown;

/// What the kernel may hold beyond what the peer has room for, in bytes. The peer is seen to read whenever it has made
/// room for half of this; its own kernel tells of room in steps that grow with its receive buffer, 64 KiB and more.
#[cfg(any(target_os = "android", target_os = "linux"))]
const MOST_UNSENT_BYTES: u32 = 16 * 1024;

/// How long a client may go on sending when we have said the last.
const LINGER: Duration = Duration::from_secs(2);

/// What is to be written in place of these bytes, if they are a refusal of hyper's own.
pub(super) type Refuse = fn(&[u8]) -> Option<Vec<u8>>;

/// A connection whose writes fail once the peer has taken nothing for a while, and whose end lets the peer finish.
pub(crate) struct ClientStream {
    stream: Arc<TcpStream>,
    stall_limit: Duration,
    shutdown: Shutdown,
    refuse: Refuse,
    /// What is written in place of what hyper says, from this byte on.
    refusal: Option<(Vec<u8>, usize)>,
    /// The last write took less than it was given: the next one begins somewhere.
    is_cut: bool,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Runs when all is said: how long to listen on.
    lingering: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl ClientStream {
    /// `stream`, given up when a write waits for longer than `stall_limit`. From the beginning of `shutdown` nobody is
    /// listened to any more when all is said. Refusals of hyper's own are written as `refuse` has them.
    pub(super) fn new(stream: TcpStream, stall_limit: Duration, shutdown: Shutdown, refuse: Refuse) -> Self {
        if let Err(error) = tune(&stream) {
            debug!(%error, "Cannot set the options of a socket");
        }
        let stream = Arc::new(stream);
        let (refusal, stalled, lingering) = (None, None, None);
        Self { stream, stall_limit, shutdown, refuse, refusal, is_cut: false, stalled, lingering }
    }

    /// Comes true when the peer has closed its side, whatever it has sent that is not read yet. Only Linux tells; on
    /// other systems it never comes true.
    pub(crate) fn departure(&self) -> impl Future<Output = ()> + Send + use<> {
        let stream = self.stream.clone();
        async move {
            #[cfg(any(target_os = "android", target_os = "linux"))]
            // Of what this interest waits for, a socket of ours can only have the end of what is read: priority data is not
            // asked for.
            if stream.ready(Interest::PRIORITY).await.is_ok_and(|ready| ready.is_read_closed()) {
                return;
            }
            drop(stream);
            std::future::pending().await
        }
    }

    fn poll_try_write(
        &self,
        context: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    /// Writes `bytes`, which `write` writes as they are, or the refusal that they stand for.
    fn poll_write_or_refuse(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
        write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        // The middle of an answer may look like anything.
        if self.refusal.is_none() && !self.is_cut {
            self.refusal = (self.refuse)(bytes).map(|refusal| (refusal, 0));
        }
        let Some((refusal, mut from)) = self.refusal.take() else {
            return self.poll_try_write(context, write);
        };
        while let Some(rest) = refusal.get(from..).filter(|rest| !rest.is_empty()) {
            match self.poll_try_write(context, |stream| stream.try_write(rest)) {
                Poll::Ready(Ok(written)) => from += written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.refusal = Some((refusal, from));
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    /// Sees to it that `write`, which was given so many bytes, does not wait too long.
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        write: Poll<io::Result<usize>>,
        given: usize,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(outcome) = &write {
            self.is_cut = outcome.as_ref().is_ok_and(|&taken| taken < given);
            self.stalled = None;
            return write;
        }
        let limit = self.stall_limit;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(context));
        // Reset, or the kernel would go on offering the rest to a peer that does not want it.
        let _ = self.stream.set_zero_linger();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

fn poll_read(
    stream: &TcpStream,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        ready!(stream.poll_read_ready(context))?;
        match stream.try_read_buf(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return Poll::Ready(read.map(drop)),
        }
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    // Tokens are small and urgent.
    stream.set_nodelay(true)?;
    // Other systems are left as they are.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(MOST_UNSENT_BYTES)?;
    Ok(())
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        poll_read(&self.stream, context, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = this.poll_write_or_refuse(context, bytes, |stream| stream.try_write(bytes));
        this.watch(context, write, bytes.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // A refusal is never in pieces.
        let bytes = slices.first().map_or(&[][..], |slice| slice);
        let write = if slices.len() == 1 {
            this.poll_write_or_refuse(context, bytes, |stream| stream.try_write(bytes))
        } else {
            this.poll_try_write(context, |stream| stream.try_write_vectored(slices))
        };
        this.watch(context, write, slices.iter().map(|slice| slice.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, shutdown, lingering, .. } = self.get_mut();
        let lingering = match lingering {
            Some(lingering) => lingering,
            None => {
                socket2::SockRef::from(&**stream).shutdown(Close::Write)?;
                let begun = shutdown.begun();
                lingering.insert(Box::pin(async move {
                    tokio::select! {
                        () = sleep(LINGER) => {}
                        () = begun => {}
                    }
                }))
            }
        };
        let mut forgotten = [0; 4_096];
        while lingering.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut forgotten);
            let read = ready!(poll_read(stream, context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
