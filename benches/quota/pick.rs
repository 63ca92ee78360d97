//! What picking costs. All requests share one lock, and nearly all of a pick happens under it.
//!
//! A pick here is what the dispatcher does, without a network: choosing a candidate, reserving its call, and for a client
//! that is refused, the time that it is told. Times say little on their own, so each is also told as a multiple of a
//! baseline from the same run: locking a mutex and looking up a key in a `HashMap`.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ai_proxy_free::internals::middle::Usage;
use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::quota::{Trial, TrialTurn};
use ai_proxy_free::internals::time::Moment;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;

/// A median is of so many rounds.
const ROUNDS: usize = 9;
/// A round of picks.
const PICKS: usize = 200;
/// Between two picks: even one provider's smallest limit has room again by then.
const GAP: Duration = Duration::from_secs(60);
/// How many wait in the line that is planned anew.
const WAITING: usize = 1_000;
/// The line is served because something may have become free, but not more often than this.
const SERVE_INTERVAL: Duration = Duration::from_millis(100);
/// Longer than anybody has to wait.
const PATIENCE: Duration = Duration::from_secs(100_000 * 86_400);
/// Tokens of each prompt and each answer.
const TOKENS: u32 = 10;

/// Providers with so many accounts each.
struct Setting {
    name: String,
    providers: Vec<Provider>,
    accounts: usize,
}

/// The engine, its clients and its time.
struct Scene {
    trial: Trial,
    clients: usize,
    now: Moment,
}

/// Prints what picking costs, for the usual number of candidates and for many.
pub(crate) fn report() {
    let usual = Setting {
        name: "3 providers, 1 key, their models".to_owned(),
        providers: Directory::core().iter().collect(),
        accounts: 1,
    };
    let many = Setting {
        name: "13 providers, 5 keys, 8 models".to_owned(),
        providers: Trial::many_providers(13, 8),
        accounts: 5,
    };
    let baseline = baseline();
    println!("\nWhat picking costs; a locked mutex and a look into a HashMap take {baseline:.0} ns");
    println!("{:34} | {:40} | {:>12} | {:>9}", "", "", "median", "baselines");
    for setting in [usual, many] {
        let line = |case: &str, times: [Duration; ROUNDS], number: usize| {
            let each = median(times, number);
            println!("{:34} | {case:40} | {each:>9.0} ns | {:>9.0}", setting.name, each / baseline);
        };
        line("the first candidate can serve", setting.first_can_serve(), PICKS);
        line("all of the first provider's are full", setting.first_is_full(), PICKS);
        line("everybody is full: refused", setting.everybody_is_full(), PICKS);
        line("a call is settled, nobody waits", setting.settled(0), 1);
        line(&format!("a call is settled, {WAITING} wait"), setting.settled(WAITING), 1);
    }
}

/// The median time of one of `number` operations, in nanoseconds.
fn median(mut rounds: [Duration; ROUNDS], number: usize) -> f64 {
    rounds.sort_unstable();
    rounds[ROUNDS / 2].as_nanos() as f64 / number as f64
}

/// The time of one locked look-up, in nanoseconds.
fn baseline() -> f64 {
    let known = Mutex::new((0..520_usize).map(|key| (key, key)).collect::<HashMap<_, _>>());
    let look_ups = 100_000;
    let rounds = [(); ROUNDS].map(|()| {
        let begun = Instant::now();
        for key in 0..look_ups {
            black_box(known.lock().expect("nobody panics").get(&black_box(key % 520)));
        }
        begun.elapsed()
    });
    median(rounds, look_ups)
}

impl Setting {
    fn scene(&self) -> Scene {
        let now: Timestamp = "2026-11-23T20:00:00Z".parse().expect("a time");
        let now = Moment::at(now);
        Scene { trial: Trial::new(&self.providers, self.accounts, now), clients: 0, now }
    }

    fn first_can_serve(&self) -> [Duration; ROUNDS] {
        let mut scene = self.scene();
        [(); ROUNDS].map(|()| scene.served())
    }

    fn first_is_full(&self) -> [Duration; ROUNDS] {
        let first = self.providers[0];
        [(); ROUNDS].map(|()| {
            let mut scene = self.scene();
            scene.fill(self.providers.len(), |provider| provider == first);
            scene.served()
        })
    }

    fn everybody_is_full(&self) -> [Duration; ROUNDS] {
        [(); ROUNDS].map(|()| {
            let mut scene = self.scene();
            scene.fill(self.providers.len(), |_| true);
            let mut total = Duration::ZERO;
            for _ in 0..PICKS {
                let begun = Instant::now();
                let turn = scene.ask(Duration::ZERO);
                total += begun.elapsed();
                assert!(matches!(turn, TrialTurn::Refused(Some(_))), "{turn:?}");
            }
            total
        })
    }

    /// The end of a call that makes no room, while so many wait: all of them are planned anew.
    fn settled(&self, waiting: usize) -> [Duration; ROUNDS] {
        let mut scene = self.scene();
        let open = [(); ROUNDS].map(|()| scene.call().expect("room").0);
        scene.fill(self.providers.len(), |_| true);
        for _ in 0..waiting {
            let turn = scene.ask(PATIENCE);
            assert!(matches!(turn, TrialTurn::Waits(_)), "{turn:?}");
        }
        open.map(|call| {
            scene.pass(SERVE_INTERVAL);
            let begun = Instant::now();
            scene.trial.settled(call, usage(), scene.now);
            begun.elapsed()
        })
    }
}

impl Scene {
    /// The time of picks that are served. The calls are answered beside the clock.
    fn served(&mut self) -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..PICKS {
            self.pass(GAP);
            let begun = Instant::now();
            let turn = self.ask(Duration::ZERO);
            total += begun.elapsed();
            let TrialTurn::Sent { call, .. } = turn else { panic!("{turn:?}") };
            self.trial.head(call, &HeaderMap::new(), self.now);
            self.trial.settled(call, usage(), self.now);
        }
        total
    }

    /// Calls providers until none that `is_meant` has any candidate left with room.
    fn fill(&mut self, providers: usize, is_meant: impl Fn(Provider) -> bool) {
        let mut others = 0;
        // As soon as a whole turn has gone by, nobody who is meant is left.
        while others <= providers {
            let Some((call, provider)) = self.call() else { return };
            if is_meant(provider) {
                others = 0;
                self.use_up(call, provider);
            } else {
                others += 1;
                self.trial.head(call, &HeaderMap::new(), self.now);
                self.trial.settled(call, usage(), self.now);
            }
        }
    }

    /// The provider says that nothing is left today: Groq and its like in the head of an answer, others in a refusal.
    fn use_up(&mut self, call: u64, provider: Provider) {
        if provider == Provider::GROQ || !Directory::core().iter().any(|it| it == provider) {
            self.trial.head(call, &nothing_left(), self.now);
            self.trial.settled(call, usage(), self.now);
        } else {
            let headers =
                HeaderMap::from_iter([(http::header::RETRY_AFTER, HeaderValue::from_static("3000"))]);
            self.trial.refused(call, 429, &headers, refusal(), self.now);
        }
    }

    fn call(&mut self) -> Option<(u64, Provider)> {
        match self.ask(Duration::ZERO) {
            TrialTurn::Sent { call, provider, .. } => Some((call, provider)),
            _ => None,
        }
    }

    fn ask(&mut self, patience: Duration) -> TrialTurn {
        self.clients += 1;
        self.trial.ask(self.clients, u64::from(TOKENS), TOKENS, patience, self.now)
    }

    fn pass(&mut self, span: Duration) {
        self.now = Moment { wall: self.now.wall + span, steady: self.now.steady + span };
    }
}

/// Two requests a day, both used: one is back in half a day.
fn nothing_left() -> HeaderMap {
    let headers = [
        ("x-ratelimit-limit-requests", "2"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "24h0m0s"),
    ];
    let headers =
        headers.map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)));
    headers.into_iter().collect()
}

/// In the form of Google; Cerebras' status and header say enough.
fn refusal() -> &'static [u8] {
    br#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Too many requests","details":[{"@type":
        "type.googleapis.com/google.rpc.RetryInfo","retryDelay":"3000s"}]}}"#
}

fn usage() -> Usage {
    let tokens = u64::from(TOKENS);
    Usage {
        prompt_tokens: tokens,
        completion_tokens: tokens,
        total_tokens: 2 * tokens,
        cached_tokens: None,
        reasoning_tokens: None,
    }
}
