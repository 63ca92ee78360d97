//! Which paths belong to whom. No other file knows a path's surface, or whether a path is open.

use http::Extensions;

use crate::surfaces::Surface;

/// A part of the paths, and what holds for all of it. Stands among the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    /// Where it begins.
    pub(super) path: &'static str,
    /// Whether it has everything below that path, or only the path itself.
    extent: Extent,
    /// Whose dialect is spoken there, also where there is no such path.
    pub(super) surface: Surface,
    /// Whether everybody may come: without a client key, from every web page, however crowded it is.
    pub(super) is_open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Path,
    Below,
}

/// How it goes.
pub(super) const HEALTH: Area =
    Area { path: "/health", extent: Extent::Path, surface: Surface::Chat, is_open: true };

/// OpenAI's paths; the second is where Groq's SDK looks.
pub(super) const OPENAI: [Area; 2] = [below("/v1", Surface::OpenAi), below("/openai/v1", Surface::OpenAi)];

/// Everything else.
const ELSEWHERE: Area = below("", Surface::Chat);

const fn below(path: &'static str, surface: Surface) -> Area {
    Area { path, extent: Extent::Below, surface, is_open: false }
}

impl Area {
    /// The area of `path`, whether there is such a path or not.
    pub(super) fn of(path: &str) -> Self {
        let mut areas = std::iter::once(HEALTH).chain(OPENAI);
        areas.find(|area| area.has(path)).unwrap_or(ELSEWHERE)
    }

    /// The area that [`Area::of`] has found for a request.
    pub(super) fn among(extensions: &Extensions) -> Self {
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
