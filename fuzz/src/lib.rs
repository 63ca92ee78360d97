//! What the targets share: where the network cuts a stream, and what holds for every answer and every request.
//!
//! Inputs are what stands on the wire, so the fixtures are good seeds as they are.

use std::fmt::Debug;

use ai_proxy_free::internals::middle::{
    Cause, ChatRequest, Diagnosis, Event, ExpectedCalls, FinishReason, ToolCallOpening,
};
use ai_proxy_free::internals::providers::{AnswerDecoder, Dialect, Directory, Provider};
use ai_proxy_free::internals::surfaces::{ApiError, Ask as _, Author, ChatAsk, Completion, Encode};
use ai_proxy_free::internals::upstream::{Replayed, read_response};
use ai_proxy_free::internals::wire::sse;
use http::request::Parts;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

/// Where it stands in an input, the network cuts. No UTF-8 has it.
pub const CUT: u8 = 0xFE;

/// What `decode` makes of the stream in `input`, which is the same in one piece, cut at the marks, and byte by byte.
pub fn decode_in_any_cut<T: Debug + PartialEq>(input: &[u8], decode: impl Fn(&[&[u8]]) -> T) -> T {
    let stream = without_cuts(input);
    let whole = decode(&[&stream]);
    let marked: Vec<&[u8]> = input.split(|byte| *byte == CUT).collect();
    assert_eq!(decode(&marked), whole, "cut at the marks");
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(decode(&bytes), whole, "byte by byte");
    whole
}

fn without_cuts(input: &[u8]) -> Vec<u8> {
    input.iter().copied().filter(|byte| *byte != CUT).collect()
}

/// Reads `input` as a provider's response, which ends with the connection.
pub fn check_response(input: &[u8]) {
    // An empty piece would be the end.
    let read = |pieces: &[&[u8]]| {
        read_response(&pieces.iter().copied().filter(|piece| !piece.is_empty()).collect::<Vec<_>>())
    };
    let Some(Replayed { status, body, is_kept, is_whole, surplus, .. }) = decode_in_any_cut(input, read)
    else {
        return;
    };
    assert!(body.len() + surplus <= input.len(), "a body out of nothing");
    assert!(
        (200..1_000).contains(&status) || matches!(status, 0..=99 | 101),
        "an interim response is no response"
    );
    assert!(!is_kept || is_whole && surplus == 0, "a connection on which something is left");
}

/// Decodes `input` as an answer of `provider`, in both framings, with calls expected and without.
pub fn check_answer(provider: Provider, input: &[u8]) {
    let renamed = vec![("_1st".to_owned(), "1st".to_owned())];
    let expected = ExpectedCalls {
        renamed,
        offered: vec!["1st".to_owned()],
        needs_objects: false,
        taken: Vec::new(),
        random: fastrand::Rng::with_seed(1),
    };
    for (is_json, expected) in
        [(false, None), (false, Some(&expected)), (true, None), (true, Some(&expected))]
    {
        let decode = |pieces: &[&[u8]]| decode_answer(provider, is_json, expected, pieces);
        let (events, outcome) = decode_in_any_cut(input, decode);
        let decoder = AnswerDecoder::new(provider, is_json, expected.cloned()).without_memory();
        let parsed = decode_with(decoder, provider, &[&without_cuts(input)]);
        assert_eq!((&events, &outcome), (&parsed.0, &parsed.1), "with memory and without");
        check_order(&events, outcome.is_ok());
        check_calls(&events, expected.is_some(), outcome.is_ok());
        check_written(&events, outcome.is_ok());
        if outcome.is_ok() {
            assert!(says_finish(provider, &without_cuts(input)), "a finish that nobody sent");
        }
    }
}

/// As `attempt` does it: up to the end, the end mark or the first failure.
fn decode_answer(
    provider: Provider,
    is_json: bool,
    expected: Option<&ExpectedCalls>,
    pieces: &[&[u8]],
) -> (Vec<Event>, Result<(), Diagnosis>) {
    decode_with(AnswerDecoder::new(provider, is_json, expected.cloned()), provider, pieces)
}

fn decode_with(
    mut decoder: AnswerDecoder,
    provider: Provider,
    pieces: &[&[u8]],
) -> (Vec<Event>, Result<(), Diagnosis>) {
    let mut events = Vec::new();
    // Gemini takes a stop back when it goes on.
    let may_go_on = matches!(provider.profile().dialect, Dialect::Gemini);
    for piece in pieces {
        let known = events.len();
        let was_complete = decoder.is_complete();
        if let Err(diagnosis) = decoder.push(piece, &mut events) {
            assert!(!was_complete || may_go_on, "a complete answer that fails");
            return (events, Err(diagnosis));
        }
        assert!(!was_complete || may_go_on || events.len() == known, "more of an answer that was complete");
        if decoder.is_done() {
            break;
        }
    }
    let was_complete = decoder.is_complete();
    let outcome = decoder.end(&mut events);
    // Only the end tells that a call has no name.
    let has_arguments = pieces.concat().windows(9).any(|window| window == b"arguments");
    let lacks_name =
        has_arguments && outcome.as_ref().is_err_and(|failure| failure.cause == Cause::GenerationUnreadable);
    assert!(
        !was_complete || may_go_on || lacks_name || outcome.is_ok(),
        "a complete answer that fails at its end"
    );
    (events, outcome)
}

/// Content, then at most one usage, then the finish, if and only if the answer is complete.
fn check_order(events: &[Event], is_complete: bool) {
    let rank = |event: &Event| match event {
        Event::Text(_) | Event::Reasoning(_) | Event::ToolCall(_) => 0,
        Event::Usage(_) => 1,
        Event::Finish(_) => 2,
    };
    let ranks: Vec<i32> = events.iter().map(rank).collect();
    let ends: Vec<i32> = ranks.iter().copied().filter(|rank| *rank > 0).collect();
    assert!(ranks.is_sorted(), "out of order: {events:?}");
    match ends.as_slice() {
        [2] | [1, 2] => assert!(is_complete, "finished and failed: {events:?}"),
        [] => assert!(!is_complete, "complete without a finish: {events:?}"),
        _ => panic!("ends more than once: {events:?}"),
    }
    let is_empty =
        |event: &Event| matches!(event, Event::Text(_) | Event::Reasoning(_)) && event.text().is_empty();
    assert!(!events.iter().any(is_empty), "an empty piece: {events:?}");
}

/// Calls follow each other and do not mix, each is opened once, and what follows a call finds it whole, unless the answer was
/// cut off at the limit of its length.
fn check_calls(events: &[Event], may_call: bool, is_complete: bool) {
    let is_cut = matches!(events.last(), Some(Event::Finish(FinishReason::Length)));
    let mut ids: Vec<&str> = Vec::new();
    let mut has_arguments = true;
    for event in events {
        let Event::ToolCall(piece) = event else { continue };
        if let Some(opening) = &piece.opening {
            assert!(has_arguments || is_cut, "a call without arguments before the next: {events:?}");
            assert!(!opening.id.is_empty() && !opening.name.is_empty(), "nameless: {events:?}");
            assert!(!ids.contains(&opening.id.as_str()), "two calls with one id: {events:?}");
            ids.push(&opening.id);
            has_arguments = false;
        }
        assert_eq!(piece.index + 1, ids.len(), "a piece of no call, or of an earlier one: {events:?}");
        has_arguments |= !piece.arguments.is_empty();
    }
    assert!(may_call || ids.is_empty(), "calls that nobody expects: {events:?}");
    assert!(!is_complete || has_arguments || is_cut, "a call without arguments at the end: {events:?}");
    match events.last() {
        Some(Event::Finish(FinishReason::ToolCalls)) => assert!(!ids.is_empty(), "no calls: {events:?}"),
        Some(Event::Finish(FinishReason::Stop)) => assert!(ids.is_empty(), "calls: {events:?}"),
        _ => {}
    }
}

/// The head of a request that says nothing of its own.
pub fn head() -> Parts {
    http::Request::new(()).into_parts().0
}

/// What clients are sent says the same, on both surfaces, streamed and whole.
fn check_written(events: &[Event], is_complete: bool) {
    let body = br#"{"messages":[{"role":"user","content":"x"}],"stream_options":{"include_usage":true}}"#;
    let openai = Completion::parse(&head(), body).expect("a request");
    let chat = ChatAsk::parse(&head(), body).expect("a request");
    let text: String =
        events.iter().filter(|event| matches!(event, Event::Text(_))).map(Event::text).collect();

    // What we write as OpenAI does, we read as OpenAI does.
    let expected = ExpectedCalls {
        renamed: Vec::new(),
        offered: Vec::new(),
        needs_objects: false,
        taken: Vec::new(),
        random: fastrand::Rng::with_seed(1),
    };
    let written = write(openai.encoder(author()), events);
    let (read, outcome) = decode_answer(Provider::GROQ, false, Some(&expected), &[&written]);
    let events_there: Vec<Event> = events.iter().map(as_openai_has_it).collect();
    // What is told of a call may wait until more of it has come, so the pieces of calls may move behind texts, and out of
    // an answer that has not ended. Arguments that are no JSON may be read in two ways.
    let is_json = |event: &(_, String)| serde_json::from_str::<&RawValue>(&event.1).is_ok();
    if is_complete && by_kind(&events_there).2.iter().all(is_json) {
        assert_eq!(by_kind(&read), by_kind(&events_there));
    }
    assert_eq!(outcome.is_ok(), is_complete);

    let mut sse = sse::Decoder::default();
    let mut shown = String::new();
    let mut is_done = false;
    let written = write(chat.encoder(author()), events);
    let mut feed = sse.feed(&written);
    while let Some(event) = feed.next().expect("small events") {
        assert!(!is_done, "more behind the end mark");
        is_done = event.data == b"[DONE]";
        if !is_done {
            let event: Value = serde_json::from_slice(event.data).expect("JSON");
            shown += event["content"].as_str().expect("content");
        }
    }
    assert_eq!((&shown, is_done), (&text, is_complete));

    if is_complete {
        let (_, body) = chat.encode_whole(events.to_vec(), &author());
        assert_eq!(serde_json::from_slice::<Value>(&body).expect("JSON")["content"], text);
        let (_, body) = openai.encode_whole(events.to_vec(), &author());
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["choices"][0]["message"]["content"].as_str().unwrap_or_default(), text);
    }
}

fn author() -> Author {
    Author {
        provider: Provider::GROQ,
        model: "model".to_owned(),
        answer_id: "request".to_owned(),
        created: 0,
    }
}

fn write(mut encoder: impl Encode, events: &[Event]) -> Vec<u8> {
    let mut written = Vec::new();
    events.iter().for_each(|event| encoder.event(event.clone(), &mut written));
    written
}

/// What an answer says: thoughts, text, calls, and how it ends.
fn by_kind(events: &[Event]) -> (String, String, Vec<(Option<ToolCallOpening>, String)>, Vec<Event>) {
    let (mut thoughts, mut text, mut calls, mut end) = (String::new(), String::new(), Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Reasoning(piece) => thoughts.push_str(piece),
            Event::Text(piece) => text.push_str(piece),
            Event::ToolCall(piece) if piece.opening.is_some() => {
                calls.push((piece.opening.clone(), piece.arguments.clone()));
            }
            Event::ToolCall(piece) => {
                let (_, arguments) = calls.last_mut().expect("a call that was opened");
                arguments.push_str(&piece.arguments);
            }
            event => end.push(event.clone()),
        }
    }
    (thoughts, text, calls, end)
}

/// OpenAI's dialect has no place for signatures.
fn as_openai_has_it(event: &Event) -> Event {
    match event.clone() {
        Event::ToolCall(mut piece) => {
            piece.opening = piece.opening.map(|opening| ToolCallOpening { signature: None, ..opening });
            Event::ToolCall(piece)
        }
        event => event,
    }
}

/// Whether the words stand there by which `provider` ends an answer. A name may be written with escapes.
fn says_finish(provider: Provider, stream: &[u8]) -> bool {
    let words: &[&[u8]] = match provider.profile().dialect {
        Dialect::OpenAi(_) => &[b"finish_reason", b"[DONE]", b"\\u"],
        Dialect::Gemini => &[b"finishReason", b"blockReason", b"\\u"],
    };
    words.iter().any(|word| stream.windows(word.len()).any(|part| part == *word))
}

/// Encodes `request` for every model that there is and for kinds that a user may set.
pub fn check_encoding(request: &ChatRequest) {
    let needs = request.needs();
    for provider in Directory::built_in() {
        let also = ["gemini-2.5-flash", "gemini-2.5-pro", "qwen/qwen3-32b", "unheard-of"];
        for model in provider.default_models().chain(also) {
            if provider.capabilities(model).lacks(&needs).is_some() {
                continue;
            }
            let wire = provider.encode(request, model, request.max_tokens);
            let body: Result<&RawValue, _> = serde_json::from_slice(&wire.body);
            assert!(body.is_ok(), "{provider:?} {model}: {body:?}");
            let base = Url::parse(provider.profile().base_url).expect("a URL");
            let url = Url::parse(&format!("{}{}", base.as_str().trim_end_matches('/'), wire.path));
            assert_eq!(url.map(|url| url.origin()), Ok(base.origin()));
            for (index, (on_wire, _)) in wire.renamed_tools.iter().enumerate() {
                let is_again = wire.renamed_tools.iter().skip(index + 1).any(|(other, _)| other == on_wire);
                assert!(!is_again, "two tools with one name: {:?}", wire.renamed_tools);
            }
        }
    }
}

/// A refusal is the client's fault, and says so in few words whatever the client has written.
pub fn check_refusal(error: &ApiError) {
    assert!(error.status().is_client_error(), "{error:?}");
    assert!(error.message().len() < 1_024, "{}", error.message());
}
