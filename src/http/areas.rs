//! Which paths there are, which surface each belongs to, and which are open. `routes.rs` names the surface once more, for
//! panics.
//!
//! [`ingress`](super::ingress) looks the area of a request up once, and everybody else reads it from the request's
//! extensions. A new surface adds its rows here and its routes in `routes.rs`.

use http::Extensions;

use crate::surfaces::Surface;

/// A group of paths with one surface. Every admitted request carries its area in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    /// The path itself, or the prefix of all of its paths.
    pub(super) path: &'static str,
    extent: Extent,
    /// The dialect of its answers and errors, including the 404 of a path that does not exist.
    pub(super) surface: Surface,
    /// Whether every client is let in: without a key, from any origin, and when there are too many connections.
    pub(super) is_open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Only the path itself.
    Path,
    /// The path and everything below it.
    Below,
}

/// Where `GET` tells that the server is alive.
pub(crate) const HEALTH_PATH: &str = "/health";

/// Health checks have no key, and are answered when nobody else is.
pub(super) const HEALTH: Area =
    Area { path: HEALTH_PATH, extent: Extent::Path, surface: Surface::Chat, is_open: true };

/// The page for people. It holds nothing secret, and it is where a person is asked for the client key.
pub(super) const PAGE: Area = Area { path: "/", extent: Extent::Path, surface: Surface::Chat, is_open: true };

/// The files that the page is made of.
pub(super) const PAGE_FILES: Area = Area { is_open: true, ..below("/page", Surface::Chat) };

/// One of the files in [`PAGE_FILES`].
pub(super) const PAGE_FILE: &str = "/{file}";

/// OpenAI's paths; Groq's SDK uses the second prefix.
pub(super) const OPENAI: [Area; 2] = [below("/v1", Surface::OpenAi), below("/openai/v1", Surface::OpenAi)];

/// Where conversations are answered in the smallest dialect.
pub(super) const CHAT: &str = "/chat";
/// What is known of every provider and model.
pub(super) const PROVIDERS: &str = "/providers";
/// Where conversations are answered in OpenAI's dialect; like the next two below the prefixes of [`OPENAI`].
pub(super) const COMPLETIONS: &str = "/chat/completions";
/// What may stand in `model`.
pub(super) const MODELS: &str = "/models";
/// One of them; ids may have slashes.
pub(super) const MODEL: &str = "/models/{*id}";

/// Every path with its method, for clients that ask for another.
pub(super) fn all_paths() -> Vec<String> {
    let [openai, _] = OPENAI.map(|area| area.path);
    let below = [("POST", COMPLETIONS), ("GET", MODELS), ("GET", MODEL)];
    let below = below.map(|(method, path)| format!("{method} {openai}{}", path.replace('*', "")));
    let others = [("GET", PAGE.path), ("POST", CHAT), ("GET", PROVIDERS), ("GET", HEALTH_PATH)];
    others.map(|(method, path)| format!("{method} {path}")).into_iter().chain(below).collect()
}

/// Everything else.
const ELSEWHERE: Area = below("", Surface::Chat);

const fn below(path: &'static str, surface: Surface) -> Area {
    Area { path, extent: Extent::Below, surface, is_open: false }
}

impl Area {
    /// The area of `path`, whether a route has that path or not.
    pub(super) fn of(path: &str) -> Self {
        let mut areas = [HEALTH, PAGE, PAGE_FILES].into_iter().chain(OPENAI);
        areas.find(|area| area.has(path)).unwrap_or(ELSEWHERE)
    }

    /// The area of an admitted request, from its extensions.
    pub(super) fn from_extensions(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(ELSEWHERE)
    }

    fn has(self, path: &str) -> bool {
        path.strip_prefix(self.path).is_some_and(|rest| match self.extent {
            Extent::Path => rest.is_empty(),
            Extent::Below => rest.is_empty() || rest.starts_with('/'),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_area() {
        let cases = [
            ("/health", Surface::Chat, true),
            ("/health/", Surface::Chat, false),
            ("/healthy", Surface::Chat, false),
            ("/", Surface::Chat, true),
            ("/page/main.js", Surface::Chat, true),
            ("/pages", Surface::Chat, false),
            ("/chat", Surface::Chat, false),
            ("/providers", Surface::Chat, false),
            ("/v1", Surface::OpenAi, false),
            ("/v1/nothing", Surface::OpenAi, false),
            ("/openai/v1/models", Surface::OpenAi, false),
            ("/openai", Surface::Chat, false),
            ("/v10/models", Surface::Chat, false),
            ("", Surface::Chat, false),
        ];
        for (path, surface, is_open) in cases {
            let area = Area::of(path);
            assert_eq!((area.surface, area.is_open), (surface, is_open), "{path}");
        }
    }
}
