//! A client that writes and reads bytes, and leaves as it likes.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{self, Process, post};

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// It closes its connection in good order.
    Fin,
    /// It resets it.
    Rst,
}

/// Costs no call.
pub(crate) const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A question to `path`, to whoever can answer, as a stream.
pub(crate) fn question(path: &str) -> Vec<u8> {
    post(path, r#"{"messages":[{"role":"user","content":"Hola"}],"stream":true}"#)
}

/// A response that was read to its end.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The body with its framing.
    pub(crate) body: String,
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) received: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(proxy: &Process) -> Self {
        Self { stream: support::connect(proxy).await, received: Vec::new() }
    }

    /// From a machine that takes in hardly more than what is read.
    pub(crate) async fn connect_with_little_room(proxy: &Process) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a small buffer");
        let address = proxy.address.parse().expect("an address");
        let stream = socket.connect(address).await.expect("a connection");
        Self { stream, received: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.received.clear();
        self.stream.write_all(bytes).await
    }

    /// Reads until `mark` has come.
    pub(crate) async fn read_until(&mut self, mark: &[u8]) -> io::Result<()> {
        while !contains(&self.received, mark) {
            self.read_some().await?;
        }
        Ok(())
    }

    /// Reads one response to its end.
    pub(crate) async fn reply(&mut self) -> io::Result<Reply> {
        self.read_until(b"\r\n\r\n").await?;
        let head_bytes = position(&self.received, b"\r\n\r\n").unwrap_or_default() + 4;
        let head = String::from_utf8_lossy(&self.received[..head_bytes]).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
        let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
        match length.and_then(|length| length.parse::<usize>().ok()) {
            Some(length) => {
                while self.received.len() < head_bytes + length {
                    self.read_some().await?;
                }
            }
            None => {
                while !self.received[head_bytes - 2..].ends_with(b"\r\n0\r\n\r\n") {
                    self.read_some().await?;
                }
            }
        }
        Ok(Reply { status, body: String::from_utf8_lossy(&self.received[head_bytes..]).into_owned() })
    }

    /// Reads to the end of the connection, however that comes.
    pub(crate) async fn read_to_end(&mut self) {
        while self.read_some().await.is_ok() {}
    }

    async fn read_some(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn leave(self, how: Leaving) {
        if how == Leaving::Rst {
            self.stream.set_zero_linger().expect("a socket");
        }
    }
}

fn position(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

fn contains(bytes: &[u8], mark: &[u8]) -> bool {
    position(bytes, mark).is_some()
}
