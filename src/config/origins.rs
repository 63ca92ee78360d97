//! The web pages that may call.

use std::collections::BTreeSet;

use url::Url;

/// Which web pages may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// All of them.
    Any,
    /// Those of these origins: scheme, host and port if it is not the scheme's own.
    These(BTreeSet<String>),
}

/// `text` as an origin in the form that browsers send; `None` if it is not an origin.
pub(super) fn normal_origin(text: &str) -> Option<String> {
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
