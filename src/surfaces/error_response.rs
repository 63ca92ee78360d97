//! What the errors of all dialects have in common.

use std::borrow::Cow;

use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::Serialize;

use super::error::ApiError;
use super::media_type;
use crate::observe::Refusal;

/// A whole response.
pub(crate) type Response = http::Response<Cow<'static, [u8]>>;

/// What an error of some dialects says besides what was wrong.
#[derive(Clone, Copy)]
pub(crate) struct Occasion<'a> {
    /// The id of the request.
    pub(crate) request_id: &'a str,
    /// Tells the time. Most errors do not ask: the one that is told of a broken clock must not.
    pub(crate) clock: &'a dyn Fn() -> Timestamp,
}

impl Occasion<'_> {
    /// The time of day.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// Says `false` where asking again soon cannot help. OpenAI's SDKs, and those made like them, read it: without it they
/// ask again by themselves after 408, 409, 429 and 5xx.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A provider that was considered and did not answer.
#[derive(Serialize)]
pub(super) struct AttemptBody {
    provider: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

/// Every provider that was considered, if the error is that none answered.
pub(super) fn attempts(error: &ApiError) -> Option<Vec<AttemptBody>> {
    let ApiError::AllFailed(failed) = error else { return None };
    let body = |attempt: &crate::dispatch::FailedProvider| AttemptBody {
        provider: attempt.provider.name(),
        reason: attempt.reason.as_str(),
        status: attempt.status,
        retry_after_seconds: attempt.retry_after_seconds,
    };
    Some(failed.attempts.iter().map(body).collect())
}

/// `error` with `body` in some dialect's form.
pub(super) fn response(error: &ApiError, body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = error.status();
    if let Some(reason) = error.refusal() {
        response.extensions_mut().insert(Refusal(reason));
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type::JSON));
    if let Some(seconds) = error.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if !error.may_retry() {
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if matches!(error, ApiError::Unauthorized) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
