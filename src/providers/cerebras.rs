//! Cerebras: OpenAI's dialect at `/v1`, with flat error bodies.
//!
//! Sources, checked 2026-11: SDK cerebras-cloud-sdk 1.91.0;
//! <https://inference-docs.cerebras.ai/support/rate-limits>, <https://inference-docs.cerebras.ai/support/change-log>.
//! Fixtures: `tests/fixtures/cerebras/`.

use http::header::AUTHORIZATION;

use super::openai_compat::{Allowance, Quirks};
use super::{Dialect, Profile};
use crate::failure::Reason;

/// Cerebras's row of data.
pub static PROFILE: Profile = Profile {
    name: "Cerebras",
    key_variables: &["CEREBRAS_API_KEY"],
    models_variable: "CEREBRAS_MODEL",
    base_url_variable: "CEREBRAS_BASE_URL",
    base_url: "https://api.cerebras.ai",
    path_prefix: "/v1",
    // The two models of shared accounts, October and November 2026.
    models: &["gpt-oss-120b", "qwen-3.8-27b"],
    key_header: (AUTHORIZATION, "Bearer "),
    dialect: Dialect::OpenAiCompat(Quirks {
        chat_path: "/v1/chat/completions",
        allowances: &[
            Allowance {
                remaining: "x-ratelimit-remaining-requests-day",
                reset: "x-ratelimit-reset-requests-day",
                reason: Reason::QuotaExhausted,
            },
            Allowance {
                remaining: "x-ratelimit-remaining-tokens-minute",
                reset: "x-ratelimit-reset-tokens-minute",
                reason: Reason::RateLimited,
            },
        ],
        day_markers: &["per day"],
    }),
};
