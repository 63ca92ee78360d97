//! The web pages that may call.

use std::collections::BTreeSet;

use url::{Host, Url};

/// Which web pages may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// All of them.
    Any,
    /// Those of these origins.
    These(OriginList),
}

impl CorsOrigins {
    /// Whether the pages of `origin`, in the form that browsers send, may call.
    pub(crate) fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(list) => list.has(origin),
        }
    }
}

/// Origins, and patterns of origins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginList {
    /// Scheme, host and port if it is not the scheme's own; or `null`.
    origins: BTreeSet<String>,
    patterns: Vec<OriginPattern>,
}

/// What an item of a list may be, for people.
pub(super) const ACCEPTED_ORIGINS: &str = "* or a comma-separated list of origins such as https://example.org or \
    http://localhost:5173, or of the patterns https://*.example.org (every name below it), http://localhost:* (every \
    port) and chrome-extension://* (every host of a scheme that is not the web's)";

impl OriginList {
    /// Adds an item of the list; `None` if it is neither an origin nor a pattern that can be honoured.
    pub(super) fn add(&mut self, item: &str) -> Option<()> {
        if item.contains('*') {
            self.patterns.push(OriginPattern::parse(item)?);
        } else {
            self.origins.insert(normal_origin(item)?);
        }
        Some(())
    }

    fn has(&self, origin: &str) -> bool {
        self.origins.contains(origin) || self.patterns.iter().any(|pattern| pattern.matches(origin))
    }
}

/// Origins that differ in one part or two.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OriginPattern {
    scheme: String,
    host: HostPattern,
    port: PortPattern,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    /// `*`, where hosts are no names of the web: ids of browser extensions.
    Any,
    /// `*.example.org`, kept as `.example.org`: every name that ends in this, with one label more or several.
    Below(String),
    /// This one.
    Only(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortPattern {
    /// `:*`, the scheme's own port too.
    Any,
    /// This one; `None` is the scheme's own.
    Only(Option<u16>),
}

impl OriginPattern {
    /// `None` if a star stands anywhere else than in the forms that [`HostPattern`] and [`PortPattern`] have.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('/');
        let (scheme, authority) = text.split_once("://")?;
        let (host, port) = match authority.strip_suffix(":*") {
            // A port of its own stands there already.
            Some(host) if host.contains(':') && !host.ends_with(']') => return None,
            Some(host) => (host, Some(PortPattern::Any)),
            None => (authority, None),
        };
        let (is_any, base) = (host == "*", host.strip_prefix("*."));
        // With the stars gone this must be an ordinary origin, and is parsed as one.
        let host = if is_any { "any" } else { base.unwrap_or(host) };
        let url = Url::parse(&normal_origin(&format!("{scheme}://{host}"))?).ok()?;
        let host = url.host_str()?;
        let is_name = matches!(Host::parse(host), Ok(Host::Domain(_)));
        let host = match base {
            Some(_) => HostPattern::Below(is_name.then(|| format!(".{host}"))?),
            None if is_any => HostPattern::Any,
            None => HostPattern::Only(host.to_owned()),
        };
        let is_web = matches!(url.scheme(), "http" | "https" | "ws" | "wss" | "ftp");
        if is_web && host == HostPattern::Any {
            return None;
        }
        let port = port.unwrap_or(PortPattern::Only(url.port()));
        Some(Self { scheme: url.scheme().to_owned(), host, port })
    }

    fn matches(&self, origin: &str) -> bool {
        // Only the form that browsers send, so that two readers cannot take it for two origins.
        if normal_origin(origin).as_deref() != Some(origin) {
            return false;
        }
        let Ok(url) = Url::parse(origin) else { return false };
        let host = url.host_str().unwrap_or_default();
        let is_host = match &self.host {
            HostPattern::Any => true,
            HostPattern::Below(end) => host.strip_suffix(end.as_str()).is_some_and(|name| !name.is_empty()),
            HostPattern::Only(only) => host == only,
        };
        let is_port = match self.port {
            PortPattern::Any => true,
            PortPattern::Only(port) => url.port() == port,
        };
        url.scheme() == self.scheme && is_host && is_port
    }
}

/// `text` as an origin in the form that browsers send; `None` if it is not an origin.
fn normal_origin(text: &str) -> Option<String> {
    if text == "null" {
        return Some(text.to_owned());
    }
    let url = Url::parse(text).ok()?;
    let is_bare = url.path().trim_end_matches('/').is_empty()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    // Pages from files have the origin `null`, whatever their path.
    let has_origin =
        url.has_host() && !url.host_str().is_some_and(|host| host.contains('*')) && url.scheme() != "file";
    (is_bare && has_origin).then(|| format!("{}://{}", url.scheme(), authority(&url)))
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(item: &str) -> Option<CorsOrigins> {
        let mut list = OriginList::default();
        list.add(item)?;
        Some(CorsOrigins::These(list))
    }

    #[test]
    fn a_pattern_has_the_origins_it_seems_to_have_and_no_others() {
        let cases: [(&str, &[&str], &[&str]); 9] = [
            (
                "https://*.example.org",
                &["https://a.example.org", "https://a.b.example.org", "https://xn--espaa-rta.example.org"],
                &[
                    "https://example.org",
                    "https://.example.org",
                    "https://evilexample.org",
                    "https://a.example.org.evil",
                    "https://a.example.org:8443",
                    "http://a.example.org",
                    "https://evil/.example.org",
                    "https://evil?.example.org",
                    "https://evil#.example.org",
                    "https://evil\\.example.org",
                    "https://evil@a.example.org",
                    "https://A.example.org",
                    "https://a.example.org/",
                    "https://a.example.org:443",
                    "https://*.example.org",
                    "null",
                    "",
                ],
            ),
            ("https://*.Example.org:8443/", &["https://a.example.org:8443"], &["https://a.example.org"]),
            (
                "https://*.example.org:*",
                &["https://a.example.org", "https://a.example.org:1"],
                &["https://example.org:1", "http://a.example.org:1"],
            ),
            (
                "http://localhost:*",
                &["http://localhost", "http://localhost:5173"],
                &[
                    "https://localhost:5173",
                    "http://a.localhost:5173",
                    "http://localhost.evil:5173",
                    "http://localhost:*",
                ],
            ),
            ("http://[::1]:*", &["http://[::1]", "http://[::1]:5173"], &["http://[::2]:5173"]),
            ("http://127.0.0.1:*", &["http://127.0.0.1:8000"], &["http://127.0.0.10:8000"]),
            (
                "chrome-extension://*",
                &["chrome-extension://abcdefghijklmnopabcdefghijklmnop"],
                &[
                    "moz-extension://a",
                    "chrome-extension://",
                    "https://a",
                    "chrome-extension://a/b",
                    "chrome-extension://a:1",
                ],
            ),
            ("moz-extension://*/", &["moz-extension://7ae3-0f"], &["chrome-extension://7ae3-0f"]),
            ("app://*.obsidian.md", &["app://x.obsidian.md"], &["app://obsidian.md"]),
        ];
        for (pattern, has, lacks) in cases {
            let list = list(pattern).unwrap_or_else(|| panic!("{pattern} is refused"));
            for origin in has {
                assert!(list.allow(origin), "{pattern} lacks {origin}");
            }
            for origin in lacks {
                assert!(!list.allow(origin), "{pattern} has {origin}");
            }
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_no_item() {
        let items = [
            "https://*",
            "http://*:8080",
            "*://example.org",
            "http*://example.org",
            "*.example.org",
            "https://*example.org",
            "https://ex*mple.org",
            "https://a.*.org",
            "https://*.*.example.org",
            "https://*.",
            "https://*.192.0.2.1",
            "https://example.org/*",
            "http://localhost:30*",
            "http://localhost:80:*",
            "http://localhost:*0",
            "chrome-extension://*abc",
            "chrome-extension://*/*",
            "chrome-extension:*",
            "file://*",
            "file://host",
            "**",
            "https://user@*.example.org",
            "https://user@example.org",
            "example.org",
            "https://example.org/path",
        ];
        for item in items {
            assert_eq!(list(item), None, "{item}");
        }
    }
}
