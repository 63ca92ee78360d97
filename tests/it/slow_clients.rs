//! Clients that take their time: kept while they move, gone when they do not.

use std::time::{Duration, Instant};

use ai_proxy_free::providers::Provider;
use ai_proxy_free::simulator::{After, Behaviour, Fault, Outcome, SimulatedProvider};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Binary, RawClient, TestProxy, http_client, parse_sse, question, within_patience};

/// Whoever has not sent a whole head in time is disconnected, and so is whoever stays without asking again.
#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("HEADER_READ_TIMEOUT_MS", 300).start().await?;
    let cases = [
        ("silence", &b""[..]),
        ("one byte", b"P"),
        ("half a head", b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-"),
        ("idle after an answer", b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"),
    ];
    for (case, bytes) in cases {
        let mut client = RawClient::connect(proxy.address).await?;
        let begun = Instant::now();
        client.stream.write_all(bytes).await?;
        client.read_to_end().await;
        assert!(begun.elapsed() >= Duration::from_millis(250), "{case}: it had its time");
    }
    assert_eq!(http_client()?.get(proxy.url("/health")).send().await?.status(), 200);
    Ok(())
}

/// hyper asks for no more of an answer while its buffer is full: only the socket can tell that nobody reads.
#[tokio::test]
async fn a_client_that_never_reads_is_disconnected_and_its_call_dropped() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("CLIENT_STALL_TIMEOUT_MS", 1_000).start().await?;
    let flood: Vec<String> = (0..2_000).map(|_| "x".repeat(16 * 1024)).collect();
    proxy.all(&Behaviour::answer(flood));
    let mut client = RawClient::connect_with_little_room(proxy.address).await?;
    client.send("1.1", "", &question()).await?;
    let groq = proxy.provider(Provider::Groq);
    within_patience("the call", groq.until(|it| !it.chats().is_empty())).await;
    within_patience("its end", groq.until(|it| it.open_connections() == 0)).await;
    assert_eq!(proxy.counts(Provider::Groq).await?, (1, 0), "it is not the provider's fault");
    drop(client);
    Ok(())
}

/// A client that always reads a little is none that has stopped, however full all buffers are.
#[tokio::test]
async fn a_client_that_reads_a_little_at_a_time_is_kept() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("CLIENT_STALL_TIMEOUT_MS", 1_000).start().await?;
    proxy.all(&Behaviour::answer(vec!["x".repeat(16 * 1024); 20]));
    let mut client = RawClient::connect_with_little_room(proxy.address).await?;
    client.send("1.1", "", &question()).await?;
    let mut some = [0; 2_000];
    let mut last = Vec::new();
    let begun = Instant::now();
    while !last.ends_with(b"0\r\n\r\n") {
        let read = within_patience("a little more", client.stream.read(&mut some)).await?;
        anyhow::ensure!(read > 0, "cut off");
        last = some[..read].to_vec();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() > Duration::from_secs(3), "too fast to show anything: {:?}", begun.elapsed());
    Ok(())
}

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
            let groq = proxy.provider(Provider::Groq);
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

/// A client that reads slowly slows the provider down, and loses nothing.
#[tokio::test]
async fn a_client_that_reads_slowly_gets_everything() -> anyhow::Result<()> {
    let proxy = TestProxy::builder()
        .with("CLIENT_STALL_TIMEOUT_MS", 2_000)
        .with("IDLE_TIMEOUT_MS", 300)
        .start()
        .await?;
    let pieces: Vec<String> = (0..600).map(|number| format!("{number} {}", "x".repeat(16 * 1024))).collect();
    let expected = pieces.concat();
    proxy.all(&Behaviour::answer(pieces));
    let mut response = http_client()?.post(proxy.url("/chat")).json(&question()).send().await?;
    let mut body = Vec::new();
    let mut pauses = 0;
    while let Some(chunk) = within_patience("more", response.chunk()).await? {
        body.extend_from_slice(&chunk);
        // Longer than the idle clock, which is about the provider and not about us.
        if pauses < 4 && body.len() > pauses * 2_000_000 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            pauses += 1;
        }
    }
    let answer = parse_sse(std::str::from_utf8(&body)?);
    assert!(answer.text == expected && answer.is_done, "{} of {} bytes", answer.text.len(), expected.len());
    Ok(())
}

/// After 15 s of silence a comment goes out, of one line end and between events.
#[tokio::test]
async fn silence_is_filled_with_comments() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let slow = Behaviour::answer(["One, ", "two."]).with(Fault::Stall(After::Text(1)));
    proxy.all(&slow);
    let mut client = RawClient::post(proxy.address, &question()).await?;
    client.read_until("One, ").await?;
    let begun = Instant::now();
    client.read_until(": keep-alive\n").await?;
    assert!(begun.elapsed() > Duration::from_secs(14), "{:?}", begun.elapsed());
    let received = String::from_utf8_lossy(&client.received).into_owned();
    assert!(received.contains("{\"content\":\"One, \"}\n\n\r\n"), "{received}");
    assert!(received.contains("\r\nD\r\n: keep-alive\n"), "a chunk of 13 bytes by itself: {received}");
    Ok(())
}

#[tokio::test]
async fn old_clients_are_served_too() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["Hola"]));
    let mut client = RawClient::connect(proxy.address).await?;
    client.send("1.0", "", &question()).await?;
    let response = client.read_to_end().await;
    assert!(response.starts_with("HTTP/1.0 200 OK\r\n"), "{response}");
    let (_, body) = response.split_once("\r\n\r\n").expect("a head");
    assert_eq!(parse_sse(body).text, "Hola");
    Ok(())
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let mut client = RawClient::connect(proxy.address).await?;
    let both = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    client.stream.write_all(both).await?;
    let response = client.read_to_end().await;
    let (first, second) = (response.find("200 OK"), response.find("404 Not Found"));
    assert!(first.is_some() && first < second, "{response}");
    Ok(())
}

/// Over HTTP/1.0 a body ends with its connection, so bare text that breaks off would look complete: it is sent only
/// when it is.
#[tokio::test]
async fn bare_text_for_old_clients_is_sent_whole_or_not_at_all() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["another ", "answer"]));
    let broken = Behaviour::answer(["One, ", "two."]).with(Fault::EndEarly(After::Text(1)));
    proxy.provider(Provider::Groq).always(broken);
    let mut client = RawClient::connect(proxy.address).await?;
    client.send("1.0", "accept: text/plain\r\n", &question()).await?;
    let response = client.read_to_end().await;
    assert!(
        response.starts_with("HTTP/1.0 200 OK\r\n") && response.contains("content-length: 14\r\n"),
        "{response}"
    );
    assert!(response.ends_with("\r\n\r\nanother answer"), "{response}");
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
