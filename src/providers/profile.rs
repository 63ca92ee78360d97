//! The columns of a provider's row of data.

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::capabilities::{Capabilities, Model};
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
    /// The variables that may hold its keys; the first one that is set counts.
    pub key_variables: &'static [&'static str],
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
    /// Models to use, best first: the current ones, each with its source in the provider's file.
    pub models: &'static [Model],
    /// Words in the ids of models, best first: which models to guess when none of the known ones is left.
    pub preferred_families: &'static [&'static str],
    /// How it counts the tokens of a request.
    pub token_charge: TokenCharge,
    /// What models that are not among [`models`](Self::models) can do, by the beginning of their ids.
    pub families: &'static [(&'static str, Capabilities)],
    /// Headers that every request carries in addition to the key, with names in lower case.
    pub headers: &'static [(&'static str, &'static str)],
    /// How a call is authenticated.
    pub auth: Auth,
    /// How requests are written and answers read.
    pub dialect: Dialect,
}

/// How a provider's wire format is read and written.
#[derive(Clone, Copy, Debug)]
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
