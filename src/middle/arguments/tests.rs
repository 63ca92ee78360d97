use super::*;

/// What is passed on with each piece, and at the end.
fn told(pieces: &[&str]) -> Vec<String> {
    let mut arguments = Arguments::default();
    let mut told: Vec<String> = pieces
        .iter()
        .map(|piece| {
            arguments.take(piece);
            arguments.tell()
        })
        .collect();
    told.push(arguments.end());
    told.retain(|text| !text.is_empty());
    told
}

#[test]
fn what_comes_twice_is_told_once() {
    let cases: [(&str, &[&str], &[&str]); 26] = [
        ("pieces", &["", "{\"x\"", ":12}"], &["{\"x\"", ":12}"]),
        ("the whole behind its pieces", &["", "{\"x\"", ":12}", "{\"x\":12}"], &["{\"x\"", ":12}"]),
        ("the whole in other words", &["{\"x\"", ":12}", "{ \"x\": 12 }"], &["{\"x\"", ":12}"]),
        ("the whole before the pieces end", &["{\"x\"", ":12", "{\"x\":12}"], &["{\"x\"", ":12", "}"]),
        ("twice in one piece", &["{\"x\":12}{\"x\":12}"], &["{\"x\":12}"]),
        ("many times", &["{\"x\":1}", "{\"x\":1}", "{\"x\":1}\n{\"x\":1}"], &["{\"x\":1}"]),
        ("again in pieces", &["{\"x\":1}", "{\"x", "\":1}"], &["{\"x\":1}"]),
        ("half of it again", &["{\"x\":1}", "{\"x"], &["{\"x\":1}"]),
        ("everything so far", &["{", "{\"x\"", "{\"x\":1}", "{\"x\":1}"], &["{\"x\"", ":1}"]),
        (
            "everything so far behind blanks",
            &["\n{\"x\"", "\n{\"x\":1", "\n{\"x\":1}"],
            &["{\"x\"", ":1", "}"],
        ),
        ("nothing new so far", &["{\"x\"", "{\"x\"", "{\"x\":1}"], &["{\"x\"", ":1}"]),
        ("a key named like a bracket", &["{\"", "{\":1}"], &["{\"", "{\":1}"]),
        ("a key named like a bracket, in pieces", &["{\"", "{\":", "1}"], &["{\"", "{\":1}"]),
        (
            "an object in an object in an object",
            &["{\"a\":", "{\"a\":", "{\"a\":", "1}}}"],
            &["{\"a\":", "{\"a\":", "{\"a\":", "1}}}"],
        ),
        (
            "an object in an object in an object, in two pieces",
            &["{\"a\":", "{\"a\":{\"a\":", "1}}}"],
            &["{\"a\":", "{\"a\":{\"a\":1}}}"],
        ),
        (
            "numbers that differ in the last digit",
            &["{\"x\":10000000000000000000000001}", "{\"x\":10000000000000000000000002}"],
            &["{\"x\":10000000000000000000000001}", "{\"x\":10000000000000000000000002}"],
        ),
        (
            "blanks in a string",
            &["{\"x\":\"a b\"}", "{\"x\":\"ab\"}"],
            &["{\"x\":\"a b\"}", "{\"x\":\"ab\"}"],
        ),
        ("so far, cut before a value", &["{\"x\":", "{\"x\":12}"], &["{\"x\":", "12}"]),
        (
            "so far, cut before a value, and the whole in other words",
            &["{\"x\":", "{\"x\":12}", "{ \"x\": 12 }"],
            &["{\"x\":", "12}"],
        ),
        (
            "so far, cut before a value and inside of it",
            &["{\"x\":", "{\"x\":[1,", "{\"x\":[1,2]}"],
            &["{\"x\":", "[1,2]}"],
        ),
        (
            "so far, cut inside of a string",
            &["{\"x\":\"a", "{\"x\":\"a\\\"b\"}"],
            &["{\"x\":\"a", "\\\"b\"}"],
        ),
        ("an object in itself", &["{\"x\":", "{\"x\":12}", "}"], &["{\"x\":", "{\"x\":12}}"]),
        ("an object in itself at once", &["{\"x\":", "{\"x\":12}}"], &["{\"x\":", "{\"x\":12}}"]),
        ("the same in a string", &["{\"x\":\"", "{\\\"x\\\":", "\"}"], &["{\"x\":\"", "{\\\"x\\\":", "\"}"]),
        ("the same piece in a list", &["{\"x\":[", "1,", "1,", "1]}"], &["{\"x\":[", "1,", "1,", "1]}"]),
        ("blanks behind it", &["{\"x\":1}", " \n"], &["{\"x\":1}"]),
    ];
    for (case, pieces, expected) in cases {
        assert_eq!(told(pieces), expected, "{case}");
    }
}

/// Ten times as many pieces take about ten times as long, whatever they repeat: a hundred times would be quadratic.
#[test]
fn the_time_grows_with_the_bytes_that_come() {
    type Pieces = fn(usize) -> Vec<String>;
    let kinds: [(&str, Pieces); 9] = [
        ("pieces", |count| {
            std::iter::once("{\"x\":[".to_owned()).chain((0..count).map(|_| "1, ".repeat(8))).collect()
        }),
        ("one piece again and again behind the whole", |count| {
            let whole = format!("{{\"x\":\"{}\"}}", "a".repeat(count));
            let again = format!("{}b", &whole[..count]);
            [whole, again].into_iter().chain((0..count).map(|_| "{}".to_owned())).collect()
        }),
        ("the whole again and again", |count| vec!["{\"x\":1}".to_owned(); count]),
        ("only blanks", |count| vec![" ".to_owned(); count]),
        ("a list of blanks", |count| {
            std::iter::once("[".to_owned()).chain((0..count).map(|_| " ".to_owned())).collect()
        }),
        ("an object of blanks", |count| {
            std::iter::once("{".to_owned()).chain((0..count).map(|_| " ".to_owned())).collect()
        }),
        ("lines that go on and on", |count| {
            std::iter::once("{\"x\":1,".to_owned()).chain((0..count).map(|_| "\n".to_owned())).collect()
        }),
        ("a whole with many blanks, and others behind it", |count| {
            let whole = format!("{}{{{}\"x\":1}}", " ".repeat(count), " ".repeat(count));
            std::iter::once(whole).chain((0..count).map(|_| "{\"x\":1}".to_owned())).collect()
        }),
        ("blanks behind the whole", |count| {
            std::iter::once("{}".to_owned()).chain((0..count).map(|_| "  ".to_owned())).collect()
        }),
    ];
    for (kind, pieces) in kinds {
        let time = |count: usize| {
            let pieces = pieces(count);
            let begun = std::time::Instant::now();
            let mut arguments = Arguments::default();
            for piece in &pieces {
                arguments.take(piece);
                arguments.tell();
            }
            arguments.end();
            begun.elapsed()
        };
        let (once, tenfold) = (time(10_000), time(100_000));
        let most = once * 40 + std::time::Duration::from_millis(200);
        assert!(tenfold < most, "{kind}: {once:?} and {tenfold:?}");
    }
}

#[test]
fn nothing_that_is_no_repetition_is_lost() {
    assert_eq!(told(&["{\"x\":1}", "{\"y\":2}"]), ["{\"x\":1}", "{\"y\":2}"]);
    assert_eq!(told(&["{\"x\":1}", "[2]"]), ["{\"x\":1}", "[2]"]);
    assert_eq!(told(&["[1", "]"]), ["[1]"]);
    assert_eq!(told(&["12"]), ["12"]);
    assert_eq!(told(&["\"a\""]), ["\"a\""]);
}

#[test]
fn what_says_something_comes_before_what_says_nothing() {
    const WHOLE: &str = "{\"x\":1}";
    let nothings = ["{}", "{ }", "null", "\"\"", "\"null\"", "\"\"\"\"", "[]", "{}{}", "null null", "null{}"];
    for nothing in nothings {
        let cases: [&[&str]; 8] = [
            &[nothing, WHOLE],
            &[nothing, "{\"x\"", ":1}"],
            &[nothing, " ", "{", "\"x\":1}"],
            &[nothing, nothing, WHOLE],
            &[WHOLE, nothing],
            &["{\"x\"", ":1}", nothing, nothing],
            &["{", "\"x\":1}", nothing, WHOLE],
            &[nothing, WHOLE, nothing],
        ];
        for pieces in cases {
            assert_eq!(told(pieces).concat(), WHOLE, "{pieces:?}");
            assert_eq!(told(&[&pieces.concat()]).concat(), WHOLE, "{pieces:?} at once");
            let bytes: Vec<_> = pieces.concat().chars().map(String::from).collect();
            let bytes: Vec<_> = bytes.iter().map(String::as_str).collect();
            assert_eq!(told(&bytes).concat(), WHOLE, "{pieces:?} in bytes");
        }
        assert_eq!(told(&[nothing, nothing]), ["{}"], "{nothing} twice");
    }
}

#[test]
fn what_is_no_json_behind_a_complete_value_is_dropped() {
    let noises = ["}", "}}", "<|endoftext|>", "null", "[/TOOL_CALLS]", "</tool_call>", "\"", " ok."];
    for noise in noises {
        for whole in ["{\"x\":1}", "{}"] {
            assert_eq!(told(&[whole, noise]), [whole], "{noise}");
            assert_eq!(told(&[&[whole, noise].concat()]), [whole], "{noise} in one piece");
        }
    }
    // Before it is complete, it is what the model wrote.
    assert_eq!(told(&["{\"x\":<|endoftext|>"]), ["{\"x\":<|endoftext|>"]);
    assert_eq!(told(&["[TOOL]"]), ["[TOOL]"]);
}

#[test]
fn what_says_nothing_is_an_empty_object() {
    let nothings: [&[&str]; 10] = [
        &[],
        &[""],
        &[" ", "\n"],
        &["null"],
        &["nu", "ll"],
        &["\"\""],
        &["\"null\""],
        &["\"\\\"\\\"\""],
        &["\" {} \""],
        &["[]"],
    ];
    for pieces in nothings {
        assert_eq!(told(pieces), ["{}"], "{pieces:?}");
        assert_eq!(arguments_or_none(&pieces.concat()), "{}", "{pieces:?}");
    }
    assert_eq!(arguments_object("[1]"), None);
    assert_eq!(arguments_object("{\"x\""), None);
    assert_eq!(arguments_object(" {\"x\":1.0} ").expect("an object").get(), "{\"x\":1.0}");
}
