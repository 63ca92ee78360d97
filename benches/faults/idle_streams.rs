//! What an open stream costs on which nothing happens.

use ai_proxy_free::internals::simulator::{After, Behaviour, Fault};

use crate::client::{Client, question};
use crate::support::WORD;
use crate::{Figure, Size, groq, proxy_over};

/// In KiB. Five buffers of 8 KiB are the HTTP library's, two on either side and one between, and each has a page or two
/// that are written; glibc places them so that nearly all are in use. A bare reverse proxy of the same parts has 30.
const BOUND: f64 = 48.0;

/// Before the count begins: what the first streams cost is the program's, not theirs.
const WARM_UP: usize = 100;

pub(crate) async fn measure(size: Size) -> Vec<Figure> {
    let streams = size.pick(500, 2_000);
    let mut figures = Vec::new();
    for path in ["/chat", "/v1/chat/completions"] {
        let each = kib_each(path, streams).await;
        figures.push(Figure {
            name: format!("memory of an open idle stream, {path}, {streams} streams"),
            bound: format!("≤ {BOUND} KiB"),
            measured: format!("{each:.1} KiB"),
            is_ok: each <= BOUND,
        });
    }
    figures
}

/// What each of so many costs.
pub(crate) async fn kib_each(path: &str, streams: usize) -> f64 {
    let groq = groq(0).await;
    groq.always(Behaviour::answer(["word number 1", "word number 2"]).with(Fault::Stall(After::Text(1))));
    let proxy = proxy_over([&groq], &[("IDLE_TIMEOUT_MS", "600000")]);
    let mut clients = Vec::new();
    let mut before = 0.0;
    for index in 0..WARM_UP + streams {
        if index == WARM_UP {
            before = proxy.memory_kib();
        }
        let mut client = Client::connect(&proxy).await;
        client.send(&question(path)).await.expect("a connection");
        client.read_until(WORD).await.expect("an event");
        clients.push(client);
    }
    (proxy.memory_kib() - before) / streams as f64
}
