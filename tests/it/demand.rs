//! The estimate of a prompt's tokens against a real tokenizer.

use std::path::Path;

use ai_proxy_free::internals::middle::{ChatRequest, Message};
use ai_proxy_free::internals::quota::Demand;
use ai_proxy_free::internals::surfaces::{Ask as _, Completion};

/// The tokens that o200k makes of each text, and how far off the estimate may be, in percent: a little more than it is.
/// How they were counted stands in `tests/fixtures/tokens/README.md`.
const TEXTS: [(&str, u64, f64); 11] = [
    ("english.txt", 396, 3.0),
    ("spanish.txt", 404, 3.0),
    ("russian.txt", 324, 9.0),
    ("chinese.txt", 414, 8.0),
    ("rust.txt", 571, 5.0),
    ("python.txt", 585, 6.0),
    ("javascript.txt", 492, 5.0),
    ("json-compact.txt", 448, 3.0),
    ("json-pretty.txt", 690, 6.0),
    ("numbers.txt", 1_045, 8.0),
    ("base64.txt", 817, 5.0),
];

/// The tokens of the texts in `chat.json`: see [`TEXTS`].
const CHAT_TEXTS: u64 = 583;

/// What stands around those texts: six messages, one call, two tools.
const CHAT_MARKS: u64 = 6 * 4 + 8 + 2 * 8;

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokens").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// How far off an estimate is, in percent.
fn error(estimate: u64, tokens: u64) -> f64 {
    100.0 * (estimate as f64 / tokens as f64 - 1.0)
}

#[test]
fn a_text_of_any_kind_is_estimated_well() {
    let mut mistakes = Vec::new();
    for (name, tokens, bound) in TEXTS {
        let request = ChatRequest::new(vec![Message::user(fixture(name))]).expect("a message");
        // Four tokens stand around a message.
        let error = error(Demand::of(&request).prompt - 4, tokens);
        println!("{name}: {tokens} tokens, {error:+.1} %");
        if error.abs() > bound {
            mistakes.push(format!("{name} is off by {error:+.1} %, more than {bound} %"));
        }
    }
    assert!(mistakes.is_empty(), "{mistakes:#?}");
}

#[test]
fn a_conversation_with_tools_is_estimated_well() {
    let head = http::Request::new(()).into_parts().0;
    let mut chat = Completion::parse(&head, fixture("chat.json").as_bytes()).expect("a request");
    let demand = Demand::of(chat.request());
    let error = error(demand.prompt, CHAT_TEXTS + CHAT_MARKS);
    println!("chat.json: {} tokens, {error:+.1} %", CHAT_TEXTS + CHAT_MARKS);
    assert_eq!(demand.answer, Some(2_048));
    assert!(error.abs() < 4.0, "off by {error:+.1} %");
}
