//! The id under which a request is found in the log.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries the id: in every admitted request for the handlers, in every response for the client.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The client's own id if it is fit for a log, else a new one.
pub(super) fn given_or_new(headers: &HeaderMap) -> HeaderValue {
    const MAX_LEN: usize = 128;
    let is_sane = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        let is_plain = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte));
        !bytes.is_empty() && bytes.len() <= MAX_LEN && is_plain
    };
    let new = || HeaderValue::try_from(new());
    let given = headers.get(X_REQUEST_ID).filter(is_sane).cloned();
    given.or_else(|| new().ok()).unwrap_or_else(|| HeaderValue::from_static("none"))
}

/// A new id.
pub(super) fn new() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// The id of an admitted request.
pub(super) fn of(headers: &HeaderMap) -> String {
    headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned()
}
