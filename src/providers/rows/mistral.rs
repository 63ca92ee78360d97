//! Mistral: OpenAI's dialect at `/v1`, strict about every field.
//!
//! Whether free keys still work is doubtful: since October 2026 some have reported that theirs do not. Then the first call
//! says so, and the provider rests.
//!
//! Sources: <https://docs.mistral.ai/api/>, <https://docs.mistral.ai/deployment/laplateforme/tier/>, checked 2026-11; grants and
//! errors as measured by others from 10 September to 3 October 2026. Fixtures: `tests/fixtures/mistral/`.

use crate::middle::{Cause, Feature, Limit, Measure, Pool, Unit, Window};
use crate::providers::capabilities::{Capabilities, Images, Model};
use crate::providers::free::FreeFilter;
use crate::providers::openai::{ErrorForm, NullContent, Quirks};
use crate::providers::profile::{Dialect, Profile};
use crate::providers::words::limits::LimitHeaders;
use crate::providers::words::rules::{FailureRule, Pause};

const MINISTRAL: Capabilities =
    Capabilities { window: 262_144, images: Images::Remote, schema: true, ..Capabilities::USUAL };

/// The measured grants, and one request a second over everything.
const fn plan(a_minute: u64, tokens_a_minute: u64) -> [Limit; 3] {
    [
        Limit::new(Measure::REQUESTS_A_MINUTE, a_minute),
        Limit::new(Measure::TOKENS_A_MINUTE, tokens_a_minute),
        Limit::new(Measure::new(Unit::Requests, Window::Second), 1).shared(Pool::Account),
    ]
}

const TOKENS_A_MONTH: Measure = Measure::new(Unit::Tokens, Window::Month);

/// Mistral's row of data.
pub(crate) static PROFILE: Profile = Profile {
    name: "Mistral",
    key_variables: &["MISTRAL_API_KEY"],
    models_variable: "MISTRAL_MODEL",
    limits_variable: "MISTRAL_LIMITS",
    base_url_variable: "MISTRAL_BASE_URL",
    base_url: "https://api.mistral.ai",
    // Dated names only: `-latest` may mean a version that free accounts do not have.
    free: FreeFilter::InRow,
    models: &[
        Model::new("ministral-14b-2512", MINISTRAL, &plan(30, 937_000)),
        Model::new("ministral-8b-2512", MINISTRAL, &plan(188, 625_000)),
        Model::new("ministral-3b-2512", Capabilities { window: 131_072, ..MINISTRAL }, &plan(750, 1_300_000)),
        Model::new(
            "codestral-2508",
            Capabilities { window: 256_000, images: Images::None, ..MINISTRAL },
            &plan(124, 625_000),
        ),
    ],
    preferred_families: &["ministral", "codestral"],
    remark: Some(
        "doubtful: some free keys have stopped working since October 2026; free prompts are trained on unless the account opts out",
    ),
    dialect: Dialect::OpenAi(Quirks {
        seed_name: "random_seed",
        required_word: "any",
        // Unknown here, and everything unknown is a 422. Usage is in the last chunk in any case.
        asks_for_usage: false,
        null_content: NullContent::Omitted,
        short_call_ids: true,
        // "Unexpected role 'user' after role 'tool'" (error 3230).
        words_after_results: Some("Understood."),
        takes: &[
            Feature::TopP,
            Feature::Seed,
            Feature::Stop,
            Feature::FrequencyPenalty,
            Feature::PresencePenalty,
            Feature::ParallelToolCalls,
        ],
        limit_headers: &[
            LimitHeaders {
                measure: TOKENS_A_MONTH,
                limit: "x-ratelimit-limit-tokens-month",
                remaining: "x-ratelimit-remaining-tokens-month",
                reset: "",
                refills: false,
            },
            LimitHeaders {
                measure: Measure::REQUESTS_A_MINUTE,
                limit: "x-ratelimit-limit-req-minute",
                remaining: "x-ratelimit-remaining-req-minute",
                reset: "",
                refills: false,
            },
            LimitHeaders {
                measure: Measure::TOKENS_A_MINUTE,
                limit: "x-ratelimit-limit-tokens-minute",
                remaining: "x-ratelimit-remaining-tokens-minute",
                reset: "",
                refills: false,
            },
        ],
        failures: &[
            FailureRule::codes(0, &["3505", "service_tier_capacity_exceeded"], Cause::Overloaded),
            FailureRule::words(
                429,
                &["insufficient budget", "insufficient credits"],
                Cause::AccountExhausted,
            )
            .waiting(Pause::Month),
            FailureRule::words(
                402,
                &["insufficient budget", "insufficient credits"],
                Cause::AccountExhausted,
            )
            .waiting(Pause::Month),
            FailureRule::codes(
                403,
                &["tier_not_allowed", "1910", "api_key_scope_not_allowed", "1912"],
                Cause::NotInPlan,
            ),
            FailureRule::words(403, &["labs model"], Cause::NotInPlan),
            FailureRule::codes(400, &["1500"], Cause::ModelGone),
            // The limit of a second has no header, and most refusals are its.
            FailureRule::status(429, Cause::RateLimited).waiting(Pause::Seconds(5)),
        ],
        // Those of its reasoning models.
        answers_in_parts: true,
        errors: ErrorForm::Flat,
        ..Quirks::NONE
    }),
    ..Profile::PLAIN
};
