//! Header lines of requests, as bytes. What is the same in all requests of an account is written once.

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT as USER_AGENT_NAME};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Who asks.
pub(super) const USER_AGENT: &str = concat!("ai-proxy-free/", env!("CARGO_PKG_VERSION"));

/// What stands behind the path in every request of one account. It holds the key, so it does not print itself.
pub(crate) struct Lines {
    /// Up to the length of the body.
    pub(super) post: Box<[u8]>,
    /// To the end of the head.
    pub(super) get: Box<[u8]>,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lines(..)")
    }
}

impl Lines {
    /// For requests to `host` with `own` headers, which win over those that every request has.
    pub(super) fn new(host: HeaderValue, own: &HeaderMap) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host);
        headers.insert(USER_AGENT_NAME, HeaderValue::from_static(USER_AGENT));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let rendered = |mut headers: HeaderMap| {
            headers.extend(own.clone());
            [b" HTTP/1.1\r\n".as_slice(), &of(&headers)].concat()
        };
        let get = [rendered(headers.clone()).as_slice(), b"\r\n"].concat();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let post = [rendered(headers).as_slice(), b"content-length: "].concat();
        Self { post: post.into(), get: get.into() }
    }
}

/// `headers` as they are sent.
pub(super) fn of(headers: &HeaderMap) -> Vec<u8> {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat()
    };
    headers.iter().flat_map(line).collect()
}
