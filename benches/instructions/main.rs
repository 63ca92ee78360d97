//! How many instructions the hot path takes, counted by callgrind: unlike time, the count is the same on a busy machine.
//!
//! Each figure is the difference of two runs, one with more rounds than the other, so that everything which happens once
//! cancels out. The figures are compared with those in `bench/instructions.txt`: whoever makes one of them worse has to
//! say so there.
//!
//! `bench/instructions`; after it come any of: `accept` to write the file anew, beginnings of names to count only those.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a bench may panic")]

mod answer;
mod callgrind;
mod client;
mod expected;
mod pieces;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "only its processes are used here")]
mod support;
mod upstream;
mod whole;

use std::process::ExitCode;
use std::sync::Mutex;

use crate::callgrind::Profile;

/// One figure to count.
#[derive(Clone)]
struct Case {
    name: String,
    count: std::sync::Arc<dyn Fn() -> Profile + Send + Sync>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        // This program under callgrind.
        ["piece", piece, rounds] => {
            pieces::run(piece, rounds.parse().expect("a number"));
            ExitCode::SUCCESS
        }
        words => count(words),
    }
}

fn count(words: &[&str]) -> ExitCode {
    let wanted: Vec<&str> = words.iter().copied().filter(|word| *word != "accept").collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| name.starts_with(wanted));
    let cases: Vec<Case> =
        pieces::cases().into_iter().chain(whole::cases()).filter(|case| is_wanted(&case.name)).collect();
    let counted = all(&cases);
    if words.contains(&"accept") {
        expected::write(&counted);
        return ExitCode::SUCCESS;
    }
    expected::compare(&counted)
}

/// Counts all `cases`, two at a time: a count does not depend on what else the machine does.
fn all(cases: &[Case]) -> Vec<(String, Profile)> {
    let waiting = Mutex::new(cases.iter());
    let counted = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(case) = waiting.lock().expect("no panic").next() else { break };
                    let profile = (case.count)();
                    counted.lock().expect("no panic").push((case.name.clone(), profile));
                }
            });
        }
    });
    let mut counted = counted.into_inner().expect("no panic");
    counted.sort_by_key(|(name, _)| cases.iter().position(|case| case.name == *name));
    counted
}
