//! Any bytes, in any pieces, give the same events, and none is larger than it may be.
#![no_main]

use ai_proxy_free::internals::wire::sse::{Decoder, Event, EventTooLarge, MAX_EVENT_BYTES};
use libfuzzer_sys::fuzz_target;

/// As documented.
const MAX_STRAY_BYTES: usize = 64 * 1024;

type Decoded = (Vec<(String, Vec<u8>)>, Vec<u8>, Option<EventTooLarge>);

fuzz_target!(|input: &[u8]| {
    ai_proxy_free_fuzz::decode_in_any_cut(input, decode);
});

fn decode(pieces: &[&[u8]]) -> Decoded {
    let own = |event: Event<'_>| {
        assert!(event.data.len() <= MAX_EVENT_BYTES);
        (event.name.to_owned(), event.data.to_owned())
    };
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for piece in pieces {
        let mut feed = decoder.feed(piece);
        loop {
            match feed.next() {
                Ok(Some(event)) => events.push(own(event)),
                Ok(None) => break,
                Err(error) => return (events, decoder.stray().to_owned(), Some(error)),
            }
        }
        assert!(decoder.stray().len() <= MAX_STRAY_BYTES);
    }
    let last = decoder.finish().map(|last| last.map(own));
    let error = last.map(|last| events.extend(last)).err();
    (events, decoder.stray().to_owned(), error)
}
