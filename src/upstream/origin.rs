//! A host that answers, with everything that is the same for all requests to it.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use hyper_util::client::proxy::matcher::Matcher;
use url::{Position, Url};

use super::lines::Lines;
use super::pool::{Bell, Pool};
use super::way::Way;

/// How many unused connections are kept to one provider.
const MAX_IDLE: usize = 1_024;

/// A host that answers, behind a base URL.
pub(crate) struct Origin {
    /// `None` if no connection is possible.
    pub(super) way: Option<Way>,
    pub(super) pool: Pool,
    /// What stands in front of every path: that of the base URL, and for a proxy the host.
    prefix: String,
    host: HeaderValue,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Origin {
    /// The host behind `base_url`, reached as `proxies` have it.
    pub(super) fn new(base_url: &Url, proxies: Option<&Matcher>, bell: Arc<Bell>) -> Self {
        let way = Way::new(base_url, proxies);
        let courier = way.as_ref().and_then(|way| way.courier.as_ref());
        let prefix = courier.map_or("", |courier| &courier.prefix);
        let prefix = format!("{prefix}{}", base_url.path().trim_end_matches('/'));
        // The port stands in it unless it is the scheme's own.
        let host = HeaderValue::from_str(&base_url[Position::BeforeHost..Position::AfterPort]);
        // A URL has no characters that a header may not have.
        let host = host.unwrap_or(const { HeaderValue::from_static("") });
        Self { way, pool: Pool::new(MAX_IDLE, bell), prefix, host }
    }

    /// What stands in every request of an account with these `headers`.
    pub(crate) fn lines(&self, headers: &HeaderMap) -> Lines {
        let courier = self.way.as_ref().and_then(|way| way.courier.as_ref());
        let authorization = courier.and_then(|courier| courier.authorization.clone());
        let mut headers = headers.clone();
        headers.extend(authorization.map(|it| (PROXY_AUTHORIZATION, it)));
        Lines::new(self.host.clone(), &headers)
    }

    /// The head of a request with a body of so many bytes.
    pub(super) fn post(&self, lines: &Lines, path: &str, body_bytes: usize) -> Vec<u8> {
        // A length has twenty digits at most.
        let mut head = self.begin("POST ", path, &lines.post, 24);
        // Writing to memory does not fail.
        let _ = write!(head, "{body_bytes}\r\n\r\n");
        head
    }

    /// The head of a request without one.
    pub(super) fn get(&self, lines: &Lines, path: &str) -> Vec<u8> {
        self.begin("GET ", path, &lines.get, 0)
    }

    fn begin(&self, method: &str, path: &str, lines: &[u8], more_bytes: usize) -> Vec<u8> {
        let bytes = method.len() + self.prefix.len() + path.len() + lines.len() + more_bytes;
        let mut head = Vec::with_capacity(bytes);
        head.extend_from_slice(method.as_bytes());
        head.extend_from_slice(self.prefix.as_bytes());
        extend_with_path(&mut head, path);
        head.extend_from_slice(lines);
        head
    }
}

/// Adds `path`, in which anything that would end it or the line is escaped. Paths are made of names that were checked
/// for that; whoever forgets to check steers no connection.
fn extend_with_path(head: &mut Vec<u8>, path: &str) {
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && byte != b'#' {
            head.push(byte);
        } else {
            // Writing to memory does not fail.
            let _ = write!(head, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;

    use super::*;

    fn origin(base_url: &str, proxy: &str) -> Origin {
        let proxies = Matcher::builder().all(proxy).build();
        Origin::new(&base_url.parse().unwrap(), Some(&proxies), Arc::default())
    }

    fn key() -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer key"))])
    }

    fn text(head: &[u8]) -> String {
        String::from_utf8_lossy(head).replace(env!("CARGO_PKG_VERSION"), "V")
    }

    #[test]
    fn a_request_is_written_as_it_goes_over_the_wire() {
        let origin = origin("https://api.example", "");
        let lines = origin.lines(&key());
        let common = "host: api.example\r\nuser-agent: ai-proxy-free/V\r\naccept-encoding: identity\r\n";
        assert_eq!(
            text(&origin.post(&lines, "/v1/chat?alt=sse", 12)),
            format!(
                "POST /v1/chat?alt=sse HTTP/1.1\r\n{common}accept: text/event-stream, application/json\r\n\
                 content-type: application/json\r\nauthorization: Bearer key\r\ncontent-length: 12\r\n\r\n"
            )
        );
        assert_eq!(
            text(&origin.get(&lines, "/v1/models")),
            format!(
                "GET /v1/models HTTP/1.1\r\n{common}accept: application/json\r\nauthorization: Bearer key\r\n\r\n"
            )
        );
        assert!(!format!("{lines:?} {origin:?}").contains("key"));
    }

    #[test]
    fn host_and_path_are_those_of_the_base_url() {
        for (base_url, proxy, start, host) in [
            ("http://127.0.0.1:80/", "", "GET /x", "127.0.0.1"),
            ("https://api.example:443/base/", "", "GET /base/x", "api.example"),
            ("https://API.example:8443/a/b", "", "GET /a/b/x", "api.example:8443"),
            ("http://[::1]:8080", "", "GET /x", "[::1]:8080"),
            ("https://bücher.example", "", "GET /x", "xn--bcher-kva.example"),
            ("http://api.example:80/base", "http://p", "GET http://api.example/base/x", "api.example"),
            ("http://[2001:db8::1]:81", "http://p", "GET http://[2001:db8::1]:81/x", "[2001:db8::1]:81"),
            ("https://api.example/base", "http://p", "GET /base/x", "api.example"),
        ] {
            let origin = origin(base_url, proxy);
            let head = text(&origin.get(&origin.lines(&key()), "/x"));
            let expected = format!("{start} HTTP/1.1\r\nhost: {host}\r\n");
            assert!(head.starts_with(&expected), "{base_url}: {head}");
        }
    }

    #[test]
    fn a_proxy_gets_its_credentials_only_where_it_reads_them() {
        for (base_url, is_sent) in [("http://api.example", true), ("https://api.example", false)] {
            let origin = origin(base_url, "http://me:secret@proxy.example");
            let head = text(&origin.post(&origin.lines(&key()), "/x", 0));
            let line = "proxy-authorization: Basic bWU6c2VjcmV0\r\n";
            assert_eq!(head.contains(line), is_sent, "{head}");
        }
    }

    #[test]
    fn no_path_ends_its_line() {
        let origin = origin("https://api.example", "");
        let head = text(&origin.get(&origin.lines(&key()), "/a b\r\nx: y#\u{e9}"));
        assert!(head.starts_with("GET /a%20b%0D%0Ax:%20y%23%C3%A9 HTTP/1.1\r\n"), "{head}");
    }
}
