//! What a request costs that waits in line, beside a stream that is held open.

use std::time::Duration;

use ai_proxy_free::internals::simulator::{Behaviour, Trouble};

use crate::client::{Client, question};
use crate::support::Process;
use crate::{Figure, Size, groq, idle_streams, proxy_over};

/// In KiB. A connection, its request as it was parsed, and the future that waits. There is no connection to a provider, but
/// a stream has given back its request and the future that led to it: it is about as much as an open stream.
const BOUND: f64 = 36.0;

/// Before the count begins: what the first requests cost is the program's, not theirs.
const WARM_UP: usize = 100;

const HOUR_MS: &str = "3600000";

const PATH: &str = "/chat";

/// Costs no call, and says how many wait.
const PROVIDERS: &[u8] = b"GET /providers HTTP/1.1\r\nhost: localhost\r\n\r\n";

pub(crate) async fn measure(size: Size) -> Vec<Figure> {
    // With the warm-up, as many as Groq's day takes: more would have to wait until tomorrow, and are refused.
    let requests = 900;
    let groq = groq(0).await;
    groq.always(Behaviour::trouble(Trouble::RateLimited(60.0)));
    // Thirty a minute can be served.
    let settings = [
        ("GROQ_MODEL", "openai/gpt-oss-20b"),
        ("MAX_WAIT_MS", HOUR_MS),
        ("REQUEST_TIMEOUT_MS", HOUR_MS),
        ("MAX_WAITING_REQUESTS", "5000"),
    ];
    let proxy = proxy_over([&groq], &settings);
    let mut clients = park(&proxy, WARM_UP).await;
    wait_for(&proxy, WARM_UP).await;
    let before = proxy.memory_kib();
    clients.extend(park(&proxy, requests).await);
    wait_for(&proxy, WARM_UP + requests).await;
    let each = (proxy.memory_kib() - before) / requests as f64;
    let stream = idle_streams::kib_each(PATH, size.pick(500, 1_000)).await;
    vec![Figure {
        name: format!("memory of a request in line, {PATH}, {requests} requests"),
        bound: format!("≤ {BOUND} KiB"),
        measured: format!("{each:.1} KiB, {:.2} of an open idle stream", each / stream),
        is_ok: each <= BOUND,
    }]
}

async fn park(proxy: &Process, requests: usize) -> Vec<Client> {
    let mut clients = Vec::with_capacity(requests);
    for _ in 0..requests {
        let mut client = Client::connect(proxy).await;
        client.send(&question(PATH)).await.expect("a connection");
        clients.push(client);
    }
    clients
}

/// Until so many wait.
async fn wait_for(proxy: &Process, waiting: usize) {
    let is_so = format!("{{\"waiting\":{waiting},");
    // The first of them leave the line after a minute.
    for _ in 0..500 {
        let mut client = Client::connect(proxy).await;
        client.send(PROVIDERS).await.expect("a connection");
        if client.reply().await.expect("an answer").body.contains(&is_so) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{waiting} were to wait");
}
