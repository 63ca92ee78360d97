//! The accept loop, the timeouts of a connection, and an orderly shutdown.
//!
//! A ready-made loop (`axum::serve`) does not evict slow clients, and its graceful shutdown waits for ever on an open
//! stream. So this is our own around hyper's HTTP/1 connections.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, info, warn};

use super::client_stream::ClientStream;
use super::connection::{Connection, ConnectionLimits};
use super::head_timer::{HeadTimer, Progress};
use super::response_body::Body;
use super::state::AppState;
use super::{refusal, routes};
use crate::config::{MAX_HEAD_BYTES, MAX_HEADERS};
use crate::observe::RareWarning;
use crate::time::{Rarely, Shutdown};

/// The pause after an error of `accept`, such as no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long streams that were told to end may take to tell their clients.
const LAST_WORDS: Duration = Duration::from_millis(800);

/// Connections beyond the concurrent requests: idle ones, and those that are refused.
const SPARE_CONNECTIONS: usize = 1_024;

/// Connections beyond even those. Each has one request, which is refused outside the open areas.
const CROWDED_CONNECTIONS: usize = 256;

/// How long a connection of those may take to send its request head.
const CROWDED_HEADER_READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves the proxy on `listener` until `shutdown` is complete.
///
/// Once it has begun, new connections are refused, idle ones are closed, and open streams have `limits.shutdown_grace`
/// to finish. Streams that are still open after that are told to end, and have most of a second for it.
pub async fn serve(listener: TcpListener, state: AppState, limits: ConnectionLimits, shutdown: Shutdown) {
    let most = limits.max_concurrent_requests.saturating_add(SPARE_CONNECTIONS + CROWDED_CONNECTIONS);
    let most = u32::try_from(most.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
    let places = Arc::new(Semaphore::new(most as usize));
    tokio::select! {
        () = accept(&listener, &state, limits, &shutdown, &places) => {}
        () = shutdown.begun() => {}
    }
    drop(listener);
    let open = most as usize - places.available_permits();
    info!(open, "Shutting down: no new connections, open streams may finish");
    let all_closed = places.acquire_many(most);
    tokio::pin!(all_closed);
    if tokio::time::timeout(limits.shutdown_grace, &mut all_closed).await.is_err() {
        warn!("The grace period is over: ending open streams");
        shutdown.end();
        // A client that does not read the end of its stream in time is cut off by the end of the process.
        let _ = tokio::time::timeout(LAST_WORDS, all_closed).await;
    }
}

async fn accept(
    listener: &TcpListener,
    state: &AppState,
    limits: ConnectionLimits,
    shutdown: &Shutdown,
    places: &Arc<Semaphore>,
) {
    let (warning, crowd_warning) = (RareWarning::default(), RareWarning::default());
    let address = listener.local_addr();
    let is_on_loopback = address.is_ok_and(|address| address.ip().to_canonical().is_loopback());
    // Ends only if the semaphore is closed, and nobody closes it.
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let is_crowded = places.available_permits() < CROWDED_CONNECTIONS;
                let link = Connection::new(is_on_loopback, is_crowded);
                if is_crowded {
                    crowd_warning.say(|| warn!("Too many connections at once: new ones are refused"));
                }
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a connection is its own task; dropping its socket ends it"
                )]
                // Spawned directly: an async block around it would hold its memory twice.
                tokio::spawn(connection(
                    stream,
                    state.clone(),
                    limits,
                    Arc::new(link),
                    shutdown.clone(),
                    place,
                ));
            }
            Err(error) => {
                warning.say(|| warn!(%error, "Cannot accept a connection; is the descriptor limit too low?"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one client, and releases `_place` at the end.
async fn connection(
    stream: TcpStream,
    state: AppState,
    limits: ConnectionLimits,
    link: Arc<Connection>,
    shutdown: Shutdown,
    _place: OwnedSemaphorePermit,
) {
    let stall_limit = limits.client_stall_timeout;
    let stream = ClientStream::new(stream, stall_limit, shutdown.clone(), refusal::in_place_of, link.clone());
    let protocol = protocol(limits, stream.progress(), link.is_crowded);
    let ending = ending(stream.departure(), shutdown, link.clone());
    let service = service_fn(|request| {
        let (state, link) = (state.clone(), link.clone());
        // Boxed, so that a stream which waits does not hold the memory of what led to it.
        Box::pin(async move { Ok::<_, Infallible>(routes::respond(&state, &link, request).await) })
    });
    served(protocol.serve_connection(TokioIo::new(stream), service), ending, &link).await;
}

/// Marks the connection of `link` when the shutdown goes on, and completes when the client has left.
async fn ending(departure: impl Future<Output = ()>, shutdown: Shutdown, link: Arc<Connection>) {
    let marking = async {
        shutdown.begun().await;
        link.close();
        shutdown.ending().await;
        link.end();
        pending().await
    };
    tokio::select! {
        () = departure => {}
        () = marking => {}
    }
}

/// Polls `connection` to its end, or until `ending`, which sets the marks of `link` meanwhile.
async fn served<S>(
    connection: http1::Connection<TokioIo<ClientStream>, S>,
    ending: impl Future<Output = ()>,
    link: &Connection,
) where
    S: HttpService<Incoming, ResBody = Body, Error = Infallible>,
{
    let mut connection = pin!(connection);
    let (mut ending, mut has_left, mut was_told) = (Rarely::new(ending), false, false);
    poll_fn(|context| {
        // First, because what is polled after it sees its marks.
        has_left = has_left || ending.poll(context).is_ready();
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                if let Err(error) = ended {
                    debug!(%error, "A connection ended early");
                }
                return Poll::Ready(());
            }
            if was_told || !link.is_closing() {
                break;
            }
            was_told = true;
            connection.as_mut().graceful_shutdown();
        }
        // Last, because an answer that is ready is written even to a client that has left.
        if has_left {
            debug!("A client left");
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

/// HTTP/1.1 with the timeouts and limits of a connection.
fn protocol(limits: ConnectionLimits, progress: Progress, is_crowded: bool) -> http1::Builder {
    let most = if is_crowded { CROWDED_HEADER_READ_TIMEOUT } else { Duration::MAX };
    let head = limits.header_read_timeout.min(most);
    let mut protocol = http1::Builder::new();
    protocol
        .timer(HeadTimer::new(progress, head, limits.keep_alive_timeout))
        .header_read_timeout(head)
        .keep_alive(!is_crowded)
        // More than is allowed, so that a client which is a little above the limit gets its refusal in JSON.
        .max_headers(4 * MAX_HEADERS)
        .max_header_size(4 * MAX_HEAD_BYTES);
    protocol
}
