//! Every variable: its name, default, unit and check. Parsed once, at start, from a lookup function.
//!
//! All mistakes are reported together, so that nobody has to start ten times to find ten typos. A key's value
//! never stands in a report.

mod environment;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::filter::Targets;
use url::{Host, Url};

pub use self::environment::{Environment, EnvironmentError};
use crate::providers::{Directory, Provider, is_model_id};

/// The most headers a request may have; not a setting.
pub const MAX_HEADERS: usize = 100;
/// The most bytes a request head may have; not a setting.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Where to listen.
pub const ENV_HOST: &str = "HOST";
/// Loopback: nobody but this machine.
pub const DEFAULT_HOST: &str = "127.0.0.1";
/// On which port; 0 picks a free one.
pub const ENV_PORT: &str = "PORT";
/// The port if none is given.
pub const DEFAULT_PORT: u16 = 3001;
/// Keys that clients must show.
pub const ENV_PROXY_API_KEY: &str = "PROXY_API_KEY";
/// Web pages that may call.
pub const ENV_CORS_ORIGINS: &str = "CORS_ORIGINS";
/// The form of the log.
pub const ENV_LOG_FORMAT: &str = "LOG_FORMAT";
/// What is logged.
pub const ENV_RUST_LOG: &str = "RUST_LOG";
/// What is logged if nothing is said.
pub const DEFAULT_RUST_LOG: &str = "info";

/// A variable that holds a number, with its default and the least and greatest accepted value.
#[derive(Clone, Copy, Debug)]
pub struct NumberVariable {
    /// Its name; the unit is the end of it.
    pub name: &'static str,
    /// The value if it is not set.
    pub default: u64,
    /// The smallest value accepted.
    pub least: u64,
    /// The greatest value accepted.
    pub most: u64,
}

/// A day: no clock of ours is of use beyond it.
const MOST_MS: u64 = 86_400_000;

/// TCP and TLS to a provider, in milliseconds.
pub const CONNECT_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "CONNECT_TIMEOUT_MS", default: 5_000, least: 1, most: MOST_MS };
/// From sending a request to a provider to its first meaningful event, in milliseconds.
pub const FIRST_TOKEN_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "FIRST_TOKEN_TIMEOUT_MS", default: 20_000, least: 1, most: MOST_MS };
/// Between two meaningful events of a stream, in milliseconds.
pub const IDLE_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "IDLE_TIMEOUT_MS", default: 30_000, least: 1, most: MOST_MS };
/// All attempts for one request together, up to the first content, in milliseconds.
pub const REQUEST_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "REQUEST_TIMEOUT_MS", default: 120_000, least: 1, most: MOST_MS };
/// The largest request body, in bytes.
pub const MAX_BODY_BYTES: NumberVariable =
    NumberVariable { name: "MAX_BODY_BYTES", default: 20 * 1024 * 1024, least: 1, most: 1 << 30 };
/// The most requests at once.
pub const MAX_CONCURRENT_REQUESTS: NumberVariable =
    NumberVariable { name: "MAX_CONCURRENT_REQUESTS", default: 20_000, least: 1, most: 1_000_000 };
/// For a client to send its whole request head, and for the next request on a connection, in milliseconds.
pub const HEADER_READ_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "HEADER_READ_TIMEOUT_MS", default: 10_000, least: 1, most: MOST_MS };
/// For a client to send its whole request body, in milliseconds.
pub const BODY_READ_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "BODY_READ_TIMEOUT_MS", default: 30_000, least: 1, most: MOST_MS };
/// For a client that reads nothing, in milliseconds.
pub const CLIENT_STALL_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "CLIENT_STALL_TIMEOUT_MS", default: 30_000, least: 1, most: MOST_MS };
/// For open streams to finish after the first signal, in seconds.
pub const SHUTDOWN_GRACE_SECONDS: NumberVariable =
    NumberVariable { name: "SHUTDOWN_GRACE_SECONDS", default: 30, least: 0, most: 86_400 };

/// Everything the program was told.
#[derive(Debug)]
pub struct Config {
    /// How to meet clients.
    pub server: ServerConfig,
    /// How to meet each provider, in rotation order; all of them, with keys or without.
    pub providers: Vec<ProviderConfig>,
    /// How long to wait for providers.
    pub timeouts: Timeouts,
    /// What to log.
    pub log: LogConfig,
    /// What is allowed and still worth saying at start, a sentence each.
    pub warnings: Vec<String>,
}

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

/// Which web pages may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// All of them.
    Any,
    /// Those of these origins: scheme, host and port if it is not the scheme's own.
    These(BTreeSet<String>),
}

/// How to meet one provider.
#[derive(Debug)]
pub struct ProviderConfig {
    /// Which.
    pub provider: Provider,
    /// Its keys, each an account of its own; without any it serves nobody.
    pub keys: Vec<SecretString>,
    /// Its models, best first.
    pub models: Vec<String>,
    /// Scheme and host, without a slash at the end.
    pub base_url: Url,
}

impl ProviderConfig {
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
        let mut reader = Reader { lookup: &lookup, mistakes: Vec::new(), warnings: Vec::new() };
        let server = reader.server();
        let providers = Directory::built_in().iter().map(|provider| reader.provider(provider)).collect();
        let timeouts = Timeouts {
            connect: reader.milliseconds(CONNECT_TIMEOUT_MS),
            first_token: reader.milliseconds(FIRST_TOKEN_TIMEOUT_MS),
            idle: reader.milliseconds(IDLE_TIMEOUT_MS),
            request: reader.milliseconds(REQUEST_TIMEOUT_MS),
        };
        let log = reader.log();
        if reader.mistakes.is_empty() {
            Ok(Self { server, providers, timeouts, log, warnings: reader.warnings })
        } else {
            Err(ConfigError(reader.mistakes))
        }
    }
}

/// Reads variables one by one and collects what is wrong with them.
struct Reader<'l> {
    lookup: &'l dyn Fn(&str) -> Option<String>,
    mistakes: Vec<String>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn server(&mut self) -> ServerConfig {
        let host = self.host();
        let client_keys = self.keys(ENV_PROXY_API_KEY);
        if client_keys.is_empty() && !is_loopback_host(&host) {
            self.warnings.push(format!(
                "{ENV_HOST}={host} lets other machines in and {ENV_PROXY_API_KEY} is not set: \
                 whoever reaches this port uses your keys"
            ));
        }
        ServerConfig {
            host,
            port: self.port(),
            client_keys,
            cors_origins: self.cors_origins(),
            max_body_bytes: self.size(MAX_BODY_BYTES),
            max_concurrent_requests: self.size(MAX_CONCURRENT_REQUESTS),
            header_read_timeout: self.milliseconds(HEADER_READ_TIMEOUT_MS),
            body_read_timeout: self.milliseconds(BODY_READ_TIMEOUT_MS),
            client_stall_timeout: self.milliseconds(CLIENT_STALL_TIMEOUT_MS),
            shutdown_grace: Duration::from_secs(self.number(SHUTDOWN_GRACE_SECONDS)),
        }
    }

    fn provider(&mut self, provider: Provider) -> ProviderConfig {
        let profile = provider.profile();
        let set = profile.key_variables.iter().find(|name| self.get(name).is_some());
        let keys = set.map(|name| self.keys(name)).unwrap_or_default();
        let base_url = self.base_url(provider);
        let config = ProviderConfig { provider, keys, models: self.models(provider), base_url };
        if config.base_url.scheme() == "http" && !config.is_loopback() {
            self.warnings.push(format!(
                "{}={} is not https: your {} key and every prompt travel in the clear",
                profile.base_url_variable, config.base_url, profile.name
            ));
        }
        config
    }

    fn log(&mut self) -> LogConfig {
        let format = match self.get(ENV_LOG_FORMAT).as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => {
                self.mistake(ENV_LOG_FORMAT, other, "text or json");
                LogFormat::Text
            }
        };
        let directives = self.get(ENV_RUST_LOG).unwrap_or_else(|| DEFAULT_RUST_LOG.to_owned());
        let filter = Targets::from_str(&directives).unwrap_or_else(|_| {
            self.mistake(
                ENV_RUST_LOG,
                &directives,
                "a level (off, error, warn, info, debug, trace) or a comma-separated list of target=level",
            );
            Targets::new()
        });
        LogConfig { format, filter }
    }

    fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A mistake in one item of a list.
    fn mistaken_item(&mut self, name: &str, item: &str, accepted: &str) {
        let value = self.get(name).unwrap_or_default();
        let hint = if value == item { String::new() } else { format!("'{item}' is wrong, ") };
        self.mistakes.push(format!("{name}={value}: {hint}expected {accepted}"));
    }

    fn mistake(&mut self, name: &str, value: &str, accepted: &str) {
        self.mistakes.push(format!("{name}={value}: expected {accepted}"));
    }

    /// The items of a comma-separated list, each once, in their order.
    fn list(&self, name: &str) -> Vec<String> {
        let mut items: Vec<String> = Vec::new();
        for item in self.get(name).unwrap_or_default().split(',').map(str::trim) {
            if !item.is_empty() && !items.iter().any(|known| known == item) {
                items.push(item.to_owned());
            }
        }
        items
    }

    fn number(&mut self, variable: NumberVariable) -> u64 {
        let NumberVariable { name, default, least, most } = variable;
        let Some(text) = self.get(name) else {
            return default;
        };
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                self.mistake(name, &text, &format!("a whole number from {least} to {most}"));
                default
            }
        }
    }

    fn size(&mut self, variable: NumberVariable) -> usize {
        usize::try_from(self.number(variable)).unwrap_or(usize::MAX)
    }

    fn milliseconds(&mut self, variable: NumberVariable) -> Duration {
        Duration::from_millis(self.number(variable))
    }

    fn host(&mut self) -> String {
        let host = self.get(ENV_HOST).unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<IpAddr>().is_ok() || matches!(Host::parse(&host), Ok(Host::Domain(_))) {
            return bare.to_owned();
        }
        self.mistake(ENV_HOST, &host, "an IP address or a host name, without a port");
        host
    }

    fn port(&mut self) -> u16 {
        let Some(text) = self.get(ENV_PORT) else {
            return DEFAULT_PORT;
        };
        text.parse().unwrap_or_else(|_| {
            self.mistake(ENV_PORT, &text, "a whole number from 0 to 65535");
            DEFAULT_PORT
        })
    }

    fn keys(&mut self, name: &str) -> Vec<SecretString> {
        let (good, bad): (Vec<_>, Vec<_>) =
            self.list(name).into_iter().partition(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
        if !bad.is_empty() {
            self.mistakes.push(format!(
                "{name}: {} of its keys has characters that no key has (value not shown): \
                 expected keys of visible ASCII characters, comma-separated",
                bad.len()
            ));
        }
        good.into_iter().map(SecretString::from).collect()
    }

    fn models(&mut self, provider: Provider) -> Vec<String> {
        let profile = provider.profile();
        let name = profile.models_variable;
        let models = self.list(name);
        for model in &models {
            if !is_model_id(model) {
                self.mistaken_item(
                    name,
                    model,
                    "model ids of letters, digits and . _ - : / @, comma-separated",
                );
            }
        }
        if models.is_empty() {
            return provider.default_models().map(str::to_owned).collect();
        }
        models.iter().map(|model| model.strip_prefix("models/").unwrap_or(model).to_owned()).collect()
    }

    fn base_url(&mut self, provider: Provider) -> Url {
        let profile = provider.profile();
        let name = profile.base_url_variable;
        let text = self.get(name).unwrap_or_else(|| profile.base_url.to_owned());
        match parse_base_url(&text, profile.path_prefix) {
            Ok(url) => url,
            Err(accepted) => {
                let may_hold_secret = text.contains(['@', '?', '#']);
                self.mistake(name, if may_hold_secret { "(not shown)" } else { &text }, &accepted);
                fallback_url()
            }
        }
    }

    fn cors_origins(&mut self) -> CorsOrigins {
        let items = self.list(ENV_CORS_ORIGINS);
        if items.is_empty() || items.iter().any(|item| item == "*") {
            return CorsOrigins::Any;
        }
        let mut origins = BTreeSet::new();
        for item in items {
            match normal_origin(&item) {
                Some(origin) => {
                    origins.insert(origin);
                }
                None => self.mistaken_item(
                    ENV_CORS_ORIGINS,
                    &item,
                    "* or a comma-separated list of origins such as https://example.org or http://localhost:5173",
                ),
            }
        }
        CorsOrigins::These(origins)
    }
}

/// `text` as an origin in the form browsers send; `None` if it is none.
pub fn normal_origin(text: &str) -> Option<String> {
    if text == "null" {
        return Some(text.to_owned());
    }
    let url = Url::parse(text).ok()?;
    let is_bare =
        url.path().trim_end_matches('/').is_empty() && url.query().is_none() && url.fragment().is_none();
    (is_bare && url.has_host()).then(|| format!("{}://{}", url.scheme(), authority(&url)))
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn parse_base_url(text: &str, path_prefix: &str) -> Result<Url, String> {
    const ACCEPTED: &str = "an http or https URL without query, fragment and credentials";
    let url = Url::parse(text).map_err(|_| ACCEPTED.to_owned())?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_plain {
        return Err(ACCEPTED.to_owned());
    }
    if url.path().trim_end_matches('/').ends_with(path_prefix) {
        return Err(format!("scheme and host only, because the proxy adds {path_prefix} itself"));
    }
    Ok(url)
}

/// Stands in for a URL that was a mistake, until the mistakes are reported.
#[expect(clippy::expect_used, reason = "a constant that a test covers")]
fn fallback_url() -> Url {
    Url::parse("http://localhost").expect("a constant URL is valid")
}

fn is_loopback_host(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Every variable that is read, for the documentation's tests.
pub fn variables() -> Vec<&'static str> {
    let mut names = vec![
        ENV_HOST,
        ENV_PORT,
        ENV_PROXY_API_KEY,
        ENV_CORS_ORIGINS,
        ENV_LOG_FORMAT,
        ENV_RUST_LOG,
        CONNECT_TIMEOUT_MS.name,
        FIRST_TOKEN_TIMEOUT_MS.name,
        IDLE_TIMEOUT_MS.name,
        REQUEST_TIMEOUT_MS.name,
        MAX_BODY_BYTES.name,
        MAX_CONCURRENT_REQUESTS.name,
        HEADER_READ_TIMEOUT_MS.name,
        BODY_READ_TIMEOUT_MS.name,
        CLIENT_STALL_TIMEOUT_MS.name,
        SHUTDOWN_GRACE_SECONDS.name,
    ];
    for provider in Directory::built_in().iter() {
        let profile = provider.profile();
        names.extend(profile.key_variables);
        names.extend([profile.models_variable, profile.base_url_variable]);
    }
    names
}

/// The keys of all providers and clients: what may never be shown.
pub fn secrets(config: &Config) -> Vec<SecretString> {
    let providers = config.providers.iter().flat_map(|provider| &provider.keys);
    let all = providers.chain(&config.server.client_keys);
    all.map(|key| SecretString::from(key.expose_secret())).collect()
}
