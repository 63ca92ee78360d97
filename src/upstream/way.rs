//! The way to a provider: straight, or through the HTTP proxy that the environment or the system names.
//!
//! `https` goes through a tunnel (CONNECT), `http` is handed to the proxy, which wants whole URLs and its credentials
//! with every request. Proxies of another kind (SOCKS) are not supported; who is configured with one is not passed by.

use http::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustls::pki_types::ServerName;
use url::Url;

use super::lines;

/// The way to a provider. It may hold the credentials for a proxy, so it does not print itself.
pub(super) struct Way {
    /// Where TCP goes.
    pub first: Hop,
    /// Behind the first hop, if that is a proxy which is asked for a tunnel.
    pub tunnel: Option<Tunnel>,
    /// What goes with every request, if the first hop is a proxy that reads them.
    pub courier: Option<Courier>,
}

/// A host to connect to.
pub(super) struct Hop {
    pub uri: Uri,
    /// The name that its certificate must have, if it is met over TLS.
    pub tls: Option<ServerName<'static>>,
}

/// A tunnel through a proxy.
pub(super) struct Tunnel {
    /// The request for it.
    pub request: Vec<u8>,
    /// The name that the certificate behind it must have.
    pub tls: ServerName<'static>,
}

/// What a proxy wants that reads the requests.
pub(super) struct Courier {
    /// What stands in front of the path.
    pub prefix: String,
    /// Its credentials.
    pub authorization: Option<HeaderValue>,
}

impl Way {
    /// The way to `origin`, as `proxies` have it; `None` if there is none.
    pub(super) fn new(origin: &Url, proxies: Option<&Matcher>) -> Option<Self> {
        let uri: Uri = origin.as_str().parse().ok()?;
        let Some(proxy) = proxies.and_then(|proxies| proxies.intercept(&uri)) else {
            return Some(Self { first: Hop::new(uri)?, tunnel: None, courier: None });
        };
        let first = Hop::new(proxy.uri().clone())?;
        let authorization = proxy.basic_auth().cloned();
        if let Some(tls) = server_name(&uri)? {
            let tunnel = Some(Tunnel { request: connect(&uri, &proxy)?, tls });
            return Some(Self { first, tunnel, courier: None });
        }
        let prefix = format!("http://{}", uri.authority()?);
        Some(Self { first, tunnel: None, courier: Some(Courier { prefix, authorization }) })
    }

    /// Whether certificates are needed on it.
    pub(super) fn needs_tls(&self) -> bool {
        self.first.tls.is_some() || self.tunnel.is_some()
    }
}

impl Hop {
    fn new(uri: Uri) -> Option<Self> {
        let tls = server_name(&uri)?;
        Some(Self { uri, tls })
    }
}

/// The name in the certificate of `uri`, `Some(None)` if it needs none; `None` if it can have none, or is no HTTP.
fn server_name(uri: &Uri) -> Option<Option<ServerName<'static>>> {
    if uri.scheme() == Some(&Scheme::HTTP) {
        return Some(None);
    }
    let host = uri.host().filter(|_| uri.scheme() == Some(&Scheme::HTTPS))?;
    let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(host.to_owned()).ok().map(Some)
}

/// The request for a tunnel through `proxy` to `uri`, which is `https`.
fn connect(uri: &Uri, proxy: &Intercept) -> Option<Vec<u8>> {
    let authority = uri.authority()?;
    let port = authority.port_u16().unwrap_or(443);
    let target: Authority = format!("{}:{port}", authority.host()).parse().ok()?;
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(target.as_str()).ok()?);
    headers.insert(USER_AGENT, HeaderValue::from_static(lines::USER_AGENT));
    headers.extend(proxy.basic_auth().map(|it| (PROXY_AUTHORIZATION, it.clone())));
    let lines = lines::of(&headers);
    Some([format!("CONNECT {target} HTTP/1.1\r\n").as_bytes(), &lines, b"\r\n"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(origin: &str, proxy: &str, except: &str) -> Option<Way> {
        let proxies = Matcher::builder().all(proxy).no(except).build();
        Way::new(&origin.parse().unwrap(), Some(&proxies))
    }

    /// The first hop, whether it is met over TLS, what a tunnel is asked for with, and what stands in front of paths.
    fn told(way: &Way) -> (String, bool, Option<String>, Option<String>) {
        let request = way.tunnel.as_ref().map(|it| String::from_utf8_lossy(&it.request).into_owned());
        let prefix = way.courier.as_ref().map(|it| it.prefix.clone());
        (way.first.uri.to_string(), way.first.tls.is_some(), request, prefix)
    }

    #[test]
    fn a_provider_over_https_is_met_through_a_tunnel() {
        let agent = lines::USER_AGENT;
        let way = way("https://api.example/base", "http://me:p%40ss@proxy.example:3128", "").unwrap();
        let asked = format!(
            "CONNECT api.example:443 HTTP/1.1\r\nhost: api.example:443\r\nuser-agent: {agent}\r\n\
             proxy-authorization: Basic bWU6cEBzcw==\r\n\r\n"
        );
        assert_eq!(told(&way), ("http://proxy.example:3128/".to_owned(), false, Some(asked), None));
        assert_eq!(way.tunnel.unwrap().tls, ServerName::try_from("api.example").unwrap());
    }

    #[test]
    fn the_proxy_itself_may_be_met_over_tls_and_addresses_may_be_of_version_6() {
        let agent = lines::USER_AGENT;
        let way = way("https://[2001:db8::1]:8443", "https://[2001:db8::2]", "").unwrap();
        let target = "[2001:db8::1]:8443";
        let asked = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\nuser-agent: {agent}\r\n\r\n");
        assert_eq!(told(&way), ("https://[2001:db8::2]/".to_owned(), true, Some(asked), None));
        assert_eq!(way.tunnel.unwrap().tls, ServerName::try_from("2001:db8::1").unwrap());
    }

    #[test]
    fn a_provider_over_http_is_reached_by_handing_the_request_over() {
        let way = way("http://api.example:8080/base", "me@proxy.example", "").unwrap();
        let prefix = Some("http://api.example:8080".to_owned());
        assert_eq!(told(&way), ("http://proxy.example/".to_owned(), false, None, prefix));
        assert_eq!(way.courier.unwrap().authorization.unwrap(), "Basic bWU6");
    }

    #[test]
    fn who_is_excepted_is_met_straight_and_no_other_kind_of_proxy_is_passed_by() {
        for (proxy, except) in [("", ""), ("http://proxy.example", "example")] {
            let way = way("https://api.example", proxy, except).unwrap();
            assert_eq!(told(&way), ("https://api.example/".to_owned(), true, None, None));
        }
        assert!(way("https://api.example", "socks5://proxy.example", "").is_none());
        assert!(way("http://api.example", "socks5://proxy.example", "").is_none());
    }
}
