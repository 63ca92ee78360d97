//! Ordinary weather: one call in twenty fails, independently of all others. How many clients are refused, beside a caller
//! that simply tries the next provider in the same weather.

use std::sync::Arc;
use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, SimulatedProvider, Simulator, Trouble};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::support::{Process, post};
use crate::{Figure, Size, leading_to, proxy_over, settings, simulator};

/// The share of calls that fail.
const FAILING: f64 = 0.05;

/// What may be refused of all requests in the weather: hardly more than the one in eight thousand that nobody can help.
const BOUND: f64 = 0.001;
/// The same over one provider alone, where nobody else can help.
const BOUND_ALONE: f64 = 0.06;
/// The same of those beside a client whose requests come to nothing.
const BOUND_BESIDE: f64 = 0.01;

pub(crate) async fn measure(size: Size) -> Vec<Figure> {
    let span = Duration::from_secs(size.pick(10, 60));
    let mut figures = vec![three_providers(20, span).await, three_providers(5, span).await];
    figures.push(one_provider(span, size.pick(0.09, BOUND_ALONE)).await);
    figures.push(beside_a_stop_word(span).await);
    figures
}

/// Requests come at this rate, whether earlier ones are answered or not.
async fn three_providers(a_second: u32, span: Duration) -> Figure {
    let mut random = fastrand::Rng::with_seed(11);
    let simulator = simulator(0).await;
    simulator.providers().for_each(|provider| foresee(provider, &mut random));
    let proxy = proxy_over(simulator.providers(), &[]);
    let refused = refused(&proxy, a_second, span, &body(None)).await;

    let plain = crate::simulator(0).await;
    plain.providers().for_each(|provider| foresee(provider, &mut random));
    let next = try_the_next(&plain, a_second, span).await;
    figure(&format!("refused of {a_second} requests a second, three providers"), BOUND, refused, Some(next))
}

async fn one_provider(span: Duration, bound: f64) -> Figure {
    let mut random = fastrand::Rng::with_seed(12);
    let groq = SimulatedProvider::start(Provider::GROQ, settings(Provider::GROQ, 0)).await.expect("a port");
    foresee(&groq, &mut random);
    let model = [("GROQ_MODEL", "openai/gpt-oss-20b")];
    let proxy = proxy_over([&groq], &model);
    // At more than one a second, so that enough of them say something.
    let refused = refused(&proxy, 10, span, &body(None)).await;
    figure("refused of 10 requests a second, one provider and one model", bound, refused, None)
}

/// The client asks for what begins with its own stop word, so that every provider's answer is empty.
async fn beside_a_stop_word(span: Duration) -> Figure {
    let simulator = simulator(0).await;
    simulator.providers().for_each(|provider| provider.always(Behaviour::answer(["word number 1"])));
    let proxy = Arc::new(proxy_over(simulator.providers(), &[]));
    let nuisance = {
        let proxy = proxy.clone();
        tokio::spawn(async move {
            loop {
                ask(&proxy, &body(Some("word"))).await;
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        })
    };
    let refused = refused(&proxy, 10, span, &body(None)).await;
    nuisance.abort();
    figure(
        "refused of 10 requests a second beside a client whose stop word is hit at once",
        BOUND_BESIDE,
        refused,
        None,
    )
}

fn figure(name: &str, bound: f64, (refused, of): (u32, u32), next: Option<(u32, u32)>) -> Figure {
    let share = |refused: u32, of: u32| f64::from(refused) / f64::from(of);
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let beside = next.map_or_else(String::new, |(refused, of)| {
        format!("; plain try-the-next {} ({refused} of {of})", percent(share(refused, of)))
    });
    Figure {
        name: format!(
            "{name}, {} % of calls failing",
            if name.contains("stop word") { 0.0 } else { FAILING * 100.0 }
        ),
        bound: format!("≤ {}", percent(bound)),
        measured: format!("{} ({refused} of {of}){beside}", percent(share(refused, of))),
        // One of a few hundred is chance.
        is_ok: share(refused, of) <= bound || refused <= 1,
    }
}

/// What becomes of the calls to come: each by itself well or not.
fn foresee(provider: &SimulatedProvider, random: &mut fastrand::Rng) {
    const CALLS: u32 = 4_000;
    let answer = || Behaviour::answer(["word number 1 ", "word number 2"]);
    provider.always(answer());
    for _ in 0..CALLS {
        provider.then(if random.f64() >= FAILING {
            answer()
        } else {
            match random.u32(0..3) {
                0 => Behaviour::trouble(Trouble::ServerError),
                1 => Behaviour::trouble(Trouble::Overloaded),
                _ => answer().with(Fault::Reset(After::Nothing)),
            }
        });
    }
}

fn body(stop: Option<&str>) -> String {
    let stop = stop.map_or_else(String::new, |stop| format!(",\"stop\":[\"{stop}\"]"));
    format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"Hola\"}}],\"stream\":true{stop}}}")
}

async fn ask(proxy: &Process, body: &str) -> u16 {
    let mut client = Client::connect(proxy).await;
    client.send(&post("/v1/chat/completions", body)).await.expect("a connection");
    client.reply().await.map_or(0, |reply| reply.status)
}

/// How many of how many requests were not answered.
async fn refused(proxy: &Process, a_second: u32, span: Duration, body: &str) -> (u32, u32) {
    let total = a_second * u32::try_from(span.as_secs()).expect("a minute or so");
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / a_second);
    let mut asked = JoinSet::new();
    for _ in 0..total {
        ticks.tick().await;
        let mut client = Client::connect(proxy).await;
        let request = post("/v1/chat/completions", body);
        asked.spawn(async move {
            client.send(&request).await.expect("a connection");
            client.reply().await.is_ok_and(|reply| reply.status == 200)
        });
    }
    let answered = asked.join_all().await;
    (answered.iter().filter(|is_answered| !**is_answered).count() as u32, total)
}

/// The simplest caller there is: whoever's turn it is, and then the next, and then the next.
async fn try_the_next(simulator: &Simulator, a_second: u32, span: Duration) -> (u32, u32) {
    let total = a_second * u32::try_from(span.as_secs()).expect("a minute or so");
    // Each over a proxy of its own that knows nobody else, so that the wire is the same; a new one has no memory, and with
    // one candidate nothing of it would count.
    let proxies: Vec<Process> = simulator
        .providers()
        .map(|provider| {
            let model = (
                provider.provider().profile().models_variable,
                provider.provider().profile().models[0].id.to_owned(),
            );
            Process::proxy(
                leading_to([provider], "key").into_iter().chain([model, ("MAX_ATTEMPTS", "1".to_owned())]),
                |_| {},
            )
        })
        .collect();
    let proxies = Arc::new(proxies);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / a_second);
    let mut asked = JoinSet::new();
    for number in 0..total as usize {
        ticks.tick().await;
        let proxies = proxies.clone();
        asked.spawn(async move {
            for turn in 0..proxies.len() {
                let proxy = &proxies[(number + turn) % proxies.len()];
                if ask(proxy, &body(None)).await == 200 {
                    return true;
                }
            }
            false
        });
    }
    let answered = asked.join_all().await;
    (answered.iter().filter(|is_answered| !**is_answered).count() as u32, total)
}
