//! Calls to providers: the only user of reqwest.
//!
//! HTTP/1.1 with a pool, identity encoding, no redirects (reqwest would resend key and prompt to wherever a 307
//! points), no referer, no clock but the one for connecting: all others belong to the attempt. The proxy
//! variables of the environment are honoured for real hosts, never for loopback.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt as _;
use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout_at};

use crate::config::ProviderConfig;
use crate::failure::Reason;

/// How long an unused connection is kept. Providers close theirs after a minute or more; closing first avoids
/// sending a request into a connection that is just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// How many unused connections are kept to one host.
const MAX_IDLE_CONNECTIONS: usize = 1_024;

/// Longest error body read, in bytes.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// The connections to providers.
#[derive(Debug)]
pub struct Upstream {
    loopback: Option<reqwest::Client>,
    remote: Option<reqwest::Client>,
}

/// No HTTPS is possible on this machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up HTTPS: {0}. Install CA certificates (Debian: apt-get install ca-certificates)")]
pub struct TlsUnavailable(String);

/// Which of the two kinds of host a provider is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// This machine: never through a proxy.
    Loopback,
    /// Anywhere else.
    Remote,
}

impl Network {
    /// Where `provider` is configured to be.
    pub fn of(provider: &ProviderConfig) -> Self {
        if provider.is_loopback() { Self::Loopback } else { Self::Remote }
    }
}

/// A request to a provider, complete. It holds a prompt, so it does not print itself.
pub struct Call {
    /// Where to.
    pub url: String,
    /// Which kind of host that is.
    pub network: Network,
    /// The header with the key.
    pub key_header: (HeaderName, HeaderValue),
    /// The JSON body.
    pub body: Vec<u8>,
}

/// An answer whose head has arrived.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers. They keep the buffer alive in which they came: drop them before a long answer.
    pub headers: HeaderMap,
    /// The rest.
    pub body: Body,
}

/// The body of an answer. Dropping it closes the connection unless it has been read to its end.
#[derive(Debug)]
pub struct Body(reqwest::Body);

/// The body broke off.
#[derive(Debug, PartialEq, Eq)]
pub struct BrokenOff;

impl Upstream {
    /// Prepares for calls to `providers`. Opens no connection.
    ///
    /// # Errors
    /// [`TlsUnavailable`] if HTTPS is needed and the machine has no CA certificates.
    pub fn new(providers: &[ProviderConfig], connect_timeout: Duration) -> Result<Self, TlsUnavailable> {
        // Whoever came first has chosen the same: there is only one provider of cryptography in the binary.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = |network: Network| {
            let mut urls =
                providers.iter().filter(|it| Network::of(it) == network).map(|it| &it.base_url).peekable();
            let is_wanted = urls.peek().is_some();
            let builder = reqwest::Client::builder()
                .http1_only()
                .redirect(Policy::none())
                .referer(false)
                .user_agent(concat!("ai-proxy-free/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(connect_timeout)
                .pool_idle_timeout(POOL_IDLE_TIMEOUT)
                .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS);
            let builder = match network {
                Network::Loopback => builder.no_proxy(),
                Network::Remote => builder,
            };
            // Without HTTPS no CA certificates are needed, and a machine without any can run the demo.
            let builder =
                if urls.any(|url| url.scheme() == "https") { builder } else { builder.tls_certs_only([]) };
            is_wanted.then(|| builder.build().map_err(|error| TlsUnavailable(root_cause(&error)))).transpose()
        };
        Ok(Self { loopback: client(Network::Loopback)?, remote: client(Network::Remote)? })
    }

    /// Sends `call` and waits for the head of the answer, whatever its status.
    ///
    /// Waits for ever once connected: the caller has the clock. Dropping the future closes the connection.
    ///
    /// # Errors
    /// [`Reason::ConnectFailed`]: nothing was sent. [`Reason::Timeout`]: no connection within the connect
    /// timeout, nothing was sent. [`Reason::UpstreamError`]: the connection ended without an answer, or the
    /// answer was no HTTP; the provider may have seen the request.
    pub async fn send(&self, call: Call) -> Result<Response, Reason> {
        let client = match call.network {
            Network::Loopback => &self.loopback,
            Network::Remote => &self.remote,
        };
        let client = client.as_ref().ok_or(Reason::ConnectFailed)?;
        let (key_name, key_value) = call.key_header;
        let request = client
            .post(call.url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream, application/json")
            .header(ACCEPT_ENCODING, "identity")
            .header(key_name, key_value)
            .body(call.body);
        request.send().await.map(Response::from).map_err(|error| {
            match (error.is_connect(), error.is_timeout()) {
                (true, true) => Reason::Timeout,
                (true, false) => Reason::ConnectFailed,
                (false, _) => Reason::UpstreamError,
            }
        })
    }
}

impl From<reqwest::Response> for Response {
    fn from(response: reqwest::Response) -> Self {
        let (head, body) = http::Response::from(response).into_parts();
        Self { status: head.status.as_u16(), headers: head.headers, body: Body(body) }
    }
}

impl Body {
    /// The next bytes of the body as they come; `None` at its end.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`BrokenOff`]: the connection ended before the body did.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        while let Some(frame) = self.0.frame().await {
            // What is no data are trailers, which nobody needs.
            if let Ok(data) = frame.map_err(|_| BrokenOff)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The beginning of the body, as much as arrives by `deadline`: for reading what went wrong.
    pub async fn beginning(mut self, deadline: Instant) -> Vec<u8> {
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
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
