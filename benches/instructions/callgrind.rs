//! Runs a command under callgrind, and reads what it has counted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The instructions of each function, not those of the functions that it calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile(pub(crate) BTreeMap<String, f64>);

impl Profile {
    pub(crate) fn total(&self) -> f64 {
        self.0.values().sum()
    }

    /// What one of `rounds` takes, if `self` was counted over that many more of them than `fewer`.
    pub(crate) fn round(&self, fewer: &Self, rounds: usize) -> Self {
        let names = self.0.keys().chain(fewer.0.keys());
        let of = |profile: &Self, name: &str| profile.0.get(name).copied().unwrap_or(0.0);
        Self(names.map(|name| (name.clone(), (of(self, name) - of(fewer, name)) / rounds as f64)).collect())
    }
}

/// A file for what callgrind counts; removed when dropped.
pub(crate) struct Counts(PathBuf);

impl Counts {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("instructions-{}-{number}", std::process::id())))
    }

    /// `program` under callgrind, with nothing of this environment.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("valgrind");
        command
            .args(["--quiet", "--tool=callgrind"])
            .arg(format!("--callgrind-out-file={}", self.0.display()));
        // Addresses change nothing about a count; where the environment lies on the stack does, a little.
        command.arg(program.as_ref()).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }

    /// What was counted by the time the process ended.
    pub(crate) fn read(&self) -> Profile {
        parse(&std::fs::read_to_string(&self.0).expect("callgrind's counts"))
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Reads callgrind's format (<https://valgrind.org/docs/manual/cl-format.html>, checked 2026-11): `fn=(12) name` begins
/// a function, later only `fn=(12)`; then lines of position and cost. The line behind a `calls=` is the cost of a call,
/// which is counted where it was made, too.
fn parse(counts: &str) -> Profile {
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    let mut profile = Profile::default();
    let (mut function, mut is_call) = (String::new(), false);
    for line in counts.lines() {
        if let Some(name) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
            let (number, name) = name.split_once(' ').unwrap_or((name, ""));
            if !name.is_empty() {
                names.insert(number, plain(name));
            }
            if line.starts_with("fn=") {
                function = names[number].clone();
            }
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<f64>().ok());
            if !std::mem::take(&mut is_call) {
                *profile.0.entry(function.clone()).or_default() += cost.unwrap_or(0.0);
            }
        }
    }
    profile
}

/// A function's name without what differs from build to build: the hash, and callgrind's marks of recursion.
fn plain(name: &str) -> String {
    let name = name.split('\'').next().unwrap_or(name);
    let name = name.rsplit_once("::h").filter(|(_, hash)| hash.len() == 16).map_or(name, |(name, _)| name);
    name.to_owned()
}
