//! Refusals of what hyper does not take for a request, in our words.
//!
//! What is no HTTP never comes to a service: hyper answers by itself, with a status and nothing else, and has no setting
//! for it. So such an answer is recognised where it is written, and completed: a client is told what was wrong, in the form
//! of every other refusal.

use super::request_id;
use crate::surfaces::ApiError;
use crate::surfaces::chat;

/// Longer than what hyper says of its own accord.
const MAX_BYTES: usize = 256;

/// What a client is to be told if `written` is a refusal of hyper's own, which is written at once and alone; none if it
/// is anything else.
pub(crate) fn in_place_of(written: &[u8]) -> Option<Vec<u8>> {
    if written.len() > MAX_BYTES || !written.starts_with(b"HTTP/1.1 4") {
        return None;
    }
    let head = std::str::from_utf8(written).ok()?;
    let (before, after) = head.strip_suffix("\r\n\r\n")?.split_once("\r\ncontent-length: 0")?;
    let error = match before.get("HTTP/1.1 ".len()..)?.split(' ').next()? {
        "400" => ApiError::NotHttp,
        "414" => ApiError::UriTooLong,
        "431" => ApiError::HeadTooLarge,
        _ => return None,
    };
    // Ours have all that.
    if head.contains("x-request-id") {
        return None;
    }
    let body = chat::error_body(&error);
    let length = body.len();
    let id = request_id::new();
    let head = format!(
        "{before}\r\ncontent-type: application/json\r\nx-request-id: {id}\r\ncontent-length: {length}{after}\r\n\r\n"
    );
    Some([head.into_bytes(), body].concat())
}
