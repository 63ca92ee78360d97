//! Rows 1 to 14: there is no way to a provider, or it ends before an answer begins.
//!
//! Row 2, a name that nobody resolves, is a test of `upstream` itself, which alone can be given another resolver. Rows 5
//! to 7, 12 and 14 are about TLS and stand in `https`.

use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::Provider;
use tokio::net::{TcpSocket, TcpStream};

use super::dialect::{Dialect, open_stream, whole_stream};
use super::told::Told;
use super::trial::{Failure, falls_back, fault, nobody_at};
use super::ways::Way;
use crate::support::{
    Binary, ProxyBuilder, RawUpstream, Script, Step, TestProxy, chat, http_client, question,
};

const CONNECT_FAILED: Failure = Failure::new(502, "connect_failed");
const UPSTREAM_ERROR: Failure = Failure::new(502, "upstream_error");

#[tokio::test]
async fn row_001_a_name_that_does_not_exist_falls_back() -> anyhow::Result<()> {
    // Finding out that there is no such name takes some machines five seconds.
    let nowhere = nobody_at("http://nowhere.invalid").with("CONNECT_TIMEOUT_MS", 18_000);
    falls_back(CONNECT_FAILED, [nowhere]).await
}

#[tokio::test]
async fn row_003_a_refused_connection_falls_back() -> anyhow::Result<()> {
    // Bound and not listening: nobody else gets the port meanwhile.
    let closed = TcpSocket::new_v4()?;
    closed.bind("127.0.0.1:0".parse()?)?;
    falls_back(CONNECT_FAILED, [nobody_at(format!("http://{}", closed.local_addr()?))]).await
}

/// The backlog of a listener that never accepts is full, so the kernel answers nobody any more.
#[tokio::test]
async fn row_004_a_connection_that_nobody_answers_is_given_up() -> anyhow::Result<()> {
    let full = TcpSocket::new_v4()?;
    full.bind("127.0.0.1:0".parse()?)?;
    let full = full.listen(1)?;
    let address = full.local_addr()?;
    let mut waiting = Vec::new();
    let wait = Duration::from_millis(200);
    while let Ok(stream) = tokio::time::timeout(wait, TcpStream::connect(address)).await {
        waiting.push(stream?);
    }
    let unanswered = nobody_at(format!("http://{address}")).with("CONNECT_TIMEOUT_MS", 500);
    let unanswered = unanswered.with("FIRST_TOKEN_TIMEOUT_MS", 600_000);
    falls_back(Failure::new(504, "timeout"), [unanswered]).await
}

/// The proxy variables of the environment are for hosts that are elsewhere.
#[tokio::test]
async fn row_008_proxies_of_the_environment_are_for_real_hosts_only() -> anyhow::Result<()> {
    let script = whole_stream(&Dialect(Provider::GROQ).stream(&["canary-answer"]));
    let upstream = RawUpstream::always(script).await?;
    let dead = "http://127.0.0.1:9".to_owned();
    let cases = [
        ("http://groq.invalid".to_owned(), upstream.base_url(), "POST http://groq.invalid/openai/v1/"),
        (upstream.base_url(), dead, "POST /openai/v1/"),
    ];
    for (base_url, proxy, request) in cases {
        let variables = [("GROQ_API_KEY", "key".to_owned()), ("GROQ_BASE_URL", base_url)];
        let proxies = ["HTTP_PROXY", "http_proxy", "ALL_PROXY"].map(|name| (name, proxy.clone()));
        let variables = variables.into_iter().chain(proxies).map(|(name, value)| (name.to_owned(), value));
        let (_binary, address) = Binary::start(&[], variables.collect()).await?;
        let response = http_client()?.post(format!("http://{address}/chat")).json(&question()).send().await?;
        assert_eq!(response.status(), 200, "{request}: {}", response.text().await?);
        let requests = upstream.requests();
        assert!(requests.iter().any(|it| it.starts_with(request)), "{requests:?}");
    }
    Ok(())
}

/// A proxy that knows only Groq, which is met at `upstream`.
fn over_groq(upstream: &RawUpstream) -> ProxyBuilder {
    let builder = TestProxy::builder().only([Provider::GROQ]).with("GROQ_MODEL", "openai/gpt-oss-20b");
    builder.with("GROQ_BASE_URL", upstream.base_url())
}

fn well() -> Script {
    whole_stream(&Dialect(Provider::GROQ).stream(&["canary-answer"]))
}

/// Asks once more; the answer is whole.
async fn answers(proxy: &TestProxy, way: Way) -> anyhow::Result<()> {
    let told = way.told(&way.ask_anybody(proxy).await?);
    assert!(matches!(&told, Told::Answer { text, .. } if text == "canary-answer"), "{way:?}: {told:?}");
    Ok(())
}

#[tokio::test]
async fn row_009_a_kept_connection_that_has_ended_is_not_noticed() -> anyhow::Result<()> {
    for way in Way::ALL {
        let closing = || [well(), vec![Step::Pause(Duration::from_millis(50)), Step::Close]].concat();
        let upstream = RawUpstream::start(move |_| closing()).await?;
        let proxy = over_groq(&upstream).start().await?;
        for connections in 1..=3 {
            answers(&proxy, way).await?;
            upstream.until("the connection to end", |traffic| traffic.open == 0).await;
            assert_eq!(upstream.traffic().connections, connections, "{way:?}");
        }
        assert_eq!(proxy.counts(Provider::GROQ).await?, (3, 0), "{way:?}");
    }
    Ok(())
}

/// The request has gone into a connection that had served before and said nothing more: it is sent again on a new one,
/// although other old ones are there, and counts once.
#[tokio::test]
async fn row_010_what_a_kept_connection_swallows_is_sent_again() -> anyhow::Result<()> {
    for end in [Step::Close, Step::Reset] {
        for way in Way::ALL {
            // Two connections serve side by side; both then end when they are used again.
            let script = {
                let end = end.clone();
                move |number| match number {
                    0 | 1 => [vec![Step::Pause(Duration::from_millis(200))], well()].concat(),
                    2 => vec![end.clone()],
                    _ => well(),
                }
            };
            let upstream = RawUpstream::start(script).await?;
            let proxy = over_groq(&upstream).start().await?;
            tokio::try_join!(answers(&proxy, way), answers(&proxy, way))?;
            assert_eq!(upstream.traffic().connections, 2, "{way:?}");
            answers(&proxy, way).await?;
            let traffic = upstream.traffic();
            assert_eq!(
                (traffic.connections, traffic.requests),
                (3, 4),
                "{way:?} {end:?}: on a new connection"
            );
            assert_eq!(proxy.counts(Provider::GROQ).await?, (3, 0), "{way:?} {end:?}: nobody has failed");
        }
    }
    Ok(())
}

/// Once is enough: a provider that ends every connection is not asked for ever.
#[tokio::test]
async fn row_010_nothing_is_sent_three_times() -> anyhow::Result<()> {
    let upstream = RawUpstream::start(|number| if number == 0 { well() } else { vec![Step::Close] }).await?;
    let proxy = over_groq(&upstream).start().await?;
    answers(&proxy, Way::ChatStream).await?;
    assert_eq!(chat(&proxy, &question()).await?.status, 502);
    assert_eq!(upstream.traffic().requests, 3);
    Ok(())
}

/// Whoever has had a request for seconds has read it, and may have charged for it.
#[tokio::test]
async fn row_010_what_was_worked_on_is_not_sent_again() -> anyhow::Result<()> {
    let works = || vec![Step::Pause(Duration::from_secs(3)), Step::Close];
    let upstream = RawUpstream::start(move |number| if number == 1 { works() } else { well() }).await?;
    let proxy = over_groq(&upstream).start().await?;
    answers(&proxy, Way::ChatStream).await?;
    assert_eq!(chat(&proxy, &question()).await?.status, 502);
    assert_eq!(upstream.traffic().requests, 2);
    Ok(())
}

#[tokio::test]
async fn row_011_a_new_connection_that_ends_without_a_word_falls_back() -> anyhow::Result<()> {
    let faults = [fault("closed", |_| vec![Step::Close]), fault("reset", |_| vec![Step::Reset])];
    falls_back(UPSTREAM_ERROR, faults).await
}

/// A peer that freezes takes one request with it, and none after it.
#[tokio::test]
async fn row_013_a_frozen_connection_is_used_no_more() -> anyhow::Result<()> {
    for way in Way::ALL {
        let upstream =
            RawUpstream::start(|number| if number == 1 { vec![Step::Stall] } else { well() }).await?;
        let proxy = over_groq(&upstream).with("REQUEST_TIMEOUT_MS", 1_000).start().await?;
        answers(&proxy, way).await?;
        let told = way.told(&way.ask_anybody(&proxy).await?);
        assert!(matches!(told, Told::Refused { status: 504, .. }), "{way:?}: {told:?}");
        proxy.clock.advance(Duration::from_secs(60));
        answers(&proxy, way).await?;
        assert_eq!(upstream.traffic().connections, 2, "{way:?}");
    }
    Ok(())
}

/// None waits for another: each has a connection of its own, however many there are.
#[tokio::test]
async fn row_014_hundreds_of_streams_to_one_provider_do_not_wait_for_each_other() -> anyhow::Result<()> {
    const STREAMS: usize = 250;
    let beginning = open_stream(&Dialect(Provider::GROQ).text("canary-answer"));
    let upstream = RawUpstream::always(vec![Step::Send(beginning), Step::Stall]).await?;
    let proxy = over_groq(&upstream).start().await?;
    let client = http_client()?;
    let begun = Instant::now();
    let mut open = Vec::new();
    for _ in 0..STREAMS {
        let mut response = client.post(proxy.url("/chat")).json(&question()).send().await?;
        assert!(response.chunk().await?.is_some());
        open.push(response);
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "nobody waited for a clock");
    assert_eq!(upstream.traffic().open, STREAMS);
    drop(open);
    upstream.until("all calls to end", |traffic| traffic.open == 0).await;
    Ok(())
}
