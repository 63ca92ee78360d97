//! Any bytes as a request to the surface of Ollama's dialect, a conversation and a prompt: refused in a short sentence, or encoded
//! as JSON for everybody.
#![no_main]

use ai_proxy_free::internals::surfaces::{Ask as _, OllamaAsk};
use http::{HeaderValue, Uri};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for path in ["/api/chat", "/api/generate"] {
        let mut head = ai_proxy_free_fuzz::head();
        head.uri = Uri::from_static(path);
        match OllamaAsk::parse(&head, body) {
            Ok(mut ask) => {
                // They become a header of the answer.
                assert!(HeaderValue::try_from(ask.ignored().join(", ")).is_ok_and(|it| it.len() < 8_192));
                ai_proxy_free_fuzz::check_encoding(ask.request());
            }
            Err(error) => ai_proxy_free_fuzz::check_refusal(&error),
        }
    }
});
