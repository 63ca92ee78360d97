//! The columns of a provider's row of data.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::capabilities::{Capabilities, Model};
use super::free::FreeFilter;
use super::openai::Quirks;
use crate::middle::TokenCharge;

/// What is known of a provider before it is called.
#[derive(Debug)]
pub struct Profile {
    /// The name users see and pin: `Groq`.
    pub name: &'static str,
    /// Other names by which a client may pin it.
    pub also_called: &'static [&'static str],
    /// Whether it is always listed, in `/health` for example, also without an account. Other providers are listed when
    /// they are configured.
    pub is_core: bool,
    /// Whether it needs a key.
    pub key: KeyNeed,
    /// What makes it one of those that are asked.
    pub asked_by: AskedBy,
    /// Whether it is a server on the user's own machine: it may not be running, and is asked only when nobody else can serve,
    /// unless the user says otherwise.
    pub is_second_tier: bool,
    /// Whether whoever runs it may log prompts, of which people are told at start and on the page.
    pub may_log_prompts: bool,
    /// The variables that may hold its keys; the first one that is set counts.
    pub key_variables: &'static [&'static str],
    /// The second value that it is called with, if there is one.
    pub account_id: Option<AccountId>,
    /// The variable that replaces [`models`](Self::models).
    pub models_variable: &'static str,
    /// The variable that replaces what is known of its limits.
    pub limits_variable: &'static str,
    /// The variable that replaces [`base_url`](Self::base_url); the official SDK's name and meaning.
    pub base_url_variable: &'static str,
    /// Scheme and host of the real service.
    pub base_url: &'static str,
    /// What is added to the base URL before every path. Users who include it by mistake get a message.
    pub path_prefix: &'static str,
    /// Which models cost nothing; no other is ever called.
    pub free: FreeFilter,
    /// Models to use, best first: the current ones, each with its source in the provider's file.
    pub models: &'static [Model],
    /// Words in the ids of models, best first: which models to guess when none of the known ones is left.
    pub preferred_families: &'static [&'static str],
    /// Which models of a list may be guessed.
    pub guesses: Guesses,
    /// How it counts the tokens of a request.
    pub token_charge: TokenCharge,
    /// What models that are not among [`models`](Self::models) can do, by the beginning of their ids.
    pub families: &'static [(&'static str, Capabilities)],
    /// Headers that every request carries in addition to the key, with names in lower case.
    pub headers: &'static [(&'static str, &'static str)],
    /// How a call is authenticated.
    pub auth: Auth,
    /// How long its models may take to the first token, if they are slower than most.
    pub first_token: Option<Duration>,
    /// How many of its models or keys one request may try, where failed calls count against its limits, too.
    pub most_calls: usize,
    /// Whether the list of models is refused to whoever has no good key, so that it checks the key.
    pub list_checks_key: bool,
    /// What people should know before they use it, as a sentence.
    pub remark: Option<&'static str>,
    /// How requests are written and answers read.
    pub dialect: Dialect,
}

impl Profile {
    /// A provider of OpenAI's dialect that needs a key: a row names only what differs.
    pub const PLAIN: Self = Self {
        name: "",
        also_called: &[],
        is_core: false,
        key: KeyNeed::Required,
        asked_by: AskedBy::Key,
        is_second_tier: false,
        may_log_prompts: false,
        key_variables: &[],
        account_id: None,
        models_variable: "",
        limits_variable: "",
        base_url_variable: "",
        base_url: "",
        path_prefix: "/v1",
        free: FreeFilter::Everything,
        models: &[],
        preferred_families: &[],
        guesses: Guesses::Any,
        token_charge: TokenCharge::Used,
        families: &[],
        headers: &[],
        auth: Auth::Bearer,
        first_token: None,
        most_calls: usize::MAX,
        list_checks_key: true,
        remark: None,
        dialect: Dialect::OpenAi(Quirks::NONE),
    };
}

/// Whether a provider needs a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyNeed {
    /// It does: without one it is never asked.
    Required,
    /// It serves without one, too.
    Optional,
    /// It serves without one, and with one it bills: none is ever sent.
    Never,
}

/// What makes a provider one of those that are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedBy {
    /// A key in the settings.
    Key,
    /// Its name in `KEYLESS_PROVIDERS`, or a key.
    Name,
    /// Its base URL in the settings.
    BaseUrl,
}

/// A second value that each account is called with, such as its number. It becomes part of the path: what is
/// between the base URL and every other path is `before`, then the value.
#[derive(Clone, Copy, Debug)]
pub struct AccountId {
    /// The variable that holds it.
    pub variable: &'static str,
    /// The path before it.
    pub before: &'static str,
    /// How many hexadecimal digits it has.
    pub hex_digits: usize,
}

impl AccountId {
    /// Whether `text` is such a value, so that it may become part of a path.
    pub fn is_valid(&self, text: &str) -> bool {
        text.len() == self.hex_digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// Which models of a list may be used if none of the known ones is left. No model is ever used only because it is newest.
#[derive(Clone, Copy, Debug)]
pub enum Guesses {
    /// Every one that can chat, the preferred families first.
    Any,
    /// Only those with one of some words and none of others: everything else may bill.
    Only {
        /// Words of which a guess must have one.
        with: &'static [&'static str],
        /// Words that it must not have.
        without: &'static [&'static str],
    },
}

/// How a provider's wire format is read and written.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each row, and rows are never moved")]
pub enum Dialect {
    /// OpenAI's chat completions, with these deviations.
    OpenAi(Quirks),
    /// Google's own.
    Gemini,
}

/// How a call to a provider is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer <key>`.
    Bearer,
    /// The key alone, in the header with this name.
    Header(&'static str),
}

impl Auth {
    /// The header with `key`, marked sensitive.
    ///
    /// # Errors
    /// The key has characters that no header may hold.
    pub fn header(self, key: &SecretString) -> Result<(HeaderName, HeaderValue), http::Error> {
        let key = key.expose_secret();
        let (name, value) = match self {
            Self::Bearer => (AUTHORIZATION, format!("Bearer {key}")),
            Self::Header(name) => (HeaderName::from_static(name), key.to_owned()),
        };
        let mut value = HeaderValue::try_from(value)?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_travel_in_a_sensitive_header() {
        let key = SecretString::from("k-1");
        let (name, value) = Auth::Bearer.header(&key).unwrap();
        assert_eq!(
            (name.as_str(), value.to_str().unwrap(), value.is_sensitive()),
            ("authorization", "Bearer k-1", true)
        );
        let (name, value) = Auth::Header("x-goog-api-key").header(&key).unwrap();
        assert_eq!(
            (name.as_str(), value.to_str().unwrap(), value.is_sensitive()),
            ("x-goog-api-key", "k-1", true)
        );
        assert!(Auth::Bearer.header(&SecretString::from("a\nb")).is_err());
    }
}
