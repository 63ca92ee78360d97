//! Large request bodies, all at once: begun and not ended, and whole.
//!
//! Before there was a budget, 30 half-sent ones took 616 MiB; 30 whole ones took 470 MiB, of which 402 MiB stayed
//! (28 November 2026, the first version of this bench). What stays is glibc's: once a large block is freed, it takes
//! blocks of that size from the heap of the thread, and keeps up to twice as much of every such heap. The image sets
//! `MALLOC_MMAP_THRESHOLD_`, which ends that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use crate::client::{Client, question};
use crate::{Figure, Size, groq, ms, proxy_over};

/// How many clients, each with a body of just the limit.
const CLIENTS: usize = 30;
const BODY_BYTES: usize = 20 * 1024 * 1024;

/// MAX_BODY_MEMORY_BYTES's default, in MiB.
const BUDGET: f64 = 128.0;
/// What comes on top of half-sent bodies, in MiB: sockets, connections, and pieces under way.
const SLACK: f64 = 32.0;
/// What may stay after all of them have left, in MiB.
const LEFT: f64 = 48.0;

/// For a small request beside them.
const SMALL_BOUND: Duration = Duration::from_millis(500);

/// When memory is looked at, after the last client has left.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// As in the Dockerfile.
const IMAGE: [(&str, &str); 1] = [("MALLOC_MMAP_THRESHOLD_", "1048576")];

/// What all clients do.
struct Crowd {
    name: &'static str,
    is_chunked: bool,
    /// Whether the last bytes are sent, too.
    is_whole: bool,
    environment: &'static [(&'static str, &'static str)],
    /// In MiB.
    most_at_once: f64,
    /// In MiB.
    most_left: f64,
}

pub(crate) async fn measure(size: Size) -> Vec<Figure> {
    let half = |name, is_chunked| Crowd {
        name,
        is_chunked,
        is_whole: false,
        environment: &[],
        most_at_once: BUDGET + SLACK,
        most_left: LEFT,
    };
    // A parsed body stands beside its bytes for a moment.
    let whole = |name, environment, most_at_once, most_left| Crowd {
        name,
        is_chunked: false,
        is_whole: true,
        environment,
        most_at_once,
        most_left,
    };
    let crowds = [
        half("half-sent bodies of 20 MiB", false),
        half("half-sent chunked bodies of 20 MiB", true),
        // What glibc keeps varies: 120 to 264 MiB were seen of one program. It is less than what there was at most.
        whole("whole bodies of 20 MiB", &[], 4.0 * BUDGET, 3.0 * BUDGET),
        whole("whole bodies of 20 MiB, in the image", &IMAGE, 2.0 * BUDGET + SLACK, LEFT),
    ];
    let mut figures = Vec::new();
    for crowd in &crowds {
        figures.extend(crowd.measure(size).await);
    }
    figures
}

impl Crowd {
    async fn measure(&self, size: Size) -> Vec<Figure> {
        let groq = groq(0).await;
        let proxy = proxy_over([&groq], self.environment);
        let mut small = Client::connect(&proxy).await;
        small.send(&question("/chat")).await.expect("a connection");
        assert_eq!(small.reply().await.expect("an answer").status, 200);
        let idle = proxy.memory_kib();

        let request = Arc::new(self.request());
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(send(Client::connect(&proxy).await, request.clone(), self.is_whole));
        }
        let mut peak = 0_f64;
        let mut slowest = Duration::ZERO;
        let mut grew = Instant::now();
        // Until memory has stopped growing.
        while grew.elapsed() < Duration::from_millis(1_500) && !clients.is_empty() {
            let now = proxy.memory_kib();
            if now > peak + 1_024.0 {
                (peak, grew) = (now, Instant::now());
            }
            let begun = Instant::now();
            small.send(&question("/chat")).await.expect("a connection");
            assert_eq!(small.reply().await.expect("an answer").status, 200);
            slowest = slowest.max(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
            while clients.try_join_next().is_some() {}
        }
        clients.shutdown().await;
        tokio::time::sleep(AFTERWARDS).await;
        let left = proxy.memory_kib() - idle;
        let name = self.name;
        vec![
            at_most(format!("memory at most beside {CLIENTS} {name}"), peak - idle, self.most_at_once),
            at_most(format!("memory 2 s after these {name}"), left, self.most_left),
            Figure {
                name: format!("a small request beside {CLIENTS} {name}, at most"),
                bound: format!("< {}", ms(SMALL_BOUND)),
                measured: ms(slowest),
                is_ok: slowest < size.allowed(SMALL_BOUND),
            },
        ]
    }

    /// What each client sends.
    fn request(&self) -> Vec<u8> {
        let (before, after) = (r#"{"messages":[{"role":"user","content":""#, r#""}]}"#);
        let filler = "x".repeat(BODY_BYTES - before.len() - after.len());
        let body = [before, &filler, after].concat();
        let head = "POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
        let mut request = if self.is_chunked {
            let chunk = |bytes: &[u8]| [b"10000\r\n", bytes, b"\r\n"].concat();
            let chunks: Vec<Vec<u8>> = body.as_bytes().chunks(0x10000).map(chunk).collect();
            [format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes(), chunks.concat()].concat()
        } else {
            format!("{head}content-length: {BODY_BYTES}\r\n\r\n{body}").into_bytes()
        };
        request.truncate(request.len() - if self.is_whole { 0 } else { 3 });
        request
    }
}

/// Sends `request`, and waits for the answer if it is whole, else for ever.
async fn send(mut client: Client, request: Arc<Vec<u8>>, is_whole: bool) {
    if client.stream.write_all(&request).await.is_err() {
        return;
    }
    if is_whole {
        let _ = client.reply().await;
    } else {
        std::future::pending::<()>().await;
    }
}

fn at_most(name: String, kib: f64, bound_mib: f64) -> Figure {
    let mib = kib / 1_024.0;
    Figure {
        name,
        bound: format!("< {bound_mib:.0} MiB"),
        measured: format!("{mib:.0} MiB"),
        is_ok: mib < bound_mib,
    }
}
