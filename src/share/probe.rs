//! [`probe`]: whether the server can be used, for people who ask before they start.

use super::link::{Link, LinkError, tls_for};
use crate::config::StateUrl;

/// Logs in at the server and tells in a line what comes of it, and whether a start would end because of it.
pub(crate) async fn probe(url: &StateUrl) -> (String, bool) {
    let opened = async { Link::open(url, tls_for(url)?.as_ref()).await };
    match opened.await {
        Ok(_) => (format!("STATE_URL, {url}: accepted, quotas are shared through it"), false),
        Err(error) => {
            let is_fatal = !matches!(error, LinkError::Trouble(_));
            (format!("STATE_URL, {url}: not of use, {}", error.reason()), is_fatal)
        }
    }
}
