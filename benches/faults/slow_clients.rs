//! Clients that take for ever over their requests.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::client::{Client, HEALTH};
use crate::support::Process;
use crate::{Figure, Size, comes_true, groq, ms, percentile, proxy_over};

const HEALTH_BOUND: Duration = Duration::from_millis(50);

/// Beyond the clock.
const SLACK: Duration = Duration::from_secs(1);

/// How a client is slow.
#[derive(Clone, Copy, Debug)]
enum Slowness {
    Silent,
    OneByte,
    DrippedHead,
    DrippedBody,
    IdleAfterAnswer,
}

const WAYS: [Slowness; 5] = [
    Slowness::Silent,
    Slowness::OneByte,
    Slowness::DrippedHead,
    Slowness::DrippedBody,
    Slowness::IdleAfterAnswer,
];

pub(crate) async fn measure(size: Size) -> Vec<Figure> {
    let clock = size.pick(Duration::from_secs(2), Duration::from_secs(4));
    let clock_ms = clock.as_millis().to_string();
    let groq = groq(0).await;
    let clocks = ["HEADER_READ_TIMEOUT_MS", "KEEP_ALIVE_TIMEOUT_MS", "BODY_READ_TIMEOUT_MS"];
    let own = clocks.map(|name| (name, clock_ms.as_str()));
    let proxy = proxy_over([&groq], &own);
    // The connection that reads the list of models is kept, and none of the clients' business.
    assert!(comes_true(Duration::from_secs(10), || groq.request_count() > 0).await, "it reads the list");
    let idle_descriptors = proxy.descriptors();

    let mut clients = JoinSet::new();
    for number in 0..400 {
        clients.spawn(dawdle(Client::connect(&proxy).await, WAYS[number % WAYS.len()]));
    }
    let mut ends = Vec::new();
    let mut health = Vec::new();
    while !clients.is_empty() {
        health.push(time_of_health(&proxy).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
        while let Some(end) = clients.try_join_next() {
            ends.push(end.expect("an end"));
        }
    }
    let begun = Instant::now();
    let all_closed = comes_true(Duration::from_secs(10), || proxy.descriptors() <= idle_descriptors).await;
    let rest = begun.elapsed();

    let median = percentile(&mut health, 0.5);
    let most = percentile(&mut health, 0.99);
    let mut figures = vec![Figure {
        name: format!("/health beside 400 slow clients, {} times", health.len()),
        bound: format!("p99 < {}", ms(HEALTH_BOUND)),
        measured: format!("p50 {}, p99 {}", ms(median), ms(most)),
        is_ok: most < size.allowed(HEALTH_BOUND),
    }];
    for (way, name) in WAYS.map(|way| format!("{way:?}")).iter().enumerate() {
        let mut times: Vec<_> = ends.iter().filter(|(it, _)| *it == way).map(|(_, time)| *time).collect();
        let (first, last) = (percentile(&mut times, 0.0), percentile(&mut times, 1.0));
        figures.push(Figure {
            name: format!("slow clients are told to go: {name}, {} of them", times.len()),
            bound: format!("≤ {} + {}", ms(clock), ms(SLACK)),
            measured: format!("{} to {}", ms(first), ms(last)),
            is_ok: last <= clock + size.allowed(SLACK),
        });
    }
    figures.push(Figure {
        name: "after that, until their last descriptor is free".to_owned(),
        bound: format!("≤ {}", ms(SLACK)),
        measured: ms(rest),
        is_ok: all_closed && rest <= size.allowed(SLACK),
    });
    figures
}

/// On a connection of its own, connecting included.
async fn time_of_health(proxy: &Process) -> Duration {
    let begun = Instant::now();
    let mut client = Client::connect(proxy).await;
    client.send(HEALTH).await.expect("a connection");
    assert_eq!(client.reply().await.expect("an answer").status, 200);
    begun.elapsed()
}

/// Is slow until the connection is closed; gives the number of the way and the time that took.
async fn dawdle(mut client: Client, way: Slowness) -> (usize, Duration) {
    let mut begun = Instant::now();
    match way {
        Slowness::Silent => client.read_to_end().await,
        Slowness::OneByte => {
            client.send(b"P").await.expect("a connection");
            client.read_to_end().await;
        }
        Slowness::DrippedHead => {
            client.send(b"POST /chat HTTP/1.1\r\nhost: localhost\r\nx-long: ").await.expect("a connection");
            drip(&mut client).await;
        }
        Slowness::DrippedBody => {
            let head = b"POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 100000\r\n\r\n";
            client.send(head).await.expect("a connection");
            drip(&mut client).await;
            assert!(client.received.starts_with(b"HTTP/1.1 408 "), "it was told why");
        }
        Slowness::IdleAfterAnswer => {
            client.send(HEALTH).await.expect("a connection");
            client.reply().await.expect("an answer");
            begun = Instant::now();
            client.read_to_end().await;
        }
    }
    (way as usize, begun.elapsed())
}

/// Sends a byte now and then until the other side closes.
async fn drip(client: &mut Client) {
    loop {
        tokio::select! {
            read = client.stream.read_buf(&mut client.received) => {
                if !read.is_ok_and(|read| read > 0) {
                    return;
                }
            }
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                if client.stream.write_all(b"x").await.is_err() {
                    return;
                }
            }
        }
    }
}
