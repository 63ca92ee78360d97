//! The order of turns in Gemini's contents: calls, their responses, and the signatures that come back with them.

use serde_json::{Value, json};

use super::fields::{field, items};
use super::refusals::Refused;
use super::rules::Checked;

/// The signature that may replace one that is not known.
const ANY_SIGNATURE: &str = "skip_thought_signature_validator";

/// Whether the model wrote `content`.
pub(super) fn is_model(content: &Value) -> bool {
    content["role"] == "model"
}

/// What one side says before the other: consecutive contents of the model are one turn, those of the user are not.
struct Turn<'b> {
    is_model: bool,
    /// The place of its first content, from 0.
    index: usize,
    parts: Vec<&'b Value>,
}

impl<'b> Turn<'b> {
    /// The parts that are calls, or the parts that are responses.
    fn parts_with(&self, name: &str) -> Vec<&'b Value> {
        self.parts.iter().filter(|part| !field(part, name).is_null()).copied().collect()
    }

    /// The names of the functions that it calls, or responds for.
    fn names(&self, name: &str) -> Vec<&'b str> {
        self.parts_with(name).iter().filter_map(|part| field(part, name)["name"].as_str()).collect()
    }
}

fn turns(contents: &[Value]) -> Vec<Turn<'_>> {
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for (index, content) in contents.iter().enumerate() {
        let is_model = is_model(content);
        let parts = items(content, "parts");
        match turns.last_mut() {
            Some(last) if last.is_model && is_model => last.parts.extend(parts),
            _ => turns.push(Turn { is_model, index, parts: parts.iter().collect() }),
        }
    }
    turns
}

/// Checks that calls and responses follow each other in the required order.
pub(super) fn check_turns(contents: &[Value]) -> Checked {
    let turns = turns(contents);
    let mut before: Option<&Turn<'_>> = None;
    for turn in &turns {
        let called = before.filter(|before| before.is_model).map(|it| it.names("functionCall"));
        check_responses(&called.unwrap_or_default(), &turn.names("functionResponse"))?;
        let calls = turn.is_model && !turn.parts_with("functionCall").is_empty();
        if calls && before.is_none() {
            return Err(Refused::invalid(
                "Please ensure that function call turn comes immediately after a user turn or after a function \
                 response turn.",
            ));
        }
        before = Some(turn);
    }
    Ok(())
}

fn check_responses(called: &[&str], responded: &[&str]) -> Checked {
    if called.is_empty() && !responded.is_empty() {
        let message =
            "Please ensure that function response turn comes immediately after a function call turn.";
        return Err(Refused::invalid(message));
    }
    if called.len() != responded.len() {
        return Err(Refused::invalid(
            "Please ensure that the number of function response parts is equal to the number of function call parts of \
             the function call turn.",
        ));
    }
    let sorted = |names: &[&str]| {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    };
    if sorted(called) != sorted(responded) {
        return Err(Refused::invalid(format!(
            "Please ensure that the function response parts have the names of the function call parts: {} and {}.",
            json!(responded),
            json!(called)
        )));
    }
    Ok(())
}

/// Checks that the first call of every turn of the model carries the signature it had, or the one that fits any call.
pub(super) fn check_signatures(contents: &[Value], is_ours: impl Fn(&str) -> bool) -> Checked {
    for turn in turns(contents).iter().filter(|turn| turn.is_model) {
        let Some(first) = turn.parts_with("functionCall").first().copied() else {
            continue;
        };
        match field(first, "thoughtSignature").as_str() {
            Some(signature) if signature == ANY_SIGNATURE || is_ours(signature) => {}
            Some(_) => return Err(Refused::invalid("Corrupted thought signature.")),
            None => {
                let name = field(first, "functionCall")["name"].as_str().unwrap_or_default();
                return Err(Refused::invalid(format!(
                    "Function call is missing a thought_signature in functionCall parts. This is required for tools to \
                     work correctly, and missing thought_signature may lead to degraded model performance. Additional \
                     data, function call `default_api:{name}` , position {}. Please refer to \
                     https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
                    turn.index + 1
                )));
            }
        }
    }
    Ok(())
}
