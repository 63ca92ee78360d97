//! What the settings amount to.

use std::time::Duration;

use secrecy::SecretString;
use tracing_subscriber::filter::Targets;
use url::{Host, Url};

use super::origins::CorsOrigins;
use crate::providers::Provider;

/// How to meet clients.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Address or name to listen on.
    pub host: String,
    /// Port to listen on; 0 picks a free one.
    pub port: u16,
    /// Keys that clients may show; none means that nobody has to.
    pub client_keys: Vec<SecretString>,
    /// Web pages that may call.
    pub cors_origins: CorsOrigins,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// The most requests at once.
    pub max_concurrent_requests: usize,
    /// For a whole request head, and between requests on a connection.
    pub header_read_timeout: Duration,
    /// For a whole request body.
    pub body_read_timeout: Duration,
    /// For a client that reads nothing.
    pub client_stall_timeout: Duration,
    /// For open streams to finish after the first signal.
    pub shutdown_grace: Duration,
}

/// How to meet one provider.
#[derive(Debug)]
pub struct ProviderConfig {
    /// Which.
    pub provider: Provider,
    /// Its accounts, each with limits of its own; without any it serves nobody.
    pub accounts: Vec<Account>,
    /// Its models, best first.
    pub models: Vec<String>,
    /// Scheme and host, without a slash at the end.
    pub base_url: Url,
}

/// What a provider is called with.
#[derive(Debug)]
pub struct Account {
    /// Its key; none where none is wanted.
    pub key: Option<SecretString>,
    /// For people: `key 1 of 2`.
    pub label: String,
}

impl ProviderConfig {
    /// Whether it can be called at all.
    pub fn is_configured(&self) -> bool {
        !self.accounts.is_empty()
    }

    /// Whether the service is on this machine.
    pub fn is_loopback(&self) -> bool {
        match self.base_url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
    }
}

/// How long to wait for providers.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// From sending the request to the first meaningful event.
    pub first_token: Duration,
    /// Between meaningful events.
    pub idle: Duration,
    /// All attempts together, up to the first content.
    pub request: Duration,
}

/// What to log and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Lines for people or for machines.
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
