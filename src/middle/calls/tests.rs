use super::*;

fn calls() -> Calls {
    calls_of(false)
}

fn calls_of(needs_objects: bool) -> Calls {
    let renamed = vec![("_1st".to_owned(), "1st".to_owned())];
    let offered = ["f", "g", "1st"].map(str::to_owned).to_vec();
    Calls::new(Some(ExpectedCalls {
        renamed,
        offered,
        needs_objects,
        taken: Vec::new(),
        random: fastrand::Rng::with_seed(1),
    }))
}

fn wire(number: Option<u64>, id: &str, name: &str, arguments: &str) -> WireCall {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    WireCall { number, id: some(id), name: some(name), arguments: arguments.to_owned(), signature: None }
}

/// Calls as `index id name arguments`, a made-up id as `*`.
fn told(pieces: impl IntoIterator<Item = WireCall>) -> Vec<String> {
    let mut calls = calls();
    let given: Vec<_> = pieces.into_iter().flat_map(|piece| calls.take(piece).expect("few calls")).collect();
    let pieces = given.into_iter().chain(calls.end(false).expect("objects are not asked for"));
    let text = |piece: ToolCallPiece| {
        let opening = piece.opening.map_or_else(String::new, |opening| {
            let is_made_up = opening.id.len() == 29 && opening.id.starts_with("call_");
            format!("{} {} ", if is_made_up { "*" } else { &opening.id }, opening.name)
        });
        format!("{} {opening}{}", piece.index, piece.arguments)
    };
    pieces.map(text).collect()
}

#[test]
fn calls_are_numbered_and_named_whatever_is_missing() {
    let cases = [
        (
            "whole",
            vec![wire(Some(0), "a", "f", "{}"), wire(Some(1), "b", "g", "[1]")],
            vec!["0 a f ", "0 {}", "1 b g [1]"],
        ),
        (
            "in pieces",
            vec![wire(Some(0), "a", "f", ""), wire(Some(0), "", "", "{\"x\""), wire(Some(0), "", "", ":1}")],
            vec!["0 a f ", "0 {\"x\"", "0 :1}"],
        ),
        (
            "id repeated with every piece",
            vec![wire(Some(0), "a", "f", "{"), wire(Some(0), "a", "f", "}")],
            vec!["0 a f ", "0 {}"],
        ),
        (
            "all numbered 0",
            vec![wire(Some(0), "a", "f", "{}"), wire(Some(0), "b", "f", "{}")],
            vec!["0 a f ", "0 {}", "1 b f {}"],
        ),
        (
            "no number and no id",
            vec![wire(None, "", "f", "{}"), wire(None, "", "f", "{}"), wire(None, "", "g", "")],
            vec!["0 * f {}", "1 * f {}", "2 * g ", "2 {}"],
        ),
        (
            "no arguments before the next",
            vec![wire(Some(0), "a", "f", ""), wire(Some(1), "b", "g", "{}")],
            vec!["0 a f ", "0 {}", "1 b g {}"],
        ),
        (
            "the same id twice",
            vec![wire(Some(0), "a", "f", "{}"), wire(Some(1), "a", "g", "{}")],
            vec!["0 a f ", "0 {}", "1 * g {}"],
        ),
        ("numbers with gaps", vec![wire(Some(3), "a", "f", "[1]")], vec!["0 a f ", "0 [1]"]),
        ("renamed", vec![wire(None, "a", "_1st", "{}")], vec!["0 a 1st {}"]),
        ("no name at all", vec![wire(Some(0), "a", "", "{}")], vec![]),
        ("nothing", vec![wire(Some(0), "a", "f", "1"), wire(Some(0), "", "", "")], vec!["0 a f ", "0 1"]),
        (
            "the whole again behind its pieces",
            vec![
                wire(Some(0), "a", "f", ""),
                wire(Some(0), "", "", "{\"x\""),
                wire(Some(0), "", "", ":12}"),
                wire(Some(0), "a", "f", "{\"x\":12}"),
            ],
            vec!["0 a f ", "0 {\"x\"", "0 :12}"],
        ),
        (
            "the whole again without id and name",
            vec![
                wire(Some(0), "a", "f", "{\"x\""),
                wire(Some(0), "", "", ":12}"),
                wire(Some(0), "", "", "{\"x\":12}"),
            ],
            vec!["0 a f {\"x\"", "0 :12}"],
        ),
        (
            "an id only with the whole again",
            vec![wire(Some(0), "", "f", "{\"x\":1}"), wire(Some(0), "a", "f", "{ \"x\": 1 }")],
            vec!["0 * f {\"x\":1}"],
        ),
        (
            "two wholes again, under other numbers too",
            vec![
                wire(Some(0), "a", "f", "{\"x\":1}"),
                wire(Some(1), "b", "f", "{\"x\":1}"),
                wire(Some(0), "a", "f", "{\"x\":1}"),
                wire(Some(3), "b", "f", "{\"x\":1}"),
            ],
            vec!["0 a f {\"x\":1}", "1 b f {\"x\":1}"],
        ),
        (
            "a new id with every piece",
            vec![wire(Some(0), "a", "f", "{"), wire(Some(0), "b", "", "}")],
            vec!["0 a f ", "0 {}"],
        ),
        (
            "the name with every piece",
            vec![wire(Some(0), "", "f", ""), wire(Some(0), "", "f", "{"), wire(Some(0), "", "f", "}")],
            vec!["0 * f ", "0 {}"],
        ),
        (
            "one id for two calls without numbers",
            vec![wire(None, "a", "f", "{\"x\":1}"), wire(None, "a", "f", "{\"x\":2}")],
            vec!["0 a f {\"x\":1}", "1 * f {\"x\":2}"],
        ),
        (
            "pieces of two calls mixed",
            vec![
                wire(Some(0), "a", "f", ""),
                wire(Some(1), "b", "g", ""),
                wire(Some(1), "", "", "{\"y\":"),
                wire(Some(0), "", "", "{\"x\":1}"),
                wire(Some(1), "", "", "2}"),
            ],
            vec!["0 a f ", "0 {\"x\":1}", "1 b g {\"y\":", "1 2}"],
        ),
        (
            "arguments that say nothing",
            vec![wire(None, "a", "f", "null"), wire(None, "b", "g", "\"\"")],
            vec!["0 a f ", "0 {}", "1 b g {}"],
        ),
        ("a model's marks", vec![wire(None, "a", "functions.f<|channel|>json", "{}")], vec!["0 a f {}"]),
    ];
    for (case, pieces, expected) in cases {
        assert_eq!(told(pieces), expected, "{case}");
    }
}

/// The same, each call as one text: `id name arguments`.
fn wholes(pieces: impl IntoIterator<Item = WireCall>) -> Vec<String> {
    let mut wholes: Vec<String> = Vec::new();
    for piece in told(pieces) {
        let (index, text) = piece.split_once(' ').expect("an index");
        match wholes.get_mut(index.parse::<usize>().expect("a number")) {
            Some(whole) => whole.push_str(text),
            None => wholes.push(text.to_owned()),
        }
    }
    wholes
}

#[test]
fn no_arguments_are_lost_or_doubled_whatever_is_missing() {
    let cases = [
        (
            "arguments before the name",
            vec![wire(Some(0), "a", "", "{\"x\":1}"), wire(Some(0), "", "f", "")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "arguments before the name, and with it",
            vec![wire(Some(0), "a", "", "{\"x\""), wire(Some(0), "a", "f", ":1}")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "arguments in pieces before the name",
            vec![wire(Some(0), "a", "", "{\"x\""), wire(Some(0), "", "", ":1}"), wire(Some(0), "", "f", "")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "an id only before the name, no numbers",
            vec![wire(None, "a", "", "{\"x\""), wire(None, "", "", ":1}"), wire(None, "a", "f", "")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "arguments before two names",
            vec![
                wire(Some(0), "a", "", "{\"x\""),
                wire(Some(1), "b", "", "{\"y\":2}"),
                wire(Some(0), "", "", ":1}"),
                wire(Some(1), "", "g", ""),
                wire(Some(0), "", "f", ""),
            ],
            vec!["b g {\"y\":2}", "a f {\"x\":1}"],
        ),
        (
            "arguments before the name of the second call",
            vec![
                wire(Some(0), "a", "f", "{\"x\":1}"),
                wire(Some(1), "b", "", "{\"y\":2}"),
                wire(Some(1), "b", "g", ""),
            ],
            vec!["a f {\"x\":1}", "b g {\"y\":2}"],
        ),
        (
            "the same without ids",
            vec![
                wire(Some(0), "", "f", "{\"x\":1}"),
                wire(Some(1), "", "", "{\"y\":2}"),
                wire(Some(1), "", "g", ""),
            ],
            vec!["* f {\"x\":1}", "* g {\"y\":2}"],
        ),
        (
            "the same, all numbered 0",
            vec![
                wire(Some(0), "a", "f", "{\"x\":1}"),
                wire(Some(0), "b", "", "{\"y\":2}"),
                wire(Some(0), "b", "g", ""),
            ],
            vec!["a f {\"x\":1}", "b g {\"y\":2}"],
        ),
        (
            "the same beside a call without arguments yet",
            vec![
                wire(Some(0), "a", "f", ""),
                wire(Some(1), "b", "", "{\"y\":2}"),
                wire(Some(1), "b", "g", ""),
                wire(Some(0), "", "", "{\"x\":1}"),
            ],
            vec!["a f {\"x\":1}", "b g {\"y\":2}"],
        ),
        (
            "the whole before and with the name",
            vec![wire(Some(0), "a", "", "{\"x\":1}"), wire(Some(0), "a", "f", "{\"x\":1}")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "no number at first",
            vec![wire(None, "a", "f", ""), wire(Some(0), "", "", "{\"x\":1}")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "no number at first, then pieces",
            vec![wire(None, "a", "f", ""), wire(Some(0), "", "", "{\"x\""), wire(Some(0), "", "", ":1}")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "a new number with each piece, and the id",
            vec![wire(Some(0), "a", "f", "{\"x\""), wire(Some(1), "a", "", ":1}")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "a new number with each piece",
            vec![wire(Some(0), "a", "f", "{\"x\""), wire(Some(1), "", "", ":"), wire(Some(2), "", "", "1}")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "a new number with each piece, two calls",
            vec![
                wire(Some(0), "a", "f", "{\"x\""),
                wire(Some(1), "", "", ":1}"),
                wire(Some(1), "b", "g", "{\"y\""),
                wire(Some(2), "", "", ":2}"),
            ],
            vec!["a f {\"x\":1}", "b g {\"y\":2}"],
        ),
        (
            "noise under another number",
            vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(1), "", "", "<|endoftext|>")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "nothing, then the whole",
            vec![wire(Some(0), "a", "f", "{}"), wire(Some(0), "a", "f", "{\"x\":1}")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "nothing, then the whole without id",
            vec![wire(Some(0), "a", "f", "{}"), wire(Some(0), "", "f", "{\"x\":1}")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "nothing, then the whole without number",
            vec![wire(None, "a", "f", "{}"), wire(None, "a", "f", "{\"x\":1}")],
            vec!["a f {}", "* f {\"x\":1}"],
        ),
        (
            "nothing, then the whole under another number",
            vec![wire(Some(0), "a", "f", "{}"), wire(Some(1), "a", "f", "{\"x\":1}")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "nothing, then pieces",
            vec![
                wire(Some(0), "a", "f", "{}"),
                wire(Some(0), "", "", "{\"x\""),
                wire(Some(0), "", "", ":1}"),
            ],
            vec!["a f {\"x\":1}"],
        ),
        (
            "nothing, then another call, then the whole",
            vec![
                wire(Some(0), "a", "f", "{}"),
                wire(Some(1), "b", "g", "{\"y\":2}"),
                wire(Some(0), "", "", "{\"x\":1}"),
            ],
            vec!["a f {\"x\":1}", "b g {\"y\":2}"],
        ),
        (
            "nothing behind the whole",
            vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(0), "a", "f", "{}")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "null behind the whole",
            vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(0), "a", "f", "null")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "nothing behind the whole without id",
            vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(0), "", "f", "{}")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "nothing behind the whole under another number",
            vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(1), "a", "f", "{}")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "nothing behind the whole without number",
            vec![wire(None, "a", "f", "{\"x\":1}"), wire(None, "a", "f", "{}")],
            vec!["a f {\"x\":1}"],
        ),
        (
            "another call that says nothing",
            vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(0), "b", "f", "{}")],
            vec!["a f {\"x\":1}", "b f {}"],
        ),
        (
            "another call without number and id that says nothing",
            vec![wire(None, "", "f", "{\"x\":1}"), wire(None, "", "f", "{}")],
            vec!["* f {\"x\":1}", "* f {}"],
        ),
    ];
    for (case, pieces, expected) in cases {
        assert_eq!(wholes(pieces), expected, "{case}");
    }
}

#[test]
fn arguments_without_a_name_are_not_forgotten() {
    let cases = [
        ("no name", vec![wire(Some(0), "a", "", "{\"x\":1}")], true),
        ("a piece", vec![wire(None, "", "", "{\"x\"")], true),
        (
            "beside a call",
            vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(1), "b", "", "{\"y\":2}")],
            true,
        ),
        (
            "beside a call without numbers",
            vec![wire(None, "a", "f", "{\"x\":1}"), wire(None, "b", "", "{\"y\":2}")],
            true,
        ),
        (
            "a call with other arguments",
            vec![wire(None, "", "", "{\"x\":1}"), wire(None, "", "f", "{\"y\":2}")],
            true,
        ),
        (
            "behind an object that says nothing and was passed on",
            vec![wire(None, "a", "f", "{}"), wire(None, "a", "", "{"), wire(None, "a", "", "\"x\":1}")],
            true,
        ),
        ("no arguments", vec![wire(Some(0), "a", "", "")], false),
        ("nothing", vec![wire(Some(0), "a", "", "{}"), wire(Some(0), "a", "", "null")], false),
        ("a name at last", vec![wire(Some(0), "a", "", "{\"x\":1}"), wire(Some(0), "", "f", "")], false),
    ];
    for (case, pieces, expected) in cases {
        let mut calls = calls();
        pieces.into_iter().for_each(|piece| drop(calls.take(piece)));
        assert_eq!(calls.has_nameless(), expected, "{case}");
    }
}

#[test]
fn calls_that_nobody_expects_are_not_passed_on() {
    assert_eq!(Calls::new(None).take(wire(Some(0), "a", "f", "{}")), Ok(Vec::new()));
}

#[test]
fn calls_and_their_arguments_have_a_limit() {
    let mut calls = calls();
    for number in 0..MAX_CALLS as u64 {
        assert!(calls.take(wire(Some(number), "", "f", "{}")).is_ok());
    }
    assert_eq!(calls.take(wire(None, "", "f", "{}")), Err(BadCalls));
    let mut calls = self::calls();
    let piece = "1,".repeat(MAX_ARGUMENT_BYTES / 4);
    assert!(calls.take(wire(Some(0), "", "f", &format!("{{\"x\":[{piece}"))).is_ok());
    assert_eq!(calls.take(wire(Some(0), "", "", &piece)), Err(BadCalls));
}

/// Where a client needs an object, nothing is begun that may be none, and what is none is never ended.
#[test]
fn arguments_that_must_be_an_object_are_one_or_a_failure() {
    let some = |number, arguments: &str| wire(number, "", "f", arguments);
    let more = |arguments: &str| wire(Some(0), "", "", arguments);
    // The pieces, what is told before the end, and whether it ends well.
    let cases = [
        (vec![some(Some(0), "{}")], "", true),
        (vec![some(Some(0), "")], "", true),
        (vec![some(Some(0), "null")], "", true),
        (vec![some(Some(0), "{\"a\":1}")], "f{\"a\":1}", true),
        (vec![some(Some(0), ""), more("{"), more("\"a\""), more(":1}")], "f{\"a\":1}", true),
        (vec![some(Some(0), "[1]")], "", false),
        (vec![some(Some(0), "\"text\"")], "", false),
        (vec![some(Some(0), "7")], "", false),
        (vec![some(Some(0), "{\"a\":1"), more("")], "f{\"a\":1", false),
        (vec![some(Some(0), "{\"a\":1}"), more("{\"b\":2}")], "f{\"a\":1}{\"b\":2}", false),
        (vec![some(Some(0), "{a:1}")], "f{a:1}", false),
    ];
    for (pieces, before, is_good) in cases {
        let (mut calls, shown) = (calls_of(true), format!("{pieces:?}"));
        let mut told = String::new();
        for piece in pieces.into_iter().flat_map(|piece| calls.take(piece).expect("not yet")) {
            told += &piece.opening.map(|it| it.name).unwrap_or_default();
            told += &piece.arguments;
        }
        assert_eq!(told, before, "{shown}");
        assert_eq!(calls.end(false).is_ok(), is_good, "{shown}");
    }
    let mut calls = calls_of(true);
    assert_eq!(calls.take(wire(Some(0), "a", "f", "[1]")), Ok(vec![]));
    assert_eq!(calls.take(wire(Some(1), "b", "g", "{}")), Err(BadCalls), "before the next one begins");
}
