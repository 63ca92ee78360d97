//! The way to the providers: an HTTP/1.1 client that does what this program needs and no more.
//!
//! A connection belongs to the request that uses it and is polled by the same task: no second task, no channel between
//! them, no wake-up of one by the other. Nothing is buffered beyond what has arrived, and an idle stream holds no buffer.
//!
//! HTTP/1.1 with a pool, identity encoding, no redirects (key and prompt would go to wherever a 307 points), no referer.
//! The only timeout here is the one for connecting; all others belong to the attempt. The proxy variables of the
//! environment are used for real hosts, never for loopback.
//!
//! An idle connection may close just while a request is sent on it: the provider's timeout ended, or the machine has
//! slept. That is not a failure of the provider, so such a request is sent once more, on a new connection.

mod body;
mod connect;
mod exchange;
mod framing;
mod head;
mod lines;
mod origin;
mod pool;
mod replay;
mod stream;
mod trust;
mod way;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsConnector;

pub(crate) use self::body::Body;
pub(crate) use self::lines::Lines;
pub(crate) use self::origin::Origin;
pub use self::replay::{Replayed, read_response};
pub(crate) use self::trust::TlsUnavailable;

use self::body::Lent;
use self::connect::Connector;
use self::exchange::{Broken, Request, exchange};
use self::head::Head;
use self::pool::Bell;
use self::stream::Stream;
use self::trust::Trust;
use self::way::Way;
use crate::config::ProviderConfig;
use crate::middle::{Cause, Failure};

/// If a kept-alive connection had closed before it was used, the error shows within this time. Later, the provider may
/// have read the request, and the request may have cost quota.
const SWALLOWING_TIME: Duration = Duration::from_secs(2);

/// TLS as to providers, for another protocol than HTTP.
///
/// # Errors
/// This machine has no certificates of CAs.
pub(crate) fn plain_tls() -> Result<TlsConnector, TlsUnavailable> {
    Ok(Trust::of_this_machine()?.proxies)
}

/// The connections to providers.
pub(crate) struct Upstream {
    connector: Connector,
    /// Those of the providers, in their order.
    origins: Vec<Arc<Origin>>,
    bell: Arc<Bell>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("origins", &self.origins).finish_non_exhaustive()
    }
}

/// A request to a provider, complete. It holds a key and a prompt, so it does not print itself.
pub(crate) struct Call {
    origin: Arc<Origin>,
    head: Vec<u8>,
    body: Vec<u8>,
}

/// An answer whose head has arrived.
#[derive(Debug)]
pub(crate) struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers. They share a buffer of their own: drop them before a long answer.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

impl Call {
    /// A request that sends `body`, which is JSON, to `path` behind the base URL.
    pub(crate) fn post(origin: &Arc<Origin>, lines: &Lines, path: &str, body: Vec<u8>) -> Self {
        Self { head: origin.post(lines, path, body.len()), origin: origin.clone(), body }
    }

    /// A request for what is at `path` behind the base URL.
    pub(crate) fn get(origin: &Arc<Origin>, lines: &Lines, path: &str) -> Self {
        Self { head: origin.get(lines, path), origin: origin.clone(), body: Vec::new() }
    }
}

impl Upstream {
    /// Prepares for calls to `providers`. Opens no connection. Certificates are read once, and only if somebody can be
    /// asked over HTTPS: a machine without any can run the demo.
    ///
    /// # Errors
    /// [`TlsUnavailable`] if HTTPS is needed and the machine has no CA certificates.
    pub(crate) fn new(
        providers: &[ProviderConfig],
        connect_timeout: Duration,
    ) -> Result<Self, TlsUnavailable> {
        let bell = Arc::<Bell>::default();
        let proxies = Matcher::from_system();
        let origins = providers.iter().map(|provider| {
            let proxies = (!provider.is_loopback()).then_some(&proxies);
            Arc::new(Origin::new(&provider.base_url, proxies, bell.clone()))
        });
        let origins: Vec<Arc<Origin>> = origins.collect();
        let mut asked = providers.iter().zip(&origins).filter(|(provider, _)| provider.is_configured());
        let needs_tls = asked.any(|(_, origin)| origin.way.as_ref().is_some_and(Way::needs_tls));
        let trust = needs_tls.then(Trust::of_this_machine).transpose()?;
        let connector = Connector { tcp: connect::tcp(connect_timeout), trust, timeout: connect_timeout };
        Ok(Self { connector, origins, bell })
    }

    /// The hosts of the providers, in the order of the providers.
    pub(crate) fn origins(&self) -> &[Arc<Origin>] {
        &self.origins
    }

    /// Sends `call` and waits for the head of the answer, whatever its status. Sends it once more, on a new connection,
    /// if a kept connection closes without an answer.
    ///
    /// Waits without a timeout once connected; the caller sets one. Dropping the future closes the connection.
    ///
    /// # Errors
    /// [`Cause::Unreachable`]: nothing was sent. [`Cause::ConnectTimeout`]: no connection within the connect timeout,
    /// nothing was sent. [`Cause::ServerError`]: the connection ended without an answer, or the answer was not HTTP;
    /// the provider may have seen the request.
    pub(crate) async fn send(&self, call: Call) -> Result<Response, Failure> {
        let Call { origin, head, body } = call;
        let mut request = Request::new(head, body);
        let begun = Instant::now();
        if let Some(mut stream) = origin.pool.take(begun) {
            match exchange(&mut stream, &mut request).await {
                Ok(answer) => return Ok(response(origin, stream, request, answer)),
                Err(Broken::WithoutAWord) if begun.elapsed() < SWALLOWING_TIME => request = request.again(),
                Err(_) => return Err(Failure::without_answer(Cause::ServerError)),
            }
        }
        let way = origin.way.as_ref().ok_or(Failure::without_answer(Cause::Unreachable))?;
        // Boxed because it is large and rarely there.
        let mut stream = Box::pin(self.connector.connect(way)).await?;
        match exchange(&mut stream, &mut request).await {
            Ok(answer) => Ok(response(origin, stream, request, answer)),
            Err(_) => Err(Failure::without_answer(Cause::ServerError)),
        }
    }

    /// Closes connections that nobody has used for a while, as long as it is polled.
    pub(crate) async fn close_unused(&self) -> Infallible {
        loop {
            self.bell.wait();
            let now = Instant::now();
            let ends = self.origins.iter().filter_map(|origin| origin.pool.close_expired(now));
            match ends.min() {
                Some(next) => sleep_until(next).await,
                None => self.bell.rung().await,
            }
        }
    }
}

fn response(
    origin: Arc<Origin>,
    stream: Stream,
    request: Request,
    (head, rest): (Head, Vec<u8>),
) -> Response {
    let Head { status, headers, framing, is_kept } = head;
    let home = is_kept.then_some(origin);
    let request = (!request.is_sent()).then(|| Box::new(request));
    Response { status, headers, body: Body::new(Lent { stream, home, request }, framing, rest) }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Nobody asks for anything any more, and still no connection is left.
    #[tokio::test(start_paused = true)]
    async fn an_unused_connection_is_closed_without_a_request() {
        let bell = Arc::<Bell>::default();
        let origin = Arc::new(Origin::new(&"http://127.0.0.1".parse().unwrap(), None, bell.clone()));
        let timeout = Duration::from_secs(5);
        let connector = Connector { tcp: connect::tcp(timeout), trust: None, timeout };
        let upstream = Upstream { connector, origins: vec![origin.clone()], bell };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let used = async {
            // Twice, since who closes sleeps without a clock in between.
            for _ in 0..2 {
                let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                let (mut far, _) = listener.accept().await.unwrap();
                let begun = Instant::now();
                tokio::time::sleep(Duration::from_secs(7)).await;
                origin.pool.put(Stream::Plain(near));
                assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
                let seconds = begun.elapsed().as_secs();
                assert!((57..=58).contains(&seconds), "closed after {seconds} s");
            }
        };
        tokio::select! {
            () = used => {}
            never = upstream.close_unused() => match never {},
        }
    }
}
