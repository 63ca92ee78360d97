//! The checks that every request passes before a surface sees it: request id, size of the head, framing, host, origin
//! and client key. A request that is refused here costs no provider anything.

use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONNECTION, HOST, ORIGIN, TRANSFER_ENCODING,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Uri};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};
use url::Host;

use super::areas::Area;
use super::connection::{Crowded, OnLoopback};
use super::request_body::BodyRead;
use super::request_id::{self, X_REQUEST_ID};
use super::state::AppState;
use crate::config::{self, CorsOrigins, MAX_HEAD_BYTES, MAX_HEADERS};
use crate::observe::{self, Counted, Refusal};
use crate::surfaces::ApiError;

/// The headers in which clients may send their key, besides `Authorization: Bearer`.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "x-goog-api-key", "api-key"];

/// The method that a client has sent, in the extensions of a request that has another one by now.
#[derive(Clone, Debug)]
pub(super) struct AskedMethod(pub(super) Method);

/// Gives every request its id and its [`Area`], and refuses what no route should see. Handlers find the id among the
/// request's headers and the client among the response's; the area is in the request's extensions.
pub(super) async fn admit(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let id = request_id::given_or_new(request.headers());
    let area = Area::of(request.uri().path());
    request.extensions_mut().insert(area);
    let is_tunnel = request.method() == Method::CONNECT;
    let has_body = !request.body().is_end_stream();
    let is_preflight = request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && !is_preflight {
        // The CORS layer treats every OPTIONS as a preflight. No route has the method TRACE, so the router answers
        // this one with its own 404 or 405.
        let asked = std::mem::replace(request.method_mut(), Method::TRACE);
        request.extensions_mut().insert(AskedMethod(asked));
    }
    let (counter, counted) = area.counts_as();
    // What a browser asks beforehand is no request of its own.
    let counted = if request.method() == Method::OPTIONS { Counted::IfRefused } else { counted };
    let tally = state.requests.begin(counter, counted);
    let mut response = match check(&state, area, &request) {
        Ok(()) => {
            request.headers_mut().insert(X_REQUEST_ID, id.clone());
            next.run(request).await
        }
        Err(error) => area.surface.error_response(&error),
    };
    tally.answered(response.status());
    if let Some(Refusal(reason)) = response.extensions().get() {
        observe::refused(response.status(), area.surface.name(), id.to_str().unwrap_or_default(), reason);
    }
    response.headers_mut().insert(X_REQUEST_ID, id);
    let is_body_unread = has_body && response.extensions().get::<BodyRead>().is_none();
    // hyper would keep the connection open for a tunnel that does not exist. After a request whose body was not read it
    // would close the connection without telling the client.
    if is_tunnel || is_body_unread {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn check(state: &AppState, area: Area, request: &Request) -> Result<(), ApiError> {
    check_size(request)?;
    check_framing(request.headers())?;
    if area.is_open {
        return Ok(());
    }
    if request.extensions().get::<Crowded>().is_some() {
        return Err(ApiError::TooManyRequests);
    }
    if request.extensions().get::<OnLoopback>().is_some() && state.server.client_keys.is_empty() {
        check_host(request)?;
    }
    check_origin(&state.server.cors_origins, request)
}

fn check_size(request: &Request) -> Result<(), ApiError> {
    let (uri, headers) = (request.uri(), request.headers());
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
fn check_host(request: &Request) -> Result<(), ApiError> {
    let target = request.uri().authority().map(Authority::as_str);
    let headers = request.headers().get_all(HOST).iter();
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
    let authority = Authority::try_from(authority).ok();
    let host = authority.and_then(|authority| Host::parse(authority.host()).ok());
    host.is_some_and(|host| config::is_loopback(&host))
}

fn check_origin(allowed: &CorsOrigins, request: &Request) -> Result<(), ApiError> {
    let Some(origin) = request.headers().get(ORIGIN) else { return Ok(()) };
    let may_call = may_call(allowed, origin, request.uri(), request.headers());
    if may_call { Ok(()) } else { Err(ApiError::OriginRefused) }
}

/// Whether the pages of `origin` may call. Those that the proxy itself serves may, by whatever name it was called.
fn may_call(allowed: &CorsOrigins, origin: &HeaderValue, uri: &Uri, headers: &HeaderMap) -> bool {
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
pub(super) async fn authenticate(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let keys = &state.server.client_keys;
    let area = Area::from_extensions(request.extensions());
    let is_open = keys.is_empty() || area.is_open;
    if is_open || shown_keys(request.headers()).any(|shown| is_known(shown, keys)) {
        next.run(request).await
    } else {
        area.surface.error_response(&ApiError::Unauthorized)
    }
}

fn shown_keys(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).and_then(|value| {
        let (scheme, key) = value.split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
    });
    bearer
        .into_iter()
        .chain(KEY_HEADERS.iter().filter_map(|name| headers.get(*name)).map(HeaderValue::as_bytes))
}

/// Compares with every key, each in constant time, so that timing reveals nothing about any of them.
fn is_known(shown: &[u8], keys: &[SecretString]) -> bool {
    keys.iter().fold(false, |known, key| known | bool::from(key.expose_secret().as_bytes().ct_eq(shown)))
}

/// Adds the CORS headers. [`admit`] has already refused origins that may not call.
pub(super) fn cors(origins: &CorsOrigins) -> CorsLayer {
    let allow_origin = match origins {
        CorsOrigins::Any => AllowOrigin::any(),
        these => {
            let these = these.clone();
            AllowOrigin::predicate(move |origin, head| may_call(&these, origin, &head.uri, &head.headers))
        }
    };
    CorsLayer::new()
        .allow_origin(allow_origin)
        .allow_methods([Method::GET, Method::POST])
        // A `*` would not cover `Authorization`.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(Any)
        .max_age(Duration::from_secs(86_400))
}
