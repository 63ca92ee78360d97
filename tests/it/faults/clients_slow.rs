//! Rows 79 to 83: clients that take their time, and too many of them.

use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::task::JoinSet;

use super::ways::{Before, Way, converse, ending, read_replies};
use crate::support::{RawClient, TestProxy, http_client, parse_sse, question, within_patience};

/// What a clock may be late by. The promise is one second; the rest is for a busy machine.
const LATE: Duration = Duration::from_secs(4);

/// hyper asks for no more of an answer while its buffer is full: only the socket can tell that nobody reads.
#[tokio::test]
async fn row_079_a_client_that_never_reads_is_disconnected_and_its_call_dropped() -> anyhow::Result<()> {
    let stall = Duration::from_millis(500);
    let mut soonest = Duration::MAX;
    for way in Way::ALL {
        let case = format!("{way:?}");
        let proxy = TestProxy::builder().with("CLIENT_STALL_TIMEOUT_MS", stall.as_millis()).start().await?;
        let before = Before::case(&proxy).await?;
        // What is collected first has to fill only the way to the client; a stream also the way from the provider.
        let pieces = if way.is_stream() { 2_000 } else { 100 };
        proxy.all(&Behaviour::answer(vec!["x".repeat(16 * 1024); pieces]));
        let client = RawClient::connect_with_little_room(proxy.address).await?;
        let client = way.ask_from(client, Provider::GROQ).await?;
        let groq = proxy.provider(Provider::GROQ);
        let has_ended = |outcome: Outcome| match way.is_stream() {
            true => matches!(outcome, Outcome::Abandoned(_)),
            // It has been collected before anything was sent.
            false => matches!(outcome, Outcome::Answered(_)),
        };
        let over = groq.until(|it| it.chats().iter().any(|chat| has_ended(chat.outcome)));
        let begun = Instant::now();
        within_patience(&format!("the end of the call: {case}"), over).await;
        within_patience(&format!("the reset: {case}"), client.stream.ready(Interest::ERROR)).await?;
        soonest = soonest.min(begun.elapsed());
        if way.is_stream() {
            before.assert_abandoned(&proxy, Provider::GROQ, &case).await?;
        } else {
            proxy.all(&Behaviour::echo());
            before.assert_asked(&proxy, 1, &case).await?;
        }
    }
    assert!(soonest < stall + LATE, "at the soonest after {soonest:?}");
    Ok(())
}

/// Whoever always reads a little has not stopped, however full all buffers are and however long it takes.
#[tokio::test]
async fn row_080_a_client_that_reads_a_little_at_a_time_is_kept() -> anyhow::Result<()> {
    let mut readers = JoinSet::new();
    for way in Way::ALL {
        readers.spawn(async move {
            let proxy = TestProxy::builder().with("CLIENT_STALL_TIMEOUT_MS", 1_000).start().await?;
            let before = Before::case(&proxy).await?;
            let pieces = vec!["x".repeat(16 * 1024); 20];
            let expected = pieces.concat();
            proxy.all(&Behaviour::answer(pieces));
            let client = RawClient::connect_with_little_room(proxy.address).await?;
            let mut client = way.ask_from(client, Provider::GROQ).await?;
            let mut some = [0; 2_000];
            let begun = Instant::now();
            while read_to_the_end(&client.received).is_none() {
                let read = within_patience("a little more", client.stream.read(&mut some)).await?;
                anyhow::ensure!(read > 0, "{way:?}: cut off after {} bytes", client.received.len());
                client.received.extend_from_slice(&some[..read]);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::ensure!(begun.elapsed() > Duration::from_secs(3), "{way:?}: too fast to show anything");
            let reply = read_to_the_end(&client.received).expect("it is whole");
            assert!(way.text(&reply, "slowly") == expected, "{way:?}: {} bytes", reply.body.len());
            before.assert_asked(&proxy, 1, &format!("{way:?}")).await
        });
    }
    while let Some(reader) = readers.join_next().await {
        reader??;
    }
    Ok(())
}

/// The response that `bytes` are, if it is whole.
fn read_to_the_end(bytes: &[u8]) -> Option<crate::support::Reply> {
    if !bytes.ends_with(b"}") && !bytes.ends_with(b"\r\n0\r\n\r\n") {
        return None;
    }
    read_replies(bytes).pop().filter(|reply| !reply.is_broken)
}

/// A client that reads slowly slows the provider down, and loses nothing.
#[tokio::test]
async fn row_080_a_client_that_pauses_gets_everything_and_it_is_not_the_providers_fault() -> anyhow::Result<()>
{
    let proxy = TestProxy::builder()
        .with("CLIENT_STALL_TIMEOUT_MS", 2_000)
        .with("IDLE_TIMEOUT_MS", 300)
        .start()
        .await?;
    let before = Before::case(&proxy).await?;
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
    before.assert_asked(&proxy, 1, "a client that pauses").await
}

/// Whoever has not sent a whole head in time is disconnected, and so is whoever stays without asking again; meanwhile
/// everybody else is served.
#[tokio::test(flavor = "multi_thread")]
async fn row_081_a_head_that_does_not_come_ends_the_connection_and_hinders_nobody() -> anyhow::Result<()> {
    let clock = Duration::from_millis(500);
    let proxy = TestProxy::builder()
        .with("HEADER_READ_TIMEOUT_MS", clock.as_millis())
        .with("KEEP_ALIVE_TIMEOUT_MS", clock.as_millis())
        .start()
        .await?;
    let before = Before::case(&proxy).await?;
    let answered = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    // What is sent at once, and what is sent again and again after that.
    let cases = [
        ("silence", String::new(), ""),
        ("one byte", "P".to_owned(), ""),
        ("half the preface of HTTP/2", "PRI * HTT".to_owned(), ""),
        ("line ends", "\r\n".to_owned(), "\r\n"),
        ("a method that does not end", "P".to_owned(), "P"),
        ("half a head for /chat", "POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-".to_owned(), ""),
        ("half a head for /v1", "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n".to_owned(), ""),
        ("dripping headers", "POST /chat HTTP/1.1\r\nhost: localhost\r\n".to_owned(), "x-a: b\r\n"),
        ("a header that drips", "POST /chat HTTP/1.1\r\nhost: localhost\r\nx-a: ".to_owned(), "b"),
        ("idle after an answer", answered.to_owned(), ""),
        ("half a head after an answer", format!("{answered}POST /chat HT"), ""),
        ("dripping after an answer", format!("{answered}POST /chat HTTP/1.1\r\n"), "x-a: b\r\n"),
    ];
    let mut clients = JoinSet::new();
    for (case, first, more) in cases {
        for _ in 0..10 {
            let (first, mut client) = (first.clone(), RawClient::connect(proxy.address).await?);
            clients.spawn(async move {
                let begun = Instant::now();
                drip(case, &mut client, &first, more, clock / 10).await?;
                anyhow::Ok((case, begun.elapsed()))
            });
        }
    }
    before.assert_nobody_was_asked(&proxy, "while slow clients are there").await?;
    let mut soonest = std::collections::HashMap::new();
    while let Some(client) = clients.join_next().await {
        let (case, took) = client??;
        assert!(took >= clock - Duration::from_millis(50), "{case}: it had its time: {took:?}");
        let soonest = soonest.entry(case).or_insert(took);
        *soonest = took.min(*soonest);
    }
    for (case, took) in soonest {
        assert!(took < clock + LATE, "{case}: at the soonest after {took:?}");
    }
    before.assert_asked(&proxy, 1, "after slow clients").await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_082_a_body_that_does_not_come_in_time_is_given_up() -> anyhow::Result<()> {
    let clock = Duration::from_millis(300);
    let proxy = TestProxy::builder()
        .with("BODY_READ_TIMEOUT_MS", clock.as_millis())
        .with("HEADER_READ_TIMEOUT_MS", 600_000)
        .start()
        .await?;
    let before = Before::case(&proxy).await?;
    let mut clients = JoinSet::new();
    for way in Way::ALL {
        // What is sent at once, and what is sent again and again after that.
        let cases = [
            ("nothing of it", way.head("content-length: 100\r\n"), ""),
            ("one byte", way.head("content-length: 100\r\n") + "{", ""),
            ("dripping", way.head("content-length: 100000\r\n") + "{", " "),
            ("no chunk", way.head("transfer-encoding: chunked\r\n"), ""),
            ("half a chunk", way.head("transfer-encoding: chunked\r\n") + "ff\r\n{", ""),
            ("dripping chunks", way.head("transfer-encoding: chunked\r\n"), "1\r\n \r\n"),
            (
                "a chunk of the largest size",
                { way.head("transfer-encoding: chunked\r\n") + "ffffffffffffffff\r\n{" },
                "",
            ),
            ("no end", way.head("transfer-encoding: chunked\r\n") + "2\r\n{}\r\n", ""),
            ("asked for and not sent", way.head("content-length: 100\r\nexpect: 100-continue\r\n"), ""),
        ];
        for (case, first, more) in cases {
            let mut client = RawClient::connect(proxy.address).await?;
            clients.spawn(async move {
                let name = format!("{way:?} {case}");
                let begun = Instant::now();
                drip(&name, &mut client, &first, more, clock / 10).await?;
                let took = begun.elapsed();
                assert!(took >= clock - Duration::from_millis(50), "{name}: it had its time: {took:?}");
                let replies = read_replies(&client.received);
                let [reply] = replies.as_slice() else { panic!("{name}: {replies:?}") };
                let sentence = way.refusal(reply, 408, case);
                assert!(sentence.contains("did not arrive in time"), "{name}: {sentence}");
                assert_eq!(reply.header("connection"), Some("close"), "{name}");
                anyhow::Ok(took)
            });
        }
    }
    let mut soonest = Duration::MAX;
    while let Some(client) = clients.join_next().await {
        soonest = soonest.min(client??);
    }
    assert!(soonest < clock + LATE, "at the soonest after {soonest:?}");
    before.assert_nobody_was_asked(&proxy, "slow bodies").await
}

/// Sends `first`, and `more` again and again, until the proxy closes; keeps what comes.
async fn drip(
    case: &str,
    client: &mut RawClient,
    first: &str,
    more: &str,
    pace: Duration,
) -> anyhow::Result<()> {
    let RawClient { stream, received } = client;
    stream.write_all(first.as_bytes()).await?;
    let (mut reader, mut writer) = stream.split();
    let read = async { while matches!(reader.read_buf(received).await, Ok(read) if read > 0) {} };
    let write = async {
        // Whoever cannot write any more has still something to read.
        while !more.is_empty() && writer.write_all(more.as_bytes()).await.is_ok() {
            tokio::time::sleep(pace).await;
        }
        std::future::pending().await
    };
    let either = async {
        tokio::select! {
            () = read => {}
            () = write => {}
        }
    };
    within_patience(&format!("the end of the connection: {case}"), either).await;
    Ok(())
}

#[tokio::test]
async fn row_083_requests_beyond_the_limit_are_refused_at_once_and_health_still_answers() -> anyhow::Result<()>
{
    let proxy = TestProxy::builder().with("MAX_CONCURRENT_REQUESTS", 2).start().await?;
    let before = Before::case(&proxy).await?;
    proxy.all(&Behaviour::answer(["One, ", "two."]).with(Fault::Stall(After::Text(1))));
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = RawClient::post(proxy.address, &question()).await?;
        client.read_until("One, ").await?;
        open.push(client);
    }
    for way in Way::ALL {
        // Whoever sends it all before looking for an answer is told, too.
        for (case, body) in [("a question", way.body().to_string()), ("a large body", "x".repeat(5_000_000))]
        {
            let refused = way.post_json(&proxy, body).await?;
            assert!(way.refusal(&refused, 503, case).contains("MAX_CONCURRENT_REQUESTS"));
            assert_eq!(refused.header("retry-after"), Some("1"), "{way:?} {case}");
        }
        assert_eq!(http_client()?.get(proxy.url("/health")).send().await?.status(), 200, "{way:?}");
    }
    assert_eq!(proxy.upstream_calls(), 2);
    open.clear();
    for provider in [Provider::GROQ, Provider::CEREBRAS] {
        within_patience(
            "the end of the calls",
            proxy.provider(provider).until(|it| it.open_connections() == 0),
        )
        .await;
    }
    proxy.all(&Behaviour::echo());
    before.assert_asked(&proxy, 2, "when there is room again").await
}

/// The connections that [`TestProxy`] of one request at a time may have.
const MOST_CONNECTIONS: usize = 1 + 1_024;

#[tokio::test(flavor = "multi_thread")]
async fn row_083_connections_beyond_the_limit_are_told_so_and_health_still_answers() -> anyhow::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let proxy = TestProxy::builder()
        .with("MAX_CONCURRENT_REQUESTS", 1)
        .with("HEADER_READ_TIMEOUT_MS", 600_000)
        .start()
        .await?;
    let before = Before::case(&proxy).await?;
    let mut idle = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        idle.push(RawClient::connect(proxy.address).await?);
    }
    for way in Way::ALL {
        for (case, headers) in [("at once", ""), ("without waiting for a place", "expect: 100-continue\r\n")]
        {
            let request = way.request(headers, &way.body());
            let replies = converse(&proxy, &format!("{way:?} {case}"), request.as_bytes()).await?;
            let [reply] = replies.as_slice() else { panic!("{way:?} {case}: {replies:?}") };
            assert_eq!(reply.status, 503, "{way:?} {case}: {}", reply.text());
            assert!(reply.header("retry-after").is_some(), "{way:?} {case}");
            assert!(!reply.json()["error"].is_null(), "{way:?} {case}: {}", reply.text());
            assert_eq!(reply.header("connection"), Some("close"), "{way:?} {case}");
        }
        let mut asking = RawClient::connect(proxy.address).await?;
        asking
            .stream
            .write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await?;
        let response = String::from_utf8(ending("/health", asking).await)?;
        assert!(
            response.starts_with("HTTP/1.1 200 ") && response.contains("\"status\":\"ok\""),
            "{response}"
        );
    }
    assert_eq!(proxy.upstream_calls(), 0);
    // Those who were there are not put out for those who came later.
    let last = idle.pop().expect("the last");
    let mut last = Way::ChatStream.ask_from(last, Provider::GROQ).await?;
    last.read_until("[DONE]").await?;
    drop((last, idle));
    let served = async {
        while !Way::ChatStream.post_json(&proxy, "{}").await.is_ok_and(|reply| reply.status == 400) {}
    };
    within_patience("room for new connections", served).await;
    before.assert_asked(&proxy, 1, "when there is room again").await
}
