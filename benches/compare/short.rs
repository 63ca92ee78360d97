//! Short replies, one after the other on each of some connections.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::table::{Table, micros, percentile};
use crate::upstream::Script;
use crate::ways::{ALL, Lineup, Setup, Way};

/// With the role, the finish, the usage and the end mark that makes 18 events of Groq's.
pub(crate) const PIECES: usize = 14;

pub(crate) const CPU: &str = "CPU a request, µs";
pub(crate) const P50: &str = "added p50, µs";
const P99: &str = "added p99, µs";
const TIME_P50: &str = "time p50, µs";
const TIME_P99: &str = "time p99, µs";
const BUSY: &str = "server busy, %";

/// How the figures with so many connections are called.
pub(crate) fn name(connections: usize) -> String {
    format!("Short replies, connections: {connections}")
}

pub(crate) async fn measure(setup: &Setup) -> Vec<Table> {
    let lineup = Lineup::open(setup, Script::at_once(PIECES), &ALL).await;
    let mut tables = Vec::new();
    for (connections, requests) in
        [(1, setup.pick(300, 1_500)), (16, setup.pick(960, 3_200)), (64, setup.pick(1_280, 6_400))]
    {
        let mut table = Table::new(name(connections));
        for round in 0..setup.rounds {
            for way in lineup.in_turn(round) {
                one(&mut table, way, connections, requests).await;
            }
        }
        table.subtract_direct(TIME_P50, P50);
        table.subtract_direct(TIME_P99, P99);
        tables.push(table);
    }
    tables
}

/// One way in one round.
async fn one(table: &mut Table, way: &Way, connections: usize, requests: usize) {
    // Opens the connections on both sides.
    load(way, connections, connections * 2).await;
    let (cpu, begun) = (way.cpu(), Instant::now());
    let mut times = load(way, connections, requests).await;
    let (cpu, taken) = (way.cpu() - cpu, begun.elapsed());
    table.add(&way.name, CPU, micros(cpu) / requests as f64);
    table.add(&way.name, TIME_P50, percentile(&mut times, 0.5));
    table.add(&way.name, TIME_P99, percentile(&mut times, 0.99));
    table.add(&way.name, BUSY, cpu.as_secs_f64() / taken.as_secs_f64() * 100.0);
}

/// Gives how long each reply took, from the request to the end, in µs.
pub(crate) async fn load(way: &Way, connections: usize, requests: usize) -> Vec<f64> {
    let mut tasks = JoinSet::new();
    let request: Arc<[u8]> = way.request.clone().into();
    for _ in 0..connections {
        let (mut client, request) = (way.connect().await, request.clone());
        tasks.spawn(async move {
            let mut times = Vec::with_capacity(requests / connections);
            for _ in 0..requests / connections {
                let begun = Instant::now();
                let reply = client.ask(&request, PIECES).await?;
                times.push(micros(reply.end - begun));
            }
            Ok::<_, String>(times)
        });
    }
    let all: Result<Vec<_>, String> = tasks.join_all().await.into_iter().collect();
    all.unwrap_or_else(|what| way.fail(&what)).concat()
}
