//! The state file over a month, and over the sudden end of its process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ai_proxy_free::internals::quota::{Ledger, PlaceId};
use jiff::{SignedDuration, Timestamp};

const SALT: [u8; 32] = [1; 32];

/// Where the child of a test writes, and when it starts, in seconds since 1970.
const STATE: &str = "LEDGER_TEST_STATE";
const START: &str = "LEDGER_TEST_START";

fn open(path: &Path, now: Timestamp) -> Ledger {
    let (ledger, warning) = Ledger::open(path, now, SALT);
    assert!(warning.is_none(), "{warning:?}");
    ledger
}

/// Requests and tokens.
fn total(ledger: &Ledger) -> (u64, u64) {
    let uses = ledger.uses().flat_map(|(_, uses)| uses);
    uses.fold((0, 0), |(requests, tokens), past| (requests + past.requests, tokens + past.tokens))
}

#[test]
fn a_month_of_calls_takes_less_than_a_megabyte() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("state");
    let start: Timestamp = "2026-11-01T00:00:00Z".parse()?;
    let mut ledger = open(&path, start);
    let mut places = Vec::new();
    for provider in ["groq", "cerebras", "gemini"] {
        for key in 0..5 {
            places.extend((0..8).map(|model| ledger.place(provider, &format!("{key}"), &format!("{model}"))));
        }
    }
    let mut random = fastrand::Rng::with_seed(1);
    // A debug build takes ten times as long for each.
    let calls_a_day = if cfg!(debug_assertions) { 4_000 } else { 40_000 };
    let calls = 31 * calls_a_day;
    let gap = SignedDuration::from_hours(24) / i32::try_from(calls_a_day)?;
    let (mut now, mut largest, mut tokens) = (start, 0, 0);
    let began = Instant::now();
    for call in 0..calls {
        now += gap;
        let place: PlaceId = places[random.usize(..places.len())];
        assert!(ledger.reserve(call, place, 2_000, now).is_none());
        let took = random.u64(..1_000);
        assert!(ledger.settle(call, took, now).is_none());
        tokens += took;
        if call % 500 == 0 {
            largest = largest.max(path.metadata()?.len());
        }
    }
    let each = began.elapsed() / u32::try_from(2 * calls)?;
    assert!(largest < 1_000_000, "{largest}");
    let uses: usize = ledger.uses().map(|(_, uses)| uses.len()).sum();
    drop(ledger);
    let began = Instant::now();
    let ledger = open(&path, now);
    let reopened = began.elapsed();
    println!("at most {largest} bytes, {uses} uses, {each:?} an entry, opened in {reopened:?}");
    assert_eq!(total(&ledger), (calls, tokens));
    Ok(())
}

/// Not a test: what [`kill_9_at_any_moment_forgets_nothing_that_was_sent`] starts and kills.
#[test]
#[ignore = "writes until it is killed"]
fn child_that_writes_until_it_is_killed() -> anyhow::Result<()> {
    let (Ok(path), Ok(start)) = (std::env::var(STATE), std::env::var(START)) else { return Ok(()) };
    let mut now = Timestamp::from_second(start.parse()?)?;
    let mut ledger = open(Path::new(&path), now);
    let mut output = std::io::stdout().lock();
    for call in 1.. {
        now += SignedDuration::from_millis(20);
        let place = ledger.place("groq", "key", &format!("{}", call % 30));
        assert!(ledger.reserve(call, place, 100, now).is_none());
        writeln!(output, "\nreserved {call}")?;
        if call % 3 != 0 {
            assert!(ledger.settle(call - call % 2, 70, now).is_none());
        }
    }
    Ok(())
}

/// Lets a child write for a while. Returns the number of the last call that it has told of.
fn killed_child(path: &Path, start: i64, life: Duration) -> anyhow::Result<u64> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "ledger::child_that_writes_until_it_is_killed", "--ignored", "--nocapture"])
        .env(STATE, path)
        .env(START, start.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let output = child.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
        let text = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
        text.filter_map(|line| line.strip_prefix("reserved ")?.parse().ok()).last().unwrap_or(0)
    });
    std::thread::sleep(life);
    child.kill()?;
    let status = child.wait()?;
    assert!(status.code().is_none(), "it was killed: {status}");
    Ok(reader.join().expect("numbers"))
}

/// `LEDGER_TEST_KILLS=1000` for more than twenty.
#[cfg(unix)]
#[test]
fn kill_9_at_any_moment_forgets_nothing_that_was_sent() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("state");
    let kills = std::env::var("LEDGER_TEST_KILLS").map_or(Ok(20), |kills| kills.parse())?;
    let start: Timestamp = "2026-11-01T00:00:00Z".parse()?;
    let (mut now, mut before, mut untold, mut smaller, mut length) = (start, 0, 0, 0, 0);
    for kill in 0..kills {
        let life = Duration::from_micros(fastrand::u64(..60_000));
        let told = killed_child(&path, now.as_second(), life)?;
        now += SignedDuration::from_millis(20 * told.cast_signed() + 1_000);
        let (requests, tokens) = total(&open(&path, now));
        let new = requests - before;
        assert!(new >= told, "kill {kill}: {told} calls were sent, {new} are known");
        assert!(new <= told + 1, "kill {kill}: {told} calls were sent, {new} are known");
        assert!((70 * requests..=100 * requests).contains(&tokens), "kill {kill}: {tokens}");
        before = requests;
        untold += new - told;
        let now_long = path.metadata()?.len();
        smaller += u64::from(now_long < length);
        length = now_long;
    }
    println!(
        "{kills} kills, {before} calls, {untold} written and not told, file made smaller {smaller} times"
    );
    assert!(before > 0, "nobody wrote");
    Ok(())
}
