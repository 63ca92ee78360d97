//! The end of the process while streams are open.

use std::process::Command;
use std::time::{Duration, Instant};

use ai_proxy_free::internals::simulator::{After, Behaviour, Fault};
use tokio::task::JoinSet;

use crate::client::{Client, question};
use crate::support::WORD;
use crate::{Figure, Size, groq, ms, proxy_over};

const STREAMS: usize = 200;
const GRACE: Duration = Duration::from_secs(3);
/// Beyond the grace.
const SLACK: Duration = Duration::from_secs(1);

/// What a client has in its hands at the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Finished,
    ToldOfTheEnd,
    Truncated,
}

pub(crate) async fn measure(size: Size) -> Vec<Figure> {
    let groq = groq(0).await;
    let words = || Behaviour::answer((0..20).map(|number| format!("word number {number} ")));
    for number in 0..STREAMS {
        groq.then(match number % 2 {
            0 => words().paced(Duration::from_millis(100)),
            _ => words().with(Fault::Stall(After::Text(3))),
        });
    }
    let grace = GRACE.as_secs().to_string();
    let mut proxy = proxy_over([&groq], &[("SHUTDOWN_GRACE_SECONDS", grace.as_str())]);
    let mut clients = Vec::new();
    for number in 0..STREAMS {
        let path = if number % 4 < 2 { "/chat" } else { "/v1/chat/completions" };
        let mut client = Client::connect(&proxy).await;
        client.send(&question(path)).await.expect("a connection");
        clients.push(client);
    }
    for client in &mut clients {
        client.read_until(WORD).await.expect("an event");
    }
    let signalled = Instant::now();
    let id = proxy.child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().expect("kill").success());
    let mut endings = JoinSet::new();
    for client in clients {
        endings.spawn(ending(client));
    }
    let status = tokio::task::spawn_blocking(move || {
        let status = proxy.child.wait().expect("an end");
        (status.code(), signalled.elapsed())
    });
    let (code, took) = status.await.expect("an end");
    let endings = endings.join_all().await;
    let count = |ending| endings.iter().filter(|it| **it == ending).count();
    let (finished, told) = (count(Ending::Finished), count(Ending::ToldOfTheEnd));
    vec![
        Figure {
            name: format!("SIGTERM with {STREAMS} open streams: end of the process"),
            bound: format!("code 0 within {} + {}", ms(GRACE), ms(SLACK)),
            measured: format!("code {code:?} after {}", ms(took)),
            is_ok: code == Some(0) && took <= GRACE + size.allowed(SLACK),
        },
        Figure {
            name: "what their clients got, half of them from providers that never end".to_owned(),
            bound: "a finish or an error, all of them".to_owned(),
            measured: format!(
                "{finished} finished, {told} told of the end, {} truncated",
                count(Ending::Truncated)
            ),
            is_ok: finished == STREAMS / 2 && told == STREAMS / 2,
        },
    ]
}

async fn ending(mut client: Client) -> Ending {
    if client.reply().await.is_err() {
        return Ending::Truncated;
    }
    let text = String::from_utf8_lossy(&client.received);
    match (text.contains("data: [DONE]\n\n"), text.contains("shutting down")) {
        (true, false) => Ending::Finished,
        (false, true) => Ending::ToldOfTheEnd,
        _ => Ending::Truncated,
    }
}
