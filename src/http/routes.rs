//! The routes: thin handlers that take a request apart, let the dispatcher answer it and assemble the response.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{error, warn};

use super::areas::{self, Area};
use super::body_budget::BodyPermit;
use super::connection::Closer;
use super::ingress::AskedMethod;
use super::relay::{self, Held};
use super::state::AppState;
use super::{ingress, request_body, request_id};
use crate::dispatch::{Answering, Extent, Question};
use crate::observe::RequestLog;
use crate::status::{self, Health, page};
use crate::surfaces::ApiError;
use crate::surfaces::chat::ChatAsk;
use crate::surfaces::openai::{self, Completion};
use crate::surfaces::{Ask, Author, Encode as _, Surface, media_type};
use crate::wire::json;

/// Bodies of this size and more are parsed on tokio's threads for blocking work. The slowest smaller one takes some
/// milliseconds.
const LARGE_BODY_BYTES: usize = 256 * 1024;

/// As much of an unknown path is repeated to the client and in the log.
const MAX_PATH_CHARS: usize = 100;

/// All routes, with the layers that a request passes before them, from the outside in: id, size and origin; CORS;
/// client key; panics.
pub(super) fn router(state: AppState) -> Router {
    let chat = Router::new()
        .route(areas::CHAT, post(complete::<ChatAsk>))
        .route(areas::PAGE.path, get(page))
        .route(&format!("{}{}", areas::PAGE_FILES.path, areas::PAGE_FILE), get(page))
        .route(areas::HEALTH.path, get(health))
        .route(areas::PROVIDERS, get(providers))
        .route(areas::METRICS, get(metrics));
    let mut openai = Router::new();
    for prefix in areas::OPENAI.map(|area| area.path) {
        openai = openai
            .route(&format!("{prefix}{}", areas::COMPLETIONS), post(complete::<Completion>))
            .route(&format!("{prefix}{}", areas::MODELS), get(list_models))
            .route(&format!("{prefix}{}", areas::MODEL), get(show_model));
    }
    let refuse = |error: fn(&Request) -> ApiError| {
        move |request: Request| async move {
            Area::from_extensions(request.extensions()).surface.error_response(&error(&request))
        }
    };
    Router::new()
        .merge(survive_panics(chat, Surface::Chat))
        .merge(survive_panics(openai, Surface::OpenAi))
        .fallback(refuse(not_found))
        .method_not_allowed_fallback(refuse(|_| ApiError::MethodNotAllowed))
        .layer(middleware::from_fn_with_state(state.clone(), ingress::authenticate))
        .layer(ingress::cors(&state.server.cors_origins))
        .layer(middleware::from_fn_with_state(state.clone(), ingress::admit))
        .with_state(state)
}

fn not_found(request: &Request) -> ApiError {
    // It is logged, too, and must not look like more than one line there.
    let path = request.uri().path().chars().filter(char::is_ascii_graphic);
    let path: String = path.take(MAX_PATH_CHARS).collect();
    let method = request.extensions().get().map_or_else(|| request.method(), |AskedMethod(asked)| asked);
    ApiError::NotFound { asked: format!("{method} {path}"), there_are: areas::all_paths() }
}

fn survive_panics(routes: Router<AppState>, surface: Surface) -> Router<AppState> {
    routes.layer(CatchPanicLayer::custom(move |_| {
        // The panic's own message has gone to standard error, and may contain anything.
        error!("A handler panicked: this is a bug");
        surface.error_response(&ApiError::Internal)
    }))
}

async fn health(State(state): State<AppState>) -> Response {
    let quota = state.dispatcher.quota();
    let health = Health::new(quota.counts(), quota.now().wall, state.started.elapsed());
    json_response(json::to_vec(&health))
}

async fn providers(State(state): State<AppState>) -> Response {
    json_response(json::to_vec(&status::report(state.dispatcher.quota())))
}

async fn metrics(State(state): State<AppState>) -> Response {
    let written = status::metrics(state.dispatcher.quota(), &state.requests, &state.open_streams);
    match written {
        Ok(text) => ([(CONTENT_TYPE, status::METRICS_TYPE)], text).into_response(),
        Err(_) => Surface::Chat.error_response(&ApiError::Internal),
    }
}

async fn page(request: Request) -> Response {
    let path = request.uri().path();
    let name = path.strip_prefix(areas::PAGE_FILES.path).unwrap_or(path).trim_start_matches('/');
    let shown = page::show(name, request.headers());
    shown.unwrap_or_else(|| Surface::Chat.error_response(&not_found(&request)))
}

async fn list_models(State(state): State<AppState>) -> Response {
    json_response(openai::list_models(state.dispatcher.offered()))
}

async fn show_model(State(state): State<AppState>, id: Result<Path<String>, PathRejection>) -> Response {
    // An id that is not UTF-8 names no model.
    let id = id.map_or_else(|_| String::new(), |Path(id)| id);
    let shown = openai::show_model(state.dispatcher.offered(), &id);
    shown.map_or_else(|error| Surface::OpenAi.error_response(&error), json_response)
}

fn json_response(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, media_type::JSON)], body).into_response()
}

/// Answers a conversation in the dialect of `A`.
async fn complete<A: Ask>(State(state): State<AppState>, request: Request) -> Response {
    let surface = Area::from_extensions(request.extensions()).surface;
    try_complete::<A>(&state, surface, request).await.unwrap_or_else(|error| surface.error_response(&error))
}

async fn try_complete<A: Ask>(
    state: &AppState,
    surface: Surface,
    request: Request,
) -> Result<Response, ApiError> {
    let permit = state.admission.clone().try_acquire_owned().map_err(|_| {
        state.overload_warning.say(|| warn!("Too many requests at once: MAX_CONCURRENT_REQUESTS is reached"));
        ApiError::TooManyRequests
    })?;
    request_body::expect_json(request.headers())?;
    let (head, body) = request.into_parts();
    let server = &state.server;
    let limits = request_body::Limits {
        max_bytes: server.max_body_bytes,
        budget: &state.body_budget,
        time: server.body_read_timeout,
    };
    let (body, memory) = request_body::read(body, limits).await?;
    let answered = answer::<A>(state, &head, body, memory, permit).await;
    let mut response = answered.unwrap_or_else(|error| surface.error_response(&error));
    response.extensions_mut().insert(request_body::BodyRead);
    Ok(response)
}

async fn answer<A: Ask>(
    state: &AppState,
    head: &Parts,
    body: Vec<u8>,
    memory: BodyPermit,
    permit: OwnedSemaphorePermit,
) -> Result<Response, ApiError> {
    let (mut ask, (memory, permit)) = parse::<A>(head, body, (memory, permit)).await?;

    // Nobody else has the request yet.
    if let Some(request) = Arc::get_mut(ask.request()) {
        request.calls_mut().for_each(|earlier| state.signatures.recall(earlier));
    }

    let is_stream = ask.is_stream();
    let extent = match (is_stream, ask.request().wants_thoughts) {
        (true, true) => Extent::FirstThought,
        (true, false) => Extent::FirstContent,
        (false, _) => Extent::Whole,
    };
    let target = ask.target(state.dispatcher.offered())?;
    let request_id = request_id::of(&head.headers);
    let mut log = RequestLog::begin(&request_id, ask.request().messages().len(), is_stream);
    let request = ask.request().clone();
    let question = Question { request, target, extent, request_id: request_id.clone() };
    let answering = match find_answer(state, question).await {
        Ok(answering) => answering,
        Err(error) => {
            log.failed(error.status().as_u16(), &error.log_text());
            return Err(error);
        }
    };
    log.answers(answering.provider().name(), answering.model());

    let headers = answer_headers::<A>(&answering, ask.ignored());
    let author = Author {
        provider: answering.provider(),
        model: answering.model().to_owned(),
        request_id,
        created: state.dispatcher.quota().now().wall.as_second(),
    };
    let connection = head.extensions.get::<Closer>().cloned();
    let signatures = state.signatures.clone();
    let held = Held { author: author.clone(), log, permit, memory, connection, signatures };
    let (content_type, body) = if is_stream {
        let encoder = ask.encoder(author);
        (
            encoder.content_type(),
            relay::body(answering, encoder, held, state.open_streams.open(), state.shutdown.ending()),
        )
    } else {
        let (content_type, body) = ask.encode_whole(relay::whole(answering, held).await, &author);
        (content_type, Body::from(body))
    };
    Ok((headers, [(CONTENT_TYPE, content_type)], body).into_response())
}

/// Parses a request. A large one can be built to take a second, so it does not block the threads that serve everybody.
/// It keeps what it `holds` meanwhile, its memory and its place among the concurrent requests, even if its client leaves.
async fn parse<A: Ask>(
    head: &Parts,
    body: Vec<u8>,
    holds: (BodyPermit, OwnedSemaphorePermit),
) -> Result<(A, (BodyPermit, OwnedSemaphorePermit)), ApiError> {
    if body.len() < LARGE_BODY_BYTES {
        return A::parse(head, &body).map(|ask| (ask, holds));
    }
    let head = head.clone();
    let parsed = tokio::task::spawn_blocking(move || A::parse(&head, &body).map(|ask| (ask, holds)));
    let parsed = parsed.await;
    parsed.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(ApiError::ShuttingDown),
    })
}

async fn find_answer(state: &AppState, question: Question) -> Result<Answering, ApiError> {
    tokio::select! {
        answering = state.dispatcher.answer(question) => Ok(answering?),
        () = state.shutdown.ending() => Err(ApiError::ShuttingDown),
    }
}

/// The headers of every answer. None of them comes from the provider.
fn answer_headers<A: Ask>(answering: &Answering, ignored: &[String]) -> HeaderMap {
    let trail = answering.trail().to_string();
    let left_out = answering.left_out().iter().filter_map(|feature| A::field(*feature));
    let ignored: Vec<&str> = left_out.chain(ignored.iter().map(String::as_str)).collect();
    let ignored = ignored.join(", ");
    let max_tokens = answering.cut_to().map(|most| most.to_string()).unwrap_or_default();
    let values = [
        ("x-provider", answering.provider().name()),
        ("x-model", answering.model()),
        ("x-attempts", trail.as_str()),
        ("x-accel-buffering", "no"),
        (CACHE_CONTROL.as_str(), "no-cache"),
        ("x-ignored-fields", ignored.as_str()),
        ("x-max-tokens", max_tokens.as_str()),
    ];
    let said = values.into_iter().filter(|(_, value)| !value.is_empty());
    let headers = said.filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    });
    headers.collect()
}
