//! The machine: its cores, and what processes use of it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where things run.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    /// The server under measurement, alone.
    pub(crate) server: Option<usize>,
    /// Client and upstream.
    pub(crate) others: Option<usize>,
}

impl Cores {
    /// Two of those that this process may use. With one alone nothing is pinned.
    pub(crate) fn choose() -> Self {
        let line = field("/proc/self/status", "Cpus_allowed_list:");
        let cores: Vec<usize> = line.split(',').flat_map(range).collect();
        match cores.as_slice() {
            [others, .., server] => Self { server: Some(*server), others: Some(*others) },
            _ => Self { server: None, others: None },
        }
    }
}

/// The cores of `0-3` or `2`.
fn range(text: &str) -> std::ops::RangeInclusive<usize> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.trim().parse().expect("a core");
    number(from)..=number(to)
}

/// Pins the calling thread, and so what it starts from now on.
pub(crate) fn pin_this_thread(core: Option<usize>) {
    let Some(core) = core else { return };
    let thread = fs::read_link("/proc/thread-self").expect("a thread");
    let id = thread.file_name().expect("its id").to_owned();
    let mut taskset = Command::new("taskset");
    let status = taskset.arg("-cp").arg(core.to_string()).arg(id).stdout(Stdio::null()).status();
    assert!(status.expect("taskset").success(), "taskset failed");
}

/// Starts `command` on `core`; gives the moment before it as well.
pub(crate) fn spawn_on(core: Option<usize>, mut command: Command) -> (Child, Instant) {
    let start = move || {
        pin_this_thread(core);
        let begun = Instant::now();
        (command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")), begun)
    };
    std::thread::spawn(start).join().expect("a process")
}

/// CPU time so far of a process and its children, exact to the nanosecond.
pub(crate) fn cpu(process: u32) -> Duration {
    let spent = |thread: &Path| {
        // A thread may have ended meanwhile.
        let line = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
        line.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let of_one = |id: u32| threads(id).iter().map(|thread| spent(thread)).sum::<u64>();
    Duration::from_nanos(family(process).into_iter().map(of_one).sum())
}

/// Memory of a process and its children in KiB; what several share counts in parts.
pub(crate) fn memory_kib(process: u32) -> f64 {
    let of_one = |id: u32| {
        let line = field(&format!("/proc/{id}/smaps_rollup"), "Pss:");
        line.split(' ').next().and_then(|text| text.parse::<f64>().ok()).expect("a number")
    };
    family(process).into_iter().map(of_one).sum()
}

fn threads(process: u32) -> Vec<std::path::PathBuf> {
    let folder = fs::read_dir(format!("/proc/{process}/task"));
    folder.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// A process and its children: nginx has a worker.
fn family(process: u32) -> Vec<u32> {
    let mut all = vec![process];
    for thread in threads(process) {
        let children = fs::read_to_string(thread.join("children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    all
}

/// What stands behind `name` in a file of `/proc`.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{path} has no {name}")).trim().to_owned()
}

/// One line about this machine.
pub(crate) fn description() -> String {
    let model = field("/proc/cpuinfo", "model name");
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let model = model.trim_start_matches(':').trim().to_owned();
    format!("{cores} cores of {model}, Linux {}, load at the start {load}", kernel.trim())
}
