//! Any bytes as an answer of Groq: see `check_answer`.
#![no_main]

use ai_proxy_free::internals::providers::Provider;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| ai_proxy_free_fuzz::check_answer(Provider::GROQ, input));
