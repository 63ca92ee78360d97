//! The id under which a request is found in the log.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries the id, in every response and in requests of clients that choose it.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The client's own id if it is fit for a log, else a new one.
pub(super) fn given_or_new(headers: &HeaderMap) -> HeaderValue {
    const MAX_LEN: usize = 128;
    let is_sane = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        let is_plain = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte));
        !bytes.is_empty() && bytes.len() <= MAX_LEN && is_plain
    };
    let given = headers.get(X_REQUEST_ID).filter(is_sane).cloned();
    given.unwrap_or_else(|| HeaderValue::try_from(new()).unwrap_or(HeaderValue::from_static("none")))
}

/// A new id.
pub(super) fn new() -> String {
    format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}

/// An id as text. It is ASCII, like all ids that are given or new.
pub(super) fn text(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or_default()
}
