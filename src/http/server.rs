//! The accept loop, the timeouts of a connection, and an orderly shutdown.
//!
//! `axum::serve` does not evict slow clients, and its graceful shutdown waits for ever on an open stream. So this is
//! our own loop around hyper's HTTP/1 connections.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use super::client_stream::ClientStream;
use super::connection::{Closer, Crowded, OnLoopback};
use super::head_timer::{HeadTimer, Progress};
use super::{refusal, slips};
use crate::config::{MAX_HEAD_BYTES, MAX_HEADERS};
use crate::observe::RareWarning;
use crate::time::Shutdown;

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

/// How long clients may take, and how many requests there may be.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// For a whole request head.
    pub header_read_timeout: Duration,
    /// Between two requests.
    pub keep_alive_timeout: Duration,
    /// For a client that reads nothing.
    pub client_stall_timeout: Duration,
    /// The most requests at once.
    pub max_concurrent_requests: usize,
    /// For open streams to finish once the shutdown has begun.
    pub shutdown_grace: Duration,
}

/// Where and when a connection came in.
#[derive(Clone, Copy)]
struct Arrival {
    /// The server listens on an address that only this machine reaches.
    is_on_loopback: bool,
    /// There were as many connections as there may be.
    is_crowded: bool,
}

/// Serves `app` on `listener` until `shutdown` is complete.
///
/// Once it has begun, new connections are refused, idle ones are closed, and open streams have `limits.shutdown_grace`
/// to finish. Streams that are still open after that are told to end, and have most of a second for it.
pub async fn serve(listener: TcpListener, app: Router, limits: ConnectionLimits, shutdown: Shutdown) {
    let most = limits.max_concurrent_requests.saturating_add(SPARE_CONNECTIONS + CROWDED_CONNECTIONS);
    let most = u32::try_from(most.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
    let places = Arc::new(Semaphore::new(most as usize));
    tokio::select! {
        () = accept(&listener, &app, limits, &shutdown, &places) => {}
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
    app: &Router,
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
                let arrival = Arrival { is_on_loopback, is_crowded };
                if is_crowded {
                    crowd_warning.say(|| warn!("Too many connections at once: new ones are refused"));
                }
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a connection is its own task; dropping its socket ends it"
                )]
                // Spawned directly: an async block around it would hold its memory twice.
                tokio::spawn(connection(stream, app.clone(), limits, arrival, shutdown.clone(), place));
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
    app: Router,
    limits: ConnectionLimits,
    arrival: Arrival,
    shutdown: Shutdown,
    _place: OwnedSemaphorePermit,
) {
    let stream =
        ClientStream::new(stream, limits.client_stall_timeout, shutdown.clone(), refusal::in_place_of);
    let departure = stream.departure();
    let closer = Closer::default();
    let asked = closer.asked();
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        slips::put_right(request.uri_mut());
        request.extensions_mut().insert(closer.clone());
        if arrival.is_crowded {
            request.extensions_mut().insert(Crowded);
        }
        if arrival.is_on_loopback {
            request.extensions_mut().insert(OnLoopback);
        }
        app.clone().oneshot(request)
    });
    let progress = stream.progress();
    let connection =
        protocol(limits, progress, arrival.is_crowded).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let is_last = async {
        tokio::select! {
            () = shutdown.begun() => {}
            () = asked => {}
        }
    };
    let served = async {
        tokio::select! {
            ended = &mut connection => ended,
            () = is_last => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    // In this order, because an answer that is ready is written even to a client that has left.
    tokio::select! {
        biased;
        ended = served => if let Err(error) = ended {
            debug!(%error, "A connection ended early");
        },
        () = departure => debug!("A client left"),
    }
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
