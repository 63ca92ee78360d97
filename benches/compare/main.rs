//! This program beside nginx and HAProxy, and beside no server at all: one run, in turn, on the same machine.
//!
//! Each server has a core of its own; client and upstream share another. Every reply is read to its end and checked.
//! `bench/run` builds what is needed and starts this; `bench/RESULTS.md` says what the figures mean.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a bench may panic")]

mod client;
mod failing;
mod machine;
mod paced;
mod pacer;
mod recordings;
mod servers;
mod short;
mod start;
mod streams;
mod table;
mod text;
mod upstream;
mod verdict;
mod ways;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::machine::{Cores, pin_this_thread};
use crate::table::Table;
use crate::upstream::Script;
use crate::ways::Setup;

const SCENARIOS: [&str; 5] = ["short", "paced", "streams", "failing", "start"];

fn main() -> ExitCode {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["upstream", script @ ..] = words.as_slice() {
        let script = Script::of(script).expect("a script");
        runtime().block_on(upstream::serve(script));
        return ExitCode::SUCCESS;
    }
    match read(&words) {
        Ok((setup, scenarios)) => run(&setup, &scenarios),
        Err(what) => {
            eprintln!(
                "{what}; expected quick, rounds=5, program=PATH, before=PATH, way=/chat or {}",
                SCENARIOS.join(", ")
            );
            ExitCode::from(2)
        }
    }
}

/// One thread: client and upstream are not to take turns with more than each other.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn read<'w>(words: &[&'w str]) -> Result<(Setup, Vec<&'w str>), String> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_ai-proxy-free"));
    let mut setup = Setup {
        cores: Cores::choose(),
        is_quick: false,
        rounds: 0,
        program,
        before: None,
        way: String::new(),
    };
    let mut scenarios = Vec::new();
    // Cargo adds `--bench`.
    for word in words.iter().filter(|word| !word.starts_with("--")) {
        match word.split_once('=') {
            Some(("rounds", number)) => {
                setup.rounds = number.parse().map_err(|_| format!("{word}: no number"))?
            }
            Some(("program", path)) => setup.program = found(path)?,
            Some(("before", path)) => setup.before = Some(found(path)?),
            Some(("way", part)) => part.clone_into(&mut setup.way),
            None if *word == "quick" => setup.is_quick = true,
            None if SCENARIOS.contains(word) => scenarios.push(*word),
            _ => return Err(format!("{word}: unknown")),
        }
    }
    if setup.rounds == 0 {
        setup.rounds = setup.pick(2, 5);
    }
    if scenarios.is_empty() {
        scenarios = SCENARIOS.to_vec();
    }
    Ok((setup, scenarios))
}

/// The servers run in folders of their own, so a path must be absolute.
fn found(path: &str) -> Result<PathBuf, String> {
    std::fs::canonicalize(path).map_err(|error| format!("{path}: {error}"))
}

fn run(setup: &Setup, scenarios: &[&str]) -> ExitCode {
    println!("{}; {} rounds; {}\n", machine::description(), setup.rounds, setup.program.display());
    pin_this_thread(setup.cores.others);
    let mut tables = Vec::new();
    for scenario in scenarios {
        let measured = runtime().block_on(measure(setup, scenario));
        measured.iter().for_each(Table::print);
        tables.extend(measured);
    }
    let unbearable = verdict::judge(setup, &tables);
    unbearable.iter().for_each(|figure| eprintln!("unbearable: {figure}"));
    if unbearable.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure(setup: &Setup, scenario: &str) -> Vec<Table> {
    match scenario {
        "short" => short::measure(setup).await,
        "paced" => vec![paced::measure(setup).await],
        "streams" => vec![streams::measure(setup).await],
        "failing" => vec![failing::measure(setup).await],
        _ => vec![start::measure(setup).await],
    }
}
