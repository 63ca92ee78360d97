//! Very many requests in bad weather: a tenth of the clients leave, providers fail one after the other, and in the end
//! everything must be as it was.
//!
//! Tasks cannot be counted from outside. Each has a socket, so descriptors stand for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ai_proxy_free::internals::simulator::{SimulatedProvider, Simulator};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use crate::client::{Client, HEALTH};
use crate::storms::{answer, sprinkle, storms};
use crate::support::{Process, WORD, post};
use crate::{Figure, Size, comes_true, leading_to, simulator};

/// How many clients there are at once.
const CROWD: u64 = 64;

/// In percent of the requests.
const CANCELS: u32 = 10;

/// Who leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Departures {
    Nobody,
    /// [`CANCELS`] percent.
    Some,
}

pub(crate) async fn measure(size: Size, requests: u64) -> Vec<Figure> {
    let simulator = Arc::new(simulator(256).await);
    simulator.providers().for_each(|provider| provider.always(answer()));
    let log = Arc::new(Log::default());
    // Many keys, so that a limit puts only a small part of a provider into cooldown.
    let keys = (0..100).map(|number| format!("key{number}")).collect::<Vec<_>>().join(",");
    let clocks = [("FIRST_TOKEN_TIMEOUT_MS", "1000"), ("IDLE_TIMEOUT_MS", "1000")];
    let clocks = clocks.map(|(name, value)| (name, value.to_owned()));
    let watch = log.clone();
    let variables = leading_to(simulator.providers(), &keys).into_iter().chain(clocks);
    let proxy = Arc::new(Process::proxy(variables, move |line| watch.read(line)));

    let tally = Arc::new(Tally::default());
    let begun = Instant::now();
    run(&proxy, &simulator, &tally, size.pick(500, 10_000), Departures::Nobody).await;
    let counts_while_all_stayed = counts(&proxy, &simulator).await;
    // Every kind of storm asks for a little memory the first time: most of them pass before the count begins.
    run(&proxy, &simulator, &tally, size.pick(500, requests.clamp(10_000, 100_000)), Departures::Some).await;
    let start = State::settled(&proxy, &simulator, size).await;
    run(&proxy, &simulator, &tally, requests, Departures::Some).await;
    let end = State::settled(&proxy, &simulator, size).await;
    let took = begun.elapsed();
    let mut figures = drift(size, requests, &start, &end);
    figures.extend(outcomes(&tally, &log));
    figures.extend(counters(&counts_while_all_stayed, &counts(&proxy, &simulator).await, &tally, &log));
    figures.push(Figure {
        name: "soak: time with everything".to_owned(),
        bound: "–".to_owned(),
        measured: format!("{:.0} s", took.as_secs_f64()),
        is_ok: true,
    });
    figures
}

/// What has stayed behind.
fn drift(size: Size, requests: u64, start: &State, end: &State) -> Vec<Figure> {
    // The memory of a program that has hardly begun still finds its level.
    let bound = size.pick(40.0, 5.0);
    let drift = (end.memory_kib / start.memory_kib - 1.0) * 100.0;
    let same = |what: &str, count: fn(&State) -> usize| Figure {
        name: format!("soak: {what} before and after"),
        bound: "the same".to_owned(),
        measured: format!("{} and {}", count(start), count(end)),
        is_ok: count(start) == count(end),
    };
    vec![
        Figure {
            name: format!("soak of {requests} requests: memory before and after"),
            bound: format!("± {bound} %"),
            measured: format!("{:.0} and {:.0} KiB: {drift:+.1} %", start.memory_kib, end.memory_kib),
            is_ok: drift.abs() <= bound,
        },
        same("descriptors, without connections to providers", |state| state.own_descriptors),
        Figure {
            // In a quick run some are still kept, as many as were needed at once.
            is_ok: size == Size::Quick || start.upstream == end.upstream,
            ..same("unused connections to providers", |state| state.upstream)
        },
        same("threads", |state| state.threads),
    ]
}

fn number(of: &AtomicU64) -> u64 {
    of.load(Ordering::Relaxed)
}

/// What became of the requests.
fn outcomes(tally: &Tally, log: &Log) -> Vec<Figure> {
    let lost = number(&tally.lost);
    let open = log.open.load(Ordering::Relaxed);
    vec![
        Figure {
            name: "soak: what the clients got".to_owned(),
            bound: "nobody without an outcome".to_owned(),
            measured: format!(
                "{} answered, {} interrupted, {} refused, {} left, {lost} lost",
                number(&tally.answered),
                number(&tally.interrupted),
                number(&tally.refused),
                number(&tally.left)
            ),
            is_ok: lost == 0,
        },
        Figure {
            name: "soak: requests that have begun in the log and not ended".to_owned(),
            bound: "0".to_owned(),
            measured: format!("{open} of {}", number(&log.begun)),
            is_ok: open == 0,
        },
    ]
}

/// Whether everybody counts alike.
fn counters(all_stayed: &[Counts], end: &[Counts], tally: &Tally, log: &Log) -> Vec<Figure> {
    let calls = |counts: &[Counts]| -> (Vec<u64>, Vec<u64>) {
        counts.iter().map(|it| (it.received, it.count)).unzip()
    };
    let (received, told) = calls(all_stayed);
    let while_all_stayed = Figure {
        name: "soak: calls as providers and as /health count them, before anybody left".to_owned(),
        bound: "the same".to_owned(),
        measured: format!("{received:?} and {told:?}"),
        is_ok: received == told,
    };
    // Whoever leaves at once takes along a call that has been counted and not yet sent.
    let (received, told) = calls(end);
    let unsent: Vec<u64> = told.iter().zip(&received).map(|(told, sent)| told.wrapping_sub(*sent)).collect();
    let left_early = number(&tally.left_early);
    let in_the_end = Figure {
        name: "soak: the same in the end".to_owned(),
        bound: format!("the same, but for {left_early} who left early"),
        measured: format!("{received:?} and {told:?}"),
        is_ok: unsent.iter().all(|unsent| *unsent <= left_early),
    };
    let failures: u64 = end.iter().map(|it| it.failures).sum();
    let failed = Figure {
        name: "soak: failed calls in /health and in the log".to_owned(),
        bound: "the same".to_owned(),
        measured: format!("{failures} and {} of {} calls", number(&log.failures), told.iter().sum::<u64>()),
        is_ok: failures == number(&log.failures),
    };
    let (least, most) = (received.iter().min().copied(), received.iter().max().copied());
    let share = least.unwrap_or_default() as f64 / most.unwrap_or_default() as f64;
    let even = Figure {
        // They fail equally often, so whoever is called less is not let back in.
        name: "soak: calls to the provider that got least ÷ to the one that got most".to_owned(),
        bound: "≥ 0.7".to_owned(),
        measured: format!("{share:.2}"),
        is_ok: share >= 0.7,
    };
    vec![while_all_stayed, in_the_end, failed, even]
}

/// What clients got.
#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    /// Told in the middle of an answer that it will not be completed.
    interrupted: AtomicU64,
    /// Told why there is no answer.
    refused: AtomicU64,
    left: AtomicU64,
    /// Those of them who did not wait for a first word.
    left_early: AtomicU64,
    /// Nothing, or not all of it.
    lost: AtomicU64,
}

/// What the log tells.
#[derive(Default)]
struct Log {
    begun: AtomicU64,
    /// Begun and not ended.
    open: AtomicI64,
    failures: AtomicU64,
}

impl Log {
    fn read(&self, line: &str) {
        let says = |text: &str| line.contains(text);
        if says("INFO: Request with ") {
            self.begun.fetch_add(1, Ordering::Relaxed);
            self.open.fetch_add(1, Ordering::Relaxed);
        } else if says(" answered ")
            || says("Answer interrupted: ")
            || says("Request failed: ")
            || says("Client left before the end")
        {
            self.open.fetch_sub(1, Ordering::Relaxed);
        } else if says("panicked") || says("bug") {
            eprintln!("{line}");
        }
        if says("WARN: ") && says(" reason=") || says("Answer interrupted: ") {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What the proxy takes when nothing is asked of it.
struct State {
    memory_kib: f64,
    own_descriptors: usize,
    upstream: usize,
    threads: usize,
}

impl State {
    async fn settled(proxy: &Process, simulator: &Simulator, size: Size) -> Self {
        let upstream = || simulator.providers().map(SimulatedProvider::open_connections).sum::<usize>();
        // Unused connections to providers are kept for 50 s, and looked for every 50 s.
        let limit = size.pick(Duration::from_secs(3), Duration::from_secs(110));
        comes_true(limit, || upstream() == 0).await;
        let upstream = upstream();
        Self {
            memory_kib: proxy.memory_kib(),
            own_descriptors: proxy.descriptors() - upstream,
            upstream,
            threads: proxy.threads(),
        }
    }
}

/// The calls to one provider.
struct Counts {
    /// As it has received them.
    received: u64,
    /// As `/health` has them.
    count: u64,
    failures: u64,
}

async fn counts(proxy: &Process, simulator: &Simulator) -> Vec<Counts> {
    let mut client = Client::connect(proxy).await;
    client.send(HEALTH).await.expect("a connection");
    let health: serde_json::Value =
        serde_json::from_str(&client.reply().await.expect("an answer").body).expect("JSON");
    let counts = |provider: &SimulatedProvider| {
        let told = &health["stats"]["services"][provider.provider().name()];
        let told = |name: &str| told[name].as_u64().expect("a number");
        Counts { received: provider.chat_count(), count: told("count"), failures: told("failures") }
    };
    simulator.providers().map(counts).collect()
}

/// Has `requests` made, in bad weather.
async fn run(
    proxy: &Arc<Process>,
    simulator: &Arc<Simulator>,
    tally: &Arc<Tally>,
    requests: u64,
    departures: Departures,
) {
    let left = Arc::new(AtomicI64::new(i64::try_from(requests).expect("a sensible number")));
    let mut clients = JoinSet::new();
    for _ in 0..CROWD {
        let (proxy, simulator, tally, left) = (proxy.clone(), simulator.clone(), tally.clone(), left.clone());
        clients.spawn(async move {
            let mut client = None;
            while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                sprinkle(&simulator);
                let connected = match client.take() {
                    Some(client) => client,
                    None => Client::connect(&proxy).await,
                };
                client = one_request(connected, &tally, departures).await;
            }
        });
    }
    let all = async {
        while let Some(ended) = clients.join_next().await {
            ended.expect("a client's end");
        }
    };
    tokio::select! {
        () = all => {}
        () = storms(simulator) => {}
    }
    simulator.providers().for_each(|provider| provider.always(answer()));
}

/// Asks, and gets an answer or leaves; gives the connection back if it can be used again.
async fn one_request(mut client: Client, tally: &Tally, departures: Departures) -> Option<Client> {
    let path = if fastrand::bool() { "/chat" } else { "/v1/chat/completions" };
    let is_stream = fastrand::u32(0..10) < 7;
    let body = format!(r#"{{"messages":[{{"role":"user","content":"Hola"}}],"stream":{is_stream}}}"#);
    let sent = client.send(&post(path, &body)).await;
    if departures == Departures::Some && fastrand::u32(0..100) < CANCELS {
        leave(client, is_stream, tally).await;
        return None;
    }
    let reply = match sent {
        Ok(()) => tokio::time::timeout(Duration::from_secs(30), client.reply()).await,
        Err(error) => Ok(Err(error)),
    };
    let (of, is_usable) = match reply {
        Ok(Ok(reply)) if is_complete(&reply.body, is_stream) && reply.status == 200 => {
            (&tally.answered, true)
        }
        Ok(Ok(reply)) if reply.status == 200 && reply.body.contains("\"error\"") => {
            (&tally.interrupted, false)
        }
        Ok(Ok(reply)) if reply.status != 200 && reply.body.contains("\"error\"") => (&tally.refused, true),
        other => {
            let what = other.map(|reply| reply.map(|reply| (reply.status, reply.body)));
            eprintln!("lost: {what:?} after {}", String::from_utf8_lossy(&client.received));
            (&tally.lost, false)
        }
    };
    of.fetch_add(1, Ordering::Relaxed);
    is_usable.then_some(client)
}

fn is_complete(body: &str, is_stream: bool) -> bool {
    if is_stream { body.contains("data: [DONE]\n\n") } else { body.contains("\"finish_reason\":\"") }
}

/// Leaves at some moment, in some way.
async fn leave(mut client: Client, is_stream: bool, tally: &Tally) {
    tally.left.fetch_add(1, Ordering::Relaxed);
    if is_stream && fastrand::bool() {
        // There may be none.
        let _ = tokio::time::timeout(Duration::from_secs(5), client.read_until(WORD)).await;
    } else {
        tally.left_early.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..6_000))).await;
    }
    if fastrand::bool() {
        let _ = client.stream.set_zero_linger();
    } else {
        let _ = client.stream.shutdown().await;
    }
}
