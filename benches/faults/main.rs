//! What faults cost: the figures that the proxy holds while clients leave, dawdle or never read and providers fail,
//! up to a soak of hundreds of thousands of requests. A figure beyond its bound makes the bench fail.
//!
//! The proxy is the program itself in a process of its own; the simulated providers and all clients are in this one.
//!
//! `cargo bench --bench faults`; after `--` come any of: `quick` for a minute of all of it, names of figures for only
//! those, and a number for the requests of the soak. So `-- soak 1000000` is the long one.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench may panic, spawn and look at the clock"
)]

mod bodies;
mod client;
mod departures;
mod fallbacks;
mod floods;
mod idle_streams;
mod parked;
mod shutdown;
mod slow_clients;
mod soak;
mod storms;
#[path = "../support/mod.rs"]
mod support;
mod weather;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{Settings, SimulatedProvider, Simulator};
use ai_proxy_free::internals::time::Moment;

use crate::support::Process;

/// One measured figure.
struct Figure {
    name: String,
    bound: String,
    measured: String,
    is_ok: bool,
}

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    /// Enough to see that a figure is of the right order, on whatever machine.
    Quick,
    Full,
}

impl Size {
    /// One of two numbers.
    fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }

    /// What is asked of a time that is to stay below `bound`: few samples on a busy machine say little about a 99th
    /// percentile.
    fn allowed(self, bound: Duration) -> Duration {
        bound * self.pick(10, 1)
    }
}

/// The figures by the names under which they can be asked for.
const NAMES: [&str; 11] = [
    "departures",
    "fallbacks",
    "refusals",
    "weather",
    "idle_streams",
    "parked",
    "floods",
    "bodies",
    "slow_clients",
    "shutdown",
    "soak",
];

fn main() -> ExitCode {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let mut size = Size::Full;
    let mut soak_requests = None;
    let mut chosen = Vec::new();
    // Cargo adds `--bench`.
    for word in std::env::args().skip(1).filter(|word| !word.starts_with("--")) {
        match (word.as_str(), word.parse::<u64>()) {
            ("quick", _) => size = Size::Quick,
            (_, Ok(number)) => soak_requests = Some(number),
            (name, _) if NAMES.contains(&name) => chosen.push(word),
            _ => {
                eprintln!("{word}: expected quick, a number, or any of {}", NAMES.join(", "));
                return ExitCode::from(2);
            }
        }
    }
    let soak_requests = soak_requests.unwrap_or(size.pick(3_000, 300_000));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut all_ok = true;
    println!("{:88} | {:40} | {:64} | ok", "figure", "bound", "measured");
    for name in NAMES.into_iter().filter(|name| chosen.is_empty() || chosen.iter().any(|it| it == name)) {
        for figure in runtime.block_on(measure(name, size, soak_requests)) {
            let verdict = if figure.is_ok { "yes" } else { "NO" };
            println!("{:88} | {:40} | {:64} | {verdict}", figure.name, figure.bound, figure.measured);
            all_ok &= figure.is_ok;
        }
    }
    if all_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure(name: &str, size: Size, soak_requests: u64) -> Vec<Figure> {
    match name {
        "departures" => departures::measure(size).await,
        "fallbacks" => fallbacks::time_to_substitute(size).await,
        "refusals" => fallbacks::calls_while_all_fail(size).await,
        "weather" => weather::measure(size).await,
        "idle_streams" => idle_streams::measure(size).await,
        "parked" => parked::measure(size).await,
        "floods" => floods::measure(size).await,
        "bodies" => bodies::measure(size).await,
        "slow_clients" => slow_clients::measure(size).await,
        "shutdown" => shutdown::measure(size).await,
        _ => soak::measure(size, soak_requests).await,
    }
}

/// All providers, simulated, of whose requests the last `kept` are kept.
async fn simulator(kept: usize) -> Simulator {
    Simulator::start(Directory::core(), |provider| settings(provider, kept)).await.expect("ports")
}

/// Groq alone, simulated.
async fn groq(kept: usize) -> SimulatedProvider {
    SimulatedProvider::start(Provider::GROQ, settings(Provider::GROQ, kept)).await.expect("a port")
}

fn settings(provider: Provider, kept_requests: usize) -> Settings {
    Settings { kept_requests, ..Settings::new(provider, Arc::new(Moment::now)) }
}

/// The variables that lead to `providers`, each with `keys`.
fn leading_to<'p>(
    providers: impl IntoIterator<Item = &'p SimulatedProvider>,
    keys: &str,
) -> Vec<(&'static str, String)> {
    let variables = |simulated: &SimulatedProvider| {
        let profile = simulated.provider().profile();
        [(profile.key_variables[0], keys.to_owned()), (profile.base_url_variable, simulated.base_url())]
    };
    providers.into_iter().flat_map(variables).collect()
}

/// The proxy over `providers`, with `own` settings.
fn proxy_over<'p>(
    providers: impl IntoIterator<Item = &'p SimulatedProvider>,
    own: &[(&'static str, &str)],
) -> Process {
    let own = own.iter().map(|(name, value)| (*name, (*value).to_owned()));
    Process::proxy(leading_to(providers, "key").into_iter().chain(own), |_| {})
}

/// What is below `share` of all `times`, which get sorted.
fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    let index = (times.len() as f64 * share) as usize;
    times[index.min(times.len() - 1)]
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// Waits until `is_so`, looking every few milliseconds; `false` if it takes longer than `limit`.
async fn comes_true(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let begun = tokio::time::Instant::now();
    while !is_so() {
        if begun.elapsed() > limit {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

impl Process {
    /// How many descriptors it holds.
    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("its descriptors").count()
    }

    /// How many threads it has.
    fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("its threads").count()
    }
}
