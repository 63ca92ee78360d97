//! Groq: OpenAI's dialect at `/openai/v1`.
//!
//! Sources, checked 2026-11: SDK groq 1.7.0; <https://console.groq.com/docs/rate-limits>,
//! <https://console.groq.com/docs/errors>, <https://console.groq.com/docs/deprecations>.
//! Fixtures: `tests/fixtures/groq/`.

use http::header::AUTHORIZATION;

use super::openai_compat::{Allowance, Quirks};
use super::{Dialect, Profile};
use crate::failure::Reason;

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
    models: &["openai/gpt-oss-20b", "openai/gpt-oss-120b", "qwen/qwen3.8-27b", "qwen/qwen3.6-27b"],
    key_header: (AUTHORIZATION, "Bearer "),
    dialect: Dialect::OpenAiCompat(Quirks {
        chat_path: "/openai/v1/chat/completions",
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
