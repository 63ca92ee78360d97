//! Errors in OpenAI's form: `{"error":{"message","type","param","code"}}`.
//!
//! The SDKs choose an exception by the status and show the message.

use http::StatusCode;
use serde::Serialize;

use super::features;
use crate::providers::Lack;
use crate::surfaces::error::ApiError;
use crate::surfaces::error_response::{AttemptBody, Response, attempts, response};
use crate::wire::json;

#[derive(Serialize)]
pub(super) struct ErrorBody<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptBody>>,
}

/// The error of an answer that breaks off.
pub(super) fn late(message: &str) -> ErrorBody<'_> {
    let code = Some("upstream_error");
    ErrorBody { error: Inner { message, r#type: "server_error", param: None, code, attempts: None } }
}

/// `error` as this surface says it; for failed providers also `attempts`, as `/chat` has them.
pub(crate) fn error_response(error: &ApiError) -> Response {
    let message = match error {
        ApiError::NotFound { asked, there_are } => {
            format!("Not Found: there is no {asked}. There are: {}", there_are.join(", "))
        }
        _ => error.message(),
    };
    let param = match error {
        ApiError::InvalidField { param, .. } => Some(param.as_str()),
        ApiError::UnknownModel(_) => Some("model"),
        ApiError::Incapable(incapable) => incapable.common_lack().map(features::field_of_lack),
        _ => None,
    };
    let (kind, code) = kind_and_code(error);
    let inner = Inner { message: &message, r#type: kind, param, code, attempts: attempts(error) };
    response(error, json::to_vec(&ErrorBody { error: inner }))
}

/// The type and the code of `error`, which other dialects of OpenAI's share.
pub(in crate::surfaces) fn kind_and_code(error: &ApiError) -> (&'static str, Option<&'static str>) {
    const REQUEST: &str = "invalid_request_error";
    match error {
        ApiError::UnknownModel(_) => (REQUEST, Some("model_not_found")),
        ApiError::Incapable(incapable) => {
            let is_too_long = incapable.common_lack() == Some(Lack::Window);
            (REQUEST, is_too_long.then_some("context_length_exceeded"))
        }
        ApiError::Unauthorized => ("authentication_error", Some("invalid_api_key")),
        ApiError::OriginRefused => ("permission_error", Some("origin_not_allowed")),
        ApiError::HostRefused => ("permission_error", Some("host_not_allowed")),
        ApiError::NotFound { .. } => (REQUEST, Some("unknown_url")),
        ApiError::AllFailed(failed) if error.status() == StatusCode::BAD_REQUEST => (
            REQUEST,
            failed.common_reason().map(|reason| match reason.as_str() {
                "context_too_long" => "context_length_exceeded",
                word => word,
            }),
        ),
        _ => match error.status() {
            StatusCode::TOO_MANY_REQUESTS => ("rate_limit_error", Some("rate_limit_exceeded")),
            status if status.is_client_error() => (REQUEST, None),
            _ => ("server_error", None),
        },
    }
}
