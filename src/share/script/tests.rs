//! The script on a real server against its model: `cargo test --lib -- --ignored script`. `STATE_SERVER` names another program
//! than `valkey-server` or `redis-server`.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};

use redis::{Client, Connection};

use super::*;
use crate::middle::Source;
use crate::quota::{BucketReport, ServerModel};

/// A server that ends with its test.
struct Server {
    child: Child,
    directory: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let start = |program: &str| {
            let mut command = Command::new(program);
            command
                .args(["--port", "0", "--unixsocket", "socket", "--save", "", "--dir"])
                .arg(directory.path());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        };
        #[expect(clippy::disallowed_methods, reason = "a test may be told another program")]
        let child = match std::env::var("STATE_SERVER") {
            Ok(program) => start(&program),
            Err(_) => start("valkey-server").or_else(|_| start("redis-server")),
        };
        let child = child.expect("valkey-server or redis-server is installed");
        Self { child, directory }
    }

    fn connect(&self) -> Connection {
        let url = format!("unix://{}", self.directory.path().join("socket").display());
        let client = Client::open(url).unwrap();
        let tries = (0..1_000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            client.get_connection().ok()
        });
        tries.expect("the server listens")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one instance has told and heard of one bucket.
#[derive(Clone, Default)]
struct Told {
    own: i64,
    acknowledged: i64,
    epoch: String,
}

/// Reports as no instance makes them.
struct Reporter {
    random: fastrand::Rng,
    told: HashMap<(usize, usize), Told>,
}

const KINDS: [Kind; 4] = [Kind::Sliding, Kind::Refill, Kind::Period, Kind::AtOnce];

impl Reporter {
    /// Of some buckets of each kind; a window is short, so that it begins anew many times.
    fn report(&mut self, instance: usize, now_ms: i64) -> Report {
        let mut buckets = Vec::new();
        for number in 0..KINDS.len() {
            if self.random.u8(..4) > 0 {
                buckets.push(self.bucket(instance, number, now_ms));
            }
        }
        Report::of("Gemini", buckets)
    }

    fn bucket(&mut self, instance: usize, number: usize, now_ms: i64) -> BucketReport {
        let random = &mut self.random;
        let told = self.told.entry((instance, number)).or_default();
        let mut bucket =
            BucketReport::of(&format!("bucket-{number}"), KINDS[number], Duration::from_millis(1_280));
        told.own = (told.own + random.i64(-5..20)).max(0);
        bucket.period_end_ms = now_ms + random.i64(-100..400);
        // Some provider may have written anything.
        let most = if random.u8(..20) == 0 { i64::MAX as u64 } else { 300 };
        bucket.limit = random.bool().then(|| random.u64(1..most));
        let share = &mut bucket.share;
        (share.own, share.acknowledged, share.epoch) = (told.own, told.acknowledged, told.epoch.clone());
        share.window = random.u64(..=u64::try_from(told.own).unwrap());
        share.wanted = if random.bool() { 0 } else { random.u64(..60) };
        share.waited_for = if share.wanted == 0 || random.bool() { 0 } else { random.u64(..=share.wanted) };
        share.smallest = random.u64(1..40);
        share.gives_back = [None, None, Some(true), Some(false)][random.usize(..4)];
        let source = [Source::Observed, Source::ErrorBody, Source::Header][random.usize(..3)];
        let as_of_ms = now_ms + random.i64(-500..200);
        let learnt =
            Learnt { most: random.u64(1..most), source, as_of_ms, certain_until_ms: random.i64(-1..now_ms) };
        bucket.learnt = (random.u8(..4) == 0).then_some(learnt);
        bucket
    }

    /// An answer arrives, or not.
    fn hear(&mut self, instance: usize, report: &Report, answer: &Answer) {
        for (told, answer) in report.buckets.iter().zip(&answer.buckets) {
            if self.random.u8(..5) > 0 {
                let number = told.name.trim_start_matches("bucket-").parse().unwrap();
                let known = self.told.get_mut(&(instance, number)).unwrap();
                (known.acknowledged, known.epoch) = (told.share.own, answer.epoch.clone());
            }
        }
    }
}

/// As far as the server can see: everything in it was written an hour later than now.
fn set_clock_back(connection: &mut Connection, now_ms: i64) {
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(connection).unwrap();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query(connection).unwrap();
        if kind == "hash" {
            let later = now_ms + 3_600_000;
            let _: () = redis::cmd("HSET")
                .arg(&key)
                .arg("seen")
                .arg(later)
                .arg("at")
                .arg(later)
                .query(connection)
                .unwrap();
        }
    }
}

#[test]
#[ignore = "needs a Valkey or Redis server"]
fn the_script_answers_whatever_is_told_as_its_model_does() {
    let server = Server::start();
    let mut connection = server.connect();
    let (script, mut model) = (script(), ServerModel::default());
    let mut reporter = Reporter { random: fastrand::Rng::with_seed(17), told: HashMap::new() };
    let (seconds, _): (i64, i64) = redis::cmd("TIME").query(&mut connection).unwrap();
    let mut now_ms = seconds * 1_000;
    let mut leases = 0;
    for turn in 0..4_000 {
        let instance = reporter.random.usize(..5);
        let id = InstanceId::new(instance as u64);
        if reporter.random.u16(..800) == 0 {
            let _: () = redis::cmd("FLUSHDB").query(&mut connection).unwrap();
            model = ServerModel::default();
        }
        if reporter.random.u16(..400) == 0 {
            set_clock_back(&mut connection, now_ms);
            model = ServerModel::default();
        }
        if reporter.random.u8(..20) == 0 {
            // So that windows begin anew.
            std::thread::sleep(Duration::from_millis(reporter.random.u64(..100)));
        }
        let report = reporter.report(instance, now_ms);
        let told = invocation(&script, &report, &id).invoke::<Value>(&mut connection).unwrap();
        let told = answer(told, &id).expect("the script's answer");
        now_ms = told.time_ms;
        let expected = model.exchange(id.as_str(), &report, now_ms);
        assert_eq!(told, expected, "turn {turn}: {report:?}");
        leases += told.buckets.iter().map(|bucket| bucket.lease).sum::<u64>();
        reporter.hear(instance, &report, &told);
    }
    assert!(leases > 1_000, "something was granted: {leases}");
}

#[test]
fn a_rest_that_was_told_lasts_no_longer_because_the_clock_is_set_back() {
    let me = InstanceId::new(1);
    let left = |text: &str, now_ms| rest(text, now_ms, &me).map(|(left, words)| (left, words.len()));
    let told = "7 0000000000000002 10000 40000 block RateLimited time certain - -";
    let words = "block RateLimited time certain - -".len();
    for (now_ms, expected) in [(10_000, 30), (25_000, 15), (39_000, 1), (9_000, 30), (-3_600_000, 30)] {
        assert_eq!(left(told, now_ms), Some((Some(Duration::from_secs(expected)), words)), "at {now_ms}");
    }
    assert_eq!(left(told, 40_000), None, "it is over");
    let endless = told.replace("40000", "-1");
    assert_eq!([left(&endless, 0), left(&endless, 90_000)], [Some((None, words)); 2]);
    assert_eq!(left(&told.replace("0000000000000002", me.as_str()), 10_000), None, "our own");
}
