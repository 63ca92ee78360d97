//! What Ollama says at its root, by which its clients know that it is there. Here the page for people is at that path.

use http::HeaderMap;
use http::header::ACCEPT;

/// What Ollama says.
pub(crate) const GREETING: &str = "Ollama is running";

/// What a client accepts that may be a browser, or a person's tool: it gets the page.
const PEOPLE: [&str; 3] = ["text/html", "text/*", "*/*"];

/// Whether a client that asks for the root wants the greeting and no page: it names what it takes, and a page is not among
/// that, or it names nothing, as no browser does.
pub(crate) fn wants_greeting(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    !accepted.filter_map(|value| value.to_str().ok()).any(|value| {
        let value = value.to_ascii_lowercase();
        PEOPLE.iter().any(|media_type| value.contains(media_type))
    })
}
