//! Answers of 100 pieces, one each 5 ms, asked for a hundred times a second, whether the answers before are there or not.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::table::{Table, micros, percentile};
use crate::upstream::Script;
use crate::ways::{ALL, FEW, Kind, Lineup, Setup, Way};

const PIECES: usize = 100;
const PACE: Duration = Duration::from_millis(5);
const REQUESTS_A_SECOND: u32 = 100;
/// More than are needed at a time, so that nobody waits for a connection.
const CONNECTIONS: usize = 80;

pub(crate) const NAME: &str = "100 tokens, 5 ms apart, 100 requests a second";
pub(crate) const CPU: &str = "CPU a token, µs";
pub(crate) const P50: &str = "added to first token p50, µs";
pub(crate) const P99: &str = "added to first token p99, µs";
const FIRST_P50: &str = "first token p50, µs";
const FIRST_P99: &str = "first token p99, µs";
const LATE: &str = "client's own lateness p99, µs";

pub(crate) async fn measure(setup: &Setup) -> Table {
    let kinds: &[Kind] = if setup.is_quick { &FEW } else { &ALL };
    let script = Script { pace: PACE, ..Script::at_once(PIECES) };
    let lineup = Lineup::open(setup, script, kinds).await;
    let mut table = Table::new(NAME);
    let seconds = setup.pick(1, 5);
    for round in 0..setup.rounds {
        for way in lineup.in_turn(round) {
            one(&mut table, way, seconds, round as u64).await;
        }
    }
    table.subtract_direct(FIRST_P50, P50);
    table.subtract_direct(FIRST_P99, P99);
    table
}

/// One way in one round. Every way of a round gets the same moments.
async fn one(table: &mut Table, way: &Way, seconds: u32, seed: u64) {
    let pool = connections(way).await;
    let cpu = way.cpu();
    let count = seconds * REQUESTS_A_SECOND;
    let mut starts = metronome(count, seed);
    let mut tasks = JoinSet::new();
    let request: Arc<[u8]> = way.request.clone().into();
    let address = way.address;
    while let Some(intended) = starts.recv().await {
        let (pool, request) = (pool.clone(), request.clone());
        tasks.spawn(async move {
            let idle = pool.lock().expect("no panic").pop();
            let mut client = match idle {
                Some(client) => client,
                None => Client::connect(address).await.map_err(|error| error.to_string())?,
            };
            let late = micros(intended.elapsed());
            let reply = client.ask(&request, PIECES).await?;
            pool.lock().expect("no panic").push(client);
            Ok::<_, String>((micros(reply.first - intended), late))
        });
    }
    let all: Result<Vec<_>, String> = tasks.join_all().await.into_iter().collect();
    let (mut first, mut late): (Vec<_>, Vec<_>) =
        all.unwrap_or_else(|what| way.fail(&what)).into_iter().unzip();
    let tokens = f64::from(count) * PIECES as f64;
    table.add(&way.name, CPU, micros(way.cpu() - cpu) / tokens);
    table.add(&way.name, FIRST_P50, percentile(&mut first, 0.5));
    table.add(&way.name, FIRST_P99, percentile(&mut first, 0.99));
    table.add(&way.name, LATE, percentile(&mut late, 0.99));
}

/// Open connections, each of which has been used once, all at the same time.
async fn connections(way: &Way) -> Arc<Mutex<Vec<Client>>> {
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (mut client, request) = (way.connect().await, way.request.clone());
        tasks.spawn(async move { client.ask(&request, PIECES).await.map(|_| client) });
    }
    let all: Result<Vec<_>, String> = tasks.join_all().await.into_iter().collect();
    Arc::new(Mutex::new(all.unwrap_or_else(|what| way.fail(&what))))
}

/// Sends each moment in which a request is to start, in that moment: one in each hundredth of a second, anywhere in it.
/// A thread, because the runtime's own timers fire only each millisecond.
fn metronome(count: u32, seed: u64) -> Receiver<Instant> {
    let (sender, receiver) = channel(1_000);
    let mut random = fastrand::Rng::with_seed(seed);
    std::thread::spawn(move || {
        let (begun, step) = (Instant::now(), Duration::from_secs(1) / REQUESTS_A_SECOND);
        for number in 0..count {
            let intended = begun + step * number + step.mul_f64(random.f64());
            std::thread::sleep(intended.saturating_duration_since(Instant::now()));
            if sender.blocking_send(intended).is_err() {
                return;
            }
        }
    });
    receiver
}
