//! The page for people: a playground, the providers live, and lines to copy. Its files are part of the binary, as they
//! stand in `page/`: there is no build step.
//!
//! A browser lets the page run only these files, talk only to this proxy and load nothing else, whatever a model answers
//! (see [`POLICY`]). The page itself never makes HTML of an answer; `page/markdown.js` builds elements.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::surfaces::{Response, media_type};

/// What the page may do: run and show its own files, and call the proxy that it came from. There is no
/// `upgrade-insecure-requests`, because at home the page is served without TLS.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the page.
struct File {
    /// What stands behind the last slash of its path; the page itself has no name.
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

/// A file in `page/` under its own name.
macro_rules! file {
    ($name:literal, $content_type:expr) => {
        File { name: $name, content_type: $content_type, text: include_str!(concat!("page/", $name)) }
    };
}

static FILES: [File; 14] = [
    File { name: "", content_type: media_type::HTML, text: include_str!("page/index.html") },
    file!("style.css", media_type::CSS),
    file!("icon.svg", media_type::SVG),
    file!("main.js", media_type::JAVASCRIPT),
    file!("dom.js", media_type::JAVASCRIPT),
    file!("texts.js", media_type::JAVASCRIPT),
    file!("words.js", media_type::JAVASCRIPT),
    file!("proxy.js", media_type::JAVASCRIPT),
    file!("sse.js", media_type::JAVASCRIPT),
    file!("markdown.js", media_type::JAVASCRIPT),
    file!("inline.js", media_type::JAVASCRIPT),
    file!("playground.js", media_type::JAVASCRIPT),
    file!("providers.js", media_type::JAVASCRIPT),
    file!("connect.js", media_type::JAVASCRIPT),
];

/// One tag for all files, so that a browser never mixes those of two versions.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    FILES.iter().for_each(|file| file.text.hash(&mut hasher));
    format!("\"{:016x}\"", hasher.finish())
});

/// The file with this name, or a word that the client has it already; `None` if there is no such file.
pub(crate) fn show(name: &str, headers: &HeaderMap) -> Option<Response> {
    let file = FILES.iter().find(|file| file.name == name)?;
    let has_it = headers.get(IF_NONE_MATCH).is_some_and(|tags| {
        tags.to_str().is_ok_and(|tags| {
            tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == *TAG)
        })
    });
    let (status, text) = if has_it { (StatusCode::NOT_MODIFIED, "") } else { (StatusCode::OK, file.text) };
    let mut response = Response::new(text.as_bytes().into());
    *response.status_mut() = status;
    response.headers_mut().extend([
        (CONTENT_TYPE, HeaderValue::from_static(file.content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (ETAG, HeaderValue::try_from(&*TAG).ok()?),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ]);
    Some(response)
}
