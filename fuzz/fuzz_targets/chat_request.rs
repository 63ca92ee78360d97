//! Any bytes as a request to `/chat`: refused in a short sentence, or encoded as JSON for everybody. What stands before
//! a cut is the `Accept` header.
#![no_main]

use ai_proxy_free::internals::surfaces::Call as _;
use ai_proxy_free::internals::surfaces::ChatCall;
use ai_proxy_free_fuzz::CUT;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let cut = input.iter().position(|byte| *byte == CUT);
    let (accept, body) = cut.map_or((&b""[..], input), |at| (&input[..at], &input[at + 1..]));
    let accept = HeaderValue::from_bytes(accept).ok();
    let headers: HeaderMap = accept.map(|value| (ACCEPT, value)).into_iter().collect();
    match ChatCall::parse(&headers, body) {
        Ok(mut call) => ai_proxy_free_fuzz::check_encoding(call.request()),
        Err(error) => ai_proxy_free_fuzz::check_refusal(&error),
    }
});
