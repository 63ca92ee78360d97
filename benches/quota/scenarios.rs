//! The days that are run, and what is printed of each.

use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;

use crate::clients::{Client, Mix};
use crate::oracle::{Oracle, Ruled};
use crate::peers::{Priority, RoundRobin};
use crate::program;
use crate::simulation::run;
use crate::strategy::Strategy;
use crate::tally::Tally;
use crate::truth::{Deviation, Truth};

const HOUR: Duration = Duration::from_secs(3_600);

/// Steady streams of clients, at several shares of what can be served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steady {
    mix: Mix,
    /// How many come together.
    clump: u64,
    accounts: usize,
    deviation: Deviation,
    loads: &'static [f64],
    span: Duration,
    /// Calls for clients who come earlier are counted as warm-up.
    warm_up: Duration,
}

/// All accounts are fresh then. It is 21:30 in California: even short days have a midnight in them.
fn beginning() -> Timestamp {
    "2026-11-23T05:30:00Z".parse().expect("a time")
}

/// How many come together where they do.
const CLUMP: u64 = 10;

const LOADS: &[f64] = &[0.3, 0.7, 0.95, 1.3];

impl Steady {
    /// Enough to see a strategy that is bad at something.
    pub(crate) fn few() -> Vec<Self> {
        let usual = Self {
            mix: Mix::Mixed,
            clump: 1,
            accounts: 1,
            deviation: Deviation::None,
            loads: LOADS,
            span: 4 * HOUR,
            warm_up: 4 * HOUR / 10,
        };
        let busy = Self { loads: &[0.95], ..usual };
        // By then every limit has been met once.
        let second_day = Self { span: 48 * HOUR, warm_up: 24 * HOUR, loads: &[0.7, 0.95], ..usual };
        let deviations = Deviation::ALL.map(|deviation| Self { deviation, loads: &[0.95], ..second_day });
        let mixes = Mix::ALL.map(|mix| Self { mix, ..busy });
        let others = deviations.into_iter().chain(mixes);
        let others = others.filter(|it| it.deviation != Deviation::None || it.mix != Mix::Mixed);
        let day = Self { loads: &[0.7], span: 24 * HOUR, warm_up: 24 * HOUR / 10, ..usual };
        let clumps = Self { clump: CLUMP, ..busy };
        [usual, day, second_day, Self { accounts: 3, ..busy }, clumps].into_iter().chain(others).collect()
    }

    /// Two days, the first to warm up, every mix with every deviation.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for accounts in [1, 3] {
            for deviation in Deviation::ALL {
                for (mix, clump) in Mix::ALL.into_iter().map(|mix| (mix, 1)).chain([(Mix::Mixed, CLUMP)]) {
                    all.push(Self {
                        mix,
                        clump,
                        accounts,
                        deviation,
                        loads: LOADS,
                        span: 48 * HOUR,
                        warm_up: 24 * HOUR,
                    });
                }
            }
        }
        all
    }

    /// Runs it and prints a table for each load; the least share of the oracle's answers that this program has
    /// delivered, if it takes part.
    pub(crate) fn report(&self) -> Option<f64> {
        let capacity = self.capacity();
        let Self { mix, clump, accounts, deviation, span, loads, .. } = *self;
        let shares = loads.iter().filter_map(|load| {
            println!(
                "\n{}, {clump} at a time, {accounts} account(s), limits {}, {} h at {:.0} % of {:.1} requests a \
                 minute",
                mix.name(),
                deviation.name(),
                span.as_secs() / 3_600,
                load * 100.0,
                capacity * 60.0,
            );
            let clients = self.clients(capacity * load, 1);
            let (oracle, others) = self.compare(&clients, capacity);
            print_table(&oracle, &others)
        });
        shares.reduce(f64::min)
    }

    /// The share that this program is to deliver. Half of a documented limit that refills is inferred from refusals, which
    /// tell less than the truth; and whoever keeps to a sliding minute, as this program does, cannot use all of a clock's.
    pub(crate) fn wanted(&self) -> f64 {
        match self.deviation {
            Deviation::None | Deviation::Refunds | Deviation::Double => 0.97,
            Deviation::Half => 0.93,
            Deviation::OtherWindows => 0.85,
        }
    }

    /// Clients at `rate` a second.
    fn clients(&self, rate: f64, seed: u64) -> Vec<Client> {
        self.mix.poisson(rate, self.clump, beginning(), self.span, &mut Rng::with_seed(seed))
    }

    /// What the oracle and the others make of these clients.
    fn compare(&self, clients: &[Client], capacity: f64) -> (Tally, Vec<(&'static str, Tally)>) {
        let warm_from = beginning() + self.warm_up;
        let oracle = self.run(&mut Oracle::new(capacity), clients, warm_from);
        let others = self.others(capacity).into_iter();
        let others =
            others.map(|mut strategy| (strategy.name(), self.run(&mut *strategy, clients, warm_from)));
        (oracle, others.collect())
    }

    fn others(&self, capacity: f64) -> Vec<Box<dyn Strategy>> {
        let truth = Truth::new(self.accounts, self.deviation);
        let places = truth.places();
        let mut others: Vec<Box<dyn Strategy>> = vec![
            Box::new(Ruled::new(capacity)),
            Box::new(RoundRobin::new(places)),
            Box::new(Priority::new(places)),
        ];
        others.extend(program::adapter(places, beginning()));
        others
    }

    fn run(&self, strategy: &mut dyn Strategy, clients: &[Client], warm_from: Timestamp) -> Tally {
        run(&mut Truth::new(self.accounts, self.deviation), strategy, clients, warm_from)
    }

    /// The highest rate, in requests a second, of which the oracle answers 99 in 100.
    fn capacity(&self) -> f64 {
        let can = |rate: f64| {
            let clients = self.clients(rate, 7);
            let tally = self.run(&mut Oracle::new(rate), &clients, beginning());
            tally.answered * 100 >= clients.len() as u64 * 99
        };
        let mut low = 1.0 / 256.0;
        while can(low * 2.0) {
            low *= 2.0;
        }
        let mut high = low * 2.0;
        for _ in 0..5 {
            let middle = f64::midpoint(low, high);
            if can(middle) { low = middle } else { high = middle }
        }
        low
    }
}

/// Prints it; this program's share of the oracle's answers, if it is among the others.
fn print_table(oracle: &Tally, others: &[(&'static str, Tally)]) -> Option<f64> {
    println!("{}", Tally::HEADS);
    assert!(oracle.is_spotless(), "whoever sees the limits is never refused");
    println!("{}", oracle.line("oracle", oracle));
    let ruled = others.iter().find(|(name, _)| *name == Ruled::NAME).map(|(_, tally)| tally);
    let mut shares = None;
    for (name, tally) in others {
        println!("{}", tally.line(name, oracle));
        if *name == program::NAME {
            shares = Some(tally.shares_of(ruled.unwrap_or(oracle)));
        }
    }
    shares.map(|(requests, tokens)| requests.min(tokens))
}

/// Three times what a minute holds, at once, after half an hour of few clients. Whoever is refused comes back once, when
/// it was told to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst(Steady);

impl Burst {
    /// With one account and, unless it has to be quick, with three.
    pub(crate) fn all(is_quick: bool) -> Vec<Self> {
        let steady = |accounts, deviation| {
            let (mix, clump, loads, span) = (Mix::Mixed, 1, LOADS, 2 * HOUR);
            let warm_up = Duration::ZERO;
            Self(Steady { mix, clump, accounts, deviation, loads, span, warm_up })
        };
        let deviations: &[_] = if is_quick { &[Deviation::None] } else { &Deviation::ALL };
        let accounts: &[_] = if is_quick { &[1] } else { &[1, 3] };
        let each = accounts.iter().flat_map(|accounts| deviations.iter().map(|it| steady(*accounts, *it)));
        each.collect()
    }

    /// Runs it and prints a table.
    pub(crate) fn report(&self) {
        let Steady { mix, accounts, deviation, .. } = self.0;
        let (capacity, minute) = (self.0.capacity(), self.minute());
        let clients = self.clients(capacity, 3 * minute);
        println!(
            "\nburst of {} requests, three times a minute's {minute}; {}, {accounts} account(s), limits {}",
            3 * minute,
            mix.name(),
            deviation.name()
        );
        let (oracle, others) = self.0.compare(&clients, capacity);
        print_table(&oracle, &others);
        let all = [("oracle", &oracle)].into_iter().chain(others.iter().map(|(name, tally)| (*name, tally)));
        for (name, tally) in all {
            let Tally { answered_later, refused_again, .. } = tally;
            println!("  {name:14} | back: {answered_later:5} answered, {refused_again:5} refused again");
        }
    }

    /// Few clients for half an hour, then the burst among a few more. Only the burst counts.
    fn clients(&self, capacity: f64, size: u64) -> Vec<Client> {
        let mut random = Rng::with_seed(3);
        let mix = self.0.mix;
        let few = mix.poisson(0.3 * capacity, 1, beginning(), HOUR, &mut random);
        let few = few.into_iter().map(|client| Client { counts: false, ..client });
        let at = beginning() + HOUR / 2;
        let burst = (0..size).map(|_| Client { returns: true, ..mix.client(at, &mut random) });
        let burst: Vec<Client> = burst.collect();
        few.chain(burst).collect()
    }

    /// How many requests fresh accounts admit within a minute.
    fn minute(&self) -> u64 {
        let (mut random, mut count) = (Rng::with_seed(5), 0);
        let mut truth = Truth::new(self.0.accounts, self.0.deviation);
        for second in 0..60 {
            let now = beginning() + Duration::from_secs(second);
            let mut in_vain = 0;
            while in_vain < 20 {
                let client = self.0.mix.client(now, &mut random);
                match truth.best(client.size(), now) {
                    Ok(place) => {
                        let admitted = truth.admit(place, client.size(), now).expect("it has room");
                        drop(admitted);
                        count += 1;
                    }
                    Err(_) => in_vain += 1,
                }
            }
        }
        count
    }
}
