//! Cerebras: OpenAI's dialect at `/v1`, with flat error bodies.
//!
//! Sources, checked 2026-11: SDK cerebras-cloud-sdk 1.91.0;
//! <https://inference-docs.cerebras.ai/support/rate-limits>, <https://inference-docs.cerebras.ai/support/change-log>.
//! Fixtures: `tests/fixtures/cerebras/`.

use crate::middle::{Effort, FreePlan, Limit, Measure, Renewal, TokenCharge};
use crate::providers::capabilities::{Capabilities, Images, JsonBesideTools, Model, Work};
use crate::providers::openai::{ErrorForm, Quirks};
use crate::providers::profile::{Dialect, Profile};
use crate::providers::words::limits::LimitHeaders;

/// The windows and output caps of trial accounts.
const GPT_OSS: Capabilities = Capabilities {
    window: 65_536,
    max_output: 32_768,
    images: Images::None,
    files: false,
    tools: true,
    forced_calls: true,
    json: true,
    schema: true,
    json_beside_tools: JsonBesideTools::Always,
    efforts: &[Effort::Low, Effort::Medium, Effort::High],
    thinks_by_budget: false,
    instructions: true,
    signs_calls: false,
};

/// Images by URL get a 400.
const QWEN: Capabilities = Capabilities {
    images: Images::Inline,
    efforts: &[Effort::None, Effort::Low, Effort::Medium, Effort::High],
    ..GPT_OSS
};

/// The limits of trial accounts, the only free ones since July 2026. From a report of 31 August 2026; the provider's
/// page names no numbers for them. Its buckets are refilled continuously, and the prompt and the longest answer are taken
/// out of them before the call (RooCodeInc/Roo-Code#10387, from an employee).
const TRIAL: FreePlan = &[
    Limit::new(Measure::REQUESTS_A_MINUTE, 5),
    Limit::new(Measure::TOKENS_A_MINUTE, 30_000).renewed(Renewal::Refill),
    Limit::new(Measure::TOKENS_AN_HOUR, 1_000_000).renewed(Renewal::Refill),
    Limit::new(Measure::TOKENS_A_DAY, 1_000_000).renewed(Renewal::Refill),
];

/// Cerebras's row of data.
pub(crate) static PROFILE: Profile = Profile {
    name: "Cerebras",
    is_core: true,
    key_variables: &["CEREBRAS_API_KEY"],
    models_variable: "CEREBRAS_MODEL",
    limits_variable: "CEREBRAS_LIMITS",
    base_url_variable: "CEREBRAS_BASE_URL",
    base_url: "https://api.cerebras.ai",
    path_prefix: "/v1",
    // The two models of shared accounts, October and November 2026.
    models: &[
        Model { id: "gpt-oss-120b", can: GPT_OSS, free_plan: TRIAL, work: Work::UNCOUNTED },
        Model { id: "qwen-3.8-27b", can: QWEN, free_plan: TRIAL, work: Work::UNCOUNTED },
    ],
    preferred_families: &["gpt-oss", "qwen"],
    token_charge: TokenCharge::Longest,
    dialect: Dialect::OpenAi(Quirks {
        max_tokens_name: "max_completion_tokens",
        // Its streams report their usage unasked.
        asks_for_usage: false,
        // RooCodeInc/Roo-Code#10334, mpfaffenberger/code_puppy#368; it takes a missing one for false.
        wants_equal_strictness: true,
        parses_reasoning_of: &["qwen"],
        // The two resets of the page's example end with the same fraction of a second: both windows are the clock's.
        limit_headers: &[
            LimitHeaders {
                measure: Measure::REQUESTS_A_DAY,
                limit: "x-ratelimit-limit-requests-day",
                remaining: "x-ratelimit-remaining-requests-day",
                reset: "x-ratelimit-reset-requests-day",
                refills: false,
            },
            LimitHeaders {
                measure: Measure::TOKENS_A_MINUTE,
                limit: "x-ratelimit-limit-tokens-minute",
                remaining: "x-ratelimit-remaining-tokens-minute",
                reset: "x-ratelimit-reset-tokens-minute",
                refills: false,
            },
        ],
        // "Requests per minute limit exceeded - too many requests sent." (nminaya/grammar-nazi-bot#958, August 2026), and
        // the same of tokens (continuedev/continue#9800). The other windows by analogy.
        limit_markers: &[
            ("Requests per minute", Measure::REQUESTS_A_MINUTE),
            ("Tokens per minute", Measure::TOKENS_A_MINUTE),
            ("Tokens per hour", Measure::TOKENS_AN_HOUR),
            ("Requests per day", Measure::REQUESTS_A_DAY),
            ("Tokens per day", Measure::TOKENS_A_DAY),
        ],
        day_markers: &["per day limit"],
        errors: ErrorForm::Flat,
        ..Quirks::NONE
    }),
    ..Profile::PLAIN
};
