//! Reading a request's body: JSON in UTF-8, up to a limit, within the memory for all bodies, and up to a deadline.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::Instant;

use super::body_budget::{BodyBudget, BodyPermit};
use crate::config::{MAX_BODY_BYTES, MAX_BODY_MEMORY_BYTES};
use crate::surfaces::ApiError;
use crate::time::Alarm;

/// What curl says of a body if nobody tells it anything else.
const FORM: &str = "application/x-www-form-urlencoded";

/// For whoever has pasted a POSIX line: the blank within the single quotes ends the header.
const IN_CMD: &str = r#"Single quotes are no quotes in cmd.exe: write -H "Content-Type: application/json" -d "{\"messages\":[…]}""#;

/// Refuses a body that is not JSON in UTF-8, as far as its headers say.
///
/// # Errors
/// [`ApiError::UnsupportedMediaType`].
pub(super) fn expect_json(headers: &HeaderMap) -> Result<(), ApiError> {
    const SEND: &str = "Send 'Content-Type: application/json'";
    let refuse = |what: &str| Err(ApiError::UnsupportedMediaType(format!("{what}. {SEND}")));
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return refuse("Content-Type is missing");
    };
    let mut parts = value.to_str().unwrap_or_default().split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let advice =
            if media_type.eq_ignore_ascii_case(FORM) { format!(". {IN_CMD}") } else { String::new() };
        return Err(ApiError::UnsupportedMediaType(format!(
            "Content-Type is not application/json. {SEND}{advice}"
        )));
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

/// What a body may cost, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits<'b> {
    /// The largest body, in bytes.
    pub max_bytes: usize,
    /// The memory of all bodies together.
    pub budget: &'b BodyBudget,
    /// For a body to arrive; and likewise for all of its memory to become free.
    pub time: Duration,
}

impl Limits<'_> {
    /// The error of a body that is larger than it may be, if the budget has room for `most` bytes.
    fn too_large(self, most: usize) -> ApiError {
        if self.max_bytes <= most {
            ApiError::BodyTooLarge { limit: self.max_bytes, variable: MAX_BODY_BYTES.name }
        } else {
            ApiError::BodyTooLarge { limit: most, variable: MAX_BODY_MEMORY_BYTES.name }
        }
    }

    /// Waits for memory, but not for ever: `waited` is for how long it was waited for so far, which this wait is added to.
    async fn wait<T>(self, waited: &mut Duration, memory: impl Future<Output = T>) -> Result<T, ApiError> {
        let begun = Instant::now();
        let memory = tokio::time::timeout(self.time.saturating_sub(*waited), memory).await;
        *waited += begun.elapsed();
        memory.map_err(|_| ApiError::NoBodyMemory)
    }
}

/// Reads a whole body into memory of the budget, which is to be held as long as what becomes of the body.
///
/// # Errors
/// [`ApiError::BodyTooLarge`], from Content-Length before anything is read; [`ApiError::NoBodyMemory`];
/// [`ApiError::BodyTimeout`]; [`ApiError::BadRequest`] if the body is cut off.
pub(super) async fn read(
    mut body: impl Body<Data = Bytes> + Unpin,
    limits: Limits<'_>,
) -> Result<(Vec<u8>, BodyPermit), ApiError> {
    let announced = body.size_hint().exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let most = announced.map_or(limits.budget.most_unannounced(), |_| limits.budget.most());
    let max_bytes = limits.max_bytes.min(most);
    let mut waited = Duration::ZERO;
    let mut memory = match announced {
        Some(bytes) if bytes > max_bytes => return Err(limits.too_large(most)),
        Some(bytes) => limits.wait(&mut waited, limits.budget.reserve(bytes)).await?,
        None => limits.wait(&mut waited, limits.budget.begin()).await?,
    };
    let (mut deadline, mut alarm) = (Instant::now() + limits.time, Alarm::default());
    // Memory that is reserved at once is given back at once; a buffer that grows leaves holes behind. The system has
    // to find only the pages that are written.
    let mut bytes = Vec::with_capacity(announced.unwrap_or_default());
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = alarm.reached(deadline) => return Err(ApiError::BodyTimeout),
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| ApiError::BadRequest("Request body broke off".to_owned()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.len() > max_bytes - bytes.len() {
            return Err(limits.too_large(most));
        }
        if data.len() > memory.bytes() - bytes.len() {
            let before = waited;
            if !limits.wait(&mut waited, limits.budget.grow(&mut memory, max_bytes)).await? {
                return Err(ApiError::NoBodyMemory);
            }
            deadline += waited.saturating_sub(before);
            bytes.reserve_exact(max_bytes - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
    memory.shrink(bytes.len());
    Ok((bytes, memory))
}

/// Reserves memory for `more` bytes that come to a body which was read.
///
/// # Errors
/// [`ApiError::BadRequest`], if there is never as much; [`ApiError::NoBodyMemory`].
pub(super) async fn reserve_more(
    memory: &mut BodyPermit,
    more: usize,
    limits: Limits<'_>,
) -> Result<(), ApiError> {
    let (bytes, most) = (memory.bytes().saturating_add(more), limits.budget.most_unannounced());
    if bytes > most {
        let variable = MAX_BODY_MEMORY_BYTES.name;
        return Err(ApiError::BadRequest(format!(
            "The request and what it refers to are larger than {most} bytes ({variable}). Send only what matters instead"
        )));
    }
    let mut waited = Duration::ZERO;
    let has_room = limits.wait(&mut waited, limits.budget.grow(memory, bytes)).await?;
    if has_room { Ok(()) } else { Err(ApiError::NoBodyMemory) }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    /// The memory for a body is waited for twice at most: before it, and when it turns out to be large.
    #[tokio::test(start_paused = true)]
    async fn all_waiting_for_memory_together_has_one_limit() {
        let budget = BodyBudget::new(800_000);
        let small = budget.reserve(700_001).await;
        let rest = budget.reserve(60_000).await;
        let chunks = [vec![b'x'; 10], vec![b'x'; 200_000]].map(|it| Frame::data(Bytes::from(it)));
        let body = StreamBody::new(stream::iter(chunks.map(Ok::<_, std::io::Error>)));
        let limits = Limits { max_bytes: 700_000, budget: &budget, time: Duration::from_secs(10) };
        let begun = Instant::now();
        let later = async {
            tokio::time::sleep(Duration::from_secs(6)).await;
            drop(rest);
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = read(body, limits) => outcome,
            () = later => unreachable!(),
        };
        assert!(matches!(outcome, Err(ApiError::NoBodyMemory)), "{outcome:?}");
        assert_eq!(begun.elapsed().as_secs(), 10, "not 6 and then 10 more");
        drop(small);
    }
}
