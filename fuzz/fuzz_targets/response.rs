//! Any bytes from a provider, in any pieces, are read as the same response; and what is written in good order is read so.
#![no_main]

use ai_proxy_free::internals::upstream::replay;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    ai_proxy_free_fuzz::check_response(input);
    // Most inputs are no head, so the same is tried as a body.
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    ai_proxy_free_fuzz::check_response(&[head, input].concat());
    let chunk = [format!("{:x}\r\n", input.len()).as_bytes(), input, b"\r\n0\r\n\r\n"].concat();
    if !input.is_empty() {
        let read = replay(&[head, &chunk]).expect("a response");
        assert!(read.is_whole && read.is_kept && read.body == input, "a chunk is read as it was written");
    }
});
