//! Groq, Cerebras and Gemini on loopback, faithful to the wire: for `demo`, the tests and the benches.
//!
//! Each [`SimulatedProvider`] is a server of its own that speaks its provider's HTTP, byte for byte where it
//! matters: paths, authentication, strictness about fields and their order, tool calls, images, JSON modes and
//! reasoning settings, framing of streams, error bodies, limit headers and quotas. On request it misbehaves ([`Behaviour`]) down to single bytes, which polite HTTP libraries
//! refuse to do, so it writes its sockets itself. It keeps the requests it has received.
//!
//! The official SDKs prove its fidelity (`tests/clients/`). What it simulates is documented in each dialect's file.

mod base64;
mod behaviour;
mod connection;
mod echo;
mod gemini;
mod models;
mod openai;
mod quota;
mod schema_instance;
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
pub use self::quota::Quota;
use self::quota::QuotaBook;
pub use self::wire::Framing;
use crate::providers::{Directory, Provider};
use crate::time::Clock;

/// All providers, simulated.
#[derive(Debug)]
pub struct Simulator {
    providers: Vec<SimulatedProvider>,
}

/// How to simulate.
#[derive(Clone)]
pub struct Settings {
    /// The time that quotas go by.
    pub clock: Clock,
    /// The time between two events of a stream.
    pub pace: Duration,
    /// The limits of each key and model; without them there are none, and the headers tell of large ones.
    pub quota: Option<Quota>,
    /// How many received requests are kept; older ones are forgotten.
    pub kept_requests: usize,
    /// The models there are at first; other ones get the provider's 404.
    pub models: Vec<String>,
}

impl Settings {
    /// The provider's models of today, as fast as possible, without limits.
    pub fn new(provider: Provider, clock: Clock) -> Self {
        let models = provider.default_models().map(str::to_owned).collect();
        Self { clock, pace: Duration::ZERO, quota: None, kept_requests: 10_000, models }
    }
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
    /// Counts all requests of the provider, from 0.
    pub number: u64,
    /// Counts its connections, from 0.
    pub connection: u64,
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// In the order in which they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
    /// When its last byte had come.
    pub received: Instant,
    /// What has become of it.
    pub outcome: Outcome,
}

/// What has become of a received request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is being answered.
    Open,
    /// The answer has been written, or broken off as planned. Its last step began then: what follows from it cannot
    /// have come earlier.
    Answered(Instant),
    /// The caller has left before that.
    Abandoned(Instant),
}

impl ReceivedRequest {
    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether it asks for a completion, rather than for the list of models.
    pub fn is_chat(&self) -> bool {
        self.method == "POST"
    }
}

impl Simulator {
    /// Starts these providers as `settings` says for each.
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

    /// One of them.
    ///
    /// # Panics
    /// It is not simulated.
    #[expect(clippy::expect_used, reason = "whoever asks has started it")]
    pub fn provider(&self, provider: Provider) -> &SimulatedProvider {
        self.providers().find(|it| it.provider() == provider).expect("the provider is simulated")
    }

    /// All of them, in rotation order.
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

    /// Whom it simulates.
    pub fn provider(&self) -> Provider {
        self.shared.provider
    }

    /// Scheme, host and port: what goes into `GROQ_BASE_URL` and the like.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on every completion goes like this, unless it is one of [`then`](Self::then).
    pub fn always(&self, behaviour: Behaviour) {
        self.shared.state().usual = behaviour;
    }

    /// The next completion that has none yet goes like this, once.
    pub fn then(&self, behaviour: Behaviour) {
        self.shared.state().next.push_back(behaviour);
    }

    /// From now on there are these models, in lists and in answers, for every key without
    /// [models of its own](Self::offer_to).
    pub fn offer<S: Into<String>>(&self, models: impl IntoIterator<Item = S>) {
        self.shared.state().models = models.into_iter().map(Into::into).collect();
    }

    /// From now on there are these models for this key: accounts differ.
    pub fn offer_to<S: Into<String>>(&self, key: &str, models: impl IntoIterator<Item = S>) {
        let models = models.into_iter().map(Into::into).collect();
        self.shared.state().models_of_keys.insert(key.to_owned(), models);
    }

    /// From now on every list of models goes like this: [`Behaviour::echo`] for the true one.
    pub fn list_always(&self, behaviour: Behaviour) {
        self.shared.state().listing = behaviour;
    }

    /// The requests received, oldest first; of very many only the latest.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.state().requests.iter().cloned().collect()
    }

    /// The completions among them.
    pub fn chats(&self) -> Vec<ReceivedRequest> {
        self.requests().into_iter().filter(ReceivedRequest::is_chat).collect()
    }

    /// How many requests there have been, forgotten ones included.
    pub fn request_count(&self) -> u64 {
        self.shared.state().request_count
    }

    /// How many completions among them, forgotten ones included.
    pub fn chat_count(&self) -> u64 {
        self.shared.state().chat_count
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.shared.open_connections.load(Ordering::Relaxed)
    }

    /// Waits until `is_so`, looking again whenever something has happened here. Waits for ever: the caller has
    /// the clock.
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
    quotas: QuotaBook,
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
            quotas: QuotaBook::new(settings.quota),
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

    /// How a completion is to go: as its `x-simulate` header says, or the next in line, or as usual.
    fn behaviour_for(&self, request: &ReceivedRequest) -> Behaviour {
        if !request.is_chat() {
            return self.state().listing.clone();
        }
        let named = request.header("x-simulate").and_then(Behaviour::named);
        let mut state = self.state();
        named.or_else(|| state.next.pop_front()).unwrap_or_else(|| state.usual.clone())
    }

    /// The models there are for a key.
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

    /// Whether a thought signature comes from here.
    fn has_signed(&self, signature: &str) -> bool {
        self.state().signatures.contains(&base64::normal(signature))
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
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}
