//! The settings: parsed once, at start, from a lookup function.
//!
//! All mistakes are reported together, so that ten typos do not take ten starts. A report never contains a key, as far as one can be told.

mod aliases;
mod asked;
mod dot_env;
mod environment;
mod listing;
mod loopback;
mod origins;
mod reader;
mod roster;
mod settings;
mod shown;
mod state_url;
mod variables;

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

pub(crate) use self::aliases::Aliases;
pub use self::dot_env::DotEnv;
pub(crate) use self::environment::Environment;
pub(crate) use self::listing::listing;
pub(crate) use self::loopback::is_loopback;
pub(crate) use self::origins::CorsOrigins;
use self::reader::Reader;
pub(crate) use self::settings::{CallLimits, LogConfig, LogFormat, ProviderConfig, ServerConfig};
pub(crate) use self::shown::shown;
pub(crate) use self::state_url::{StateUrl, StateWay};
pub use self::variables::{
    BODY_READ_TIMEOUT_MS, CLIENT_STALL_TIMEOUT_MS, CONNECT_TIMEOUT_MS, DEFAULT_HOST, DEFAULT_PORT,
    ENV_PROXY_API_KEY, FIRST_TOKEN_TIMEOUT_MS, HEADER_READ_TIMEOUT_MS, IDLE_TIMEOUT_MS,
    KEEP_ALIVE_TIMEOUT_MS, MAX_ATTEMPTS, MAX_BODY_BYTES, MAX_BODY_MEMORY_BYTES, MAX_CONCURRENT_REQUESTS,
    MAX_WAIT_MS, MAX_WAITING_REQUESTS, NUMBERS, REQUEST_TIMEOUT_MS, RESPONSES_MEMORY_BYTES,
    SHUTDOWN_GRACE_SECONDS,
};
pub(crate) use self::variables::{ENV_HOST, ENV_KEYLESS_PROVIDERS, ENV_PORT};

/// The most headers a request may have; not a setting.
pub(crate) const MAX_HEADERS: usize = 100;
/// The most bytes a request head may have; not a setting.
pub(crate) const MAX_HEAD_BYTES: usize = 32 * 1024;

/// All settings of a process.
#[derive(Debug)]
pub struct Config {
    /// The client side.
    pub server: ServerConfig,
    /// The providers in rotation order: those that have an account, and the core ones in any case.
    pub providers: Vec<ProviderConfig>,
    /// How long to wait for providers, and how many calls a request may cost.
    pub limits: CallLimits,
    /// What to log.
    pub log: LogConfig,
    /// Where what was used of free plans is kept for the next start.
    pub state_file: Option<PathBuf>,
    /// The server through which several instances share their quotas.
    pub(crate) state_url: Option<StateUrl>,
    /// Settings that are allowed but risky, a sentence each, to be logged at start.
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
    /// All bad values together, each with its variable, its value (never a key's) and what is accepted.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(&lookup);
        let server = reader.server();
        let mut providers = reader.providers();
        providers.retain(|it| it.is_configured() || it.provider.profile().is_core);
        let (limits, log) = (reader.call_limits(), reader.log());
        let state_url = reader.state_url();
        if reader.mistakes.is_empty() {
            let state_file = reader.state_file();
            Ok(Self { server, providers, limits, log, state_file, state_url, warnings: reader.warnings })
        } else {
            Err(ConfigError(reader.mistakes))
        }
    }
}

/// The keys of all providers and clients, none of which may ever be shown.
pub(crate) fn secrets(config: &Config) -> Vec<SecretString> {
    let providers = config.providers.iter().flat_map(|provider| &provider.accounts);
    let keys = providers.filter_map(|account| account.key.as_ref());
    let all = keys.chain(&config.server.client_keys);
    all.map(|key| SecretString::from(key.expose_secret())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_own_clock_unless_another_is_set() {
        let clock = |set: &str| {
            let config = Config::from_lookup(|name| match name {
                "NVIDIA_API_KEY" => Some("k".to_owned()),
                "FIRST_TOKEN_TIMEOUT_MS" => Some(set.to_owned()),
                _ => None,
            });
            let providers = config.unwrap().providers;
            let its =
                |name: &str| providers.iter().find(|it| it.provider.name() == name).unwrap().first_token;
            [its("Groq"), its("NVIDIA")].map(|clock| clock.as_secs())
        };
        assert_eq!(clock(""), [20, 300]);
        assert_eq!(clock("20000"), [20, 300], "as .env.example has it");
        assert_eq!(clock("7000"), [7, 7]);
    }

    #[test]
    fn a_bad_clock_is_reported_once() {
        let bad = Config::from_lookup(|name| (name == "FIRST_TOKEN_TIMEOUT_MS").then(|| "soon".to_owned()));
        let told = bad.unwrap_err().to_string();
        assert_eq!(told.matches("FIRST_TOKEN_TIMEOUT_MS").count(), 1, "{told}");
    }
}
