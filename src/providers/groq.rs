//! Groq: OpenAI's dialect at `/openai/v1`.
//!
//! Sources, checked 2026-11: SDK groq 1.7.0; <https://console.groq.com/docs/rate-limits>,
//! <https://console.groq.com/docs/errors>, <https://console.groq.com/docs/deprecations>.
//! Fixtures: `tests/fixtures/groq/`.

use http::header::AUTHORIZATION;

use super::capabilities::{Capabilities, Images, JsonBesideTools, Model};
use super::openai_compat::{Allowance, Field, Quirks};
use super::{Dialect, Profile};
use crate::chat::Effort;
use crate::failure::Reason;

/// Structured output is refused beside tools. Windows and caps as read in August 2026.
const GPT_OSS: Capabilities = Capabilities {
    window: 131_072,
    max_output: 65_536,
    images: Images::None,
    tools: true,
    json: true,
    schema: true,
    json_beside_tools: JsonBesideTools::Never,
    efforts: &[Effort::Low, Effort::Medium, Effort::High],
    thinks_by_budget: false,
    instructions: true,
    signs_calls: false,
};

/// `json_schema` is for some models only, and these are not named among them.
const QWEN: Capabilities = Capabilities {
    max_output: 16_384,
    images: Images::Remote,
    schema: false,
    efforts: &[Effort::None, Effort::Low, Effort::Medium, Effort::High],
    ..GPT_OSS
};

/// Groq's row of data.
pub static PROFILE: Profile = Profile {
    name: "Groq",
    key_variables: &["GROQ_API_KEY"],
    models_variable: "GROQ_MODEL",
    base_url_variable: "GROQ_BASE_URL",
    base_url: "https://api.groq.com",
    path_prefix: "/openai/v1",
    // Free plan, read August to November 2026: 30 requests a minute and 1,000 a day, 8,000 tokens a minute and
    // 200,000 a day, each model for itself. The smallest is the fastest; the qwen models are previews.
    models: &[
        Model { id: "openai/gpt-oss-20b", can: GPT_OSS },
        Model { id: "openai/gpt-oss-120b", can: GPT_OSS },
        Model { id: "qwen/qwen3.8-27b", can: QWEN },
        // Thinks or does not, and cannot be told how much.
        Model { id: "qwen/qwen3.6-27b", can: Capabilities { efforts: &[Effort::None], ..QWEN } },
    ],
    families: &[],
    key_header: (AUTHORIZATION, "Bearer "),
    dialect: Dialect::OpenAiCompat(Quirks {
        chat_path: "/openai/v1/chat/completions",
        max_tokens_name: "max_completion_tokens",
        // The penalties are in its schema and «not supported by any model».
        takes: &[
            Field::TopP,
            Field::Seed,
            Field::Stop,
            Field::User,
            Field::ParallelToolCalls,
            Field::ToolStrictness,
        ],
        streams_schema: false,
        parses_reasoning_of: &["qwen"],
        // Requests are counted by the day, tokens by the minute; the other two limits have no header.
        allowances: &[
            Allowance {
                remaining: "x-ratelimit-remaining-requests",
                reset: "x-ratelimit-reset-requests",
                reason: Reason::QuotaExhausted,
            },
            Allowance {
                remaining: "x-ratelimit-remaining-tokens",
                reset: "x-ratelimit-reset-tokens",
                reason: Reason::RateLimited,
            },
        ],
        day_markers: &["(RPD)", "(TPD)"],
    }),
};
