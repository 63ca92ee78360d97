//! An end in good order.

use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::Directory;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Settings, Simulator};
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::{Binary, RawClient, TestProxy, question, within_patience};

async fn simulator(behaviour: &Behaviour) -> anyhow::Result<Simulator> {
    let clock = std::sync::Arc::new(ai_proxy_free::internals::time::Moment::now);
    let simulator =
        Simulator::start(Directory::core(), |provider| Settings::new(provider, clock.clone())).await?;
    for provider in simulator.providers() {
        provider.always(behaviour.clone());
    }
    Ok(simulator)
}

#[tokio::test]
async fn row_111_open_streams_may_finish_and_nobody_new_is_let_in() -> anyhow::Result<()> {
    for signal in ["TERM", "INT"] {
        let slow = Behaviour::answer(["One, ", "two, ", "three."]).paced(Duration::from_millis(300));
        let simulator = simulator(&slow).await?;
        let (mut binary, address) = Binary::over(&simulator, &[]).await?;
        let mut client = RawClient::post(address, &question()).await?;
        client.read_until("One, ").await?;
        binary.signal(signal).await?;
        binary.line_with("Shutting down").await?;
        assert!(TcpStream::connect(address).await.is_err(), "new connections are refused");
        let response = client.read_to_end().await;
        assert!(response.contains("three.") && response.contains("data: [DONE]"), "{response}");
        let (code, _) = binary.end().await?;
        assert_eq!(code, Some(0), "{signal}");
    }
    Ok(())
}

#[tokio::test]
async fn row_111_streams_that_do_not_finish_in_time_end_with_a_visible_error() -> anyhow::Result<()> {
    let stalls = Behaviour::answer(["One, ", "two."]).with(Fault::Stall(After::Text(1)));
    let simulator = simulator(&stalls).await?;
    let (mut binary, address) = Binary::over(&simulator, &[("SHUTDOWN_GRACE_SECONDS", "1")]).await?;
    let mut streaming = RawClient::post(address, &question()).await?;
    streaming.read_until("One, ").await?;
    let whole = json!({"messages": [{"role": "user", "content": "x"}], "stream": false});
    let waiting = RawClient::post(address, &whole).await?;
    binary.line_with("Using service Cerebras").await?;

    let signalled = Instant::now();
    binary.signal("TERM").await?;
    let response = streaming.read_to_end().await;
    assert!(response.contains("data: {\"error\":\"The proxy is shutting down"), "{response}");
    assert!(response.ends_with("0\r\n\r\n") && !response.contains("[DONE]"), "{response}");
    let response = waiting.read_to_end().await;
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    let (code, log) = binary.end().await?;
    assert_eq!(code, Some(0), "{log}");
    let took = signalled.elapsed();
    assert!(took >= Duration::from_millis(950) && took < Duration::from_secs(3), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn row_112_a_second_signal_ends_at_once() -> anyhow::Result<()> {
    for (signal, expected) in [("TERM", 143), ("INT", 130)] {
        let simulator = simulator(&Behaviour::echo().with(Fault::Stall(After::Text(1)))).await?;
        let (mut binary, address) = Binary::over(&simulator, &[]).await?;
        let mut client = RawClient::post(address, &question()).await?;
        client.read_until("simulated").await?;
        binary.signal(signal).await?;
        binary.line_with("Shutting down").await?;
        binary.signal(signal).await?;
        let (code, _) = binary.end().await?;
        assert_eq!(code, Some(expected));
    }
    Ok(())
}

#[tokio::test]
async fn row_111_idle_connections_do_not_hold_up_the_end() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let mut idle = RawClient::connect(proxy.address).await?;
    tokio::io::AsyncWriteExt::write_all(&mut idle.stream, b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await?;
    idle.read_until("\"status\":\"ok\"").await?;
    proxy.shutdown.begin();
    let mut proxy = proxy;
    within_patience("the server's end", &mut proxy.server).await?;
    Ok(())
}
