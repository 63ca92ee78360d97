//! Clients that never read, and a provider that never stops.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::client::{Client, question};
use crate::support::Process;
use crate::{Figure, Size, comes_true};

/// In KiB.
const BOUND: f64 = 1_024.0;

/// Beyond the clock, until everything is free.
const SLACK: Duration = Duration::from_secs(1);

pub(crate) async fn measure(size: Size) -> Vec<Figure> {
    let (crowd, stall) = size.pick((30, Duration::from_secs(2)), (100, Duration::from_secs(5)));
    let flood = Arc::new(Flood::default());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let groq = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(serve(listener, flood.clone()));
    let stall_ms = stall.as_millis().to_string();
    let variables = [
        ("GROQ_API_KEY", "key"),
        ("GROQ_BASE_URL", groq.as_str()),
        ("CLIENT_STALL_TIMEOUT_MS", stall_ms.as_str()),
    ];
    let proxy = Process::proxy(variables, |_| {});
    // The connection that asks for the list of models is none of the clients' business.
    let asks_for_list = || flood.connections.load(Ordering::Relaxed) > 0;
    assert!(comes_true(Duration::from_secs(10), asks_for_list).await, "it asks for the list");
    let (idle_kib, idle_descriptors) = (proxy.memory_kib(), proxy.descriptors());

    let mut clients = Vec::new();
    for _ in 0..crowd {
        let mut client = Client::connect_with_little_room(&proxy).await;
        client.send(&question("/chat")).await.expect("a connection");
        clients.push(client);
    }
    let mut peak_kib = 0_f64;
    let limit = stall * 4 + Duration::from_secs(20);
    let all_dropped = comes_true(limit, || {
        peak_kib = peak_kib.max(proxy.memory_kib());
        flood.ends().len() == crowd
    })
    .await;
    let all_closed = comes_true(SLACK, || proxy.descriptors() <= idle_descriptors).await;
    server.abort();

    let each = (peak_kib - idle_kib) / crowd as f64;
    let flooded_mib = flood.bytes.load(Ordering::Relaxed) as f64 / f64::from(1 << 20);
    let latest = flood.ends().into_iter().max().unwrap_or_default();
    let after_kib = proxy.memory_kib();
    vec![
        Figure {
            name: format!("memory at most for each of {crowd} clients that never read a flood"),
            bound: format!("< {BOUND:.0} KiB"),
            measured: format!("{each:.0} KiB ({flooded_mib:.0} MiB came in all)"),
            is_ok: each < BOUND,
        },
        Figure {
            name: "from the last byte they let in to the end of the call, at most".to_owned(),
            bound: format!("≤ {} + {}", ms(stall), ms(SLACK)),
            measured: ms(latest),
            is_ok: all_dropped && latest <= stall + size.allowed(SLACK),
        },
        Figure {
            name: "descriptors after that".to_owned(),
            bound: format!("{idle_descriptors} as before"),
            measured: format!("{}, {after_kib:.0} KiB in use, {idle_kib:.0} before", proxy.descriptors()),
            is_ok: all_closed,
        },
    ]
}

fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// What a provider knows that never stops.
#[derive(Default)]
struct Flood {
    connections: AtomicU64,
    bytes: AtomicU64,
    /// For each call that has ended, the time between the last byte that was taken and the end.
    ends: Mutex<Vec<Duration>>,
}

impl Flood {
    fn ends(&self) -> Vec<Duration> {
        self.ends.lock().expect("nobody panics with it").clone()
    }
}

async fn serve(listener: TcpListener, flood: Arc<Flood>) {
    let mut calls = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        flood.connections.fetch_add(1, Ordering::Relaxed);
        calls.spawn(pour(stream, flood.clone()));
    }
}

/// Answers one request with text without end.
async fn pour(mut stream: TcpStream, flood: Arc<Flood>) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if !stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
            return;
        }
    }
    let text = "x".repeat(8 * 1024);
    let event = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut bytes = head.as_bytes();
    let mut last = Instant::now();
    loop {
        let Ok(written) = stream.write(bytes).await else {
            flood.ends.lock().expect("nobody panics with it").push(last.elapsed());
            return;
        };
        last = Instant::now();
        flood.bytes.fetch_add(written as u64, Ordering::Relaxed);
        bytes = &bytes[written..];
        if bytes.is_empty() {
            bytes = chunk.as_bytes();
        }
    }
}
