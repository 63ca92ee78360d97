//! NVIDIA's hosted models (build.nvidia.com): OpenAI's dialect at `/v1`.
//!
//! Its real limits are published nowhere: a busy model locks a key out for half an hour, and no header tells.
//!
//! Sources: <https://docs.api.nvidia.com/nim/reference/llm-apis>, checked 2026-11; limits and errors as measured by others in
//! August and September 2026; models of the catalogue of 20 November 2026 (54 of 82 listed ones did not answer in
//! September). Fixtures: `tests/fixtures/nvidia/`.

use std::time::Duration;

use crate::middle::{Cause, Feature, FreePlan, Limit, Measure, Pool, Unit, Window};
use crate::providers::capabilities::{Capabilities, Images, Model};
use crate::providers::openai::Quirks;
use crate::providers::profile::{Dialect, Profile};
use crate::providers::words::rules::FailureRule;

const TEXT: Capabilities = Capabilities { window: 262_144, schema: true, ..Capabilities::USUAL };
const SEEING: Capabilities = Capabilities { images: Images::Inline, ..TEXT };

/// 40 requests a minute over all models. A second request to a model that is still answering is refused at once.
const PLAN: FreePlan = &[
    Limit::new(Measure::REQUESTS_A_MINUTE, 40).shared(Pool::Account),
    Limit::new(Measure::new(Unit::Requests, Window::AtOnce), 1),
];

/// NVIDIA's row of data.
pub(crate) static PROFILE: Profile = Profile {
    name: "NVIDIA",
    also_called: &["nim"],
    key_variables: &["NVIDIA_API_KEY"],
    models_variable: "NVIDIA_MODEL",
    limits_variable: "NVIDIA_LIMITS",
    base_url_variable: "NVIDIA_BASE_URL",
    base_url: "https://integrate.api.nvidia.com",
    models: &[
        Model::new("nvidia/nemotron-3.5-lightning-30b-a3b", TEXT, PLAN),
        Model::new("z-ai/glm-5.3-flash", Capabilities { window: 1_000_000, ..SEEING }, PLAN),
        Model::new(
            "nvidia/nemotron-3-ultra-550b-a55b",
            Capabilities { window: 1_000_000, max_output: 65_536, ..TEXT },
            PLAN,
        ),
        // Too new for anybody to have tried a schema.
        Model::new("minimaxai/minimax-m3.1-flash", Capabilities { schema: false, ..SEEING }, PLAN),
        Model::new("meta/muse-glimmer-30b", Capabilities { window: 131_072, ..SEEING }, PLAN),
    ],
    preferred_families: &["nemotron", "glm", "minimax", "gemma"],
    families: &[("", Capabilities { max_output: 8_192, ..Capabilities::USUAL })],
    // A long answer comes at once instead of as a 202 that has to be asked for again.
    headers: &[("nvcf-poll-seconds", "3600")],
    first_token: Some(Duration::from_secs(300)),
    list_checks_key: false,
    remark: Some("for trial and evaluation; requests are logged, so send no personal data"),
    dialect: Dialect::OpenAi(Quirks {
        takes: &[
            Feature::TopP,
            Feature::Seed,
            Feature::Stop,
            Feature::FrequencyPenalty,
            Feature::PresencePenalty,
        ],
        // "This model only supports single tool-calls at once!"
        fixed_fields_with_tools: &[("parallel_tool_calls", "false")],
        failures: &[
            FailureRule::words(403, &["authorization failed"], Cause::KeyRefused),
            FailureRule::words(404, &["not found for account"], Cause::ModelGone),
            FailureRule::words(410, &["end of life"], Cause::ModelGone),
            FailureRule::words(400, &["degraded function"], Cause::Overloaded),
            FailureRule::status(429, Cause::HiddenLimit),
        ],
        ..Quirks::NONE
    }),
    ..Profile::PLAIN
};
