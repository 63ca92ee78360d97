//! The providers: a closed enum, a row of data each, and pure functions between the wire and the middle.
//!
//! Nothing here knows sockets, reqwest or axum. A provider is a [`Profile`] (names, variables, models) plus a
//! dialect: [`openai_compat`] for those that speak OpenAI's, [`gemini`] for Google's own. To add one, write its
//! file, add its variant and follow the compiler; ARCHITECTURE.md lists the steps.

pub mod capabilities;
pub mod cerebras;
mod classify;
mod error_body;
pub mod gemini;
pub mod groq;
mod lenient;
mod limit_words;
pub mod openai_compat;
mod waits;

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use self::capabilities::{Capabilities, Model};
use self::error_body::ErrorBody;
use crate::allowances::{FreePlan, Told};
use crate::answer::Sink;
use crate::chat::ChatRequest;
use crate::failure::{Diagnosis, Wait};
use crate::json;

/// A service that answers. The order of [`ALL`](Self::ALL) is the order of the rotation and of `/health`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Provider {
    /// Groq, <https://console.groq.com>.
    Groq,
    /// Cerebras, <https://cloud.cerebras.ai>.
    Cerebras,
    /// Google Gemini through its native API, <https://aistudio.google.com>.
    Gemini,
}

/// What is known of a provider before it is called.
#[derive(Debug)]
pub struct Profile {
    /// The name users see and pin: `Groq`.
    pub name: &'static str,
    /// The variables that may hold its keys; the first one that is set counts.
    pub key_variables: &'static [&'static str],
    /// The variable that replaces [`models`](Self::models).
    pub models_variable: &'static str,
    /// The variable that replaces [`base_url`](Self::base_url); the official SDK's name and meaning.
    pub base_url_variable: &'static str,
    /// Scheme and host of the real service.
    pub base_url: &'static str,
    /// What is added to the base URL before every path: users who include it by mistake are told.
    pub path_prefix: &'static str,
    /// Models to use, best first: today's, each with its source in the provider's file.
    pub models: &'static [Model],
    /// Words in the ids of models, best first: which ones to guess when none of the known ones is left.
    pub preferred_families: &'static [&'static str],
    /// When its day ends, if its requests are counted by days of the calendar.
    pub day_end: Option<Wait>,
    /// What the models can do whose ids begin like this, if they are not among [`models`](Self::models).
    families: &'static [(&'static str, Capabilities)],
    /// The header that carries the key, and what stands before the key in it.
    key_header: (HeaderName, &'static str),
    dialect: Dialect,
}

/// How a provider's wire format is read and written.
#[derive(Debug)]
enum Dialect {
    OpenAiCompat(openai_compat::Quirks),
    Gemini,
}

/// A completion request in a provider's dialect, ready to be sent as `POST` with JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct WireRequest {
    /// What follows the base URL: path and query.
    pub path: String,
    /// The JSON body.
    pub body: Vec<u8>,
    /// Whether it asks for a stream: if not, nothing may come before all is done.
    pub is_stream: bool,
    /// Names of tools that had to be changed, as they are on the wire and as the client has them.
    pub renamed_tools: Vec<(String, String)>,
    /// What the client asked for and this model does not take, by the names of OpenAI's dialect.
    pub left_out: Vec<&'static str>,
}

/// What one event of a provider's stream was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// It was understood; whatever it said has been handed out.
    Understood,
    /// The dialect's own end mark: nothing follows.
    Done,
    /// It was not JSON of the expected form.
    Unreadable,
}

impl Provider {
    /// All of them, in rotation order.
    pub const ALL: [Self; 3] = [Self::Groq, Self::Cerebras, Self::Gemini];

    /// Its row of data.
    pub const fn profile(self) -> &'static Profile {
        match self {
            Self::Groq => &groq::PROFILE,
            Self::Cerebras => &cerebras::PROFILE,
            Self::Gemini => &gemini::PROFILE,
        }
    }

    /// The name users see: `Groq`.
    pub const fn name(self) -> &'static str {
        self.profile().name
    }

    /// The provider of that name in any case; `None` for any other.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name().eq_ignore_ascii_case(name))
    }

    /// The header that shows `key` to the provider, marked sensitive.
    ///
    /// # Errors
    /// The key has characters that no header may hold.
    pub fn key_header(self, key: &SecretString) -> Result<(HeaderName, HeaderValue), http::Error> {
        let (name, prefix) = &self.profile().key_header;
        let mut value = HeaderValue::try_from(format!("{prefix}{}", key.expose_secret()))?;
        value.set_sensitive(true);
        Ok((name.clone(), value))
    }

    /// The ids of its default models, best first.
    pub fn default_models(self) -> impl Iterator<Item = &'static str> {
        self.profile().models.iter().map(|model| model.id)
    }

    /// What its model of this id can do.
    pub fn capabilities(self, model: &str) -> &'static Capabilities {
        let Profile { models, families, .. } = self.profile();
        let known = models.iter().find(|known| known.id == model).map(|known| &known.can);
        let family = || families.iter().find(|(prefix, _)| model.starts_with(prefix)).map(|(_, can)| can);
        known.or_else(family).unwrap_or(&Capabilities::UNKNOWN)
    }

    /// The limits that its documents name for the model of this id; none for a model that is in no table.
    pub fn free_plan(self, model: &str) -> FreePlan {
        let known = self.profile().models.iter().find(|known| known.id == model);
        known.map_or(&[], |known| known.free_plan)
    }

    /// Where its list of models is: what follows the base URL, path and query.
    pub fn models_path(self) -> &'static str {
        match &self.profile().dialect {
            Dialect::OpenAiCompat(quirks) => quirks.models_path,
            Dialect::Gemini => gemini::MODELS_PATH,
        }
    }

    /// The ids in a list of models, without those that it says answer no chats; `None` if it is no such list, or only
    /// the beginning of one.
    pub fn parse_models(self, body: &[u8]) -> Option<Vec<String>> {
        let mut models = match &self.profile().dialect {
            Dialect::OpenAiCompat(_) => openai_compat::parse_models(body),
            Dialect::Gemini => gemini::parse_models(body),
        }?;
        models.retain(|id| is_model_id(id));
        Some(models)
    }

    /// `request` in this provider's dialect, asking for a stream where there is one.
    ///
    /// The model can do what the request needs; what it merely does not take is left out.
    pub fn encode(self, request: &ChatRequest, model: &str) -> WireRequest {
        match &self.profile().dialect {
            Dialect::OpenAiCompat(quirks) => {
                openai_compat::encode(quirks, self.capabilities(model), request, model)
            }
            Dialect::Gemini => gemini::encode(self.capabilities(model), request, model),
        }
    }

    /// Reads one event of a stream, or a whole answer that is not streamed, and puts what it says into `sink`.
    ///
    /// `name` is the SSE event name, empty if there is none.
    ///
    /// # Errors
    /// The event reports a failure: the diagnosis.
    pub fn decode(self, name: &str, data: &[u8], sink: &mut Sink) -> Result<Decoded, Diagnosis> {
        match &self.profile().dialect {
            Dialect::OpenAiCompat(quirks) => openai_compat::decode(quirks, name, data, sink),
            Dialect::Gemini => gemini::decode(name, data, sink),
        }
    }

    /// What an answer with an error status means.
    pub fn diagnose(self, status: u16, headers: &HeaderMap, body: &[u8]) -> Diagnosis {
        let error = ErrorBody::parse(body);
        match &self.profile().dialect {
            Dialect::OpenAiCompat(quirks) => openai_compat::diagnose(quirks, status, headers, &error),
            Dialect::Gemini => gemini::diagnose(status, headers, &error),
        }
    }

    /// What an answer's headers say about an allowance that is used up now, although this answer succeeded.
    pub fn exhausted_allowance(self, headers: &HeaderMap) -> Option<Diagnosis> {
        match &self.profile().dialect {
            Dialect::OpenAiCompat(quirks) => openai_compat::exhausted_allowance(quirks, headers),
            Dialect::Gemini => None,
        }
    }

    /// What an answer's headers tell of allowances.
    pub fn allowances(self, headers: &HeaderMap) -> Vec<Told> {
        match &self.profile().dialect {
            Dialect::OpenAiCompat(quirks) => limit_words::from_headers(quirks.allowances, headers),
            Dialect::Gemini => Vec::new(),
        }
    }

    /// What the body of an answer with an error status tells of allowances.
    pub fn allowances_in_error(self, status: u16, body: &[u8]) -> Vec<Told> {
        // Whatever else is refused has nothing to do with a limit.
        if !matches!(status, 413 | 429) {
            return Vec::new();
        }
        let error = ErrorBody::parse(body);
        match &self.profile().dialect {
            Dialect::OpenAiCompat(quirks) => openai_compat::allowances_in_error(quirks, &error),
            Dialect::Gemini => gemini::allowances_in_error(&error),
        }
    }
}

/// Whether `text` can be a model's id. It may become part of a URL, where anything else would lead elsewhere.
pub fn is_model_id(text: &str) -> bool {
    const MAX_BYTES: usize = 200;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:/@".contains(&byte));
    is_plain && text.len() <= MAX_BYTES && !text.split('/').any(|part| matches!(part, "" | "." | ".."))
}

/// `data` with broken characters replaced and, of keys that stand twice, the last: for JSON that was refused as it is.
/// Empty if that does not make it JSON.
fn repair(data: &[u8]) -> Vec<u8> {
    let text = replace_lone_surrogates(&String::from_utf8_lossy(data));
    serde_json::from_str::<serde_json::Value>(&text).map(|value| json::to_vec(&value)).unwrap_or_default()
}

/// JSON text in which no `\u` escape is half of a character: a provider may have cut an emoji in two.
fn replace_lone_surrogates(json: &str) -> String {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut whole = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let following = escape.get(6..).and_then(unit);
        let (kept, length) = match (unit(escape), following) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (escape.get(..12), 12),
            (Some(0xD800..=0xDFFF), _) => (Some("\\ufffd"), 6),
            // Two at once, so that the second of two backslashes begins nothing.
            _ => (escape.get(..2), 2),
        };
        whole.push_str(kept.unwrap_or(escape));
        rest = escape.get(length..).unwrap_or_default();
    }
    whole.push_str(rest);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(Provider::from_name("groq"), Some(Provider::Groq));
        assert_eq!(Provider::from_name("CEREBRAS"), Some(Provider::Cerebras));
        assert_eq!(Provider::from_name("Gemini"), Some(Provider::Gemini));
        assert_eq!(Provider::from_name("Groq "), None);
    }

    #[test]
    fn half_characters_are_replaced_and_nothing_else() {
        let cases = [
            (r"a\ud83db", r"a\ufffdb"),
            (r"\ude00", r"\ufffd"),
            (r"\ud83d\ude00", r"\ud83d\ude00"),
            (r"\ud83d\ud83d\ude00", r"\ufffd\ud83d\ude00"),
            (r"\\ud83d", r"\\ud83d"),
            (r"\n\u00e9\ud83", r"\n\u00e9\ud83"),
            ("\\é\\", "\\é\\"),
        ];
        for (json, expected) in cases {
            assert_eq!(replace_lone_surrogates(json), expected, "{json}");
        }
    }

    #[test]
    fn keys_travel_in_a_sensitive_header() {
        let key = SecretString::from("k-1");
        let (name, value) = Provider::Groq.key_header(&key).unwrap();
        assert_eq!(
            (name.as_str(), value.to_str().unwrap(), value.is_sensitive()),
            ("authorization", "Bearer k-1", true)
        );
        let (name, value) = Provider::Gemini.key_header(&key).unwrap();
        assert_eq!(
            (name.as_str(), value.to_str().unwrap(), value.is_sensitive()),
            ("x-goog-api-key", "k-1", true)
        );
        assert!(Provider::Groq.key_header(&SecretString::from("a\nb")).is_err());
    }

    /// The names in the seed this project grew from; every one of them is dead.
    #[test]
    fn default_models_are_alive() {
        let dead = ["mixtral", "llama3", "llama-3", "gemini-1.", "gemini-2."];
        for provider in Provider::ALL {
            let models: Vec<_> = provider.default_models().collect();
            assert!(models.len() > 1, "{provider:?} needs a ranked list");
            assert!(models.iter().all(|model| !dead.iter().any(|dead| model.contains(dead))), "{models:?}");
        }
    }
}
