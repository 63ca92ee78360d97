//! Fields that a provider refuses and that a request can do without. Whoever is told so asks once more without the field,
//! and never sends it to that model again.

use super::quirks::Quirks;
use crate::providers::words::ErrorBody;

/// The fields that say how, not what: the answer is one without them, too.
const OPTIONAL: [&str; 11] = [
    "stream_options",
    "top_p",
    "stop",
    "user",
    "frequency_penalty",
    "presence_penalty",
    "parallel_tool_calls",
    "reasoning_effort",
    "reasoning_format",
    "thinking",
    "seed",
];

/// Words of a refusal that mean the field itself and not its value.
const REFUSING: [&str; 9] = [
    "extra_forbidden",
    "not permitted",
    "not allowed",
    "not supported",
    "unsupported",
    "unknown",
    "unrecognized",
    "unexpected",
    "cannot find field",
];

/// The field that this refusal is about, if a request can do without it. Codes of the row say it for any status, words only
/// where the request itself is refused.
pub(super) fn named_in(quirks: &Quirks, error: &ErrorBody, is_refused: bool) -> Option<&'static str> {
    let has_code = |codes: &[&str]| error.codes.iter().any(|code| codes.contains(&code.as_str()));
    let by_code = quirks.guards.iter().find(|guard| has_code(guard.refused_by)).map(|guard| guard.field);
    by_code.or_else(|| is_refused.then(|| named(quirks, &error.message)).flatten())
}

fn named(quirks: &Quirks, message: &str) -> Option<&'static str> {
    let sentence = message.to_ascii_lowercase();
    if !REFUSING.iter().any(|word| sentence.contains(word)) {
        return None;
    }
    let fixed = quirks.fixed_fields.iter().chain(quirks.fixed_fields_with_tools).map(|(name, _)| *name);
    // A guard is left out only where the row says how its refusal looks.
    let fixed = fixed.filter(|name| !quirks.guards.iter().any(|guard| guard.field == *name));
    OPTIONAL.into_iter().chain([quirks.seed_name]).chain(fixed).find(|field| mentions(&sentence, field))
}

/// Whether a sentence has this field's name as a word: not as a part of a longer name, nor on the way to another field.
fn mentions(sentence: &str, field: &str) -> bool {
    let is_path = sentence.starts_with(['{', '[']);
    sentence.match_indices(field).any(|(at, _)| {
        let (before, behind) = sentence.split_at(at);
        let behind = behind.get(field.len()..).unwrap_or_default();
        let is_part = |end: Option<char>| end.is_some_and(|it| it.is_alphanumeric() || "_-".contains(it));
        let is_within = behind.starts_with('.') && behind.chars().nth(1).is_some_and(char::is_alphanumeric);
        let is_step = is_within || (is_path && behind.starts_with("\","));
        !is_part(before.chars().next_back())
            && !before.ends_with('.')
            && !is_part(behind.chars().next())
            && !is_step
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Quirks = Quirks { seed_name: "random_seed", ..Quirks::NONE };

    #[test]
    fn a_field_counts_where_it_is_itself_refused() {
        let cases = [
            (
                r#"{"message":{"detail":[{"type":"extra_forbidden","loc":["body","user"],"msg":"x"}]}}"#,
                Some("user"),
            ),
            (
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","random_seed"],"msg":"x"}]}"#,
                Some("random_seed"),
            ),
            (r#"{"error":{"message":"property 'top_p' is unsupported"}}"#, Some("top_p")),
            (r#"{"error":{"message":"Unknown name \"stop\": Cannot find field."}}"#, Some("stop")),
            (
                r#"{"message":"invalid request: unknown field parallel_tool_calls"}"#,
                Some("parallel_tool_calls"),
            ),
            // Its value is wrong, which the client should know.
            (r#"{"detail":[{"type":"less_than_equal","loc":["body","top_p"],"msg":"at most 1"}]}"#, None),
            (r#"{"error":{"message":"top_p must be at most 1"}}"#, None),
            // Another field, whose name or way has its name in it.
            (r#"{"detail":[{"type":"extra_forbidden","loc":["body","user","name"],"msg":"x"}]}"#, None),
            (r#"{"error":{"message":"property 'messages.0.user.name' is unsupported"}}"#, None),
            (r#"{"error":{"message":"property 'messages.user' is unsupported"}}"#, None),
            (r#"{"error":{"message":"property 'user_id' is unsupported"}}"#, None),
            // A request cannot do without these.
            (r#"{"error":{"message":"property 'tools' is unsupported"}}"#, None),
            (r#"{"error":{"message":"property 'max_tokens' is unsupported"}}"#, None),
        ];
        for (body, field) in cases {
            let error = ErrorBody::parse(body.as_bytes());
            assert_eq!(named_in(&NONE, &error, true), field, "{body}");
            assert_eq!(named_in(&NONE, &error, false), None, "{body}");
        }
    }
}
