//! The types of the settings.

use std::time::Duration;

use secrecy::SecretString;
use tracing_subscriber::filter::Targets;
use url::Url;

use super::aliases::Aliases;
use super::loopback::is_loopback;
use super::origins::CorsOrigins;
use crate::middle::Measure;
use crate::providers::Provider;

/// The client side: where to listen, whom to let in, and how long to wait.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Address or name to listen on.
    pub host: String,
    /// Port to listen on; 0 picks a free one.
    pub port: u16,
    /// The keys that clients may send; if there are none, clients need no key.
    pub client_keys: Vec<SecretString>,
    /// The web pages that may call.
    pub cors_origins: CorsOrigins,
    /// The user's own names for models.
    pub aliases: Aliases,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// All request bodies under way together, in bytes.
    pub max_body_memory_bytes: usize,
    /// Answers that clients may go on from, all together, in bytes; 0 keeps none.
    pub responses_memory_bytes: usize,
    /// The most requests at once.
    pub max_concurrent_requests: usize,
    /// For a whole request head.
    pub header_read_timeout: Duration,
    /// Between two requests on a connection.
    pub keep_alive_timeout: Duration,
    /// For a whole request body.
    pub body_read_timeout: Duration,
    /// For a client that reads nothing.
    pub client_stall_timeout: Duration,
    /// For open streams to finish after the first signal.
    pub shutdown_grace: Duration,
}

/// One provider: its accounts, its models and its address.
#[derive(Debug)]
pub struct ProviderConfig {
    /// Its row.
    pub provider: Provider,
    /// Whether it is asked only when nobody else can serve.
    pub is_second_tier: bool,
    /// Its accounts, each with limits of its own. A provider without an account is never asked.
    pub accounts: Vec<Account>,
    /// Its models, best first.
    pub models: Vec<String>,
    /// Scheme and host, and what stands before every path; without a slash at the end.
    pub base_url: Url,
    /// From sending the request to the first meaningful event, while another candidate could be called instead.
    pub first_token: Duration,
    /// The limits of its plan, as far as the user has stated them.
    pub limits: Vec<(Measure, u64)>,
}

/// An account at a provider, with which requests are sent.
#[derive(Debug)]
pub struct Account {
    /// Its key; none if the provider needs none.
    pub key: Option<SecretString>,
    /// What stands between the base URL and every path of its requests, without a slash at the end.
    pub path: String,
    /// Its name in texts for people: `key 1 of 2`.
    pub label: String,
}

impl ProviderConfig {
    /// Whether it has an account, so that it can be asked.
    pub fn is_configured(&self) -> bool {
        !self.accounts.is_empty()
    }

    /// Whether its base URL leads to this machine.
    pub fn is_loopback(&self) -> bool {
        self.base_url.host().is_some_and(|host| is_loopback(&host))
    }
}

/// How long to wait for providers, and how many calls a request may cost.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// TCP and TLS.
    pub connect: Duration,
    /// From sending the request to the first meaningful event, while another candidate could be called instead.
    pub first_token: Duration,
    /// Between meaningful events.
    pub idle: Duration,
    /// All attempts together, up to the first content.
    pub request: Duration,
    /// The most calls for one request.
    pub max_attempts: usize,
    /// Waiting for the first candidate that will be able to serve.
    pub max_wait: Duration,
    /// The most requests that wait at once.
    pub max_waiting: usize,
}

/// What to log and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// Which events are logged.
    pub filter: Targets,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `[2025-12-30T06:10:05.124Z] INFO: Attempt 1/3: Using service Groq`
    Text,
    /// One JSON object a line.
    Json,
}
