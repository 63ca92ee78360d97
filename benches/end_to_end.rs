//! What the proxy costs beside a bare reverse proxy, in the same run on the same machine.
//!
//! Simulator, reverse proxy and proxy are processes of their own, so that CPU time and memory can be told apart;
//! this process is the client. The reverse proxy copies bytes with the same hyper: nothing that does less work
//! exists for the job. Only the ratios mean anything: times are those of the machine.
//!
//! `cargo bench --bench end_to_end`; `-- quick` for a smaller run.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench may panic, spawn and look at the clock"
)]

mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Settings, SimulatedProvider};
use ai_proxy_free::internals::time::Moment;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Process, WORD, connect, post};

fn main() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match words.as_slice() {
        ["simulator", events, pace_us, stall] => {
            let number = |text: &str| text.parse().expect("a number");
            runtime.block_on(simulate(number(events) as usize, number(pace_us), *stall == "stall"));
        }
        ["reverse-proxy", upstream] => runtime.block_on(reverse_proxy(upstream)),
        words => runtime.block_on(measure(words.contains(&"quick"))),
    }
}

/// Groq, answering with `events` words of some 16 bytes, or falling silent after the first.
async fn simulate(events: usize, pace_us: u64, stall: bool) {
    let settings = Settings::new(Provider::GROQ, Arc::new(Moment::now));
    let groq = SimulatedProvider::start(Provider::GROQ, settings).await.expect("a port");
    let answer = Behaviour::answer((0..events).map(|number| format!("word number {number:04} ")));
    let answer = answer.paced(Duration::from_micros(pace_us));
    groq.always(if stall { answer.with(Fault::Stall(After::Text(1))) } else { answer });
    println!("listening on {}", groq.base_url());
    std::future::pending().await
}

/// Copies requests to `upstream` and answers back, and knows nothing of either.
async fn reverse_proxy(upstream: &str) {
    let client: Client<HttpConnector, Incoming> = Client::builder(TokioExecutor::new()).build_http();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    println!("listening on http://{}", listener.local_addr().expect("an address"));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let (client, upstream) = (client.clone(), upstream.to_owned());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let path = request.uri().path_and_query().expect("a path");
            *request.uri_mut() = format!("{upstream}{path}").parse().expect("a URL");
            let client = client.clone();
            async move { client.request(request).await.map(|response: Response<Incoming>| response) }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

impl Process {
    fn itself(arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(arguments);
        Self::start(command, |_| {})
    }

    fn over(groq: &Self) -> Self {
        let variables = [
            ("GROQ_API_KEY", "key".to_owned()),
            ("GROQ_BASE_URL", format!("http://{}", groq.address)),
            ("IDLE_TIMEOUT_MS", "600000".to_owned()),
        ];
        Self::proxy(variables, |_| {})
    }

    /// CPU time so far, user and system.
    fn cpu(&self) -> Duration {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("its statistics");
        let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
        let ticks: u64 =
            fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number");
        Duration::from_millis(ticks * 10)
    }
}

/// The ways to the same simulated Groq.
struct Ways {
    groq: Process,
    reverse: Process,
    proxy: Process,
}

impl Ways {
    fn open(events: usize, pace_us: u64, stall: bool) -> Self {
        let stall = if stall { "stall" } else { "no" };
        let groq = Process::itself(&["simulator", &events.to_string(), &pace_us.to_string(), stall]);
        let reverse = Process::itself(&["reverse-proxy", &format!("http://{}", groq.address)]);
        let proxy = Process::over(&groq);
        Self { groq, reverse, proxy }
    }

    fn each(&self) -> [(&'static str, &Process, &'static str); 4] {
        let completions = "/openai/v1/chat/completions";
        [
            ("direct", &self.groq, completions),
            ("reverse proxy", &self.reverse, completions),
            ("/chat", &self.proxy, "/chat"),
            ("/v1/chat/completions", &self.proxy, "/v1/chat/completions"),
        ]
    }
}

fn request(path: &str) -> Vec<u8> {
    let body =
        r#"{"model":"openai/gpt-oss-20b","messages":[{"role":"user","content":"Hola"}],"stream":true}"#;
    post(path, body)
}

/// Sends a request and reads until `mark` has come; gives the time to the first content.
async fn ask(stream: &mut TcpStream, request: &[u8], mark: &[u8]) -> Duration {
    let begun = Instant::now();
    stream.write_all(request).await.expect("a connection");
    let mut first = None;
    let mut tail = Vec::with_capacity(128 * 1024);
    loop {
        let from = tail.len().saturating_sub(mark.len());
        assert!(
            stream.read_buf(&mut tail).await.expect("an answer") > 0,
            "{}",
            String::from_utf8_lossy(&tail)
        );
        if first.is_none() && tail.windows(WORD.len()).any(|window| window == WORD) {
            first = Some(begun.elapsed());
        }
        if tail[from..].windows(mark.len()).any(|window| window == mark) {
            return first.expect("an event");
        }
        if tail.len() > 100 * 1024 {
            tail.drain(..tail.len() - mark.len());
        }
    }
}

/// `connections` at once, each asking `times`; gives CPU time and wall time.
async fn load(process: &Process, path: &str, connections: usize, times: usize) -> (Duration, Duration) {
    let (cpu, begun) = (process.cpu(), Instant::now());
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (mut stream, request) = (connect(process).await, request(path));
        tasks.spawn(async move {
            for _ in 0..times {
                ask(&mut stream, &request, b"[DONE]\n\n").await;
                // The end of the body, which comes with the mark or right after it.
                let mut rest = [0; 64];
                while let Ok(Ok(read)) =
                    tokio::time::timeout(Duration::from_micros(1), stream.read(&mut rest)).await
                {
                    if read == 0 {
                        break;
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    (process.cpu() - cpu, begun.elapsed())
}

async fn measure(quick: bool) {
    let scale = if quick { 1 } else { 5 };
    time_to_first_token(200 * scale).await;
    per_event("one_read_one_write_an_event_500_streams", 100 * scale, 10_000, 500, 1).await;
    per_event("as_fast_as_it_goes_50_streams_1k_events", 1_000, 0, 50, 4 * scale).await;
    memory(1_000 * scale.min(2)).await;
    scrapes(500 * scale).await;
}

/// What a request costs before its first content, one after the other on one connection.
async fn time_to_first_token(times: usize) {
    println!("time_to_first_token (median of {times})");
    let ways = Ways::open(1, 0, false);
    let mut medians = Vec::new();
    for (name, process, path) in ways.each() {
        let (mut stream, request) = (connect(process).await, request(path));
        let mut taken = Vec::new();
        for _ in 0..times {
            taken.push(ask(&mut stream, &request, b"[DONE]\n\n").await);
            tokio::time::sleep(Duration::from_micros(200)).await;
            let mut rest = [0; 64];
            let _ = stream.try_read(&mut rest);
        }
        taken.sort_unstable();
        let median = taken[times / 2].as_secs_f64() * 1e6;
        medians.push(median);
        println!("  {name:20} {median:8.0} µs   p99 {:8.0} µs", taken[times * 99 / 100].as_secs_f64() * 1e6);
    }
    let added = |way: usize| medians[way] - medians[0];
    let [reverse, chat, openai] = [added(1), added(2), added(3)];
    println!("  added: {reverse:.0} µs, {chat:.0} µs, {openai:.0} µs");
    println!("  ratios {:.2} {:.2}\n", chat / reverse, openai / reverse);
}

/// CPU time for each event.
async fn per_event(name: &str, events: usize, pace_us: u64, connections: usize, times: usize) {
    println!("{name} ({connections} connections x {times} x {events} events, one each {pace_us} µs)");
    let ways = Ways::open(events, pace_us, false);
    let mut costs = Vec::new();
    for (name, process, path) in ways.each().into_iter().skip(1) {
        load(process, path, connections.min(20), 1).await;
        let (cpu, wall) = load(process, path, connections, times).await;
        let cost = cpu.as_secs_f64() * 1e6 / (events * connections * times) as f64;
        costs.push(cost);
        println!("  {name:20} {cost:8.2} µs CPU an event, {:.1} s in all", wall.as_secs_f64());
    }
    println!("  ratios {:.2} {:.2}\n", costs[1] / costs[0], costs[2] / costs[0]);
}

/// Memory for each open stream on which nothing happens.
async fn memory(streams: usize) {
    println!("memory_of_an_idle_stream ({streams} streams)");
    let ways = Ways::open(2, 0, true);
    let mut costs = Vec::new();
    for (name, process, path) in ways.each().into_iter().skip(1).take(2) {
        let mut open = Vec::new();
        let mut before = 0.0;
        for index in 0..streams + 100 {
            if index == 100 {
                before = process.memory_kib();
            }
            let mut stream = connect(process).await;
            ask(&mut stream, &request(path), b"word number 0000 ").await;
            open.push(stream);
        }
        let cost = (process.memory_kib() - before) / streams as f64;
        costs.push(cost);
        println!("  {name:20} {cost:8.1} KiB a stream");
    }
    println!("  ratio {:.2}", costs[1] / costs[0]);
}

/// What Prometheus costs: CPU time for each time that it reads `/metrics`.
async fn scrapes(times: usize) {
    let ways = Ways::open(1, 0, false);
    load(&ways.proxy, "/chat", 20, 10).await;
    let mut stream = connect(&ways.proxy).await;
    let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut body = Vec::new();
    let before = ways.proxy.cpu();
    for _ in 0..times {
        stream.write_all(request).await.expect("a connection");
        body.clear();
        while !is_whole(&body) {
            assert!(stream.read_buf(&mut body).await.expect("a body") > 0, "it ended early");
        }
    }
    let cost = (ways.proxy.cpu() - before).as_secs_f64() / times as f64;
    let lines = body.split(|byte| *byte == b'\n').count();
    println!("\na_scrape ({times} of {lines} lines, {} KiB)", body.len() / 1024);
    println!("  {:.0} µs CPU each: every second, that is {:.3} % of a core", cost * 1e6, cost * 100.0);
}

/// Whether a response has come to its end, as its head says.
fn is_whole(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| body.len() >= length.parse().expect("a number"))
}
