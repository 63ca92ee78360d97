//! Kilo's gateway: OpenAI's dialect at `/api/gateway`, without a key.
//!
//! Without a key no `Authorization` is sent at all: a wrong one is an error, not anonymous use.
//!
//! Sources: the gateway's published source (Kilo-Org, October and November 2026); bodies as others have met them, 12 September
//! 2026. Fixtures: `tests/fixtures/kilo/`.

use std::time::Duration;

use crate::middle::{Cause, FreePlan, Limit, Measure, Pool, Unit, Window};
use crate::providers::capabilities::{Capabilities, Model};
use crate::providers::free::FreeFilter;
use crate::providers::openai::{ListForm, Quirks};
use crate::providers::profile::{AskedBy, Dialect, KeyNeed, Profile};
use crate::providers::words::rules::{FailureRule, Pause};

const NEMOTRON: Capabilities = Capabilities { window: 1_000_000, max_output: 65_536, ..Capabilities::USUAL };

/// 200 requests an hour from one address, over all free models.
const PLAN: FreePlan = &[Limit::new(Measure::new(Unit::Requests, Window::Hour), 200).shared(Pool::Address)];

/// Kilo's row of data.
pub(crate) static PROFILE: Profile = Profile {
    name: "Kilo",
    key: KeyNeed::Optional,
    asked_by: AskedBy::Name,
    key_variables: &["KILO_API_KEY"],
    models_variable: "KILO_MODEL",
    limits_variable: "KILO_LIMITS",
    base_url_variable: "KILO_BASE_URL",
    base_url: "https://api.kilo.ai",
    path_prefix: "/api/gateway",
    free: FreeFilter::Marked {
        ending: ":free",
        also: &["kilo-auto/free", "openrouter/free"],
        never: &["~", "openrouter/", "kilo-auto/", "typesafe/"],
    },
    models: &[
        Model::new("nvidia/nemotron-3-ultra-550b-a55b:free", NEMOTRON, PLAN),
        Model::new("nvidia/nemotron-3.5-lightning:free", NEMOTRON, PLAN),
        Model::new("dots-studio/dots-3-note-preview:free", Capabilities::USUAL, PLAN),
    ],
    preferred_families: &["nemotron", "qwen", "glm", "dots"],
    families: &[("", Capabilities { max_output: 16_384, ..Capabilities::USUAL })],
    first_token: Some(Duration::from_secs(90)),
    list_checks_key: false,
    may_log_prompts: true,
    remark: Some("the hosts of its free models may log prompts and train on them"),
    dialect: Dialect::OpenAi(Quirks {
        chat_path: "/api/gateway/chat/completions",
        models_path: "/api/gateway/models",
        list: ListForm::Priced,
        asks_for_usage: false,
        failures: &[
            // A model that bills, asked for without a key: told as a 401.
            FailureRule::codes(
                0,
                &["PAID_MODEL_AUTH_REQUIRED", "paid_model_auth_required"],
                Cause::NotInPlan,
            ),
            FailureRule::codes(0, &["PROMOTION_MODEL_LIMIT_REACHED"], Cause::AccountExhausted),
            FailureRule::codes(429, &["rate_limit_exceeded"], Cause::AccountLimited)
                .waiting(Pause::Seconds(300)),
            FailureRule::words(0, &["no free models available"], Cause::Overloaded),
        ],
        ..Quirks::NONE
    }),
    ..Profile::PLAIN
};
