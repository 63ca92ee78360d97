//! Any bytes as a request to `/chat`: refused in a short sentence, or encoded as JSON for everybody. What stands before
//! a cut is the `Accept` header.
#![no_main]

use ai_proxy_free::internals::surfaces::{Ask as _, ChatAsk};
use ai_proxy_free_fuzz::CUT;
use http::HeaderValue;
use http::header::ACCEPT;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let cut = input.iter().position(|byte| *byte == CUT);
    let (accept, body) = cut.map_or((&b""[..], input), |at| (&input[..at], &input[at + 1..]));
    let accept = HeaderValue::from_bytes(accept).ok();
    let mut head = ai_proxy_free_fuzz::head();
    head.headers.extend(accept.map(|value| (ACCEPT, value)));
    match ChatAsk::parse(&head, body) {
        Ok(mut ask) => ai_proxy_free_fuzz::check_encoding(ask.request()),
        Err(error) => ai_proxy_free_fuzz::check_refusal(&error),
    }
});
