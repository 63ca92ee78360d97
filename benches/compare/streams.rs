//! Thousands of slow streams at a time: memory for each, and whether the events of any come late.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::client::Client;
use crate::table::{Table, percentile};
use crate::text::{micros_of_now, pieces, stamp};
use crate::upstream::{Script, Upstream};
use crate::ways::{FEW, Kind, Setup, Way};

pub(crate) const MEMORY: &str = "memory a stream, KiB";
pub(crate) const MEMORY_OF_ALL: &str = "memory a stream with all open, KiB";
pub(crate) const ERRORS: &str = "errors";
pub(crate) const LATE_P50: &str = "events late by p50, ms";
pub(crate) const LATE_P99: &str = "events late by p99, ms";
pub(crate) const LATEST: &str = "latest event, ms";

/// Before memory is compared: what the first streams cost is the server's, not theirs.
const WARM_UP: usize = 100;

/// How many, and how they go.
#[derive(Clone, Copy)]
struct Plan {
    /// When memory is looked at.
    some: usize,
    all: usize,
    /// Of each stream, one in `pace`.
    pieces: usize,
    pace: Duration,
    opened_a_second: u32,
}

pub(crate) fn name(setup: &Setup) -> String {
    let plan = plan(setup);
    format!(
        "Slow streams, one event in {} s: memory at {}, then {}",
        plan.pace.as_secs(),
        plan.some,
        plan.all
    )
}

fn plan(setup: &Setup) -> Plan {
    Plan {
        some: setup.pick(300, 2_000),
        all: setup.pick(600, 9_000),
        pieces: setup.pick(3, 8),
        pace: Duration::from_secs(setup.pick(1, 2)),
        opened_a_second: setup.pick(600, 1_500),
    }
}

pub(crate) async fn measure(setup: &Setup) -> Table {
    let plan = plan(setup);
    let mut table = Table::new(name(setup));
    let kinds = Kind::chosen(&FEW, setup);
    for round in 0..setup.rounds {
        for turn in 0..kinds.len() {
            // Each time in a new process: memory that was in use once is not given back.
            one(&mut table, setup, plan, kinds[(turn + round) % kinds.len()]).await;
        }
    }
    table
}

async fn one(table: &mut Table, setup: &Setup, plan: Plan, kind: Kind) {
    let script = Script { pace: plan.pace, is_stamped: true, ..Script::at_once(plan.pieces) };
    let upstream = Upstream::start(setup.cores, script);
    let way = Way::open(setup, &upstream, kind);
    let mut crowd = Crowd { begun: Arc::default(), tasks: JoinSet::new() };
    crowd.grow(&way, plan, WARM_UP).await;
    let before = way.memory_kib();
    crowd.grow(&way, plan, plan.some).await;
    let each = (way.memory_kib() - before) / plan.some as f64;
    crowd.grow(&way, plan, plan.all - plan.some - WARM_UP).await;
    let each_of_all = (way.memory_kib() - before) / (plan.all - WARM_UP) as f64;
    let (cpu, begun) = (way.cpu(), Instant::now());
    let (errors, mut late) = crowd.outcome().await;
    let busy = (way.cpu() - cpu).as_secs_f64() / begun.elapsed().as_secs_f64();
    if errors > 0 {
        eprintln!("{}: {errors} streams failed; its log: {}", way.name, way.said());
    }
    if kind != Kind::Direct {
        table.add(&way.name, MEMORY, each);
        table.add(&way.name, MEMORY_OF_ALL, each_of_all);
    }
    table.add(&way.name, ERRORS, errors as f64);
    table.add(&way.name, LATE_P50, percentile(&mut late, 0.5));
    table.add(&way.name, LATE_P99, percentile(&mut late, 0.99));
    table.add(&way.name, LATEST, percentile(&mut late, 1.0));
    table.add(&way.name, "server busy with all open, %", busy * 100.0);
}

/// The clients that are reading.
struct Crowd {
    /// How many have got their first event, or failed.
    begun: Arc<AtomicUsize>,
    tasks: JoinSet<Result<Vec<f64>, String>>,
}

impl Crowd {
    /// Opens `more` streams and waits until each has begun.
    async fn grow(&mut self, way: &Way, plan: Plan, more: usize) {
        let request: Arc<[u8]> = way.request.clone().into();
        let ready = self.tasks.len() + more;
        let mut clock = tokio::time::interval(Duration::from_secs(1) / plan.opened_a_second);
        for _ in 0..more {
            clock.tick().await;
            let (address, request, begun) = (way.address, request.clone(), self.begun.clone());
            self.tasks.spawn(async move {
                let client = Client::connect(address).await.map_err(|error| error.to_string());
                let late = match client {
                    Ok(client) => read(client, &request, plan.pieces, &begun).await,
                    Err(error) => Err(error),
                };
                if late.is_err() {
                    begun.fetch_add(1, Ordering::Relaxed);
                }
                late
            });
        }
        while self.begun.load(Ordering::Relaxed) < ready {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The number of failed streams, and how late each event of the others was, in ms.
    async fn outcome(self) -> (usize, Vec<f64>) {
        let mut errors = 0;
        let mut late = Vec::new();
        for outcome in self.tasks.join_all().await {
            match outcome {
                Ok(times) => late.extend(times),
                Err(error) => {
                    if errors < 3 {
                        eprintln!("a stream failed: {error}");
                    }
                    errors += 1;
                }
            }
        }
        (errors, late)
    }
}

/// Reads one stream to its end; gives how late each event was.
async fn read(
    mut client: Client,
    request: &[u8],
    expected: usize,
    begun: &AtomicUsize,
) -> Result<Vec<f64>, String> {
    client.send(request).await?;
    let mut late = Vec::with_capacity(expected);
    let mut latest = 0;
    while !client.is_at_the_end() {
        let news = client.read().await?;
        let now = micros_of_now();
        for sent in pieces(news).filter_map(stamp) {
            if sent > latest {
                latest = sent;
                late.push(now.saturating_sub(sent) as f64 / 1e3);
                if late.len() == 1 {
                    begun.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
    client.check(expected)?;
    Ok(late)
}
