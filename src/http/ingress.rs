//! What every request passes before a surface sees it: request id, size of the head, origin, client key; and the
//! reading of bodies. Everything that is refused here costs no provider anything.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Bytes, BytesMut};

use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, ORIGIN,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::BodyExt as _;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

use super::areas::Area;
use super::connection::Crowded;
use super::request_id::{self, X_REQUEST_ID};
use super::state::AppState;
use crate::config::CorsOrigins;
use crate::config::{MAX_HEAD_BYTES, MAX_HEADERS};
use crate::surfaces::ApiError;

/// Where clients may show their key, besides `Authorization: Bearer`.
const KEY_HEADERS: [&str; 2] = ["x-api-key", "x-goog-api-key"];

/// Gives every request an id and refuses what no route should see. The id stands in the request's headers for the
/// handlers, and in the response's for the client.
pub(crate) async fn admit(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let id = request_id::given_or_new(request.headers());
    let area = Area::of(request.uri().path());
    request.extensions_mut().insert(area);
    let is_tunnel = request.method() == Method::CONNECT;
    let has_body = !request.body().is_end_stream();
    let is_preflight = request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && !is_preflight {
        // The CORS layer takes every OPTIONS for a preflight. Under a method that no route has, this one gets the
        // router's own 404 or 405.
        *request.method_mut() = Method::TRACE;
    }
    let mut response = match check(&state, area, &request) {
        Ok(()) => {
            request.headers_mut().insert(X_REQUEST_ID, id.clone());
            next.run(request).await
        }
        Err(error) => area.surface.error_response(&error),
    };
    response.headers_mut().insert(X_REQUEST_ID, id);
    let is_body_unread = has_body && response.extensions().get::<BodyRead>().is_none();
    // hyper would keep the connection open for a tunnel that is not there, and would close it without a word after a
    // request that nobody has read to its end.
    if is_tunnel || is_body_unread {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn check(state: &AppState, area: Area, request: &Request) -> Result<(), ApiError> {
    let headers = request.headers();
    let bytes =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum::<usize>();
    let authority = request.uri().authority().map_or(0, |it| it.as_str().len());
    let line = authority + request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if line > MAX_HEAD_BYTES {
        return Err(ApiError::UriTooLong);
    }
    if headers.len() > MAX_HEADERS || bytes + line > MAX_HEAD_BYTES {
        return Err(ApiError::HeadTooLarge);
    }
    // hyper reads whatever ends in `chunked` as chunked; something before us may read it otherwise.
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if codings.next().is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || codings.next().is_some()
    {
        return Err(ApiError::BadRequest(
            "The only 'Transfer-Encoding' that is read is 'chunked'".to_owned(),
        ));
    }
    let is_crowded = request.extensions().get::<Crowded>().is_some();
    if is_crowded && !area.is_open {
        return Err(ApiError::TooManyRequests);
    }
    match (&state.server.cors_origins, headers.get(ORIGIN)) {
        (CorsOrigins::These(origins), Some(origin)) if !area.is_open => {
            let is_known = origin.to_str().is_ok_and(|origin| origins.contains(origin));
            if is_known { Ok(()) } else { Err(ApiError::OriginRefused) }
        }
        _ => Ok(()),
    }
}

/// Refuses requests without a client key, if clients need one. Open paths never do.
pub(crate) async fn authenticate(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let keys = &state.server.client_keys;
    let area = Area::among(request.extensions());
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

/// Compares with every key, each in constant time, so that timing tells nothing about any.
fn is_known(shown: &[u8], keys: &[SecretString]) -> bool {
    keys.iter().fold(false, |known, key| known | bool::from(key.expose_secret().as_bytes().ct_eq(shown)))
}

/// The CORS headers. Origins that may not call have been refused before.
pub(crate) fn cors(origins: &CorsOrigins) -> CorsLayer {
    let allow_origin = match origins {
        CorsOrigins::Any => AllowOrigin::any(),
        CorsOrigins::These(origins) => {
            AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok()))
        }
    };
    CorsLayer::new()
        .allow_origin(allow_origin)
        .allow_methods([Method::GET, Method::POST])
        // A `*` would leave `Authorization` out.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(Any)
        .max_age(Duration::from_secs(86_400))
}

/// Refuses a body that is not JSON in UTF-8, as far as its headers say.
///
/// # Errors
/// [`ApiError::UnsupportedMediaType`].
pub(crate) fn expect_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let refuse = |what: &str| {
        Err(ApiError::UnsupportedMediaType(format!("{what}. Send 'Content-Type: application/json'")))
    };
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return refuse("Content-Type is missing");
    };
    let mut parts = value.to_str().unwrap_or_default().split(';').map(str::trim);
    if !parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json")) {
        return refuse("Content-Type is not application/json");
    }
    let charset = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let is_utf8 = |charset: &str| {
        ["utf-8", "utf8"].iter().any(|it| charset.trim().trim_matches('"').eq_ignore_ascii_case(it))
    };
    if charset.is_some_and(|(_, charset)| !is_utf8(charset)) {
        return refuse("Only the charset UTF-8 is read");
    }
    let is_identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(is_identity) {
        return refuse("Compressed bodies are not read (Content-Encoding)");
    }
    Ok(())
}

/// Stands among the extensions of a response whose request has been read to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyRead;

/// The most room that is made for a body before any of it has come.
const BODY_ROOM_BYTES: usize = 64 * 1024;

/// Reads a whole body.
///
/// # Errors
/// [`ApiError::BodyTooLarge`], from Content-Length before anything is read; [`ApiError::BodyTimeout`];
/// [`ApiError::BadRequest`] if the body breaks off.
pub(crate) async fn read_body(mut body: Body, max_bytes: usize, time: Duration) -> Result<Bytes, ApiError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max_bytes {
        return Err(ApiError::BodyTooLarge(max_bytes));
    }
    let read = async {
        // What is announced need not come: beyond this, room grows with what does.
        let mut bytes = BytesMut::with_capacity(announced.min(BODY_ROOM_BYTES));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| ApiError::BadRequest("Request body broke off".to_owned()))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if data.len() > max_bytes - bytes.len() {
                return Err(ApiError::BodyTooLarge(max_bytes));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    };
    tokio::time::timeout(time, read).await.unwrap_or(Err(ApiError::BodyTimeout))
}
