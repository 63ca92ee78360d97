//! Reads the variables through a lookup and checks them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use tracing_subscriber::filter::Targets;
use url::{Host, Url};

use super::aliases::{ACCEPTED_ALIASES, Aliases};
use super::asked::Asked;
use super::dot_env::without_quotes;
use super::loopback::is_loopback;
use super::origins::{ACCEPTED_ORIGINS, CorsOrigins, OriginList};
use super::settings::{Account, CallLimits, LogConfig, LogFormat, ProviderConfig, ServerConfig};
use super::shown::{NOT_SHOWN, may_have_key, shown};
use super::state_url::{STATE_URL_FORM, StateUrl};
use super::variables::*;
use crate::middle::{Measure, Unit, Window};
use crate::providers::{AccountId, AskedBy, Provider};

/// Reads variables one by one and collects all mistakes.
pub(super) struct Reader<'l> {
    lookup: &'l dyn Fn(&str) -> Option<String>,
    pub(super) mistakes: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl<'l> Reader<'l> {
    pub(super) fn new(lookup: &'l dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, mistakes: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn server(&mut self) -> ServerConfig {
        let host = self.host();
        let client_keys = self.keys(ENV_PROXY_API_KEY);
        if client_keys.is_empty() && !is_loopback_host(&host) {
            self.warnings.push(format!(
                "{ENV_PROXY_API_KEY} is not set and {ENV_HOST} is {}: whoever can reach this port may use your \
                 keys. In a container, that depends on where the port is published",
                shown(&host)
            ));
        }
        let (max_body_bytes, max_body_memory_bytes) =
            (self.size(MAX_BODY_BYTES), self.size(MAX_BODY_MEMORY_BYTES));
        if max_body_memory_bytes < max_body_bytes {
            self.warnings.push(format!(
                "{}={max_body_memory_bytes} is less than {}={max_body_bytes}: no request can be larger than that",
                MAX_BODY_MEMORY_BYTES.name, MAX_BODY_BYTES.name
            ));
        }
        ServerConfig {
            host,
            port: self.port(),
            client_keys,
            cors_origins: self.cors_origins(),
            aliases: self.aliases(),
            max_body_bytes,
            max_body_memory_bytes,
            responses_memory_bytes: self.size(RESPONSES_MEMORY_BYTES),
            max_concurrent_requests: self.size(MAX_CONCURRENT_REQUESTS),
            header_read_timeout: self.milliseconds(HEADER_READ_TIMEOUT_MS),
            keep_alive_timeout: self.milliseconds(KEEP_ALIVE_TIMEOUT_MS),
            body_read_timeout: self.milliseconds(BODY_READ_TIMEOUT_MS),
            client_stall_timeout: self.milliseconds(CLIENT_STALL_TIMEOUT_MS),
            shutdown_grace: Duration::from_secs(self.number(SHUTDOWN_GRACE_SECONDS)),
        }
    }

    pub(super) fn provider(&mut self, provider: Provider, asked: &Asked) -> ProviderConfig {
        let profile = provider.profile();
        let mut accounts = self.accounts(provider, asked);
        let base_url = self.base_url(provider);
        if let Some(id) = profile.account_id {
            self.complete(&mut accounts, provider, id);
        }
        let (models, limits) = (self.models(provider), self.limits(profile.limits_variable));
        let first_token = self.first_token(provider);
        let is_second_tier = asked.is_second_tier(provider);
        let config =
            ProviderConfig { provider, is_second_tier, accounts, models, base_url, first_token, limits };
        if config.base_url.scheme() == "http" && !config.is_loopback() && config.is_configured() {
            self.warnings.push(format!(
                "{}={} is not https: your {} key and every prompt travel in the clear",
                profile.base_url_variable, config.base_url, profile.name
            ));
        }
        config
    }

    /// The provider's own clock, unless the user has set another one for all. `.env.example` has the default, which is not
    /// another one. A bad value is reported where the clock for all is read.
    fn first_token(&self, provider: Provider) -> Duration {
        let NumberVariable { name, default, .. } = FIRST_TOKEN_TIMEOUT_MS;
        let for_all = self.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
        let own = provider.profile().first_token.filter(|_| for_all == default);
        own.unwrap_or(Duration::from_millis(for_all))
    }

    /// Gives each account its id, in their order. Without one no account can be used.
    fn complete(&mut self, accounts: &mut Vec<Account>, provider: Provider, wanted: AccountId) {
        let (name, variable) = (provider.name(), wanted.variable);
        let ids = self.list(variable);
        for id in ids.iter().filter(|id| !wanted.is_valid(id)) {
            self.mistaken_item(variable, id, &format!("{} hexadecimal digits", wanted.hex_digits));
        }
        let keys = accounts.len();
        if ids.is_empty() && keys > 0 {
            self.warnings.push(format!("{name} is off: {variable} is not set"));
            accounts.clear();
        } else if keys > 0 && ids.len() != keys {
            let ids = ids.len();
            self.mistakes.push(format!(
                "{variable} has {ids} different ids and {name} has {keys} keys: expected an id for each key, in their order"
            ));
        }
        for (account, id) in accounts.iter_mut().zip(ids) {
            account.path = format!("{}{id}", wanted.before);
        }
    }

    /// The file for what was used of free plans. Here, empty does not mean unset.
    pub(super) fn state_file(&self) -> Option<PathBuf> {
        let path = (self.lookup)(ENV_STATE_FILE);
        let path = path.as_deref().map_or(DEFAULT_STATE_FILE, str::trim);
        (!path.is_empty()).then(|| path.into())
    }

    /// The server that several instances share. It may have a password in it, so it is never shown.
    pub(super) fn state_url(&mut self) -> Option<StateUrl> {
        let text = self.get(ENV_STATE_URL)?;
        let url = StateUrl::parse(&text);
        if url.is_none() {
            self.mistakes.push(format!("{ENV_STATE_URL}={NOT_SHOWN}: expected {STATE_URL_FORM}"));
        }
        url
    }

    /// Limits such as `rpm=30, tpd=200000`.
    fn limits(&mut self, name: &str) -> Vec<(Measure, u64)> {
        let mut limits: Vec<(Measure, u64)> = Vec::new();
        for entry in self.list(name) {
            match limit(&entry) {
                Some((measure, _)) if limits.iter().any(|(known, _)| *known == measure) => {
                    self.mistake(name, &entry, "each limit once");
                }
                Some(limit) => limits.push(limit),
                None => self.mistake(name, &entry, LIMIT_FORM),
            }
        }
        limits
    }

    pub(super) fn call_limits(&mut self) -> CallLimits {
        CallLimits {
            connect: self.milliseconds(CONNECT_TIMEOUT_MS),
            first_token: self.milliseconds(FIRST_TOKEN_TIMEOUT_MS),
            idle: self.milliseconds(IDLE_TIMEOUT_MS),
            request: self.milliseconds(REQUEST_TIMEOUT_MS),
            max_attempts: self.size(MAX_ATTEMPTS),
            max_wait: self.milliseconds(MAX_WAIT_MS),
            max_waiting: self.size(MAX_WAITING_REQUESTS),
        }
    }

    pub(super) fn log(&mut self) -> LogConfig {
        let format = match self.get(ENV_LOG_FORMAT).as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => {
                self.mistake(ENV_LOG_FORMAT, other, "text or json");
                LogFormat::Text
            }
        };
        let directives = self.list(ENV_RUST_LOG).join(",");
        let directives = if directives.is_empty() { DEFAULT_RUST_LOG.to_owned() } else { directives };
        let filter = Targets::from_str(&directives).unwrap_or_else(|_| {
            let value = self.get(ENV_RUST_LOG).unwrap_or_default();
            self.mistake(
                ENV_RUST_LOG,
                &value,
                "a level (off, error, warn, info, debug, trace) or a comma-separated list of target=level",
            );
            Targets::new()
        });
        LogConfig { format, filter }
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A mistake in one item of a list.
    pub(super) fn mistaken_item(&mut self, name: &str, item: &str, accepted: &str) {
        let value = self.get(name).unwrap_or_default();
        let hint = if value == item || may_have_key(item) {
            String::new()
        } else {
            format!("'{}' is wrong, ", shown(item))
        };
        self.mistakes.push(format!("{name}={}: {hint}expected {accepted}", shown(&value)));
    }

    fn mistake(&mut self, name: &str, value: &str, accepted: &str) {
        self.mistakes.push(format!("{name}={}: expected {accepted}", shown(value)));
    }

    /// The items of a comma-separated list, each once, in their order, without the quotes that one may have. A list of
    /// nothing is a mistake: whoever wrote its comma has not meant "unset".
    pub(super) fn list(&mut self, name: &str) -> Vec<String> {
        let Some(text) = self.get(name) else { return Vec::new() };
        let mut items: Vec<String> = Vec::new();
        for item in text.split(',').map(|item| without_quotes(item).trim()) {
            if !item.is_empty() && !items.iter().any(|known| known == item) {
                items.push(item.to_owned());
            }
        }
        if items.is_empty() {
            self.mistakes.push(format!(
                "{name}={}: expected at least one item between the commas, or no value at all",
                shown(&text)
            ));
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
        // The URL standard allows more in a name, such as a `=`.
        let is_name = host.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_'));
        let is_domain = || is_name && matches!(Host::parse(&host), Ok(Host::Domain(_)));
        if bare.parse::<IpAddr>().is_ok() || is_domain() {
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

    pub(super) fn keys(&mut self, name: &str) -> Vec<SecretString> {
        let keys = self.list(name);
        let (good, bad): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
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
            if let Err(form) = provider.check_model_id(model) {
                self.mistaken_item(name, model, &format!("model ids of {form}, comma-separated"));
            }
        }
        let models = models.iter().map(|model| model.strip_prefix("models/").unwrap_or(model).to_owned());
        let (free, paid): (Vec<String>, Vec<String>) = models.partition(|model| provider.is_free(model));
        for model in paid {
            let model = shown(&model);
            self.warnings
                .push(format!("{name}: {model} costs money or is not known to be free, so it is never used"));
        }
        if free.is_empty() { provider.default_models().map(str::to_owned).collect() } else { free }
    }

    fn base_url(&mut self, provider: Provider) -> Url {
        let profile = provider.profile();
        let name = profile.base_url_variable;
        let text = self.get(name).unwrap_or_else(|| profile.base_url.to_owned());
        let text = match profile.asked_by {
            AskedBy::BaseUrl => completed(&text, profile.path_prefix),
            AskedBy::Key | AskedBy::Name => text,
        };
        match parse_base_url(&text, profile.path_prefix) {
            Ok(url) if self.is_this_proxy(&url) => self.service_instead(provider, url),
            Ok(url) => url,
            Err(accepted) => {
                let may_hold_secret = text.contains(['@', '?', '#']);
                self.mistake(name, if may_hold_secret { NOT_SHOWN } else { &text }, &accepted);
                fallback_url()
            }
        }
    }

    /// Whether `url` is where this proxy will listen.
    fn is_this_proxy(&self, url: &Url) -> bool {
        let port = self.get(ENV_PORT).map_or(Some(DEFAULT_PORT), |text| text.parse().ok());
        let is_here = url.host().is_some_and(|host| is_loopback(&host));
        is_here && url.scheme() == "http" && url.port_or_known_default() == port
    }

    /// The provider's own address, if it has one: the variables are those of the providers' programs and libraries, which
    /// people point at this proxy.
    fn service_instead(&mut self, provider: Provider, url: Url) -> Url {
        let profile = provider.profile();
        let own = profile.base_url.parse().ok().filter(|own: &Url| own.scheme() == "https");
        if own.is_some() {
            self.warnings.push(format!(
                "{}={url} is this proxy itself: {} is asked at {}",
                profile.base_url_variable, profile.name, profile.base_url
            ));
        }
        own.unwrap_or(url)
    }

    fn aliases(&mut self) -> Aliases {
        let mut aliases = Aliases::default();
        for item in self.list(ENV_MODEL_ALIASES) {
            if aliases.add(&item).is_none() {
                self.mistaken_item(ENV_MODEL_ALIASES, &item, ACCEPTED_ALIASES);
            }
        }
        aliases
    }

    fn cors_origins(&mut self) -> CorsOrigins {
        let items = self.list(ENV_CORS_ORIGINS);
        if items.is_empty() || items.iter().any(|item| item == "*") {
            return CorsOrigins::Any;
        }
        let mut list = OriginList::default();
        for item in items {
            if list.add(&item).is_none() {
                self.mistaken_item(ENV_CORS_ORIGINS, &item, ACCEPTED_ORIGINS);
            }
        }
        CorsOrigins::These(list)
    }
}

/// A base URL of a server of the user's own, as people write it: without its scheme, or with the path that is added anyway.
fn completed(text: &str, prefix: &str) -> String {
    let text = text.trim_end_matches('/');
    let text = text.strip_suffix(prefix).unwrap_or(text);
    if text.contains("://") { text.to_owned() } else { format!("http://{text}") }
}

/// An account for each key.
pub(super) fn accounts(keys: Vec<SecretString>) -> Vec<Account> {
    let count = keys.len();
    let label = |index: usize| format!("key {} of {count}", index + 1);
    let accounts = keys.into_iter().enumerate();
    accounts
        .map(|(index, key)| Account { key: Some(key), path: String::new(), label: label(index) })
        .collect()
}

/// What a limit looks like.
const LIMIT_FORM: &str = "a comma-separated list such as rpm=30,rpd=1000,tpm=8000,tpd=200000: r for requests or t for \
                          tokens, then ps, pm, ph, pd or pmo for a second, minute, hour, day or month, and a number of at \
                          least 1";

fn limit(entry: &str) -> Option<(Measure, u64)> {
    let (name, most) = entry.split_once('=')?;
    let name = name.trim().to_ascii_lowercase();
    let (unit, window) = (name.get(..1)?, name.get(1..)?);
    let unit = match unit {
        "r" => Unit::Requests,
        "t" => Unit::Tokens,
        _ => return None,
    };
    let window = match window {
        "ps" => Window::Second,
        "pm" => Window::Minute,
        "ph" => Window::Hour,
        "pd" => Window::Day,
        "pmo" => Window::Month,
        _ => return None,
    };
    let most = most.trim().parse().ok().filter(|most| *most > 0)?;
    Some((Measure { unit, window }, most))
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

/// A placeholder for a wrong URL, until the mistakes are reported.
#[expect(clippy::expect_used, reason = "a constant that a test covers")]
fn fallback_url() -> Url {
    Url::parse("http://localhost").expect("a constant URL is valid")
}

/// Whether the value of `HOST` is an address of this machine alone.
fn is_loopback_host(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(address)) => is_loopback::<&str>(&Host::Ipv4(address)),
        Ok(IpAddr::V6(address)) => is_loopback::<&str>(&Host::Ipv6(address)),
        Err(_) => Host::parse(host).is_ok_and(|host| is_loopback(&host)),
    }
}
