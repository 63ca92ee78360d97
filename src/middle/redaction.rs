//! Cleans text from providers before anyone sees it.
//!
//! Providers echo keys, quote URLs that contain keys, and send text of any length. A [`CleanText`] can only be made by
//! [`Redactor::clean`], so the type shows that a text is safe to show.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// Longest text shown, in characters.
const MAX_CHARS: usize = 300;

/// How keys of known services begin. A word that begins like one is hidden even if it is not one of ours.
const KEY_PREFIXES: [&str; 6] = ["gsk_", "csk-", "AIza", "sk-", "AQ.", "ya29."];

/// A text without keys, URLs and control characters, at most 300 characters long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanText(String);

impl fmt::Display for CleanText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Knows the secrets that must never be shown.
#[derive(Debug, Default)]
pub struct Redactor {
    secrets: Vec<SecretString>,
}

impl Redactor {
    /// Hides `secrets` wherever they occur. Empty ones are ignored.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        Self { secrets: secrets.into_iter().filter(|secret| !secret.expose_secret().is_empty()).collect() }
    }

    /// Makes `text` safe to show.
    pub fn clean(&self, text: &str) -> CleanText {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.expose_secret(), "[key]");
        }
        let mut clean = String::new();
        for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty())
        {
            if !clean.is_empty() {
                clean.push(' ');
            }
            push_word(&mut clean, word);
        }
        if let Some((end, _)) = clean.char_indices().nth(MAX_CHARS) {
            clean.truncate(end);
            clean.push('…');
        }
        CleanText(clean)
    }
}

/// Appends `word`, with a URL or key in it replaced up to the word's end.
fn push_word(clean: &mut String, word: &str) {
    let url = word.find("://").map(|at| {
        let scheme = word.get(..at).unwrap_or_default();
        scheme.trim_end_matches(|c: char| c.is_ascii_alphanumeric()).len()
    });
    let key = KEY_PREFIXES.iter().filter_map(|prefix| find_at_boundary(word, prefix)).min();
    let (cut, mark) = match (url, key) {
        (Some(url), key) if key.is_none_or(|key| url < key) => (url, "[url]"),
        (_, Some(key)) => (key, "[key]"),
        _ => (word.len(), ""),
    };
    clean.push_str(word.get(..cut).unwrap_or_default());
    clean.push_str(mark);
}

/// Where `prefix` begins in `word` without a letter or digit right before it.
fn find_at_boundary(word: &str, prefix: &str) -> Option<usize> {
    word.match_indices(prefix)
        .map(|(at, _)| at)
        .find(|&at| !word.get(..at).unwrap_or_default().ends_with(|c: char| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_keys_urls_and_control_characters() {
        let redactor = Redactor::new([SecretString::from("my-own-key"), SecretString::from("")]);
        let cases = [
            ("Invalid API Key", "Invalid API Key"),
            ("key my-own-key is wrong", "key [key] is wrong"),
            ("(my-own-key)", "([key])"),
            ("got gsk_abcDEF123, sorry", "got [key] sorry"),
            ("Bearer sk-12345", "Bearer [key]"),
            ("risk-free task-force", "risk-free task-force"),
            ("see https://x.test/a?key=1 now", "see [url] now"),
            ("(https://x.test/?key=AIzaX)", "([url]"),
            ("gsk_x@https://y.test", "[key]"),
            ("a\u{0}b\nc\t d\u{1b}[31m", "a b c d [31m"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(redactor.clean(text).to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn cuts_long_texts_between_characters() {
        let clean = Redactor::default().clean(&"ñ".repeat(1000)).to_string();
        assert_eq!(clean, format!("{}…", "ñ".repeat(300)));
    }
}
