use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// One thing done to a socket.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Write these bytes at once.
    Send(Vec<u8>),
    /// Write these bytes one by one.
    Drip(Vec<u8>),
    /// Write these bytes over and over until the peer leaves.
    Flood(Vec<u8>),
    /// Do nothing for a while.
    Pause(Duration),
    /// Do nothing until the peer leaves.
    Stall,
    /// Close in good order.
    Close,
    /// Reset the connection.
    Reset,
}

/// What is done after a request has come; then the next request is read.
pub(crate) type Script = Vec<Step>;

/// What has happened to a [`RawUpstream`] so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) connections: usize,
    pub(crate) open: usize,
    pub(crate) requests: usize,
}

/// A server that says bytes which no HTTP library would say.
pub(crate) struct RawUpstream {
    pub(crate) address: SocketAddr,
    traffic: watch::Receiver<Traffic>,
    requests: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl RawUpstream {
    /// Answers the request with number `n`, counted from 0 over all connections, by `script(n)`.
    pub(crate) async fn start(
        script: impl Fn(usize) -> Script + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (changes, traffic) = watch::channel(Traffic::default());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let shared = Arc::new(Shared { script: Box::new(script), changes, requests: requests.clone() });
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.change(|traffic| {
                    (traffic.connections, traffic.open) = (traffic.connections + 1, traffic.open + 1)
                });
                let shared = shared.clone();
                connections.spawn(async move {
                    // However it ends, it has ended.
                    let _ = shared.serve(stream).await;
                    shared.change(|traffic| traffic.open -= 1);
                });
            }
        });
        Ok(Self { address, traffic, requests, server })
    }

    /// Answers every request by `script`.
    pub(crate) async fn always(script: Script) -> anyhow::Result<Self> {
        Self::start(move |_| script.clone()).await
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn traffic(&self) -> Traffic {
        *self.traffic.borrow()
    }

    /// All requests so far, heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the traffic is as it should be.
    pub(crate) async fn until(&self, what: &str, mut is_reached: impl FnMut(Traffic) -> bool) {
        let mut traffic = self.traffic.clone();
        let reached = async { traffic.wait_for(|traffic| is_reached(*traffic)).await.is_ok() };
        assert!(super::within_patience(what, reached).await, "the server is gone");
    }
}

impl Drop for RawUpstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Shared {
    script: Box<dyn Fn(usize) -> Script + Send + Sync>,
    changes: watch::Sender<Traffic>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Traffic)) {
        self.changes.send_modify(change);
    }

    fn keep(&self, request: String) -> usize {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(request);
        requests.len() - 1
    }

    async fn serve(&self, mut stream: TcpStream) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        let mut received = Vec::new();
        while let Some(request) = receive(&mut stream, &mut received).await? {
            let number = self.keep(request);
            self.change(|traffic| traffic.requests += 1);
            for step in (self.script)(number) {
                match step {
                    Step::Send(bytes) => stream.write_all(&bytes).await?,
                    Step::Drip(bytes) => {
                        for byte in bytes {
                            stream.write_all(&[byte]).await?;
                            tokio::task::yield_now().await;
                        }
                    }
                    Step::Flood(bytes) => loop {
                        stream.write_all(&bytes).await?;
                    },
                    Step::Pause(span) => tokio::time::sleep(span).await,
                    Step::Stall => {
                        while stream.read_buf(&mut received).await? > 0 {}
                        return Ok(());
                    }
                    Step::Close => return Ok(()),
                    Step::Reset => return Ok(stream.set_zero_linger()?),
                }
            }
        }
        Ok(())
    }
}

/// The next request with its body; none at the end of the connection.
async fn receive(stream: &mut TcpStream, received: &mut Vec<u8>) -> anyhow::Result<Option<String>> {
    loop {
        let text = String::from_utf8_lossy(received).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let lines = head.to_ascii_lowercase();
            let length = lines
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            let total = head.len() + 4 + length.unwrap_or(0);
            if received.len() >= total {
                let rest = received.split_off(total);
                let request = std::mem::replace(received, rest);
                return Ok(Some(String::from_utf8_lossy(&request).into_owned()));
            }
        }
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
}
