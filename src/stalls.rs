//! A socket that notices when its peer has stopped reading.
//!
//! hyper asks for no more of a body while its write buffer is full, so nothing above the socket can tell. The
//! kernel's `TCP_USER_TIMEOUT` cannot either: while the peer's window is smaller than the next segment it counts a
//! peer that reads slowly as one that does not read (seen on Linux, November 2026: a client reading 20 kB/s was
//! reset after 30 s). So a write that makes no progress for too long is an error here, and the kernel is asked to hold
//! little that it cannot send yet, so that a slow reader is soon seen to make progress.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// What the kernel may hold beyond what the peer has room for, in bytes. The peer is seen to read whenever it has made
/// room for half of this; its own kernel tells of room in steps of up to 64 KiB.
#[cfg(any(target_os = "android", target_os = "linux"))]
const MOST_UNSENT_BYTES: u32 = 16 * 1024;

/// A connection whose writes fail once the peer has taken nothing for a while.
#[derive(Debug)]
pub(crate) struct Stallable {
    stream: TcpStream,
    limit: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Stallable {
    /// `stream`, given up when a write waits for longer than `limit`.
    ///
    /// # Errors
    /// The socket refuses its options, most likely because the peer has left already.
    pub(crate) fn new(stream: TcpStream, limit: Duration) -> io::Result<Self> {
        // Tokens are small and urgent.
        stream.set_nodelay(true)?;
        // Other systems are left as they are.
        #[cfg(any(target_os = "android", target_os = "linux"))]
        socket2::SockRef::from(&stream).set_tcp_notsent_lowat(MOST_UNSENT_BYTES)?;
        Ok(Self { stream, limit, stalled: None })
    }

    fn watch<T>(&mut self, context: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.stalled = None;
            return write;
        }
        let limit = self.limit;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stallable {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stallable {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.watch(context, write)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.watch(context, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
