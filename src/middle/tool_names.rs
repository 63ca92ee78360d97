//! The names of tools in an answer, as the client knows them.
//!
//! Models write marks of their own format around a name, such as `functions.get_weather` or
//! `get_weather<|channel|>commentary`, and not every provider takes them off.

use std::collections::{HashMap, HashSet};

/// What models write in front of a tool's name.
const PREFIXES: [&str; 6] = ["functions.", "function.", "tools.", "tool.", "default_api.", "default_api:"];

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
    /// name that is left when a model's marks are taken off. `written` if there is none.
    pub(super) fn of(&self, written: &str) -> String {
        let found = self.known(written).or_else(|| self.between_marks(written));
        found.unwrap_or(written).to_owned()
    }

    fn known(&self, name: &str) -> Option<&str> {
        self.renamed.get(name).or_else(|| self.offered.get(name)).map(String::as_str)
    }

    /// The offered name between the marks of `written`. One that is addressed comes before one that just stands there,
    /// because a channel or a role may be called like a tool.
    fn between_marks(&self, written: &str) -> Option<&str> {
        let addressed = parts(written).find_map(|part| self.known(addressee(part)?));
        addressed.or_else(|| parts(written).find_map(|part| self.known(part)))
    }
}

/// What stands between the tokens (`<|…|>`) of a name, without the blanks, quotes and brackets around it. Such a part is
/// one name: a model that writes `delete:file` does not mean the tool `file`.
fn parts(written: &str) -> impl Iterator<Item = &str> {
    let between_tokens = written.split("<|").enumerate().map(|(number, part)| match part.split_once("|>") {
        Some((_, behind)) if number > 0 => behind,
        None if number > 0 => "",
        _ => part,
    });
    between_tokens.map(bare).filter(|part| !part.is_empty())
}

fn bare(part: &str) -> &str {
    part.trim_matches(|c: char| c.is_whitespace() || "\"'`()[]{}<>".contains(c))
}

/// The tool in `functions.get_weather`, `functions.get_weather:0` and `commentary to=get_weather`.
fn addressee(part: &str) -> Option<&str> {
    let recipient = part.split_whitespace().find_map(|word| word.strip_prefix("to=")).map(bare);
    let name = recipient.unwrap_or(part);
    let Some(name) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) else { return recipient };
    let numbered = name.rsplit_once(':').filter(|(_, number)| number.bytes().all(|it| it.is_ascii_digit()));
    Some(numbered.map_or(name, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_marks_are_taken_off_offered_names_only() {
        let renamed = vec![("_1st".to_owned(), "1st".to_owned())];
        let offered = ["1st", "get_weather", "commentary", "functions.now", "a:b", "list files", "file"];
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
            ("default_api.get_weather", "get_weather"),
            ("default_api:get_weather", "get_weather"),
            ("tools.get_weather()", "get_weather"),
            ("[get_weather]", "get_weather"),
            ("assistant to=get_weather<|message|>", "get_weather"),
            ("file<|end|>", "file"),
            ("_1st", "1st"),
            // Offered as they are.
            ("commentary", "commentary"),
            ("functions.now", "functions.now"),
            ("a:b", "a:b"),
            ("list files", "list files"),
            // Not offered at all.
            ("functions.get_time", "functions.get_time"),
            ("get_weather2", "get_weather2"),
            ("delete:file", "delete:file"),
            ("file:delete", "file:delete"),
            ("file:0", "file:0"),
            ("get weather", "get weather"),
            ("delete file", "delete file"),
            ("delete file<|channel|>json", "delete file<|channel|>json"),
            ("functions.delete:file", "functions.delete:file"),
            ("functions.delete file", "functions.delete file"),
            ("mv(file)", "mv(file)"),
            ("delete=file", "delete=file"),
            ("delete,file", "delete,file"),
            ("<|channel|>", "<|channel|>"),
            ("", ""),
        ];
        for (written, expected) in cases {
            assert_eq!(names.of(written), expected, "{written}");
        }
    }
}
