//! Calls to providers: the only user of reqwest.
//!
//! HTTP/1.1 with a pool, identity encoding, no redirects (reqwest would resend key and prompt to wherever a 307
//! points), no referer. The only timeout here is the one for connecting; all others belong to the attempt. The proxy
//! variables of the environment are used for real hosts, never for loopback.
//!
//! An idle connection may close just while a request is sent on it: the provider's timeout ended, or the machine has
//! slept. That is not a failure of the provider, so such a request is sent once more, on a new connection.

use std::cell::Cell;
use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout_at};
use tower::util::MapRequestLayer;

use crate::config::ProviderConfig;
use crate::middle::{Cause, Failure};

/// How long an unused connection is kept. Providers close theirs after a minute or more. Closing first avoids sending a
/// request on a connection that is just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// How many unused connections are kept to one host.
const MAX_IDLE_CONNECTIONS: usize = 1_024;

/// If a kept-alive connection had closed before it was used, the error shows within this time. Later, the provider may
/// have read the request, and the request may have cost quota.
const SWALLOWING_TIME: Duration = Duration::from_secs(2);

/// Longest error body read, in bytes.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// The connections to providers.
#[derive(Debug)]
pub(super) struct Upstream {
    loopback: Option<Clients>,
    remote: Option<Clients>,
}

/// The clients for one kind of host.
#[derive(Debug)]
struct Clients {
    /// Keeps connections for the next request.
    pooled: reqwest::Client,
    /// Opens a connection for each request.
    fresh: reqwest::Client,
}

tokio::task_local! {
    /// Whether the request that this task sends has begun to open a connection.
    static IS_CONNECTING: Cell<bool>;
}

/// HTTPS is not possible on this machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up HTTPS: {0}. Install CA certificates (Debian: apt-get install ca-certificates)")]
pub struct TlsUnavailable(String);

/// Which of the two kinds of host a provider is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    /// This machine: never through a proxy.
    Loopback,
    /// Anywhere else.
    Remote,
}

impl Network {
    /// The kind of host that `provider` is configured with.
    pub(super) fn of(provider: &ProviderConfig) -> Self {
        if provider.is_loopback() { Self::Loopback } else { Self::Remote }
    }
}

/// Where a request goes, and as which account: all of a request for what a provider publishes about itself.
pub(super) struct Query {
    /// The URL.
    pub url: String,
    /// The kind of host.
    pub network: Network,
    /// The headers that only this provider gets, such as the key.
    pub headers: HeaderMap,
}

/// A request to a provider, complete. It holds a prompt, so it does not print itself.
pub(super) struct Call {
    /// Where it goes, and as which account.
    pub query: Query,
    /// The JSON body.
    pub body: Vec<u8>,
}

/// An answer whose head has arrived.
#[derive(Debug)]
pub(super) struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers. They keep their whole receive buffer alive: drop them before a long answer.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// The body of an answer. Dropping it closes the connection unless it has been read to its end.
#[derive(Debug)]
pub(super) struct Body(reqwest::Body);

/// The body broke off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BrokenOff;

impl Upstream {
    /// Prepares for calls to `providers`. Opens no connection.
    ///
    /// # Errors
    /// [`TlsUnavailable`] if HTTPS is needed and the machine has no CA certificates.
    pub(super) fn new(
        providers: &[ProviderConfig],
        connect_timeout: Duration,
    ) -> Result<Self, TlsUnavailable> {
        let clients = |network| {
            let mut its = providers.iter().filter(|it| Network::of(it) == network).peekable();
            its.peek().is_some().then(|| {
                let needs_tls = its.any(|it| it.base_url.scheme() == "https");
                Clients::new(network, needs_tls, connect_timeout)
            })
        };
        let loopback = clients(Network::Loopback).transpose()?;
        let remote = clients(Network::Remote).transpose()?;
        Ok(Self { loopback, remote })
    }

    /// Sends `call` and waits for the head of the answer, whatever its status. Sends it once more, on a new connection,
    /// if a reused connection closes without an answer.
    ///
    /// Waits without a timeout once connected; the caller sets one. Dropping the future closes the connection.
    ///
    /// # Errors
    /// [`Cause::Unreachable`]: nothing was sent. [`Cause::ConnectTimeout`]: no connection within the connect timeout,
    /// nothing was sent. [`Cause::ServerError`]: the connection ended without an answer, or the answer was not HTTP;
    /// the provider may have seen the request.
    pub(super) async fn send(&self, call: Call) -> Result<Response, Failure> {
        let Call { query: Query { url, network, headers }, body } = call;
        let clients = self.clients(network)?;
        let request = clients
            .pooled
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream, application/json")
            .body(body);
        clients.exchange(request, headers).await
    }

    /// Sends `query` in the same way, with the same pool of connections.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(super) async fn get(&self, query: Query) -> Result<Response, Failure> {
        let Query { url, network, headers } = query;
        let clients = self.clients(network)?;
        clients.exchange(clients.pooled.get(url).header(ACCEPT, "application/json"), headers).await
    }

    fn clients(&self, network: Network) -> Result<&Clients, Failure> {
        let clients = match network {
            Network::Loopback => &self.loopback,
            Network::Remote => &self.remote,
        };
        clients.as_ref().ok_or_else(not_sent)
    }
}

impl Clients {
    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
        headers: HeaderMap,
    ) -> Result<Response, Failure> {
        let request = request.header(ACCEPT_ENCODING, "identity").headers(headers);
        let request = request.build().map_err(|_| not_sent())?;
        // The clone shares the body's bytes.
        let again = request.try_clone();
        let begun = Instant::now();
        let sent = IS_CONNECTING.scope(Cell::new(false), async {
            let answer = self.pooled.execute(request).await;
            (answer, IS_CONNECTING.with(Cell::get))
        });
        let answer = match (sent.await, again) {
            ((Err(error), false), Some(again))
                if is_without_a_word(&error) && begun.elapsed() < SWALLOWING_TIME =>
            {
                self.fresh.execute(again).await
            }
            ((answer, _), _) => answer,
        };
        answer.map(Response::from).map_err(|error| {
            Failure::without_answer(match (error.is_connect(), error.is_timeout()) {
                // This machine is at fault.
                _ if is_out_of_descriptors(&error) => Cause::OutOfDescriptors,
                (true, true) => Cause::ConnectTimeout,
                (true, false) => Cause::Unreachable,
                (false, _) => Cause::ServerError,
            })
        })
    }

    fn new(network: Network, needs_tls: bool, connect_timeout: Duration) -> Result<Self, TlsUnavailable> {
        Self::with(|max_idle_connections| {
            Self::builder(network, needs_tls, connect_timeout, max_idle_connections)
        })
    }

    fn with(builder: impl Fn(usize) -> reqwest::ClientBuilder) -> Result<Self, TlsUnavailable> {
        // An earlier caller has chosen the same: the binary has only one cryptography provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = |max_idle_connections| {
            let built = builder(max_idle_connections).build();
            built.map_err(|error| TlsUnavailable(root_cause(&error)))
        };
        Ok(Self { pooled: client(MAX_IDLE_CONNECTIONS)?, fresh: client(0)? })
    }

    fn builder(
        network: Network,
        needs_tls: bool,
        connect_timeout: Duration,
        max_idle_connections: usize,
    ) -> reqwest::ClientBuilder {
        let note_connecting = MapRequestLayer::new(|target| {
            // Fails outside of a request, where nothing reads it.
            let _ = IS_CONNECTING.try_with(|it| it.set(true));
            target
        });
        let builder = reqwest::Client::builder()
            .http1_only()
            .redirect(Policy::none())
            .referer(false)
            .user_agent(concat!("ai-proxy-free/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(max_idle_connections)
            .connector_layer(note_connecting);
        let builder = match network {
            Network::Loopback => builder.no_proxy(),
            Network::Remote => builder,
        };
        // Without HTTPS no CA certificates are needed, and a machine without any can run the demo.
        if needs_tls { builder } else { builder.tls_certs_only([]) }
    }
}

/// The request could not be sent at all.
fn not_sent() -> Failure {
    Failure::without_answer(Cause::Unreachable)
}

/// Whether the connection ended before anything of an answer was understood.
fn is_without_a_word(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        let is_incomplete =
            cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message);
        let is_reset = cause.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
        });
        is_incomplete || is_reset
    })
}

/// Whether this process, or the machine, has run out of file descriptors.
fn is_out_of_descriptors(error: &reqwest::Error) -> bool {
    // The numbers of EMFILE and ENFILE are the same on Linux, macOS and the BSDs; Windows has no such limit.
    let numbers = [24, 23].map(Some);
    let io_errors = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    cfg!(unix) && io_errors.map(io::Error::raw_os_error).any(|number| numbers.contains(&number))
}

fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |&cause| cause.source())
}

impl From<reqwest::Response> for Response {
    fn from(response: reqwest::Response) -> Self {
        let (head, body) = http::Response::from(response).into_parts();
        Self { status: head.status.as_u16(), headers: head.headers, body: Body(body) }
    }
}

impl Body {
    /// The next bytes of the body as they arrive, or `None` at its end.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`BrokenOff`]: the connection ended before the body did.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        while let Some(frame) = self.0.frame().await {
            // Frames without data are trailers, which are not needed.
            if let Ok(data) = frame.map_err(|_| BrokenOff)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The whole body, read to its end so that the connection can be used again; `None` if it is longer than `most`
    /// bytes or breaks off. Waits without a limit: the caller sets the timeout.
    pub(super) async fn whole(mut self, most: usize) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await.ok()? {
            if whole.len() + chunk.len() > most {
                return None;
            }
            whole.extend_from_slice(&chunk);
        }
        Some(whole)
    }

    /// The beginning of the body, as much as arrives by `deadline`: for reading what went wrong.
    pub(super) async fn beginning(mut self, deadline: Instant) -> Vec<u8> {
        let mut beginning = Vec::new();
        while let Ok(Ok(Some(chunk))) = timeout_at(deadline, self.chunk()).await {
            let room = MAX_ERROR_BODY_BYTES - beginning.len();
            beginning.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if beginning.len() >= MAX_ERROR_BODY_BYTES {
                break;
            }
        }
        beginning
    }
}

/// The innermost cause, which says the most; the outer ones quote URLs.
fn root_cause(error: &reqwest::Error) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reqwest::dns::{Name, Resolve, Resolving};

    use super::*;

    /// A lookup that never ends.
    struct Sleepy;

    impl Resolve for Sleepy {
        fn resolve(&self, _: Name) -> Resolving {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn row_002_a_name_that_nobody_resolves_is_given_up() {
        let patience = Duration::from_millis(100);
        let clients = Clients::with(|max_idle_connections| {
            let builder = Clients::builder(Network::Loopback, false, patience, max_idle_connections);
            builder.dns_resolver(Arc::new(Sleepy))
        });
        let upstream = Upstream { loopback: clients.ok(), remote: None };
        let query = Query {
            url: "http://api.example/v1/chat/completions".to_owned(),
            network: Network::Loopback,
            headers: HeaderMap::new(),
        };
        let call = Call { query, body: b"{}".to_vec() };
        let sent = tokio::time::timeout(Duration::from_secs(20), upstream.send(call)).await;
        let failure = sent.expect("a clock ends it").expect_err("nobody is there");
        assert_eq!(failure.cause, Cause::ConnectTimeout);
    }
}
