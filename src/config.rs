//! The settings: parsed once, at start, from a lookup function.
//!
//! All mistakes are reported together, so that nobody has to start ten times to find ten typos. A key's value never stands
//! in a report.

mod environment;
mod origins;
mod reader;
mod settings;
mod variables;

use secrecy::{ExposeSecret, SecretString};

pub use self::environment::Environment;
pub use self::origins::CorsOrigins;
use self::reader::Reader;
pub use self::settings::{LogConfig, LogFormat, ProviderConfig, ServerConfig, Timeouts};
pub use self::variables::*;
use crate::providers::Directory;

/// The most headers a request may have; not a setting.
pub const MAX_HEADERS: usize = 100;
/// The most bytes a request head may have; not a setting.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Everything the program was told.
#[derive(Debug)]
pub struct Config {
    /// How to meet clients.
    pub server: ServerConfig,
    /// How to meet each provider, in rotation order: those that are configured, and the core ones in any case.
    pub providers: Vec<ProviderConfig>,
    /// How long to wait for providers.
    pub timeouts: Timeouts,
    /// What to log.
    pub log: LogConfig,
    /// What is allowed and still worth saying at start, a sentence each.
    pub warnings: Vec<String>,
}

/// Everything that is wrong with the environment, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Reads the variables through `lookup`, which gives a variable's value or none. Empty means unset.
    ///
    /// # Errors
    /// Every bad value, all together, each with its name, its value (never a key's) and what is accepted.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(&lookup);
        let server = reader.server();
        let mut providers: Vec<_> =
            Directory::built_in().iter().map(|provider| reader.provider(provider)).collect();
        providers.retain(|it| it.is_configured() || it.provider.profile().is_core);
        let (timeouts, log) = (reader.timeouts(), reader.log());
        if reader.mistakes.is_empty() {
            Ok(Self { server, providers, timeouts, log, warnings: reader.warnings })
        } else {
            Err(ConfigError(reader.mistakes))
        }
    }
}

/// Every variable that is read, for the documentation's tests.
pub fn variable_names() -> Vec<&'static str> {
    let mut names = Vec::from(variables::NAMES);
    for provider in Directory::built_in() {
        let profile = provider.profile();
        names.extend(profile.key_variables);
        names.extend([profile.models_variable, profile.base_url_variable]);
    }
    names
}

/// The keys of all providers and clients: what may never be shown.
pub fn secrets(config: &Config) -> Vec<SecretString> {
    let providers = config.providers.iter().flat_map(|provider| &provider.accounts);
    let keys = providers.filter_map(|account| account.key.as_ref());
    let all = keys.chain(&config.server.client_keys);
    all.map(|key| SecretString::from(key.expose_secret())).collect()
}
