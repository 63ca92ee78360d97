//! `STATE_URL`: the Valkey or Redis server through which several instances share their quotas.

use std::fmt;
use std::path::PathBuf;

use redis::{ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo};

/// What is accepted.
pub(super) const STATE_URL_FORM: &str = "redis://, rediss:// (TLS) or unix:///path of a Valkey or Redis server, such as \
     redis://:password@host:6379/0";

/// A server, and how to log in there.
#[derive(Clone)]
pub(crate) struct StateUrl {
    /// How to get there.
    pub(crate) way: StateWay,
    /// User, password and number of the database.
    pub(crate) login: RedisConnectionInfo,
}

/// How to get to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StateWay {
    /// Over the network, perhaps with TLS.
    Tcp {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
        /// Whether with TLS.
        is_tls: bool,
    },
    /// Through a socket of this machine.
    Unix(PathBuf),
}

impl StateUrl {
    /// Reads it; `None` if it is no such URL.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let url = url::Url::parse(text).ok().filter(|url| url.fragment().is_none())?;
        let is_tls = matches!(url.scheme(), "rediss" | "valkeys");
        // TLS is this program's own, so the library need not know of it.
        let plain = match text.split_once(':') {
            Some((_, rest)) if is_tls => format!("redis:{rest}"),
            _ => text.to_owned(),
        };
        let known = ["redis", "rediss", "valkey", "valkeys", "unix"].contains(&url.scheme());
        let info = plain.as_str().into_connection_info().ok().filter(|_| known)?;
        let way = match info.addr() {
            ConnectionAddr::Tcp(host, port) => StateWay::Tcp { host: host.clone(), port: *port, is_tls },
            ConnectionAddr::Unix(path) => StateWay::Unix(path.clone()),
            _ => return None,
        };
        let login = info.redis_settings().clone();
        (login.db() >= 0).then_some(Self { way, login })
    }
}

/// Without user and password.
impl fmt::Display for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            StateWay::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            StateWay::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            StateWay::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Debug for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_leads_somewhere_and_nothing_else_does() {
        let tcp = |host: &str, port, is_tls| StateWay::Tcp { host: host.to_owned(), port, is_tls };
        let good = [
            ("redis://cache", tcp("cache", 6379, false), 0),
            ("redis://:s3cret@cache:7000/3", tcp("cache", 7000, false), 3),
            ("rediss://me:s3cret@cache.example.org/2", tcp("cache.example.org", 6379, true), 2),
            ("redis://[::1]:7000", tcp("::1", 7000, false), 0),
            ("unix:///run/valkey.sock?db=4&pass=s3cret", StateWay::Unix("/run/valkey.sock".into()), 4),
        ];
        for (text, way, database) in good {
            let url = StateUrl::parse(text).unwrap();
            assert_eq!((&url.way, url.login.db()), (&way, database), "{text}");
            assert!(!format!("{url} {url:?}").contains("s3cret"), "{text}");
        }
        let bad = ["", "cache:6379", "http://cache", "redis://", "redis://cache/first", "redis://cache/-1"];
        for text in bad.into_iter().chain(["rediss://cache#insecure", "redis+unix://a/b"]) {
            assert!(StateUrl::parse(text).is_none(), "{text}");
        }
    }
}
