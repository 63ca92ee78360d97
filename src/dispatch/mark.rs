//! What tells a request of this process from others, for a base URL that leads back here: the proxy would ask itself, each time
//! anew, and every turn asks the real providers, too. One request became forty thousand calls before it was refused so.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::ProviderConfig;

const HEADER: HeaderName = HeaderName::from_static("x-ai-proxy-free");

/// A number that no other process has.
#[derive(Debug)]
pub(super) struct Mark(HeaderValue);

impl Mark {
    pub(super) fn new(mut random: fastrand::Rng) -> Self {
        // Digits are valid in a header.
        let value = HeaderValue::from_str(&format!("{:016x}", random.u64(..)));
        Self(value.unwrap_or(const { HeaderValue::from_static("") }))
    }

    /// The header for the requests to a host. The hosts that the rows name are real services, which learn nothing of it.
    pub(super) fn for_host(&self, config: &ProviderConfig) -> Option<(HeaderName, HeaderValue)> {
        let own = config.provider.profile().base_url;
        let is_own = own.parse().is_ok_and(|own: url::Url| own == config.base_url);
        let leads_here = !is_own || config.base_url.scheme() == "http";
        leads_here.then(|| (HEADER, self.0.clone()))
    }

    /// Whether a request with these headers has come from this process.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        headers.get(HEADER) == Some(&self.0)
    }
}
