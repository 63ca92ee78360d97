//! The simulated servers' sockets: requests in, steps out.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::wire::Step;
use super::{Outcome, ReceivedRequest, Shared, gemini, openai};

/// The largest request that is read.
const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;

/// Accepts connections until it is dropped, and then ends all of them.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    shared.open_connections.fetch_add(1, Ordering::Relaxed);
                    shared.has_changed();
                    connections.spawn(serve(stream, shared.clone()));
                }
                // Most likely no descriptors are left, so an immediate retry would fail too.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let connection = shared.connection_count.fetch_add(1, Ordering::Relaxed);
    let _ = stream.set_nodelay(true);
    let mut inbox = Vec::new();
    // However a connection ends, the next request uses another one.
    while let Ok(Some(request)) = receive(&mut stream, &mut inbox, connection).await {
        let is_last = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let steps = respond(&shared, &request);
        let number = shared.keep(request);
        let (outcome, is_open) = perform(&mut stream, &mut inbox, steps).await;
        shared.settle(connection);
        shared.conclude(number, outcome);
        if is_last || !is_open {
            break;
        }
    }
    drop(stream);
    shared.open_connections.fetch_sub(1, Ordering::Relaxed);
    shared.has_changed();
}

fn respond(shared: &Shared, request: &ReceivedRequest) -> Vec<Step> {
    match openai::Host::of(shared.provider.profile()) {
        Some(host) => openai::respond(shared, &host, request),
        None => gemini::respond(shared, request),
    }
}

/// Reads one request, or `None` if the peer has closed the connection between two.
async fn receive(
    stream: &mut TcpStream,
    inbox: &mut Vec<u8>,
    connection: u64,
) -> io::Result<Option<ReceivedRequest>> {
    loop {
        if let Some((mut request, head_bytes, body_bytes)) = parse_head(inbox)? {
            let total = head_bytes + body_bytes;
            while inbox.len() < total {
                if stream.read_buf(inbox).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let rest = inbox.split_off(total);
            request.body = inbox.split_off(head_bytes);
            *inbox = rest;
            request.connection = connection;
            request.received = Instant::now();
            return Ok(Some(request));
        }
        if inbox.len() > MAX_REQUEST_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if stream.read_buf(inbox).await? == 0 {
            return if inbox.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// The request if its head is complete, with the sizes of its head and its body in bytes.
fn parse_head(inbox: &[u8]) -> io::Result<Option<(ReceivedRequest, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(inbox).map_err(io::Error::other)?;
    let httparse::Status::Complete(head_bytes) = status else {
        return Ok(None);
    };
    let header = |header: &httparse::Header<'_>| {
        (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
    };
    let request = ReceivedRequest {
        number: 0,
        connection: 0,
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        headers: parsed.headers.iter().map(header).collect(),
        body: Vec::new(),
        received: Instant::now(),
        outcome: Outcome::Open,
    };
    let body_bytes = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    if body_bytes > MAX_REQUEST_BYTES || request.header("transfer-encoding").is_some() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Some((request, head_bytes, body_bytes)))
}

/// Performs the steps. Returns the outcome of the request and whether the connection can be reused.
async fn perform(stream: &mut TcpStream, inbox: &mut Vec<u8>, steps: Vec<Step>) -> (Outcome, bool) {
    let mut last_step = Instant::now();
    for step in steps {
        last_step = Instant::now();
        let (mut reader, mut writer) = stream.split();
        let work = async {
            match step {
                Step::Send(bytes) => {
                    writer.write_all(&bytes).await.map_err(|_| End::Gone)?;
                    // Lets the peer read this piece before the next one, as far as that is possible on one machine.
                    tokio::task::yield_now().await;
                    Ok(())
                }
                Step::Pause(span) => {
                    tokio::time::sleep(span).await;
                    Ok(())
                }
                Step::Hang => std::future::pending().await,
                Step::Reset => Err(End::Reset),
                Step::Close => Err(End::Closed),
            }
        };
        let ended = tokio::select! {
            biased;
            ended = work => ended,
            () = gone(&mut reader, inbox) => Err(End::Gone),
        };
        match ended {
            Ok(()) => {}
            Err(End::Gone) => return (Outcome::Abandoned(Instant::now()), false),
            Err(End::Closed) => return (Outcome::Answered(last_step), false),
            Err(End::Reset) => {
                let _ = SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
                return (Outcome::Answered(last_step), false);
            }
        }
    }
    (Outcome::Answered(last_step), true)
}

enum End {
    /// The peer has left.
    Gone,
    Closed,
    Reset,
}

/// Completes when the peer has left. Keeps what the peer sends meanwhile.
async fn gone(reader: &mut tokio::net::tcp::ReadHalf<'_>, inbox: &mut Vec<u8>) {
    while inbox.len() < MAX_REQUEST_BYTES {
        if !matches!(reader.read_buf(inbox).await, Ok(read) if read > 0) {
            return;
        }
    }
    std::future::pending().await
}
