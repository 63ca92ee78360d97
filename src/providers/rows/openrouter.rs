//! OpenRouter: OpenAI's dialect at `/api/v1`, a router over many hosts. Only its models that end in `:free` cost nothing.
//!
//! Sources: <https://openrouter.ai/docs/api-reference/limits> and <https://openrouter.ai/docs/api-reference/errors>, read
//! 22 August and 17 October 2026; SDK openrouter 1.3.84 (27 October 2026); list of models of 20 November 2026. Within ten
//! days five of fifteen free models had gone, so the list decides, and the models here are a start.
//! Fixtures: `tests/fixtures/openrouter/`.

use std::time::Duration;

use crate::middle::{Cause, Effort, FreePlan, Limit, Measure, Pool, Renewal, Zone};
use crate::providers::capabilities::{Capabilities, Images, Model};
use crate::providers::free::FreeFilter;
use crate::providers::openai::{Guard, ListForm, Quirks};
use crate::providers::profile::{Dialect, Profile};
use crate::providers::words::rules::{FLAGGED, FailureRule, Pause};

const NEMOTRON: Capabilities = Capabilities {
    window: 1_000_000,
    max_output: 65_536,
    efforts: &[Effort::None, Effort::Medium, Effort::High],
    ..Capabilities::USUAL
};

/// It writes JSON, but none of its hosts keeps to a schema.
const GEMMA: Capabilities = Capabilities { window: 262_144, images: Images::Remote, ..Capabilities::USUAL };

/// One allowance over all free models of an account; 1,000 a day for whoever has ever bought ten credits. Its day ends at
/// midnight in coordinated universal time.
const PLAN: FreePlan = &[
    Limit::new(Measure::REQUESTS_A_MINUTE, 20).shared(Pool::Account),
    Limit::new(Measure::REQUESTS_A_DAY, 50).shared(Pool::Account).renewed(Renewal::Calendar(Zone::Utc)),
];

/// OpenRouter's row of data.
pub(crate) static PROFILE: Profile = Profile {
    name: "OpenRouter",
    key_variables: &["OPENROUTER_API_KEY"],
    models_variable: "OPENROUTER_MODEL",
    limits_variable: "OPENROUTER_LIMITS",
    base_url_variable: "OPENROUTER_BASE_URL",
    base_url: "https://openrouter.ai",
    path_prefix: "/api/v1",
    // Its routers pick models that bill; what begins with `~` moves from model to model.
    free: FreeFilter::Marked {
        ending: ":free",
        also: &["openrouter/free"],
        never: &["~", "openrouter/", "typesafe/"],
    },
    models: &[
        Model::new("nvidia/nemotron-3-ultra-550b-a55b:free", NEMOTRON, PLAN),
        Model::new("google/gemma-4-31b-it:free", GEMMA, PLAN),
        Model::new("google/gemma-4-26b-a4b-it:free", GEMMA, PLAN),
        Model::new("nvidia/nemotron-3.5-lightning:free", NEMOTRON, PLAN),
    ],
    preferred_families: &["nemotron", "gemma", "gpt-oss", "qwen", "glm", "ling"],
    families: &[("", Capabilities { max_output: 16_384, ..Capabilities::USUAL })],
    headers: &[("x-title", "AI Proxy Free")],
    first_token: Some(Duration::from_secs(60)),
    // "Failed attempts count toward your daily quota."
    most_calls: 2,
    list_checks_key: false,
    remark: Some(
        "the hosts of its free models may log prompts and train on them; give the key a credit limit of 0",
    ),
    dialect: Dialect::OpenAi(Quirks {
        chat_path: "/api/v1/chat/completions",
        models_path: "/api/v1/models",
        list: ListForm::Priced,
        // Usage is in the last chunk in any case.
        asks_for_usage: false,
        // A host that bills is left out, and the call fails instead.
        fixed_fields: &[("provider", r#"{"max_price":{"prompt":0,"completion":0}}"#)],
        // Whether this admits every host of a free model is not documented.
        guards: &[Guard { field: "provider", refused_by: &["constraint_filtered"] }],
        reset_header: "x-ratelimit-reset",
        failures: &[
            // "… Add 10 credits to unlock 1000 free model requests per day": not a matter of credit.
            FailureRule::words(429, &["free-models-per-day"], Cause::AccountExhausted).waiting(Pause::Day),
            FailureRule::codes(429, &["openrouter_free_tier_daily"], Cause::AccountExhausted)
                .waiting(Pause::Day),
            FailureRule::words(429, &["free-models-per-min"], Cause::AccountLimited)
                .waiting(Pause::Seconds(60)),
            FailureRule::codes(
                0,
                &["provider_overloaded", "provider_unavailable", "capacity_exhausted"],
                Cause::Overloaded,
            ),
            // The host behind it is busy; other models have other hosts.
            FailureRule::status(429, Cause::RateLimited).waiting(Pause::Seconds(30)),
            FailureRule::codes(402, &["openrouter_in_flight_budget"], Cause::AccountLimited)
                .waiting(Pause::Seconds(10)),
            FailureRule::codes(
                0,
                &["no_endpoints", "model_deprecated", "model_unavailable_upstream"],
                Cause::ModelGone,
            ),
            FailureRule::codes(400, &["model_not_found", "wrong_endpoint"], Cause::ModelGone),
            // The account's privacy settings, or no host is free.
            FailureRule::codes(
                404,
                &["free_variant_ended", "privacy_restricted", "constraint_filtered"],
                Cause::NotInPlan,
            ),
            FailureRule::codes(403, &["region_restricted"], Cause::NotInPlan),
            FailureRule::words(403, &["agentic harness", "guardrail"], Cause::NotInPlan),
            FailureRule::codes(403, &[FLAGGED], Cause::Moderated),
            FailureRule::codes(
                400,
                &["max_tokens_exceeded", "token_limit_exceeded", "string_too_long"],
                Cause::ContextTooLong,
            ),
        ],
        ..Quirks::NONE
    }),
    ..Profile::PLAIN
};
