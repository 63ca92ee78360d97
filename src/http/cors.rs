//! The headers by which a browser lets a page of another origin call, and read what is answered.
//!
//! [`ingress`](super::ingress) has already refused origins that may not call.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use super::ingress::may_call;
use crate::config::CorsOrigins;

/// What the answer to a preflight, and to any other request, depends on.
const VARIES: HeaderValue =
    HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers");

/// How long a browser may remember what a preflight has told: a day.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

const ANY: HeaderValue = HeaderValue::from_static("*");

/// Whether a browser asks what a page may do before it does it. Any other `OPTIONS` is a method that no path has.
pub(super) fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The origin whose pages may read the answer.
pub(super) fn readers(origins: &CorsOrigins, head: &Parts) -> Option<HeaderValue> {
    if *origins == CorsOrigins::Any {
        return Some(ANY);
    }
    let origin = head.headers.get(ORIGIN)?;
    may_call(origins, origin, &head.uri, &head.headers).then(|| origin.clone())
}

/// The headers of the answer to a preflight, which `readers` may read.
pub(super) fn preflight(head: &Parts, readers: Option<HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(VARY, VARIES);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,POST"));
    // A `*` would not cover `Authorization`.
    if let Some(asked) = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    headers.extend(readers.map(|readers| (ACCESS_CONTROL_ALLOW_ORIGIN, readers)));
    headers
}

/// Adds to the `headers` of an answer that `readers` may read it.
pub(super) fn allow(headers: &mut HeaderMap, readers: Option<HeaderValue>) {
    headers.append(VARY, VARIES);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, ANY);
    if let Some(readers) = readers {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, readers);
    }
}
