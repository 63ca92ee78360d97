//! Many instances on a virtual clock, over a model of what the server does, so that what they use together can be counted.

use std::collections::VecDeque;

use futures::FutureExt as _;

use super::*;
use crate::middle::Measure;
use crate::quota::booking::Booking;
use crate::quota::exchange::{Answer, Extent, Report};
use crate::quota::model::ServerModel;
use crate::quota::share::Bell;

const MODEL: &str = "openai/gpt-oss-20b";
/// A step of the world.
const STEP: u64 = 10;
/// A window, in milliseconds.
const MINUTE: u64 = 60_000;
/// How long a thousand instances are watched.
const SECONDS: u64 = 4;
/// How long a call takes until its answer begins.
const CALL: u64 = 300;

/// One instance.
struct Instance {
    state: State,
    bell: Arc<Bell>,
    all_at: u64,
    asked_at: u64,
    is_asking: bool,
    is_busy: bool,
    calls: VecDeque<(u64, Booking)>,
    is_alive: bool,
    sent: u64,
}

struct World {
    server: ServerModel,
    /// Whether the server answers.
    is_up: bool,
    instances: Vec<Instance>,
    /// Answers under way: when they arrive, and at whom.
    answers: VecDeque<(u64, usize, Report, Answer)>,
    now: u64,
    most: u64,
    /// The limit is of tokens, and a request takes so many; `None` if it is of requests.
    tokens: Option<u64>,
    /// What was sent within the last minute.
    window: VecDeque<u64>,
    /// The most that was ever sent within a minute, and how many calls there were in all.
    peak: u64,
    sent: u64,
    random: fastrand::Rng,
}

fn moment(now: u64) -> Moment {
    Moment { wall: wall(0) + Duration::from_millis(now), steady: Duration::from_millis(now) }
}

impl World {
    fn new(instances: usize, most: u64, seed: u64) -> Self {
        Self::of(instances, most, None, seed)
    }

    fn of(instances: usize, most: u64, tokens: Option<u64>, seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let mut world = Self {
            server: ServerModel::default(),
            is_up: true,
            instances: Vec::new(),
            answers: VecDeque::new(),
            now: 0,
            most,
            tokens,
            window: VecDeque::new(),
            peak: 0,
            sent: 0,
            random,
        };
        (0..instances).for_each(|_| world.add());
        world
    }

    fn add(&mut self) {
        let (limited, other) = match self.tokens {
            None => (Measure::REQUESTS_A_MINUTE, Measure::TOKENS_A_MINUTE),
            Some(_) => (Measure::TOKENS_A_MINUTE, Measure::REQUESTS_A_MINUTE),
        };
        let endless = [Measure::REQUESTS_A_DAY, Measure::TOKENS_A_DAY, other];
        let mut limits = vec![(limited, self.most)];
        limits.extend(endless.map(|measure| (measure, 1_000_000_000)));
        let offer = Offer {
            is_second_tier: false,
            provider: Provider::GROQ,
            accounts: 1,
            models: vec![MODEL.to_owned()],
            limits,
        };
        let mut state = State::new(vec![offer], fastrand::Rng::with_seed(7));
        let bell = Arc::<Bell>::default();
        state.share(&[vec!["key"]], &bell, moment(self.now));
        // Nobody starts in the same millisecond as everybody else.
        let asked_at = self.now + self.random.u64(..1_000) / STEP * STEP;
        self.instances.push(Instance {
            state,
            bell,
            all_at: asked_at,
            asked_at,
            is_asking: false,
            is_busy: false,
            calls: VecDeque::new(),
            is_alive: true,
            sent: 0,
        });
    }

    /// One request at an instance; whether it was sent.
    fn ask(&mut self, number: usize) -> bool {
        let target = Target::new(vec![Wanted { provider: GROQ, model: None }], false);
        let demand = Demand { prompt: self.tokens.unwrap_or(2) - 1, answer: Some(1) };
        let (needs, ruled_out) = (Needs::default(), &[][..]);
        let criteria = Criteria { target: &target, needs: &needs, ruled_out, demand, can_wait: false };
        let now = self.now;
        let it = &mut self.instances[number];
        let Some(booking) = it.state.pick(&criteria, moment(now)).booking else { return false };
        it.calls.push_back((now + CALL, booking));
        it.sent += 1;
        self.sent += 1;
        self.window.push_back(now);
        self.peak = self.peak.max(self.window.len() as u64);
        true
    }

    fn step(&mut self) {
        self.now += STEP;
        let now = self.now;
        while self.window.front().is_some_and(|at| at + MINUTE <= now) {
            self.window.pop_front();
        }
        while self.answers.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, number, report, answer)) = self.answers.pop_front() else { break };
            let it = &mut self.instances[number];
            it.is_asking = false;
            it.state.apply(&report, &answer, moment(now));
        }
        for number in 0..self.instances.len() {
            self.exchange(number);
            let it = &mut self.instances[number];
            while it.calls.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, booking)) = it.calls.pop_front() else { break };
                it.state.accepted(&booking, moment(now));
            }
        }
    }

    /// What `Sharing` does: at once if a lease is lacking, soon if something was used, else once a second.
    fn exchange(&mut self, number: usize) {
        let (now, is_up) = (self.now, self.is_up);
        let it = &mut self.instances[number];
        if !it.is_alive || it.is_asking || !is_up {
            return;
        }
        let is_lacking = it.bell.lacking.notified().now_or_never().is_some();
        it.is_busy |= it.bell.used.notified().now_or_never().is_some();
        let is_due = now >= it.all_at;
        let is_time = it.is_busy && now >= it.asked_at + 100;
        if !(is_due || is_lacking || is_time) {
            return;
        }
        let extent = if is_due { Extent::All } else { Extent::News };
        if is_due {
            it.all_at = now + 1_000;
        }
        it.asked_at = now;
        let reports = it.state.reports(extent, moment(now));
        it.is_busy = reports.iter().any(Report::wants_something);
        for report in reports {
            it.is_asking = true;
            let there = moment(now).wall.as_millisecond();
            let answer = self.server.exchange(&number.to_string(), &report, there);
            self.answers.push_back((now + STEP, number, report, answer));
        }
    }

    /// Lets so many milliseconds pass, in which so many requests come in a second; `whom` says to whom.
    fn run(&mut self, span: u64, rate: f64, whom: impl Fn(&mut fastrand::Rng) -> usize) -> u64 {
        let mut answered = 0;
        for _ in 0..span / STEP {
            let mut due = rate * STEP as f64 / 1_000.0;
            while due > 0.0 {
                if self.random.f64() < due {
                    let number = whom(&mut self.random);
                    if self.instances[number].is_alive {
                        answered += u64::from(self.ask(number));
                    }
                }
                due -= 1.0;
            }
            self.step();
        }
        answered
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// While the server answers, instances that share a limit never exceed it by more than a call each: one may go on credit
    /// while there seems to be enough for everybody. And most of it is used.
    #[test]
    fn a_limit_is_kept_together_whoever_is_asked(
        instances in 1_usize..12,
        most in 10_u64..400,
        load in 0.5_f64..4.0,
        favoured in 0_usize..12,
        share in 0.0_f64..1.0,
        seed in any::<u64>(),
    ) {
        let mut world = World::new(instances, most, seed);
        let favoured = favoured % instances;
        let rate = load * most as f64 / 60.0;
        world.run(2_000, 0.0, |_| 0);
        let answered = world.run(2 * MINUTE, rate, |random| {
            if random.f64() < share { favoured } else { random.usize(..instances) }
        });
        prop_assert!(world.peak <= most + instances as u64, "{} of {most}", world.peak);
        let possible = (load.min(1.0) * 2.0 * most as f64).floor();
        let is_enough = answered as f64 >= 0.7 * possible - 2.0 * instances as f64;
        prop_assert!(is_enough, "{answered} of {possible}");
    }

    /// A server that is killed, comes back empty or stands still, and instances that are killed and added: what was told nobody
    /// may be used once more.
    #[test]
    fn what_is_exceeded_in_trouble_is_bounded(
        instances in 2_usize..8,
        most in 60_u64..400,
        away in 1_000_u64..40_000,
        is_emptied in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut world = World::new(instances, most, seed);
        let rate = 1.5 * most as f64 / 60.0;
        world.run(2_000, 0.0, |_| 0);
        world.run(30_000, rate, |random| random.usize(..instances));
        world.is_up = false;
        world.answers.clear();
        world.instances.iter_mut().for_each(|it| it.is_asking = false);
        world.run(away, rate, |random| random.usize(..instances));
        if is_emptied {
            world.server.buckets.clear();
        }
        world.is_up = true;
        world.instances[0].is_alive = false;
        world.add();
        world.run(90_000, rate, |random| random.usize(..=instances));
        // The even part of each, again for who came anew, and a call each beyond it for every answer's time.
        let bound = 2 * most + instances as u64;
        prop_assert!(world.peak <= bound, "{} of {most}", world.peak);
    }
}

/// How many requests of this part of a limit are sent, if `hungry` of so many instances ask again and again, ten times a second.
/// Before, all have had small ones.
fn large_ones_sent(instances: usize, hungry: usize, part: f64, times: u64, seed: u64) -> u64 {
    let most = 8_000;
    let mut world = World::of(instances, most, Some(8), seed);
    world.run(2_000, 0.0, |_| 0);
    world.run(8_000, 40.0, |random| random.usize(..instances));
    // All of it comes back.
    world.run(MINUTE, 0.0, |_| 0);
    world.tokens = Some((most as f64 * part) as u64);
    let before = world.sent;
    for _ in 0..times {
        (0..hungry).for_each(|number| {
            world.ask(number);
        });
        world.run(100, 0.0, |_| 0);
    }
    world.sent - before
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A lease that is too small for its holder must not keep what is left from those who have room in it.
    #[test]
    fn large_requests_find_all_that_is_left_whoever_waits(
        instances in 1_usize..9,
        hungry in 1_usize..9,
        part in 0.11_f64..1.0,
        seed in any::<u64>(),
    ) {
        let hungry = hungry.min(instances);
        let sent = large_ones_sent(instances, hungry, part, 60, seed);
        // What comes back little by little they may find a second later, and one may go on credit.
        let (least, most) =
            (large_ones_sent(1, 1, part, 50, seed), large_ones_sent(1, 1, part, 60, seed) + 1);
        prop_assert!((least..=most).contains(&sent), "{sent}, and {least} to {most} of one instance");
    }
}

/// A large request gets its turn although the others have small ones all the time, as long as there is room for both.
#[test]
fn a_large_request_is_not_kept_from_its_turn_by_small_ones_elsewhere() {
    for (seed, part) in [(1, 0.5), (2, 0.7), (3, 0.85)] {
        let most = 8_000;
        let mut world = World::of(5, most, Some(8), seed);
        world.run(8_000, 4.0, |random| random.usize(1..5));
        let mut waited = 0;
        loop {
            world.tokens = Some((most as f64 * part) as u64);
            if world.ask(0) {
                break;
            }
            world.tokens = Some(8);
            world.run(100, 4.0, |random| random.usize(1..5));
            waited += 100;
            assert!(waited < 3_000, "{part} of the limit waits");
        }
    }
}

/// A thousand instances that have little to do, and one that has all. How many exchanges that costs, and how much of the limit
/// is used, is printed: `cargo test --lib a_thousand_instances -- --nocapture`.
#[test]
fn a_thousand_instances_share_a_limit_and_one_of_them_may_use_most_of_it() {
    for instances in [10, 100, 1_000] {
        let most = 3_000;
        let mut world = World::new(instances, most, 7);
        world.run(2_000, 0.0, |_| 0);
        let before = (world.server.exchanges, world.server.told_buckets);
        let answered = world.run(SECONDS * 1_000, 100.0, |_| 0);
        let (exchanges, buckets) =
            ((world.server.exchanges - before.0) / SECONDS, (world.server.told_buckets - before.1) / SECONDS);
        println!(
            "{instances} instances: {answered} of {} asked of one; a second {exchanges} exchanges, {buckets} buckets",
            100 * SECONDS
        );
        assert!(
            world.peak <= most + instances as u64 && answered > 85 * SECONDS,
            "{answered}, {}",
            world.peak
        );
    }
    let mut world = World::new(1_000, 3_000, 7);
    world.run(2_000, 0.0, |_| 0);
    let answered = world.run(SECONDS * 1_000, 150.0, |random| random.usize(..1_000));
    let fewest = world.instances.iter().map(|it| it.sent).min();
    println!(
        "1,000 instances, evenly: {answered} of {}; between {fewest:?} and {:?} each",
        150 * SECONDS,
        world.instances.iter().map(|it| it.sent).max()
    );
    assert!(world.peak <= 4_000 && answered > 120 * SECONDS, "{answered}, {}", world.peak);
}
