//! Instances are killed and added, the server is paused, killed and restarted empty, and bytes are held up, at random, while
//! twice as many requests come as there is room for. The provider keeps the history of all calls: it never has more than the
//! limit and what is stated in `docs/several.md`.
//!
//! `STORM_SECONDS=600 STORM_SEED=1 cargo test --test valkey storms -- --nocapture` is a longer one, or another.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::Limits;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::instances::{Client, Instances, requests_a_minute};
use crate::server::Server;
use crate::way::{Traffic, Way};

const RPM: u64 = 120;
const INSTANCES: usize = 4;
/// Twice the limit.
const PAUSE: Duration = Duration::from_millis(250);
const SECONDS: u64 = 70;

/// What a storm is made of.
struct Storm {
    server: Server,
    way: Way,
    instances: Instances,
    /// Those who are asked.
    alive: Arc<Mutex<Vec<SocketAddr>>>,
    random: fastrand::Rng,
    /// How often something has happened that may cost a call beyond the limit.
    troubles: u64,
}

/// What became of the requests.
#[derive(Debug, Default)]
struct Asked {
    answered: u64,
    refused: u64,
    /// At an instance that was killed meanwhile.
    lost: u64,
}

fn number(variable: &str, usual: u64) -> anyhow::Result<u64> {
    std::env::var(variable).map_or(Ok(usual), |text| Ok(text.parse()?))
}

impl Storm {
    async fn new(limits: Limits, seed: u64) -> anyhow::Result<Self> {
        let server = Server::start(&[]).await?;
        let way = Way::to(&server).await?;
        let own = [("GEMINI_LIMITS", format!("rpm={RPM}")), ("STATE_URL", way.url())];
        let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let instances = Instances::over(INSTANCES, Provider::GEMINI, limits, &own).await?;
        let alive = instances.all.iter().map(|(_, address)| *address).collect();
        let (alive, random) = (Arc::new(Mutex::new(alive)), fastrand::Rng::with_seed(seed));
        Ok(Self { server, way, instances, alive, random, troubles: 0 })
    }

    fn some_seconds(&mut self) -> Duration {
        Duration::from_millis(self.random.u64(500..4_000))
    }

    /// One thing happens and is over again.
    async fn strike(&mut self) -> anyhow::Result<()> {
        let span = self.some_seconds();
        self.troubles += 1;
        match self.random.u8(..6) {
            0 | 1 => self.replace_one().await?,
            2 => {
                self.server.signal("STOP").await?;
                sleep(span).await;
                self.server.signal("CONT").await?;
            }
            3 => {
                self.server.kill().await?;
                sleep(span).await;
                self.server.start_again().await?;
            }
            4 => self.hold_up(Traffic::Stands, span).await,
            _ => {
                let late = Duration::from_millis(self.random.u64(50..400));
                let traffic = if self.random.bool() { Traffic::AnswersStand } else { Traffic::Late(late) };
                self.hold_up(traffic, span).await;
            }
        }
        let calm = self.some_seconds();
        sleep(calm).await;
        Ok(())
    }

    async fn hold_up(&self, traffic: Traffic, span: Duration) {
        self.way.set(traffic);
        sleep(span).await;
        self.way.set(Traffic::Flows);
    }

    /// Kills an instance, and starts another.
    async fn replace_one(&mut self) -> anyhow::Result<()> {
        let (mut victim, address) = self.instances.all.swap_remove(self.random.usize(..INSTANCES));
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).retain(|it| *it != address);
        victim.child.kill().await?;
        self.instances.add_unheard().await?;
        let added = self.instances.all.last().map(|(_, address)| *address);
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).extend(added);
        Ok(())
    }

    /// Rages for so long, and says how much has come of the requests.
    async fn rage(&mut self, span: Duration) -> anyhow::Result<Asked> {
        let end = Instant::now() + span;
        let random = self.random.fork();
        let asking = tokio::spawn(ask_until(end, self.instances.client(), self.alive.clone(), random));
        while Instant::now() < end {
            self.strike().await?;
        }
        asking.await?
    }
}

/// Asks somebody who is alive, again and again.
async fn ask_until(
    end: Instant,
    client: Client,
    alive: Arc<Mutex<Vec<SocketAddr>>>,
    mut random: fastrand::Rng,
) -> anyhow::Result<Asked> {
    let (mut asks, mut asked) = (JoinSet::new(), Asked::default());
    while Instant::now() < end {
        let whom = random.choice(alive.lock().unwrap_or_else(PoisonError::into_inner).iter()).copied();
        let (whom, client) = (whom.expect("somebody is alive"), client.clone());
        asks.spawn(async move { (whom, client.ask(whom).await) });
        sleep(PAUSE).await;
    }
    for (whom, answer) in asks.join_all().await {
        match answer {
            Ok(true) => asked.answered += 1,
            Ok(false) => asked.refused += 1,
            Err(error) => {
                let is_alive = alive.lock().unwrap_or_else(PoisonError::into_inner).contains(&whom);
                anyhow::ensure!(!is_alive, "a request has failed: {error}");
                asked.lost += 1;
            }
        }
    }
    Ok(asked)
}

/// A provider that refuses what is too much: whoever goes on alone finds that out with one call.
#[tokio::test]
async fn in_a_storm_each_trouble_costs_each_instance_one_refused_call_at_most() -> anyhow::Result<()> {
    let seed = number("STORM_SEED", 17)?;
    let mut storm = Storm::new(Limits::Custom(requests_a_minute(RPM)), seed).await?;
    let asked = storm.rage(Duration::from_secs(number("STORM_SECONDS", SECONDS)?)).await?;
    let burnt = storm.instances.calls().saturating_sub(asked.answered + asked.lost);
    let (troubles, bound) = (storm.troubles, storm.troubles * INSTANCES as u64);
    println!("storm {seed}: {asked:?}; {troubles} troubles, {burnt} calls refused by the provider");
    assert!(burnt <= bound, "{burnt} calls refused, {bound} are stated");
    // A minute's worth at once, and what comes back behind it.
    assert!(asked.answered >= RPM * 9 / 10, "{asked:?}");
    Ok(())
}

/// A provider that refuses nothing shows what is granted.
#[tokio::test]
async fn in_a_storm_no_minute_has_more_calls_than_stated() -> anyhow::Result<()> {
    let seed = number("STORM_SEED", 23)?;
    let mut storm = Storm::new(Limits::Endless, seed).await?;
    let asked = storm.rage(Duration::from_secs(number("STORM_SECONDS", SECONDS)?)).await?;
    let (most, troubles) = (storm.instances.most_in_a_minute() as u64, storm.troubles);
    println!(
        "storm {seed} without refusals: {asked:?}; {troubles} troubles; {most} calls within a minute, {RPM} allowed"
    );
    assert!(most <= 2 * RPM + INSTANCES as u64, "{most}");
    Ok(())
}
