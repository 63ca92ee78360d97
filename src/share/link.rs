//! A connection to the server, and what can be wrong with it.

use std::pin::Pin;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError};
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

    /// The connection has ended.
    pub(super) fn hung_up() -> Self {
        Self::Trouble("the server has hung up".to_owned())
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
        let mut link = Self::over(stream).await.map_err(|error| judged(url, error))?;
        let logged_in = tokio::select! {
            logged_in = log_in(&mut link.connection, &url.login) => logged_in,
            () = &mut link.driver => return Err(LinkError::hung_up()),
        };
        logged_in.map_err(|error| judged(url, error))?;
        Ok(link)
    }

    /// One that nobody is logged in to yet.
    pub(super) async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, RedisError> {
        // Every exchange has a clock of its own.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        // The library's own login does not tell what the server has said.
        let nobody = RedisConnectionInfo::default().set_skip_set_lib_name();
        let (connection, driver) = MultiplexedConnection::new_with_config(&nobody, stream, config).await?;
        Ok(Self { connection, driver: Box::pin(driver) })
    }
}

async fn log_in(
    connection: &mut MultiplexedConnection,
    login: &RedisConnectionInfo,
) -> Result<(), RedisError> {
    if let Some(password) = login.password() {
        let mut command = redis::cmd("AUTH");
        command.arg(login.username()).arg(password);
        command.exec_async(connection).await?;
    }
    if login.db() != 0 {
        let mut command = redis::cmd("SELECT");
        command.arg(login.db());
        command.exec_async(connection).await?;
    }
    // Without a password, nothing else would say that there has to be one.
    redis::cmd("PING").exec_async(connection).await
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

/// What stands in an answer for which there is no code of its own, and which waiting does not heal.
const MISTAKES: [&str; 3] =
    ["invalid password", "without any password configured", "DB index is out of range"];

/// Behind this, a server repeats what it was told.
const REPEATED: &str = ", with args beginning with";

/// What waiting does not heal is told apart: a login that is refused, a database that there is not. A server may refuse a login
/// for other reasons: it has too many clients, say.
fn judged(url: &StateUrl, error: RedisError) -> LinkError {
    let said = error.to_string();
    let is_mistake = matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
        || MISTAKES.iter().any(|mistake| said.contains(mistake));
    // A server that does not know `AUTH` repeats the beginning of what it was told.
    let mut words = said.split(REPEATED).next().unwrap_or_default().to_owned();
    if let Some(password) = url.login.password().filter(|password| !password.is_empty()) {
        words = words.replace(password, "***");
    }
    if is_mistake { LinkError::Refused(url.clone(), words) } else { LinkError::Trouble(words) }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// What becomes of a login at a server that says this to everything.
    async fn at_a_server_that_says(answer: &str, password: &str) -> LinkError {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("redis://me:{password}@{}/1", listener.local_addr().unwrap());
        let url = StateUrl::parse(&url).unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 512]).await;
            // As often as anybody may have asked by then.
            let _ = stream.write_all(format!("{answer}\r\n").repeat(5).as_bytes()).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            opened = Link::open(&url, None) => opened.err().unwrap(),
            () = server => unreachable!(),
        }
    }

    #[tokio::test]
    async fn only_what_a_person_must_mend_is_a_refusal() {
        let all = [
            ("-ERR max number of clients reached", false),
            ("-WRONGPASS invalid username-password pair or user is disabled.", true),
            ("-NOAUTH Authentication required.", true),
            ("-NOPERM this user has no permissions to run the 'ping' command", true),
            ("-ERR invalid password", true),
            ("-ERR AUTH <password> called without any password configured for the default user.", true),
            ("-ERR DB index is out of range", true),
            ("-LOADING Valkey is loading the dataset in memory", false),
            ("-ERR unknown command 'AUTH', with args beginning with: 'me' 'right'", false),
            ("-BUSY Valkey is busy running a script.", false),
        ];
        for (answer, is_refusal) in all {
            let error = at_a_server_that_says(answer, "right").await;
            assert_eq!(matches!(error, LinkError::Refused(..)), is_refusal, "{answer}: {error}");
            let (words, (_, said)) = (error.to_string(), answer.split_once(' ').unwrap());
            let said = said.split_once(REPEATED).map_or(said, |(said, _)| said);
            assert!(words.contains(said), "{answer}: {words}");
            assert!(!words.contains("right"), "{answer}: {words}");
            // What is not shown may be a word of the server's.
            let error = at_a_server_that_says(answer, "password").await;
            assert_eq!(matches!(error, LinkError::Refused(..)), is_refusal, "{answer}: {error}");
        }
    }
}
