//! Rows 74 to 77: clients that leave.

use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault};
use tokio::io::AsyncWriteExt as _;

use super::ways::{Before, Departure, Way, ending, is_abandoned};
use crate::support::{RawClient, TestProxy, http_client, within_patience};

/// How soon a client's leaving ends the call that was made for it. A busy machine may oversleep once, so the best of a
/// few counts.
const PROMPT: Duration = Duration::from_millis(100);
const TRIES: usize = 5;

/// Nobody waits in a queue here: who is let in holds a place from then on, also while its body is still to come.
#[tokio::test]
async fn row_074_a_client_that_leaves_before_anybody_is_asked_frees_its_place() -> anyhow::Result<()> {
    for way in Way::ALL {
        for departure in Departure::ALL {
            let case = format!("{way:?} {departure:?}");
            let proxy = TestProxy::builder().with("MAX_CONCURRENT_REQUESTS", 1).start().await?;
            let before = Before::case(&proxy).await?;
            let mut client = RawClient::connect(proxy.address).await?;
            client.stream.write_all(way.head("content-length: 1000\r\n").as_bytes()).await?;
            client.stream.write_all(b"{\"messages\":[").await?;
            until_a_place_is(&proxy, Taken, &case).await?;
            // Somebody who is refused, and does not wait to hear of it.
            let refused = way.ask(&proxy, Provider::GROQ).await?;
            departure.leave(refused).await?;
            let reading_on = departure.leave(client).await?;
            until_a_place_is(&proxy, Free, &case).await?;
            before.assert_nobody_was_asked(&proxy, &case).await?;
            drop(reading_on);
        }
    }
    Ok(())
}

use Place::{Free, Taken};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Free,
    Taken,
}

/// Waits until the only place for a request is as said, asking in a way that costs no provider anything.
async fn until_a_place_is(proxy: &TestProxy, wanted: Place, case: &str) -> anyhow::Result<()> {
    let client = http_client()?;
    let look = async {
        loop {
            // Refused for what it is, or for coming too late.
            let place = match client.post(proxy.url("/chat")).body("x").send().await?.status().as_u16() {
                415 => Free,
                503 => Taken,
                status => anyhow::bail!("{case}: {status}"),
            };
            if place == wanted {
                return Ok(());
            }
        }
    };
    within_patience(&format!("{case}: the place to be {wanted:?}"), look).await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_075_a_client_that_leaves_before_the_answer_begins_ends_the_call() -> anyhow::Result<()> {
    for (phase, after) in [("before the head", After::Nothing), ("before the first token", After::Head)] {
        for way in Way::ALL {
            for provider in Directory::core() {
                leave_in_time(way, provider, phase, after, None).await?;
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn row_076_a_client_that_leaves_in_the_middle_of_its_answer_ends_the_call() -> anyhow::Result<()> {
    for way in Way::ALL {
        for provider in Directory::core() {
            let seen = way.is_stream().then_some("One, ");
            leave_in_time(way, provider, "mid-stream", After::Text(1), seen).await?;
        }
    }
    Ok(())
}

/// Leaves in either manner once `after` is reached, and once the client has `seen` what it was sent.
async fn leave_in_time(
    way: Way,
    provider: Provider,
    phase: &str,
    after: After,
    seen: Option<&str>,
) -> anyhow::Result<()> {
    for departure in [Departure::Close, Departure::Reset] {
        let case = format!("{way:?} {provider:?} {phase} {departure:?}");
        let mut best = Duration::MAX;
        for _ in 0..TRIES {
            let proxy = TestProxy::start().await?;
            let before = Before::case(&proxy).await?;
            let simulated = proxy.provider(provider);
            let answer = Behaviour::answer(["One, ", "two."]).thinking(["hm"]);
            simulated.always(answer.with(Fault::Stall(after)));
            let mut client = way.ask(&proxy, provider).await?;
            within_patience(&case, simulated.until(|it| !it.chats().is_empty())).await;
            if let Some(text) = seen {
                client.read_until(text).await?;
            }
            let left = Instant::now();
            departure.leave(client).await?;
            let over = simulated.until(|it| is_abandoned(it) && it.open_connections() == 0);
            within_patience(&format!("the end of the call: {case}"), over).await;
            best = best.min(left.elapsed());
            before.assert_abandoned(&proxy, provider, &case).await?;
            if best < PROMPT {
                break;
            }
        }
        assert!(best < PROMPT, "{case}: {best:?}");
    }
    Ok(())
}

/// There is no telling a client that only stops sending from one that is gone, before it is too late for the quota.
#[tokio::test]
async fn row_077_a_half_closed_client_counts_as_gone() -> anyhow::Result<()> {
    let phases = [("before the head", After::Nothing), ("mid-stream", After::Text(1))];
    for (phase, after) in phases {
        for way in Way::ALL {
            let case = format!("{way:?} {phase}");
            let proxy = TestProxy::start().await?;
            let before = Before::case(&proxy).await?;
            let groq = proxy.provider(Provider::GROQ);
            groq.always(Behaviour::answer(["One, ", "two."]).with(Fault::Stall(after)));
            let mut client = way.ask(&proxy, Provider::GROQ).await?;
            within_patience(&case, groq.until(|it| !it.chats().is_empty())).await;
            if way.is_stream() && after == After::Text(1) {
                client.read_until("One, ").await?;
            }
            let client = Departure::HalfClose.leave(client).await?.expect("it reads on");
            before.assert_abandoned(&proxy, Provider::GROQ, &case).await?;
            let received = String::from_utf8(ending(&case, client).await)?;
            assert!(!received.contains("[DONE]") && !received.contains("two."), "{case}: {received}");
            assert!(!received.contains("\r\n0\r\n"), "{case}: it looks finished: {received}");
        }
    }
    Ok(())
}

/// What a client has sent beyond its request must not hide that it leaves.
#[tokio::test(flavor = "multi_thread")]
async fn row_091_a_client_that_leaves_with_more_requests_waiting_ends_the_call() -> anyhow::Result<()> {
    for (phase, after) in [("before the head", After::Nothing), ("mid-stream", After::Text(1))] {
        for way in Way::ALL {
            let unread = [
                ("a pipelined request", way.request("", &way.body())),
                ("many of them", "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(2_000)),
                ("half a request", "GET /hea".to_owned()),
                ("line ends", "\r\n\r\n".to_owned()),
                ("rubbish", "\0\u{1}".repeat(500)),
            ];
            for (what, bytes) in unread {
                for departure in [Departure::Close, Departure::Reset] {
                    let case = format!("{way:?} {phase} {departure:?} with {what}");
                    let proxy = TestProxy::start().await?;
                    let before = Before::case(&proxy).await?;
                    let groq = proxy.provider(Provider::GROQ);
                    groq.always(Behaviour::answer(["One, ", "two."]).with(Fault::Stall(after)));
                    let mut client = way.ask(&proxy, Provider::GROQ).await?;
                    client.stream.write_all(bytes.as_bytes()).await?;
                    within_patience(&case, groq.until(|it| !it.chats().is_empty())).await;
                    if way.is_stream() && after == After::Text(1) {
                        client.read_until("One, ").await?;
                    }
                    departure.leave(client).await?;
                    before.assert_abandoned(&proxy, Provider::GROQ, &case).await?;
                }
            }
        }
    }
    Ok(())
}
