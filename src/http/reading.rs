//! A client's request, from its body to what it means: its place among the concurrent requests, its memory, and the thread
//! that parses it.

use http::request::Parts;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use super::areas::Area;
use super::body_budget::BodyPermit;
use super::state::AppState;
use super::{ingress, request_body};
use crate::surfaces::{ApiError, Ask, Memory};

/// Bodies of this size and more are parsed on tokio's threads for blocking work. The slowest smaller one takes some
/// milliseconds.
const LARGE_BODY_BYTES: usize = 256 * 1024;

/// What a request holds as long as it is under way.
#[derive(Debug)]
pub(super) struct Held {
    /// The memory of its body, and of what becomes of it.
    pub(super) memory: BodyPermit,
    /// Its place among the concurrent requests.
    pub(super) place: OwnedSemaphorePermit,
}

/// Reads the body of a request that has a place among the concurrent ones.
///
/// # Errors
/// There is no place, or what is wrong with the body.
pub(super) async fn read(
    state: &AppState,
    head: &Parts,
    body: Incoming,
) -> Result<(Vec<u8>, Held), ApiError> {
    let place = place(state)?;
    request_body::expect_json(&head.headers)?;
    let (body, memory) = request_body::read(body, limits(state)).await?;
    Ok((body, Held { memory, place }))
}

/// A place among the concurrent requests, for one without a body.
///
/// # Errors
/// There is none.
pub(super) fn admit(state: &AppState) -> Result<Held, ApiError> {
    Ok(Held { memory: BodyPermit::default(), place: place(state)? })
}

/// The same with memory for so many bytes.
///
/// # Errors
/// There is no place, or no memory.
pub(super) async fn reserve(state: &AppState, bytes: usize) -> Result<Held, ApiError> {
    let mut held = admit(state)?;
    request_body::reserve_more(&mut held.memory, bytes, limits(state)).await?;
    Ok(held)
}

fn place(state: &AppState) -> Result<OwnedSemaphorePermit, ApiError> {
    state.admission.clone().try_acquire_owned().map_err(|_| {
        state.overload_warning.say(|| warn!("Too many requests at once: MAX_CONCURRENT_REQUESTS is reached"));
        ApiError::TooManyRequests
    })
}

fn limits(state: &AppState) -> request_body::Limits<'_> {
    request_body::Limits {
        max_bytes: state.server.max_body_bytes,
        budget: &state.body_budget,
        time: state.server.body_read_timeout,
    }
}

/// Parses `body`. A large one can be built to take a second, so it does not block the threads that serve everybody. It
/// keeps what it holds meanwhile, even if its client leaves.
///
/// # Errors
/// What `parser` says.
pub(super) async fn parse<T: Send + 'static>(
    body: Vec<u8>,
    held: Held,
    parser: impl FnOnce(&[u8]) -> Result<T, ApiError> + Send + 'static,
) -> Result<(T, Vec<u8>, Held), ApiError> {
    work_on(body.len(), move || parser(&body).map(|parsed| (parsed, body, held))).await
}

/// Parses `body`, and fills in what it refers to, which may be much larger than the body itself: it needs memory like a
/// body of its size.
///
/// # Errors
/// What is wrong with the request, or that there is no memory for what it refers to.
pub(super) async fn understand<A: Ask>(
    state: &AppState,
    area: Area,
    head: Parts,
    body: Vec<u8>,
    held: Held,
) -> Result<(A, Held), ApiError> {
    let parser = move |body: &[u8]| Ok((A::parse(&head, body)?, head));
    let ((mut ask, head), body, mut held) = parse(body, held, parser).await?;
    let responses = state.responses.clone();
    let key = ingress::shown_key(area, &head).map(|key| key.into_owned());
    let absent = ask.absent(&Memory { responses: &responses, key: key.as_deref() });
    if !absent.is_empty() {
        responses.fetch(&absent, responses.caller(key.as_deref())).await;
    }
    let referred = ask.referred_bytes(&Memory { responses: &responses, key: key.as_deref() });
    if referred > 0 {
        request_body::reserve_more(&mut held.memory, referred, limits(state)).await?;
    }
    let bytes = if referred > 0 { body.len() + referred } else { 0 };
    let recall = move || {
        ask.recall(&body, &Memory { responses: &responses, key: key.as_deref() })?;
        Ok((ask, held))
    };
    work_on(bytes, recall).await
}

/// Does `work` with `bytes` bytes, on a thread of its own if these are many.
///
/// # Errors
/// What `work` says.
pub(super) async fn work_on<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    if bytes < LARGE_BODY_BYTES {
        return work();
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(ApiError::ShuttingDown),
    })
}
