//! The pure pieces of the hot path, for one token: finding the event, decoding it, writing it for the client.

use std::sync::Arc;

use ai_proxy_free::internals::middle::Event;
use ai_proxy_free::internals::providers::{AnswerDecoder, Provider};
use ai_proxy_free::internals::surfaces::{Ask, Author, ChatAsk, Completion, Encode as _};
use ai_proxy_free::internals::wire::sse;

use crate::Case;
use crate::answer::{Answer, PROVIDERS};
use crate::callgrind::{Counts, Profile};

/// The tokens of the shorter run, and of the longer one.
const TOKENS: [usize; 2] = [100, 1100];

pub(crate) fn cases() -> Vec<Case> {
    let decoders = PROVIDERS.iter().map(|provider| format!("decode {}", provider.name()));
    let names =
        ["sse".to_owned()].into_iter().chain(decoders).chain(["encode /chat".into(), "encode /v1".into()]);
    names.map(|name| Case { name: name.clone(), count: Arc::new(move || count(&name)) }).collect()
}

fn count(piece: &str) -> Profile {
    let this = std::env::current_exe().expect("a path");
    let [few, many] = TOKENS.map(|tokens| {
        let counts = Counts::new();
        let ended = counts.command(&this).args(["piece", piece, &tokens.to_string()]).status();
        assert!(ended.expect("valgrind").success(), "{piece}");
        counts.read()
    });
    many.round(&few, TOKENS[1] - TOKENS[0])
}

/// Does `piece` for so many tokens, each of which comes by itself.
pub(crate) fn run(piece: &str, tokens: usize) {
    match piece.split_once(' ') {
        None => find_events(tokens),
        Some(("encode", "/chat")) => encode::<ChatAsk>(tokens),
        Some(("encode", _)) => encode::<Completion>(tokens),
        Some((_, provider)) => {
            let provider = PROVIDERS.into_iter().find(|it| it.name() == provider);
            decode(provider.expect("a provider"), tokens);
        }
    }
}

/// As many as both runs make, so that making them cancels out.
fn texts(provider: Provider, tokens: usize) -> impl Iterator<Item = String> {
    Answer::new(provider, TOKENS[1]).texts.into_iter().take(tokens)
}

fn find_events(tokens: usize) {
    let mut decoder = sse::Decoder::default();
    for text in texts(Provider::GROQ, tokens) {
        let mut feed = decoder.feed(text.as_bytes());
        while std::hint::black_box(feed.next().expect("small events")).is_some() {}
    }
}

fn decode(provider: Provider, tokens: usize) {
    let mut decoder = AnswerDecoder::new(provider, false, None);
    let mut events = Vec::new();
    for text in texts(provider, tokens) {
        decoder.push(text.as_bytes(), &mut events).expect("a good answer");
        assert_eq!(std::hint::black_box(&events).len(), 1);
        events.clear();
    }
}

fn encode<A: Ask>(tokens: usize) {
    let (head, ()) = http::Request::new(()).into_parts();
    let body = br#"{"messages":[{"role":"user","content":"x"}],"stream":true}"#;
    let author = Author {
        provider: Provider::GROQ,
        model: "openai/gpt-oss-20b".to_owned(),
        answer_id: "0193".to_owned(),
        created: 1_763_800_000,
    };
    let mut encoder = A::parse(&head, body).expect("a request").encoder(author);
    let mut written = Vec::with_capacity(1024);
    let texts: Vec<Event> = (0..TOKENS[1]).map(|number| Event::Text(format!("word {number:04} "))).collect();
    for text in texts.into_iter().take(tokens) {
        encoder.event(text, &mut written);
        std::hint::black_box(&written);
        written.clear();
    }
}
