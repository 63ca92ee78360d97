//! The user's own names for models.

/// What other names stand for, in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases(Vec<Alias>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Alias {
    /// In lower case; `*` stands for any characters.
    pattern: String,
    /// The name that is meant.
    meant: String,
}

/// What an item of the list must be, for people.
pub(super) const ACCEPTED_ALIASES: &str = "a comma-separated list of name=model, such as \
    claude-sonnet-5=groq/openai/gpt-oss-120b or claude-*haiku*=auto";

impl Aliases {
    /// Adds an item of the list; `None` if it is none.
    pub(super) fn add(&mut self, item: &str) -> Option<()> {
        let (pattern, meant) = item.split_once('=')?;
        let (pattern, meant) = (pattern.trim().to_ascii_lowercase(), meant.trim().to_owned());
        if pattern.is_empty() || meant.is_empty() {
            return None;
        }
        self.0.push(Alias { pattern, meant });
        Some(())
    }

    /// What `name` stands for, by the first alias that fits; `None` if none does.
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
        let name = name.to_ascii_lowercase();
        self.0.iter().find(|alias| fits(&alias.pattern, &name)).map(|alias| alias.meant.as_str())
    }
}

/// Whether `name` is what `pattern` says.
fn fits(pattern: &str, name: &str) -> bool {
    let mut fixed = pattern.split('*');
    let Some(mut rest) = fixed.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = fixed.next_back() else { return rest.is_empty() };
    for part in fixed {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_alias_that_fits_says_what_is_meant() {
        let mut aliases = Aliases::default();
        for item in ["claude-opus=auto", "Claude-*haiku* = groq/a=b", "*=gemini"] {
            aliases.add(item).unwrap();
        }
        let cases = [
            ("claude-opus", "auto"),
            ("CLAUDE-OPUS", "auto"),
            ("claude-haiku", "groq/a=b"),
            ("claude-3-haiku-2024", "groq/a=b"),
            ("claude-3-haikus", "groq/a=b"),
            ("my-claude-haiku", "gemini"),
            ("claude-opus-5", "gemini"),
            ("", "gemini"),
        ];
        for (name, meant) in cases {
            assert_eq!(aliases.find(name), Some(meant), "{name}");
        }
        assert_eq!(Aliases::default().find("claude-opus"), None);
    }

    #[test]
    fn stars_stand_for_any_characters_and_nothing_is_used_twice() {
        let cases = [
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "ac", false),
            ("a*b*b", "ab", false),
            ("**", "", true),
            ("a", "ab", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn an_item_without_both_sides_is_none() {
        for item in ["claude", "=auto", "claude=", " = "] {
            assert_eq!(Aliases::default().add(item), None, "{item}");
        }
    }
}
