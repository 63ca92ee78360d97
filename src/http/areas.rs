//! Which paths there are, which surface each belongs to, and which are open. `routes.rs` names the surface once more, for
//! panics.
//!
//! [`ingress`](super::ingress) looks the area of a request up once, and everybody else reads it from the request's
//! extensions. A new surface adds its rows here and its routes in `routes.rs`.

use std::collections::BTreeSet;

use http::Extensions;

use crate::observe::Counted;
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
    kind: Kind,
}

/// What its requests are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Answers of a model.
    Answers,
    /// How the proxy is.
    Report,
    /// Nothing that there is.
    Nothing,
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
pub(super) const HEALTH: Area = Area { is_open: true, ..report(HEALTH_PATH) };

/// The page for people. It holds nothing secret, and it is where a person is asked for the client key.
pub(super) const PAGE: Area = Area { is_open: true, ..report("/") };

/// The files that the page is made of.
pub(super) const PAGE_FILES: Area =
    Area { is_open: true, kind: Kind::Report, ..below("/page", Surface::Chat) };

/// One of the files in [`PAGE_FILES`].
pub(super) const PAGE_FILE: &str = "/{file}";

/// OpenAI's paths; Groq's SDK uses the second prefix.
pub(super) const OPENAI: [Area; 2] = [below("/v1", Surface::OpenAi), below("/openai/v1", Surface::OpenAi)];

/// Where conversations are answered in the smallest dialect.
pub(super) const CHAT: &str = "/chat";
/// What is known of every provider and model.
pub(super) const PROVIDERS: &str = "/providers";
/// The same, and more, for Prometheus.
pub(super) const METRICS: &str = "/metrics";
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
    let others =
        [("GET", PAGE.path), ("POST", CHAT), ("GET", PROVIDERS), ("GET", METRICS), ("GET", HEALTH_PATH)];
    others.map(|(method, path)| format!("{method} {path}")).into_iter().chain(below).collect()
}

/// All areas but [`ELSEWHERE`].
const AREAS: [Area; 8] = {
    let [openai, groq] = OPENAI;
    let chat = Area { extent: Extent::Path, ..below(CHAT, Surface::Chat) };
    [HEALTH, PAGE, PAGE_FILES, chat, report(PROVIDERS), report(METRICS), openai, groq]
};

/// Everything else.
const ELSEWHERE: Area = Area { kind: Kind::Nothing, ..below("", Surface::Chat) };

/// What the requests count as that are for no surface.
const OTHER: &str = "other";

const fn below(path: &'static str, surface: Surface) -> Area {
    Area { path, extent: Extent::Below, surface, is_open: false, kind: Kind::Answers }
}

const fn report(path: &'static str) -> Area {
    Area { extent: Extent::Path, kind: Kind::Report, ..below(path, Surface::Chat) }
}

/// Everything that a request can count as.
pub(super) fn counters() -> BTreeSet<&'static str> {
    AREAS.into_iter().map(|area| area.counts_as().0).chain([OTHER]).collect()
}

impl Area {
    /// The area of `path`, whether a route has that path or not.
    pub(super) fn of(path: &str) -> Self {
        AREAS.into_iter().find(|area| area.has(path)).unwrap_or(ELSEWHERE)
    }

    /// As what a request counts, and which of its answers. What is read every second to see how the proxy is must not hide
    /// the answers.
    pub(super) fn counts_as(self) -> (&'static str, Counted) {
        match self.kind {
            Kind::Nothing => (OTHER, Counted::Always),
            Kind::Answers => (self.surface.name(), Counted::Always),
            Kind::Report => (OTHER, Counted::IfRefused),
        }
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
            ("/health", Surface::Chat, true, "other", Counted::IfRefused),
            ("/health/", Surface::Chat, false, "other", Counted::Always),
            ("/healthy", Surface::Chat, false, "other", Counted::Always),
            ("/", Surface::Chat, true, "other", Counted::IfRefused),
            ("/page/main.js", Surface::Chat, true, "other", Counted::IfRefused),
            ("/pages", Surface::Chat, false, "other", Counted::Always),
            ("/chat", Surface::Chat, false, "chat", Counted::Always),
            ("/chat/", Surface::Chat, false, "other", Counted::Always),
            ("/providers", Surface::Chat, false, "other", Counted::IfRefused),
            ("/metrics", Surface::Chat, false, "other", Counted::IfRefused),
            ("/v1", Surface::OpenAi, false, "openai", Counted::Always),
            ("/v1/nothing", Surface::OpenAi, false, "openai", Counted::Always),
            ("/openai/v1/models", Surface::OpenAi, false, "openai", Counted::Always),
            ("/openai", Surface::Chat, false, "other", Counted::Always),
            ("/v10/models", Surface::Chat, false, "other", Counted::Always),
            ("", Surface::Chat, false, "other", Counted::Always),
        ];
        for (path, surface, is_open, counter, counted) in cases {
            let area = Area::of(path);
            assert_eq!((area.surface, area.is_open), (surface, is_open), "{path}");
            assert_eq!(area.counts_as(), (counter, counted), "{path}");
            assert!(counters().contains(counter), "{path}");
        }
    }
}
