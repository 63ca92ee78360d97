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

/// Anthropic's paths.
const ANTHROPIC: Area = below("/v1/messages", Surface::Anthropic);

/// Those of its clients whose base URL ends in `/v1`, to which they add another: there is nothing, and they are told why.
const ANTHROPIC_TWICE: Area = Area { path: "/v1/v1/messages", ..ANTHROPIC };

/// Those of OpenAI's responses.
const RESPONSES: Area = below("/v1/responses", Surface::Responses);

/// Google's paths. The newest SDKs of Google put their version of the path before the same models as OpenAI's.
const GEMINI: Area = below("/v1beta", Surface::Gemini);

/// Ollama's paths.
const OLLAMA: Area = below("/api", Surface::Ollama);

/// OpenAI's other paths; Groq's SDK uses the second prefix.
pub(super) const OPENAI: [Area; 2] = [below("/v1", Surface::OpenAi), below("/openai/v1", Surface::OpenAi)];

/// Where conversations are answered in the smallest dialect.
pub(super) const CHAT: &str = "/chat";
/// Where they are answered in Anthropic's.
const MESSAGES: &str = ANTHROPIC.path;
/// Where their tokens are counted.
const COUNT_TOKENS: &str = "/v1/messages/count_tokens";
/// The same below OpenAI's responses.
const INPUT_TOKENS: &str = "input_tokens";
/// What is known of every provider and model.
pub(super) const PROVIDERS: &str = "/providers";
/// The same, and more, for Prometheus.
pub(super) const METRICS: &str = "/metrics";
/// Where conversations are answered in OpenAI's dialect; like the next below the prefixes of [`OPENAI`].
const COMPLETIONS: &str = "/chat/completions";
/// What may stand in `model`; one of them is below, and ids may have slashes.
const MODELS: &str = "/models";

/// What a request of Google's dialect wants of a model: the word behind its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// An answer, whole or streamed, as the word says.
    Generate,
    /// How many tokens a request has.
    CountTokens,
}

/// The words of Google's dialect.
const ACTIONS: [(&str, Action); 3] = [
    ("generateContent", Action::Generate),
    ("streamGenerateContent", Action::Generate),
    ("countTokens", Action::CountTokens),
];

/// What is asked in Ollama's dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ollama {
    /// A conversation, or one question: the surface reads in the path by itself which of them it is.
    Answer,
    /// What one model can do.
    Show,
    /// The models.
    Tags,
    /// The version whose dialect it is.
    Version,
    /// The models in memory.
    Running,
    /// Vectors of texts, which no provider makes here.
    Embed,
    /// To fetch, make, copy or delete a model: there are none on this machine.
    Manage,
}

/// What is asked at the paths below [`OLLAMA`] for which there is no answer.
const OLLAMA_MISSING: [(&str, Ollama); 7] = [
    ("/embed", Ollama::Embed),
    ("/embeddings", Ollama::Embed),
    ("/pull", Ollama::Manage),
    ("/push", Ollama::Manage),
    ("/create", Ollama::Manage),
    ("/copy", Ollama::Manage),
    ("/delete", Ollama::Manage),
];

/// The paths below [`OLLAMA`].
const OLLAMA_PATHS: [(&str, Ollama); 6] = [
    ("/chat", Ollama::Answer),
    ("/generate", Ollama::Answer),
    ("/show", Ollama::Show),
    ("/tags", Ollama::Tags),
    ("/version", Ollama::Version),
    ("/ps", Ollama::Running),
];

/// A path that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'p> {
    /// A conversation in the smallest dialect.
    Chat,
    /// A conversation in OpenAI's.
    Completions,
    /// A conversation in Anthropic's.
    Messages,
    /// How many tokens one has, in Anthropic's.
    CountMessageTokens,
    /// A conversation in the dialect of OpenAI's responses.
    Responses,
    /// How many tokens one has, in that dialect.
    CountResponseTokens,
    /// A response that is stored, as its id is written in the path.
    StoredResponse(&'p str),
    /// What went into it.
    ResponseItems(&'p str),
    /// The end of one that is under way.
    CancelResponse(&'p str),
    /// Something in Google's dialect; the surface reads the model in the path by itself.
    Gemini(Action),
    /// The models in Google's form.
    GeminiModels,
    /// One of them.
    GeminiModel(&'p str),
    /// Something in Ollama's dialect.
    Ollama(Ollama),
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
            MESSAGES => Some(Self::Messages),
            COUNT_TOKENS => Some(Self::CountMessageTokens),
            PROVIDERS => Some(Self::Providers),
            METRICS => Some(Self::Metrics),
            _ if path == PAGE.path => Some(Self::Page("")),
            _ => Self::of_page(path)
                .or_else(|| Self::of_gemini(path))
                .or_else(|| Self::of_responses(path))
                .or_else(|| Self::of_ollama(path))
                .or_else(|| OPENAI.iter().find_map(|area| Self::of_openai(area, path))),
        }
    }

    fn of_gemini(path: &'p str) -> Option<Self> {
        let action = action_of(path).map(Self::Gemini);
        let below = || path.strip_prefix(GEMINI.path)?.strip_prefix(MODELS);
        let model = || match below()?.strip_prefix('/') {
            Some(id) => (!id.is_empty()).then_some(Self::GeminiModel(id)),
            None => below()?.is_empty().then_some(Self::GeminiModels),
        };
        action.or_else(model)
    }

    fn of_responses(path: &'p str) -> Option<Self> {
        let below = path.strip_prefix(RESPONSES.path)?;
        let Some(below) = below.strip_prefix('/') else {
            return below.is_empty().then_some(Self::Responses);
        };
        match below.split_once('/') {
            None if below == INPUT_TOKENS => Some(Self::CountResponseTokens),
            // What clients ask for that can be had only where answers are made in the background or compressed.
            None => (!below.is_empty() && below != "compact").then_some(Self::StoredResponse(below)),
            Some((id, "input_items")) if !id.is_empty() => Some(Self::ResponseItems(id)),
            Some((id, "cancel")) if !id.is_empty() => Some(Self::CancelResponse(id)),
            Some(_) => None,
        }
    }

    fn of_ollama(path: &str) -> Option<Self> {
        let below = path.strip_prefix(OLLAMA.path)?;
        if below.starts_with("/blobs/") {
            return Some(Self::Ollama(Ollama::Manage));
        }
        let mut paths = OLLAMA_PATHS.iter().chain(&OLLAMA_MISSING);
        paths.find(|(path, _)| *path == below).map(|(_, asked)| Self::Ollama(*asked))
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
        match self {
            Self::StoredResponse(_) => "GET,HEAD,DELETE",
            // Whatever it is asked with, the answer is the same.
            Self::Ollama(Ollama::Embed | Ollama::Manage) => "GET,HEAD,POST,DELETE",
            _ if self.takes_a_body() => "POST",
            _ => "GET,HEAD",
        }
    }

    /// Whether it may be asked with `method`.
    pub(super) fn takes(self, method: &Method) -> bool {
        self.methods().split(',').any(|name| name == method.as_str())
    }

    fn takes_a_body(self) -> bool {
        matches!(
            self,
            Self::Chat
                | Self::Completions
                | Self::Messages
                | Self::CountMessageTokens
                | Self::Responses
                | Self::CountResponseTokens
                | Self::CancelResponse(_)
                | Self::Gemini(_)
                | Self::Ollama(Ollama::Answer | Ollama::Show)
        )
    }
}

/// What `path` wants in Google's dialect. An id may have colons, so the last one counts.
fn action_of(path: &str) -> Option<Action> {
    let (model, word) = path.rsplit_once(':')?;
    let below = |prefix: &str| model.strip_prefix(prefix)?.strip_prefix(MODELS)?.strip_prefix('/');
    let [openai, _] = OPENAI;
    below(GEMINI.path).or_else(|| below(openai.path)).filter(|id| !id.is_empty())?;
    ACTIONS.iter().find(|(name, _)| *name == word).map(|(_, action)| *action)
}

/// Every path with its method, for clients that ask for another.
pub(super) fn all_paths() -> Vec<String> {
    let [openai, _] = OPENAI.map(|area| area.path);
    let below = |method: &str, prefix: &str, path: &str| format!("{method} {prefix}{path}");
    let mut paths: Vec<String> =
        [("GET", PAGE.path), ("POST", CHAT), ("GET", PROVIDERS), ("GET", METRICS), ("GET", HEALTH_PATH)]
            .into_iter()
            .map(|(method, path)| below(method, "", path))
            .collect();
    paths.extend([
        below("POST", openai, COMPLETIONS),
        below("GET", openai, MODELS),
        below("GET", openai, &format!("{MODELS}/{{id}}")),
        below("POST", "", MESSAGES),
        below("POST", "", COUNT_TOKENS),
        below("POST", "", RESPONSES.path),
        below("GET", RESPONSES.path, "/{id}"),
        below("DELETE", RESPONSES.path, "/{id}"),
        below("GET", RESPONSES.path, "/{id}/input_items"),
        below("POST", RESPONSES.path, "/input_tokens"),
        below("GET", GEMINI.path, MODELS),
        below("GET", GEMINI.path, &format!("{MODELS}/{{id}}")),
    ]);
    let actions = ACTIONS.iter();
    paths.extend(actions.map(|(word, _)| below("POST", GEMINI.path, &format!("{MODELS}/{{id}}:{word}"))));
    paths.extend(OLLAMA_PATHS.map(|(path, asked)| {
        let method = if Route::Ollama(asked).takes_a_body() { "POST" } else { "GET" };
        below(method, OLLAMA.path, path)
    }));
    paths
}

/// All areas but [`ELSEWHERE`].
const AREAS: [Area; 13] = {
    let [openai, groq] = OPENAI;
    let chat = Area { extent: Extent::Path, ..below(CHAT, Surface::Chat) };
    let (providers, metrics) = (report(PROVIDERS), report(METRICS));
    let (anthropic, twice) = (ANTHROPIC, ANTHROPIC_TWICE);
    [
        HEALTH, PAGE, PAGE_FILES, chat, providers, metrics, anthropic, twice, RESPONSES, GEMINI, OLLAMA,
        openai, groq,
    ]
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
        if action_of(path).is_some() {
            return GEMINI;
        }
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
            ("/v1/messages", Some(Route::Messages)),
            ("/v1/messages/count_tokens", Some(Route::CountMessageTokens)),
            ("/v1/messages/batches", None),
            ("/v1/responses", Some(Route::Responses)),
            ("/v1/responses/input_tokens", Some(Route::CountResponseTokens)),
            ("/v1/responses/compact", None),
            ("/v1/responses/", None),
            ("/v1/responses/resp_1", Some(Route::StoredResponse("resp_1"))),
            ("/v1/responses/resp_1/input_items", Some(Route::ResponseItems("resp_1"))),
            ("/v1/responses/resp_1/cancel", Some(Route::CancelResponse("resp_1"))),
            ("/v1/responses/resp_1/x", None),
            ("/v1beta/models", Some(Route::GeminiModels)),
            ("/v1beta/models/", None),
            ("/v1beta/models/groq%2Fx", Some(Route::GeminiModel("groq%2Fx"))),
            ("/v1beta/models/x:generateContent", Some(Route::Gemini(Action::Generate))),
            ("/v1beta/models/a:free:streamGenerateContent", Some(Route::Gemini(Action::Generate))),
            ("/v1beta/models/:countTokens", Some(Route::GeminiModel(":countTokens"))),
            ("/v1/models/x:countTokens", Some(Route::Gemini(Action::CountTokens))),
            ("/v1/models/x:free", Some(Route::Model("x:free"))),
            ("/api/chat", Some(Route::Ollama(Ollama::Answer))),
            ("/api/tags", Some(Route::Ollama(Ollama::Tags))),
            ("/api/chat/", None),
            ("/api/pull", Some(Route::Ollama(Ollama::Manage))),
            ("/api/blobs/sha256:1", Some(Route::Ollama(Ollama::Manage))),
            ("/api/embeddings", Some(Route::Ollama(Ollama::Embed))),
            ("/api/nothing", None),
            ("/api", None),
            ("/apis/chat", None),
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
            ("/v1/messages", Surface::Anthropic, false, "anthropic", Counted::Always),
            ("/v1/messages/x", Surface::Anthropic, false, "anthropic", Counted::Always),
            ("/v1/responses/x", Surface::Responses, false, "responses", Counted::Always),
            ("/api/x", Surface::Ollama, false, "ollama", Counted::Always),
            ("/v1beta/x", Surface::Gemini, false, "gemini", Counted::Always),
            ("/v1/models/x:generateContent", Surface::Gemini, false, "gemini", Counted::Always),
            ("/v1/models/x:free", Surface::OpenAi, false, "openai", Counted::Always),
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
