//! Groq, Cerebras and Gemini on loopback, faithful to the wire: for `demo`, the tests and the benches.
//!
//! Each [`SimulatedProvider`] is a server of its own that speaks its provider's HTTP, byte for byte where it matters:
//! paths, authentication, strictness about fields and their order, tool calls, images, JSON modes and reasoning
//! settings, framing of streams, error bodies, limit headers and quotas. On request it misbehaves ([`Behaviour`]) down
//! to single bytes. HTTP libraries refuse to do that, so it writes its sockets itself. It keeps the requests it has
//! received.
//!
//! The official SDKs prove its fidelity (`tests/clients/`). Each dialect's file documents what it simulates.

mod base64;
mod behaviour;
mod connection;
mod echo;
mod gemini;
mod limiter;
mod models;
mod openai;
mod schema_instance;
mod small_talk;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use self::behaviour::{After, Behaviour, Fault, Reply, SimulatedCall, Trouble};
pub use self::echo::Voice;
pub use self::limiter::{
    Admitted, Allowance, Call, Cost, Limit, Limiter, Plan, Refusal, Size, Span, Used, Window, Zone,
};
pub use self::wire::Framing;
use crate::providers::{Directory, Provider};
use crate::time::{Clock, Moment};

/// All providers, simulated.
#[derive(Debug)]
pub struct Simulator {
    providers: Vec<SimulatedProvider>,
}

/// How to simulate a provider.
#[derive(Clone)]
pub struct Settings {
    /// The clock that limits use.
    pub clock: Clock,
    /// The time between two events of a stream.
    pub pace: Duration,
    /// What its limiter admits.
    pub limits: Limits,
    /// How many received requests are kept; older ones are forgotten.
    pub kept_requests: usize,
    /// The models at first; other ones get the provider's 404.
    pub models: Vec<String>,
    /// How it answers unless a [`Behaviour`] says what.
    pub voice: Voice,
}

impl Settings {
    /// The provider's current models, as fast as possible, without limits, with answers that repeat the question.
    pub fn new(provider: Provider, clock: Clock) -> Self {
        let models = provider.default_models().map(str::to_owned).collect();
        let (limits, voice) = (Limits::Endless, Voice::Echo);
        Self { clock, pace: Duration::ZERO, limits, kept_requests: 10_000, models, voice }
    }
}

/// Whose limits a simulated provider has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Limits {
    /// Nothing is limited, and the headers report large limits.
    #[default]
    Endless,
    /// What the real provider's free plan has.
    Published,
    /// Others, for all that its documents say.
    Custom(Plan),
}

impl Limits {
    fn plan(&self, provider: Provider) -> Plan {
        match self {
            Self::Endless => Plan::endless(),
            Self::Published => Plan::published(provider),
            Self::Custom(plan) => plan.clone(),
        }
    }
}

/// A clock that starts with `clock` and then runs so many times as fast: a day of limits in 24 minutes, at 60.
pub fn faster(clock: Clock, times: u32) -> Clock {
    let begun = clock();
    Arc::new(move || {
        let since = clock().steady.saturating_sub(begun.steady).saturating_mul(times);
        let wall = begun.wall.checked_add(since).unwrap_or(jiff::Timestamp::MAX);
        Moment { wall, steady: begun.steady.saturating_add(since) }
    })
}

/// The status, headers and body with which a provider refuses a call for a limit: byte for byte what its simulated
/// server sends, for simulations without sockets.
pub fn told_refusal(
    provider: Provider,
    model: &str,
    refusal: &Refusal,
) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let response = match openai::Host::of(provider.profile()) {
        Some(host) => openai::quota_refusal(&host, refusal, model),
        None => gemini::quota_refusal(refusal, model),
    };
    (response.status, response.headers, response.prelude.concat())
}

/// The headers with which a provider tells what is left; none if it does not tell.
pub fn told_limits(provider: Provider, left: &[Allowance]) -> Vec<(String, String)> {
    openai::Host::of(provider.profile()).map_or_else(Vec::new, |host| openai::limit_headers(&host, left))
}

/// One provider, simulated. Dropping it ends its server and all its connections.
#[derive(Debug)]
pub struct SimulatedProvider {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

/// A request that a simulated provider has received.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// The number of the request at this provider, from 0.
    pub number: u64,
    /// The number of its connection, from 0.
    pub connection: u64,
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// In order of arrival, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
    /// When its last byte arrived.
    pub received: Instant,
    /// Its outcome.
    pub outcome: Outcome,
}

/// The outcome of a received request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is being answered.
    Open,
    /// The answer has been written, or broken off as planned. The time is the start of its last step: nothing that
    /// follows from that step can have happened earlier.
    Answered(Instant),
    /// The caller left before that.
    Abandoned(Instant),
}

impl ReceivedRequest {
    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether it asks for a completion, rather than for the list of models.
    pub fn is_chat(&self) -> bool {
        self.method == "POST"
    }
}

impl Simulator {
    /// Starts these providers with the `settings` for each.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(directory: Directory, settings: impl Fn(Provider) -> Settings) -> io::Result<Self> {
        let mut providers = Vec::new();
        for provider in directory {
            providers.push(SimulatedProvider::start(provider, settings(provider)).await?);
        }
        Ok(Self { providers })
    }

    /// One provider.
    ///
    /// # Panics
    /// The provider is not simulated.
    #[expect(clippy::expect_used, reason = "whoever asks has started it")]
    pub fn provider(&self, provider: Provider) -> &SimulatedProvider {
        self.providers().find(|it| it.provider() == provider).expect("the provider is simulated")
    }

    /// All providers, in rotation order.
    pub fn providers(&self) -> impl Iterator<Item = &SimulatedProvider> {
        self.providers.iter()
    }
}

impl SimulatedProvider {
    /// Starts a simulation of `provider` on a free loopback port.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(provider: Provider, settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(provider, settings));
        #[expect(clippy::disallowed_methods, reason = "it is aborted when the handle is dropped")]
        let server = tokio::spawn(connection::accept(listener, shared.clone()));
        Ok(Self { shared, address, server })
    }

    /// The simulated provider.
    pub fn provider(&self) -> Provider {
        self.shared.provider
    }

    /// Scheme, host and port, as in `GROQ_BASE_URL` and the like.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, every completion behaves like this, unless [`then`](Self::then) says otherwise.
    pub fn always(&self, behaviour: Behaviour) {
        self.shared.state().usual = behaviour;
    }

    /// The next completion without a behaviour of its own behaves like this, once.
    pub fn then(&self, behaviour: Behaviour) {
        self.shared.state().next.push_back(behaviour);
    }

    /// From now on, lists and answers have these models, for every key without [models of its own](Self::offer_to).
    pub fn offer<S: Into<String>>(&self, models: impl IntoIterator<Item = S>) {
        self.shared.state().models = models.into_iter().map(Into::into).collect();
    }

    /// From now on, this key has these models: accounts differ.
    pub fn offer_to<S: Into<String>>(&self, key: &str, models: impl IntoIterator<Item = S>) {
        let models = models.into_iter().map(Into::into).collect();
        self.shared.state().models_of_keys.insert(key.to_owned(), models);
    }

    /// From now on, every model list behaves like this: [`Behaviour::echo`] for the true one.
    pub fn list_always(&self, behaviour: Behaviour) {
        self.shared.state().listing = behaviour;
    }

    /// The requests received, oldest first. Only the latest are kept.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.state().requests.iter().cloned().collect()
    }

    /// The completions among the requests received.
    pub fn chats(&self) -> Vec<ReceivedRequest> {
        self.requests().into_iter().filter(ReceivedRequest::is_chat).collect()
    }

    /// How many requests have been received, including those that are no longer kept.
    pub fn request_count(&self) -> u64 {
        self.shared.state().request_count
    }

    /// How many completions have been received, including those that are no longer kept.
    pub fn chat_count(&self) -> u64 {
        self.shared.state().chat_count
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.shared.open_connections.load(Ordering::Relaxed)
    }

    /// Waits until `is_so`, checking again whenever something has happened here. Waits without a limit: the caller sets
    /// the timeout.
    pub async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let mut changes = self.shared.changes.subscribe();
        while !is_so(self) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Drop for SimulatedProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What the connections of a simulated provider share.
#[derive(Debug)]
struct Shared {
    provider: Provider,
    settings: Settings,
    state: Mutex<State>,
    open_connections: AtomicUsize,
    connection_count: AtomicU64,
    /// Counts everything that happens.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    usual: Behaviour,
    next: VecDeque<Behaviour>,
    listing: Behaviour,
    models: Vec<String>,
    models_of_keys: HashMap<String, Vec<String>>,
    requests: VecDeque<ReceivedRequest>,
    request_count: u64,
    chat_count: u64,
    limiter: Limiter,
    /// The admitted calls that are being answered, by connection, and what each takes.
    under_way: HashMap<u64, (Call, Used)>,
    /// The thought signatures issued, in the spelling of [`base64::normal`].
    signatures: HashSet<String>,
}

impl Shared {
    fn new(provider: Provider, settings: Settings) -> Self {
        let state = State {
            usual: Behaviour::echo(),
            next: VecDeque::new(),
            listing: Behaviour::echo(),
            models: settings.models.clone(),
            models_of_keys: HashMap::new(),
            requests: VecDeque::new(),
            request_count: 0,
            chat_count: 0,
            limiter: Limiter::new(settings.limits.plan(provider)),
            under_way: HashMap::new(),
            signatures: HashSet::new(),
        };
        Self {
            provider,
            settings,
            state: Mutex::new(state),
            open_connections: AtomicUsize::new(0),
            connection_count: AtomicU64::new(0),
            changes: watch::Sender::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a completion behaves: as its `x-simulate` header says, else like the next in line, else as usual.
    fn behaviour_for(&self, request: &ReceivedRequest) -> Behaviour {
        if !request.is_chat() {
            return self.state().listing.clone();
        }
        let named = request.header("x-simulate").and_then(Behaviour::named);
        let mut state = self.state();
        named.or_else(|| state.next.pop_front()).unwrap_or_else(|| state.usual.clone())
    }

    /// The models that a key has.
    fn models_for(&self, key: &str) -> Vec<String> {
        let state = self.state();
        state.models_of_keys.get(key).unwrap_or(&state.models).clone()
    }

    /// A new thought signature, which is remembered.
    fn sign(&self, model: &str) -> String {
        let signatures = &mut self.state().signatures;
        let signature = base64::encode(format!("sim:{model}:{}", signatures.len()).as_bytes());
        signatures.insert(base64::normal(&signature));
        signature
    }

    /// Whether this simulator issued a thought signature.
    fn has_signed(&self, signature: &str) -> bool {
        self.state().signatures.contains(&base64::normal(signature))
    }

    /// Charges a call of `key`, if its limits have room for it.
    fn admit(&self, key: &str, model: &str, size: Size) -> Result<Admitted, Refusal> {
        let now = (self.settings.clock)().wall;
        self.state().limiter.admit(key, model, size, now)
    }

    /// Remembers a call until the answer on its connection ends, and what it will have taken then.
    fn takes(&self, connection: u64, call: Call, used: Used) {
        self.state().under_way.insert(connection, (call, used));
    }

    /// Ends the call on a connection, if there is one. A caller who leaves pays for the whole answer.
    fn settle(&self, connection: u64) {
        let now = (self.settings.clock)().wall;
        let mut state = self.state();
        if let Some((call, used)) = state.under_way.remove(&connection) {
            state.limiter.settle(call, used, now);
        }
    }

    fn has_changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Keeps a request and gives it its number.
    fn keep(&self, mut request: ReceivedRequest) -> u64 {
        let mut state = self.state();
        request.number = state.request_count;
        state.request_count += 1;
        state.chat_count += u64::from(request.is_chat());
        let number = request.number;
        state.requests.push_back(request);
        if state.requests.len() > self.settings.kept_requests {
            state.requests.pop_front();
        }
        drop(state);
        self.has_changed();
        number
    }

    fn conclude(&self, number: u64, outcome: Outcome) {
        if let Some(request) = self.state().requests.iter_mut().rev().find(|request| request.number == number)
        {
            request.outcome = outcome;
        }
        self.has_changed();
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("pace", &self.pace)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
