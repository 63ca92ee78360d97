//! A client that leaves takes its call with it: how soon.

use std::time::{Duration, Instant};

use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Outcome, SimulatedProvider};

use crate::client::{Client, Leaving, question};
use crate::support::WORD;
use crate::{Figure, Size, groq, ms, percentile, proxy_over};

const BOUND: Duration = Duration::from_millis(100);

pub(crate) async fn measure(size: Size) -> Vec<Figure> {
    // A list of models that is asked for meanwhile must not push the completion out.
    let groq = groq(8).await;
    let proxy = proxy_over([&groq], &[]);
    let phases = [
        ("before the head", Fault::Stall(After::Nothing), false),
        ("mid-stream", Fault::Stall(After::Text(1)), true),
    ];
    let mut figures = Vec::new();
    for (phase, fault, is_streaming) in phases {
        groq.always(Behaviour::answer(["word number 1", "word number 2"]).with(fault));
        for leaving in [Leaving::Fin, Leaving::Rst] {
            let mut times = Vec::new();
            for number in 0..size.pick(30, 300) {
                let path = if number % 2 == 0 { "/chat" } else { "/v1/chat/completions" };
                let known = groq.chat_count();
                let mut client = Client::connect(&proxy).await;
                client.send(&question(path)).await.expect("a connection");
                groq.until(|it| it.chat_count() > known).await;
                if is_streaming {
                    client.read_until(WORD).await.expect("an event");
                }
                let left = Instant::now();
                client.leave(leaving);
                groq.until(|it| abandoned(it).is_some()).await;
                let closed = abandoned(&groq).expect("an end");
                times.push(closed.duration_since(left));
            }
            let median = percentile(&mut times, 0.5);
            let most = percentile(&mut times, 0.99);
            figures.push(Figure {
                name: format!("client gone → call closed, {phase}, {leaving:?}, {} departures", times.len()),
                bound: format!("p99 < {}", ms(BOUND)),
                measured: format!("p50 {}, p99 {}", ms(median), ms(most)),
                is_ok: most < size.allowed(BOUND),
            });
        }
    }
    figures
}

/// When the caller of the last completion left.
fn abandoned(provider: &SimulatedProvider) -> Option<Instant> {
    match provider.chats().last()?.outcome {
        Outcome::Abandoned(at) => Some(at.into_std()),
        Outcome::Open | Outcome::Answered(_) => None,
    }
}
