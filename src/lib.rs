//! One endpoint over the free tiers of several LLM providers that simply answers.
//!
//! # The life of a request
//!
//! ```text
//! client bytes ─► server (clocks of a connection) ─► ingress (id, origin, key, body)
//!              ─► surfaces parse ─► chat::ChatRequest
//!              ─► dispatch: whom limits picks, one after the other
//!                  └► attempt: providers encode ─► upstream sends ─► sse, answer, providers decode ─► chat::Event…
//!                     until the first content; before it any failure means: remember it, next candidate
//!              ─► relay: Event… ─► surfaces encode ─► client bytes
//! ```
//!
//! One direction, no way back: surfaces know no provider, providers know no HTTP library, dispatch knows neither.
//! ARCHITECTURE.md tells more.

mod alarm;
pub mod allowances;
pub mod answer;
pub mod attempt;
pub mod catalogue;
pub mod chat;
pub mod check;
mod client_stream;
pub mod clock;
pub mod config;
pub mod demo;
pub mod dispatch;
pub mod error;
pub mod failure;
mod health;
pub mod healthcheck;
mod ingress;
mod json;
pub mod ledger;
pub mod limits;
pub mod logging;
pub mod providers;
mod providers_report;
pub mod redaction;
mod refusal;
pub mod relay;
pub mod request_log;
mod routes;
pub mod server;
pub mod signatures;
pub mod simulator;
pub mod sse;
pub mod stats;
pub mod surfaces;
pub mod upstream;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::{Config, ServerConfig};
use crate::dispatch::{Dispatcher, SetupError};
use crate::redaction::Redactor;
use crate::request_log::RareWarning;
use crate::server::{ConnectionLimits, Shutdown};
use crate::signatures::Signatures;

/// What all requests share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState(Arc<App>);

/// See [`AppState`].
#[derive(Debug)]
pub struct App {
    /// Finds answers.
    pub dispatcher: Dispatcher,
    /// How to meet clients.
    pub server: ServerConfig,
    /// Places for concurrent requests.
    pub admission: Arc<Semaphore>,
    /// For when there are none left.
    pub overload_warning: RareWarning,
    /// What providers want to see again with their calls.
    pub signatures: Arc<Signatures>,
    /// When it all ends.
    pub shutdown: Shutdown,
    /// When it all began.
    pub started: Instant,
}

impl Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}

impl AppState {
    /// Sets everything up; calls nobody.
    ///
    /// # Errors
    /// [`SetupError`]: this machine cannot speak HTTPS, or a key cannot be sent.
    pub fn new(
        config: &Config,
        clock: Clock,
        random: fastrand::Rng,
        shutdown: Shutdown,
    ) -> Result<Self, SetupError> {
        let redactor = Redactor::new(config::secrets(config));
        let dispatcher = Dispatcher::new(&config.providers, config.timeouts, redactor, clock, random)?;
        let admission = Arc::new(Semaphore::new(config.server.max_concurrent_requests));
        let server = config.server.clone();
        Ok(Self(Arc::new(App {
            dispatcher,
            server,
            admission,
            overload_warning: RareWarning::default(),
            signatures: Arc::default(),
            shutdown,
            started: Instant::now(),
        })))
    }

    /// The clocks and numbers of connections.
    pub fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            header_read_timeout: self.server.header_read_timeout,
            client_stall_timeout: self.server.client_stall_timeout,
            max_concurrent_requests: self.server.max_concurrent_requests,
            shutdown_grace: self.server.shutdown_grace,
        }
    }
}

/// The whole proxy as a service.
pub fn app(state: AppState) -> Router {
    routes::router(state)
}
