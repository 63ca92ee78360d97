//! Opening a connection: name, TCP, tunnel, TLS, all under one clock.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use super::exchange::{Request, exchange};
use super::stream::Stream;
use super::trust::Trust;
use super::way::{Tunnel, Way};
use crate::middle::{Cause, Failure};

/// When the kernel asks a silent peer whether it is still there, how often, and when it stops believing so.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_PROBES: u32 = 3;

/// How long the kernel waits for a peer to acknowledge what was sent.
#[cfg(any(target_os = "android", target_os = "linux"))]
const ACKNOWLEDGING_TIME: Duration = Duration::from_secs(30);

/// Opens connections.
pub(super) struct Connector<T = HttpConnector> {
    /// Resolves names, and tries the addresses of both versions, the second 300 ms later.
    pub tcp: T,
    /// `None` if no way needs it.
    pub trust: Option<Trust>,
    /// For all of it.
    pub timeout: Duration,
}

type AnyError = Box<dyn StdError + Send + Sync>;

/// TCP as providers are met over it.
pub(super) fn tcp(timeout: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    // TLS is on top, where this program puts it.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(timeout));
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp.set_keepalive_interval(Some(KEEP_ALIVE));
    tcp.set_keepalive_retries(Some(KEEP_ALIVE_PROBES));
    #[cfg(any(target_os = "android", target_os = "linux"))]
    tcp.set_tcp_user_timeout(Some(ACKNOWLEDGING_TIME));
    tcp
}

impl<T> Connector<T>
where
    T: Service<Uri, Response = TokioIo<TcpStream>, Error: StdError + Send + Sync + 'static> + Clone,
{
    /// Opens a connection along `way`.
    ///
    /// # Errors
    /// [`Cause::Unreachable`], [`Cause::ConnectTimeout`], [`Cause::OutOfDescriptors`].
    pub(super) async fn connect(&self, way: &Way) -> Result<Stream, Failure> {
        let opened = timeout(self.timeout, self.open(way)).await;
        let cause = match opened {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => cause(&*error),
            Err(_) => Cause::ConnectTimeout,
        };
        Err(Failure::without_answer(cause))
    }

    async fn open(&self, way: &Way) -> Result<Stream, AnyError> {
        let mut tcp = self.tcp.clone();
        poll_fn(|context| tcp.poll_ready(context)).await?;
        let mut stream = Stream::Plain(tcp.call(way.first.uri.clone()).await?.into_inner());
        if !way.needs_tls() {
            return Ok(stream);
        }
        let Trust { providers, proxies } = self.trust.as_ref().ok_or("no certificates were read")?;
        if let Some(name) = &way.first.tls {
            let connector = if way.tunnel.is_some() || way.courier.is_some() { proxies } else { providers };
            stream = Stream::Tls(Box::new(connector.connect(name.clone(), stream).await?));
        }
        if let Some(Tunnel { request, tls }) = &way.tunnel {
            dig(&mut stream, request.clone()).await?;
            stream = Stream::Tls(Box::new(providers.connect(tls.clone(), stream).await?));
        }
        Ok(stream)
    }
}

/// Has the proxy at the other end open a tunnel.
async fn dig(stream: &mut Stream, request: Vec<u8>) -> Result<(), AnyError> {
    let mut request = Request::new(request, Vec::new());
    let answer = exchange(stream, &mut request).await;
    let (head, rest) = answer.map_err(|_| "the proxy does not answer")?;
    // The other side of a tunnel says nothing before it is greeted.
    if (200..300).contains(&head.status) && rest.is_empty() {
        Ok(())
    } else {
        Err(format!("the proxy answers {}", head.status).into())
    }
}

/// Why there is no connection.
fn cause(error: &(dyn StdError + 'static)) -> Cause {
    let io_errors = || causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    // The numbers of EMFILE and ENFILE are the same on Linux, macOS and the BSDs; Windows has no such limit.
    let is_number = |error: &io::Error| matches!(error.raw_os_error(), Some(24 | 23));
    if cfg!(unix) && io_errors().any(is_number) {
        // This machine is at fault.
        return Cause::OutOfDescriptors;
    }
    let is_timeout = io_errors().any(|error| error.kind() == io::ErrorKind::TimedOut);
    if is_timeout { Cause::ConnectTimeout } else { Cause::Unreachable }
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&cause| cause.source())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use hyper_util::client::legacy::connect::dns::Name;

    use super::*;

    /// A lookup that never ends.
    #[derive(Clone)]
    struct Sleepy;

    impl Service<Name> for Sleepy {
        type Response = std::vec::IntoIter<SocketAddr>;
        type Error = io::Error;
        type Future = std::future::Pending<Result<Self::Response, io::Error>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Name) -> Self::Future {
            std::future::pending()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn row_002_a_name_that_nobody_resolves_is_given_up() {
        let patience = Duration::from_millis(100);
        let connector =
            Connector { tcp: HttpConnector::new_with_resolver(Sleepy), trust: None, timeout: patience };
        let way = Way::new(&"http://api.example".parse().unwrap(), None).expect("a way");
        let connected = tokio::time::timeout(Duration::from_secs(20), connector.connect(&way)).await;
        let failure = connected.expect("a clock ends it").expect_err("nobody is there");
        assert_eq!(failure.cause, Cause::ConnectTimeout);
    }
}
