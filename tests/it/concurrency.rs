//! Many at once.

use std::time::{Duration, Instant};

use ai_proxy_free::internals::simulator::Behaviour;
use tokio::io::AsyncWriteExt as _;

use crate::support::{RawClient, TestProxy, http_client, parse_sse, question, within_patience};

#[tokio::test(flavor = "multi_thread")]
async fn row_122_five_hundred_streams_at_once_are_whole_and_health_answers_meanwhile() -> anyhow::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let proxy = TestProxy::start().await?;
    let words: Vec<String> = (0..40).map(|number| format!("{number} ")).collect();
    let expected = words.concat();
    proxy.all(&Behaviour::answer(words).paced(Duration::from_millis(200)));

    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let mut client = RawClient::post(proxy.address, &question()).await?;
        let expected = expected.clone();
        streams.spawn(async move {
            client.read_until("[DONE]\n\n").await?;
            let received = String::from_utf8(client.received)?;
            let (head, body) = received.split_once("\r\n\r\n").expect("a head");
            anyhow::ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
            let text = parse_sse(&unchunked(body)).text;
            anyhow::ensure!(text == expected, "{text}");
            Ok(())
        });
    }
    // While all of them are open. How fast, the benches say.

    let client = http_client()?;
    for _ in 0..20 {
        let health = client.get(proxy.url("/health")).send();
        assert_eq!(within_patience("/health", health).await?.status(), 200);
    }
    let open: usize = proxy.simulator.providers().map(|it| it.open_connections()).sum();
    assert!(open >= 450, "the streams are open at once: {open}");

    let all = async {
        while let Some(stream) = streams.join_next().await {
            stream??;
        }
        anyhow::Ok(())
    };
    within_patience("500 streams", all).await
}

/// Reading a request that was made to be slow to read is nobody else's time.
#[tokio::test]
async fn row_122_health_answers_while_a_hostile_body_is_read() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let messages = "{\"role\":\"user\",\"content\":\"x\"},".repeat(150_000);
    let body = format!("{{\"messages\":[{messages}{{\"role\":\"nobody\"}}]}}");
    for path in ["/chat", "/v1/chat/completions"] {
        let mut hostile = RawClient::connect(proxy.address).await?;
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        hostile.stream.write_all(head.as_bytes()).await?;
        hostile.stream.write_all(body.as_bytes()).await?;
        let begun = Instant::now();
        let refused = hostile.read_until("HTTP/1.1 400 ");
        tokio::pin!(refused);
        let mut longest = Duration::ZERO;
        let client = http_client()?;
        loop {
            let asked = Instant::now();
            let health = client.get(proxy.url("/health")).send();
            tokio::select! {
                health = health => assert_eq!(health?.status(), 200),
                refused = &mut refused => {
                    refused?;
                    longest = longest.max(asked.elapsed());
                    break;
                }
            }
            longest = longest.max(asked.elapsed());
        }
        let taken = begun.elapsed();
        assert!(longest < taken / 2, "{path}: /health took {longest:?} of {taken:?}");
    }
    Ok(())
}

/// Work that goes on without its client still counts as work.
#[tokio::test]
async fn a_request_that_is_being_read_has_its_place_when_its_client_has_left() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("MAX_CONCURRENT_REQUESTS", 1).start().await?;
    let messages = "{\"role\":\"user\",\"content\":\"x\"},".repeat(150_000);
    let body = format!("{{\"messages\":[{messages}{{\"role\":\"nobody\"}}]}}");
    let mut hostile = RawClient::connect(proxy.address).await?;
    let head = format!(
        "POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    hostile.stream.write_all(head.as_bytes()).await?;
    hostile.stream.write_all(body.as_bytes()).await?;
    let admission = proxy.state.admission.clone();
    let taken = async {
        while admission.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
    };
    within_patience("the place to be taken", taken).await;
    // By now it is being read, which takes far longer than to notice that its client leaves.
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(hostile);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(admission.available_permits(), 0, "its place is free while it is being read");
    drop(within_patience("the place to be free", admission.acquire()).await?);
    Ok(())
}

/// The data of a chunked body.
fn unchunked(body: &str) -> String {
    let mut data = String::new();
    let mut rest = body;
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        data.push_str(&tail[..size]);
        rest = tail[size..].trim_start_matches("\r\n");
    }
    data
}
