//! Clients that take their time: kept while they move, gone when they do not.

use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Outcome, SimulatedProvider};
use tokio::io::AsyncWriteExt as _;

use crate::support::{Binary, RawClient, TestProxy, http_client, question, within_patience};

/// What stands in our buffers when an answer ends reaches a client that has not begun to read.
#[tokio::test]
async fn an_end_that_comes_while_nobody_reads_is_not_lost() -> anyhow::Result<()> {
    let answer = || Behaviour::answer(vec!["x".repeat(20_000); 14]);
    let cases = [
        ("broken off", answer().with(Fault::EndEarly(After::Text(14))), "\"error\""),
        ("complete, then shut down", answer(), "data: [DONE]\n\n"),
    ];
    for (case, behaviour, ending) in cases {
        for (version, headers) in [("1.0", ""), ("1.1", "connection: close\r\n"), ("1.1", "")] {
            let proxy = TestProxy::start().await?;
            proxy.all(&behaviour);
            let mut client = RawClient::connect_with_little_room(proxy.address).await?;
            client.send(version, headers, &question()).await?;
            let groq = proxy.provider(Provider::GROQ);
            let has_ended =
                |it: &SimulatedProvider| it.chats().iter().any(|chat| chat.outcome != Outcome::Open);
            within_patience("the end of the call", groq.until(has_ended)).await;
            proxy.shutdown.begin();
            let response = client.read_to_end().await;
            assert!(response.contains(ending), "{case} {version} {headers}: {} bytes", response.len());
        }
    }
    Ok(())
}

/// After 15 s of silence an ordinary event goes out: readers that split at blank lines lose the event behind a comment
/// (maximhq/bifrost#6240).
#[tokio::test]
async fn silence_is_filled_with_events_without_text() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let slow = Behaviour::answer(["One, ", "two."]).with(Fault::Stall(After::Text(1)));
    proxy.all(&slow);
    let mut client = RawClient::post(proxy.address, &question()).await?;
    client.read_until("One, ").await?;
    let begun = Instant::now();
    client.read_until("{\"content\":\"\"}").await?;
    assert!(begun.elapsed() > Duration::from_secs(14), "{:?}", begun.elapsed());
    let received = String::from_utf8_lossy(&client.received).into_owned();
    assert!(received.contains("{\"content\":\"One, \"}\n\n\r\n"), "{received}");
    let whole = "\r\n16\r\ndata: {\"content\":\"\"}\n\n\r\n";
    assert!(received.ends_with(whole), "a chunk of 22 bytes by itself: {received}");
    assert!(!received.contains("\n:"), "a comment: {received}");
    Ok(())
}

/// What a client sends and nobody asked for costs no more than its bytes.
#[tokio::test]
async fn a_hostile_body_costs_little_memory() -> anyhow::Result<()> {
    let (binary, address) = Binary::start(&["demo"], std::collections::HashMap::new()).await?;
    let status = format!("/proc/{}/status", binary.child.id().expect("it runs"));
    let client = http_client()?;
    for filler in ["{\"\":0},", "[[]],", "0,", "\"\","] {
        let filler = filler.repeat(18_000_000 / filler.len());
        let body =
            format!("{{\"ignored\":[{filler}0],\"messages\":[{{\"role\":\"user\",\"content\":\"x\"}}]}}");
        let request =
            client.post(format!("http://{address}/chat")).header("content-type", "application/json");
        let response = within_patience("an answer", request.body(body).send()).await?;
        assert_eq!(response.status(), 200);
        response.bytes().await?;
    }
    let status = std::fs::read_to_string(status)?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    assert!(peak_kib < 150 * 1024, "{peak_kib} KiB for bodies of 18 MB");
    Ok(())
}

/// Long enough never to be reached.
const NEVER_MS: u64 = 600_000;
const SHORT: Duration = Duration::from_millis(300);
const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";

async fn proxy_with_clocks(head_ms: u64, silence_ms: u64) -> anyhow::Result<TestProxy> {
    let proxy = TestProxy::builder()
        .with("HEADER_READ_TIMEOUT_MS", head_ms)
        .with("KEEP_ALIVE_TIMEOUT_MS", silence_ms);
    proxy.start().await
}

async fn answered_once(proxy: &TestProxy) -> anyhow::Result<RawClient> {
    let mut client = RawClient::connect(proxy.address).await?;
    client.stream.write_all(HEALTH.as_bytes()).await?;
    client.read_until("\"status\":\"ok\"").await?;
    client.received.clear();
    Ok(client)
}

#[tokio::test]
async fn a_connection_may_be_silent_between_two_requests_for_longer_than_a_head_may_take()
-> anyhow::Result<()> {
    let proxy = proxy_with_clocks(300, NEVER_MS).await?;
    let mut client = answered_once(&proxy).await?;
    // Line ends are no head.
    client.stream.write_all(b"\r\n").await?;
    tokio::time::sleep(3 * SHORT).await;
    client.stream.write_all(HEALTH.as_bytes()).await?;
    client.read_until("\"status\":\"ok\"").await
}

#[tokio::test]
async fn a_connection_that_is_silent_for_too_long_between_two_requests_is_closed() -> anyhow::Result<()> {
    let proxy = proxy_with_clocks(NEVER_MS, 300).await?;
    let client = answered_once(&proxy).await?;
    assert_eq!(client.read_to_end().await, "");
    Ok(())
}

#[tokio::test]
async fn a_head_has_its_own_time_from_its_first_byte_and_the_first_one_from_the_start() -> anyhow::Result<()>
{
    let proxy = proxy_with_clocks(300, NEVER_MS).await?;
    let mut client = answered_once(&proxy).await?;
    client.stream.write_all(b"GET /hea").await?;
    assert_eq!(client.read_to_end().await, "", "half a head");
    let fresh = RawClient::connect(proxy.address).await?;
    assert_eq!(fresh.read_to_end().await, "", "a fresh connection");
    Ok(())
}
