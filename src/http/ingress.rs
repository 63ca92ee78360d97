//! The checks that every request passes before a surface sees it: size of the head, framing, host, origin and client
//! key. A request that is refused here costs no provider anything.

use std::borrow::Cow;
use std::net::SocketAddrV4;

use http::header::{AUTHORIZATION, HOST, ORIGIN, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use url::Host;

use super::areas::Area;
use super::connection::Connection;
use super::state::AppState;
use crate::config::{self, CorsOrigins, MAX_HEAD_BYTES, MAX_HEADERS};
use crate::surfaces::{ApiError, Surface};

/// The headers in which clients may send their key, besides `Authorization: Bearer`.
static KEY_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("api-key"),
];

/// Refuses what no route should see.
///
/// # Errors
/// What is wrong with the request's head, or with whence it comes.
pub(super) fn check(
    state: &AppState,
    connection: &Connection,
    area: Area,
    head: &Parts,
) -> Result<(), ApiError> {
    check_size(head)?;
    check_framing(&head.headers)?;
    if area.is_open {
        return Ok(());
    }
    if state.dispatcher.has_sent(&head.headers) {
        return Err(ApiError::Loop);
    }
    if connection.is_crowded {
        return Err(ApiError::TooManyRequests);
    }
    if connection.is_on_loopback && state.server.client_keys.is_empty() {
        check_host(head)?;
    }
    check_origin(&state.server.cors_origins, head)
}

fn check_size(head: &Parts) -> Result<(), ApiError> {
    let (uri, headers) = (&head.uri, &head.headers);
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let line = authority + uri.path_and_query().map_or(0, |path| path.as_str().len());
    let lengths = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    if line > MAX_HEAD_BYTES {
        return Err(ApiError::UriTooLong);
    }
    if headers.len() > MAX_HEADERS || line + lengths.sum::<usize>() > MAX_HEAD_BYTES {
        return Err(ApiError::HeadTooLarge);
    }
    Ok(())
}

/// Refuses every `Transfer-Encoding` but `chunked` alone. hyper reads a body as chunked if the last coding is
/// `chunked`; a proxy in front of us may read it differently.
fn check_framing(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_plain = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        && codings.next().is_none();
    let message = "The only 'Transfer-Encoding' that is read is 'chunked'";
    if is_plain { Ok(()) } else { Err(ApiError::BadRequest(message.to_owned())) }
}

/// Refuses a request to any other host than this machine. Only then is a page of somebody else's kept out whose name
/// leads to 127.0.0.1 (DNS rebinding): its browser takes the proxy for the page's own server. A browser always names
/// the host, so a request that names none is no page's.
fn check_host(head: &Parts) -> Result<(), ApiError> {
    let target = head.uri.authority().map(Authority::as_str);
    let headers = head.headers.get_all(HOST).iter();
    // What is not ASCII names no host.
    let mut hosts = target.into_iter().chain(headers.map(|host| host.to_str().unwrap_or("?")));
    if hosts.all(|host| host.is_empty() || names_loopback(host)) {
        Ok(())
    } else {
        Err(ApiError::HostRefused)
    }
}

/// Whether the host of `authority`, with any port, is this machine.
fn names_loopback(authority: &str) -> bool {
    // What nearly all clients write; to parse it as the host of a URL allocates.
    let is_port =
        |rest: &str| rest.strip_prefix(':').is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit()));
    let is_localhost = authority.strip_prefix("localhost").is_some_and(|it| it.is_empty() || is_port(it));
    if is_localhost || authority.parse::<SocketAddrV4>().is_ok_and(|it| it.ip().is_loopback()) {
        return true;
    }
    let authority = Authority::try_from(authority).ok();
    let host = authority.and_then(|authority| Host::parse(authority.host()).ok());
    host.is_some_and(|host| config::is_loopback(&host))
}

fn check_origin(allowed: &CorsOrigins, head: &Parts) -> Result<(), ApiError> {
    let Some(origin) = head.headers.get(ORIGIN) else { return Ok(()) };
    let may_call = may_call(allowed, origin, &head.uri, &head.headers);
    if may_call { Ok(()) } else { Err(ApiError::OriginRefused) }
}

/// Whether the pages of `origin` may call. Those that the proxy itself serves may, by whatever name it was called.
pub(super) fn may_call(allowed: &CorsOrigins, origin: &HeaderValue, uri: &Uri, headers: &HeaderMap) -> bool {
    if *allowed == CorsOrigins::Any {
        return true;
    }
    let Ok(origin) = origin.to_str() else { return false };
    let own = uri.authority().map(Authority::as_str);
    let own = own.or_else(|| headers.get(HOST)?.to_str().ok()).filter(|host| !host.is_empty());
    // A proxy in front of us may speak TLS.
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let is_own = host.zip(own).is_some_and(|(host, own)| host.eq_ignore_ascii_case(own));
    is_own || allowed.allow(origin)
}

/// Refuses requests without a client key, if clients need one. Open areas never need one.
///
/// # Errors
/// [`ApiError::Unauthorized`].
pub(super) fn authenticate(state: &AppState, area: Area, head: &Parts) -> Result<(), ApiError> {
    let keys = &state.server.client_keys;
    let is_open = keys.is_empty() || area.is_open;
    let may_pass = is_open || shown_keys(area, head).any(|shown| is_known(&shown, keys));
    if may_pass { Ok(()) } else { Err(ApiError::Unauthorized) }
}

/// The key that the client has shown, if any: the first of them.
pub(super) fn shown_key(area: Area, head: &Parts) -> Option<Cow<'_, [u8]>> {
    shown_keys(area, head).next()
}

fn shown_keys(area: Area, head: &Parts) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let headers = &head.headers;
    let bearer = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).and_then(|value| {
        let (scheme, key) = value.split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
    });
    bearer
        .into_iter()
        .chain(KEY_HEADERS.iter().filter_map(|name| headers.get(name)).map(HeaderValue::as_bytes))
        .map(Cow::Borrowed)
        .chain(key_in_query(area, head))
}

/// Google's own address takes the key in the query, and people write it there by hand.
fn key_in_query(area: Area, head: &Parts) -> Option<Cow<'_, [u8]>> {
    let query = head.uri.query().filter(|_| area.surface == Surface::Gemini)?;
    let mut parameters = url::form_urlencoded::parse(query.as_bytes());
    let key = parameters.find(|(name, _)| name == "key")?.1;
    Some(Cow::Owned(key.into_owned().into_bytes()))
}

/// Compares with every key, each in constant time, so that timing reveals nothing about any of them.
fn is_known(shown: &[u8], keys: &[SecretString]) -> bool {
    keys.iter().fold(false, |known, key| known | bool::from(key.expose_secret().as_bytes().ct_eq(shown)))
}
