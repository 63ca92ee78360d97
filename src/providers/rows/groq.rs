//! Groq: OpenAI's dialect at `/openai/v1`.
//!
//! Sources, checked 2026-11: SDK groq 1.7.0; <https://console.groq.com/docs/rate-limits>,
//! <https://console.groq.com/docs/errors>, <https://console.groq.com/docs/deprecations>.
//! Fixtures: `tests/fixtures/groq/`.

use crate::middle::{Effort, Feature, FreePlan, Limit, Measure, Renewal, TokenCharge};
use crate::providers::capabilities::{Capabilities, Images, JsonBesideTools, Model, Work};
use crate::providers::openai::Quirks;
use crate::providers::profile::{Dialect, Profile};
use crate::providers::words::limits::LimitHeaders;

/// Groq refuses structured output together with tools. Windows and caps as read in August 2026.
const GPT_OSS: Capabilities = Capabilities {
    window: 131_072,
    max_output: 65_536,
    images: Images::None,
    files: false,
    tools: true,
    forced_calls: true,
    json: true,
    schema: true,
    json_beside_tools: JsonBesideTools::Never,
    efforts: &[Effort::Low, Effort::Medium, Effort::High],
    thinks_by_budget: false,
    instructions: true,
    signs_calls: false,
};

/// Only some models support `json_schema`; the documents do not name these.
const QWEN: Capabilities = Capabilities {
    max_output: 16_384,
    images: Images::Remote,
    schema: false,
    efforts: &[Effort::None, Effort::Low, Effort::Medium, Effort::High],
    ..GPT_OSS
};

/// For each model separately. Readings of <https://console.groq.com/docs/rate-limits> by others, 17 and 21 August 2026;
/// qwen3.8 was measured on 11 September 2026, but for its tokens a day. What has a header comes back little by little, as
/// the page's own example shows, and so do a day's tokens: refusals name waits of minutes. Of the requests a minute nothing
/// is known.
const FREE_PLAN: FreePlan = &[
    Limit::new(Measure::REQUESTS_A_MINUTE, 30),
    Limit::new(Measure::REQUESTS_A_DAY, 1_000).renewed(Renewal::Refill),
    Limit::new(Measure::TOKENS_A_MINUTE, 8_000).renewed(Renewal::Refill),
    Limit::new(Measure::TOKENS_A_DAY, 200_000).renewed(Renewal::Refill),
];

/// Groq's row of data.
pub(crate) static PROFILE: Profile = Profile {
    name: "Groq",
    is_core: true,
    key_variables: &["GROQ_API_KEY"],
    models_variable: "GROQ_MODEL",
    limits_variable: "GROQ_LIMITS",
    base_url_variable: "GROQ_BASE_URL",
    base_url: "https://api.groq.com",
    path_prefix: "/openai/v1",
    // The smallest is the fastest; the qwen models are previews. `qwen/qwen3.6-27b` is still in catalogues and answered 404 on
    // 24 September 2026.
    models: &[
        Model { id: "openai/gpt-oss-20b", can: GPT_OSS, free_plan: FREE_PLAN, work: Work::UNCOUNTED },
        Model { id: "openai/gpt-oss-120b", can: GPT_OSS, free_plan: FREE_PLAN, work: Work::UNCOUNTED },
        Model { id: "qwen/qwen3.8-27b", can: QWEN, free_plan: FREE_PLAN, work: Work::UNCOUNTED },
    ],
    preferred_families: &["gpt-oss", "qwen", "llama"],
    token_charge: TokenCharge::Longest,
    dialect: Dialect::OpenAi(Quirks {
        chat_path: "/openai/v1/chat/completions",
        models_path: "/openai/v1/models",
        max_tokens_name: "max_completion_tokens",
        // Its streams report their usage unasked.
        asks_for_usage: false,
        // The penalties are in its schema but "not supported by any model".
        takes: &[
            Feature::TopP,
            Feature::Seed,
            Feature::Stop,
            Feature::User,
            Feature::ParallelToolCalls,
            Feature::ToolStrictness,
            Feature::SpeakerName,
        ],
        streams_schema: false,
        parses_reasoning_of: &["qwen"],
        // Requests are counted by the day, tokens by the minute; the other two limits have no header. The page's own
        // example shows that both come back little by little: 30 of 14,400 requests used, whole in 179.56 s.
        limit_headers: &[
            LimitHeaders {
                measure: Measure::REQUESTS_A_DAY,
                limit: "x-ratelimit-limit-requests",
                remaining: "x-ratelimit-remaining-requests",
                reset: "x-ratelimit-reset-requests",
                refills: true,
            },
            LimitHeaders {
                measure: Measure::TOKENS_A_MINUTE,
                limit: "x-ratelimit-limit-tokens",
                remaining: "x-ratelimit-remaining-tokens",
                reset: "x-ratelimit-reset-tokens",
                refills: true,
            },
        ],
        limit_markers: &[
            ("(RPM)", Measure::REQUESTS_A_MINUTE),
            ("(RPD)", Measure::REQUESTS_A_DAY),
            ("(TPM)", Measure::TOKENS_A_MINUTE),
            ("(TPD)", Measure::TOKENS_A_DAY),
        ],
        day_markers: &["(RPD)", "(TPD)"],
        ..Quirks::NONE
    }),
    ..Profile::PLAIN
};
