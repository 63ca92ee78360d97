//! A client's socket. It notices when the client stops reading, and keeps reading for a moment after the last write.
//!
//! hyper asks for no more of a body while its write buffer is full, so nothing above the socket can tell whether the
//! client reads. The kernel's `TCP_USER_TIMEOUT` cannot tell either: while the peer's window is smaller than the next
//! segment, it takes a peer that reads slowly for one that does not read (seen on Linux, November 2026: a client
//! reading 20 kB/s was reset after 30 s). So a write that makes no progress for too long is an error here. The kernel
//! is asked to buffer little that it cannot send yet, because the progress of a slow reader shows sooner that way.
//!
//! Many HTTP clients read a response only after they have sent everything. If the socket is closed before that, they
//! lose the refusal that is already on its way. So the write side is closed first, and what still arrives is read and
//! dropped.
//!
//! hyper also misses that a client leaves while data from it is unread, such as a second request behind the first.
//! [`departure`](ClientStream::departure) notices.

use std::io;
use std::net::Shutdown as Close;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

#[cfg(any(target_os = "android", target_os = "linux"))]
use tokio::io::Interest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Sleep, sleep};
use tracing::debug;

use super::connection::Connection;
use super::head_timer::Progress;
use crate::time::Shutdown;

/// What the kernel may buffer beyond the peer's window, in bytes. The peer counts as reading whenever it has made room
/// for half of this; its own kernel reports room in steps that grow with its receive buffer, 64 KiB and more.
#[cfg(any(target_os = "android", target_os = "linux"))]
const MOST_UNSENT_BYTES: u32 = 16 * 1024;

/// How long a client may go on sending after our last byte.
const LINGER: Duration = Duration::from_secs(2);

/// Gives what is to be written in place of these bytes, if they are a refusal of hyper's own.
pub(super) type Refuse = fn(&[u8]) -> Option<Vec<u8>>;

/// A connection whose writes fail if the peer reads nothing for a while, and whose end lets the peer finish.
pub(super) struct ClientStream {
    read: OwnedReadHalf,
    /// Shared with who waits for the client's departure.
    write: Arc<OwnedWriteHalf>,
    link: Arc<Connection>,
    stall_limit: Duration,
    shutdown: Shutdown,
    refuse: Refuse,
    progress: Progress,
    /// The refusal that replaces hyper's own, and how many of its bytes are written.
    refusal: Option<(Vec<u8>, usize)>,
    /// The last write was partial, so the next one begins in the middle of something.
    is_cut: bool,
    /// Runs while a write waits for the peer.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Runs after the last write, as long as the peer may go on sending.
    lingering: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl ClientStream {
    /// Wraps `stream`. A write that waits for longer than `stall_limit` fails. Once `shutdown` has begun, the stream
    /// does not keep reading after its last write. `refuse` replaces refusals of hyper's own. `link` learns when a write has
    /// to wait.
    pub(super) fn new(
        stream: TcpStream,
        stall_limit: Duration,
        shutdown: Shutdown,
        refuse: Refuse,
        link: Arc<Connection>,
    ) -> Self {
        if let Err(error) = tune(&stream) {
            debug!(%error, "Cannot set the options of a socket");
        }
        let (read, write) = stream.into_split();
        Self {
            read,
            write: Arc::new(write),
            link,
            stall_limit,
            shutdown,
            refuse,
            progress: Progress::default(),
            refusal: None,
            is_cut: false,
            stalled: None,
            lingering: None,
        }
    }

    /// Tells when something of a head has been read.
    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Completes when the peer has closed its side, even if data from it is still unread. Only Linux reports that; on
    /// other systems the future never completes.
    pub(super) fn departure(&self) -> impl Future<Output = ()> + Send + use<> {
        let stream = self.write.clone();
        async move {
            #[cfg(any(target_os = "android", target_os = "linux"))]
            // This interest wakes for priority data, which no socket of ours asks for, and for the end of the read
            // side.
            if stream.ready(Interest::PRIORITY).await.is_ok_and(|ready| ready.is_read_closed()) {
                return;
            }
            drop(stream);
            std::future::pending().await
        }
    }

    /// Writes if the socket has room, as it nearly always has, and asks for more room only if it has not.
    fn poll_try_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.stream();
        loop {
            match stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
            ready!(stream.poll_write_ready(context))?;
        }
    }

    fn stream(&self) -> &TcpStream {
        self.read.as_ref()
    }

    /// Writes the refusal that replaces `bytes`, if there is one, else `bytes` as they are.
    fn poll_write_or_refuse(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // The middle of an answer may look like a refusal.
        if self.refusal.is_none() && !self.is_cut {
            self.refusal = (self.refuse)(bytes).map(|refusal| (refusal, 0));
        }
        let Some((refusal, mut from)) = self.refusal.take() else {
            return self.poll_try_write(context, bytes);
        };
        while let Some(rest) = refusal.get(from..).filter(|rest| !rest.is_empty()) {
            match self.poll_try_write(context, rest) {
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

    /// Fails a `write` of `given` bytes that waits for too long.
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        write: Poll<io::Result<usize>>,
        given: usize,
    ) -> Poll<io::Result<usize>> {
        self.link.stall(write.is_pending());
        if let Poll::Ready(outcome) = &write {
            self.is_cut = outcome.as_ref().is_ok_and(|&taken| taken < given);
            self.stalled = None;
            return write;
        }
        let limit = self.stall_limit;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(context));
        // Without a reset the kernel would go on offering the rest to a peer that does not read.
        let _ = self.stream().set_zero_linger();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    // Tokens are small and must not wait for each other.
    stream.set_nodelay(true)?;
    // Only Linux has this option.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(MOST_UNSENT_BYTES)?;
    Ok(())
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let known = buffer.filled().len();
        // tokio's own, because it knows after a short read that nothing is left: one system call less.
        let read = Pin::new(&mut self.read).poll_read(context, buffer);
        self.progress.read(buffer.filled().get(known..).unwrap_or_default());
        read
    }
}

/// Not vectored: hyper then gathers everything that is ready in one buffer, which costs less for events of some dozen bytes
/// than a list of slices.
impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = this.poll_write_or_refuse(context, bytes);
        this.watch(context, write, bytes.len())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { read, shutdown, lingering, .. } = self.get_mut();
        let lingering = match lingering {
            Some(lingering) => lingering,
            None => {
                socket2::SockRef::from(read.as_ref()).shutdown(Close::Write)?;
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
            let outcome = ready!(Pin::new(&mut *read).poll_read(context, &mut buffer));
            if outcome.is_err() || buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
