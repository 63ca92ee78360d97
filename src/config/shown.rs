//! How much of a variable's value a report may show. Any value may have a key in it: one that was pasted into the wrong
//! line, or that came with the lines below because a quote is missing.

use crate::wire::foreign::readable;

/// As many characters of a value are shown.
const MAX_CHARS: usize = 100;

/// What is shown for a value that may have a key in it.
pub(super) const NOT_SHOWN: &str = "(not shown)";

/// So many letters and digits in a row, of both kinds, are taken for a part of a key. No id of a model has as many.
const LEAST_KEY_CHARS: usize = 12;

/// What the keys of the built-in providers and of other well-known ones begin with.
const KEY_PREFIXES: [&str; 6] = ["gsk_", "csk-", "AIza", "AQ.", "sk-", "xai-"];

/// `value` as a report may show it: on one line, not too long, and not at all if it may have a key in it.
pub(crate) fn shown(value: &str) -> String {
    if may_have_key(value) { NOT_SHOWN.to_owned() } else { readable(value, MAX_CHARS) }
}

/// Whether `value` has several lines, sets a variable, or has something that looks like a key.
pub(super) fn may_have_key(value: &str) -> bool {
    let is_line_end =
        |c: char| matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    value.contains(is_line_end) || sets_a_variable(value) || has_key(value)
}

/// Whether `NAME=` stands somewhere in `value`. A target of `RUST_LOG`, as in `hyper=warn`, has small letters.
fn sets_a_variable(value: &str) -> bool {
    value.match_indices('=').any(|(at, _)| {
        let before = value.split_at(at).0.trim_end();
        let is_in_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let rest = before.trim_end_matches(is_in_name);
        let name = before.split_at(rest.len()).1;
        name.len() >= 2
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && !rest.ends_with(char::is_alphanumeric)
    })
}

fn has_key(value: &str) -> bool {
    let is_key_char = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    let mut words = value.split(|c: char| !is_key_char(c));
    words.any(|word| {
        let is_prefixed = KEY_PREFIXES.iter().any(|prefix| word.starts_with(prefix));
        let is_mixed = |part: &str| {
            part.len() >= LEAST_KEY_CHARS
                && part.contains(|c: char| c.is_ascii_digit())
                && part.contains(|c: char| c.is_ascii_alphabetic())
        };
        is_prefixed || word.split(['-', '.']).any(is_mixed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_key_is_not_shown() {
        for value in [
            "info\nx",
            "a\rb",
            "x\u{2028}y",
            "PROXY_API_KEY=x",
            "x GROQ_API_KEY = y",
            "\"GEMINI_API_KEY=",
            "gsk_secret",
            "https://sk-x.example",
            "abc,AIzaSyx",
            "clientkey12345",
            "/0123456789abcdef/",
        ] {
            assert_eq!(shown(value), NOT_SHOWN, "{value:?}");
        }
    }

    #[test]
    fn everything_else_is_shown() {
        for value in [
            "70000",
            "99999999999999999999",
            "30s",
            "nowhere:80",
            "hyper=loud,ai_proxy_free=very",
            "https://user.example.org:80/v1beta",
            "meta-llama/llama-4-scout-17b-16e-instruct",
            "gemini-3.5-flash-lite!",
            "ma\u{f1}ana",
            "task-1, ask-2",
        ] {
            assert_eq!(shown(value), value);
        }
        assert_eq!(shown("a\u{1b}"), r"a\u{1b}");
        assert_eq!(shown(&"9".repeat(101)), format!("{}…", "9".repeat(100)));
    }
}
