//! The routes: thin handlers that take a request apart, have it answered and put the response together.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use tokio::sync::OwnedSemaphorePermit;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{error, warn};

use crate::AppState;
use crate::dispatch::{Answered, Extent};
use crate::error::ApiError;
use crate::health::Health;
use crate::ingress::{self, X_REQUEST_ID};
use crate::json;
use crate::relay::{self, Encode, Held};
use crate::request_log::RequestLog;
use crate::server::Closer;
use crate::surfaces::chat::{self, ChatCall, Format, Signature, SseEncoder, TextEncoder};

/// All routes with everything a request passes before them, from the outside in: id, size and origin; CORS;
/// client key; panics.
pub(crate) fn router(state: AppState) -> Router {
    let refuse = |error: fn() -> ApiError| move || async move { chat::error_response(&error()) };
    Router::new()
        .route("/chat", post(chat))
        .route("/health", get(health))
        .fallback(refuse(|| ApiError::NotFound))
        .method_not_allowed_fallback(refuse(|| ApiError::MethodNotAllowed))
        .layer(CatchPanicLayer::custom(|_| {
            // The panic's own words have gone to standard error; they may hold anything.
            error!("A handler panicked: this is a bug");
            chat::error_response(&ApiError::Internal)
        }))
        .layer(middleware::from_fn_with_state(state.clone(), ingress::authenticate))
        .layer(ingress::cors(&state.server.cors_origins))
        .layer(middleware::from_fn_with_state(state.clone(), ingress::admit))
        .with_state(state)
}

async fn health(State(state): State<AppState>) -> Response {
    let ledger = state.dispatcher.ledger();
    let health = Health::new(&ledger.stats, ledger.now(), state.started.elapsed());
    ([(CONTENT_TYPE, "application/json")], json::to_vec(&health)).into_response()
}

async fn chat(State(state): State<AppState>, request: Request) -> Response {
    try_chat(&state, request).await.unwrap_or_else(|error| chat::error_response(&error))
}

async fn try_chat(state: &AppState, request: Request) -> Result<Response, ApiError> {
    let permit = state.admission.clone().try_acquire_owned().map_err(|_| {
        state.overload_warning.say(|| warn!("Too many requests at once: MAX_CONCURRENT_REQUESTS is reached"));
        ApiError::TooManyRequests
    })?;
    ingress::expect_json(request.headers())?;
    let (head, body) = request.into_parts();
    let server = &state.server;
    let bytes = ingress::read_body(body, server.max_body_bytes, server.body_read_timeout).await?;
    let answered = answer(state, &head, bytes, permit).await;
    let mut response = answered.unwrap_or_else(|error| chat::error_response(&error));
    response.extensions_mut().insert(ingress::BodyRead);
    Ok(response)
}

async fn answer(
    state: &AppState,
    head: &Parts,
    body: Bytes,
    permit: OwnedSemaphorePermit,
) -> Result<Response, ApiError> {
    let call = chat::parse(&body)?;
    drop(body);

    let format = Format::from_accept(&head.headers);
    // Bare text that ends with the connection could not be told from bare text that breaks off with it.
    let can_break_visibly = format == Format::Json || head.version > Version::HTTP_10;
    let is_streamed = call.stream && can_break_visibly;
    let extent = if is_streamed { Extent::FirstContent } else { Extent::Whole };
    let request_id = request_id(&head.headers);
    let mut log = RequestLog::begin(&request_id, call.request.messages().len(), call.stream);
    let answered = match find_answer(state, &call, extent, &request_id).await {
        Ok(answered) => answered,
        Err(error) => {
            log.failed(&error);
            return Err(error);
        }
    };
    log.answers(answered.provider.name(), &answered.model);

    let headers = answer_headers(&answered);
    let signature = Signature { provider: answered.provider.name(), model: answered.model };
    let connection = head.extensions.get::<Closer>().cloned();
    let held = Held { entry: answered.entry, log, permit, connection };
    let (content_type, body) = match (is_streamed, format) {
        (true, Format::Json) => stream(state, answered.answer, SseEncoder::new(signature), held),
        (true, Format::Text) => stream(state, answered.answer, TextEncoder, held),
        (false, format) => {
            let events = relay::whole(answered.answer, held).await;
            let (content_type, body) = chat::encode_whole(events, &signature, format);
            (content_type, Body::from(body))
        }
    };
    Ok((headers, [(CONTENT_TYPE, content_type)], body).into_response())
}

async fn find_answer(
    state: &AppState,
    call: &ChatCall,
    extent: Extent,
    request_id: &str,
) -> Result<Answered, ApiError> {
    let target = state.dispatcher.target(call.provider.as_deref(), call.model.as_deref())?;
    tokio::select! {
        answered = state.dispatcher.answer(&call.request, &target, extent, request_id) => Ok(answered?),
        () = state.shutdown.ending() => Err(ApiError::ShuttingDown),
    }
}

fn stream<E: Encode>(
    state: &AppState,
    answer: crate::attempt::Answer,
    encoder: E,
    held: Held,
) -> (&'static str, Body) {
    (E::CONTENT_TYPE, relay::body(answer, encoder, held, state.shutdown.ending()))
}

/// The headers of every answer. What the provider sent is not among them.
fn answer_headers(answered: &Answered) -> HeaderMap {
    let trail = answered.trail.to_string();
    let values = [
        ("x-provider", answered.provider.name()),
        ("x-model", answered.model.as_str()),
        ("x-attempts", trail.as_str()),
        ("x-accel-buffering", "no"),
        (CACHE_CONTROL.as_str(), "no-cache"),
    ];
    let headers = values.into_iter().filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    });
    headers.collect()
}

/// The id that [`ingress::admit`] gave the request.
fn request_id(headers: &HeaderMap) -> String {
    headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned()
}
