//! Which paths there are, which surface each belongs to, and which are open.
//!
//! [`routes`](super::routes) looks the area and the route of a request up once. A new surface adds its rows here and its
//! routes' answers there.

use std::collections::BTreeSet;

use http::Method;

use crate::observe::Counted;
use crate::surfaces::Surface;

/// A group of paths with one surface.
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

/// OpenAI's paths; Groq's SDK uses the second prefix.
pub(super) const OPENAI: [Area; 2] = [below("/v1", Surface::OpenAi), below("/openai/v1", Surface::OpenAi)];

/// Where conversations are answered in the smallest dialect.
pub(super) const CHAT: &str = "/chat";
/// What is known of every provider and model.
pub(super) const PROVIDERS: &str = "/providers";
/// The same, and more, for Prometheus.
pub(super) const METRICS: &str = "/metrics";
/// Where conversations are answered in OpenAI's dialect; like the next below the prefixes of [`OPENAI`].
const COMPLETIONS: &str = "/chat/completions";
/// What may stand in `model`; one of them is below, and ids may have slashes.
const MODELS: &str = "/models";

/// A path that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'p> {
    /// A conversation in the smallest dialect.
    Chat,
    /// A conversation in OpenAI's.
    Completions,
    /// What may stand in `model`.
    Models,
    /// One of them, as it is written in the path.
    Model(&'p str),
    /// A file of the page by its name; the page itself has none.
    Page(&'p str),
    /// That the server is alive.
    Health,
    /// Providers and models.
    Providers,
    /// The same for Prometheus.
    Metrics,
}

impl<'p> Route<'p> {
    /// The route of `path`, if there is one.
    pub(super) fn of(path: &'p str) -> Option<Self> {
        match path {
            CHAT => Some(Self::Chat),
            HEALTH_PATH => Some(Self::Health),
            PROVIDERS => Some(Self::Providers),
            METRICS => Some(Self::Metrics),
            _ if path == PAGE.path => Some(Self::Page("")),
            _ => Self::of_page(path).or_else(|| OPENAI.iter().find_map(|area| Self::of_openai(area, path))),
        }
    }

    fn of_page(path: &'p str) -> Option<Self> {
        let name = path.strip_prefix(PAGE_FILES.path)?.strip_prefix('/')?;
        (!name.is_empty() && !name.contains('/')).then_some(Self::Page(name))
    }

    fn of_openai(area: &Area, path: &'p str) -> Option<Self> {
        match path.strip_prefix(area.path)? {
            COMPLETIONS => Some(Self::Completions),
            MODELS => Some(Self::Models),
            below => {
                let id = below.strip_prefix(MODELS)?.strip_prefix('/')?;
                (!id.is_empty()).then_some(Self::Model(id))
            }
        }
    }

    /// What it may be asked with, as the header `Allow` says it.
    pub(super) fn methods(self) -> &'static str {
        if self.takes_a_body() { "POST" } else { "GET,HEAD" }
    }

    /// Whether it may be asked with `method`.
    pub(super) fn takes(self, method: &Method) -> bool {
        if self.takes_a_body() {
            method == Method::POST
        } else {
            method == Method::GET || method == Method::HEAD
        }
    }

    fn takes_a_body(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }
}

/// Every path with its method, for clients that ask for another.
pub(super) fn all_paths() -> Vec<String> {
    let [openai, _] = OPENAI.map(|area| area.path);
    let below = [("POST", COMPLETIONS, ""), ("GET", MODELS, ""), ("GET", MODELS, "/{id}")];
    let below = below.map(|(method, path, id)| format!("{method} {openai}{path}{id}"));
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
    fn every_path_leads_to_one_route() {
        let cases = [
            ("/chat", Some(Route::Chat)),
            ("/", Some(Route::Page(""))),
            ("/page/main.js", Some(Route::Page("main.js"))),
            ("/page", None),
            ("/page/", None),
            ("/page/a/b", None),
            ("/health", Some(Route::Health)),
            ("/providers", Some(Route::Providers)),
            ("/metrics", Some(Route::Metrics)),
            ("/v1/chat/completions", Some(Route::Completions)),
            ("/openai/v1/chat/completions", Some(Route::Completions)),
            ("/openai/v1/models", Some(Route::Models)),
            ("/v1/models/groq/openai%2Fx", Some(Route::Model("groq/openai%2Fx"))),
            ("/v1/models/", None),
            ("/v1/modelsx", None),
            ("/v1", None),
            ("/v1chat/completions", None),
            ("/chat/completions", None),
            ("/Chat", None),
            ("*", None),
            ("", None),
        ];
        for (path, route) in cases {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn every_path_that_is_told_is_there_and_takes_its_method() {
        for told in all_paths() {
            let (method, path) = told.split_once(' ').unwrap();
            let route = Route::of(path).unwrap();
            assert!(route.takes(&method.parse().unwrap()), "{told}");
            assert!(route.methods().contains(method), "{told}");
        }
    }

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
