//! How much of a limit one, three and ten instances deliver, how many calls that burns, what it costs the server and a
//! request.
//!
//! `cargo test --test valkey measure -- --nocapture`, on a machine that has nothing else to do, prints the short form, in which every limit is met once; with
//! `--include-ignored` also the long one, whose windows begin anew several times. An oracle knows the provider's own counters: it
//! says how many of the same requests, at the same moments, have room.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Cost, Limit, Limiter, Limits, Plan, Size, Window, Zone};
use futures::future::try_join_all;
use jiff::Timestamp;

use crate::instances::{Instances, LONGEST_ANSWER, Tally, requests_a_minute};
use crate::server::Server;

/// How many instances, and whether all requests come to one of them.
const WAYS: [(usize, bool); 5] = [(1, true), (3, false), (3, true), (10, false), (10, true)];
/// Several instances may have so many more calls of a thousand refused than one has.
const MORE_REFUSED: u64 = 10;
/// The prompt of the question, as the simulator counts it.
const PROMPT: u64 = 9;

/// So that nothing is guessed: whoever goes beyond a guess asks for a lease each time.
const ENDLESS: (&str, &str) = ("GEMINI_LIMITS", "rpm=1000000000,rpd=1000000000,tpm=1000000000");
/// One is measured at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A limit, how it is known, and how requests come.
struct Case {
    name: &'static str,
    provider: Provider,
    limits: Plan,
    /// Variables besides.
    own: Vec<(&'static str, String)>,
    /// The longest answer that a request asks for, in tokens.
    longest_answer: u32,
    requests: usize,
    pause: Duration,
}

/// What became of it.
struct Outcome {
    instances: usize,
    is_one_asked: bool,
    tally: Tally,
    calls: u64,
    script_calls_a_second: f64,
    server: String,
}

impl Outcome {
    fn burnt(&self) -> u64 {
        self.calls - self.tally.answered
    }

    /// Of a thousand calls.
    fn burnt_of_thousand(&self) -> u64 {
        (1_000 * self.burnt()).div_ceil(self.calls.max(1))
    }
}

impl Case {
    /// Of small requests, with the settings that state the limits.
    fn new(
        name: &'static str,
        (provider, limits): (Provider, Plan),
        stated: Option<(&'static str, String)>,
        (requests, pause): (usize, Duration),
    ) -> Self {
        let own = stated.into_iter().collect();
        Self { name, provider, limits, own, longest_answer: LONGEST_ANSWER, requests, pause }
    }

    fn minute(name: &'static str, rpm: u64, requests: usize, pause: Duration) -> Self {
        let stated = ("GEMINI_LIMITS", format!("rpm={rpm}"));
        Self::new(name, (Provider::GEMINI, requests_a_minute(rpm)), Some(stated), (requests, pause))
    }

    fn day(rpd: u64, requests: usize, pause: Duration) -> Self {
        let limits = Plan::each_model([Limit::new(rpd, Cost::Requests, Window::Day(Zone::Pacific))]);
        let stated = ("GEMINI_LIMITS", format!("rpd={rpd}"));
        let name = "Gemini, a day in California, burst";
        Self::new(name, (Provider::GEMINI, limits), Some(stated), (requests, pause))
    }

    /// Tokens that come back continuously. Headers tell the limit and what is left.
    fn tokens(tpm: u64, requests: usize, pause: Duration) -> Self {
        let minute = Window::Refilled(Duration::from_secs(60));
        let limits = Plan::each_model([Limit::new(tpm, Cost::Longest, minute)]);
        let stated = ("GROQ_LIMITS", format!("tpm={tpm},rpm=100000,rpd=100000"));
        let name = "Groq, tokens that refill, told by headers";
        Self::new(name, (Provider::GROQ, limits), Some(stated), (requests, pause))
    }

    /// The same, of which each request needs so many and waits for a second.
    fn large(name: &'static str, tpm: u64, longest_answer: u32, requests: usize) -> Self {
        let mut case = Self::tokens(tpm, requests, Duration::from_millis(400));
        case.own.push(("MAX_WAIT_MS", "1000".to_owned()));
        Self { name, longest_answer, ..case }
    }

    /// What Groq has published, of which this program has a guess until headers and refusals tell.
    fn published(requests: usize, pause: Duration) -> Self {
        let limits = Plan::published(Provider::GROQ);
        Self::new("Groq, its free plan, guessed", (Provider::GROQ, limits), None, (requests, pause))
    }

    fn waiting(mut self, name: &'static str) -> Self {
        self.own.push(("MAX_WAIT_MS", "10000".to_owned()));
        self.name = name;
        self
    }

    /// Whether nobody has told the limits, or requests leave so much unused that it matters whether that is given back.
    fn is_guessed(&self) -> bool {
        self.own.iter().all(|(name, _)| !name.ends_with("_LIMITS")) || self.longest_answer > LONGEST_ANSWER
    }

    /// How many of the same requests have room, for one who sees the provider's own counters.
    fn oracle(&self) -> u64 {
        let mut limiter = Limiter::new(self.limits.clone());
        let model = self.provider.default_models().next().expect("one");
        let size = Size { prompt: PROMPT, longest_answer: u64::from(self.longest_answer) };
        let begun = Timestamp::now();
        let at = |number: usize| begun + self.pause * u32::try_from(number).expect("a small number");
        let is_admitted = |number: &usize| limiter.admit("key", model, size, at(*number)).is_ok();
        (0..self.requests).filter(is_admitted).count() as u64
    }

    async fn run(&self, (count, is_one_asked): (usize, bool)) -> anyhow::Result<Outcome> {
        let server = Server::start(&[]).await?;
        let url = server.url();
        let mut own: Vec<(&str, &str)> =
            self.own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        own.push(("STATE_URL", &url));
        let mut instances =
            Instances::over(count, self.provider, Limits::Custom(self.limits.clone()), &own).await?;
        instances.ask_for(self.longest_answer);
        let (begun, before) = (Instant::now(), server.script_calls().await?);
        let whom = |number| if is_one_asked { 0 } else { number % count };
        let tally = instances.ask_many(self.requests, self.pause, whom).await?;
        let script_calls = server.script_calls().await? - before;
        let script_calls_a_second = script_calls as f64 / begun.elapsed().as_secs_f64();
        let (calls, server) = (instances.calls(), server.name().await?);
        Ok(Outcome { instances: count, is_one_asked, tally, calls, script_calls_a_second, server })
    }

    /// Measures, prints, and holds against what one instance does at the same load.
    async fn report(&self, least_share: f64) -> anyhow::Result<()> {
        let _turn = TURN.lock().await;
        let outcomes = try_join_all(WAYS.map(|way| self.run(way))).await?;
        let oracle = self.oracle();
        println!("{}", self.table(&outcomes, oracle));
        let one = &outcomes[0];
        for outcome in &outcomes {
            let (share, burnt) = (outcome.tally.answered as f64 / oracle as f64, outcome.burnt_of_thousand());
            let whole = format!("{}: {} instances, {:?}", self.name, outcome.instances, outcome.tally);
            assert!(share >= least_share, "{whole}: the oracle delivers {oracle}");
            // Whoever has a guess may find out once that it is wrong, and of few calls one is much.
            let a_few = if self.is_guessed() { outcome.instances as u64 } else { 1 };
            let is_kept =
                burnt <= one.burnt_of_thousand() + MORE_REFUSED || outcome.burnt() <= one.burnt() + a_few;
            assert!(
                is_kept,
                "{whole}: {} of {} calls refused, {} with one",
                outcome.burnt(),
                outcome.calls,
                one.burnt()
            );
        }
        Ok(())
    }

    fn table(&self, outcomes: &[Outcome], oracle: u64) -> String {
        let Self { name, requests, pause, .. } = self;
        let server = &outcomes[0].server;
        let mut table =
            format!("{name}: {requests} requests, one each {pause:?}; oracle {oracle} ({server})\n");
        let one = outcomes[0].tally.answered.max(1) as f64;
        for it in outcomes {
            let load = if it.is_one_asked { "all on one" } else { "even" };
            let answered = it.tally.answered;
            let _ = writeln!(
                table,
                "  {:>2} instances, {load:<10}  answered {answered:>4}: {:>5.1} % of the oracle's, {:>5.1} % of one's; \
                 refused calls {:>2} of {:>4}; {:>5.1} script calls a second",
                it.instances,
                100.0 * answered as f64 / oracle as f64,
                100.0 * answered as f64 / one,
                it.burnt(),
                it.calls,
                it.script_calls_a_second,
            );
        }
        table
    }
}

#[tokio::test]
async fn the_measured_minute_in_a_burst_is_delivered_by_however_many_instances() -> anyhow::Result<()> {
    Case::minute("Gemini, a minute, burst", 300, 500, Duration::from_millis(12)).report(0.95).await
}

#[tokio::test]
async fn the_measured_day_is_delivered_by_however_many_instances() -> anyhow::Result<()> {
    Case::day(200, 350, Duration::from_millis(15)).report(0.95).await
}

#[tokio::test]
async fn the_measured_tokens_are_delivered_by_however_many_instances() -> anyhow::Result<()> {
    Case::tokens(24_000, 400, Duration::from_millis(30)).report(0.9).await
}

/// The limit has room for two of these, for one, and for eight.
#[tokio::test]
async fn the_measured_large_requests_are_delivered_by_however_many_instances() -> anyhow::Result<()> {
    for (name, longest_answer, requests) in [
        ("Groq, each request needs 0.4 of the tokens", 3_200, 8),
        ("Groq, each request needs 0.8 of the tokens", 6_400, 4),
        ("Groq, each request needs 0.12 of the tokens", 960, 20),
    ] {
        Case::large(name, 8_000, longest_answer, requests).report(0.99).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_measured_guess_costs_no_more_refusals_with_however_many_instances() -> anyhow::Result<()> {
    Case::published(90, Duration::from_millis(100)).report(0.8).await
}

/// A limit of fewer requests than there are instances but for a few.
#[tokio::test]
async fn the_measured_small_limit_is_delivered_by_however_many_instances() -> anyhow::Result<()> {
    Case::minute("Gemini, 15 a minute, burst", 15, 60, Duration::from_millis(100)).report(0.8).await
}

#[tokio::test]
async fn the_measured_minute_begins_anew_for_however_many_instances() -> anyhow::Result<()> {
    Case::minute("Gemini, a minute, steady", 60, 100, Duration::from_millis(800)).report(0.9).await
}

#[tokio::test]
#[ignore = "takes four minutes"]
async fn the_measured_minutes_are_delivered_for_long() -> anyhow::Result<()> {
    Case::minute(
        "Gemini, 200 a minute, steady at 150 %, for four minutes",
        200,
        1_200,
        Duration::from_millis(200),
    )
    .report(0.95)
    .await
}

#[tokio::test]
#[ignore = "takes four minutes"]
async fn the_measured_minutes_are_delivered_to_those_who_wait() -> anyhow::Result<()> {
    Case::minute("", 200, 840, Duration::from_millis(286))
        .waiting("Gemini, 200 a minute, steady at 105 %, MAX_WAIT_MS=10000")
        .report(0.95)
        .await
}

/// The same request at an instance that shares and at one that does not, in turn, so that whatever happens on the machine
/// happens to both. What two that do not share differ by is the noise.
#[tokio::test]
async fn the_measured_time_of_a_request_is_the_same_with_and_without_a_server() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let server = Server::start(&[]).await?;
    let shared =
        Instances::over(1, Provider::GEMINI, Limits::Endless, &[("STATE_URL", &server.url()), ENDLESS])
            .await?;
    let alone = Instances::over(2, Provider::GEMINI, Limits::Endless, &[ENDLESS]).await?;
    let client = shared.client();
    let addresses = [shared.all[0].1, alone.all[0].1, alone.all[1].1];
    let mut times = [const { Vec::new() }; 3];
    for round in 0..1_000 {
        for turn in 0..3 {
            let which = (round + turn) % 3;
            let begun = Instant::now();
            let is_answered = client.ask(addresses[which]).await?;
            times[which].push(begun.elapsed().as_secs_f64() * 1_000.0);
            assert!(is_answered, "nothing is limited");
        }
    }
    let [with, without, again] = times;
    println!(
        "a request takes {:.2} ms without a server; {:+.3} ms with one, and {:+.3} ms at another without, by the medians of {} \
         pairs",
        median(without.iter().copied()),
        median(with.iter().zip(&without).map(|(one, other)| one - other)),
        median(again.iter().zip(&without).map(|(one, other)| one - other)),
        without.len()
    );
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
