//! All providers: [`Provider`], a reference to a row, and the [`Directory`] of those that this process has.

use std::fmt;
use std::hash::{Hash, Hasher};

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;

use super::capabilities::{Capabilities, Work};
use super::listed::ModelList;
use super::model_id::{is_model_id, is_model_path};
use super::profile::{AskedBy, Dialect, Profile};
use super::wire::{Decoded, WireRequest};
use super::words::{ErrorBody, limits, waits};
use super::{gemini, openai, rows};
use crate::middle::{ChatRequest, Diagnosis, ErrorReading, FreePlan, Reading, Sink};

/// A service that answers: a reference to its row, which lives as long as the process. Copying it costs nothing, and it
/// knows its name without a lookup. Two are equal if they are the same row.
#[derive(Clone, Copy)]
pub struct Provider(&'static Profile);

impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Provider {}

impl Hash for Provider {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::hash(self.0, state);
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The providers of a process, in rotation order.
#[derive(Clone, Debug)]
pub struct Directory(Vec<Provider>);

impl Directory {
    /// The rows that come with the program.
    pub fn built_in() -> Self {
        Self(rows::ALL.iter().copied().map(Provider::of).collect())
    }

    /// The rows that are always listed.
    pub fn core() -> Self {
        Self(Self::built_in().into_iter().filter(|provider| provider.profile().is_core).collect())
    }

    /// The names, in lower case, of those that need no key and are asked only if the user names them.
    pub(crate) fn keyless_names(&self) -> Vec<String> {
        let keyless = self.iter().filter(|it| it.profile().asked_by == AskedBy::Name);
        keyless.map(|it| it.name().to_ascii_lowercase()).collect()
    }

    /// All providers, in rotation order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Provider> + DoubleEndedIterator + '_ {
        self.0.iter().copied()
    }

    /// The provider with that name, in upper or lower case; `None` if there is none.
    pub fn find(&self, name: &str) -> Option<Provider> {
        self.iter().find(|provider| provider.name().eq_ignore_ascii_case(name))
    }

    /// The names of all providers, in rotation order.
    pub fn names(&self) -> Vec<&'static str> {
        self.iter().map(Provider::name).collect()
    }
}

impl FromIterator<Provider> for Directory {
    fn from_iter<I: IntoIterator<Item = Provider>>(providers: I) -> Self {
        Self(providers.into_iter().collect())
    }
}

impl IntoIterator for Directory {
    type Item = Provider;
    type IntoIter = std::vec::IntoIter<Provider>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Provider {
    /// Groq, <https://console.groq.com>.
    pub const GROQ: Self = Self(&rows::groq::PROFILE);
    /// Cerebras, <https://cloud.cerebras.ai>.
    pub const CEREBRAS: Self = Self(&rows::cerebras::PROFILE);
    /// Google Gemini through its native API, <https://aistudio.google.com>.
    pub const GEMINI: Self = Self(&rows::gemini::PROFILE);
    /// llama.cpp's server, on a machine of the user's own.
    pub const LLAMA_CPP: Self = Self(&rows::local::LLAMA_CPP);

    /// The provider of a row. A row lives as long as the process.
    pub const fn of(row: &'static Profile) -> Self {
        Self(row)
    }

    /// A provider of the user's own, with a row that stays for as long as the process: OpenAI's dialect, and variables that
    /// begin with its `name` in capitals.
    pub fn custom(name: &str) -> Self {
        let word = name.to_ascii_uppercase().replace('-', "_");
        let variable = |end: &str| -> &'static str { format!("{word}_{end}").leak() };
        let key_variables: &'static [&'static str] = Box::leak(Box::new([variable("API_KEY")]));
        Self(Box::leak(Box::new(Profile {
            name: name.to_owned().leak(),
            key_variables,
            models_variable: variable("MODEL"),
            limits_variable: variable("LIMITS"),
            base_url_variable: variable("BASE_URL"),
            ..rows::CUSTOM
        })))
    }

    /// The variables that are about it.
    pub fn variables(self) -> impl Iterator<Item = &'static str> {
        let Profile {
            key_variables, models_variable, limits_variable, base_url_variable, account_id, ..
        } = self.profile();
        let others = [*models_variable, *limits_variable, *base_url_variable];
        key_variables.iter().copied().chain(others).chain(account_id.map(|id| id.variable))
    }

    /// Its row of data.
    pub const fn profile(self) -> &'static Profile {
        self.0
    }

    /// The name users see: `Groq`.
    pub const fn name(self) -> &'static str {
        self.profile().name
    }

    /// The headers of every request to it: those of its row, and the one that authenticates with `key`, marked sensitive.
    ///
    /// # Errors
    /// The key has characters that no header may hold.
    pub fn headers(self, key: Option<&SecretString>) -> Result<HeaderMap, http::Error> {
        let Profile { headers, auth, .. } = self.profile();
        let fixed = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Ok(fixed.chain(key.map(|key| auth.header(key)).transpose()?).collect())
    }

    /// The ids of its default models, best first.
    pub fn default_models(self) -> impl Iterator<Item = &'static str> {
        self.profile().models.iter().map(|model| model.id)
    }

    /// What its model with this id can do.
    pub fn capabilities(self, model: &str) -> &'static Capabilities {
        let Profile { models, families, .. } = self.profile();
        let known = models.iter().find(|known| known.id == model).map(|known| &known.can);
        let family = || families.iter().find(|(prefix, _)| model.starts_with(prefix)).map(|(_, can)| can);
        known.or_else(family).unwrap_or(&Capabilities::UNKNOWN)
    }

    /// The limits that its documents name for the model with this id; empty for a model that is in no table.
    pub fn free_plan(self, model: &str) -> FreePlan {
        let known = self.profile().models.iter().find(|known| known.id == model);
        known.map_or(&[], |known| known.free_plan)
    }

    /// What its model with this id costs in its own unit of work.
    pub fn work(self, model: &str) -> Work {
        let known = self.profile().models.iter().find(|known| known.id == model);
        known.map_or(Work::UNCOUNTED, |known| known.work)
    }

    /// Whether its answers may begin with thoughts between marks.
    pub(super) fn thinks_in_text(self) -> bool {
        matches!(&self.profile().dialect, Dialect::OpenAi(quirks) if quirks.thinks_in_text)
    }

    /// Whether the model with this id costs nothing, as far as its name tells.
    pub fn is_free(self, model: &str) -> bool {
        let Profile { free, models, .. } = self.profile();
        free.admits(model, models)
    }

    /// Whether a request to the model with this id can do without `field`, which it has refused. What guards against a bill
    /// is left out only where there is none in any case.
    pub fn can_leave_out(self, field: &str, model: &str) -> bool {
        let Dialect::OpenAi(quirks) = &self.profile().dialect else { return false };
        let is_guard = quirks.guards.iter().any(|guard| guard.field == field);
        !is_guard || (self.is_free(model) && self.profile().free.is_sure_of(model))
    }

    /// The path and query of its model list, which follow the base URL; `None` if it has none.
    pub fn models_path(self) -> Option<&'static str> {
        match &self.profile().dialect {
            Dialect::OpenAi(quirks) => (quirks.list != openai::ListForm::None).then_some(quirks.models_path),
            Dialect::Gemini => Some(gemini::MODELS_PATH),
        }
    }

    /// A list of models: those that cost nothing, without those that the list marks as not for chat, and those that bill;
    /// `None` if the body is not a complete list.
    pub(crate) fn read_list(self, body: &[u8]) -> Option<ModelList> {
        let ModelList { free, mut paid } = match &self.profile().dialect {
            Dialect::OpenAi(quirks) => openai::read_list(quirks.list, body)?,
            Dialect::Gemini => ModelList::of_ids(gemini::parse_models(body)?),
        };
        let known = free.into_iter().filter(|it| self.check_model_id(&it.id).is_ok());
        let (free, others): (Vec<_>, Vec<_>) = known.partition(|it| self.is_free(&it.id));
        paid.extend(others.into_iter().map(|it| it.id));
        Some(ModelList { free, paid })
    }

    /// The ids of the free models in a list; `None` if the body is not a complete list.
    pub fn parse_models(self, body: &[u8]) -> Option<Vec<String>> {
        Some(self.read_list(body)?.free.into_iter().map(|it| it.id).collect())
    }

    /// Whether a model of this provider can have this id.
    ///
    /// # Errors
    /// It cannot: what ids consist of.
    pub(crate) fn check_model_id(self, id: &str) -> Result<(), &'static str> {
        let (is_good, form) = match &self.profile().dialect {
            Dialect::OpenAi(quirks) if quirks.ids_may_be_paths => {
                (is_model_path(id), "visible ASCII characters")
            }
            Dialect::OpenAi(_) | Dialect::Gemini => (is_model_id(id), "letters, digits and . _ - : / @"),
        };
        if is_good { Ok(()) } else { Err(form) }
    }

    /// `request` in this provider's dialect, asking for a stream where there is one.
    ///
    /// The model must support what the request needs; optional features that it does not support are left out.
    pub fn encode(self, request: &ChatRequest, model: &str, max_tokens: Option<u32>) -> WireRequest {
        self.encode_for(request, model, self.capabilities(model), max_tokens, &[])
    }

    /// The same for a model of which more is known than the row says: that it `can` do this, and has refused the fields
    /// which are left out.
    pub(crate) fn encode_for(
        self,
        request: &ChatRequest,
        model: &str,
        can: &Capabilities,
        max_tokens: Option<u32>,
        without: &[&str],
    ) -> WireRequest {
        match &self.profile().dialect {
            Dialect::OpenAi(quirks) => openai::encode(quirks, can, request, model, max_tokens, without),
            Dialect::Gemini => gemini::encode(can, request, model, max_tokens),
        }
    }

    /// Reads one event of a stream, or a whole answer that is not streamed, and puts its content into `sink`.
    ///
    /// `name` is the SSE event name, empty if there is none.
    ///
    /// # Errors
    /// The diagnosis, if the event reports a failure.
    pub fn decode(self, name: &str, data: &[u8], sink: &mut Sink) -> Result<Decoded, Diagnosis> {
        match &self.profile().dialect {
            Dialect::OpenAi(quirks) => openai::decode(quirks, name, data, sink),
            Dialect::Gemini => gemini::decode(name, data, sink),
        }
    }

    /// Reads the head of an answer, whatever its status.
    pub fn read_head(self, headers: &HeaderMap) -> Reading {
        let limits = match &self.profile().dialect {
            Dialect::OpenAi(quirks) => limits::from_headers(quirks.limit_headers, headers),
            Dialect::Gemini => Vec::new(),
        };
        let reset_header = match &self.profile().dialect {
            Dialect::OpenAi(quirks) => quirks.reset_header,
            Dialect::Gemini => "",
        };
        let reset = || waits::from_reset_header(headers, reset_header);
        Reading { limits, retry_after: waits::from_retry_headers(headers).or_else(reset) }
    }

    /// Reads the body of an answer with an error status.
    pub fn read_error(self, status: u16, head: &Reading, body: &[u8]) -> ErrorReading {
        let error = ErrorBody::parse(body);
        let (diagnosis, limits) = match &self.profile().dialect {
            Dialect::OpenAi(quirks) => {
                (openai::diagnose(quirks, status, head, &error), openai::limits_in_error(quirks, &error))
            }
            Dialect::Gemini => (gemini::diagnose(status, head, &error), gemini::limits_in_error(&error)),
        };
        // Other refusals have nothing to do with a limit.
        let limits = if matches!(status, 413 | 429) { limits } else { Vec::new() };
        ErrorReading { diagnosis, limits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(Directory::built_in().find("groq"), Some(Provider::GROQ));
        assert_eq!(Directory::built_in().find("CEREBRAS"), Some(Provider::CEREBRAS));
        assert_eq!(Directory::built_in().find("Gemini"), Some(Provider::GEMINI));
        assert_eq!(Directory::built_in().find("Groq "), None);
    }

    #[test]
    fn a_rows_headers_go_with_the_key() {
        let headers = &[("x-title", "AI Proxy Free"), ("nvcf-poll-seconds", "300")];
        let row = Profile { headers, dialect: Dialect::Gemini, ..*Provider::GEMINI.profile() };
        let provider = Provider::of(Box::leak(Box::new(row)));
        let key = SecretString::from("k-1");
        let sent = provider.headers(Some(&key)).unwrap();
        assert!(sent["x-title"] == "AI Proxy Free" && sent["nvcf-poll-seconds"] == "300");
        assert!(sent["x-goog-api-key"] == "k-1" && sent["x-goog-api-key"].is_sensitive());
        assert_eq!(provider.headers(None).unwrap().len(), 2);
        assert!(Provider::GROQ.headers(None).unwrap().is_empty());
    }

    /// The names in the seed of this project. None of these models exists any more.
    #[test]
    fn default_models_are_alive() {
        let dead = ["mixtral", "llama3", "llama-3", "gemini-1.", "gemini-2."];
        for provider in Directory::built_in() {
            let models: Vec<_> = provider.default_models().collect();
            let is_told_by_its_list = provider.profile().asked_by == AskedBy::BaseUrl;
            assert!(models.len() > 1 || is_told_by_its_list, "{provider:?} needs a ranked list");
            assert!(models.iter().all(|model| !dead.iter().any(|dead| model.contains(dead))), "{models:?}");
        }
    }
}
