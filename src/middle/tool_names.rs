//! The names of tools in an answer, as the client knows them.
//!
//! Models write marks of their own format around a name, such as `functions.get_weather` or
//! `get_weather<|channel|>commentary`, and not every provider takes them off.

use std::collections::{HashMap, HashSet};

/// The names by which an answer may call tools.
#[derive(Debug)]
pub(super) struct ToolNames {
    /// Names that were changed for the provider, and the client's names for them.
    renamed: HashMap<String, String>,
    /// The client's names.
    offered: HashSet<String>,
}

impl ToolNames {
    pub(super) fn new(renamed: Vec<(String, String)>, offered: Vec<String>) -> Self {
        Self { renamed: renamed.into_iter().collect(), offered: offered.into_iter().collect() }
    }

    /// The client's name for the tool that the model calls `written`: the name itself if it is offered, else the offered
    /// name inside of it. `written` if there is none.
    pub(super) fn of(&self, written: &str) -> String {
        let found = self.known(written).or_else(|| self.inside(written));
        found.unwrap_or(written).to_owned()
    }

    fn known(&self, name: &str) -> Option<&str> {
        self.renamed.get(name).or_else(|| self.offered.get(name)).map(String::as_str)
    }

    /// The offered name among the words of `written`. One that is addressed comes before one that just stands there,
    /// because a channel or a role may be called like a tool.
    fn inside(&self, written: &str) -> Option<&str> {
        let addressed = words(written).find_map(|word| self.known(addressee(word)?));
        addressed.or_else(|| words(written).find_map(|word| self.known(word)))
    }
}

/// The words between the marks (`<|…|>`), blanks and punctuation of a name.
fn words(written: &str) -> impl Iterator<Item = &str> {
    let is_in_name = |c: char| c.is_alphanumeric() || "_-./".contains(c);
    let between_marks = written.split("<|").enumerate().map(|(number, part)| match part.split_once("|>") {
        Some((_, behind)) if number > 0 => behind,
        None if number > 0 => "",
        _ => part,
    });
    between_marks.flat_map(move |part| part.split(move |c| !is_in_name(c))).filter(|word| !word.is_empty())
}

/// The tool in `functions.get_weather`.
fn addressee(word: &str) -> Option<&str> {
    ["functions.", "function.", "tools.", "tool."].iter().find_map(|prefix| word.strip_prefix(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_marks_are_taken_off_offered_names_only() {
        let renamed = vec![("_1st".to_owned(), "1st".to_owned())];
        let offered = ["1st", "get_weather", "commentary", "functions.now", "a:b", "list files"];
        let names = ToolNames::new(renamed, offered.map(str::to_owned).to_vec());
        let cases = [
            ("get_weather", "get_weather"),
            ("functions.get_weather", "get_weather"),
            ("functions.get_weather:0", "get_weather"),
            ("get_weather<|channel|>commentary", "get_weather"),
            ("get_weather<|channel|>json", "get_weather"),
            ("get_weather<|constrain|>json", "get_weather"),
            ("<|constrain|>get_weather", "get_weather"),
            ("assistant<|channel|>commentary to=functions.get_weather", "get_weather"),
            ("commentary to=functions.get_weather<|constrain|>json", "get_weather"),
            ("get_weather<|chan", "get_weather"),
            ("get_weather ", "get_weather"),
            ("\"get_weather\"", "get_weather"),
            ("get_weather()", "get_weather"),
            ("functions._1st", "1st"),
            ("_1st", "1st"),
            // Offered as they are.
            ("commentary", "commentary"),
            ("functions.now", "functions.now"),
            ("a:b", "a:b"),
            ("list files", "list files"),
            // Not offered at all.
            ("functions.get_time", "functions.get_time"),
            ("get_weather2", "get_weather2"),
            ("<|channel|>", "<|channel|>"),
            ("", ""),
        ];
        for (written, expected) in cases {
            assert_eq!(names.of(written), expected, "{written}");
        }
    }
}
