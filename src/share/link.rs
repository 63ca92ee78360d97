//! A connection to the server, and what can be wrong with it.

use std::pin::Pin;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::{StateUrl, StateWay};
use crate::upstream::{self, TlsUnavailable};

/// For name, TCP, TLS and login together.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Something that bytes go through.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection that is logged in. Nothing moves unless `driver` is polled.
pub(super) struct Link {
    pub(super) connection: MultiplexedConnection,
    /// Ends with the connection.
    pub(super) driver: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What is wrong with the server, or with the way to it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The server refuses the login, or has no such database: a person has to act.
    #[error("STATE_URL: the server at {0} refuses the login or the database ({1})")]
    Refused(StateUrl, String),
    /// It cannot be reached, or says something else than it should.
    #[error("{0}")]
    Trouble(String),
    /// This machine cannot speak TLS.
    #[error(transparent)]
    Tls(#[from] TlsUnavailable),
}

impl LinkError {
    /// It has not answered in time.
    pub(super) fn silent() -> Self {
        Self::Trouble("no answer in time".to_owned())
    }

    /// What is wrong with the server that everybody knows is meant.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Refused(_, words) => format!("it refuses the login or the database: {words}"),
            other => other.to_string(),
        }
    }
}

impl From<RedisError> for LinkError {
    fn from(error: RedisError) -> Self {
        let in_plain_words = match error.code() {
            Some("OOM") => "it is full: ",
            Some("READONLY") => "it is a replica, which only reads: ",
            _ => "",
        };
        Self::Trouble(format!("{in_plain_words}{error}"))
    }
}

impl Link {
    /// Connects and logs in, within five seconds.
    ///
    /// # Errors
    /// [`LinkError`]; nothing was told to the server.
    pub(super) async fn open(url: &StateUrl, tls: Option<&TlsConnector>) -> Result<Self, LinkError> {
        timeout(CONNECT_TIME, Self::connect(url, tls)).await.map_err(|_| LinkError::silent())?
    }

    async fn connect(url: &StateUrl, tls: Option<&TlsConnector>) -> Result<Self, LinkError> {
        let stream = stream(&url.way, tls).await.map_err(unreachable)?;
        // Every exchange has a clock of its own.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let opened = MultiplexedConnection::new_with_config(&url.login, stream, config).await;
        let (mut connection, driver) = opened.map_err(|error| judged(url, error))?;
        let mut driver: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(driver);
        // Without a password, the login says nothing.
        let ping = redis::cmd("PING");
        let answer = tokio::select! {
            answer = ping.query_async::<String>(&mut connection) => answer,
            () = &mut driver => return Err(LinkError::Trouble("the server has hung up".to_owned())),
        };
        answer.map_err(|error| judged(url, error))?;
        Ok(Self { connection, driver })
    }
}

/// What speaks TLS with the server, if it is to be spoken to so.
///
/// # Errors
/// This machine cannot.
pub(super) fn tls_for(url: &StateUrl) -> Result<Option<TlsConnector>, LinkError> {
    match url.way {
        StateWay::Tcp { is_tls: true, .. } => Ok(Some(upstream::plain_tls()?)),
        _ => Ok(None),
    }
}

fn unreachable(error: std::io::Error) -> LinkError {
    LinkError::Trouble(format!("it cannot be reached: {error}"))
}

async fn stream(way: &StateWay, tls: Option<&TlsConnector>) -> std::io::Result<Box<dyn Duplex>> {
    match way {
        StateWay::Tcp { host, port, is_tls } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            let Some(tls) = tls.filter(|_| *is_tls) else { return Ok(Box::new(stream)) };
            let name = ServerName::try_from(host.clone()).map_err(std::io::Error::other)?;
            Ok(Box::new(tls.connect(name, stream).await?))
        }
        #[cfg(unix)]
        StateWay::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        #[cfg(not(unix))]
        StateWay::Unix(_) => Err(std::io::ErrorKind::Unsupported.into()),
    }
}

/// What waiting does not heal is told apart: a login that is refused, a database that there is not.
fn judged(url: &StateUrl, error: RedisError) -> LinkError {
    let words = error.to_string();
    let is_login = error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
        || words.contains("invalid password")
        || words.contains("DB index is out of range");
    if is_login { LinkError::Refused(url.clone(), words) } else { LinkError::Trouble(words) }
}
