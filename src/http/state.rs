//! What all requests share.

use std::convert::Infallible;
use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::areas;
use super::body_budget::BodyBudget;
use super::connection::ConnectionLimits;
use crate::config::{self, Config, ServerConfig, StateUrl};
use crate::dispatch::{Dispatcher, SetupError, Signatures, common_memory};
use crate::middle::Redactor;
use crate::observe::{OpenStreams, RareWarning, RequestCounts};
use crate::share::{CommonMemory, LinkError, Name, Remember, Remembering, SharingStatus, Word};
use crate::surfaces::Names;
use crate::surfaces::responses::Store;
use crate::time::{Clock, Shutdown};

/// What all requests share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState(Arc<App>);

/// See [`AppState`].
#[derive(Debug)]
pub struct App {
    /// Finds a provider that answers.
    pub dispatcher: Arc<Dispatcher>,
    /// How to meet clients.
    pub server: ServerConfig,
    /// Places for concurrent requests.
    pub admission: Arc<Semaphore>,
    /// The memory of the bodies of requests under way.
    pub body_budget: BodyBudget,
    /// The warning that no place is left.
    pub overload_warning: RareWarning,
    /// What providers want back with the tool calls of earlier answers.
    pub signatures: Arc<Signatures>,
    /// Answers that clients may go on from.
    pub responses: Arc<Store>,
    /// How sharing with other instances goes, if it is set up.
    pub(crate) sharing: Option<Arc<SharingStatus>>,
    /// What other instances remember, too.
    common: Option<Arc<CommonMemory>>,
    /// Tells when the process is to end.
    pub shutdown: Shutdown,
    /// How many requests were answered, and how.
    pub(super) requests: RequestCounts,
    /// How many streams are open.
    pub(super) open_streams: OpenStreams,
    /// When the process started.
    pub started: Instant,
}

impl Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}

impl AppState {
    /// Sets everything up without calling a provider.
    ///
    /// # Errors
    /// `SetupError`: this machine cannot speak HTTPS, or a key cannot be sent.
    pub fn new(
        config: &Config,
        clock: Clock,
        mut random: fastrand::Rng,
        shutdown: Shutdown,
    ) -> Result<Self, SetupError> {
        let mut secret = [0; 32];
        random.fill(&mut secret);
        let common = config.state_url.as_ref().and_then(|_| common_memory(&config.providers));
        let responses = Store::new(config.server.responses_memory_bytes, secret, clock.clone());
        let sharing = config.state_url.as_ref().map(|_| Arc::new(SharingStatus::new(clock())));
        let responses = responses.shared(common.clone());
        let redactor = Redactor::new(config::secrets(config));
        let dispatcher = Dispatcher::new(&config.providers, config.limits, redactor, clock, random)?;
        let admission = Arc::new(Semaphore::new(config.server.max_concurrent_requests));
        let body_budget = BodyBudget::new(config.server.max_body_memory_bytes);
        let server = config.server.clone();
        Ok(Self(Arc::new(App {
            dispatcher: Arc::new(dispatcher),
            server,
            admission,
            body_budget,
            overload_warning: RareWarning::default(),
            signatures: Arc::new(Signatures::new(common.clone())),
            responses: Arc::new(responses),
            sharing,
            common,
            shutdown,
            requests: RequestCounts::new(areas::counters()),
            open_streams: OpenStreams::default(),
            started: Instant::now(),
        })))
    }

    /// What shares all that is remembered with other instances through the server at `url`, as long as it is polled; `None` if
    /// there is nothing to seal it with.
    ///
    /// # Errors
    /// The server is to be spoken to with TLS, which this machine cannot.
    pub(crate) fn remembering(
        &self,
        url: &StateUrl,
        random: fastrand::Rng,
    ) -> Result<Option<Remembering>, LinkError> {
        let Some(common) = &self.common else { return Ok(None) };
        Remembering::new(url.clone(), common.clone(), self.server.responses_memory_bytes, random)
    }

    /// Remembers together with others, if there are to be any.
    pub(crate) async fn keep_remembering(&self, remembering: Option<Remembering>) -> Infallible {
        match remembering {
            Some(remembering) => remembering.keep_shared(&*self.0).await,
            None => std::future::pending().await,
        }
    }

    /// Waits until other instances know what was remembered here last, so that clients may go on there. It needs somebody who
    /// polls [`keep_remembering`](Self::keep_remembering), and takes a second at most.
    pub(crate) async fn until_told(&self) {
        if let Some(common) = &self.common {
            common.until_told().await;
        }
    }

    /// The names that clients may use.
    pub(super) fn names(&self) -> Names<'_> {
        Names { offered: self.dispatcher.offered(), aliases: &self.server.aliases }
    }

    /// The timeouts and limits of connections.
    pub fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            header_read_timeout: self.server.header_read_timeout,
            keep_alive_timeout: self.server.keep_alive_timeout,
            client_stall_timeout: self.server.client_stall_timeout,
            max_concurrent_requests: self.server.max_concurrent_requests,
            shutdown_grace: self.server.shutdown_grace,
        }
    }
}

impl Remember for App {
    async fn sealed_answer(&self, name: Name) -> Option<(Option<Name>, Vec<u8>)> {
        self.responses.sealed(name).await
    }

    fn hear(&self, word: Word) {
        match word {
            Word::Signature(id, signature) => self.signatures.hear(id, signature),
            Word::Forgotten(name) => self.responses.hear_forgotten(name),
            // Whoever is asked for it fetches it.
            Word::Answer(_) => {}
        }
    }
}
