use super::super::directory::Directory;
use super::*;
use proptest::prelude::*;

/// Data of events; `~` is in the place of a string's body, and `#` of a number.
const FORMS: [&str; 24] = [
    r#"{"id":"c","choices":[{"index":0,"delta":{"content":"~"},"logprobs":null,"finish_reason":null}]}"#,
    r#"{"id":"~","choices":[{"index":0,"delta":{"content":"~"},"finish_reason":null}]}"#,
    r#"{"choices":[{"delta":{"reasoning":"~","channel":"analysis"},"index":0}],"created":#}"#,
    r#"{"choices":[{"delta":{"reasoning_content":"~","content":""},"index":0}],"model":"x"}"#,
    r#"{"model":"x","choices":[{"delta":{"content":"~","reasoning":"~"},"index":0}],"created":7}"#,
    r#"{"choices":[{"delta":{"content":"~","content":"~"}}]}"#,
    r#"{"choices":[{"delta":{"content":"~"},"finish_reason":"~"}]}"#,
    r#"{"choices":[{"delta":{"content":"~"}},{"delta":{"content":"~"}}]}"#,
    r#"{"choices":[{"delta":{"content":"~","tool_calls":[{"index":#,"function":{"name":"f","arguments":"{}"}}]}}]}"#,
    r#"{"choices":[{"delta":{"content":"~","tool_calls":[{"index":#,"function":{"arguments":"~"}}]}}]}"#,
    r#"{"choices":[{"delta":{"content":"~"}}],"usage":{"prompt_tokens":#,"completion_tokens":#,"total_tokens":#}}"#,
    r#"{"choices":[{"delta":{"content":"~"}}],"x_groq":{"usage":{"prompt_tokens": # ,"completion_tokens":2}}}"#,
    r#"{"choices":[{"delta":{"content":"~"}}],"usage":{"prompt_tokens":1,"completion_tokens":-#}}"#,
    r#"{"choices":[{"delta":{"content":"~"}}],"error":"~"}"#,
    r#"{"choices":[{"delta":{"content":["~"]}}]}"#,
    r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
    r#"{"choices":[{"delta":{"content":"~"}}]"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"~"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":#,"candidatesTokenCount":#,"details":[{"x":"9\"~","n":#}]},"id":"abc"}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"~","thought":true,"thoughtSignature":"~"}]}}],"usageMetadata":{"promptTokenCount":#}}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"~"},{"text":"~"}]}}],"usageMetadata":{"promptTokenCount":#}}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"~","functionCall":{"name":"f"}}]}}]}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"~"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":#}}"#,
    r#"[{"candidates":[{"content":{"parts":[{"text":"~"}]}}],"usageMetadata":{"promptTokenCount":#}}]"#,
    "[DONE]",
];

/// Pieces of the bodies of strings; the first ones are allowed.
const BODIES: [&[u8]; 26] = [
    b"<think>",
    b"</think>",
    b"a",
    b" house",
    b"x",
    b"y",
    b"7",
    b"stop",
    "ñ🚀".as_bytes(),
    br"\\",
    br"\n",
    br#"\""#,
    br"\u00e9",
    br"\ud83d\ude80",
    br"\ud83d",
    br"\ude80",
    br"\u00",
    br"\",
    br"\x",
    b"\xff",
    b"\xf0\x9f",
    b"\x01",
    b"\n",
    br#"""#,
    br#""}}]}"#,
    br#""},"index":0}],"created":7}"#,
];

/// The first ones are usual.
const NUMBERS: [&str; 12] = [
    "7",
    "0",
    "12",
    "00",
    "012",
    "1.5",
    "1e3",
    "-1",
    "999999999999999",
    "99999999999999999999",
    r#""7""#,
    "null",
];

/// Which of the few forms of an answer, and what is in its places: most events of an answer are nearly alike.
fn event() -> impl Strategy<Value = (usize, Vec<Vec<u8>>, Vec<usize>)> {
    let piece = prop_oneof![9 => 0..14usize, 1 => 0..BODIES.len()];
    let body = prop::collection::vec(piece, 0..3);
    let body = body.prop_map(|pieces| pieces.iter().flat_map(|it| BODIES[*it].to_vec()).collect());
    let number = prop_oneof![9 => 0..3usize, 1 => 0..NUMBERS.len()];
    let form = prop_oneof![4 => Just(0usize), 1 => 1..3usize];
    (form, prop::collection::vec(body, 2), prop::collection::vec(number, 3))
}

fn data(form: &str, bodies: &[Vec<u8>], numbers: &[usize]) -> Vec<u8> {
    let (mut bodies, mut numbers) = (bodies.iter().cycle(), numbers.iter().cycle());
    let place = |byte: u8| match byte {
        b'~' => bodies.next().expect("an endless list").clone(),
        b'#' => NUMBERS[*numbers.next().expect("an endless list")].into(),
        byte => vec![byte],
    };
    form.bytes().flat_map(place).collect()
}

fn decoder(provider: Provider) -> AnswerDecoder {
    let random = fastrand::Rng::with_seed(1);
    let expected = ExpectedCalls {
        renamed: Vec::new(),
        offered: Vec::new(),
        needs_objects: false,
        taken: Vec::new(),
        random,
    };
    AnswerDecoder::new(provider, false, Some(expected))
}

/// Everything that can be seen of an answer while it comes.
fn seen(mut decoder: AnswerDecoder, events: &[Vec<u8>]) -> Vec<String> {
    let mut seen = Vec::new();
    for data in events {
        let mut said = Vec::new();
        let outcome = decoder.push(&[b"data: ", data.as_slice(), b"\n\n"].concat(), &mut said);
        let (is_complete, unreadable) = (decoder.is_complete(), decoder.unreadable_events());
        seen.push(format!("{said:?} {outcome:?} {is_complete} {unreadable}"));
    }
    let mut said = Vec::new();
    let outcome = decoder.end(&mut said);
    seen.push(format!("{said:?} {outcome:?}"));
    seen
}

/// Answers whose events are nearly of one form, and what is to be seen of each.
#[test]
fn what_only_looks_like_the_last_event_is_parsed() {
    let text =
        |id: &str, text: &str| format!(r#"{{"id":"{id}","choices":[{{"delta":{{"content":"{text}"}}}}]}}"#);
    let counted = |delta: &str, count: &str| {
        format!(r#"{{"choices":[{delta}],"usage":{{"prompt_tokens":1,"completion_tokens":{count}}}}}"#)
    };
    let [a, b, stop] =
        [r#"{"delta":{"content":"a"}}"#, r#"{"delta":{"content":"b"}}"#, r#"{"finish_reason":"stop"}"#];
    let plain_stop = format!(r#"{{"choices":[{stop}]}}"#);
    let cases = [
        ("an id that is equal to the text", vec![text("x", "x"), text("y", "x"), text("y", "z")]),
        ("an id that looks like a broken text", vec![text("\u{fffd}", r"\ud83d"), text("y", r"\ud83d")]),
        (
            "the end of an event within a text",
            vec![text("x", "a"), text("x", r#"b"}}]}"#), text("x", r#"b\"}}]}"#)],
        ),
        ("usage in an event that is parsed", vec![counted(a, "1"), counted(b, "2"), counted(stop, "3")]),
        ("usage in one that is not", vec![counted(a, "1"), counted(b, "2"), plain_stop.clone()]),
        (
            "a count that is none",
            vec![counted(a, "1"), counted(b, "2"), counted(a, "012"), plain_stop.clone()],
        ),
        (
            "too large a count",
            vec![counted(a, "1"), counted(b, "2"), counted(a, &"9".repeat(20)), plain_stop],
        ),
    ];
    for (case, events) in cases {
        let events: Vec<Vec<u8>> = events.into_iter().map(String::into_bytes).collect();
        let parsed = seen(decoder(Provider::GROQ).without_memory(), &events);
        assert_eq!(seen(decoder(Provider::GROQ), &events), parsed, "{case}");
    }
}

/// Those that always are, and one whose models think inside of the text.
fn providers() -> Vec<Provider> {
    let thinking = Directory::built_in().into_iter().find(|it| it.thinks_in_text());
    [Provider::GROQ, Provider::CEREBRAS, Provider::GEMINI].into_iter().chain(thinking).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Events that are read without being parsed say what they would say if they were.
    #[test]
    fn memory_changes_nothing(
        forms in prop::collection::vec(0..FORMS.len(), 3),
        events in prop::collection::vec(event(), 1..12),
        provider in prop::sample::select(providers()),
    ) {
        let events = events.iter().map(|(form, bodies, numbers)| data(FORMS[forms[*form]], bodies, numbers));
        let events: Vec<Vec<u8>> = events.collect();
        prop_assert_eq!(seen(decoder(provider), &events), seen(decoder(provider).without_memory(), &events));
    }
}
