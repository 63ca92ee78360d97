//! Servers on the user's own machine or network that speak OpenAI's dialect: Ollama, LM Studio, llama.cpp and vLLM; and the
//! row that the user's own providers begin with.
//!
//! Free of charge and of terms. Their lists say which models there are, so the rows have none.
//!
//! Sources, checked 2026-11: <https://docs.ollama.com/api/openai-compatibility>, <https://lmstudio.ai/docs/developer>,
//! <https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md> (503 `Loading model`),
//! <https://docs.vllm.ai/en/latest/serving/openai_compatible_server/>. Ollama's `cloud` models run elsewhere and have been
//! billed since 9 November 2026.

use std::time::Duration;

use crate::middle::{Cause, Feature};
use crate::providers::capabilities::{Capabilities, Images};
use crate::providers::free::FreeFilter;
use crate::providers::openai::Quirks;
use crate::providers::profile::{AskedBy, Dialect, KeyNeed, Profile};
use crate::providers::words::rules::FailureRule;

/// What a model can do is not told, so the best is hoped.
const UNTOLD: Capabilities =
    Capabilities { images: Images::Inline, schema: true, max_output: u32::MAX, ..Capabilities::USUAL };

const QUIRKS: Quirks = Quirks {
    takes: &[
        Feature::TopP,
        Feature::Seed,
        Feature::Stop,
        Feature::FrequencyPenalty,
        Feature::PresencePenalty,
    ],
    thinks_in_text: true,
    // llama.cpp's server and vLLM call a model by the path that they were started with.
    ids_may_be_paths: true,
    failures: &[
        FailureRule::words(503, &["loading model"], Cause::Loading),
        FailureRule::codes(400, &["exceed_context_size_error"], Cause::ContextTooLong),
        // What llama.cpp's server says of a model without a part for pictures.
        FailureRule::words(500, &["image input is not supported"], Cause::RequestRefused),
    ],
    ..Quirks::NONE
};

/// LM Studio, llama.cpp and vLLM name `top_k` in their documents; Ollama does not.
const WITH_TOP_K: Dialect = Dialect::OpenAi(Quirks {
    takes: &[
        Feature::TopP,
        Feature::TopK,
        Feature::Seed,
        Feature::Stop,
        Feature::FrequencyPenalty,
        Feature::PresencePenalty,
    ],
    ..QUIRKS
});

const LOCAL: Profile = Profile {
    key: KeyNeed::Optional,
    asked_by: AskedBy::BaseUrl,
    is_second_tier: true,
    families: &[("", UNTOLD)],
    // A model may have to be read from a disk first.
    first_token: Some(Duration::from_secs(300)),
    list_checks_key: false,
    dialect: Dialect::OpenAi(QUIRKS),
    ..Profile::PLAIN
};

/// Ollama.
pub(crate) static OLLAMA: Profile = Profile {
    name: "Ollama",
    key_variables: &["OLLAMA_API_KEY"],
    models_variable: "OLLAMA_MODEL",
    limits_variable: "OLLAMA_LIMITS",
    base_url_variable: "OLLAMA_BASE_URL",
    base_url: "http://localhost:11434",
    free: FreeFilter::Without(&["cloud"]),
    ..LOCAL
};

/// LM Studio.
pub(crate) static LM_STUDIO: Profile = Profile {
    name: "LMStudio",
    key_variables: &["LMSTUDIO_API_KEY"],
    models_variable: "LMSTUDIO_MODEL",
    limits_variable: "LMSTUDIO_LIMITS",
    base_url_variable: "LMSTUDIO_BASE_URL",
    base_url: "http://127.0.0.1:1234",
    dialect: WITH_TOP_K,
    ..LOCAL
};

/// llama.cpp's server.
pub(crate) static LLAMA_CPP: Profile = Profile {
    name: "LlamaCpp",
    also_called: &["llama.cpp"],
    key_variables: &["LLAMACPP_API_KEY"],
    models_variable: "LLAMACPP_MODEL",
    limits_variable: "LLAMACPP_LIMITS",
    base_url_variable: "LLAMACPP_BASE_URL",
    base_url: "http://127.0.0.1:8080",
    dialect: WITH_TOP_K,
    ..LOCAL
};

/// vLLM.
pub(crate) static VLLM: Profile = Profile {
    name: "vLLM",
    key_variables: &["VLLM_API_KEY"],
    models_variable: "VLLM_MODEL",
    limits_variable: "VLLM_LIMITS",
    base_url_variable: "VLLM_BASE_URL",
    base_url: "http://localhost:8000",
    dialect: WITH_TOP_K,
    ..LOCAL
};

/// What the user's own providers begin with: nothing is known of them, and they take their turn like all others.
pub(crate) const CUSTOM: Profile = Profile { is_second_tier: false, first_token: None, ..LOCAL };
