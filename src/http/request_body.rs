//! Reading a request's body: JSON in UTF-8, up to a limit and up to a deadline.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt as _;

use crate::surfaces::ApiError;

/// Marks a response, in its extensions, whose request has been read to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyRead;

/// The most memory that is reserved for a body before any of it has arrived.
const BODY_ROOM_BYTES: usize = 64 * 1024;

/// Refuses a body that is not JSON in UTF-8, as far as its headers say.
///
/// # Errors
/// [`ApiError::UnsupportedMediaType`].
pub(super) fn expect_json(headers: &HeaderMap) -> Result<(), ApiError> {
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

/// Reads a whole body.
///
/// # Errors
/// [`ApiError::BodyTooLarge`], from Content-Length before anything is read; [`ApiError::BodyTimeout`];
/// [`ApiError::BadRequest`] if the body is cut off.
pub(super) async fn read(mut body: Body, max_bytes: usize, time: Duration) -> Result<Bytes, ApiError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max_bytes {
        return Err(ApiError::BodyTooLarge(max_bytes));
    }
    let read = async {
        // A client may announce more than it sends, so beyond this the buffer grows with what arrives.
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
