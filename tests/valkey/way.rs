//! A way to a server over the network, on which bytes can be held up while connections stay open.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::server::Server;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// They arrive.
    Flows,
    /// Each piece arrives this much later.
    Late(Duration),
    /// None arrives.
    Stands,
    /// The server hears everything, and none of its answers arrives.
    AnswersStand,
}

/// A way from a port of this machine to a server's socket. Dropping it closes all connections.
pub(crate) struct Way {
    address: SocketAddr,
    traffic: watch::Sender<Traffic>,
    task: JoinHandle<()>,
}

impl Way {
    /// On which bytes flow.
    pub(crate) async fn to(server: &Server) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let traffic = watch::Sender::new(Traffic::Flows);
        let task = tokio::spawn(relay(listener, server.socket(), traffic.clone()));
        Ok(Self { address, traffic, task })
    }

    /// For `STATE_URL`.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// From now on.
    pub(crate) fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(listener: TcpListener, socket: PathBuf, traffic: watch::Sender<Traffic>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (socket, forth, back) = (socket.clone(), traffic.subscribe(), traffic.subscribe());
        connections.spawn(async move {
            let Ok(server) = UnixStream::connect(socket).await else { return };
            let (client_in, client_out) = client.into_split();
            let (server_in, server_out) = server.into_split();
            tokio::select! {
                () = carry(client_in, server_out, forth, &[Traffic::Stands]) => {}
                () = carry(server_in, client_out, back, &[Traffic::Stands, Traffic::AnswersStand]) => {}
            }
        });
    }
}

/// Until one side has closed.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut traffic: watch::Receiver<Traffic>,
    standing: &[Traffic],
) {
    let mut piece = [0; 16 << 10];
    loop {
        let Ok(length @ 1..) = from.read(&mut piece).await else { return };
        let Ok(state) = traffic.wait_for(|state| !standing.contains(state)).await.map(|state| *state) else {
            return;
        };
        if let Traffic::Late(by) = state {
            tokio::time::sleep(by).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
