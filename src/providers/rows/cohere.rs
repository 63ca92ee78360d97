//! Cohere with a trial key: its compatibility API speaks OpenAI's dialect at `/compatibility/v1`.
//!
//! Sources: <https://docs.cohere.com/docs/rate-limits>, <https://docs.cohere.com/docs/compatibility-api>, checked 2026-11; the
//! words of its refusals as quoted by others in August and September 2026. Fixtures: `tests/fixtures/cohere/`.

use crate::middle::{Cause, Feature, FreePlan, Limit, Measure, Pool, Renewal, Unit, Window, Zone};
use crate::providers::capabilities::{Capabilities, Images, Model};
use crate::providers::free::FreeFilter;
use crate::providers::openai::{ErrorForm, ListForm, Quirks};
use crate::providers::profile::{Dialect, Profile};
use crate::providers::words::rules::{FailureRule, Pause};

const COMMAND_A: Capabilities = Capabilities { window: 256_000, max_output: 8_192, ..Capabilities::USUAL };

/// 1,000 calls a calendar month over all models, 20 a minute for each.
const TRIAL: FreePlan = &[
    Limit::new(Measure::REQUESTS_A_MINUTE, 20),
    Limit::new(Measure::new(Unit::Requests, Window::Month), 1_000)
        .shared(Pool::Account)
        .renewed(Renewal::Calendar(Zone::Utc)),
];

/// Cohere's row of data.
pub(crate) static PROFILE: Profile = Profile {
    name: "Cohere",
    key_variables: &["COHERE_API_KEY", "CO_API_KEY"],
    models_variable: "COHERE_MODEL",
    limits_variable: "COHERE_LIMITS",
    base_url_variable: "COHERE_BASE_URL",
    base_url: "https://api.cohere.ai",
    path_prefix: "/compatibility/v1",
    free: FreeFilter::InRow,
    models: &[
        Model::new("command-a-03-2025", COMMAND_A, TRIAL),
        Model::new(
            "command-a-plus-05-2026",
            Capabilities {
                window: 128_000,
                max_output: 65_536,
                images: Images::Inline,
                schema: true,
                ..COMMAND_A
            },
            TRIAL,
        ),
        Model::new(
            "command-r7b-12-2024",
            Capabilities { window: 128_000, max_output: 4_096, ..COMMAND_A },
            TRIAL,
        ),
    ],
    remark: Some("a trial key is for tests, not for commercial use, and has 1,000 calls a month"),
    dialect: Dialect::OpenAi(Quirks {
        chat_path: "/compatibility/v1/chat/completions",
        list: ListForm::None,
        joins_texts: true,
        schema_without: &["additionalProperties", "$schema"],
        takes: &[
            Feature::TopP,
            Feature::Seed,
            Feature::Stop,
            Feature::FrequencyPenalty,
            Feature::PresencePenalty,
        ],
        failures: &[
            FailureRule::words(429, &["/ month", "per month"], Cause::AccountExhausted).waiting(Pause::Month),
            FailureRule::status(429, Cause::RateLimited).waiting(Pause::Seconds(60)),
            FailureRule::status(404, Cause::ModelGone),
        ],
        errors: ErrorForm::Flat,
        ..Quirks::NONE
    }),
    ..Profile::PLAIN
};
