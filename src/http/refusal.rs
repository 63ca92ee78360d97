//! Refusals of input that is not HTTP, in our words.
//!
//! Such input never reaches a service: hyper answers it with a status and nothing else, and no setting changes that. So
//! hyper's answer is recognised where it is written, and replaced by one that tells the client what was wrong, in the
//! form of every other refusal.

use super::request_id;
use crate::observe;
use crate::surfaces::media_type::JSON;
use crate::surfaces::{ApiError, Surface, chat};

/// Longer than any refusal of hyper's own.
const MAX_BYTES: usize = 256;

/// Gives the response that replaces `written`, if that is a refusal of hyper's own. hyper writes a refusal in one piece
/// and nothing else with it.
pub(super) fn in_place_of(written: &[u8]) -> Option<Vec<u8>> {
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
    // Our own refusals have an id.
    if head.contains("x-request-id") {
        return None;
    }
    let body = chat::error_body(&error);
    let length = body.len();
    let id = request_id::new();
    observe::refused(error.status(), Surface::Chat.name(), &id, &error.message());
    let head = format!(
        "{before}\r\ncontent-type: {JSON}\r\nx-should-retry: false\r\nx-request-id: {id}\r\ncontent-length: {length}{after}\r\n\r\n"
    );
    Some([head.into_bytes(), body].concat())
}
