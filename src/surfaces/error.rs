//! Every error that a client can get instead of an answer, with its status. Each surface gives it its own form.

use http::StatusCode;

use crate::config::{MAX_HEAD_BYTES, MAX_HEADERS};
use crate::dispatch::{AllFailed, Incapable, Unanswered, Verdict};
use crate::providers::Provider;

/// No client retries by itself after a longer wait: some would ask again at once instead.
const LONGEST_WAIT_SECONDS: u64 = 60;

/// A request that gets no answer.
#[derive(Debug)]
pub enum ApiError {
    /// The request is not of the required form: what is wrong and what is accepted.
    BadRequest(String),
    /// A field of the request is wrong.
    InvalidField {
        /// Which, such as `messages[0].content`.
        param: String,
        /// The whole sentence.
        message: String,
    },
    /// The model does not exist; the text lists those that do.
    UnknownModel(String),
    /// The stored response does not exist.
    UnknownResponse(String),
    /// The response that the request goes on from does not exist.
    UnknownPrevious(String),
    /// No model can do what the request asks; the text says which provider cannot do what.
    Incapable(Incapable),
    /// The content type is not accepted; the text says which is.
    UnsupportedMediaType(String),
    /// The body is larger than it may be.
    BodyTooLarge {
        /// How large it may be, in bytes.
        limit: usize,
        /// The variable that says so.
        variable: &'static str,
    },
    /// The bodies of other requests have taken all memory that there is for bodies.
    NoBodyMemory,
    /// The request head has too many headers or too many bytes.
    HeadTooLarge,
    /// The request's URI alone has too many bytes.
    UriTooLong,
    /// The input is not an HTTP/1.1 request.
    NotHttp,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The client key is missing or wrong.
    Unauthorized,
    /// The web page's origin may not call the proxy.
    OriginRefused,
    /// The request names a host that is not this machine, where only this machine is served.
    HostRefused,
    /// No such path.
    NotFound {
        /// The method and the path.
        asked: String,
        /// The methods and paths that there are.
        there_are: Vec<String>,
    },
    /// The path does not take this method.
    MethodNotAllowed,
    /// The path is one of the dialect's, and what it is for does not exist here; the text says what does.
    NotOffered(&'static str),
    /// The request was sent by this proxy itself.
    Loop,
    /// There is no WebSocket here, and the same is to be had over HTTP.
    NoWebSocket,
    /// The limit of concurrent requests is reached.
    TooManyRequests,
    /// The process is about to end.
    ShuttingDown,
    /// None of these providers has a key.
    NoKeys(Vec<Provider>),
    /// Every provider failed.
    AllFailed(AllFailed),
    /// A bug of ours.
    Internal,
}

impl From<Unanswered> for ApiError {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NoKeys(providers) => Self::NoKeys(providers),
            Unanswered::Incapable(incapable) => Self::Incapable(incapable),
            Unanswered::AllFailed(all_failed) => Self::AllFailed(all_failed),
        }
    }
}

impl ApiError {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_)
            | Self::InvalidField { .. }
            | Self::UnknownPrevious(_)
            | Self::Incapable(_)
            | Self::NotHttp => StatusCode::BAD_REQUEST,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::OriginRefused | Self::HostRefused => StatusCode::FORBIDDEN,
            Self::NotFound { .. } | Self::UnknownModel(_) | Self::UnknownResponse(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotOffered(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::NoWebSocket => StatusCode::UPGRADE_REQUIRED,
            Self::TooManyRequests | Self::NoBodyMemory | Self::ShuttingDown | Self::NoKeys(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::AllFailed(failed) => match failed.verdict() {
                Verdict::Limited => StatusCode::TOO_MANY_REQUESTS,
                Verdict::TimedOut => StatusCode::GATEWAY_TIMEOUT,
                Verdict::RequestRefused => StatusCode::BAD_REQUEST,
                Verdict::Failed => StatusCode::BAD_GATEWAY,
            },
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// One sentence or two: what was wrong, and what to do where something can be done.
    pub fn message(&self) -> String {
        match self {
            Self::BadRequest(message)
            | Self::InvalidField { message, .. }
            | Self::UnknownModel(message)
            | Self::UnknownResponse(message)
            | Self::UnknownPrevious(message)
            | Self::UnsupportedMediaType(message) => message.clone(),
            Self::Incapable(incapable) => incapable.to_string(),
            Self::BodyTooLarge { limit, variable } => {
                format!("Request body is larger than {limit} bytes ({variable})")
            }
            Self::NoBodyMemory => {
                "Too many request bodies at once (MAX_BODY_MEMORY_BYTES). Try again in a moment".to_owned()
            }
            Self::HeadTooLarge => {
                format!("Request headers exceed {MAX_HEADERS} headers or {MAX_HEAD_BYTES} bytes")
            }
            Self::UriTooLong => format!("The URI is longer than {MAX_HEAD_BYTES} bytes"),
            Self::NotHttp => {
                "This is no valid HTTP/1.1 request: its first line, a header or its framing is wrong"
                    .to_owned()
            }
            Self::BodyTimeout => "Request body did not arrive in time (BODY_READ_TIMEOUT_MS)".to_owned(),
            Self::Unauthorized => {
                "Missing or wrong API key. Send one of PROXY_API_KEY as 'Authorization: Bearer <key>'"
                    .to_owned()
            }
            Self::OriginRefused => "This origin is not in CORS_ORIGINS".to_owned(),
            Self::HostRefused => {
                "The request's host is not localhost, and no key protects the proxy from pages that pretend it is. Call \
                 localhost or 127.0.0.1, or set PROXY_API_KEY; to serve other machines too, set HOST"
                    .to_owned()
            }
            Self::NotFound { .. } => "Not Found".to_owned(),
            Self::MethodNotAllowed => "Method Not Allowed".to_owned(),
            Self::NotOffered(message) => (*message).to_owned(),
            Self::Loop => "This request comes from the proxy itself: the base URL of a provider, such as OLLAMA_BASE_URL, \
                           leads back to it"
                .to_owned(),
            Self::NoWebSocket => "There is no WebSocket here: send a POST request over HTTP instead".to_owned(),
            Self::TooManyRequests => {
                "Too many requests at once (MAX_CONCURRENT_REQUESTS). Try again in a moment".to_owned()
            }
            Self::ShuttingDown => "The proxy is shutting down".to_owned(),
            Self::NoKeys(providers) => no_keys_message(providers),
            Self::AllFailed(failed) => all_failed_message(failed),
            Self::Internal => "Internal error of the proxy; its log says more".to_owned(),
        }
    }

    /// The text for the log. It never has the providers' own words, which may quote the prompt.
    pub fn log_text(&self) -> String {
        match self {
            Self::AllFailed(failed) => failed.trail.to_string(),
            _ => self.message(),
        }
    }

    /// The text for the log if this error refuses a request and nothing else is logged about that.
    pub fn refusal(&self) -> Option<String> {
        match self {
            // The end of the request is logged, or the panic, or that there are too many.
            Self::Incapable(_) | Self::NoKeys(_) | Self::AllFailed(_) | Self::ShuttingDown => None,
            Self::Internal | Self::TooManyRequests => None,
            Self::NotFound { asked, .. } => Some(format!("there is no {asked}")),
            _ => Some(self.log_text()),
        }
    }

    /// Whole seconds after which a retry makes sense, if known.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::TooManyRequests | Self::NoBodyMemory => Some(1),
            Self::AllFailed(failed) if failed.verdict() != Verdict::RequestRefused => {
                failed.retry_after_seconds
            }
            _ => None,
        }
    }

    /// Whether asking again within a minute may help.
    pub fn may_retry(&self) -> bool {
        match self {
            Self::TooManyRequests | Self::NoBodyMemory | Self::ShuttingDown | Self::BodyTimeout => true,
            Self::AllFailed(failed) => {
                let needs_a_person = failed.attempts.iter().all(|it| it.reason.needs_a_person());
                !needs_a_person && self.retry_after_seconds().is_some_and(|it| it <= LONGEST_WAIT_SECONDS)
            }
            _ => false,
        }
    }
}

fn no_keys_message(providers: &[Provider]) -> String {
    let variables = providers.iter().map(|provider| provider.profile().key_variables.join(" or "));
    let names: Vec<String> = variables.collect();
    match names.as_slice() {
        [only] => format!("This provider has no API key. Set {only}"),
        all => format!("No provider has an API key. Set at least one of {}", all.join(", ")),
    }
}

fn all_failed_message(failed: &AllFailed) -> String {
    let reasons: Vec<String> = failed
        .attempts
        .iter()
        .map(|attempt| match &attempt.message {
            Some(message) => {
                format!("{} {}: {message}", attempt.provider.name(), attempt.reason.explanation())
            }
            None => format!("{} {}", attempt.provider.name(), attempt.reason.explanation()),
        })
        .collect();
    let mut reasons = reasons.join("; ");
    if let Some(too_long) = failed.too_long {
        reasons += &format!(". {too_long}");
    }
    match (failed.verdict(), failed.retry_after_seconds) {
        (Verdict::Limited, Some(seconds)) => {
            format!("Every provider is at its limit ({reasons}). Try again in {seconds} s")
        }
        (Verdict::Limited, None) => format!("Every provider is at its limit ({reasons})"),
        (Verdict::TimedOut, _) => format!("No provider answered in time ({reasons})"),
        (Verdict::RequestRefused, _) => format!("Every provider refuses this request: {reasons}"),
        (Verdict::Failed, _) => format!("All services failed: {reasons}"),
    }
}
