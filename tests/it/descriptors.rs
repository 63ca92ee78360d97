//! More clients than the process may have descriptors.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::Directory;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Settings, Simulator};
use ai_proxy_free::internals::time::Moment;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{Binary, RawClient, question};

/// What the process may have; it needs about a dozen for itself.
const MOST_DESCRIPTORS: usize = 64;

/// What it says when it has no more.
const HINT: &str = "is the descriptor limit too low?";

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// The program with no descriptor left.
struct Crowded {
    binary: Binary,
    address: SocketAddr,
    _simulator: Simulator,
    /// Was there before the others.
    early: RawClient,
    /// Say nothing.
    crowd: Vec<TcpStream>,
}

impl Crowded {
    async fn start() -> anyhow::Result<Self> {
        let clock = std::sync::Arc::new(Moment::now);
        let simulator =
            Simulator::start(Directory::core(), |provider| Settings::new(provider, clock.clone())).await?;
        // A connection that a list of models has opened would still serve.
        for provider in simulator.providers() {
            provider.list_always(Behaviour::echo().with(Fault::Reset(After::Nothing)));
        }
        let own = [("HEADER_READ_TIMEOUT_MS", "60000")];
        let (mut binary, address) = Binary::with_descriptors(MOST_DESCRIPTORS, &simulator, &own).await?;
        // Only then has nobody a descriptor to give back.
        for _ in simulator.providers() {
            binary.line_with("gives no list of models").await?;
        }
        let mut early = RawClient::connect(address).await?;
        early.stream.write_all(HEALTH).await?;
        early.read_until("\"status\":\"ok\"").await?;
        let mut crowd = Vec::new();
        for _ in 0..2 * MOST_DESCRIPTORS {
            crowd.push(TcpStream::connect(address).await?);
        }
        binary.line_with(HINT).await?;
        Ok(Self { binary, address, _simulator: simulator, early, crowd })
    }
}

#[tokio::test]
async fn running_out_of_descriptors_costs_little_time_and_few_lines() -> anyhow::Result<()> {
    let mut crowded = Crowded::start().await?;
    let binary = &mut crowded.binary;
    let (begun, cpu) = (Instant::now(), binary.cpu_time()?);
    for _ in 0..2 {
        binary.line_with(HINT).await?;
    }
    let (taken, cpu) = (begun.elapsed(), binary.cpu_time()? - cpu);
    assert!(taken > Duration::from_millis(1_500), "the same line again and again: twice in {taken:?}");
    assert!(cpu < taken / 10, "it spins: {cpu:?} of {taken:?}");
    Ok(())
}

/// Whoever is connected is told the truth at once, although nobody can be called; and no provider goes into cooldown for what this
/// machine lacked.
#[tokio::test]
async fn without_descriptors_requests_fail_honestly_and_nobody_is_blamed() -> anyhow::Result<()> {
    let mut crowded = Crowded::start().await?;
    crowded.early.received.clear();
    crowded.early.send("1.1", "", &question()).await?;
    crowded.early.read_until("]}").await?;
    let response = String::from_utf8_lossy(&crowded.early.received).into_owned();
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
    let (_, body) = response.split_once("\r\n\r\n").expect("a body");
    let body: Value = serde_json::from_str(body)?;
    let attempts = body["attempts"].as_array().expect("attempts");
    assert!(attempts.len() == 3 && attempts.iter().all(|it| it["reason"] == "connect_failed"), "{body}");

    let Crowded { mut early, crowd, .. } = crowded;
    drop(crowd);
    // Well before any cooldown would be over.
    let answered = async {
        loop {
            early.received.clear();
            early.send("1.1", "", &question()).await?;
            early.read_until("\r\n\r\n").await?;
            if early.received.starts_with(b"HTTP/1.1 200 ") {
                return anyhow::Ok(());
            }
            early.read_until("]}").await?;
        }
    };
    tokio::time::timeout(Duration::from_secs(4), answered).await.expect("a cooldown holds it up")
}

#[tokio::test]
async fn when_clients_leave_others_are_served() -> anyhow::Result<()> {
    let mut crowded = Crowded::start().await?;
    // It waits to be let in.
    let mut late = RawClient::connect(crowded.address).await?;
    late.stream.write_all(HEALTH).await?;
    crowded.crowd.clear();
    late.read_until("\"status\":\"ok\"").await?;
    late.received.clear();
    late.send("1.1", "connection: close\r\n", &question()).await?;
    let response = late.read_to_end().await;
    assert!(response.contains("data: [DONE]"), "{response}");
    Ok(())
}
